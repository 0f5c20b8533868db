"""Raw hours: what is staged of an hour for each station, when it is asked for again, and what an answer changes.

A raw row is a station's readings of one hour or the reason why there are none. Its life::

    (none) ──answer with a row──▶ ok, provisional ──read again unchanged──▶ ok, final
       │                              └──read again, changed──▶ ok, provisional (+ revisions)
       ├──answer without a row──▶ absent ──asked again with growing pauses──▶ ok, or absent and final
       └──no usable answer──────▶ failed ──likewise──▶ ok or absent; never final

Everything here is pure; times are UTC.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from airqino.errors import SourceError
from airqino.source.client import Answer
from airqino.source.response import VALUES

__all__ = ["BOOKKEEPING", "REVISION_SCHEMA", "SCHEMA", "Policy", "is_due", "is_over", "merge", "readings"]

_TIME = pa.timestamp("us", tz="UTC")
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

#: One row per station and hour.
SCHEMA = pa.schema(
    [
        ("station", pa.string()),
        ("observed_at", _TIME),  # beginning of the hour
        ("status", pa.string()),  # ok, absent, failed
        ("reason", pa.string()),  # why not ok
        ("final", pa.bool_()),  # will not be asked for again
        *[(name, pa.float64()) for name in VALUES],
        ("read_at", _TIME),  # when these readings were first seen
        ("checked_at", _TIME),  # when the API was last asked
        ("attempts", pa.int16()),  # tries without a row
    ]
)
#: Columns that say how we asked, not what the station measured: they do not count in the fingerprint.
BOOKKEEPING = ("reason", "read_at", "checked_at", "attempts")

#: One row per changed reading.
REVISION_SCHEMA = pa.schema(
    [
        ("station", pa.string()),
        ("observed_at", _TIME),
        ("reading", pa.string()),  # co, pm2_5, …
        ("old", pa.float64()),
        ("new", pa.float64()),
        ("seen_at", _TIME),
    ]
)


@dataclass(frozen=True)
class Policy:
    """When an hour is asked for again."""

    late_window: timedelta = timedelta(hours=72)
    pauses: tuple[timedelta, ...] = tuple(timedelta(hours=h) for h in (1, 2, 4, 8, 24, 48))
    reread_after: timedelta = timedelta(hours=47)
    retry_failed_at_once: bool = False

    def pause(self, attempts: int) -> timedelta:
        """How long to wait after this many tries without a row."""
        return self.pauses[min(max(attempts, 1), len(self.pauses)) - 1]


def is_due(row: dict[str, Any], now: datetime, policy: Policy) -> bool:
    """Say whether a staged row is to be asked for (again).

    Args:
        row: A row of `SCHEMA`.
        now: The moment of this run; rows checked in this run are never due.
        policy: The pauses and windows.

    Returns:
        True for a row that a request could still change and whose pause is over.
    """
    if row["final"] or row["checked_at"] == now:
        return False
    end = row["observed_at"] + HOUR
    if row["status"] == "ok":
        return bool(now >= max(end + policy.reread_after, row["read_at"] + DAY))
    if (row["status"] == "failed" and policy.retry_failed_at_once) or row["checked_at"] > now:  # or a clock ran ahead
        return True
    pause = policy.pause(row["attempts"])
    again = row["checked_at"] + pause
    if row["status"] == "absent":  # the last try falls at the end of the window
        again = min(again, end + policy.late_window)
    # cron does not start to the second: an hour's pause counts as over a quarter early
    return bool(now >= again - min(pause / 4, HOUR / 4))


def merge(
    old: dict[str, Any] | None,
    station: str,
    hour: datetime,
    values: dict[str, float | None] | None,
    error: SourceError | None,
    now: datetime,
    policy: Policy,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Put what an answer says of one hour together with what is staged.

    Args:
        old: The staged row, or None.
        station: Numeric id.
        hour: The hour asked for.
        values: The readings the API gave for the hour (see `readings`), or None.
        error: Why there is no answer, or None.
        now: The moment of this run.
        policy: The pauses and windows.

    Returns:
        The new row, and the revisions it brings (rows of `REVISION_SCHEMA`).
    """
    end = hour + HOUR
    row: dict[str, Any] = {
        "station": station,
        "observed_at": hour,
        "status": "ok",
        "reason": "",
        "final": now >= end + policy.reread_after,
        **dict.fromkeys(VALUES),
        "read_at": now,
        "checked_at": now,
        "attempts": 0,
    }
    if old is not None and old["status"] == "ok":
        if error is not None:  # no answer: it is asked for once more
            return {**old, "checked_at": now}, []
        new = values or dict.fromkeys(VALUES)
        revisions = [
            {"station": station, "observed_at": hour, "reading": n, "old": old[n], "new": new[n], "seen_at": now}
            for n in VALUES
            if new[n] != old[n]
        ]
        if not revisions or values is None:  # a row that the source withdrew stays as it was read, with a trace
            return {**old, "checked_at": now, "final": True}, revisions
        return {**row, **values, "final": False}, revisions
    if values is not None:
        return {**row, **values}, []
    attempts = (old["attempts"] if old else 0) + 1
    over = now >= end + policy.late_window - HOUR / 4
    if error is None:
        return {**row, "status": "absent", "reason": "no row", "final": over, "read_at": None, "attempts": attempts}, []
    return {
        **row,
        "status": "failed",
        "reason": f"{type(error).__name__}: {error}",
        "final": False,
        "read_at": None,
        "attempts": attempts,
    }, []


def is_over(hour: datetime, answer: Answer) -> bool:
    """Whether an hour was over by the API's own clock when it answered; a failed answer does not say no."""
    return answer.response is None or answer.served_at is None or hour + HOUR <= answer.served_at


def readings(answer: Answer) -> dict[datetime, dict[str, float | None]]:
    """Pick the usable rows of an answer.

    Rows of an hour that was not over by the API's own clock are partial means and are left out; so are rows not on
    the hour. Of doubles the last counts.

    Returns:
        Readings by hour.
    """
    if answer.response is None:
        return {}
    return {
        row.hour: row.values()
        for row in answer.response.data
        if row.timestamp.minute == row.timestamp.second == 0
        and (answer.served_at is None or row.hour + HOUR <= answer.served_at)
    }
