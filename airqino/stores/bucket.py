"""Objects in a bucket as paths: an S3 root behaves as a folder does, as far as the pipeline uses one.

A put is whole or not at all, and what was put is what the next request sees (strong consistency, S3 since 2020). There
are no folders: a folder is there if an object's name begins with its. Names are listed by pages of 1,000, each of which
answers for as many days as it holds, and is remembered for a moment (`forget`).
"""

import contextlib
import fnmatch
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PosixPath, PurePath
from typing import Any, NamedTuple, TypeVar

from airqino.errors import ConflictError
from airqino.stores import s3
from airqino.stores.listings import Entry, Listings

__all__ = ["SCHEME", "BucketPath", "Status", "at_once", "before_write", "forget", "recorded", "register"]

T = TypeVar("T")

SCHEME = "s3://"
#: In a folder whose files are not all there yet: until it goes, the folder is as if it were not there.
UNFINISHED = ".unfinished"

#: Root → the setting that names it, for messages.
_roots: dict[PurePath, str] = {}
#: Called before anything is written; whoever may not write any more raises.
before_write: list[Callable[[], None]] = []
#: Contents of small objects, with their ETags: a model's files, the champion's name, incidents.
_contents: dict["BucketPath", tuple[str, bytes]] = {}
_SMALL, _REMEMBERED = 1_000_000, 256
_recorders: list[set["BucketPath"]] = []


class Status(NamedTuple):
    """What a status says of a file, of an object.

    Attributes:
        st_size: Bytes.
        st_mtime: When it was put (seconds since 1970).
        etag: What changes whenever its content does.
    """

    st_size: int
    st_mtime: float
    etag: str


