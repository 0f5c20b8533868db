"""What the flags of a day need to know of the days around it, and no more.

A day is flagged anew only where its `Context` changes, so a late reading rebuilds its own day and seldom another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from airqino.quality import notes
from airqino.readings import NAMES, READINGS

__all__ = ["FLOOR", "SATURATED", "Array", "Context", "Thresholds", "beyond_range", "contexts"]

Array = npt.NDArray[np.float64]
Pair = tuple[str, str]

#: Readings that the level of a sensor is taken from, at least: those of one day.
_LEVEL_HOURS = 24
#: Relative humidity, %, up to which a humidity sensor may read in saturated air.
SATURATED = 110.0
#: Share of the readings below the plausible range from which a sensor's zero is off.
_OFFSET_SHARE = 0.5

_LOW, _HIGH = np.array([r.plausible for r in READINGS]).T
_FULL = np.array([np.inf if r.full_scale is None else r.full_scale for r in READINGS])
#: The value that the source writes for whatever lies below it, of each reading; NaN where it clips nothing.
FLOOR = np.array([np.nan if r.floor is None else r.floor for r in READINGS])
_CLIPPED = ~np.isnan(FLOOR)

#: Stations whose days are laid out at a time: those of 10,000 take 0.8 GB.
_BLOCK = 1000


@dataclass(frozen=True)
class Thresholds:
    """The numbers of the rules; the defaults are those of luigi.cfg."""

    stuck_hours: int = 6
    dead_days: int = 7
    dead_hours: int = 96
    dead_share: float = 0.94
    spike_deviations: float = 12.0
    humid_above: float = 70.0


@dataclass(frozen=True)
class Context:
    """All that a day's flags need to know of the days around it.

    Attributes:
        verdicts: (station, reading) → what the last days say of the sensor: ``alive``, ``dead``, ``at_floor`` or
            ``offset``; none of a sensor that gave too few readings to tell.
        runs: (station, reading) → (value, readings, hours): the run of equal values, not at a floor, that the last
            reading before the day belongs to, of two readings at least, and the hours since the last of them.
        levels: (station, reading) → the median of the last days, rounded to a power of two, so that it seldom changes.
        last: (station, reading) → value of the hour before the day, if it is in range.
        following: (station, reading) → value of the hour after the day, if it is in range.
    """

    verdicts: Mapping[Pair, str] = field(default_factory=dict)
    runs: Mapping[Pair, tuple[float, int, int]] = field(default_factory=dict)
    levels: Mapping[Pair, float] = field(default_factory=dict)
    last: Mapping[Pair, float] = field(default_factory=dict)
    following: Mapping[Pair, float] = field(default_factory=dict)

    @cached_property
    def content(self) -> list[Any]:
        """The context as plain content, for a fingerprint."""
        found = (getattr(self, of.name) for of in fields(self))
        return [sorted((*pair, said) for pair, said in known.items()) for known in found]


def beyond_range(values: Array, reported: Array) -> npt.NDArray[np.bool_]:
    """Tell which values, (..., readings), are beyond the plausible range, or stand at the end of the sensor's scale."""
    return np.asarray((values < _LOW) | (values > _HIGH) | (reported >= _FULL), dtype=bool)


