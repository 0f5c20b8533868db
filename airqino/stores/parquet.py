"""Parquet files: atomic writes, content fingerprints, and reads that are remembered while a file stays as it is.

Reading a one-row file costs about 0.3 ms and asking for its status 0.002 ms, and completeness is asked several times
a run, so a table is kept in memory for as long as its file's inode, size and time of change stay the same (an object's
ETag and size).
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from airqino.errors import DamagedFileError, StagingError
from airqino.stores import files
from airqino.stores.bucket import BucketPath, at_once
from airqino.stores.files import Signature

__all__ = [
    "concat", "decode", "digest", "fingerprint", "fingerprint_in", "frame", "load", "read", "read_ahead", "read_as",
    "texts_in", "write",
]  # fmt: skip

if TYPE_CHECKING:
    import pandas as pd

Check = Callable[[pa.Table], None]

_FINGERPRINT = b"fingerprint"
_CHECKSUM = b"checksum"
#: Tables kept in memory, the latest ones: two months of raw hours.
_REMEMBERED = 2048
_tables: dict[Path, tuple[Signature, pa.Table]] = {}


def fingerprint(table: pa.Table, ignore: Iterable[str] = ()) -> str:
    """Return a hash of a table's rows.

    Args:
        table: Any table.
        ignore: Columns that are bookkeeping, not content.

    Returns:
        32 hexadecimal digits that depend on column names and values only, not on encoding, chunks or metadata.
    """
    columns = [name for name in table.column_names if name not in set(ignore)]
    return digest([columns, *(table.column(name).to_pylist() for name in columns)])


def digest(content: Any) -> str:
    """Return 32 hexadecimal digits that stand for any plain content (numbers, text, dates, lists, dicts)."""
    text = json.dumps(content, default=str, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def write(path: Path, table: pa.Table, content: str | None = None, extra: Mapping[str, str] | None = None) -> bool:
    """Write a table atomically: a reader sees the old file or the new one, never a part.

    Args:
        path: The file; missing folders are made.
        table: The rows.
        content: Their fingerprint, where the caller counts only some columns; default: of all columns.
        extra: Further text to keep in the file's metadata, such as the fingerprints of its inputs.

    Returns:
        False when the file already held exactly this and was left alone.

    Raises:
        ConflictError: Somebody else wrote it at the same moment (in a bucket; on a disk locks keep writers apart).
        StagingError: The file cannot be written.
    """
    content = content or fingerprint(table)
    texts = {_FINGERPRINT: content.encode(), **{k.encode(): v.encode() for k, v in (extra or {}).items()}}
    metadata = texts | {_CHECKSUM: _checksum(table, texts)}
    table = table.replace_schema_metadata(metadata)
    before = files.signature(path)
    try:
        old = None if before is None else read_as(path, before)
    except DamagedFileError:
        old = None
    if old is not None and old.schema.metadata == metadata and old.equals(table):
        return False
    compression = "none" if table.num_rows < 1000 else "zstd"

    def encode(file: IO[bytes]) -> None:
        options = {"use_dictionary": False, "write_statistics": False, "write_page_checksum": True}
        pq.write_table(table, file, compression=compression, **options)

    _remember(path, files.write(path, encode, over=before), table)
    return True


def read(path: Path, check: Check | None = None) -> pa.Table | None:
    """Read a whole file.

    Args:
        path: The file.
        check: Looks at a table when it is read from the disk; raises `DamagedFileError` for another file's.

    Returns:
        Its table, or None where there is no such file.

    Raises:
        DamagedFileError: It is not a file that `write` wrote, or is not as it was written.
        StagingError: It cannot be read.
    """
    found = files.signature(path)
    return None if found is None else read_as(path, found, check)


def read_as(path: Path, signature: Signature, check: Check | None = None) -> pa.Table:
    """Read a file whose signature is known to the caller; the table is remembered under it."""
    if (known := _tables.get(path)) and known[0] == signature:
        return known[1]
    table = load(path)
    if table is None:
        raise DamagedFileError(f"{path} cannot be read: it is gone")
    texts = dict(table.schema.metadata or {})
    checksum = texts.pop(_CHECKSUM, None)  # files of 0.1 have none
    if _FINGERPRINT not in texts or checksum not in (None, _checksum(table, texts)):
        raise DamagedFileError(f"{path} is not the file that was written under this name")
    if check:
        check(table)
    _remember(path, signature, table)
    return table


def read_ahead(found: Mapping[Path, Signature], check_of: Callable[[Path], Check]) -> None:
    """Read objects of a bucket many at a time, for `read_as` to remember; of files on a disk one after another is fast.

    Args:
        found: The files and their signatures. What cannot be read is left for `read_as` to tell.
        check_of: Returns what `read_as` is given to check a file's table with.
    """

    def one(path: Path) -> None:
        with contextlib.suppress(OSError, StagingError):
            read_as(path, found[path], check_of(path))

    if todo := [p for p, of in found.items() if isinstance(p, BucketPath) and _tables.get(p, (None,))[0] != of]:
        at_once(one, todo)


def load(path: Path, without: Collection[str] = ()) -> pa.Table | None:
    """Read a file from the disk, whoever wrote it; the table is not remembered.

    Args:
        path: The file.
        without: Columns to leave out, where there are such.

    Returns:
        Its table, or None where there is no such file.

    Raises:
        DamagedFileError: It is no Parquet file as it was written.
        StagingError: It may not be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except StagingError:  # the bucket, not what lies in it
        raise
    except PermissionError as error:
        raise StagingError(f"{path} cannot be read: {error.strerror}") from error
    except (OSError, MemoryError) as error:
        raise DamagedFileError(f"{path} cannot be read: {error}") from error
    return decode(path, content, without)


