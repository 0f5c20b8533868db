"""When a request may go out: so many at once, so many a second, and a pause where the API asks for one."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["HOLD_SECONDS", "Pace"]

#: A request that takes longer makes room for another: a few that hang must not hold up the others.
HOLD_SECONDS = 10.0


class Pace:
    """Limits on requests; safe to share between threads. Who waits longest is next."""

    def __init__(self, concurrency: int, requests_per_second: float) -> None:
        """Start with no request under way.

        Args:
            concurrency: Requests under way at the same time, but for those that take longer than `HOLD_SECONDS`.
            requests_per_second: The most requests that go out in a second.
        """
        self._room, self._changed = concurrency, threading.Condition()
        self._waiting: deque[object] = deque()  # a semaphore would give a turn to whoever comes at the right moment
        # moments of the latest requests: as many as may go out at once, and not again within the period
        self._sent: deque[float] = deque(maxlen=max(1, int(requests_per_second)))
        self._period = max(1, int(requests_per_second)) / requests_per_second
        self._lock = threading.Lock()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until a request may go out; the block is the request."""
        me = object()
        with self._changed:
            self._waiting.append(me)
            try:
                self._changed.wait_for(lambda: self._room > 0 and self._waiting[0] is me)
                self._room -= 1
            finally:  # also of one that is told to stop
                self._waiting.remove(me)
                self._changed.notify_all()
        self.wait()
        given_back = threading.Lock()

        def give_back() -> None:
            if given_back.acquire(blocking=False):
                with self._changed:
                    self._room += 1
                    self._changed.notify_all()

        timer = threading.Timer(HOLD_SECONDS, give_back)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            give_back()

    def wait(self) -> None:
        """Wait until another request may go out this second."""
        with self._lock:
            turn = time.monotonic()
            if len(self._sent) == self._sent.maxlen:
                turn = max(turn, self._sent[0] + self._period)
            self._sent.append(turn)
        time.sleep(max(0.0, turn - time.monotonic()))
