"""The Luigi parameters that carry hours and days."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from itertools import chain
from typing import Any

import luigi

from airqino.times import (
    DAY,
    day_range,
    day_start,
    floor_hour,
    format_hour,
    hour_range,
    parse_day,
    parse_hour,
    parse_ranges,
    runs_of,
)

__all__ = ["DayParameter", "DaysParameter", "HourParameter", "HoursParameter"]

NO_DEFAULT = object()


class HourParameter(luigi.Parameter[datetime]):
    """One hour, written ``2024-09-09T10`` (UTC); None where a task fills it in itself."""

    def __init__(self, description: str, default: Any = NO_DEFAULT) -> None:
        """Describe the parameter; with None as default it may be left out."""
        super().__init__(description=description, **({} if default is NO_DEFAULT else {"default": default}))

    def parse(self, x: str) -> datetime:
        """Read the hour from the command line."""
        return parse_hour(x)

    def serialize(self, x: datetime | None) -> str:
        """Write the hour for task ids and the scheduler."""
        return format_hour(x) if x else ""

    def normalize(self, x: datetime | None) -> Any:
        """Cut to the hour; a naive datetime is taken as UTC."""
        return x and floor_hour(x if x.tzinfo else x.replace(tzinfo=UTC))


class HoursParameter(luigi.Parameter[tuple[datetime, ...]]):
    """One or more hours: ``2024-09-09T10``, ``…T10,…T13`` or the range ``…T00..…T23``.

    The value is always a sorted tuple, so that Luigi can run many hours as one task (`batch_method`).
    """

    def __init__(self, description: str) -> None:
        """Make the parameter batchable: the hours of a batch are put together."""
        super().__init__(batch_method=lambda batch: self.normalize(chain.from_iterable(batch)), description=description)

    def parse(self, x: str) -> tuple[datetime, ...]:
        """Read hours and ranges from the command line or a batch."""
        return self.normalize(parse_ranges(x, "hours", parse_hour, hour_range))

    def serialize(self, x: tuple[datetime, ...]) -> str:
        """Write runs of hours as ranges."""
        return ",".join(
            format_hour(first) if first == last else f"{format_hour(first)}..{format_hour(last)}"
            for first, last in runs_of(x)
        )

    def normalize(self, x: datetime | Iterable[datetime]) -> tuple[datetime, ...]:
        """Accept a single hour as well; sort and drop doubles."""
        hours = (x,) if isinstance(x, datetime) else x
        return tuple(sorted({floor_hour(h if h.tzinfo else h.replace(tzinfo=UTC)) for h in hours}))


class DaysParameter(luigi.Parameter[tuple[date, ...]]):
    """One or more days: ``2024-09-09``, ``2024-09-09,2024-09-11`` or the range ``2024-09-01..2024-09-30``.

    The value is always a sorted tuple: a backfill takes a month as one task.
    """

    def parse(self, x: str) -> tuple[date, ...]:
        """Read days and ranges."""
        return self.normalize(parse_ranges(x, "days", parse_day, day_range))

    def serialize(self, x: tuple[date, ...]) -> str:
        """Write runs of days as ranges."""
        runs = runs_of(map(day_start, x), DAY)
        return ",".join(
            f"{first:%Y-%m-%d}" if first == last else f"{first:%Y-%m-%d}..{last:%Y-%m-%d}" for first, last in runs
        )

    def normalize(self, x: date | Iterable[date]) -> tuple[date, ...]:
        """Accept a single day as well; sort and drop doubles."""
        return tuple(sorted({x} if isinstance(x, date) else {*x}))


class DayParameter(luigi.Parameter[date]):
    """One day, written ``2024-09-09``."""

    def parse(self, x: str) -> date:
        """Read the day from the command line."""
        return parse_day(x)

    def serialize(self, x: date) -> str:
        """Write the day for task ids and the scheduler."""
        return x.isoformat()
