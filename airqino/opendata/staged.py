"""The staged rows of some days, of each table that is published; damaged files are named and left out."""

from collections.abc import Iterable
from datetime import date
from pathlib import Path

import pyarrow as pa

from airqino.errors import DamagedFileError
from airqino.stores import files, parquet
from airqino.stores.paths import Paths

__all__ = ["read_days"]

#: Days that may be remembered (`airqino.stores.parquet`): the one under way is asked for again each hour.
_FEW = 31
#: Columns of forecasts that are not published.
_UNPUBLISHED = ("last_value", "last_observed_at", "level", "level_probability", "day")


def read_days(paths: Paths, table: str, days: Iterable[date]) -> tuple[pa.Table | None, dict[date, Path]]:
    """Read the staged rows of some days.

    Args:
        paths: The staging root's.
        table: ``daily``, ``hourly``, ``forecasts`` or ``changes``.
        days: The days.

    Returns:
        The rows of those that can be read, day after day, None where there are none; and of each day of which a file
        cannot be read, that file.

    Raises:
        StagingError: A file may not be read.
    """
    days = list(days)
    few = len(days) <= _FEW and table != "forecasts"
    without = _UNPUBLISHED if table == "forecasts" else ()
    found: list[pa.Table] = []
    damaged: dict[date, Path] = {}
    for day in days:
        of_day = []
        for path in _files(paths, table, day):
            try:
                of_file = parquet.read(path) if few else parquet.load(path, without)
            except DamagedFileError:
                damaged[day] = path
                break
            if of_file is not None:
                of_day.append(of_file.replace_schema_metadata(None))
        else:
            found += of_day
    if not found:
        return None, damaged
    alike = all(of.schema.equals(found[0].schema) for of in found)
    return pa.concat_tables(found, promote_options="none" if alike else "permissive").combine_chunks(), damaged


def _files(paths: Paths, table: str, day: date) -> list[Path]:
    if table != "forecasts":
        return [{"daily": paths.daily, "hourly": paths.hourly, "changes": paths.revisions}[table](day)]
    folder = paths.forecasts(day)
    names = sorted(name for name in files.names(folder) if len(name) == len("00.parquet"))
    return [folder / name for name in names if name.endswith(".parquet") and name[:2].isdigit()]
