"""Hours, days and local days: the pipeline's units of time.

An hour is named by its beginning and is always UTC: ``2024-09-09T10`` runs from 10:00 to 10:59:59.
"""

import calendar
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Meta

from airqino.errors import ConfigError

#: A moment in a file of ours: one without an offset from UTC, which could not be compared with now, is a damaged one.
Moment = Annotated[datetime, Meta(tz=True)]

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
#: The dialect, for --help and errors.
FORMS = "an hour (2024-03-02T10, UTC), a day (2024-03-02), a month (2024-03), a year (2024), or A..B of these"


class Span(NamedTuple):
    """The first and the last hour (UTC) of a span, both included."""

    first: datetime
    last: datetime

    @property
    def days(self) -> list[date]:
        """Return the days (UTC) that it lies in."""
        return day_range(self.first.date(), self.last.date())


def parse_span(text: str, until: datetime | None = None) -> Span:
    """Read a span: an hour, a day, a month, a year, or ``A..B`` of these; the one dialect of all commands.

    Args:
        text: ``2024-03-02T10``, ``2024-03-02``, ``2024-03``, ``2024`` or ``2024-03-02..2024-04`` (all of April).
        until: The last hour that there is. ``A..`` ends there, and so does a day, month or year that is under way.
            Without it neither is cut, and ``A..`` is refused.

    Returns:
        Its first and last hour.

    Raises:
        ConfigError: It is none of these, or ends before it begins.
    """
    begin, dots, end = (part.strip() for part in text.partition(".."))
    first = _named(begin or text).first
    if dots and not end and until is None:
        raise ConfigError(f"{text!r}: say where the span ends, as in 2024-03..2024-04")
    if dots and not end and until is not None:
        last = until
        if first > last:
            raise ConfigError(f"{text!r} begins after the last hour there is, {format_hour(last)} (UTC)")
    else:
        whole = _named(end if dots else begin)
        is_under_way = until is not None and whole.first <= until < whole.last
        last = until if until is not None and is_under_way else whole.last
    if first > last:
        raise ConfigError(f"{text}: the first lies after the last, swap them")
    return Span(first, last)


def parse_spans(text: str, until: datetime | None = None) -> list[Span]:
    """Read spans, comma-separated; see `parse_span`."""
    return [parse_span(part, until) for part in text.split(",")]


def parse_hour(text: str) -> datetime:
    """Read an hour such as ``2024-09-09T10``.

    Args:
        text: ``YYYY-MM-DDTHH``, optionally followed by ``:00``.

    Returns:
        The beginning of the hour, aware, UTC.

    Raises:
        ConfigError: It is not a date that exists.
    """
    found = _read(text)
    if found is None or found.form != "hour":
        raise ConfigError(f"{text!r} is not an hour: write it as 2024-09-09T10 (UTC)")
    return found.first


def parse_day(text: str) -> date:
    """Read a day such as ``2024-09-09``.

    Raises:
        ConfigError: It is not a date that exists.
    """
    found = _read(text)
    if found is None or found.form != "day":
        raise ConfigError(f"{text!r} is not a day: write it as 2024-09-09")
    return found.first.date()


def parse_month(text: str) -> date:
    """Return the first day of a month that is written as ``2024-03``.

    Raises:
        ConfigError: It is no month.
    """
    found = _read(text)
    if found is None or found.form != "month":
        raise ConfigError(f"{text!r} is no month: write it as 2024-03")
    return found.first.date()


class _Named(NamedTuple):
    form: str
    first: datetime
    last: datetime


#: What is written of a moment. No station is older than 2000.
_WRITTEN = re.compile(r"([2-9]\d\d\d)(?:-(\d\d)(?:-(\d\d)(?:T(\d\d)(?::00)?)?)?)?", re.ASCII)


def _named(text: str) -> _Named:
    if (found := _read(text)) is None:
        raise ConfigError(f"{text!r} is no time: write {FORMS}")
    return found


def _read(text: str) -> _Named | None:
    """Return what a text names; None where it names no time that there is."""
    if not (written := _WRITTEN.fullmatch(text.strip())):
        return None
    parts = [int(digits) for digits in written.groups() if digits]
    form = ("year", "month", "day", "hour")[len(parts) - 1]
    year, month, day, hour = (*parts, *(1, 1, 1, 0)[len(parts) :])
    try:
        first = datetime(year, month, day, hour, tzinfo=UTC)
    except ValueError:
        return None
    return _Named(form, first, _last_hour(form, first))


def _last_hour(form: str, first: datetime) -> datetime:
    if form == "hour":
        return first
    day = {"day": first.date(), "month": last_day(first.date()), "year": date(first.year, 12, 31)}[form]
    return day_start(day).replace(hour=23)


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
