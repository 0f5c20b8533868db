"""Locks, so that two processes at once do the work once: lock files, or leases in MongoDB for a root in a bucket."""

import contextlib
import fcntl
import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import IO, NamedTuple, Protocol

from airqino.errors import StagingError
from airqino.stores.bucket import BucketPath

__all__ = ["Holder", "Keeper", "held", "holder", "keep_with"]


class Holder(NamedTuple):
    """Who has a lease: host and process, and since when."""

    process: str
    since: datetime


class Keeper(Protocol):
    """What keeps the locks of a bucket (`airqino.stores.leases`)."""

    def held(self, name: str, wait: float) -> AbstractContextManager[bool]:
        """Hold a lease, as `held` does."""

    def holder(self, name: str) -> Holder | None:
        """Return who holds a lease."""


_keepers: list[Keeper] = []


def keep_with(keeper: Keeper) -> None:
    """Say what keeps the locks of a bucket."""
    _keepers[:] = [keeper]


@contextlib.contextmanager
def held(path: Path, wait: float = math.inf) -> Iterator[bool]:
    """Hold a lock. When the process ends, however it does, the kernel lets go of a file, and a lease runs out.

    Args:
        path: The lock file, which is made, and stays; in a bucket the name of the lease.
        wait: Seconds to wait for it.

    Yields:
        Whether it was got.

    Raises:
        StagingError: The file cannot be opened, or its file system knows no locks; or MongoDB cannot be asked.
    """
    if isinstance(path, BucketPath):
        with _keeper().held(f"{path}", wait) as got:
            yield got
        return
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


def holder(path: Path) -> Holder | None:
    """Return who holds the lock of a bucket; None where nobody does.

    Raises:
        MongoError: MongoDB cannot be asked.
    """
    return _keeper().holder(f"{path}")


def _keeper() -> Keeper:
    if not _keepers:
        raise StagingError("nothing is named that keeps the locks of a bucket")
    return _keepers[0]


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # unlike flock, not inherited by forked workers
    except (BlockingIOError, PermissionError):  # POSIX allows either
        return False
    return True
