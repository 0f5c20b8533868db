"""When a request may go out: so many at once, so many a second, and a pause where the API asks for one."""

import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

__all__ = ["HOLD_SECONDS", "Pace"]

#: A request that takes longer makes room for another within a second: a few that hang must not hold up the others.
HOLD_SECONDS = 10.0


class Pace:
    """Limits on requests; safe to share between threads. Who waits longest is next."""

    def __init__(self, concurrency: int, requests_per_second: float) -> None:
        """Start with no request under way.

        Args:
            concurrency: Requests under way at the same time, but for those that take longer than `HOLD_SECONDS`.
            requests_per_second: The most requests that go out in a second.
        """
        self._concurrency, self._lock = concurrency, threading.Lock()
        # each waits for its own event: one for all would wake all of them, at each request, to find whose turn it is
        self._waiting: deque[threading.Event] = deque()
        self._under_way: dict[threading.Event, float] = {}  # when it went out; infinite while it waits for its second
        # moments of the latest requests: as many as may go out at once, and not again within the period
        self._sent: deque[float] = deque(maxlen=max(1, int(requests_per_second)))
        self._period = max(1, int(requests_per_second)) / requests_per_second

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until a request may go out; the block is the request."""
        me = threading.Event()
        try:
            self._change(lambda: self._waiting.append(me))
            while not me.wait(HOLD_SECONDS / 10):  # of one that hangs nobody tells
                self._change()
            self.wait()
            self._change(lambda: self._under_way.update({me: time.monotonic()}))
            yield
        finally:
            self._change(lambda: self._forget(me))

    def _change(self, what: Callable[[], object] = lambda: None) -> None:
        """Do something to who waits and who is under way, and let in whom there is room for then."""
        with self._lock:
            what()
            late = time.monotonic() - HOLD_SECONDS
            for request in [request for request, sent in self._under_way.items() if sent < late]:
                del self._under_way[request]
            while self._waiting and len(self._under_way) < self._concurrency:
                request = self._waiting.popleft()
                self._under_way[request] = math.inf
                request.set()

    def _forget(self, request: threading.Event) -> None:
        self._under_way.pop(request, None)
        with contextlib.suppress(ValueError):  # also of one that is told to stop while it waits
            self._waiting.remove(request)

    def wait(self) -> None:
        """Wait until another request may go out this second."""
        with self._lock:
            turn = time.monotonic()
            if len(self._sent) == self._sent.maxlen:
                turn = max(turn, self._sent[0] + self._period)
            self._sent.append(turn)
        time.sleep(max(0.0, turn - time.monotonic()))
