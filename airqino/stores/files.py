"""The one way to write a file: whole, on disk before it bears its name, under a temporary name nobody else can have."""

import contextlib
import errno
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from airqino.errors import StagingError

__all__ = [
    "SET_ASIDE", "TEMPORARY", "free_room", "link", "mount_point", "probe", "set_aside", "temporary", "write",
    "write_folder",
]  # fmt: skip

#: Pattern of the temporary names. What bears one for long was left behind by a process that was killed.
TEMPORARY = ".*.tmp"
#: Pattern of the names in the quarantine: the file's own, when it was found, and something that no other has.
SET_ASIDE = "*.????????T??????.????????"


def write(path: Path, content: bytes | Callable[[IO[bytes]], object]) -> os.stat_result:
    """Write a file: a reader sees the old one or the new one, never a part, even after a power cut.

    Args:
        path: The file; missing folders are made.
        content: What it holds, or a function that writes it.

    Returns:
        The new file's status.

    Raises:
        StagingError: The file cannot be written; what was there before still is.
    """
    with temporary(path) as made:
        with made.open("wb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content)
            file.flush()
            os.fsync(file.fileno())
            status = os.fstat(file.fileno())
        made.replace(path)
    return status


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder with some files in place of the one there is; it bears its name only when it is whole.

    Args:
        folder: The folder; missing parents are made.
        files: Content by file name.

    Raises:
        StagingError: The folder cannot be written.
    """
    with temporary(folder) as made, temporary(folder) as old:
        made.mkdir()
        for name, content in files.items():
            with (made / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        with contextlib.suppress(FileNotFoundError):
            folder.rename(old)
        try:
            made.rename(folder)
        except OSError:
            old.rename(folder)
            raise


def link(path: Path, target: Path) -> None:
    """Let a symbolic link point to something, in place of what bears its name; it is always there.

    Args:
        path: The link.
        target: As the link names it.

    Raises:
        StagingError: The link cannot be made.
    """
    with temporary(path) as made:
        made.symlink_to(target)
        made.replace(path)


def probe(folder: Path) -> None:
    """Check that a folder can be written; it is made if it is missing.

    Raises:
        OSError: It cannot.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f".probe.{uuid.uuid4().hex}.tmp"
    file.touch()
    file.unlink()


def free_room(folder: Path) -> tuple[int, float]:
    """Say how much room there is on a folder's disk.

    Returns:
        The bytes that can still be written, and their share of those that could ever be (0 to 1): as ``df`` counts,
        without what the file system keeps back for root or under a quota.

    Raises:
        OSError: There is no such folder, or its file system, such as /proc, has no size.
    """
    disk = shutil.disk_usage(folder)
    if not disk.used + disk.free:
        raise OSError(errno.ENODATA, "its file system has no size")
    return disk.free, disk.free / (disk.used + disk.free)


def mount_point(path: Path) -> Path:
    """Return the folder where the file system of a path begins."""
    path = path.resolve()
    return next((p for p in (path, *path.parents) if p.is_mount()), Path("/"))


def set_aside(path: Path, root: Path, quarantine: Path) -> Path:
    """Move a damaged file or folder into the quarantine; nothing is deleted.

    Args:
        path: The file.
        root: The staging root that it lies in.
        quarantine: The folder for such files.

    Returns:
        Where it is now. Of two processes that find it at once, one moves it.

    Raises:
        StagingError: It cannot be moved.
    """
    moment = f"{datetime.now(UTC):%Y%m%dT%H%M%S}.{uuid.uuid4().hex[:8]}"
    target = quarantine / path.relative_to(root).with_name(f"{path.name}.{moment}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            path.rename(target)
        if target.exists():
            os.utime(target)  # when it was found
    except OSError as error:
        raise StagingError(f"{path} is damaged and cannot be moved away: {error.strerror or error}") from error
    return target


@contextlib.contextmanager
def temporary(path: Path) -> Iterator[Path]:
    """Yield a name beside a path that no other process, host or container can have; nothing is left under it.

    A process id would not do: containers that share a folder use the same ones.
    """
    made = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield made
    except OSError as error:
        raise StagingError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        if made.is_dir() and not made.is_symlink():
            shutil.rmtree(made, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                made.unlink(missing_ok=True)
