"""The one way to write a file: whole, on disk before it bears its name, under a temporary name nobody else can have.

A path may be an object's in a bucket (`airqino.stores.bucket`): all that is done otherwise there is done here.
"""

import contextlib
import errno
import io
import os
import shutil
import time
import uuid
from collections.abc import Callable, Hashable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, NamedTuple

from airqino.errors import StagingError
from airqino.stores import bucket
from airqino.stores.bucket import BucketPath

__all__ = [
    "ANY", "SET_ASIDE", "TEMPORARY", "Signature", "State", "forget", "free_room", "is_in_bucket", "link",
    "mount_point", "names", "new_folder", "place", "probe", "set_aside", "sign", "signature", "signatures", "stamp",
    "state", "temporary", "write", "write_folder",
]  # fmt: skip

#: What changes whenever a file is replaced (`sign`).
Signature = tuple[int | str, ...]

#: Stands for whatever is there: `write` replaces it.
ANY: Signature = ()
#: Pattern of the temporary names. What bears one for long was left behind by a process that was killed.
TEMPORARY = ".*.tmp"
#: Pattern of the names in the quarantine: the file's own, when it was found, and something that no other has.
SET_ASIDE = "*.????????T??????.????????"


#: A folder's time of change moves with the kernel's tick (up to 10 ms): one that is younger than this may change
#: again without showing it.
_TICK_NS = 100_000_000
#: In a bucket, what is left of a folder when its files are gone.
_FOLDER = ".folder"


class State(NamedTuple):
    """How a folder is.

    Attributes:
        value: What changes whenever a file in it gets or loses its name.
        is_settled: Whether it is sure to change then; of a folder that was changed a moment ago it is not.
    """

    value: Hashable
    is_settled: bool


def place(text: str, setting: str = "the setting") -> Path:
    """Return the folder that a setting names: on a disk, or in a bucket (``s3://bucket/prefix``).

    Args:
        text: The setting's value.
        setting: What it is called, for messages.
    """
    return bucket.register(text, setting) if text.startswith(bucket.SCHEME) else Path(text)


def is_in_bucket(path: Path) -> bool:
    """Tell whether a path is an object's."""
    return isinstance(path, BucketPath)


def forget() -> None:
    """From now on see what others have written to a bucket; on a disk it is always seen."""
    bucket.forget()


def sign(status: os.stat_result | bucket.Status) -> Signature:
    """Return what changes whenever a file is replaced: inode, time of change, size; an object's ETag and size."""
    if isinstance(status, os.stat_result):
        return status.st_ino, status.st_mtime_ns, status.st_size
    return status.etag, status.st_size


def stamp(path: Path) -> str:
    """Return what changes whenever a file's content does, and stays when its folder is copied.

    Raises:
        OSError: There is no such file, or it cannot be asked for.
    """
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns if isinstance(status, os.stat_result) else status.etag}"


def signature(path: Path) -> Signature | None:
    """Return a file's signature; None where there is no such file.

    Raises:
        StagingError: It cannot be asked for.
    """
    try:
        return sign(path.stat())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StagingError(f"{path} cannot be read: {error.strerror}") from error


def names(folder: Path) -> list[str]:
    """Return the names of what lies in a folder, in no order; none where there is no such folder."""
    if isinstance(folder, BucketPath):
        return [path.name for path in folder.iterdir()]
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        return []


def signatures(folder: Path) -> dict[str, Signature]:
    """Return what changes of each file in a folder when it is replaced, and of each folder when a file in it is.

    Empty where there is no such folder.
    """
    if isinstance(folder, BucketPath):
        found: dict[str, Signature] = {}
        for key, status in folder.statuses().items():
            name, _, rest = key.partition("/")
            found[name] = (*found.get(name, ()), rest, *sign(status)) if rest else sign(status)
        return found
    try:
        with os.scandir(folder) as entries:
            return {entry.name: sign(entry.stat()) for entry in entries}
    except (FileNotFoundError, NotADirectoryError):
        return {}


def state(folder: Path) -> State | None:
    """Return how a folder is, None where there is no such folder: one look for all its files.

    Raises:
        StagingError: It cannot be asked for.
    """
    if isinstance(folder, BucketPath):
        return State(tuple(signatures(folder).items()), is_settled=True) if folder.is_dir() else None
    try:
        changed = folder.stat().st_mtime_ns
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StagingError(f"{folder} cannot be read: {error.strerror}") from error
    return State(changed, is_settled=changed < time.time_ns() - _TICK_NS)


def write(path: Path, content: bytes | Callable[[IO[bytes]], object], over: Signature | None = ANY) -> Signature:
    """Write a file: a reader sees the old one or the new one, never a part, even after a power cut.

    Args:
        path: The file; missing folders are made.
        content: What it holds, or a function that writes it.
        over: The signature of the one object that may be replaced in a bucket; None where none may. On a disk locks
            keep writers apart.

    Returns:
        The new file's signature.

    Raises:
        ConflictError: Another object is there than `over`: somebody else was faster.
        StagingError: The file cannot be written; what was there before still is.
    """
    if isinstance(path, BucketPath):
        if callable(content):
            content(filled := io.BytesIO())
            content = filled.getvalue()
        return sign(path.put(content, None if over is ANY else f"{over[0]}" if over else ""))
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
    return sign(status)


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder with some files in place of the one there is; it bears its name only when it is whole.

    Args:
        folder: The folder; missing parents are made.
        files: Content by file name.

    Raises:
        StagingError: The folder cannot be written.
    """
    if isinstance(folder, BucketPath):
        with new_folder(folder):
            for path in list(folder.rglob("*")):  # of the one there is
                if path.name not in (bucket.UNFINISHED, *files):
                    path.unlink(missing_ok=True)
            for name, content in {**files, _FOLDER: b""}.items():
                write(folder / name, content)
        return
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


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder to write into; when the block ends, all that is in it is there at once.

    In a bucket it is the folder itself, which is not seen as one before (`bucket.UNFINISHED`); if the process is
    killed, whoever makes the folder again goes on.

    Args:
        folder: The folder, which is not there yet.

    Raises:
        StagingError: It cannot be written.
    """
    if isinstance(folder, BucketPath):
        mark = folder / bucket.UNFINISHED
        mark.put(b"")
        yield folder
        mark.unlink(missing_ok=True)
        return
    with temporary(folder) as made:
        made.mkdir()
        yield made
        made.rename(folder)


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
    if isinstance(file, BucketPath):
        file.put(b"")
    else:
        file.touch()
    file.unlink(missing_ok=True)


def free_room(folder: Path) -> tuple[int, float] | None:
    """Say how much room there is on a folder's disk.

    Returns:
        The bytes that can still be written, and their share of those that could ever be (0 to 1): as ``df`` counts,
        without what the file system keeps back for root or under a quota. None of a bucket: it has no end.

    Raises:
        OSError: There is no such folder, or its file system, such as /proc, has no size.
    """
    if isinstance(folder, BucketPath):
        return None
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
    if isinstance(path, BucketPath):
        for part in [path, *path.rglob("*")]:  # an object, or all of a folder
            with contextlib.suppress(FileNotFoundError):
                part.copy_to(target / part.relative_to(path))
                part.unlink(missing_ok=True)
        return target
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
