"""Lock files, so that two processes at once do the work once."""

import contextlib
import fcntl
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

__all__ = ["held"]


@contextlib.contextmanager
def held(path: Path, wait: float = math.inf) -> Iterator[bool]:
    """Hold a lock file; the kernel lets go of it when the process ends, however it does.

    Args:
        path: The file; it is made, and stays.
        wait: Seconds to wait for it.

    Yields:
        Whether it was got.

    Raises:
        OSError: The file cannot be opened, or its file system knows no locks.
    """
    deadline = time.monotonic() + wait
    with path.open("a") as file:
        while not (got := _locked(file)) and time.monotonic() < deadline:
            time.sleep(0.01)
        yield got


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # unlike flock, not inherited by forked workers
    except (BlockingIOError, PermissionError):  # POSIX allows either
        return False
    return True
