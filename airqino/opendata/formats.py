"""A table of the open data as bytes: CSV, Parquet, or a workbook. The same rows always give the same bytes."""

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from airqino.errors import ConfigError, DamagedFileError, StagingError
from airqino.opendata.columns import utc_texts
from airqino.opendata.fields import Table
from airqino.stores import parquet

__all__ = ["FORMATS", "as_csv", "as_parquet", "as_xlsx", "discard_published", "read_published"]

#: Rows of one sheet, its header included (Excel specifications and limits).
_SHEET_ROWS = 1_048_576


def as_csv(rows: pa.Table, of: Table) -> bytes:
    """Return rows as CSV (RFC 4180 but for line ends): UTF-8, texts quoted, nothing where there is no value.

    Args:
        rows: The rows.
        of: Their table.
    """
    columns = {field.name: rows[field.name] for field in of.fields}
    for name, column in columns.items():
        if pa.types.is_timestamp(column.type):
            columns[name] = utc_texts(column)
    target = io.BytesIO()
    pyarrow.csv.write_csv(pa.table(columns), target)
    return target.getvalue()


def as_parquet(rows: pa.Table, of: Table) -> bytes:
    """Return rows as a Parquet file; its metadata has the meaning of each column as JSON (``fields``)."""
    about = {"table": of.name, "fields": json.dumps({f.name: f.about for f in of.fields}, ensure_ascii=False)}
    target = io.BytesIO()
    rows = rows.combine_chunks().replace_schema_metadata(about)
    texts = [field.name for field in rows.schema if pa.types.is_string(field.type)]
    pq.write_table(rows, target, compression="zstd", use_dictionary=texts, write_page_checksum=True)
    return target.getvalue()


def read_published(path: Path, of: Table) -> pa.Table | None:
    """Return the rows of a published file; of a Parquet file that is missing, damaged or of old columns, its twin's.

    Args:
        path: The Parquet file.
        of: Its table.

    Returns:
        The rows; None where neither file is there.

    Raises:
        DamagedFileError: Neither can be used; its `path` is the Parquet file.
        StagingError: A file cannot be read, though it may be sound.
    """
    reasons = []
    for file, read in ((path, _parquet_rows), (_twin(path), _csv_rows)):
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StagingError(f"{file} cannot be read: {error.strerror}") from error
        try:
            return read(file, content, of)
        except DamagedFileError as error:
            reasons.append(f"{error}")
    if not reasons:
        return None
    harmed = DamagedFileError(f"{path} cannot be read, nor its CSV twin: {'; '.join(reasons)}")
    harmed.path = path
    raise harmed


def discard_published(path: Path) -> None:
    """Remove a published Parquet file and its twin: what is missing is built as a whole.

    Args:
        path: The Parquet file, as the error of `read_published` has it.
    """
    for file in (path, _twin(path)):
        file.unlink(missing_ok=True)


def _twin(path: Path) -> Path:
    return path.with_suffix(".csv")


def _parquet_rows(path: Path, content: bytes, of: Table) -> pa.Table:
    rows = parquet.decode(path, content).replace_schema_metadata(None)
    if not rows.schema.equals(of.schema):
        raise DamagedFileError(f"{path} has other columns than this version writes")
    return rows


def _csv_rows(path: Path, content: bytes, of: Table) -> pa.Table:
    options = pyarrow.csv.ConvertOptions(
        column_types=of.schema, strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=[""]
    )
    try:
        rows = pyarrow.csv.read_csv(pa.BufferReader(content), convert_options=options)
    except (ValueError, pa.ArrowException) as error:
        raise DamagedFileError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}") from error
    if rows.schema.names != of.schema.names or not content.endswith(b"\n"):
        raise DamagedFileError(f"{path} has other columns than this version writes, or is cut")
    return rows.cast(of.schema)


def as_xlsx(rows: pa.Table, of: Table) -> bytes:
    """Return rows as a workbook for Excel or LibreOffice: one sheet of rows, one that says what the columns mean.

    Raises:
        ConfigError: openpyxl is not installed, or there are more rows than a sheet holds.
    """
    try:
        from openpyxl import Workbook
        from openpyxl.cell import WriteOnlyCell
        from openpyxl.utils import get_column_letter
    except ImportError:
        raise ConfigError("a workbook needs openpyxl: pip install 'airqino-pipeline[excel]', or take csv") from None
    if len(rows) >= _SHEET_ROWS:
        raise ConfigError(f"{len(rows)} rows do not fit into one sheet ({_SHEET_ROWS}): take a shorter span, or csv")
    book = Workbook(write_only=True)

    def put(title: str, names: list[str], lines: list[list[Any]], widths: list[int]) -> None:
        sheet = book.create_sheet(title)
        sheet.freeze_panes = "A2"
        for number, width in enumerate(widths, start=1):
            sheet.column_dimensions[get_column_letter(number)].width = width
        sheet.append(names)
        for line in lines:
            cells = []
            for value in line:
                cell = WriteOnlyCell(sheet, value=value)
                if isinstance(value, str):  # a text that begins with = is no formula
                    cell.data_type = "s"
                cells.append(cell)
            sheet.append(cells)
        sheet.auto_filter.ref = f"A1:{get_column_letter(len(names))}{len(lines) + 1}"

    names = [field.name for field in of.fields]
    columns = [_without_zone(rows[name]).to_pylist() for name in names]
    put(of.name, names, [list(line) for line in zip(*columns, strict=True)], [max(12, len(n) + 2) for n in names])
    put("fields", ["field", "meaning"], [[field.name, field.about] for field in of.fields], [22, 100])
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def _without_zone(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return times as a workbook has them, UTC without saying so."""
    return pc.local_timestamp(column) if pa.types.is_timestamp(column.type) else column


#: Ending of a file → the function that makes its bytes.
FORMATS: Mapping[str, Callable[[pa.Table, Table], bytes]] = MappingProxyType(
    {"csv": as_csv, "parquet": as_parquet, "xlsx": as_xlsx}
)
