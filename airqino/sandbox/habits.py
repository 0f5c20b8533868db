"""Habits of an API: what its documentation leaves open, so that the sandbox can answer in each of the ways."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from airqino.sandbox.faults import Reply
from airqino.times import DAY, HOUR, floor_hour

__all__ = ["KINDS", "Habits", "reply"]

KINDS = {
    "start_exclusive": "the hour of start_date is left out",
    "end_exclusive": "the hour of end_date is left out",
    "dates_ignored": "whatever the dates, the last 365 days come",
    "oldest": "at most VALUE rows, the oldest",
    "newest": "at most VALUE rows, the newest",
    "longest": "400 for more than VALUE days",
    "no_future": "400 for an end_date after now",
    "zone": "timestamps and dates are in UTC plus VALUE hours",
    "hour_by_end": "a timestamp is the end of its hour",
    "no_running_hour": "the running hour has no row",
    "no_rows": "status VALUE in place of 200 where there are no rows",
    "unknown_station": "status VALUE for a station that there is not; with 200 no rows",
}
"""Each kind of habit and what a client sees. Without any, both ends are included, and all the rest is as documented."""

_SWITCHES = {"start_exclusive", "end_exclusive", "dates_ignored", "no_future", "hour_by_end", "no_running_hour"}
_YEAR = 365 * DAY

Window = tuple[datetime, datetime]


@dataclass(frozen=True)
class Habits:
    """How an API answers; each field is a kind of `KINDS`, and None or False is what is documented."""

    start_exclusive: bool = False
    end_exclusive: bool = False
    dates_ignored: bool = False
    oldest: int | None = None
    newest: int | None = None
    longest: float | None = None
    no_future: bool = False
    zone: float = 0
    hour_by_end: bool = False
    no_running_hour: bool = False
    no_rows: int = 200
    unknown_station: int = 404

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Self:
        """Read habits written as ``KIND`` or ``KIND:VALUE``.

        Raises:
            ValueError: One is not of that form, or its value not allowed; the message says which.
        """
        fields: dict[str, Any] = {}
        for text in texts:
            kind, _, value = text.partition(":")
            if kind not in KINDS:
                raise ValueError(f"habit {kind!r} is unknown; known are {', '.join(KINDS)}")
            if (kind in _SWITCHES) != (not value):
                raise ValueError(f"habit {text!r}: {kind} takes {'no' if value else 'a'} value")
            try:
                fields[kind] = (
                    True if kind in _SWITCHES else float(value) if kind in ("zone", "longest") else int(value)
                )
            except ValueError:
                raise ValueError(f"habit {text!r}: {value!r} is not a number") from None
        return cls(**fields)

    @property
    def shift(self) -> timedelta:
        """How much later than the beginning of its hour, UTC, a row's timestamp reads."""
        return timedelta(hours=self.zone) + self.hour_by_end * HOUR


def reply(habits: Habits, ask: Callable[[datetime, datetime], Reply], window: Window, now: datetime) -> Reply:
    """Answer a data request as an API with these habits does.

    Args:
        habits: Of the API.
        ask: Gives the honest answer for the first and last hour, both included.
        window: The first and last time asked for, as they came.
        now: The sandbox's time.
    """
    start, stop = window
    if habits.longest is not None and stop - start > habits.longest * DAY:
        return _refusal(400, f"at most {habits.longest:g} days may be asked for")
    if habits.no_future and stop > now:
        return _refusal(400, "end_date is in the future")
    if habits.dates_ignored:
        start, stop = now - _YEAR, now + DAY
    honest = ask(start - habits.shift, stop - habits.shift)
    if honest.status == 404 and habits.unknown_station != 404:
        found: dict[str, Any] = {"header": {}, "data": []}
        return Reply(200, json.dumps(found)) if habits.unknown_station == 200 else _refusal(habits.unknown_station, "")
    if honest.status != 200:
        return honest
    document: dict[str, Any] = json.loads(honest.body)
    excluded = {start} if habits.start_exclusive else set()
    excluded |= {stop} if habits.end_exclusive else set()
    rows = []
    for row in document["data"]:
        begun = datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC)
        shown = begun + habits.shift
        if shown not in excluded and not (habits.no_running_hour and begun >= floor_hour(now)):
            rows.append(row | {"timestamp": f"{shown.replace(tzinfo=None)}"})
    rows = rows[: habits.oldest] if habits.newest is None else rows[-habits.newest :]
    if not rows and habits.no_rows != 200:
        return Reply(204, "") if habits.no_rows == 204 else _refusal(habits.no_rows, "no data in this span")
    return Reply(200, json.dumps(document | {"data": rows}))


def _refusal(status: int, message: str) -> Reply:
    return Reply(status, json.dumps({"message": message} if message else {}))