class BucketPath(PosixPath):
    """The path of an object, or of a folder of objects: ``/bucket/key`` inside, ``s3://bucket/key`` in texts.

    Nothing of the operating system takes one by mistake: `os.fspath` refuses it.
    """

    __slots__ = ()

    def __str__(self) -> str:
        """Return the URL; of a relative path its names."""
        inside = super().__str__()
        return f"s3:/{inside}" if inside.startswith("/") else inside

    def __fspath__(self) -> str:
        """Refuse: it is no file of this machine's."""
        raise TypeError(f"{self} is in a bucket, not on a disk")

    @property
    def bucket(self) -> str:
        """Return the name of the bucket."""
        return self.parts[1]

    @property
    def key(self) -> str:
        """Return the name within the bucket."""
        return "/".join(self.parts[2:])

    # what pathlib offers, as far as it is used; the types of pathlib's own arguments differ between Python's versions

    def resolve(self, strict: bool = False) -> "BucketPath":
        """Return the path: there are no links."""
        return self

    def absolute(self) -> "BucketPath":
        """Return the path."""
        return self

    def stat(self, *, follow_symlinks: bool = True) -> Status:  # type: ignore[override]
        """Return size, time and ETag of an object.

        Raises:
            FileNotFoundError: There is no such object.
            BucketError: The bucket cannot be asked.
        """
        if entry := self._entry():
            return Status(entry.size, entry.modified, entry.etag)
        raise s3.missing(self)

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        """Tell whether there is such an object, or folder."""
        return self._entry() is not None or self.is_dir()

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Tell whether there is such an object."""
        return self._entry() is not None

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Tell whether some object lies under this name, and the folder is whole."""
        if self._is_root:
            return bool(_listings(self).names())
        return bool(below := self._below()) and not _is_unfinished(below, f"{self.key}/")

    def is_symlink(self) -> bool:
        """Return False: there are none."""
        return False

    def iterdir(self) -> Iterator["BucketPath"]:  # type: ignore[override]
        """Yield what lies in the folder, sorted; nothing where it is not there, or not whole yet."""
        if self._is_root:
            names = _listings(self).names()
        else:
            below, begin = self._below(), len(f"{self.key}/")
            whole = not _is_unfinished(below, f"{self.key}/")
            names = sorted({key[begin:].partition("/")[0] for key in below}) if whole else []
        return (self / name for name in names if name)

    def glob(self, pattern: str, **_: Any) -> Iterator["BucketPath"]:  # type: ignore[override]
        """Yield what lies in the folder and fits a pattern of one name."""
        return (path for path in self.iterdir() if fnmatch.fnmatchcase(path.name, pattern))

    def rglob(self, pattern: str, **_: Any) -> Iterator["BucketPath"]:  # type: ignore[override]
        """Yield every object under this name whose own name fits a pattern."""
        for key in self._below():
            if not key.endswith("/") and fnmatch.fnmatchcase(key.rpartition("/")[2], pattern):
                yield type(self)(f"/{self.bucket}/{key}")

    def read_bytes(self) -> bytes:
        """Return an object's content.

        Raises:
            FileNotFoundError: There is no such object.
            BucketError: It cannot be read.
        """
        known = _contents.get(self)
        if known and (entry := self._entry()) and entry.etag == known[0]:
            return known[1]
        content, etag = self._ask(s3.get)
        self._remember(etag, content)
        return content

    def read_end(self, size: int) -> bytes:
        """Return the last bytes of an object, or all where it is shorter.

        Args:
            size: How many bytes.

        Raises:
            FileNotFoundError: There is no such object.
            BucketError: It cannot be read.
        """
        if not self.stat().st_size:  # S3 refuses to give a part of nothing
            return b""
        content, _ = self._ask(lambda client, at: s3.get(client, at | {"Range": f"bytes=-{size}"}))
        return content

    def read_text(self, encoding: str | None = None, errors: str | None = None, **_: Any) -> str:
        """Return an object's content as text."""
        return self.read_bytes().decode(encoding or "utf-8", errors or "strict")

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete an object.

        Raises:
            FileNotFoundError: There is none, and that matters.
            BucketError: It cannot be deleted.
        """
        if not missing_ok and not self.is_file():
            raise s3.missing(self)
        _may_write()
        self._ask(lambda client, at: client.delete_object(**at))
        _listings(self).removed(self.key)

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Do nothing: a folder is there with the first object in it."""

    # what only an object has, or a folder of them

    def statuses(self) -> dict[str, Status]:
        """Return the status of each object in the folder, and below it, by its name within; none of one not whole."""
        below, begin = self._below(), len(f"{self.key}/")
        if _is_unfinished(below, f"{self.key}/"):
            return {}
        return {key[begin:]: Status(of.size, of.modified, of.etag) for key, of in below.items()}

    def put(self, content: bytes, over: str | None = None) -> Status:
        """Write an object: a reader sees the old one or the new one.

        Args:
            content: What it holds.
            over: The ETag of the object that it may replace; "" for none; None for whatever there is.

        Returns:
            The new object's status.

        Raises:
            ConflictError: Another object than `over` is there: somebody else was faster, nothing was written.
            BucketError: It cannot be written; what was there before still is.
        """
        _may_write()
        condition = {} if over is None else {"IfMatch": over} if over else {"IfNoneMatch": "*"}
        import mimetypes  # a root on a disk needs none of it

        kind, _ = mimetypes.guess_type(self.name)
        text = "; charset=utf-8" if kind and (kind.startswith("text/") or kind.endswith(("json", "xml"))) else ""
        condition["ContentType"] = f"{kind or 'application/octet-stream'}{text}"
        try:
            answer = self._ask(lambda client, at: client.put_object(Body=content, **condition, **at))
        except (ConflictError, FileNotFoundError):  # the one to be replaced is another now, or gone
            answer = self._as_written(content)
        status = Status(len(content), time.time(), answer["ETag"])
        _listings(self).added(self.key, Entry(status.etag, status.st_size, status.st_mtime))
        self._remember(status.etag, content)
        for written in _recorders:
            written.add(self)
        return status

    def _as_written(self, content: bytes) -> dict[str, str]:
        """Return the ETag of what is there, if it is what was to be written: a put that is tried again meets itself.

        Raises:
            ConflictError: It is not.
        """
        with contextlib.suppress(FileNotFoundError):
            there, etag = self._ask(s3.get)
            if there == content:
                return {"ETag": etag}
        _listings(self).forget()
        raise ConflictError(f"{self} was written by somebody else at the same moment; run again")

    def copy_to(self, target: Path) -> None:
        """Copy an object within the bucket.

        Raises:
            FileNotFoundError: It is gone.
            BucketError: It cannot be copied.
        """
        _may_write()
        source = {"Bucket": self.bucket, "Key": self.key}
        copy = type(self)(target)
        copy._ask(lambda client, at: client.copy_object(CopySource=source, **at))
        _listings(copy).forget()

    def _remember(self, etag: str, content: bytes) -> None:
        """Keep a small file that is read again and again in a run; of Parquet the tables are remembered."""
        _contents.pop(self, None)
        if len(content) <= _SMALL and self.suffix != ".parquet":
            _contents[self] = etag, content
            if len(_contents) > _REMEMBERED:
                del _contents[next(iter(_contents))]

    @property
    def _is_root(self) -> bool:
        return self in _roots or not self.key

    def _entry(self) -> Entry | None:
        if self._is_root:
            return None
        return _listings(self).get(self.key)

    def _below(self) -> dict[str, Entry]:
        return _listings(self).below(f"{self.key}/" if self.key else "")

    def _ask(self, work: Callable[[Any, dict[str, str]], T]) -> T:
        return s3.ask(self, _where, lambda client: work(client, {"Bucket": self.bucket, "Key": self.key}))


