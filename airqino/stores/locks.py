"""Lock files, so that two processes at once do the work once."""

import contextlib
import fcntl
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from airqino.errors import StagingError

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
        StagingError: The file cannot be opened, or its file system knows no locks.
    """
    deadline = time.monotonic() + wait
    with contextlib.ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(path.open("a"))
            while not (got := _locked(file)) and time.monotonic() < deadline:
                time.sleep(0.01)
        except OSError as error:
            raise StagingError(f"{path} cannot be locked: {error.strerror or error}") from error
        yield got


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # unlike flock, not inherited by forked workers
    except (BlockingIOError, PermissionError):  # POSIX allows either
        return False
    return True
