"""Back-ups: one tar.gz with the staging root, the database's documents, and at its end a list of what it holds.

The documents of a collection lie in it one after the other as BSON, ``database/<collection>.bson``, as mongodump
writes them.
"""

import contextlib
import io
import os
import re
import shutil
import sqlite3
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, Any

import bson
import bson.errors
import msgspec
from bson.codec_options import DatetimeConversion
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection

from airqino.errors import StagingError
from airqino.stores import files, mongo

__all__ = ["Manifest", "check", "documents", "extract", "write"]

Document = dict[str, Any]

_MANIFEST = "manifest.json"
#: What is not worth keeping: the demo's own servers, and caches.
_LEFT_OUT = ("demo", "superset/cache")
_SQLITE_COMPANIONS = ("-journal", "-wal", "-shm")
#: Documents that go to the server at once.
_BATCH = 2000
_RAW: Any = bson.CodecOptions(document_class=RawBSONDocument)
#: Such as the client's (`mongo.database`): a moment beyond Python's, in a document of others, is no error.
_OPTIONS: bson.CodecOptions[Document] = bson.CodecOptions(
    tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_AUTO
)
#: MongoDB's limit on a document, with what it allows itself beyond.
_LARGEST_DOCUMENT = 16 * 1024 * 1024 + 16 * 1024
_LARGEST_MANIFEST = 1_000_000
#: How much a back-up may unpack to, by its size. Ours unpack to 2 to 30 times as much, zeros to 1000 times.
_LARGEST_RATIO, _LARGEST_REST = 100, 64_000_000


class Manifest(msgspec.Struct):
    """What an archive holds.

    Attributes:
        files: How many staged files.
        documents: How many documents, by collection; empty where the database was left out.
        environment: That of the root and the database; None in those of 0.7.0 and before.
    """

    files: int = 0
    documents: dict[str, int] = {}
    environment: str | None = None


def write(path: Path, root: Path, db: mongo.Database | None, environment: str) -> Manifest:
    """Write an archive; it bears its name only when it is whole.

    Args:
        path: The archive.
        root: The staging root.
        db: The database; None leaves it out.
        environment: The environment that they belong to.

    Returns:
        What it holds.

    Raises:
        StagingError: A file cannot be read or written.
        MongoError: The database cannot be read.
    """
    manifest = Manifest(environment=environment)

    def fill(archive: IO[bytes]) -> None:
        with (
            tempfile.TemporaryDirectory(dir=path.parent, prefix=".dump-") as folder,
            tarfile.open(fileobj=archive, mode="w:gz", compresslevel=1) as tar,
        ):
            scratch = Path(folder)
            manifest.files = sum(_add(tar, root, file, scratch) for file in _files(root))
            if db is not None:
                manifest.documents = _dump(db, scratch)
                for collection in manifest.documents:
                    tar.add(scratch / f"{collection}.bson", f"database/{collection}.bson")
            text = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
            entry = tarfile.TarInfo(_MANIFEST)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text))

    files.write(path, fill)
    return manifest


def _dump(db: mongo.Database, folder: Path) -> dict[str, int]:
    """Write each collection as it is at one moment, and return how many documents it has."""
    names = mongo.collections(db)
    return mongo.ask(db, lambda db: _write_collections(db, names, folder))


def _write_collections(db: mongo.Database, names: list[str], folder: Path) -> dict[str, int]:
    counts = dict.fromkeys(names, 0)
    replicated = "setName" in db.client.admin.command("hello")  # a server on its own has no snapshots
    with db.client.start_session(snapshot=True) if replicated else contextlib.nullcontext() as session:
        for name in counts:
            raw: Collection[Any] = db.get_collection(name, _RAW)
            with (folder / f"{name}.bson").open("wb") as file:
                for document in raw.find(session=session):
                    file.write(document.raw)
                    counts[name] += 1
    return counts


