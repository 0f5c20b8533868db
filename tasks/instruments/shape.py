"""Shape: what no station sends any more of the documented readings, from the staged hours and the records kept in them.

A sensor without data has no field in a row, so a field that is missing says little by itself. It counts as a change of
the API where it is missing at all stations since some hour, and either unknown fields have appeared since then, or
several stations had the reading and none has had it for a day of rows.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airqino.readings import NAMES
from airqino.source.response import API_NAMES
from airqino.times import DAY
from tasks import targets

__all__ = ["MissingField", "Shape", "observe_shape"]

#: Rows without a reading at each of several stations: its field is gone, although no unknown one has appeared.
_ROWS = 24

Staged = Sequence[tuple[datetime, Mapping[str, Mapping[str, Any]]]]


@dataclass(frozen=True)
class MissingField:
    """A documented reading that no station sends any more; `unknown` are the fields that have appeared since."""

    reading: str
    newest: datetime  #: the last hour that had it
    unknown: tuple[str, ...]


@dataclass(frozen=True)
class Shape:
    """What the staged hours say of the shape of the API's answers.

    Attributes:
        missing: Readings whose field is missing or renamed.
        not_seen: Readings that no staged hour has: of these nothing is known.
        is_read: Whether the last hour has readings, so that answers have, on the whole, the documented shape.
    """

    missing: tuple[MissingField, ...] = ()
    not_seen: frozenset[str] = frozenset()
    is_read: bool = True


def observe_shape(staged: Staged, last_hour: datetime) -> Shape:
    """Find the fields that are missing.

    Args:
        staged: The hours of the last days in order of time, each with its raw rows by station.
        last_hour: The last hour that is over and published.
    """
    hours = [(hour, [row for row in rows.values() if row["status"] == "ok"]) for hour, rows in staged]
    newest: dict[str, datetime] = {}
    for hour, rows in hours:
        newest |= {name: hour for name in NAMES if any(row[name] is not None for row in rows)}
    missing = [_missing_since(hours, name, hour) for name, hour in newest.items()]
    return Shape(
        missing=tuple(field for field in missing if field),
        not_seen=frozenset(NAMES) - newest.keys(),
        is_read=any(rows for hour, rows in hours if hour == last_hour),
    )


def _missing_since(
    hours: Sequence[tuple[datetime, Sequence[Mapping[str, Any]]]], reading: str, newest: datetime
) -> MissingField | None:
    since = [(hour, rows) for hour, rows in hours if hour > newest and rows]
    if not since:
        return None
    if unknown := _appeared(reading, newest, [hour for hour, _ in since]):
        return MissingField(reading, newest, unknown)
    had = {row["station"] for hour, rows in hours for row in rows if hour <= newest and row[reading] is not None}
    without = Counter(row["station"] for _, rows in since for row in rows)
    lost = [station for station in had if without[station] >= _ROWS]
    return MissingField(reading, newest, ()) if len(lost) == len(had) > 1 else None


def _appeared(reading: str, newest: datetime, since: Sequence[datetime]) -> tuple[str, ...]:
    """Return the unknown fields that came in answers without the reading, but not when it was there last."""
    before = targets.exchanges(targets.raw(newest))
    if not all("unknown_fields" in exchange for exchange in before):  # a record of the version before
        return ()
    # one answer may hold the last hours with the old name and the first with the new one: a day earlier there is none
    known = _unknown(before)
    if earlier := targets.exchanges(targets.raw(newest - DAY)):
        known &= _unknown(earlier)
    without = [
        exchange
        for hour in since
        for exchange in targets.exchanges(targets.raw(hour))
        if API_NAMES[reading] in exchange.get("missing_fields", ())
    ]
    return tuple(sorted(_unknown(without) - known))


def _unknown(exchanges: Sequence[Mapping[str, Any]]) -> set[str]:
    return {name for exchange in exchanges for name in exchange.get("unknown_fields", ())}
