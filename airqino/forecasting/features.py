"""Features of a direct forecast: what was known about a station when its last reading came in.

A forecast is anchored at the *last usable reading* of its station and pollutant, not at the hour it is issued: every
feature looks back from the anchor, and the lead (hours from the anchor to the target) decides which model is asked. A
late reading thus never has to be filled in, and a gap is seen as a gap: a lag that falls into one is NaN, and features
say for how long and how completely the station measured.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from airqino.compute import HERE, Pool
from airqino.forecasting.arrays import Floats, Ints, Matrix
from airqino.forecasting.grid import COVARIATES, WEATHER, Grid, network_sums

__all__ = ["FORTNIGHT", "LOOKBACK_HOURS", "feature_matrix", "feature_names", "names_for", "nanmean", "nanmedian"]

#: Four weeks and two days: the longest look back (same hour of the week, four weeks ago), and a margin for old anchors.
LOOKBACK_HOURS = 30 * 24

_LAGS = (1, 2, 3, 4, 5, 6, 8, 12, 23, 24, 25, 47, 48, 168)
_MEANS = (3, 6, 12, 24, 72, 168, 672)
_ZEROS = (6, 24, 168)
#: Half-lives (h) of the means that the other readings are compared with.
_HALF_LIVES = (3, 24)
#: Anchors whose hours before are held at a time.
_ANCHORS = 2000
#: The days before that say what is usual at an hour of the day.
FORTNIGHT = range(1, 15)
_DAYS = 24 * np.array(FORTNIGHT)
#: How a station usually changes between the anchor's and the target's hour: hours between the changes, and how many.
_HABITS = {
    "yesterday": (24, 1), "last_week": (168, 1), "habit_7": (24, 7), "habit_14": (24, 14), "habit_28": (24, 28),
    "habit_weeks": (168, 4),
}  # fmt: skip


def feature_names(pollutant: str, leads: Sequence[int]) -> list[str]:
    """Name the columns of `feature_matrix` in their order; ``+2`` marks one that depends on the lead."""
    return list(_names(pollutant, tuple(leads)))


@functools.cache
def _names(pollutant: str, leads: tuple[int, ...]) -> tuple[str, ...]:
    empty = Grid(0, ("",), {name: np.full((1, 1), np.nan) for name in COVARIATES + WEATHER}, {})
    past = {name: _padded(values) for name, values in empty.values.items()}
    zero = np.zeros(1, dtype=np.int64)
    return tuple(name for name, _ in _columns(empty, past, pollutant, leads, zero, zero, np.zeros(1)))


def names_for(names: Sequence[str], lead: int) -> list[int]:
    """Return the positions of the columns of `feature_matrix` that serve one lead: not those of other leads."""
    return [position for position, name in enumerate(names) if name.partition("+")[2] in ("", f"{lead}")]


def feature_matrix(
    grid: Grid, pollutant: str, leads: Sequence[int], row: Ints, column: Ints, codes: Floats, pool: Pool = HERE
) -> Matrix:
    """Compute the features of forecasts anchored at given hours and stations.

    Args:
        grid: the readings; nothing later than an anchor's hour is read for it.
        pollutant: what is forecast.
        leads: hours from the anchor to the targets that the features shall serve.
        row: (n,) row numbers of the anchors' hours.
        column: (n,) columns of the anchors' stations.
        codes: (stations,) the model's code of each column's station; NaN for a station it does not know.
        pool: where blocks of anchors are worked out.

    Returns:
        (n, features) float32, columns as in `feature_names`; NaN where something was not measured.
    """
    matrix = np.empty((len(row), len(feature_names(pollutant, leads))), dtype=np.float32)
    parts = [slice(begin, begin + _ANCHORS) for begin in range(0, len(row), _ANCHORS)]
    blocks = ((*_seen(grid, row[part]), pollutant, tuple(leads), column[part], codes) for part in parts)
    for part, block in zip(parts, pool.map(_block, blocks), strict=True):
        matrix[part] = block
    return matrix


def _seen(grid: Grid, row: Ints) -> tuple[Grid, Ints]:
    """Return what features of some anchors look at, and the rows of the anchors in it."""
    first, stop = max(int(row.min()) - LOOKBACK_HOURS, 0), int(row.max()) + 1
    network = grid.network
    if network:
        total, count = ({name: of[first:stop] for name, of in sums.items()} for sums in (network.total, network.count))
        network = replace(network, total=total, count=count)
    values = {name: of[first:stop] for name, of in grid.values.items()}
    return Grid(grid.start + first, grid.stations, values, {}, network), row - first


def _block(grid: Grid, row: Ints, pollutant: str, leads: Sequence[int], column: Ints, codes: Floats) -> Matrix:
    past = {name: _padded(values) for name, values in grid.values.items()}
    matrix = np.empty((len(row), len(feature_names(pollutant, leads))), dtype=np.float32)
    for position, (_, values) in enumerate(_columns(grid, past, pollutant, leads, row, column, codes)):
        matrix[:, position] = values
    return matrix


def _columns(
    grid: Grid, past: Mapping[str, Floats], pollutant: str, leads: Sequence[int], row: Ints, column: Ints, codes: Floats
) -> Iterator[tuple[str, Floats]]:
    """Give one column after the other: all at once would take twice the memory of the matrix."""
    own = _back(past[pollutant], row, column)
    anchor, hour = own[0], grid.start + row
    yield "station", codes[column]
    yield "hour", (hour % 24).astype(float)
    yield "weekday", ((hour // 24 + 3) % 7).astype(float)  # Monday is 0; 1970-01-01 was a Thursday
    yield "last", anchor
    for lag in _LAGS:
        yield f"lag_{lag}", own[lag] - anchor
    for hours in _MEANS:
        yield f"mean_{hours}", nanmean(own[:hours]) - anchor
    for hours in (6, 24):
        yield f"std_{hours}", np.sqrt(np.maximum(nanmean(own[:hours] ** 2) - nanmean(own[:hours]) ** 2, 0.0))
    yield "max_24", np.fmax.reduce(own[:24]) - anchor
    yield "min_24", np.fmin.reduce(own[:24]) - anchor
    absent = np.isnan(own[:168])
    for hours in _ZEROS:  # CO reads 0.0 for hours on end: how far it is from there says how it goes on
        yield f"zero_share_{hours}", _ratio((own[:hours] == 0).sum(axis=0), (~absent[:hours]).sum(axis=0))
    yield "present_24", (~absent[:24]).sum(axis=0)
    # the hours measured without interruption, at most one week
    yield "run", np.where(absent.any(axis=0), absent.argmax(axis=0), len(absent))
    yield "usual_now", nanmean(own[_DAYS]) - anchor
    for name in COVARIATES + WEATHER:
        if name == pollutant:
            continue
        values = _back(past[name], row, column, 4 if name == "t_int" else LOOKBACK_HOURS)
        now = values[0]
        yield name, now
        for lag in (1, 3):
            yield f"{name}_change_{lag}", now - values[lag]
        if name != "t_int":  # in the box
            for hours, mean in zip(_HALF_LIVES, _fading_means(values, _HALF_LIVES), strict=True):
                yield f"{name}_ewma_{hours}", mean - now
    others = _others_mean(grid, pollutant, own, row)
    now = others[0]
    yield "others_ewma_4", _fading_means(others, (4,))[0] - now
    yield "others_unusual", now - anchor - nanmedian(others[:168] - own[:168])
    for name, values in (("own", own), ("others", others)):
        days = values[24 : 24 * (FORTNIGHT[-1] + 1)].reshape(len(FORTNIGHT), 24, len(row))
        anomaly = values[:24] - nanmedian(days)  # from what is usual at the hour of the day
        for lag in range(4):
            yield f"{name}_anomaly_{lag}", anomaly[lag]
        for hours in (6, 24):
            yield f"{name}_anomaly_mean_{hours}", nanmean(anomaly[:hours])
    yield "others", now - anchor
    for lag in (1, 2, 3):
        yield f"others_change_{lag}", now - others[lag]
    yield "others_mean_24", now - nanmean(others[:24])
    for lead in leads:
        habits = {name: _mean_change(own, lead, *periods) for name, periods in _HABITS.items()}
        levels = own[_DAYS - lead]
        changes = levels - own[_DAYS]
        habits["usual"] = nanmean(levels) - anchor
        habits["others_habit_14"] = _mean_change(others, lead, 24, 14)
        habits["median_change"] = nanmedian(changes)
        habits["mean_abs_change"] = nanmean(np.abs(changes))
        habits["median_level"] = nanmedian(levels) - anchor
        habits["zero_share"] = _ratio((levels == 0).sum(axis=0), (~np.isnan(levels)).sum(axis=0))
        yield from ((f"{name}+{lead}", values) for name, values in habits.items())


def _padded(values: Floats) -> Floats:
    """Return values with as many hours without a reading before them as features look back."""
    return np.vstack([np.full((LOOKBACK_HOURS, values.shape[1]), np.nan), values])


def _back(padded: Floats, row: Ints, column: Ints, hours: int = LOOKBACK_HOURS) -> Floats:
    """Return the (hours, n) values of each anchor's hour (first) and of those before it."""
    stations = padded.shape[1]
    anchor = (row + LOOKBACK_HOURS) * stations + column
    return np.asarray(padded.ravel()[anchor - np.arange(hours)[:, None] * stations])


