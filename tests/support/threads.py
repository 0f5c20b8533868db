"""Threads that start together."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def together(count: int, work: Callable[[], T]) -> list[T]:
    """Do the work in so many threads that start at one moment; return what each got, or raise what one raised."""
    start = threading.Barrier(count)

    def run(_: int) -> T:
        start.wait()
        return work()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))
