"""Parquet files: atomic writes, content fingerprints, and reads that are remembered while a file stays as it is.

Reading a one-row file costs about 0.3 ms and asking for its status 0.002 ms, and completeness is asked several times
a run, so a table is kept in memory for as long as its file's inode, size and time of change stay the same.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from airqino.errors import StagingError
from airqino.stores import files

__all__ = ["concat", "digest", "fingerprint", "fingerprint_in", "metadata", "read", "read_as", "sign", "write"]

log = logging.getLogger("airqino.staging")

Signature = tuple[int, int, int]

_FINGERPRINT = b"fingerprint"
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
        StagingError: The file cannot be written.
    """
    content = content or fingerprint(table)
    wanted = {_FINGERPRINT: content.encode(), **{k.encode(): v.encode() for k, v in (extra or {}).items()}}
    table = table.replace_schema_metadata(wanted)
    old = _read_derived(path)
    if old is not None and old.schema.metadata == wanted and old.equals(table):
        return False
    compression = "none" if table.num_rows < 1000 else "zstd"

    def encode(file: IO[bytes]) -> None:
        pq.write_table(table, file, compression=compression, use_dictionary=False, write_statistics=False)

    _remember(path, sign(files.write(path, encode)), table)
    return True


def sign(status: os.stat_result) -> Signature:
    """Return what changes whenever a file is replaced: inode, time of change, size."""
    return status.st_ino, status.st_mtime_ns, status.st_size


def read(path: Path) -> pa.Table | None:
    """Read a whole file.

    Args:
        path: The file.

    Returns:
        Its table, or None where there is no such file.

    Raises:
        StagingError: The file cannot be read, or is no Parquet file.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StagingError(f"{path} cannot be read: {error.strerror}") from error
    return read_as(path, sign(status))


def read_as(path: Path, signature: Signature) -> pa.Table:
    """Read a file whose signature is known to the caller; the table is remembered under it."""
    if (known := _tables.get(path)) and known[0] == signature:
        return known[1]
    try:
        with pq.ParquetFile(path) as file:
            table = file.read(use_threads=False)
    except (OSError, pa.ArrowInvalid) as error:
        raise StagingError(f"{path} cannot be read: {error}; move it away and run again") from error
    _remember(path, signature, table)
    return table


def _remember(path: Path, signature: Signature, table: pa.Table) -> None:
    _tables.pop(path, None)
    _tables[path] = signature, table
    if len(_tables) > _REMEMBERED:
        del _tables[next(iter(_tables))]


def concat(tables: Iterable[pa.Table]) -> pa.Table:
    """Put rows together, in order, without metadata."""
    return pa.concat_tables([t.replace_schema_metadata(None) for t in tables], promote_options="default")


def metadata(path: Path) -> dict[str, str]:
    """Return the text kept in a file's metadata; empty where there is no such file, or it cannot be read."""
    table = _read_derived(path)
    return {} if table is None else {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}


def _read_derived(path: Path) -> pa.Table | None:
    """Read a derived file; one that a power cut left empty is as good as none: it is built again."""
    try:
        return read(path)
    except StagingError as error:
        log.warning("%s", error)
        return None


def fingerprint_in(table: pa.Table) -> str:
    """Return the fingerprint that a table was read with."""
    return str((table.schema.metadata or {}).get(_FINGERPRINT, b"").decode())
