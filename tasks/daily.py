"""DailyMeans: from hourly tables to each station's daily means."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime

import pandas as pd
import pyarrow as pa

from airqino.quality.means import daily_means
from airqino.times import local_date
from tasks import targets, versions
from tasks.asked import asked_once
from tasks.clean import CleanDay, DayTask, day_blocks, last_hour, split_days
from tasks.settings.reading import settings
from tasks.stage import exclusive
from tasks.staged import frame, refuse_damaged


class DailyMeans(DayTask):
    """Mean of each pollutant at each station, and how far to trust it.

    Unit: a day, in each station's own time zone. Complete: the hourly tables that the day lies in are, and the means
    were built from them as they are now.
    """

    def requires(self) -> CleanDay:
        """Return the hourly tables of the UTC days that the stations' local days lie in."""
        days = tuple(sorted({utc_day for utc_days in targets.lies_in(self.day).values() for utc_day in utc_days}))
        return CleanDay(day=days, through=self.through if days[-1] == self.day[-1] else last_hour(days[-1]))

    def output(self) -> list[targets.ParquetTarget]:
        """Return each day's means."""
        return [targets.daily(day) for day in self.day]

    def complete(self) -> bool:
        """Tell whether the hourly tables are complete and the means up to date."""
        return not self.unfinished()

    def unfinished(self) -> set[date]:
        """Return the days of which an hourly table is not complete, or the means are not up to date."""
        return self._resting_on(self.requires().unfinished()) | self._stale().keys()

    def outdated(self) -> set[date]:
        """Return the days whose means, or hourly tables, are not up to date, whatever is due."""
        return self._resting_on(self.requires().outdated()) | self._stale().keys()

    def _resting_on(self, utc_days: set[date]) -> set[date]:
        return {day for day, days in targets.lies_in(self.day).items() if utc_days & {*days}}

    @exclusive
    def run(self) -> None:
        """Average the hours of the days whose means are not up to date."""
        if not (stale := self._stale()):
            return
        refuse_damaged(_hourly_of(stale))
        rules = settings().zones, settings().quality.valid_share
        parts = ((frame(_hourly_of(days)), days, *rules) for days in day_blocks(stale))
        with settings().pool() as pool:
            for tables in pool.map(_means, parts):
                for day, table in tables:
                    targets.daily(day).write(table, inputs=stale[day])

    @asked_once
    def _stale(self) -> dict[date, str]:
        """Return the days whose means are not up to date, and the fingerprint of what each is to be built from."""
        rules = settings().zones, settings().quality.valid_share, versions.DAILY
        inputs = {
            day: targets.fingerprint([targets.hourly(utc_day).fingerprint for utc_day in utc_days], *rules)
            for day, utc_days in targets.lies_in(self.day).items()
        }
        return {day: of for day, of in inputs.items() if self.is_forced or targets.daily(day).inputs != of}


def _hourly_of(days: Iterable[date]) -> list[targets.ParquetTarget]:
    """Return the hourly tables of the UTC days that some local days lie in."""
    return [targets.hourly(day) for day in sorted({day for of in targets.lies_in(days).values() for day in of})]


def _means(
    hourly: pd.DataFrame, days: list[date], zones: Mapping[str, str], valid_share: float
) -> list[tuple[date, pa.Table]]:
    means = daily_means(hourly, days, zones, valid_share)
    return list(split_days(means, means["day"], days, ["station"]))


def local_days(first: datetime, last: datetime) -> tuple[date, date]:
    """Return the first and the last local day, of any station's zone, that hours from `first` to `last` lie in."""
    zones = {"UTC", *settings().zones.values()}
    return min(local_date(first, zone) for zone in zones), max(local_date(last, zone) for zone in zones)
