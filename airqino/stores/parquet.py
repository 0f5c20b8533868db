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

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from airqino.errors import DamagedFileError, StagingError
from airqino.stores import files, parts
from airqino.stores.bucket import BucketPath, at_once
from airqino.stores.files import Signature
from airqino.stores.remembered import Remembered

__all__ = [
    "LONG", "concat", "decode", "digest", "fingerprint", "fingerprint_in", "footer", "frame", "give_back", "is_large",
    "load", "read", "read_ahead", "read_as", "read_columns", "size_of", "texts", "texts_in", "write",
]  # fmt: skip

if TYPE_CHECKING:
    import pandas as pd

# What Arrow's own pools do not give back to the system: of 2,000 stations, 160 MB.
pa.set_memory_pool(pa.system_memory_pool())

Check = Callable[[pa.Table], None]

_FINGERPRINT = b"fingerprint"
_CHECKSUM = b"checksum"
#: Bytes of a text beyond which it is not kept with a table in memory: the requests of some fifteen stations.
LONG = 4096
#: Tables in memory, by what they take: five months of raw hours of 100 stations. A day of 10,000, flagged, has 300 MB.
_tables = Remembered[Path, pa.Table](most=16_384, most_size=128_000_000)
#: What a column takes beside its bytes: tables of 17, of 2 rows or of 200, took 27 kB more (measured).
_COLUMN_BYTES = 1600
#: Larger tables (bytes) are not remembered when they are written: who writes many does not need them again.
_LARGEST = 4_000_000
#: Bytes of a file beyond which its texts are read by themselves: a day of some 1,000 stations, packed.
_LARGE_FILE = 300_000
#: Bytes of an object's end in which its footer is looked for.
_END = 32_768
_footers: dict[Path, tuple[Signature, dict[str, str]]] = {}


def fingerprint(table: pa.Table, ignore: Iterable[str] = ()) -> str:
    """Return a hash of a table's rows.

    Args:
        table: Any table.
        ignore: Columns that are bookkeeping, not content.

    Returns:
        32 hexadecimal digits that depend on column names and values only, not on encoding, chunks or metadata.
    """
    hashed = hashlib.blake2b(f"{len(table)}".encode(), digest_size=16)
    for name in [name for name in table.column_names if name not in set(ignore)]:
        column = table.column(name).combine_chunks()
        parts = [name.encode(), *_parts(column)]
        hashed.update(b"".join(b"%d:" % len(part) for part in parts))  # where one ends and the next begins
        for part in parts:
            hashed.update(part)
    return hashed.hexdigest()


def _parts(column: pa.Array) -> list[Any]:
    """Return bytes that stand for a column's values: their kind, which of them are null, and the others."""
    if column.null_count == len(column):
        return [b"null"]
    nulls = np.packbits(column.is_null().to_numpy(zero_copy_only=False)).data if column.null_count else b""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    is_, column = pa.types, column.cast(kind)
    if is_.is_string(kind) or is_.is_large_string(kind):
        # a slice has the bytes and offsets of the whole
        texts = pc.fill_null(column, "").cast(pa.large_string())
        offsets = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset : texts.offset + len(texts) + 1]
        content = texts.buffers()[2]
        return [b"text", nulls, np.diff(offsets).data, content[offsets[0] : offsets[-1]] if content else b""]
    if is_.is_boolean(kind):
        return [b"bool", nulls, np.packbits(pc.fill_null(column, False).to_numpy(zero_copy_only=False)).data]
    if is_.is_floating(kind):
        return [b"float", nulls, pc.fill_null(column.cast(pa.float64()), 0.0).to_numpy().data]
    if is_.is_integer(kind):
        return [b"whole", nulls, pc.fill_null(column.cast(pa.int64()), 0).to_numpy().data]
    if is_.is_timestamp(kind):
        moments = column.cast(pa.timestamp("ns", kind.tz)).cast(pa.int64())
        return [b"UTC" if kind.tz else b"moment", nulls, pc.fill_null(moments, 0).to_numpy().data]
    return [b"other", digest(column.to_pylist()).encode()]


