"""Read the rows of an answer value by value: what cannot be read costs itself, and is counted with an example."""

import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Self

from airqino.errors import UnexpectedShapeError
from airqino.source.timestamps import hour_of, moment_of
from airqino.source.values import commas_are_decimal, is_ambiguous, is_missing, number, tidy
from airqino.times import floor_hour

__all__ = ["Count", "Rows", "read_rows", "spelling"]

_MAX_NAMES = 20  #: unknown fields that are named
_MAX_SPELLINGS = 1000  #: names of fields whose meaning is remembered while an answer is read
_LONGEST_SPELLING = 64


@dataclass
class Count:
    """How many of something there were, and the first of them."""

    count: int = 0
    example: str = ""

    def add(self, example: Any) -> None:
        """Count one more."""
        if not self.count:
            self.example = tidy(example)
        self.count += 1


@dataclass
class Rows:
    """What the rows of an answer hold.

    Attributes:
        hours: The readings of each hour, UTC, by the pipeline's names, in the order they came; none is empty.
        no_objects: Rows that are no objects.
        unplaced: Rows whose timestamp names no hour; the example is the timestamp.
        unreadable: Values that are no numbers, by reading.
        unknown: In how many rows each unknown field was, by its name in the answer; at most `_MAX_NAMES` of them.
        seen: Readings whose field was in a row, with or without a value.
        doubled: Hours with several rows.
        empty: Rows without any reading.
        nowhere: How many of the unplaced rows could be of any hour.
        unread: Hours without readings here, of which the answer has values that cannot be read or a row at an odd time.
        illegible: Of hours with readings here, those that cannot be read.
    """

    hours: dict[datetime, dict[str, float]] = field(default_factory=dict)
    no_objects: Count = field(default_factory=Count)
    unplaced: Count = field(default_factory=Count)
    unreadable: dict[str, Count] = field(default_factory=lambda: defaultdict(Count))
    unknown: dict[str, int] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    doubled: Count = field(default_factory=Count)
    empty: int = 0
    nowhere: int = 0
    unread: set[datetime] = field(default_factory=set)
    illegible: dict[datetime, set[str]] = field(default_factory=dict)

    def joined(self, other: Self) -> Self:
        """Return this with what another part of the answer has that may be of any hour or could not be read."""
        return replace(
            self,
            hours=self.hours | other.hours,
            no_objects=max(self.no_objects, other.no_objects, key=lambda count: count.count),
            unplaced=max(self.unplaced, other.unplaced, key=lambda count: count.count),
            nowhere=self.nowhere + other.nowhere,
            unread=(self.unread | other.unread) - self.hours.keys() - other.hours.keys(),
            illegible=self.illegible | other.illegible,
        )


def spelling(name: str) -> str:
    """Return what of a field's name counts: ``pm2_5``, ``PM2.5`` and ``PM₂.₅`` are one field; ``CO_ppb`` is not CO."""
    return "".join(c for c in unicodedata.normalize("NFKC", name).casefold() if c.isalnum())


def read_rows(rows: list[Any], fields: Mapping[str, str]) -> Rows:
    """Read rows.

    Args:
        rows: Plain content; one object a row where all is well.
        fields: The pipeline's name of each documented field by its `spelling`; ``timestamp`` is one of them.

    Raises:
        UnexpectedShapeError: There are rows, but none can be used, or they are not of one hour each; the message says
            why, with an example.
    """
    reader = _Reader(fields, decimal_commas=False)
    reader.read(rows)
    if reader.ambiguous and commas_are_decimal(_texts(rows)):
        reader = _Reader(fields, decimal_commas=True)
        reader.read(rows)
    reader.refuse(len(rows))
    return reader.found


def _texts(rows: list[Any]) -> list[str]:
    return [value for row in rows if isinstance(row, dict) for value in row.values() if isinstance(value, str)]


