"""The outcome of each quality test of some days, as QARTOD codes; `flags.flag_days` says what each test is.

Arrays are hours (24) × days × stations × readings, `cube` of the values that tests look at, `reported` of what the
stations sent; NaN where there is none.
"""

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from airqino.quality.contexts import FLOOR, SATURATED, Array, Context, Thresholds, beyond_range
from airqino.readings import NAMES, READINGS

__all__ = [
    "FAIL", "MISSING", "NOT_EVALUATED", "PASS", "SUSPECT", "Codes", "Known", "Mask", "of_floor", "of_humid", "of_level",
    "of_order", "of_range", "of_spike", "of_stuck",
]  # fmt: skip

Mask = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int8]

#: QARTOD's codes.
PASS, NOT_EVALUATED, SUSPECT, FAIL, MISSING = 1, 2, 3, 4, 9

#: Changes within a day that its scatter is taken from, at least.
_FEWEST_CHANGES = 8
#: How many times the level of the last days a value must be to be told, or to be taken for another unit: between the
#: units in use (mg and µg, ppm and ppb) lies a factor of about 1000; the air itself changes by less than 20 in a week.
_JUMP, _UNIT = 20.0, 100.0
#: Readings in a row that a fall to another unit shows in: a single low one may be rain.
_FALL_READINGS = 3
_LOW, _HIGH = np.array([r.plausible for r in READINGS]).T
_LOWEST_WEEK, _HIGHEST_WEEK = np.array([r.weeks for r in READINGS]).T
_NOISE = np.array([r.noise for r in READINGS])
_HUMID = np.array([r.humid for r in READINGS])
_RH, _FINE, _COARSE = (NAMES.index(name) for name in ("rh", "pm2_5", "pm10"))


class Known:
    """What the contexts of some days say, as arrays of days × stations × readings."""

    def __init__(self, around: list[Context], stations: list[str]) -> None:
        self._around, self._place = around, {station: position for position, station in enumerate(stations)}
        self.shape = len(around), len(stations), len(NAMES)

    def numbers(self, name: str, part: int | None = None) -> Array:
        """Return one of the contexts' mappings, or one part of its values; NaN where it says nothing."""
        return self._laid_out(name, np.full(self.shape, np.nan), part)

    @cached_property
    def verdict(self) -> npt.NDArray[np.str_]:
        """What the last days say of each sensor; "" where they say nothing."""
        return self._laid_out("verdicts", np.full(self.shape, "", dtype="U8"))

    def _laid_out(self, name: str, found: npt.NDArray[Any], part: int | None = None) -> npt.NDArray[Any]:
        for day, context in enumerate(self._around):
            for (station, reading), said in getattr(context, name).items():
                if station in self._place:
                    value = said if part is None else said[part]
                    found[day, self._place[station], NAMES.index(reading)] = value
        return found

    def dead(self, shape: tuple[int, ...]) -> Codes:
        """Return the outcome of the test ``dead``, of a day as a whole."""
        verdict = self.verdict
        outcome = np.select(
            [verdict == "", verdict == "dead", verdict == "at_floor"], [NOT_EVALUATED, FAIL, SUSPECT], PASS
        )
        return np.broadcast_to(outcome, shape).astype(np.int8)


def _codes(fails: Mask, suspect: Mask | bool = False, evaluated: Mask | bool = True) -> Codes:
    outcome = np.where(fails, FAIL, np.where(suspect, SUSPECT, PASS))
    return np.where(evaluated, outcome, NOT_EVALUATED).astype(np.int8)


def of_range(cube: Array, reported: Array) -> Codes:
    """Return the outcome of the test ``range``."""
    return _codes(
        beyond_range(cube, reported), evaluated=np.broadcast_to(np.isfinite(_LOW) | np.isfinite(_HIGH), cube.shape)
    )


def of_floor(reported: Array, known: Known) -> Codes:
    """Return the outcome of the test ``floor``."""
    offset = np.broadcast_to(known.verdict == "offset", reported.shape)
    return _codes(offset, reported == FLOOR, np.broadcast_to(~np.isnan(FLOOR), reported.shape))


def of_humid(cube: Array, sound: Array, dead: Codes, thresholds: Thresholds) -> Codes:
    """Return the outcome of the test ``humid``; `sound` holds no values that fail another test."""
    rh = cube[..., [_RH]]
    humid = (rh >= thresholds.humid_above) & (rh <= SATURATED) & (dead[..., [_RH]] != FAIL)
    evaluated = _HUMID & (humid | ~np.isnan(sound[..., [_RH]]))
    return _codes(np.zeros(cube.shape, dtype=bool), humid, evaluated)


