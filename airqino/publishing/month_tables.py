"""The staged tables of one month, as the month's report needs them."""

from dataclasses import dataclass
from datetime import date, datetime

import pandas as pd

from airqino.errors import ConfigError
from airqino.opendata import frames
from airqino.quality.notes import Note
from airqino.readings import NAMES
from airqino.stores import notebook, parquet
from airqino.stores.paths import Paths
from airqino.times import DAY, HOUR, day_range, day_start, format_hour, last_day

__all__ = ["MonthTables", "parse_month", "read"]

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


def parse_month(text: str) -> date:
    """Return the first day of a month that is written as ``2024-03``.

    Raises:
        ConfigError: It is no month.
    """
    year, _, month = text.strip().partition("-")
    if len(year) == 4 and len(month) == 2 and (year + month).isdecimal() and "01" <= month <= "12" and int(year):
        return date(int(year), int(month), 1)
    raise ConfigError(f"{text!r} is no month: write it as 2024-03")


def read(paths: Paths, month: date, until: datetime | None = None) -> MonthTables:
    """Read the tables of a month from a staging root.

    Args:
        paths: The staging root's.
        month: The month's first day.
        until: The last hour that is over (UTC), so that no error advises to fetch a later one; None: all are.

    Raises:
        ConfigError: Nothing of the month is staged, or not one reading.
        DamagedFileError: A file is not what was written.
        StagingError: A file cannot be read.
    """
    days = day_range(month, last_day(month))
    around = [days[0] - DAY, *days, days[-1] + DAY]
    daily = frames.read("daily", f"{month:%Y-%m}", root=paths.root) if {*days} & {*paths.days()} else pd.DataFrame()
    if not len(daily):
        end = day_start(days[-1]) + 23 * HOUR
        span = f"{days[0]}T00 {format_hour(min(end, until) if until else end)}"
        raise ConfigError(f"{paths.root} holds no reading of {month:%Y-%m}: scripts/backfill {span} fetches the month")
    hourly = parquet.frame(parquet.read(paths.hourly(day)) for day in around)
    return MonthTables(
        month=month,
        daily=daily,
        hourly=hourly.reindex(columns=list(_HOURLY)).sort_values(["observed_at", "station"], ignore_index=True),
        scores=parquet.frame(parquet.read(paths.scores(day)) for day in days),
        revisions=parquet.frame(parquet.read(paths.revisions(day)) for day in around),
        notes=tuple(notebook.read(paths.notes)),
    )
