"""The level of the European Air Quality Index, of one hour; beside the concentrations, never instead of them."""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from airqino.quality.flags import COUNTED
from airqino.readings import READINGS, Reading, reading

__all__ = ["level", "levels"]

#: Flags of values that have a level: those that count, but for those we doubt ourselves.
_JUDGED = tuple(flag for flag in COUNTED if flag != "level")
_INDEXED = [of for of in READINGS if of.index_bands]


def levels(columns: Mapping[str, Sequence[Any]]) -> dict[str, list[int | None]]:
    """Return the index's levels of some station-hours, 1 (good) to 6 (extremely poor).

    A concentration is rounded to a whole µg/m³, halves up, before it is compared, as the bands are written. There is
    none for CO.

    Args:
        columns: The readings of the index and their ``<reading>_flag``, of each station-hour.

    Returns:
        ``<reading>_index`` of each, None where its value does not count or is far from the days before, and ``index``:
        the worst of them; None unless NO2, O3 and one of the particles count, as the index asks of a station that is
        not at a road (European Environment Agency, European Air Quality Index, notes on its calculation).
    """
    found = {of.name: _levels(of, columns[of.name], columns[f"{of.name}_flag"]) for of in _INDEXED}
    particles = np.maximum(found["pm2_5"], found["pm10"])
    whole = np.maximum.reduce([particles, found["no2"], found["o3"]])
    whole[(particles == 0) | (found["no2"] == 0) | (found["o3"] == 0)] = 0
    return {f"{name}_index": _told(of) for name, of in found.items()} | {"index": _told(whole)}


def _levels(of: Reading, values: Sequence[float | None], flags: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the levels of one reading's values; 0 where there is none."""
    numbers = np.array(values, dtype=float)
    there = ~np.isnan(numbers) & np.isin(np.array(flags, dtype=object).astype(str), _JUDGED)
    rounded = np.floor(np.where(there, numbers, 0) + 0.5)
    return np.where(there, np.searchsorted(of.index_bands, rounded, side="left") + 1, 0)


def _told(numbers: npt.NDArray[np.int64]) -> list[int | None]:
    return [number or None for number in numbers.tolist()]


def level(name: str, value: float | None, flag: str = "ok") -> int | None:
    """Return the index's level of one concentration, 1 (good) to 6 (extremely poor).

    Args:
        name: A reading that is in the index.
        value: Its hourly value, in its unit, or what was forecast of it; None or NaN where there is none.
        flag: The value's flag; a forecast needs none.

    Returns:
        The level; None where there is no value, or one that does not count or is far from the days before.
    """
    if value is None or math.isnan(value) or flag not in _JUDGED:
        return None
    return bisect_left(reading(name).index_bands, math.floor(value + 0.5)) + 1
