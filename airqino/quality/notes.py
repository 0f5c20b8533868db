"""The operator's word on the readings: spans that do not count, count after all, or are measured on another scale.

A note says who said what of which readings, when, and why. Notes are never changed: one is taken back by another. What
they do follows from their order alone, oldest first: of two that say different things of a value, the later one holds.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from airqino.readings import NAMES, POLLUTANTS

__all__ = ["INVALIDATED", "KINDS", "NO_WORD", "RESTORED", "Note", "active", "apply", "effects", "problem", "touching",
           "values", "words"]  # fmt: skip

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int8]

#: What a note may be.
KINDS = ("invalidate", "restore", "comment", "calibrate", "revoke")
#: QARTOD's codes of the test ``operator``: fail, pass, not evaluated. It is the last digit of ``<reading>_tests``.
INVALIDATED, RESTORED, NO_WORD = 4, 1, 2
_EARLIEST, _END = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_WORDS = {"invalidate": INVALIDATED, "restore": RESTORED}


@dataclass(frozen=True, kw_only=True)
class Note:
    """What an operator said of a span of a station's readings.

    Attributes:
        id: Names the note; no other has it.
        kind: One of `KINDS`. ``invalidate``: the values do not count; ``restore``: they count, whatever the tests say;
            ``comment``: changes no number; ``calibrate``: the value is `slope` · what was reported + `offset`;
            ``revoke``: another note is as if it had never been.
        station: The station's id.
        reading: The reading's name; "" is all readings of the station.
        first: First hour (UTC); None only where the note revokes another.
        last: Last hour, included; None is open, and only a calibration can be.
        who: Who says so.
        why: The reason.
        noted_at: When it was said (UTC).
        slope: Of a calibration; above 0.
        offset: Of a calibration, in the reading's unit.
        revokes: Id of the note that is taken back; "" where the note is of another kind.
    """

    id: str
    kind: str
    station: str
    who: str
    why: str
    noted_at: datetime
    reading: str = ""
    first: datetime | None = None
    last: datetime | None = None
    slope: float = 1.0
    offset: float = 0.0
    revokes: str = ""

    @property
    def readings(self) -> tuple[str, ...]:
        """Return the names of the readings that it is about."""
        return (self.reading,) if self.reading else NAMES

    def touches(self, first: datetime, last: datetime) -> bool:
        """Tell whether it is about an hour from `first` to `last`, both included."""
        return self.first is not None and self.first <= last and (self.last is None or self.last >= first)


def problem(note: Note, before: Sequence[Note]) -> str:
    """Return what is wrong with a note; "" where nothing is.

    Args:
        note: The note.
        before: All notes before it.
    """
    if note.kind not in KINDS:
        return f"there is no kind {note.kind!r}; there are {', '.join(KINDS)}"
    if any(other.id == note.id for other in before):
        return f"id {note.id} is that of an earlier note"
    if not (note.id and note.who.strip() and note.why.strip() and (note.station or note.kind == "revoke")):
        return "id, station, who and why must not be empty"
    if note.noted_at.tzinfo is None or not _is_id_of(note):
        return "noted_at must have its offset from UTC, and id be its day and a number, such as 2024-09-09-1"
    if note.kind != "calibrate" and (note.slope, note.offset) != (1.0, 0.0):
        return "only a calibration has a slope and an offset"
    if note.kind == "revoke":
        return _revocation_problem(note, before)
    if note.reading and note.reading not in NAMES:
        return f"there is no reading {note.reading!r}; there are {', '.join(NAMES)}"
    hours = [hour for hour in (note.first, note.last) if hour is not None]
    if any(hour.tzinfo is None or hour.minute or hour.second or hour.microsecond for hour in hours):
        return "first and last must be whole hours with their offset from UTC"
    if any(not _EARLIEST <= hour < _END for hour in hours):
        return f"first and last must lie from {_EARLIEST:%Y} to {_END.year - 1}"
    if note.first is None or (note.last is None and note.kind != "calibrate"):
        return "first and last must be given; only a calibration may be open"
    if note.last is not None and note.first > note.last:
        return "the first hour lies after the last: swap them"
    if note.kind == "calibrate":
        if note.reading not in POLLUTANTS:
            return f"a calibration is of one of {', '.join(POLLUTANTS)}"
        if not (math.isfinite(note.slope) and note.slope > 0 and math.isfinite(note.offset)):
            return "slope must be a number above 0, and offset a number"
    return ""


def _is_id_of(note: Note) -> bool:
    """Tell whether a note's id is one that the day it was noted on gives."""
    return re.fullmatch(rf"{note.noted_at.astimezone(UTC):%Y-%m-%d}-[1-9]\d*", note.id, re.ASCII) is not None