def contexts(
    around: pd.DataFrame, starts: Sequence[pd.Timestamp], thresholds: Thresholds = Thresholds()
) -> list[Context]:
    """Sum up the days around each of some days.

    What is said of a sensor rests on its last `dead_hours` readings within the `dead_days` days before the day; with
    less than half as many nothing is said. A sensor that was dead before a gap of days is dead after it, until it shows
    life.

    - ``dead``: a share of `dead_share` or more of them is zero or equal to the reading before. Source: the persistence
      check of WMO-No. 8 over days instead of hours; on real stations no live sensor came near it in two years.
    - ``at_floor``: the same share stands at the floor that the source clips at. Such a sensor is dead or its zero lies
      too low; which of the two, clipped values cannot tell.
    - ``offset``: half or more of them lie below the plausible range of a reading that the source clips: its zero is
      off. Only values that were not clipped show it.

    What an operator invalidated is as if it were not there. Values are taken calibrated, but for whether they are zero
    or at the floor: that is said of what the station reported.

    Args:
        around: Hourly readings, columns station, observed_at (UTC) and `NAMES`, and what `notes.apply` adds; of each
            day only those of the days before count, and the first hour after it.
        starts: Beginnings of the days, UTC, not far from each other.
        thresholds: The rules' numbers.

    Returns:
        The context of each day.
    """
    window, hour = 24 * thresholds.dead_days, pd.Timedelta(hours=1)
    first, end = min(starts) - window * hour, max(starts) + 25 * hour
    at = around["observed_at"]
    inside = (at >= first) & (at < end)
    rows = around if inside.all() else around[inside]  # of thousands of stations a copy is hundreds of MB
    if rows.empty:
        return [Context() for _ in starts]
    stations = sorted(rows["station"].unique())
    code = np.asarray(pd.Categorical(rows["station"], categories=stations).codes, dtype=np.intp)
    place = np.asarray((rows["observed_at"] - first) // hour, dtype=np.intp)
    begins = [(start - first) // hour for start in starts]
    parts: list[list[Context]] = []
    for begin in range(0, len(stations), _BLOCK):
        named = stations[begin : begin + _BLOCK]
        within = code // _BLOCK == begin // _BLOCK
        cube = np.full(((end - first) // hour, len(named), len(NAMES)), np.nan)
        told = cube.copy()
        cell, of_block = (place[within], code[within] - begin), rows[within]
        cube[cell], told[cell] = notes.values(of_block), notes.values(of_block, reported=True)
        neighbours = np.where(beyond_range(cube, told), np.nan, cube)
        of_days = ((cube[b - window : b], told[b - window : b], neighbours[[b - 1, b + 24]]) for b in begins)
        parts.append([_context(*of, named, thresholds) for of in of_days])
    return [_together(of_day) for of_day in zip(*parts, strict=True)]


def _together(parts: Sequence[Context]) -> Context:
    """Return the context of all stations of a day."""
    if len(parts) == 1:
        return parts[0]
    names = [of.name for of in fields(Context)]
    return Context(**{name: {pair: of for part in parts for pair, of in getattr(part, name).items()} for name in names})


def _context(cube: Array, reported: Array, neighbours: Array, stations: list[str], thresholds: Thresholds) -> Context:
    there = ~np.isnan(cube)
    last, following = neighbours

    def named(values: npt.NDArray[Any], where: npt.NDArray[np.bool_]) -> dict[Pair, Any]:
        return {(stations[s], NAMES[r]): values[s, r].item() for s, r in np.argwhere(where)}

    usable = there & (cube >= _LOW) & (cube <= _HIGH) & ~(reported == FLOOR)
    enough = (usable.sum(axis=0) >= _LEVEL_HOURS) & ~np.isin(NAMES, ("t", "rh", "t_int"))
    level = np.zeros(enough.shape)
    level[enough] = np.nanmedian(np.where(usable, cube, np.nan)[:, enough], axis=0)
    rounded = np.exp2(np.round(np.log2(np.maximum(level, 1e-9))))
    verdict = _verdicts(cube, reported, there, thresholds)
    return Context(
        verdicts=named(verdict, verdict != ""),
        runs=_runs(cube, reported, there, stations, thresholds.stuck_hours),
        levels=named(rounded, enough & (level > 0)),
        last=named(last, ~np.isnan(last)),
        following=named(following, ~np.isnan(following)),
    )


def _verdicts(
    cube: Array, reported: Array, there: npt.NDArray[np.bool_], thresholds: Thresholds
) -> npt.NDArray[np.str_]:
    """Return what is said of each sensor, (stations, readings); "" of one with too few readings."""
    recent = there & (np.cumsum(there[::-1], axis=0)[::-1] <= thresholds.dead_hours)
    # each reading's predecessor, across gaps
    place = np.maximum.accumulate(np.where(there, np.arange(len(cube))[:, None, None], 0), axis=0)
    same = np.zeros_like(there)
    same[1:] = cube[1:] == np.take_along_axis(cube, place[:-1], axis=0)
    at_floor = reported == FLOOR
    count = recent.sum(axis=0)

    def share(what: npt.NDArray[np.bool_]) -> Array:
        return np.asarray((recent & what).sum(axis=0) / np.maximum(count, 1), dtype=float)

    constant = np.maximum(share(same & ~at_floor), share((reported == 0) & ~at_floor))
    verdict = np.full(count.shape, "alive", dtype="U8")
    verdict[(share(cube < _LOW) >= _OFFSET_SHARE) & _CLIPPED] = "offset"
    verdict[constant >= thresholds.dead_share] = "dead"
    verdict[share(at_floor) >= thresholds.dead_share] = "at_floor"
    verdict[count < thresholds.dead_hours / 2] = ""
    return verdict


def _runs(
    cube: Array, reported: Array, there: npt.NDArray[np.bool_], stations: list[str], stuck_hours: int
) -> dict[Pair, tuple[float, int, int]]:
    """Return the run of equal values that each sensor's last reading belongs to; see `Context.runs`."""
    hours = np.arange(len(cube))[:, None, None]
    last_at = np.where(there, hours, -1).max(axis=0)
    value, told = (np.take_along_axis(of, np.maximum(last_at, 0)[None], axis=0)[0] for of in (cube, reported))
    open_ = (last_at >= len(cube) - 1 - stuck_hours) & (told != FLOOR)
    run, gap = np.zeros(value.shape, dtype=int), np.zeros(value.shape, dtype=int)
    since = np.where(open_, len(cube) - 1 - last_at, 0)
    going = open_.copy()
    for values, given in zip(cube[::-1], there[::-1], strict=True):
        gap = np.where(given, 0, gap + 1)
        going &= ~(given & (values != value)) & (gap <= stuck_hours)
        going &= run < stuck_hours  # a longer run says no more
        if not going.any():
            break
        run += going & given
    return {
        (stations[s], NAMES[r]): (value[s, r].item(), run[s, r].item(), since[s, r].item())
        for s, r in np.argwhere(open_ & (run >= 2))
    }
