"""The staged tables of one month, as the month's report needs them."""

from dataclasses import dataclass
from datetime import date

import pandas as pd

from airqino.errors import ConfigError
from airqino.opendata import frames
from airqino.quality.notes import Note
from airqino.readings import NAMES
from airqino.stores import notebook, parquet
from airqino.stores.paths import Paths
from airqino.times import DAY, day_range, last_day

__all__ = ["MonthTables", "read"]

#: What is taken of ``hourly.parquet``: not the values, which the daily means already are.
_HOURLY = ("station", "observed_at", "status", *(f"{name}_flag" for name in NAMES))


@dataclass(frozen=True)
class MonthTables:
    """Staged tables (docs/data-dictionary.md) of one month, as data frames; each but the first two may be empty.

    Attributes:
        month: Its first day.
        daily: ``airqino.read("daily", …)``: means that are not vouched for are NaN.
        hourly: station, observed_at, status and the readings' flags, in time order, with a day on either side for
            stations of other time zones.
        scores: ``scores.parquet`` of each day.
        revisions: What the source changed of the month's hours, whenever it did, with a day on either side too.
        notes: All of the operator's notes.
    """

    month: date
    daily: pd.DataFrame
    hourly: pd.DataFrame
    scores: pd.DataFrame
    revisions: pd.DataFrame
    notes: tuple[Note, ...] = ()


def read(paths: Paths, month: date) -> MonthTables:
    """Read the tables of a month from a staging root.

    Args:
        paths: The staging root's.
        month: The month's first day.

    Raises:
        ConfigError: Nothing of the month is staged, or not one reading.
        DamagedFileError: A file is not what was written.
        StagingError: A file cannot be read.
    """
    days = day_range(month, last_day(month))
    around = [days[0] - DAY, *days, days[-1] + DAY]
    daily = frames.read("daily", f"{month:%Y-%m}", root=paths.root) if {*days} & {*paths.days()} else pd.DataFrame()
    if not len(daily):
        raise ConfigError(f"{paths.root} holds no reading of {month:%Y-%m}: scripts/backfill {month:%Y-%m} fetches it")
    hourly = parquet.frame(parquet.read(paths.hourly(day)) for day in around)
    return MonthTables(
        month=month,
        daily=daily,
        hourly=hourly.reindex(columns=list(_HOURLY)).sort_values(["observed_at", "station"], ignore_index=True),
        scores=parquet.frame(parquet.read(paths.scores(day)) for day in days),
        revisions=parquet.frame(parquet.read(paths.revisions(day)) for day in around),
        notes=tuple(notebook.read(paths.notes)),
    )
