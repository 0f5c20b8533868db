"""CleanDay: from raw hours to the typed and flagged hourly table of a day."""

from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

import luigi
import pandas as pd

from tasks import targets
from tasks.airqino import raw
from tasks.config import Settings, refuse_unpublished, settings
from tasks.errors import ConfigError
from tasks.fetch import FetchHour, due
from tasks.hours import DAY, HOUR, DayParameter, HourParameter, day_start, format_hour, hour_range
from tasks.science import quality
from tasks.stores import parquet

#: Raise when the meaning of hourly.parquet changes: all of it is then rebuilt as it is asked for.
_VERSION = 1


class DayTask(luigi.Task):
    """Base of the tasks whose unit is a day."""

    day = DayParameter(description="day to work on, UTC, such as 2024-09-09")
    through = HourParameter(
        default=None,
        description="last hour that counts, such as 2024-09-09T10; default: the day's last, or the last one published",
    )

    @classmethod
    def get_param_values(cls, params: Any, args: Any, kwargs: Any) -> Any:
        """Fill in `through`, so that a past day always has the same one and is one task; refuse the future."""
        values = dict(super().get_param_values(params, args, kwargs))
        day, through = values["day"], values["through"]
        refuse_unpublished(day_start(day) - EARLIEST_MIDNIGHT, f"day {day}: hour")
        if through is None:
            values["through"] = last_hour(day)
        else:
            refuse_unpublished(through, "through: hour")
            if not day - DAY <= through.date() <= day:  # a local day may begin on the evening before
                raise ConfigError(f"through {format_hour(through)} does not lie in day {day}")
        return [(name, values[name]) for name, _ in params]


#: The day begins this much before midnight UTC in the easternmost time zone (Kiritimati, UTC+14).
EARLIEST_MIDNIGHT = timedelta(hours=14)


def last_hour(day: date) -> datetime:
    """The last hour of a day that is over and published: 23:00 for a past day."""
    return min(day_start(day) + DAY - HOUR, settings().last_hour)


class CleanDay(DayTask):
    """The hours of a UTC day, typed, one row per station and hour, each value with a quality flag.

    Unit: a day. Complete: none of its hours is missing or due, and the table was built from the raw files, the days
    before (what the flags need of them) and the quality settings as they are now.
    """

    def requires(self) -> list[FetchHour]:
        """The hours that are missing or due, and no others."""
        return [FetchHour(hour=hour) for hour in due(hour_range(day_start(self.day), self.through), settings())]

    def output(self) -> targets.ParquetTarget:
        """The day's hourly table."""
        return targets.hourly(self.day)

    def complete(self) -> bool:
        """Whether nothing is due and the table is up to date."""
        return not self.requires() and self.output().inputs == _inputs(self.day, settings())

    def run(self) -> None:
        """Flag the day's values."""
        config = settings()
        start = pd.Timestamp(day_start(self.day))
        day = _raw_frame([self.day])
        flags = quality.flag(day, start, _context(self.day, config), thresholds())
        table = pd.concat([day, flags], axis=1).sort_values(["station", "observed_at"], ignore_index=True)
        self.output().write(table, inputs=_inputs(self.day, config))


def _raw_frame(days: list[date]) -> pd.DataFrame:
    """The raw rows of some days, without bookkeeping."""
    tables = [table for day in days if (table := targets.raw_day(day).table) is not None]
    table = parquet.concat(tables or [raw.SCHEMA.empty_table()])
    frame: pd.DataFrame = table.drop_columns(list(raw.BOOKKEEPING)).to_pandas()
    return frame


def thresholds() -> quality.Thresholds:
    """The rules' numbers, from the settings."""
    q = settings().quality
    return quality.Thresholds(q.stuck_hours, q.dead_days, q.dead_hours, q.dead_share, q.spike_deviations)


def _inputs(day: date, config: Settings) -> str:
    """Fingerprint of all that a day's table is built from."""
    context = _context(day, config).content()
    return targets.fingerprint(targets.raw_day(day).prints, context, vars(thresholds()), _VERSION)


def _context(day: date, config: Settings) -> quality.Context:
    """What the flags need to know of the days before."""
    rules = thresholds()
    before = [day - timedelta(days=back) for back in range(rules.dead_days, 0, -1)]
    prints = tuple(targets.raw_day(d).prints for d in before)
    return _remembered_context(day, prints, rules)


@lru_cache(maxsize=64)
def _remembered_context(day: date, _prints: tuple[tuple[str, ...], ...], rules: quality.Thresholds) -> quality.Context:
    """Work the context out once for as long as the raw files of the days before stay as they are."""
    rows = _raw_frame([day - timedelta(days=back) for back in range(rules.dead_days, 0, -1)])
    return quality.Context() if rows.empty else quality.context(rows, pd.Timestamp(day_start(day)), rules)