def _revocation_problem(note: Note, before: Sequence[Note]) -> str:
    revoked = next((other for other in before if other.id == note.revokes), None)
    if revoked is None:
        return f"there is no note {note.revokes} to revoke"
    if revoked.station != note.station:
        return f"note {note.revokes} is about another station"
    if revoked.kind == "revoke":
        return f"note {note.revokes} revokes another: write that one again instead"
    if revoked not in active(before):
        return f"note {note.revokes} is revoked already"
    return ""


def active(notes: Iterable[Note]) -> list[Note]:
    """Return the notes that hold, oldest first: those that revoke and those that are revoked are gone."""
    notes = list(notes)
    revoked = {note.revokes for note in notes if note.kind == "revoke"}
    return [note for note in notes if note.kind != "revoke" and note.id not in revoked]


def touching(notes: Iterable[Note], station: str, first: datetime, last: datetime) -> list[Note]:
    """Return the notes on a station that are about an hour from `first` to `last`, both included."""
    return [note for note in notes if note.station == station and note.touches(first, last)]


def effects(notes: Iterable[Note], first: datetime, last: datetime) -> list[str]:
    """Return what active notes do to the values from `first` to `last`, as text for a fingerprint.

    Notes that do the same to these hours give the same text, whoever wrote them and however far they reach beyond.
    """
    return [
        f"{note.kind} {note.station} {note.reading} {max(note.first or first, first)} {min(note.last or last, last)}"
        f" {note.slope!r} {note.offset!r}"
        for note in notes
        if note.kind in (*_WORDS, "calibrate") and note.touches(first, last)
    ]


def apply(rows: pd.DataFrame, notes: Iterable[Note]) -> pd.DataFrame:
    """Write what active notes say into hourly readings.

    Args:
        rows: Columns station, observed_at (UTC) and `NAMES`, as the stations reported them.
        notes: The notes, oldest first. Of several calibrations of a value the latest is taken; each is of what was
            reported, not of what another made of it.

    Returns:
        A copy with calibrated values in place of those reported; ``<pollutant>_raw`` with what was reported, NaN where
        nothing was calibrated; and ``<reading>_tests`` with the operator's digit, of readings that a note is about.
    """
    rows = rows.assign(**dict.fromkeys((f"{name}_raw" for name in POLLUTANTS), np.nan))
    digits: dict[str, Codes] = {}
    calibrations: dict[str, tuple[Floats, Floats]] = {}
    for note in notes:
        span = pd.Timestamp(note.first or _END), pd.Timestamp(note.last or _END)
        inside = (rows["station"].eq(note.station) & rows["observed_at"].between(*span)).to_numpy(dtype=bool)
        if not inside.any():
            continue
        if note.kind == "calibrate":
            empty = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
            slope, offset = calibrations.setdefault(note.reading, empty)
            slope[inside], offset[inside] = note.slope, note.offset
        elif note.kind in _WORDS:
            for name in note.readings:
                digits.setdefault(name, np.full(len(rows), NO_WORD, dtype=np.int8))[inside] = _WORDS[note.kind]
    for name, (slope, offset) in calibrations.items():
        reported = rows[name].to_numpy(dtype=float, na_value=np.nan)
        rows[f"{name}_raw"] = np.where(np.isnan(slope), np.nan, reported)
        rows[name] = np.where(np.isnan(slope), reported, slope * reported + offset)
    for name, digit in digits.items():
        rows[f"{name}_tests"] = digit.astype(str).astype(object)
    return rows


def words(rows: pd.DataFrame) -> Codes:
    """Return the operator's word on each value, (rows, readings): `INVALIDATED`, `RESTORED` or `NO_WORD`.

    Args:
        rows: Hourly readings, with ``<reading>_tests`` where a note or a test has said something.
    """
    found = np.full((len(rows), len(NAMES)), NO_WORD, dtype=np.int8)
    for position, name in enumerate(NAMES):
        if f"{name}_tests" in rows:
            place, texts = pd.factorize(rows[f"{name}_tests"])
            digits = [int(str(text)[-1]) for text in texts]
            digit = np.array([*digits, NO_WORD], dtype=np.int8)[place]  # -1, the last one, where there is no text
            found[:, position] = np.where(np.isin(digit, (INVALIDATED, RESTORED)), digit, NO_WORD)
    return found


def values(rows: pd.DataFrame, reported: bool = False) -> Floats:
    """Return the values that tests look at, (rows, readings): NaN where there is none, or an invalidated one.

    Args:
        rows: Hourly readings, as `apply` gives them.
        reported: As the stations reported them, instead of calibrated.
    """
    found = rows[list(NAMES)].to_numpy(dtype=float, na_value=np.nan, copy=True)
    for position, name in enumerate(NAMES):
        if reported and f"{name}_raw" in rows:
            raw = rows[f"{name}_raw"].to_numpy(dtype=float, na_value=np.nan)
            found[:, position] = np.where(np.isnan(raw), found[:, position], raw)
    found[words(rows) == INVALIDATED] = np.nan
    return found
