"""Raw hours: what is staged of an hour for each station, when it is asked for again, and what an answer changes.

A raw row is a station's readings of one hour or the reason why there are none. Its life::

    (none) ──answer with readings──▶ ok ──read again 47 h and 8 days after its day───▶ ok, final
       ├──answer without the hour──▶ absent ──asked again with growing pauses──▶ ok, or absent and final
       └──no usable answer─────────▶ failed ──likewise──▶ ok or absent; never final

Becoming final needs real time between two readings: the smaller of our clock and the API's counts, so that neither a
second run at the same moment nor a clock that is ahead makes an hour final too early. A final row changes only when a
later reading (`Policy.again`) finds another value.

Everything here is pure; times are UTC.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from airqino.errors import NotAskedError, NotOverError, SourceError, UnexpectedShapeError
from airqino.source.client import Answer
from airqino.source.response import API_NAMES, VALUES
from airqino.times import DAY, HOUR, day_start

__all__ = [
    "BOOKKEEPING",
    "NO_ROW",
    "REVISION_SCHEMA",
    "SCHEMA",
    "Finding",
    "Policy",
    "fault",
    "finding",
    "is_due",
    "merge",
    "revision_order",
]

_TIME = pa.timestamp("us", tz="UTC")
#: One row per station and hour.
SCHEMA = pa.schema(
    [
        ("station", pa.string()),
        ("observed_at", _TIME),  # beginning of the hour
        ("status", pa.string()),  # ok, absent, failed
        ("reason", pa.string()),  # why not ok
        ("final", pa.bool_()),  # will not be asked for again
        *[(name, pa.float64()) for name in VALUES],
        ("read_at", _TIME),  # real time of the first answer with these readings, or, where absent, without the hour
        ("seen_at", _TIME),  # real time of the last such answer
        ("checked_at", _TIME),  # when the API was last asked, by this machine's clock
        ("attempts", pa.int16()),  # tries in a row that brought no reading; 0 if the last run had no time to ask
    ]
)
#: Columns that say how we asked, not what the station measured: they do not count in the fingerprint.
BOOKKEEPING = ("reason", "read_at", "seen_at", "checked_at", "attempts")

#: The reason of an absent hour, where the answer has others.
NO_ROW = "no row"

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
    """When an hour is asked for again.

    Attributes:
        late_window: How long after its hour a missing row is looked for by itself. The source computes its hourly view
            anew for 7 days, and stations upload late.
        pauses: Growing pauses between tries without a reading.
        reread_after: How long after the end of its day a reading is read again the first time.
        final_after: How long after the end of its day a reading is read again the last time, and how long after its
            hour a row can become final.
        confirm_after: The real time that must lie between the first answer and the one that makes a row final.
        backfill: Ask `failed` and unsettled `absent` hours again at once, and provisional readings after
            `backfill_after`: who starts a backfill has mended what was broken.
        backfill_after: See `backfill`.
        again: Ask for everything again.
    """

    late_window: timedelta = timedelta(days=9)
    pauses: tuple[timedelta, ...] = tuple(timedelta(hours=h) for h in (1, 2, 4, 8, 24, 48))
    reread_after: timedelta = timedelta(hours=47)
    final_after: timedelta = timedelta(days=8)
    confirm_after: timedelta = timedelta(hours=24)
    backfill: bool = False
    backfill_after: timedelta = timedelta(hours=20)
    again: bool = False

    def pause(self, attempts: int) -> timedelta:
        """Return how long to wait after this many tries without a reading."""
        return self.pauses[min(max(attempts, 1), len(self.pauses)) - 1]

    def next_try(self, tried_at: datetime, attempts: int) -> datetime:
        """Return when the pause after the last of so many tries is over."""
        pause = self.pause(attempts)
        # cron does not start to the second: an hour's pause counts as over a quarter early
        return tried_at + pause - min(pause / 4, HOUR / 4)


@dataclass(frozen=True)
class Finding:
    """What one station's answer says of one hour.

    Attributes:
        at: When it was asked, by this machine's clock.
        real: The smaller of this machine's clock and the API's.
        values: The readings, but those that the whole answer has no field for; None where there are none.
        error: Why it cannot be told whether there are any; None if it can.
        confirms: Whether the answer holds other rows, so that a missing one means something: a source that is behind
            answers with empty lists.
    """

    at: datetime
    real: datetime
    values: dict[str, float | None] | None = None
    error: SourceError | None = None
    confirms: bool = True


def revision_order(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return the key by which a ledger of revisions is sorted."""
    return row["seen_at"], row["observed_at"], row["station"], row["reading"]


def is_due(row: dict[str, Any], now: datetime, policy: Policy) -> bool:
    """Say whether a staged row is to be asked for (again).

    Args:
        row: A row of `SCHEMA`.
        now: The moment of this run by this machine's clock; rows checked in this run are never due.
        policy: The pauses and windows.

    Returns:
        True for a row that a request could still change and whose pause is over.
    """
    if row["checked_at"] == now:
        return False
    if policy.again:
        return True
    if row["final"]:
        return False
    hour = row["observed_at"]
    if row["status"] == "ok":
        seen_at = row.get("seen_at") or row["read_at"]
        if policy.backfill and now >= seen_at + policy.backfill_after:
            return True
        # whole days at a time: one request for each station and day
        day_end = day_start(hour.date()) + DAY
        last = max(day_end + policy.final_after, row["read_at"] + policy.confirm_after)
        rereading = now >= last or now >= day_end + policy.reread_after > seen_at
        return rereading and (not row["attempts"] or now >= policy.next_try(row["checked_at"], row["attempts"]))
    if policy.backfill or row["checked_at"] > now:  # or a clock ran ahead
        return True
    again = policy.next_try(row["checked_at"], row["attempts"])
    if row["status"] == "absent":
        closes = hour + HOUR + policy.late_window
        if row["checked_at"] >= closes and row["attempts"]:
            return False
        again = min(again, closes)  # the last try falls at the end of the window
    return bool(now >= again)


