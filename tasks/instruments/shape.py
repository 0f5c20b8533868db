"""Shape: what no station sends any more of the documented readings, from the staged hours and the records kept in them.

A sensor without data has no field in a row, so a field that is missing says little by itself. It counts as a change of
the API where it is missing at all stations since some hour, and either unknown fields have appeared since then, or
several stations had the reading and none has had it for a day of rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from airqino.readings import NAMES
from airqino.source.response import API_NAMES
from airqino.times import DAY
from tasks import targets
from tasks.instruments.presence import Presence

__all__ = ["MissingField", "Shape", "observe_shape"]

#: Rows without a reading at each of several stations: its field is gone, although no unknown one has appeared.
_ROWS = 24


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


def observe_shape(staged: Presence, last_hour: datetime) -> Shape:
    """Find the fields that are missing.

    Args:
        staged: What is staged of the last days.
        last_hour: The last hour that is over and published.
    """
    newest = {name: np.flatnonzero(of.any(axis=1))[-1] for name, of in staged.readings.items() if of.any()}
    missing = [_missing_since(staged, name, int(hour)) for name, hour in newest.items()]
    return Shape(
        missing=tuple(field for field in missing if field),
        not_seen=frozenset(NAMES) - newest.keys(),
        is_read=any(of.any() for hour, of in zip(staged.hours, staged.ok, strict=True) if hour == last_hour),
    )


def _missing_since(staged: Presence, reading: str, newest: int) -> MissingField | None:
    since = staged.ok[newest + 1 :]
    if not since.any():
        return None
    at = staged.hours[newest]
    after = [hour for hour, of in zip(staged.hours[newest + 1 :], since, strict=True) if of.any()]
    if unknown := _appeared(reading, at, after):
        return MissingField(reading, at, unknown)
    had = staged.readings[reading].any(axis=0)
    lost = had & (since.sum(axis=0) >= _ROWS)
    return MissingField(reading, at, ()) if lost.sum() == had.sum() > 1 else None


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
