"""Hours: the pipeline's unit of time, and the Luigi parameters that carry them.

An hour is named by its beginning and is always UTC: ``2024-09-09T10`` runs from 10:00 to 10:59:59.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from typing import Any, TypeVar

import luigi

from tasks.errors import ConfigError

T = TypeVar("T")

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NO_DEFAULT = object()


def parse_hour(text: str) -> datetime:
    """Read an hour such as ``2024-09-09T10``.

    Args:
        text: ``YYYY-MM-DDTHH``, optionally followed by ``:00``.

    Returns:
        The beginning of the hour, aware, UTC.

    Raises:
        ConfigError: It is not a date that exists.
    """
    try:
        hour = datetime.strptime(text.strip().removesuffix(":00"), "%Y-%m-%dT%H").replace(tzinfo=UTC)
        if hour.year < 2000:
            raise ValueError("no station is as old as that")
        return hour
    except ValueError:
        raise ConfigError(f"{text!r} is not an hour: write it as 2024-09-09T10 (UTC)") from None


def parse_day(text: str) -> date:
    """Read a day such as ``2024-09-09``.

    Raises:
        ConfigError: It is not a date that exists.
    """
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise ConfigError(f"{text!r} is not a day: write it as 2024-09-09") from None


def format_hour(hour: datetime) -> str:
    """Write an hour as ``2024-09-09T10``."""
    return f"{hour:%Y-%m-%dT%H}"


def floor_hour(moment: datetime) -> datetime:
    """Return the beginning of the hour that `moment` lies in."""
    return moment.replace(minute=0, second=0, microsecond=0)


def day_start(day: date) -> datetime:
    """Return 00:00 UTC of `day`."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def hour_range(start: datetime, stop: datetime) -> list[datetime]:
    """Return every hour from `start` to `stop`, both included."""
    return [start + i * HOUR for i in range(int((stop - start) / HOUR) + 1)]


def day_range(start: date, stop: date) -> list[date]:
    """Return every day from `start` to `stop`, both included."""
    return [start + timedelta(days=i) for i in range((stop - start).days + 1)]


def runs_of(hours: Iterable[datetime], step: timedelta = HOUR) -> list[tuple[datetime, datetime]]:
    """Group hours into unbroken runs.

    Args:
        hours: Any hours, in any order.
        step: What lies between neighbours.

    Returns:
        ``(first, last)`` of each run, in time order.
    """
    runs: list[tuple[datetime, datetime]] = []
    for hour in sorted(set(hours)):
        if runs and hour - runs[-1][1] == step:
            runs[-1] = (runs[-1][0], hour)
        else:
            runs.append((hour, hour))
    return runs


def _parse_ranges(text: str, what: str, read: Callable[[str], T], between: Callable[[T, T], list[T]]) -> list[T]:
    """Read what is written as single ones and ranges, comma-separated."""
    found: list[T] = []
    for part in text.split(","):
        first, _, last = part.partition("..")
        run = between(read(first), read(last or first))
        if not run:
            raise ConfigError(f"{what} {part}: the first lies after the last, swap them")
        found += run
    return found


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
        return self.normalize(_parse_ranges(x, "hours", parse_hour, hour_range))

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
        return self.normalize(_parse_ranges(x, "days", parse_day, day_range))

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
