"""The level of the European Air Quality Index, of one hour; beside the concentrations, never instead of them."""

import math
from bisect import bisect_left
from collections.abc import Mapping
from typing import Any

from airqino.quality.flags import COUNTED
from airqino.readings import READINGS, reading

__all__ = ["level", "levels"]

#: Flags of values that have a level: those that count, but for those we doubt ourselves.
_JUDGED = tuple(flag for flag in COUNTED if flag != "level")
_INDEXED = [of for of in READINGS if of.index_bands]


def levels(row: Mapping[str, Any]) -> dict[str, int | None]:
    """Return the index's levels of one station's hour, 1 (good) to 6 (extremely poor).

    A concentration is rounded to a whole µg/m³, halves up, before it is compared, as the bands are written. There is
    none for CO.

    Args:
        row: The readings of the index and their ``<reading>_flag``.

    Returns:
        ``<reading>_index`` of each, None where its value does not count or is far from the days before, and ``index``:
        the worst of them; None unless NO2, O3 and one of the particles count, as the index asks of a station that is
        not at a road (European Environment Agency, European Air Quality Index, notes on its calculation).
    """
    found = {of.name: level(of.name, row[of.name], row[f"{of.name}_flag"]) for of in _INDEXED}
    particles = [number for name in ("pm2_5", "pm10") if (number := found[name]) is not None]
    gases = [number for name in ("no2", "o3") if (number := found[name]) is not None]
    whole = max(particles + gases) if particles and len(gases) == 2 else None
    return {f"{name}_index": number for name, number in found.items()} | {"index": whole}


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
