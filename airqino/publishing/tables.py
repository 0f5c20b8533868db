"""The staged tables that a page of one hour is made of."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd

from airqino.quality.notes import Note
from airqino.stores import notebook, parquet
from airqino.stores.paths import Paths
from airqino.times import DAY, HOUR, day_range, hour_range

__all__ = ["RECENT_DAYS", "REVISED_DAYS", "YEAR_DAYS", "Tables", "read"]

#: Days of hourly values: enough for the last 48 hours, and to say when hours are missing.
RECENT_DAYS = 30
#: Days of daily means.
YEAR_DAYS = 365
#: Days for which a correction is told.
REVISED_DAYS = 7


@dataclass(frozen=True)
class Tables:
    """Staged tables (docs/data-dictionary.md) around one hour, as data frames; each may be empty.

    Attributes:
        hourly: ``hourly.parquet`` of the last `RECENT_DAYS` days.
        daily: ``daily.parquet`` of the last `YEAR_DAYS` days.
        forecasts: The forecasts issued in the last 24 hours.
        scores: ``scores.parquet`` of yesterday.
        revisions: What the source changed in the last `REVISED_DAYS` days, of any day of the year.
        notes: All of the operator's notes.
    """

    hourly: pd.DataFrame
    daily: pd.DataFrame
    forecasts: pd.DataFrame
    scores: pd.DataFrame
    revisions: pd.DataFrame
    notes: tuple[Note, ...] = ()


def read(paths: Paths, hour: datetime) -> Tables:
    """Read the tables that a page of an hour needs.

    A file that is not there is left out. Days are read a day further on either side, for stations of other time zones.

    Args:
        paths: The staging root.
        hour: The last hour that is over (UTC).

    Raises:
        DamagedFileError: A file is not what was written.
        StagingError: A file cannot be read.
    """
    today = (hour + HOUR).date()
    year = day_range(today - timedelta(days=YEAR_DAYS + 1), today + DAY)
    recent = [day for day in year if day >= today - timedelta(days=RECENT_DAYS + 1)]
    seen = _frame(paths.revisions(day) for day in year)
    if len(seen):
        seen = seen[seen["seen_at"] > pd.Timestamp(hour + HOUR - timedelta(days=REVISED_DAYS))]
    return Tables(
        hourly=_frame(paths.hourly(day) for day in recent),
        daily=_frame(paths.daily(day) for day in year),
        forecasts=_frame(map(paths.forecast, hour_range(hour - 23 * HOUR, hour))),
        scores=_frame([paths.scores(today - DAY)]),
        revisions=seen.reset_index(drop=True),
        notes=tuple(notebook.read(paths.notes)),
    )


def _frame(files: Iterable[Path]) -> pd.DataFrame:
    tables = [table for file in files if (table := parquet.read(file)) is not None]
    return parquet.concat(tables).to_pandas() if tables else pd.DataFrame()