def digest(content: Any) -> str:
    """Return 32 hexadecimal digits that stand for any plain content (numbers, text, dates, lists, dicts)."""
    text = json.dumps(content, default=str, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def write(
    path: Path, table: pa.Table, extra: Mapping[str, str] | None = None, bookkeeping: Collection[str] = ()
) -> bool:
    """Write a table atomically: a reader sees the old file or the new one, never a part.

    Args:
        path: The file; missing folders are made.
        table: The rows.
        extra: Further text to keep in the file's metadata, such as the fingerprints of its inputs.
        bookkeeping: Columns that do not count in the rows' fingerprint.

    Returns:
        False when the file already held exactly this and was left alone.

    Raises:
        ConflictError: Somebody else wrote it at the same moment (in a bucket; on a disk locks keep writers apart).
        StagingError: The file cannot be written.
    """
    before = files.signature(path)
    try:
        old = None if before is None else read_as(path, before, remember=False)
    except DamagedFileError:
        old = None
    counted = table.drop_columns([name for name in bookkeeping if name in table.column_names])
    # what was there before keeps its fingerprint, also that of a version that made it in another way
    if old is not None and old.column_names == table.column_names and old.select(counted.column_names).equals(counted):
        content = fingerprint_in(old)
    else:
        content = fingerprint(counted)
    told = {_FINGERPRINT: content.encode(), **{k.encode(): v.encode() for k, v in (extra or {}).items()}}
    told |= parts.ends(table)
    metadata = told | {_CHECKSUM: _checksum(table, told)}
    table = table.replace_schema_metadata(metadata)
    # the checksum stands for the texts that the old table may have in memory no more
    if old is not None and _short(old.schema.metadata) == _short(metadata) and old.equals(table):
        return False
    compression = "none" if table.num_rows < 1000 else "zstd"

    def encode(file: IO[bytes]) -> None:
        options = {"use_dictionary": False, "write_statistics": False, "write_page_checksum": True}
        pq.write_table(table, file, row_group_size=parts.ROWS, compression=compression, **options)

    signature = files.write(path, encode, over=before)
    if table.nbytes <= _LARGEST:
        _remember(path, signature, table)
    else:
        _tables.forget(path)
    return True


def read(path: Path, check: Check | None = None, remember: bool = True) -> pa.Table | None:
    """Read a whole file.

    Args:
        path: The file.
        check: Looks at a table when it is read from the disk; raises `DamagedFileError` for another file's.
        remember: Keep the table in memory for those who ask next: not for one of many large ones.

    Returns:
        Its table, or None where there is no such file.

    Raises:
        DamagedFileError: It is not a file that `write` wrote, or is not as it was written.
        StagingError: It cannot be read.
    """
    found = files.signature(path)
    return None if found is None else read_as(path, found, check, remember)


def read_as(path: Path, signature: Signature, check: Check | None = None, remember: bool = True) -> pa.Table:
    """Read a file whose signature is known to the caller; the table is remembered under it."""
    if (kept := _tables.get(path, signature)) is not None:
        return kept
    table = load(path)
    if table is None:
        raise DamagedFileError(f"{path} cannot be read: it is gone")
    told = dict(table.schema.metadata or {})
    checksum = told.pop(_CHECKSUM, None)  # files of 0.1 have none
    if _FINGERPRINT not in told or checksum not in (None, _checksum(table, told)):
        raise DamagedFileError(f"{path} is not the file that was written under this name")
    if check:
        check(table)
    return _remember(path, signature, table) if remember else table


def footer(path: Path) -> dict[str, str] | None:
    """Read the texts that are kept in a file, not its rows: damage to those is found by who reads them.

    Args:
        path: The file.

    Returns:
        The texts, with the fingerprint among them; None where there is no such file.

    Raises:
        DamagedFileError: It is not a file that `write` wrote.
        StagingError: It cannot be read.
    """
    if (signature := files.signature(path)) is None:
        return None
    if (table := _tables.get(path, signature)) is not None:
        return texts_in(table)
    if not (known := _footers.get(path)) or known[0] != signature:
        _footers[path] = known = signature, texts(path)
    return known[1]


def texts(path: Path) -> dict[str, str]:
    """Read the texts that are kept in a file that there is, also those too long to be kept with a table in memory.

    Raises:
        DamagedFileError: It is not a file that `write` wrote.
        StagingError: It cannot be read.
    """
    try:
        found = texts_in(_schema(path).empty_table())
    except StagingError:  # the bucket, not what lies in it
        raise
    except (OSError, ValueError) as error:
        raise DamagedFileError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}") from error
    if _FINGERPRINT.decode() not in found:
        raise DamagedFileError(f"{path} is not the file that was written under this name")
    return found


def _schema(path: Path) -> pa.Schema:
    if not isinstance(path, BucketPath):
        return pq.read_schema(path)
    try:
        return pq.read_schema(pa.BufferReader(path.read_end(_END)))
    except (ValueError, OSError) as error:
        if isinstance(error, StagingError):
            raise
        return pq.read_schema(pa.BufferReader(path.read_bytes()))  # its footer is longer, or it is damaged


def read_ahead(found: Mapping[Path, Signature], check_of: Callable[[Path], Check]) -> None:
    """Read objects of a bucket many at a time, for `read_as` to remember; of files on a disk one after another is fast.

    Args:
        found: The files and their signatures. What cannot be read is left for `read_as` to tell.
        check_of: Returns what `read_as` is given to check a file's table with.
    """

    def one(path: Path) -> None:
        with contextlib.suppress(OSError, StagingError):
            read_as(path, found[path], check_of(path))

    if todo := [p for p, of in found.items() if isinstance(p, BucketPath) and _tables.get(p, of) is None]:
        at_once(one, todo)


