"""What answers make of many raw rows at once, in columns; `airqino.source.raw.merge` tells what becomes of each.

Most rows are new, or were read before and are as they were, or are missing in an answer that is otherwise as it should
be. Those are worked out together; the others, of which there are few, one after the other.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from airqino.source import raw
from airqino.source.client import Answer
from airqino.source.due import micro, moments, whole
from airqino.source.raw import NO_ROW, SCHEMA, Policy
from airqino.source.response import API_NAMES, VALUES
from airqino.times import HOUR

__all__ = ["Merged", "merge_rows"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Moments = npt.NDArray[np.int64]

_NOTHING = (None,) * len(VALUES)
_TIME = SCHEMA.field("observed_at").type


class Merged(NamedTuple):
    """Rows after an answer.

    Attributes:
        rows: Those that were asked for, in the order of ``raw.SCHEMA``; in no order.
        is_new: (n,) Whether a row's content is another than what was staged; bookkeeping does not count.
        revisions: What changed of the past (rows of ``raw.REVISION_SCHEMA``).
    """

    rows: pa.Table
    is_new: Bools
    revisions: list[dict[str, Any]]


class _Said(NamedTuple):
    """What was asked for, and what the answers say; as `merge_rows` takes it."""

    wanted: Sequence[tuple[str, datetime]]
    answers: Mapping[str, Answer]
    now: datetime


class _Cells(NamedTuple):
    """What was asked for, as columns: what the answers say of it, and what is staged.

    Attributes:
        stations: Of each cell.
        hour: In µs since 1970, as all moments here.
        real: The smaller of our clock and the API's.
        has: Whether the answer has readings.
        confirms: Whether the answer has rows at all.
        is_plain: Whether nothing of the answer was illegible, and it was made when the hour was over.
        new: (n, readings) NaN where there is none.
        is_unnamed: (n, readings) Whether the whole answer has no field for the reading.
        staged: The staged row of each cell; nulls where there is none.
    """

    stations: list[str]
    hour: Moments
    real: Moments
    has: Bools
    confirms: Bools
    is_plain: Bools
    new: Floats
    is_unnamed: Bools
    staged: pa.Table


def merge_rows(
    staged: pa.Table,
    wanted: Sequence[tuple[str, datetime]],
    answers: Mapping[str, Answer],
    now: datetime,
    policy: Policy,
) -> Merged:
    """Put what answers say together with what is staged.

    Args:
        staged: Rows of ``raw.SCHEMA``, at least those of `wanted` that there are.
        wanted: Stations and hours that were asked for, each once.
        answers: Station → its answer.
        now: The moment of this run by this machine's clock.
        policy: The pauses and windows.
    """
    said = _Said(wanted, answers, now)
    cells = _cells(staged, said)
    status, final = cells.staged["status"], cells.staged["final"].fill_null(False).to_numpy()
    is_there, was_ok = status.is_valid().to_numpy(), pc.equal(status, "ok").fill_null(False).to_numpy()
    old = np.column_stack([_floats(cells.staged[name]) for name in VALUES])
    values = np.where(cells.is_unnamed & was_ok[:, None], old, cells.new)
    differs = ((values != old) & ~(np.isnan(values) & np.isnan(old))).any(axis=1)

    came = cells.is_plain & cells.has
    fresh = came & ~was_ok & ~final
    again = came & was_ok & ~differs
    absent = cells.is_plain & ~cells.has & ~is_there
    others = ~(fresh | again | absent)

    settled = _settled(cells, np.where(was_ok, moments(cells.staged, "read_at"), cells.real), policy)
    is_final = np.select(
        [fresh, again, absent],
        [cells.real >= cells.hour + micro(HOUR + policy.final_after), final | settled, cells.confirms & settled],
        False,
    )
    rows = _columns(cells, now, fresh, again, absent, is_final, values)
    is_new = fresh | absent | (again & (is_final != final))
    rest, rest_is_new, revisions = _one_by_one(cells, np.flatnonzero(others), said, policy)
    whole_rows = pa.concat_tables([rows.filter(pa.array(~others)), rest])
    return Merged(whole_rows, np.concatenate([is_new[~others], rest_is_new]), revisions)


def _cells(staged: pa.Table, said: _Said) -> _Cells:
    wanted, answers, now = said
    known = {station: _Answered(answers[station], now) for station in {s for s, _ in wanted}}
    of = [known[station] for station, _ in wanted]
    rows = [answer.readings.get(hour) for answer, (_, hour) in zip(of, wanted, strict=True)]
    values = [_NOTHING if row is None else msgspec.structs.astuple(row)[1:] for row in rows]
    hours = {hour: whole(hour) for hour in {h for _, h in wanted}}
    hour = np.array([hours[h] for _, h in wanted], dtype=np.int64)
    unnamed = np.array([answer.unnamed for answer in of], dtype=bool).reshape(len(rows), len(VALUES))
    new = np.array(values, dtype=float).reshape(len(rows), len(VALUES))
    return _Cells(
        stations=[station for station, _ in wanted],
        hour=hour,
        real=np.array([answer.real for answer in of], dtype=np.int64),
        has=np.array([row is not None for row in rows], dtype=bool),
        confirms=np.array([bool(answer.readings) for answer in of], dtype=bool),
        is_plain=np.array([a.plain_until for a in of], dtype=np.int64) >= hour + micro(HOUR),
        new=np.where(unnamed, np.nan, new),
        is_unnamed=unnamed,
        staged=_aligned(staged, wanted),
    )


class _Answered:
    """What is the same for all hours of an answer; it is plain until the moment when it was made, if at all."""

    def __init__(self, answer: Answer, now: datetime) -> None:
        self.readings = answer.readings
        self.real = whole(min(now, answer.clock) if answer.clock else now)
        self.unnamed, self.plain_until = (False,) * len(VALUES), np.iinfo(np.int64).min
        if (response := answer.response) is None or answer.error is not None:
            return
        self.unnamed = tuple(API_NAMES[name] in response.missing_fields for name in VALUES)
        found = response.found
        if not (found.no_objects.count or found.nowhere or found.unread or found.illegible):
            self.plain_until = np.iinfo(np.int64).max if answer.served_at is None else whole(answer.served_at)


def _aligned(staged: pa.Table, wanted: Sequence[tuple[str, datetime]]) -> pa.Table:
    """Return the staged row of each cell, nulls where there is none."""
    staged = pa.concat_tables([staged, SCHEMA.empty_table()], promote_options="default").select(SCHEMA.names)
    places = {}
    if len(staged):
        of = zip(staged["station"].to_pylist(), staged["observed_at"].to_pylist(), strict=True)
        places = {cell: number for number, cell in enumerate(of)}
    return staged.take(pa.array([places.get(cell) for cell in wanted], pa.int64()))


def _settled(cells: _Cells, first: Moments, policy: Policy) -> Bools:
    late = np.maximum(cells.hour + micro(HOUR + policy.final_after), first + micro(policy.confirm_after))
    return np.asarray(cells.real >= late, dtype=bool)


def _columns(
    cells: _Cells, now: datetime, fresh: Bools, again: Bools, absent: Bools, is_final: Bools, values: Floats
) -> pa.Table:
    """Return the rows; those that are none of the three are left out by the caller."""
    seen = np.where(again, moments(cells.staged, "read_at"), cells.real)
    is_known = ~(absent & ~cells.confirms)
    reason = np.where(absent, np.where(cells.confirms, NO_ROW, f"{NO_ROW}: the answer is empty"), "")
    made: dict[str, Any] = {
        "station": pa.array(cells.stations, pa.string()),
        "observed_at": pa.array(cells.hour).cast(_TIME),
        "status": pa.array(np.where(absent, "absent", "ok")),
        "reason": pc.if_else(pa.array(again), cells.staged["reason"], pa.array(reason)),
        "final": pa.array(is_final),
        **{name: pa.array(values[:, i], from_pandas=True) for i, name in enumerate(VALUES)},
        "read_at": pa.array(seen, mask=~is_known).cast(_TIME),
        "seen_at": pa.array(cells.real, mask=~is_known).cast(_TIME),
        "checked_at": pa.array(np.full(len(seen), whole(now))).cast(_TIME),
        "attempts": pa.array(absent.astype(np.int16)),
    }
    return pa.table(made).cast(SCHEMA)


def _one_by_one(
    cells: _Cells, which: npt.NDArray[np.intp], said: _Said, policy: Policy
) -> tuple[pa.Table, Bools, list[dict[str, Any]]]:
    rows, is_new, revisions = [], [], list[dict[str, Any]]()
    for number, old in zip(which, cells.staged.take(which).to_pylist(), strict=True):
        station, hour = said.wanted[number]
        of = old if old["station"] is not None else None
        finding = raw.finding(said.answers[station], hour, said.now)
        row, changes = raw.merge(of, station, hour, finding, policy)
        rows.append(row)
        is_new.append(of is None or any(row[name] != of[name] for name in _CONTENT))
        revisions += changes
    return pa.Table.from_pylist(rows, schema=SCHEMA), np.array(is_new, dtype=bool), revisions


#: What of a row counts in its hour's fingerprint.
_CONTENT = [name for name in SCHEMA.names if name not in raw.BOOKKEEPING]


def _floats(column: pa.ChunkedArray) -> Floats:
    return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=float)