class _Reader:
    """Reads rows one after the other into `Rows`."""

    def __init__(self, fields: Mapping[str, str], *, decimal_commas: bool) -> None:
        self.found = Rows()
        self.ambiguous = False
        self._fields = fields
        self._decimal_commas = decimal_commas
        self._meanings: dict[str, str | None] = {}
        self._within_the_hour: list[datetime] = []

    def read(self, rows: list[Any]) -> None:
        for row in rows:
            if not row and not isinstance(row, bool | int | float):  # null, {}, []: nothing is lost with it
                self.found.empty += 1
            elif isinstance(row, dict):
                self._read_row(row)
            else:
                self.found.no_objects.add(row)
        self.found.unread -= self.found.hours.keys()

    def refuse(self, rows: int) -> None:
        """Raise if rows came but none of them can be used, or if they are not of one hour each."""
        found, within = self.found, self._within_the_hour
        lost = found.no_objects.count + found.unplaced.count
        if rows and lost == rows:
            many = max(found.unplaced, found.no_objects, key=lambda count: count.count)
            raise UnexpectedShapeError(
                f"the answer has another shape: none of its {rows} rows has a timestamp that names an hour; "
                f"{many.example!r} was there"
            )
        if found.unknown and not found.seen:
            raise UnexpectedShapeError(
                "the answer has another shape: its rows have none of the documented readings, but the fields "
                + ", ".join(map(repr, found.unknown))
            )
        split = [moment for moment in within if floor_hour(moment) in found.hours]
        if split and len(within) >= len(found.hours):
            raise UnexpectedShapeError(
                f"the answer has another shape: its rows are not of an hour each: {len(within)} of {rows} lie within "
                f"one, such as {split[0]:%Y-%m-%d %H:%M:%S}"
            )

    def _read_row(self, row: dict[str, Any]) -> None:
        found = self.found
        stamp: Any = None
        values: dict[str, float] = {}
        illegible: set[str] = set()
        for name, value in row.items():
            meaning = self._meaning(name)
            if meaning is None:
                self._count_unknown(name)
            elif meaning == "timestamp":
                stamp = value if stamp is None else stamp
            else:
                found.seen.add(meaning)
                if value is not None and meaning not in values:  # of two fields with one meaning the first readable
                    read = number(value, decimal_commas=self._decimal_commas)
                    if read is not None:
                        values[meaning] = read
                    else:
                        found.unreadable[meaning].add(value)
                        if not is_missing(value):
                            illegible.add(meaning)
                        self.ambiguous |= is_ambiguous(value)
        self._place(stamp, values, illegible)

    def _place(self, stamp: Any, values: dict[str, float], illegible: set[str]) -> None:
        """Put a row's readings into its hour; of two values of one reading the later counts."""
        found = self.found
        moment = moment_of(stamp)
        hour = moment and hour_of(moment)
        if hour is None:
            found.unplaced.add("no timestamp" if stamp is None else stamp)
            if moment:
                self._within_the_hour.append(moment)
                found.unread.add(floor_hour(moment))
            else:
                found.nowhere += 1
        elif not values:
            found.empty += 1
            if illegible:
                found.unread.add(hour)
        elif hour in found.hours:
            found.doubled.add(f"{hour:%Y-%m-%dT%H}")
            found.hours[hour] |= values
        else:
            found.hours[hour] = values
        if hour in found.hours and (unread := illegible - found.hours[hour].keys()):
            found.illegible.setdefault(hour, set()).update(unread)

    def _meaning(self, name: str) -> str | None:
        if name in self._meanings:
            return self._meanings[name]
        if len(name) > _LONGEST_SPELLING or len(self._meanings) == _MAX_SPELLINGS:
            return None
        return self._meanings.setdefault(name, self._fields.get(spelling(name)))

    def _count_unknown(self, name: str) -> None:
        unknown = self.found.unknown
        if len(unknown) < _MAX_NAMES or name in unknown:
            name = tidy(name)
            unknown[name] = unknown.get(name, 0) + 1
