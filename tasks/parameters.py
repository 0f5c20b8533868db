"""The Luigi parameters that carry hours and days."""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from typing import Any

import luigi

from airqino import times
from tasks.settings.reading import refuse_unpublished, settings

__all__ = ["DayParameter", "DaysParameter", "HourParameter", "HoursParameter"]


class HourParameter(luigi.Parameter[datetime]):
    """One hour, written ``2024-09-09T10`` (UTC); with None as default a task fills it in itself."""

    def __init__(self, description: str, **options: Any) -> None:  # Luigi's own type knows no None as default
        super().__init__(description=description, **options)

    def parse(self, x: str) -> datetime:
        """Read the hour from the command line."""
        return times.parse_hour(x)

    def serialize(self, x: datetime | None) -> str:
        """Write the hour for task ids and the scheduler."""
        return times.format_hour(x) if x else ""

    def normalize(self, x: datetime | None) -> Any:
        """Cut to the hour; a naive datetime is taken as UTC."""
        return x and _utc_hour(x)


class HoursParameter(luigi.Parameter[tuple[datetime, ...]]):
    """One or more hours: ``2024-09-09T10``, ``…T10,…T13``, or all of a day, a month or ``A..B`` (`times.parse_span`).

    The value is always a sorted tuple, so that Luigi can run many hours as one task (`batch_method`).
    """

    def __init__(self, description: str) -> None:
        """Make the parameter batchable: the hours of a batch are put together."""
        super().__init__(batch_method=lambda batch: self.normalize(chain.from_iterable(batch)), description=description)

    def parse(self, x: str) -> tuple[datetime, ...]:
        """Read hours and spans from the command line or a batch."""
        spans = times.parse_spans(x, settings().last_hour)
        for span in spans:  # before all its hours are made
            refuse_unpublished(span.last)
        return self.normalize(hour for span in spans for hour in times.hour_range(*span))

    def serialize(self, x: tuple[datetime, ...]) -> str:
        """Write runs of hours as ranges."""
        return _ranges(x, times.HOUR, times.format_hour)

    def normalize(self, x: datetime | Iterable[datetime]) -> tuple[datetime, ...]:
        """Accept a single hour as well; sort and drop doubles."""
        hours = (x,) if isinstance(x, datetime) else x
        return tuple(sorted({_utc_hour(hour) for hour in hours}))


class DaysParameter(luigi.Parameter[tuple[date, ...]]):
    """One or more days: ``2024-09-09``, ``2024-09-09,2024-09-11``, a month, or ``A..B`` (`times.parse_span`).

    The value is always a sorted tuple: a backfill takes a month as one task.
    """

    def parse(self, x: str) -> tuple[date, ...]:
        """Read days and spans; of a month that is under way those that have begun."""
        last_hour = settings().last_hour
        spans = times.parse_spans(x, last_hour)
        for span in spans:  # before all its days are made; east of Greenwich tomorrow begins today
            if span.last > last_hour + 2 * times.DAY:
                refuse_unpublished(span.last)
        return self.normalize(day for span in spans for day in span.days)

    def serialize(self, x: tuple[date, ...]) -> str:
        """Write runs of days as ranges."""
        return _ranges(map(times.day_start, x), times.DAY, "{:%Y-%m-%d}".format)

    def normalize(self, x: date | Iterable[date]) -> tuple[date, ...]:
        """Accept a single day as well; sort and drop doubles."""
        return tuple(sorted({x} if isinstance(x, date) else {*x}))


class DayParameter(luigi.Parameter[date]):
    """One day, written ``2024-09-09``."""

    def parse(self, x: str) -> date:
        """Read the day from the command line."""
        return times.parse_day(x)

    def serialize(self, x: date) -> str:
        """Write the day for task ids and the scheduler."""
        return x.isoformat()


def _utc_hour(moment: datetime) -> datetime:
    return times.floor_hour(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _ranges(moments: Iterable[datetime], step: timedelta, form: Callable[[datetime], str]) -> str:
    runs = times.runs_of(moments, step)
    return ",".join(form(first) if first == last else f"{form(first)}..{form(last)}" for first, last in runs)
