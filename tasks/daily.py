"""DailyMeans: from hourly tables to each station's daily means."""

from datetime import date, datetime

import luigi

from tasks import targets
from tasks.clean import CleanDay, DayTask, last_hour
from tasks.config import settings
from tasks.hours import HOUR, day_range, day_start
from tasks.science.means import daily_means, local_date, local_day

#: Raise when the meaning of daily.parquet changes.
_VERSION = 1


class DailyMeans(DayTask):
    """Mean CO and PM2.5 of each station, and how far to trust it.

    Unit: a day, in each station's own time zone. Complete: the hourly tables that the day lies in are, and the means
    were built from them as they are now.
    """

    def requires(self) -> list[luigi.Task]:
        """The hourly tables of the UTC days that the stations' local day lies in."""
        return [
            CleanDay(day=day, through=self.through if day == self.day else last_hour(day))
            for day in _utc_days(self.day)
        ]

    def output(self) -> targets.ParquetTarget:
        """The day's means."""
        return targets.daily(self.day)

    def complete(self) -> bool:
        """Whether the hourly tables are complete and the means up to date."""
        return all(task.complete() for task in self.requires()) and self.output().inputs == self._inputs()

    def run(self) -> None:
        """Average the hours of the day."""
        hourly = targets.frame([targets.hourly(day) for day in _utc_days(self.day)])
        means = daily_means(hourly, self.day, _zones(), settings().quality.valid_share)
        self.output().write(means, inputs=self._inputs())

    def _inputs(self) -> str:
        prints = [targets.hourly(day).fingerprint for day in _utc_days(self.day)]
        return targets.fingerprint(prints, _zones(), settings().quality.valid_share, _VERSION)


def _zones() -> dict[str, str]:
    config = settings()
    return {station: config.zone(station) for station in sorted({*config.airqino.stations, *config.stations})}


def _utc_days(day: date) -> list[date]:
    """The UTC days, begun by now, that `day` lies in for some station."""
    days = {day}
    for zone in {*_zones().values()}:
        local = local_day(day, zone)
        days.update(day_range(local.start.date(), (local.stop - HOUR / 60).date()))
    return [d for d in sorted(days) if day_start(d) <= settings().last_hour]


def local_days(first: datetime, last: datetime) -> tuple[date, date]:
    """The first and the last local day, of any station's zone, that hours from `first` to `last` lie in."""
    zones = {"UTC", *_zones().values()}
    return min(local_date(first, zone) for zone in zones), max(local_date(last, zone) for zone in zones)
