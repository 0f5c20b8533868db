"""Hourly and Backfill: the entry points."""

from collections.abc import Iterator

import luigi

from tasks.clean import last_hour
from tasks.config import settings
from tasks.errors import ConfigError
from tasks.fetch import FetchHour
from tasks.hours import DAY, HOUR, HourParameter, day_range, hour_range
from tasks.load import LoadDay


class Hourly(luigi.WrapperTask):
    """Everything for one hour, and whatever is missing or due in the late-data window before it."""

    hour = HourParameter(default=None, description="hour to run, such as 2024-09-09T10; default: the last one published")

    @classmethod
    def get_param_values(cls, params, args, kwargs):
        """Fill in the hour, so that the task's id names it."""
        values = dict(super().get_param_values(params, args, kwargs))
        values["hour"] = values["hour"] or settings().last_hour
        return [(name, values[name]) for name, _ in params]

    def requires(self) -> Iterator[luigi.Task]:
        """The loads of the days in the window."""
        first = self.hour - settings().airqino.late_window_hours * HOUR
        for day in day_range(first.date(), self.hour.date()):
            yield LoadDay(day=day, through=min(self.hour, last_hour(day)))


class Backfill(luigi.Task):
    """The same for a past range."""

    start = HourParameter(description="first hour, such as 2023-09-10T11")
    stop = HourParameter(description="last hour")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.start > self.stop:
            raise ConfigError("start after stop")

    def _days(self):
        return [LoadDay(day=day) for day in day_range(self.start.date(), self.stop.date())]

    def complete(self):
        return all(t.complete() for t in self._days())

    def run(self):
        yield FetchHour(hour=hour_range(self.start, self.stop))
        yield self._days()
