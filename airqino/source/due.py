"""Which staged rows are to be asked for again, of whole tables; the life of a row is told in `airqino.source.raw`."""

from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from airqino.source.raw import Policy
from airqino.times import DAY, HOUR

__all__ = ["due_rows", "micro", "moments", "whole"]

_Moments = npt.NDArray[np.int64]
_MICROSECOND = timedelta(microseconds=1)
_NEVER = np.iinfo(np.int64).max


def due_rows(table: pa.Table, now: datetime, policy: Policy) -> npt.NDArray[np.bool_]:
    """Say of each staged row whether it is to be asked for (again): a request could still change it, its pause is over.

    Args:
        table: Rows of `airqino.source.raw.SCHEMA`; those of version 0.1 lack ``seen_at``.
        now: The moment of this run by this machine's clock; rows checked in this run are never due.
        policy: The pauses and windows.
    """
    moment, checked = whole(now), moments(table, "checked_at")
    waits = checked != moment
    if policy.again:
        return np.asarray(waits, dtype=bool)
    final = table["final"].to_numpy()
    is_ok = pc.equal(table["status"], "ok").to_numpy()
    hour, read = moments(table, "observed_at"), moments(table, "read_at")
    attempts = table["attempts"].to_numpy().astype(np.int64)
    next_try = checked + _pauses(policy)[np.clip(attempts, 1, len(policy.pauses)) - 1]

    # what was read: whole days at a time, one request for each station and day
    seen = moments(table, "seen_at", read) if "seen_at" in table.column_names else read
    day_end = hour - hour % micro(DAY) + micro(DAY)
    first, last = day_end + micro(policy.reread_after), day_end + micro(policy.final_after)
    last = np.maximum(last, read + micro(policy.confirm_after))
    rereading = (moment >= last) | ((moment >= first) & (first > seen))
    of_ok = rereading & ((attempts == 0) | (moment >= next_try))
    if policy.backfill:
        of_ok |= moment >= seen + micro(policy.backfill_after)

    # what was not: until the window closes, with a last try at its end
    closes = hour + micro(HOUR + policy.late_window)
    is_absent = pc.equal(table["status"], "absent").to_numpy()
    again = np.where(is_absent, np.minimum(next_try, closes), next_try)
    over = is_absent & (checked >= closes) & (attempts != 0)
    of_others = (checked > moment) | policy.backfill | ((moment >= again) & ~over)  # or a clock ran ahead
    return np.asarray(waits & ~final & np.where(is_ok, of_ok, of_others), dtype=bool)


def moments(table: pa.Table, name: str, missing: "_Moments | int" = 0) -> _Moments:
    """Return a column of moments in µs since 1970; `missing` where there is none."""
    column = table[name]
    values = column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).fill_null(_NEVER).to_numpy()
    return np.where(values == _NEVER, missing, values) if column.null_count else values


def _pauses(policy: Policy) -> _Moments:
    """Return the pause after each number of tries; an hour's counts as over a quarter early (`Policy.next_try`)."""
    begin = datetime.min
    return np.array([micro(policy.next_try(begin, n + 1) - begin) for n in range(len(policy.pauses))], dtype=np.int64)


def whole(moment: datetime) -> int:
    """Return a moment in µs since 1970."""
    return (moment - datetime.fromtimestamp(0, moment.tzinfo)) // _MICROSECOND


def micro(span: timedelta) -> int:
    """Return a span in µs."""
    return span // _MICROSECOND
