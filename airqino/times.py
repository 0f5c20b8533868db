"""Hours, days and local days: the pipeline's units of time.

An hour is named by its beginning and is always UTC: ``2024-09-09T10`` runs from 10:00 to 10:59:59.
"""

import calendar
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, TypeVar
from zoneinfo import ZoneInfo

from msgspec import Meta

from airqino.errors import ConfigError

T = TypeVar("T")

#: A moment in a file of ours: one without an offset from UTC, which could not be compared with now, is a damaged one.
Moment = Annotated[datetime, Meta(tz=True)]

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


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


def next_month(moment: datetime) -> datetime:
    """Return the beginning of the month after the one that `moment` lies in."""
    return day_start((moment.date().replace(day=1) + timedelta(days=32)).replace(day=1))


def last_day(day: date) -> date:
    """Return the last day of the month that a day lies in."""
    return day.replace(day=calendar.monthrange(day.year, day.month)[1])


def as_utc(moment: datetime) -> datetime:
    """Return a moment in UTC; one without an offset is UTC already."""
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


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


def parse_ranges(text: str, what: str, read: Callable[[str], T], between: Callable[[T, T], list[T]]) -> list[T]:
    """Read what is written as single ones and ranges, comma-separated."""
    found: list[T] = []
    for part in text.split(","):
        first, _, last = part.partition("..")
        run = between(read(first), read(last or first))
        if not run:
            raise ConfigError(f"{what} {part}: the first lies after the last, swap them")
        found += run
    return found


@dataclass(frozen=True)
class LocalDay:
    """A day of a time zone: UTC beginning and end, and how many hours begin in it (23 to 25)."""

    start: datetime
    stop: datetime
    hours: int


def local_day(day: date, zone: str) -> LocalDay:
    """Return where a day of a time zone lies in UTC.

    Args:
        day: The day.
        zone: Time zone name, such as Africa/Abidjan.

    Returns:
        The day from its midnight to the next one. It has 23 or 25 hours when the clocks are changed.
    """
    midnights = (day_start(d).replace(tzinfo=ZoneInfo(zone)) for d in (day, day + DAY))
    start, stop = (midnight.astimezone(ZoneInfo("UTC")) for midnight in midnights)
    begun = [math.ceil(moment.timestamp() / 3600) for moment in (start, stop)]  # hours begin on the UTC hour
    return LocalDay(start, stop, begun[1] - begun[0])


def local_date(moment: datetime, zone: str) -> date:
    """Return the day of a time zone that a moment (aware) lies in."""
    return moment.astimezone(ZoneInfo(zone)).date()
