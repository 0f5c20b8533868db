"""Quality flags: whether an hourly value can be trusted, and if not, why.

The tests are the usual ones of real-time quality control; names and order follow the gross-range, flat-line and spike
tests of U.S. IOOS, *Manual for Real-Time Quality Control* (QARTOD, 2020) and the range and persistence checks of
WMO-No. 8, *Guide to Instruments and Methods of Observation*, vol. V ch. 1. The thresholds are in luigi.cfg
``[quality]``.

A flag says nothing about any later day: a day's flags depend on its own readings and on the few days before it,
and of those only through a `Context`, so that a late reading rebuilds its own day and seldom another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from airqino.readings import NAMES, READINGS

__all__ = ["FLAGS", "Context", "Thresholds", "contexts", "flag_days", "flag_history"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: Every flag, from best to worst; where several rules fit, the worst is given.
FLAGS = ("ok", "spike", "stuck", "dead", "out_of_range", "absent")

#: Days that a history is flagged in at a time: 200 stations then take 10 MB.
_CHUNK = 31


@dataclass(frozen=True)
class Thresholds:
    """The numbers of the rules; the defaults are those of luigi.cfg."""

    stuck_hours: int = 6
    dead_days: int = 7
    dead_hours: int = 96
    dead_share: float = 0.94
    spike_deviations: float = 12.0


@dataclass(frozen=True)
class Context:
    """All that a day's flags need to know of the days before it.

    Attributes:
        dead: (station, reading) of each sensor that has been zero or constant for days.
        runs: (station, reading, value, hours) where the last hour before the day continues a run of at least two
            equal non-zero values; hours count up to `Thresholds.stuck_hours`.
    """

    dead: frozenset[tuple[str, str]] = frozenset()
    runs: frozenset[tuple[str, str, float, int]] = frozenset()

    def content(self) -> list[Any]:
        """Return the context as plain content, for a fingerprint."""
        return [sorted(map(list, self.dead)), sorted(map(list, self.runs))]


def contexts(
    before: pd.DataFrame, starts: Sequence[pd.Timestamp], thresholds: Thresholds = Thresholds()
) -> list[Context]:
    """Sum up the days before each of some days.

    A sensor is **dead** when a share of `dead_share` or more of its last `dead_hours` readings within the
    `dead_days` days before the day was zero or equal to the reading before; with less than half as many readings
    nothing is said. So a sensor that was dead before a gap of days is dead after it, until it shows life. Source:
    the persistence check of WMO-No. 8 over days instead of hours; on real stations no live sensor came near it in
    two years (a live CO sensor reads 0.0 in 45 % of its hours, a dead one in 99.5 %).

    Args:
        before: Hourly readings, columns station, observed_at (UTC) and `NAMES`; of each day only those of the
            days before count.
        starts: Beginnings of the days, UTC, not far from each other.
        thresholds: The rules' numbers.

    Returns:
        The context of each day.
    """
    window, hour = 24 * thresholds.dead_days, pd.Timedelta(hours=1)
    first, end = min(starts) - window * hour, max(starts)
    at = before["observed_at"]
    rows = before[(at >= first) & (at < end)]
    if rows.empty:
        return [Context() for _ in starts]
    cube, stations = _cube(rows, first, (end - first) // hour)
    begins = [(start - first) // hour - window for start in starts]
    return [_context(cube[begin : begin + window], stations, thresholds) for begin in begins]


def _context(cube: Array, stations: list[str], thresholds: Thresholds) -> Context:
    there = ~np.isnan(cube)
    recent = there & (np.cumsum(there[::-1], axis=0)[::-1] <= thresholds.dead_hours)
    # each reading's predecessor, across gaps
    place = np.maximum.accumulate(np.where(there, np.arange(len(cube))[:, None, None], 0), axis=0)
    same = np.zeros_like(there)
    same[1:] = cube[1:] == np.take_along_axis(cube, place[:-1], axis=0)
    count = recent.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.maximum((recent & (cube == 0)).sum(axis=0), (recent & same).sum(axis=0)) / count
    dead = (count >= thresholds.dead_hours / 2) & (share >= thresholds.dead_share)
    last = cube[-1]
    run = np.zeros(last.shape, dtype=int)
    going = ~np.isnan(last) & (last != 0)
    for values in cube[: -thresholds.stuck_hours - 1 : -1]:
        going &= values == last
        if not going.any():
            break
        run += going
    return Context(
        dead=frozenset((stations[s], NAMES[r]) for s, r in np.argwhere(dead)),
        runs=frozenset((stations[s], NAMES[r], float(last[s, r]), int(run[s, r])) for s, r in np.argwhere(run >= 2)),
    )


def flag_days(
    days: pd.DataFrame,
    before: Mapping[pd.Timestamp, Context],
    thresholds: Thresholds = Thresholds(),
    causal: bool = False,
) -> pd.DataFrame:
    """Flag each value of some days, each day by itself.

    The rules, the worst that fits counts:

    - ``absent``: there is no value.
    - ``out_of_range``: outside the reading's plausible range (QARTOD gross-range test).
    - ``dead``: the sensor is dead, see `contexts`; all its values of the day are flagged.
    - ``stuck``: part of a run of at least `stuck_hours` consecutive hours with the same non-zero value, which may
      have begun on the day before, with two hours of it at least (QARTOD flat-line test). Zero is no sign of it:
      clean air reads 0.0 for hours.
    - ``spike``: further than `spike_deviations` robust standard deviations (1.4826 × the median absolute hourly
      change of the day, of at least 8 changes) above or below **both** neighbouring hours of the day (QARTOD spike
      test, with the scale of Rousseeuw & Croux, JASA 88, 1993).
    - ``ok``: none of these.

    Args:
        days: Hourly readings of these days, columns station, observed_at and `NAMES`, at most one row per station
            and hour.
        before: Beginning (UTC) of each day that has rows, and what the days before say of it; in time order.
        thresholds: The rules' numbers.
        causal: Flag an hour only by what was known when it ended: a run is flagged from its `stuck_hours`-th hour
            on instead of as a whole, and no spikes are looked for.

    Returns:
        One column ``<reading>_flag`` for each reading, on the index of `days`.
    """
    stations, starts = sorted(days["station"].unique()), pd.DatetimeIndex(list(before))
    at = pd.DatetimeIndex(days["observed_at"])
    day = starts.searchsorted(at, side="right") - 1
    hour = np.asarray((at - starts[day]) // pd.Timedelta(hours=1), dtype=np.intp)
    places = hour, day, _codes(days, stations)
    cube = np.full((24, len(starts), len(stations), len(NAMES)), np.nan)
    cube[places] = days[list(NAMES)].to_numpy(dtype=float, na_value=np.nan)
    flags = np.full(cube.shape, FLAGS.index("ok"), dtype=np.int8)
    if not causal:
        flags[_spikes(cube, thresholds)] = FLAGS.index("spike")
    flags[_stuck(cube, stations, list(before.values()), thresholds, causal)] = FLAGS.index("stuck")
    for d, known in enumerate(before.values()):
        for station, reading in known.dead:
            if station in stations:
                flags[:, d, stations.index(station), NAMES.index(reading)] = FLAGS.index("dead")
    low, high = np.array([r.plausible for r in READINGS]).T
    flags[(cube < low) | (cube > high)] = FLAGS.index("out_of_range")
    flags[np.isnan(cube)] = FLAGS.index("absent")
    names = np.array(FLAGS, dtype=object)[flags[places]]
    return pd.DataFrame({f"{r}_flag": names[:, i] for i, r in enumerate(NAMES)}, index=days.index, dtype="str")


def flag_history(hourly: pd.DataFrame, thresholds: Thresholds = Thresholds(), causal: bool = False) -> pd.DataFrame:
    """Flag each value of many days, day by day as the pipeline does.

    Args:
        hourly: Hourly readings, columns station, observed_at (UTC) and `NAMES`.
        thresholds: The rules' numbers.
        causal: See `flag_days`.

    Returns:
        A copy of `hourly`, sorted by hour and station, with the flag columns.
    """
    hourly = hourly.sort_values(["observed_at", "station"], ignore_index=True)
    at = hourly["observed_at"]
    days = list(at.dt.floor("D").unique())
    parts = []
    for chunk in (days[i : i + _CHUNK] for i in range(0, len(days), _CHUNK)):
        earliest = chunk[0] - timedelta(days=thresholds.dead_days)
        first, begin, end = at.searchsorted([earliest, chunk[0], chunk[-1] + timedelta(days=1)])
        before = contexts(hourly.iloc[first:end], chunk, thresholds)
        parts.append(flag_days(hourly.iloc[begin:end], dict(zip(chunk, before, strict=True)), thresholds, causal))
    return pd.concat([hourly, pd.concat(parts)], axis=1) if parts else hourly


def _cube(rows: pd.DataFrame, start: pd.Timestamp, hours: int) -> tuple[Array, list[str]]:
    """Lay rows out as hours × stations × readings, NaN where there is none."""
    stations = sorted(rows["station"].unique())
    cube = np.full((hours, len(stations), len(NAMES)), np.nan)
    hour = np.asarray((rows["observed_at"] - start) // pd.Timedelta(hours=1), dtype=np.intp)
    cube[hour, _codes(rows, stations)] = rows[list(NAMES)].to_numpy(dtype=float, na_value=np.nan)
    return cube, stations


def _codes(rows: pd.DataFrame, stations: list[str]) -> npt.NDArray[np.intp]:
    return np.asarray(pd.Categorical(rows["station"], categories=stations).codes, dtype=np.intp)


def _stuck(cube: Array, stations: list[str], before: list[Context], thresholds: Thresholds, causal: bool) -> Mask:
    previous = np.full(cube.shape[1:], np.nan)
    run = np.zeros(cube.shape[1:], dtype=int)
    for day, known in enumerate(before):
        for station, reading, value, hours in known.runs:
            if station in stations:
                place = day, stations.index(station), NAMES.index(reading)
                previous[place], run[place] = value, hours
    runs = np.zeros(cube.shape, dtype=int)
    for i, values in enumerate(cube):
        run = np.where((values == previous) & (values != 0), run + 1, 1)
        runs[i], previous = run, values
    if not causal:  # a run's last hour knows its length: carry it back to the run's first hour
        for i in range(len(cube) - 2, -1, -1):
            runs[i] = np.where(cube[i + 1] == cube[i], runs[i + 1], runs[i])
    stuck: Mask = (runs >= thresholds.stuck_hours) & (cube != 0)
    return stuck


def _spikes(cube: Array, thresholds: Thresholds) -> Mask:
    change = np.diff(cube, axis=0)
    enough = (~np.isnan(change)).sum(axis=0) >= 8
    scale = np.full(cube.shape[1:], np.nan)
    scale[enough] = 1.4826 * np.nanmedian(np.abs(change[:, enough]), axis=0)
    scale[scale == 0] = np.nan
    spikes = np.zeros(cube.shape, dtype=bool)
    limit = thresholds.spike_deviations * scale
    up = (change[:-1] > limit) & (change[1:] < -limit)
    down = (change[:-1] < -limit) & (change[1:] > limit)
    spikes[1:-1] = up | down
    return spikes