def register(url: str, setting: str) -> BucketPath:
    """Return the path of a root.

    Args:
        url: Such as ``s3://bucket/prefix``.
        setting: What names it in the settings, for messages.
    """
    root = BucketPath(f"/{url.removeprefix(SCHEME).strip('/')}")
    _roots.setdefault(root, setting)
    return root


def forget() -> None:
    """Forget what was listed: from now on what others have written counts."""
    for listings in _known.values():
        listings.forget()


@contextlib.contextmanager
def recorded() -> Iterator[set[BucketPath]]:
    """Yield a set that collects what is put while the block runs."""
    written: set[BucketPath] = set()
    _recorders.append(written)
    try:
        yield written
    finally:
        _recorders.remove(written)


def at_once(work: Callable[[T], object], over: list[T]) -> None:
    """Do something of several objects, many at the same time; the first error is raised when all have ended."""
    from concurrent.futures import ThreadPoolExecutor  # a root on a disk needs none of it

    with ThreadPoolExecutor(min(s3.THREADS, len(over) or 1)) as pool:
        for done in [pool.submit(work, of) for of in over]:
            done.result()


_known: dict[BucketPath, Listings] = {}


def _listings(path: BucketPath) -> Listings:
    """Return what was listed of the root that a path lies in."""
    root = next((root for root in (path, *path.parents) if root in _roots), BucketPath(*path.parts[:2]))
    if root not in _known:
        _known[root] = Listings(f"{root.key}/" if root.key else "", lambda **options: _page(root, options))
    return _known[root]


def _page(root: BucketPath, options: dict[str, str]) -> dict[str, Any]:
    answer: dict[str, Any] = s3.ask(root, _where, lambda client: client.list_objects_v2(Bucket=root.bucket, **options))
    return answer


def _is_unfinished(below: dict[str, Entry], prefix: str) -> bool:
    return f"{prefix}{UNFINISHED}" in below


def _may_write() -> None:
    for check in before_write:
        check()


def _where(path: PurePath) -> str:
    """Say which root it is, and which setting names it."""
    root = next((root for root in (path, *path.parents) if root in _roots), path)
    return f"{_roots.get(root, 'the bucket')} = {root}"


def _begin_anew() -> None:
    """After a fork: another thread may have held a lock, and whoever works in parallel looks anew."""
    _known.clear()


os.register_at_fork(after_in_child=_begin_anew)