def of_order(cube: Array, sound: Array) -> Codes:
    """Return the outcome of the test ``order``; `sound` holds no values that fail another test."""
    outcome = np.full(cube.shape, NOT_EVALUATED, dtype=np.int8)
    above = cube[..., _FINE] > cube[..., _COARSE]
    both = ~np.isnan(sound[..., _FINE]) & ~np.isnan(sound[..., _COARSE])
    for position in (_FINE, _COARSE):
        outcome[..., position] = _codes(above, evaluated=both)
    return outcome


def of_level(cube: Array, reported: Array, known: Known, causal: bool) -> Codes:
    """Return the outcome of the test ``level``."""
    of_days, there, clipped = known.numbers("levels"), ~np.isnan(cube), ~np.isnan(FLOOR)
    level = np.maximum(of_days, _NOISE)
    jumped, low = cube >= level * _JUMP, (cube > 0) & (reported != 0) & (cube <= level / _UNIT) & ~clipped
    row = np.zeros(cube.shape, dtype=int)
    for hour in range(len(cube)):
        before = row[hour - 1] if hour else 0
        row[hour] = np.where(there[hour], np.where(low[hour], before + 1, 0), before)
    # a row of readings is in another unit as a whole
    risen = _spread(jumped, there, (cube >= level * _UNIT).astype(int), causal) > 0
    fallen = low & (_spread(low, there, row, causal) >= _FALL_READINGS)
    foreign = np.broadcast_to((of_days < _LOWEST_WEEK) | (of_days > _HIGHEST_WEEK), cube.shape)
    return _codes(risen | fallen | foreign, jumped, np.broadcast_to(~np.isnan(level), cube.shape))


def _spread(members: Mask, there: Mask, numbers: npt.NDArray[np.int_], causal: bool) -> npt.NDArray[np.int_]:
    """Give each reading the highest number of its row of members, or of the row so far."""
    numbers = numbers.copy()
    forth, back = range(len(numbers)), range(len(numbers) - 1, -1, -1)
    for hours in (forth,) if causal else (forth, back):
        highest = np.zeros(numbers.shape[1:], dtype=int)
        for hour in hours:
            own = np.where(members[hour], np.maximum(highest, numbers[hour]), 0)
            highest = np.where(there[hour], own, highest)
            numbers[hour] = own
    return numbers


def of_stuck(cube: Array, reported: Array, known: Known, thresholds: Thresholds, causal: bool) -> Codes:
    """Return the outcome of the test ``stuck``."""
    there, longest_gap = ~np.isnan(cube), thresholds.stuck_hours
    previous = known.numbers("runs", 0)
    run = np.nan_to_num(known.numbers("runs", 1)).astype(int)
    gap = np.nan_to_num(known.numbers("runs", 2)).astype(int)
    runs = np.zeros(cube.shape, dtype=int)
    for hour, values in enumerate(cube):
        goes_on = (values == previous) & (reported[hour] != FLOOR) & (gap <= longest_gap)
        run = np.where(there[hour], np.where(goes_on, run + 1, 1), run)
        gap = np.where(there[hour], 0, gap + 1)
        runs[hour], previous = run, np.where(there[hour], values, previous)
    if not causal:  # a run's last reading knows its length: carry it back to the run's first one
        following, length = np.zeros(cube.shape[1:], dtype=int), np.zeros(cube.shape[1:], dtype=int)
        for hour in range(len(cube) - 1, -1, -1):
            own = runs[hour].copy()
            goes_on = following == own + 1
            runs[hour] = np.where(goes_on, length, own)
            length = np.where(there[hour], runs[hour], length)
            following = np.where(there[hour], own, following)
    return _codes(runs >= thresholds.stuck_hours, evaluated=reported != FLOOR)


def of_spike(cube: Array, known: Known, thresholds: Thresholds) -> Codes:
    """Return the outcome of the test ``spike``; `cube` holds no values that fail the test ``range``."""
    changes = np.abs(np.diff(cube, axis=0))
    enough = (~np.isnan(changes)).sum(axis=0) >= _FEWEST_CHANGES
    scale = np.full(cube.shape[1:], np.nan)
    scale[enough] = 1.4826 * np.nanmedian(changes[:, enough], axis=0)
    limit = thresholds.spike_deviations * np.maximum(scale, _NOISE)
    around = np.concatenate([known.numbers("last")[None], cube, known.numbers("following")[None]])
    rise, fall = np.diff(around, axis=0)[:-1], -np.diff(around, axis=0)[1:]
    fails = (np.sign(rise) == np.sign(fall)) & (np.minimum(np.abs(rise), np.abs(fall)) > limit)
    return _codes(fails, evaluated=~np.isnan(rise + fall + limit))