def _files(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        at = Path(folder)
        # what begins with a dot is no data: temporary files, locks, and what is served, which `Publish` makes again
        folders[:] = sorted(f for f in folders if f[0] != "." and str((at / f).relative_to(root)) not in _LEFT_OUT)
        files = (n for n in sorted(names) if n[0] != "." and not n.endswith(_SQLITE_COMPANIONS))
        yield from (at / n for n in files if not (at / n).is_symlink())


def _add(tar: tarfile.TarFile, root: Path, file: Path, scratch: Path) -> bool:
    name, source = f"staging/{file.relative_to(root).as_posix()}", file
    if file.suffix == ".db":  # SQLite's own copy is whole even while somebody writes
        source = scratch / "copy.db"
        source.unlink(missing_ok=True)
        with (
            contextlib.closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as of,
            contextlib.closing(sqlite3.connect(source)) as to,
        ):
            of.backup(to)
    try:
        tar.add(source, name, recursive=False)
    except FileNotFoundError:  # a page's or a log's file may go while we look
        return False
    return True


def check(path: Path, root: Path) -> Manifest:
    """Read an archive to its end, before anything of it is written: somebody may have made or changed it.

    Args:
        path: The archive.
        root: The staging root that its files would go into; it need not be there.

    Returns:
        Its list, as `write` returned it.

    Raises:
        StagingError: It cannot be read, is damaged, is no back-up, holds what no back-up has, or the disk has no room.
    """
    most, size, seen = _LARGEST_RATIO * _size(path) + _LARGEST_REST, 0, set[str]()
    about = None
    with _reading(path):
        for entry, content in _entries(path):
            size += entry.size
            if about or entry.name in seen:
                raise StagingError(f"{path} is no back-up: {entry.name} is in it twice, or after its end")
            if size > most:
                raise StagingError(f"{path} is no back-up: it unpacks to {size / 1e6:.0f} MB or more")
            seen.add(entry.name)
            if entry.name == _MANIFEST:
                about = _manifest(path, content)
            elif entry.name.startswith("database/"):
                for _ in _raw_documents(path, entry.name, content):
                    pass
    if about is None:
        raise StagingError(f"{path} is no back-up: it holds no {_MANIFEST}")
    staged = sum(name.startswith("staging/") for name in seen)
    if staged != about.files:
        raise StagingError(f"{path} is not whole: it holds {staged} of {about.files} files")
    _check_room(path, size, root)
    return about


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise StagingError(f"{path} cannot be read as a back-up: {error.strerror or error}") from error


def _manifest(path: Path, content: IO[bytes]) -> Manifest:
    try:
        return msgspec.json.decode(content.read(_LARGEST_MANIFEST), type=Manifest)
    except msgspec.MsgspecError as error:
        raise StagingError(f"{path} is no back-up: its {_MANIFEST} cannot be read ({error})") from None


def _check_room(path: Path, size: int, root: Path) -> None:
    nearest = next(folder for folder in (root.absolute(), *root.absolute().parents) if folder.is_dir())
    room = files.free_room(nearest)
    if room and size > room[0]:
        needed = f"it needs {size / 1e6:.0f} MB, and the disk of {root} has {room[0] / 1e6:.0f} MB"
        raise StagingError(f"there is no room for {path}: {needed}")


def extract(path: Path, root: Path) -> int:
    """Write an archive's staged files; what is there already, such as the log of this month, stays as it is.

    Returns:
        How many were written.

    Raises:
        StagingError: A file cannot be written, or is none that a back-up has.
    """
    count = 0
    with _reading(path):
        for entry, content in _entries(path):
            name = PurePosixPath(entry.name)
            target = root / name.relative_to("staging") if entry.name.startswith("staging/") else None
            if target and not os.path.lexists(target):
                files.write(target, partial(shutil.copyfileobj, content))
                count += 1
    return count


def documents(path: Path) -> Iterator[tuple[str, list[Document]]]:
    """Yield an archive's documents: (collection, some of its documents).

    Raises:
        StagingError: They are damaged, or none that a back-up has.
    """
    with _reading(path):
        for entry, content in _entries(path):
            if not entry.name.startswith("database/"):
                continue
            name = PurePosixPath(entry.name).stem
            raw = _raw_documents(path, entry.name, content)
            while some := [_decoded(path, entry.name, document) for document in islice(raw, _BATCH)]:
                yield name, some


def _raw_documents(path: Path, name: str, content: IO[bytes]) -> Iterator[bytes]:
    """Yield the documents of a file of them, each as it lies there; none can be larger than MongoDB takes."""
    while head := content.read(4):
        size = int.from_bytes(head, "little")
        if len(head) == 4 and 5 <= size <= _LARGEST_DOCUMENT:
            document = head + content.read(size - 4)
            if len(document) == size and document[-1] == 0:
                yield document
                continue
        raise StagingError(f"{path}: {name} is damaged")


def _decoded(path: Path, name: str, document: bytes) -> Document:
    with contextlib.suppress(bson.errors.BSONError):
        found = bson.decode(document, _OPTIONS)
        if "_id" in found:
            return found
    raise StagingError(f"{path}: {name} is damaged: a document in it cannot be read, or has no _id")


def _entries(path: Path) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    """Yield an archive's files, each with what is in it; what no back-up has is refused.

    Raises:
        StagingError: Something in it is none of ours.
        OSError, EOFError, TypeError, ValueError, tarfile.TarError, zlib.error: It cannot be read; see `_reading`.
    """
    with tarfile.open(path, "r|gz") as tar:
        for entry in tar:
            if entry.isdir() and _is_within(entry.name):  # of an archive that was packed again by hand
                continue
            content = tar.extractfile(entry) if entry.isreg() and not entry.issparse() else None
            if content is None or not _is_ours(entry.name):
                kind = "" if content else " (a link, a device or the like)"
                raise StagingError(
                    f"{path} is no back-up of ours: it holds {entry.name!r}{kind}; nothing of it is used"
                )
            yield entry, content


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what tarfile raises of an archive that is none into an error that names it.

    Raises:
        StagingError: It cannot be read.
    """
    try:
        yield
    except (OSError, EOFError, TypeError, ValueError, tarfile.TarError, zlib.error) as error:
        # a TypeError where a file ends within gzip's header
        raise StagingError(f"{path} cannot be read as a back-up: {error}") from error


def _is_within(name: str) -> bool:
    """Tell whether a name stays below the folder that it is put into, and no part of it is hidden."""
    return bool(name) and not name.startswith("/") and not any(part.startswith(".") for part in name.split("/"))


def _is_ours(name: str) -> bool:
    """Tell whether a back-up has a file of this name: `write` leaves out what begins with a dot."""
    top, _, rest = name.partition("/")
    if top == "database":
        collection = rest.removesuffix(".bson")
        is_plain = re.fullmatch(r"[^/$\0]+", collection) is not None and not collection.startswith("system.")
        return is_plain and rest == f"{collection}.bson" and _is_within(name)
    return name == _MANIFEST or (top == "staging" and bool(rest) and _is_within(name))