def _mean_change(back: Floats, lead: int, period: int, times: int) -> Floats:
    """Return the mean of the changes over a lead, of a day at most, that began so many periods before the anchor."""
    begin = period * np.arange(1, times + 1)
    return nanmean(back[begin - lead] - back[begin])


def nanmean(arrays: Floats | Sequence[Floats]) -> Floats:
    """Return the mean over arrays of one shape (n,), without what is NaN; NaN where all are."""
    values = np.asarray(arrays)
    seen = ~np.isnan(values)
    return _ratio(np.where(seen, values, 0.0).sum(axis=0), seen.sum(axis=0))


def nanmedian(arrays: Floats | Sequence[Floats]) -> Floats:
    """Return the median over arrays of one shape, without what is NaN; NaN where all are."""
    ordered = np.sort(np.asarray(arrays), axis=0)  # NaN sorts to the end
    count = (~np.isnan(ordered)).sum(axis=0)
    middle = [np.maximum(place, 0)[None] for place in ((count - 1) // 2, count // 2)]
    low, high = (np.take_along_axis(ordered, place, axis=0)[0] for place in middle)
    return np.where(count > 0, (low + high) / 2, np.nan)


def _ratio(total: npt.NDArray[Any], count: npt.NDArray[Any]) -> Floats:
    ratio = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return np.asarray(ratio, dtype=float)


def _others_mean(grid: Grid, pollutant: str, own: Floats, row: Ints) -> Floats:
    """Return the mean of the other stations' readings, as `_back` does; NaN where no other station measured."""
    network = grid.network
    total, count = (
        (network.total[pollutant], network.count[pollutant]) if network else network_sums(grid.values[pollutant])
    )
    before, seen = np.zeros(LOOKBACK_HOURS), ~np.isnan(own)
    at = row + LOOKBACK_HOURS - np.arange(len(own))[:, None]
    total, count = np.concatenate([before, total])[at], np.concatenate([before, count])[at]
    return _ratio(total - np.where(seen, own, 0.0), count - seen)


def _fading_means(back: Floats, half_lives: Sequence[int]) -> Floats:
    """Return means of hours as from `_back`, in which one counts half as much when it is a half-life (h) older."""
    seen = ~np.isnan(back)
    weights = 0.5 ** (np.arange(len(back)) / np.array(half_lives)[:, None])
    total, weight = (np.einsum("kh,hn->kn", weights, of) for of in (np.where(seen, back, 0.0), seen.astype(float)))
    return _ratio(total, weight)
