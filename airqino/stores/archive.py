"""Back-ups: one tar.gz with the staging root, the database's documents, and at its end a list of what it holds.

The documents of a collection lie in it one after the other as BSON, ``database/<collection>.bson``, as mongodump
writes them.
"""

import contextlib
import io
import json
import os
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

import bson
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection

from airqino.errors import StagingError
from airqino.stores import files, mongo

__all__ = ["check", "documents", "extract", "write"]

Document = dict[str, Any]

_MANIFEST = "manifest.json"
#: What is not worth keeping: the demo's own servers, and caches.
_LEFT_OUT = ("demo", "superset/cache")
_SQLITE_COMPANIONS = ("-journal", "-wal", "-shm")
#: Documents that go to the server at once.
_BATCH = 2000
_RAW: Any = bson.CodecOptions(document_class=RawBSONDocument)


def write(path: Path, root: Path, db: mongo.Database | None, about: Document) -> Document:
    """Write an archive; it bears its name only when it is whole.

    Args:
        path: The archive.
        root: The staging root.
        db: The database; None leaves it out.
        about: What else its list says.

    Returns:
        Its list: ``files``, and ``documents`` by collection, beside `about`.

    Raises:
        StagingError: A file cannot be read or written.
        MongoError: The database cannot be read.
    """
    manifest: Document = {**about, "files": 0, "documents": {}}

    def fill(archive: IO[bytes]) -> None:
        with (
            tempfile.TemporaryDirectory(dir=path.parent, prefix=".dump-") as folder,
            tarfile.open(fileobj=archive, mode="w:gz", compresslevel=1) as tar,
        ):
            scratch = Path(folder)
            manifest["files"] = sum(_add(tar, root, file, scratch) for file in _files(root))
            if db is not None:
                manifest["documents"] = _dump(db, scratch)
                for collection in manifest["documents"]:
                    tar.add(scratch / f"{collection}.bson", f"database/{collection}.bson")
            text = json.dumps(manifest, indent=1).encode()
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


def check(path: Path) -> Document:
    """Read an archive to its end.

    Returns:
        Its list, as `write` returned it.

    Raises:
        StagingError: It cannot be read, is damaged, or is no back-up.
    """
    try:
        with tarfile.open(path, "r|gz") as tar:
            for entry in tar:
                if entry.name == _MANIFEST and (file := tar.extractfile(entry)):
                    about: Document = json.load(file)
                    return about
    except (OSError, EOFError, tarfile.TarError, ValueError) as error:
        raise StagingError(f"{path} cannot be read as a back-up: {error}") from error
    raise StagingError(f"{path} is no back-up: it holds no {_MANIFEST}")


def extract(path: Path, root: Path) -> int:
    """Write an archive's staged files.

    Returns:
        How many there were.

    Raises:
        StagingError: A file cannot be written, or would lie outside `root`.
    """
    count = 0
    for name, content in _entries(path, "staging"):
        if name.is_absolute() or ".." in name.parts:
            raise StagingError(f"{path} names a file outside of the staging root: {name}")
        files.write(root / name, content.read())
        count += 1
    return count


def documents(path: Path) -> Iterator[tuple[str, list[Document]]]:
    """Yield an archive's documents: (collection, some of its documents)."""
    options: bson.CodecOptions[Document] = bson.CodecOptions(tz_aware=True)
    for name, content in _entries(path, "database"):
        some: list[Document] = []
        for document in bson.decode_file_iter(content, options):
            some.append(document)
            if len(some) == _BATCH:
                yield name.stem, some
                some = []
        yield name.stem, some


def _entries(path: Path, folder: str) -> Iterator[tuple[PurePosixPath, Any]]:
    with tarfile.open(path, "r|gz") as tar:
        for entry in tar:
            if entry.isfile() and entry.name.startswith(f"{folder}/") and (content := tar.extractfile(entry)):
                yield PurePosixPath(entry.name).relative_to(folder), content