def read_columns(path: Path, names: Collection[str], stations: tuple[str, str] | None = None) -> pa.Table | None:
    """Read some columns of a file, those that it has of them: of one of many large files, which is not remembered.

    Args:
        path: The file.
        names: The columns.
        stations: The first and the last station whose rows are wanted; of a large file, which is sorted by station,
            most others are not read.

    Returns:
        The columns, in the file's order; None where there is no such file.

    Raises:
        DamagedFileError: It is not a file that `write` wrote, or these columns are not as they were written.
        StagingError: It cannot be read.
    """
    if (told := footer(path)) is None:
        return None
    if (table := _tables.get(path, files.signature(path))) is None:
        if (found := load(path, only=names, stations=stations)) is None:
            return None
        table = found.replace_schema_metadata(told)
    return table.select([name for name in table.column_names if name in names])


def is_large(path: Path) -> bool:
    """Tell whether a file, if there is one, is so large that its texts are better read without its rows."""
    found = files.signature(path)
    return found is not None and int(found[-1]) > _LARGE_FILE


def load(
    path: Path,
    without: Collection[str] = (),
    only: Collection[str] | None = None,
    stations: tuple[str, str] | None = None,
) -> pa.Table | None:
    """Read a file from the disk, whoever wrote it; the table is not remembered.

    Args:
        path: The file.
        without: Columns to leave out, where there are such.
        only: The columns that are wanted, where there are such; None: all.
        stations: See `read_columns`.

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
    return decode(path, content, without, only, stations)


def decode(
    path: Path,
    content: bytes,
    without: Collection[str] = (),
    only: Collection[str] | None = None,
    stations: tuple[str, str] | None = None,
) -> pa.Table:
    """Return the table that a file's content is; its pages' checksums are tested. See `load`."""
    try:
        # of many small files this reads a third faster than Arrow's own way to a file
        with pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True, pre_buffer=False) as file:
            names = file.schema_arrow.names
            wanted = [name for name in names if name not in without and (only is None or name in only)]
            if stations is None or file.num_row_groups < 2:
                return file.read(columns=wanted, use_threads=False)
            groups = parts.with_rows_of(
                stations, (file.schema_arrow.metadata or {}).get(parts.NAME), file.num_row_groups
            )
            return file.read_row_groups(groups, columns=wanted, use_threads=False)
    except (OSError, ValueError, TypeError, NotImplementedError, MemoryError) as error:
        # Arrow raises each of them for one damage or another
        raise DamagedFileError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}") from error


def _checksum(table: pa.Table, texts: Mapping[bytes, bytes]) -> bytes:
    """Return a checksum of what the pages' own checksums do not cover: the kept texts, the columns and their number."""
    columns = [(field.name, str(field.type)) for field in table.schema]
    kept = sorted((k.decode("utf-8", "replace"), v.decode("utf-8", "replace")) for k, v in texts.items())
    return digest([kept, columns, len(table)]).encode()


def _remember(path: Path, signature: Signature, table: pa.Table) -> pa.Table:
    """Keep a table in memory, without its long texts; return it as it is kept."""
    kept = table.replace_schema_metadata(_short(table.schema.metadata))
    _tables.keep(path, signature, kept, size_of(kept))
    return kept


def size_of(table: pa.Table) -> int:
    """Return the bytes that a table takes in memory, about."""
    chunks: int = sum(column.num_chunks for column in table.columns)
    return int(table.nbytes) + _COLUMN_BYTES * chunks


def _short(texts: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    return {name: text for name, text in texts.items() if len(text) <= LONG}


def give_back() -> None:
    """Give memory that is not used any more back to the system: what threads leave is in pieces, and only grows."""
    pa.default_memory_pool().release_unused()


def concat(tables: Iterable[pa.Table]) -> pa.Table:
    """Put rows together, in order, without metadata."""
    return pa.concat_tables([t.replace_schema_metadata(None) for t in tables], promote_options="default")


def frame(tables: Iterable[pa.Table | None]) -> "pd.DataFrame":
    """Put rows together, in order, as a data frame; empty where there is no table."""
    found = [table for table in tables if table is not None]
    # the types of a table without rows, such as pandas gives its columns, are those of no others
    found = [table for table in found if len(table)] or found[:1]
    rows: pd.DataFrame = (concat(found) if found else pa.table({})).to_pandas()
    return rows


def texts_in(table: pa.Table) -> dict[str, str]:
    """Return the texts that were kept in the file that a table was read from."""
    return {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}


def fingerprint_in(table: pa.Table) -> str:
    """Return the fingerprint that a table was read with."""
    return texts_in(table)[_FINGERPRINT.decode()]
