"""The tables that a page of one hour is made of: staged ones, and the daily means as they are published.

So that page and open data cannot disagree; and two files of a station are read faster than those of 365 days.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from airqino.opendata.frames import published
from airqino.opendata.layout import DataFolder
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
        daily: Of the last `YEAR_DAYS` days, with the names of ``daily.parquet``; NaN is a mean that is not vouched for.
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


def read(
    paths: Paths,
    data: DataFolder,
    stations: Collection[str],
    hour: datetime,
    table_in: Callable[[Path], pa.Table | None] = parquet.read,
) -> Tables:
    """Read the tables that a page of an hour needs.

    A file that is not there is left out. Days are read a day further on either side, for stations of other time zones.

    Args:
        paths: The staging root.
        data: The open data, which were brought up to date with it.
        stations: Ids of the stations to show.
        hour: The last hour that is over (UTC).
        table_in: Reads a staged file; None where there is none.

    Raises:
        DamagedFileError: A file is not what was written.
        StagingError: A file cannot be read.
    """
    today = (hour + HOUR).date()
    year = day_range(today - timedelta(days=YEAR_DAYS + 1), today + DAY)
    recent = [day for day in year if day >= today - timedelta(days=RECENT_DAYS + 1)]

    def frame(files: Iterable[Path]) -> pd.DataFrame:
        return parquet.frame(map(table_in, files))

    seen = frame(paths.revisions(day) for day in year)
    if len(seen):
        seen = seen[seen["seen_at"] > pd.Timestamp(hour + HOUR - timedelta(days=REVISED_DAYS))]
    return Tables(
        hourly=frame(paths.hourly(day) for day in recent),
        daily=_daily(published(data, "daily", (year[0], year[-1]), stations), year[0], today),
        forecasts=frame(map(paths.forecast, hour_range(hour - 23 * HOUR, hour))),
        scores=frame([paths.scores(today - DAY)]),
        revisions=seen.reset_index(drop=True),
        notes=tuple(notebook.read(paths.notes)),
    )


#: Published column of PM2.5 → that of ``daily.parquet``.
_PM2_5 = {
    "location_id": "station",
    "day": "day",
    "value": "pm2_5_checked_mean",
    "quality": "pm2_5_quality",
    "above_guideline": "pm2_5_above_who",
    "reported_hours": "pm2_5_hours",
    "valid_hours": "pm2_5_checked_hours",
    "humid_hours": "pm2_5_humid_hours",
    "left_out": "pm2_5_left_out",
    "absent_hours": "absent_hours",
    "failed_hours": "failed_hours",
}
#: The same of CO.
_CO = {"valid_hours": "co_checked_hours", "floor_hours": "co_floor_hours"}


def _daily(found: pa.Table, first: date, last: date) -> pd.DataFrame:
    """Return published daily means as `Tables` has them: each day has a row of each pollutant, in the same order."""
    found = found.filter(pc.and_(pc.greater_equal(found["day"], first), pc.less_equal(found["day"], last)))
    shown, co = (found.filter(pc.equal(found["parameter"], name)) for name in ("pm25", "co"))
    columns = {name: shown[of] for of, name in _PM2_5.items()} | {name: co[of] for of, name in _CO.items()}
    columns["pm2_5_left_out"] = pc.fill_null(columns["pm2_5_left_out"], "")
    frame: pd.DataFrame = pa.table(columns).to_pandas()
    return frame
