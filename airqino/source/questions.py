"""Ask the API what tells which of our assumptions about it hold: a dozen requests, one after the other, read-only."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from urllib.parse import quote

from airqino.errors import (
    RateLimitedError,
    RequestRefusedError,
    ServerError,
    SourceError,
    SourceTimeoutError,
    UnreachableError,
)
from airqino.source.client import Attempt, Client
from airqino.source.listing import Moments, Named, raw_rows, rows_as_named
from airqino.source.seen import Asked, Seen, reason
from airqino.times import DAY, HOUR

__all__ = ["NO_STATION", "ask"]

#: An id that no station has.
NO_STATION = "0"
_YEAR = 364 * DAY
#: A year's answer may begin this much late before it is looked what was before.
_LATE = 2 * DAY
#: Times that a request is sent again after a 429, and the longest pause before that, in seconds.
_AGAIN = 2
_LONGEST_PAUSE = 60.0
#: Days asked for in place of the longest span where that is refused.
_FEWER_DAYS = (7, 1)
#: A day when there was no such station, where no gap is known.
_LONG_AGO = timedelta(days=4000)
_GAP_HOURS = 3
#: Errors that another station would meet, too.
_NOT_THE_STATIONS = (UnreachableError, SourceTimeoutError, ServerError, RateLimitedError)


@dataclass
class _Asking:
    """A conversation with the API, and what it tells besides its answers."""

    client: Client
    now: Callable[[], datetime]
    requests: int = 0
    limits: list[tuple[int, float | None]] = field(default_factory=list)
    offset: timedelta | None = None
    age: float = 0.0
    clock: datetime | None = None  #: the API's, when it first said it

    def get(self, path: str, params: dict[str, str], read: Callable[[bytes, str | None], Any], empty: Any) -> Attempt:
        """Ask once; where the API asks to wait, wait and ask again, a few times."""
        for _ in range(_AGAIN + 1):
            self.requests += 1
            attempt = self.client.get(path, params, read, empty)
            self._note(attempt)
            if not isinstance(attempt.error, RateLimitedError):
                break
            self.limits.append((self.requests, attempt.pause))
            pause = 1.0 if attempt.pause is None else attempt.pause
            if pause > _LONGEST_PAUSE:
                break
            time.sleep(pause)
        return attempt

    def _note(self, attempt: Attempt) -> None:
        self.age = max(self.age, attempt.age_seconds)
        if attempt.served_at:
            theirs = attempt.served_at + timedelta(seconds=attempt.age_seconds)
            self.clock = self.clock or theirs
            off = self.now() - theirs  # with the time that a long answer takes, so the least counts
            self.offset = off if self.offset is None else min(self.offset, off, key=abs)

    def hourly(self, station: str, start: datetime, end: datetime) -> tuple[Asked, str]:
        """Ask for hourly means; return them and the station's name."""
        params = {"start_date": f"{start:%Y%m%d-%H%M}", "end_date": f"{end:%Y%m%d-%H%M}"}
        attempt = self.get(f"/v3/getStationHourlyAvg/{station}", params, rows_as_named, Named())
        named: Named = attempt.content or Named()
        start, end = (moment.replace(second=0, microsecond=0) for moment in (start, end))
        return Asked(start, end, named.rows, attempt.status, attempt.error, named.remarks), named.name


def ask(client: Client, stations: Iterable[str], max_days: int, now: Callable[[], datetime]) -> tuple[str, Seen]:
    """Ask about the first station that has rows.

    Args:
        client: One without retries: what it meets is what is told.
        stations: Ids; at least one.
        max_days: The longest span that the pipeline asks for in one request.
        now: Our clock.

    Returns:
        The station's id, and what was seen. Where none has rows, what was seen of the last one.

    Raises:
        SourceError: The API does not answer, or refuses all of the stations.
    """
    asking, began = _Asking(client, now), time.monotonic()
    error: SourceError | None = None
    told: tuple[str, str, Seen] | None = None
    for station in stations:
        seen, name = _recent(asking, station, max_days, now())
        error = seen.recent.error
        if not error:
            told = station, name, seen
        if seen.recent.rows or isinstance(error, _NOT_THE_STATIONS):
            break
    if told is None or isinstance(error, _NOT_THE_STATIONS):
        raise error or SourceError("there is no station to ask for")
    station, name, seen = told
    if seen.recent.rows:
        seen = _rest(asking, station, name, replace(seen, now=asking.clock or seen.now))
    return station, replace(
        seen,
        requests=asking.requests,
        seconds=time.monotonic() - began,
        limits=tuple(asking.limits),
        offset=asking.offset,
        age=asking.age,
    )


def _recent(asking: _Asking, station: str, max_days: int, now: datetime) -> tuple[Seen, str]:
    """Ask for the newest days, and for fewer where that is refused; beyond now, for hours named ahead of time."""
    spans = [(max_days, now + DAY), *((days, now) for days in (max_days, *_FEWER_DAYS) if days <= max_days)]
    refused: list[Asked] = []
    for days, end in spans:
        recent, name = asking.hourly(station, end - days * DAY, end)
        if not isinstance(recent.error, RequestRefusedError | ServerError):
            break
        refused.append(recent)
    return Seen(now, max_days, recent, days, tuple(refused)), name


def _rest(asking: _Asking, station: str, name: str, seen: Seen) -> Seen:
    recent = seen.recent

    def hourly(start: datetime, end: datetime) -> Asked:
        return asking.hourly(station, start, end)[0]

    three = _three_hours(recent.rows)
    raw, no_raw = _raw(asking, name, recent.rows)
    seen = replace(
        seen,
        bounds=hourly(*three) if three else None,
        nowhere=asking.hourly(NO_STATION, seen.now - DAY, seen.now)[0],
        raw=raw,
        no_raw=no_raw,
    )
    if seen.dates_ignored:  # every further answer would be a year, and tell nothing
        return seen
    year, before = hourly(seen.now - _YEAR, seen.now), None
    if year.rows and (first := min(year.rows)) - year.start > _LATE:
        before = hourly(max(year.start, first - seen.days * DAY), first - HOUR)
    gap = _gap(recent.rows) or (seen.now - _LONG_AGO, seen.now - _LONG_AGO + DAY)
    return replace(seen, year=year, before=before, gap=hourly(*gap))


def _three_hours(rows: Moments) -> tuple[datetime, datetime] | None:
    """Return the first and the last of three hours in a row that have rows; the oldest, which are settled."""
    return next(((m, m + 2 * HOUR) for m in sorted(rows) if m + HOUR in rows and m + 2 * HOUR in rows), None)


def _gap(rows: Moments) -> tuple[datetime, datetime] | None:
    """Return the first and the last hour of the longest gap between two rows."""
    moments = sorted(rows)
    length, last = max(((b - a, a) for a, b in pairwise(moments)), default=(HOUR, None))
    return (last + HOUR, last + length - HOUR) if last and length > _GAP_HOURS * HOUR else None


def _raw(asking: _Asking, name: str, rows: Moments) -> tuple[Moments, str]:
    """Ask what the station sent on the day with the most hours; return it, and why there is nothing."""
    days = [moment.date() for moment in rows]
    day = max(sorted(set(days)), key=days.count)
    if not name:
        return {}, "the station has no name"
    attempt = asking.get(f"/getRange/{quote(name, safe='')}/{day}/{day}", {}, raw_rows, {})
    return attempt.content or {}, reason(attempt.status, attempt.error) if attempt.error else "none came"