def decode(path: Path, content: bytes, without: Collection[str] = ()) -> pa.Table:
    """Return the table that a file's content is; its pages' checksums are tested. See `load`."""
    try:
        # of many small files this reads a third faster than Arrow's own way to a file
        with pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True, pre_buffer=False) as file:
            wanted = [name for name in file.schema_arrow.names if name not in without] if without else None
            return file.read(columns=wanted, use_threads=False)
    except (OSError, ValueError, TypeError, NotImplementedError, MemoryError) as error:
        # Arrow raises each of them for one damage or another
        raise DamagedFileError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}") from error


def _checksum(table: pa.Table, texts: Mapping[bytes, bytes]) -> bytes:
    """Return a checksum of what the pages' own checksums do not cover: the kept texts, the columns and their number."""
    columns = [(field.name, str(field.type)) for field in table.schema]
    kept = sorted((k.decode("utf-8", "replace"), v.decode("utf-8", "replace")) for k, v in texts.items())
    return digest([kept, columns, len(table)]).encode()


def _remember(path: Path, signature: Signature, table: pa.Table) -> None:
    _tables.pop(path, None)
    _tables[path] = signature, table
    if len(_tables) > _REMEMBERED:
        del _tables[next(iter(_tables))]


def concat(tables: Iterable[pa.Table]) -> pa.Table:
    """Put rows together, in order, without metadata."""
    return pa.concat_tables([t.replace_schema_metadata(None) for t in tables], promote_options="default")


def frame(tables: Iterable[pa.Table | None]) -> "pd.DataFrame":
    """Put rows together, in order, as a data frame; empty where there is no table."""
    found = [table for table in tables if table is not None]
    rows: pd.DataFrame = (concat(found) if found else pa.table({})).to_pandas()
    return rows


def texts_in(table: pa.Table) -> dict[str, str]:
    """Return the texts that were kept in the file that a table was read from."""
    return {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}


def fingerprint_in(table: pa.Table) -> str:
    """Return the fingerprint that a table was read with."""
    return texts_in(table)[_FINGERPRINT.decode()]