def merge(
    old: dict[str, Any] | None, station: str, hour: datetime, finding: Finding, policy: Policy
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Put what an answer says of one hour together with what is staged.

    Args:
        old: The staged row, or None.
        station: Numeric id.
        hour: The hour asked for.
        finding: What the answer says of it.
        policy: The pauses and windows.

    Returns:
        The new row, and the revisions it brings (rows of `REVISION_SCHEMA`).
    """
    if isinstance(finding.error, NotAskedError) and old is not None:
        return {**old, "checked_at": finding.at, "attempts": 0}, []  # not due in this run, but in the next one
    attempts = 0 if isinstance(finding.error, NotAskedError) else (old["attempts"] if old else 0) + 1
    values = finding.values
    if old is not None and old["status"] == "ok":
        if finding.error is not None or (values is None and not finding.confirms):
            return {**old, "checked_at": finding.at, "attempts": attempts}, []
        row = {
            **old,
            **(values or {}),  # a row that the source withdrew stays as it was read, with a trace
            "final": old["final"] or _is_settled(hour, old["read_at"], finding, policy),
            "seen_at": finding.real,
            "checked_at": finding.at,
            "attempts": 0,
        }
        return row, _revisions(old, values, finding)
    row = {
        "station": station,
        "observed_at": hour,
        "status": "ok",
        "reason": "",
        "final": finding.real >= hour + HOUR + policy.final_after,
        **dict.fromkeys(VALUES),
        "read_at": finding.real,
        "seen_at": finding.real,
        "checked_at": finding.at,
        "attempts": 0,
    }
    if values is not None:
        # an hour that was given up and comes after all is a change of the past like any other
        return {**row, **values}, _revisions(old, values, finding) if old and old["final"] else []
    if finding.error is None:
        confirmed = (old or {}).get("read_at") if old and old["status"] == "absent" else None
        return {
            **row,
            "status": "absent",
            "reason": NO_ROW if finding.confirms else f"{NO_ROW}: the answer is empty",
            "final": bool(old and old["final"])
            or (finding.confirms and _is_settled(hour, confirmed or finding.real, finding, policy)),
            "read_at": confirmed or (finding.real if finding.confirms else None),
            "seen_at": finding.real if finding.confirms else (old or {}).get("seen_at"),
            "attempts": attempts,
        }, []
    if old is not None and old["final"]:  # what is known stays known
        return {**old, "checked_at": finding.at}, []
    return {
        **row,
        "status": "failed",
        "reason": f"{type(finding.error).__name__}: {finding.error}",
        "final": False,
        "read_at": None,
        "seen_at": None,
        "attempts": attempts,
    }, []


def _is_settled(hour: datetime, first: datetime, finding: Finding, policy: Policy) -> bool:
    """Tell whether an answer comes late enough, after the hour and after the first answer, to be the last word."""
    return finding.real >= max(hour + HOUR + policy.final_after, first + policy.confirm_after)


def _revisions(old: dict[str, Any], values: dict[str, float | None] | None, finding: Finding) -> list[dict[str, Any]]:
    new = values or dict.fromkeys(VALUES)
    place = {"station": old["station"], "observed_at": old["observed_at"]}
    return [
        {**place, "reading": name, "old": old[name], "new": new[name], "seen_at": finding.at}
        for name in VALUES
        if name in new and new[name] != old[name]
    ]


def finding(answer: Answer, hour: datetime, now: datetime) -> Finding:
    """Tell what an answer says of an hour.

    Args:
        answer: One station's answer.
        hour: The hour asked for.
        now: The moment of this run by this machine's clock.

    Returns:
        The readings, or why there are none. An answer made when the hour was not over yet says nothing of it.
    """
    real = min(now, answer.clock) if answer.clock else now
    if (row := answer.readings.get(hour)) is not None and answer.response is not None:
        # a field that is missing in all rows may have another name now: what was read of it stays, as it does where
        # the value cannot be read any more
        missing, illegible = answer.response.missing_fields, answer.response.found.illegible.get(hour, ())
        unknown = {name for name in VALUES if API_NAMES[name] in missing or name in illegible}
        return Finding(now, real, {name: value for name, value in row.values().items() if name not in unknown})
    error = fault(answer, hour)
    if error is None and answer.served_at is not None and hour + HOUR > answer.served_at:
        error = NotOverError(f"the answer was made at {answer.served_at:%Y-%m-%dT%H:%M}, before the hour was over")
    return Finding(now, real, None, error, confirms=bool(answer.readings))


def fault(answer: Answer, hour: datetime) -> SourceError | None:
    """Say why an hour that is not among the readings of an answer cannot be called absent; None if it can."""
    if answer.response and answer.response.may_hold(hour):
        return UnexpectedShapeError(f"what the answer has of it cannot be read: {'; '.join(answer.response.remarks())}")
    return answer.error
