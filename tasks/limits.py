"""Limits of time for a task and for a run: what takes longer is broken off, so that it never holds up the next run."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

__all__ = ["TIME_OVER", "time_limit"]

#: Exit code of what took too long, as that of timeout(1).
TIME_OVER = 124
#: Seconds in which what is broken off has to end by itself; after that the process is ended.
_GRACE = 60.0


@contextlib.contextmanager
def time_limit(seconds: float, error: BaseException) -> Iterator[None]:
    """Raise an error in the main thread when the block takes longer; limits may lie within each other.

    Where the thread does not react, such as in a library's own code, the process and its workers are ended with
    `TIME_OVER`. In another thread than the main one there is no limit: Python can break off no other.

    Args:
        seconds: From now.
        error: What is raised.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    limit = _Limit(error)
    limit.outer = before = signal.signal(signal.SIGALRM, limit.on_alarm)
    timers = [threading.Timer(seconds, limit.break_off), threading.Timer(seconds + _GRACE, limit.end)]
    try:
        for timer in timers:
            timer.daemon = True
            timer.start()
        yield
    finally:
        try:
            limit.is_over = True
        finally:  # the alarm may come in the line before
            limit.is_over = True
            for timer in timers:
                timer.cancel()
            # never the system's own: an alarm on its way would end the process
            signal.signal(signal.SIGALRM, before if callable(before) else _ignore)


def _ignore(*_: object) -> None:
    pass


class _Limit:
    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.outer: Any = None  #: the handler of the limit around this one
        self.is_over = False
        self._expired = False

    def break_off(self) -> None:
        self._expired = True
        main = threading.main_thread().ident
        if main and not self.is_over:
            signal.pthread_kill(main, signal.SIGALRM)

    def on_alarm(self, number: int, frame: Any) -> None:
        if self._expired and not self.is_over:
            self._expired = False  # once is enough
            raise self.error
        if callable(self.outer):
            self.outer(number, frame)

    def end(self) -> None:
        if self.is_over:
            return
        print(f"{self.error}; it does not react: ended", file=sys.stderr, flush=True)
        for worker in multiprocessing.active_children():
            worker.kill()
        os._exit(TIME_OVER)
