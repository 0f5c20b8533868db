"""Features of a direct forecast: what was known about a station when its last reading came in.

A forecast is anchored at the *last usable reading* of its station and pollutant, not at the hour it is issued: every
feature looks back from the anchor, and the lead (hours from the anchor to the target) decides which model is asked. A
late reading thus never has to be filled in, and a gap is seen as a gap: a lag that falls into one is NaN, and features
say for how long and how completely the station measured.
"""

import functools
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from airqino.forecasting.arrays import Floats, Ints, Matrix
from airqino.forecasting.grid import COVARIATES, WEATHER, Grid, at, change

__all__ = ["FORTNIGHT", "LOOKBACK_HOURS", "feature_matrix", "feature_names", "names_for", "nanmean", "nanmedian"]

#: Four weeks and two days: the longest look back (same hour of the week, four weeks ago), and a margin for old anchors.
LOOKBACK_HOURS = 30 * 24

_LAGS = (1, 2, 3, 4, 5, 6, 8, 12, 23, 24, 25, 47, 48, 168)
_MEANS = (3, 6, 12, 24, 72, 168, 672)
_ZEROS = (6, 24, 168)
#: Half-lives (h) of the means that the other readings are compared with.
_HALF_LIVES = (3, 24)
#: The days before that say what is usual at an hour of the day.
FORTNIGHT = range(1, 15)
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
    zero = np.zeros(1, dtype=np.int64)
    return tuple(name for name, _ in _columns(empty, pollutant, leads, zero, zero, np.zeros(1)))


def names_for(names: Sequence[str], lead: int) -> list[int]:
    """Return the positions of the columns of `feature_matrix` that serve one lead: not those of other leads."""
    return [position for position, name in enumerate(names) if name.partition("+")[2] in ("", f"{lead}")]


def feature_matrix(grid: Grid, pollutant: str, leads: Sequence[int], row: Ints, column: Ints, codes: Floats) -> Matrix:
    """Compute the features of forecasts anchored at given hours and stations.

    Args:
        grid: the readings; nothing later than an anchor's hour is read for it.
        pollutant: what is forecast.
        leads: hours from the anchor to the targets that the features shall serve.
        row: (n,) row numbers of the anchors' hours.
        column: (n,) columns of the anchors' stations.
        codes: (stations,) the model's code of each column's station; NaN for a station it does not know.

    Returns:
        (n, features) float32, columns as in `feature_names`; NaN where something was not measured.
    """
    matrix = np.empty((len(row), len(feature_names(pollutant, leads))), dtype=np.float32)
    for position, (_, values) in enumerate(_columns(grid, pollutant, leads, row, column, codes)):
        matrix[:, position] = values
    return matrix


def _columns(
    grid: Grid, pollutant: str, leads: Sequence[int], row: Ints, column: Ints, codes: Floats
) -> Iterator[tuple[str, Floats]]:
    """Give one column after the other: all at once would take twice the memory of the matrix."""
    own = grid.values[pollutant]
    anchor = at(own, row, column)
    hour = grid.start + row
    yield "station", codes[column]
    yield "hour", (hour % 24).astype(float)
    yield "weekday", ((hour // 24 + 3) % 7).astype(float)  # Monday is 0; 1970-01-01 was a Thursday
    yield "last", anchor
    for lag in _LAGS:
        yield f"lag_{lag}", at(own, row - lag, column) - anchor
    for hours in _MEANS:
        yield f"mean_{hours}", _rolling_mean(own, hours)[row, column] - anchor
    for hours in (6, 24):
        yield f"std_{hours}", _rolling_std(own, hours)[row, column]
    yield "max_24", _rolling(np.fmax, own, 24)[row, column] - anchor
    yield "min_24", _rolling(np.fmin, own, 24)[row, column] - anchor
    measured = ~np.isnan(own)
    for hours in _ZEROS:  # CO reads 0.0 for hours on end: how far it is from there says how it goes on
        share = _ratio(_rolling_sum(own == 0, hours), _rolling_sum(measured, hours))
        yield f"zero_share_{hours}", share[row, column]
    yield "present_24", _rolling_sum(measured, 24)[row, column]
    yield "run", _run_length(own)[row, column]
    yield "usual_now", _usual(own, 0, row, column) - anchor
    for name in COVARIATES + WEATHER:
        if name == pollutant:
            continue
        now = at(grid.values[name], row, column)
        yield name, now
        for lag in (1, 3):
            yield f"{name}_change_{lag}", now - at(grid.values[name], row - lag, column)
        if name != "t_int":  # in the box
            for hours in _HALF_LIVES:
                yield f"{name}_ewma_{hours}", _fading_mean(grid.values[name], hours)[row, column] - now
    others = _others_mean(own)
    now = at(others, row, column)
    yield "others_ewma_4", _fading_mean(others, 4)[row, column] - now
    yield "others_unusual", now - anchor - _rolling_median(others - own, 168)[row, column]
    for name, values in (("own", own), ("others", others)):
        anomaly = values - _median_of_hour(values)
        for lag in range(4):
            yield f"{name}_anomaly_{lag}", at(anomaly, row - lag, column)
        for hours in (6, 24):
            yield f"{name}_anomaly_mean_{hours}", _rolling_mean(anomaly, hours)[row, column]
    yield "others", now - anchor
    for lag in (1, 2, 3):
        yield f"others_change_{lag}", now - at(others, row - lag, column)
    yield "others_mean_24", now - _rolling_mean(others, 24)[row, column]
    for lead in leads:
        habits = {name: _mean_change(own, lead, row, column, *periods) for name, periods in _HABITS.items()}
        habits["usual"] = _usual(own, lead, row, column) - anchor
        habits["others_habit_14"] = _mean_change(others, lead, row, column, 24, 14)
        changes = [change(own, row - 24 * day, column, lead) for day in FORTNIGHT]
        levels = [at(own, row + lead - 24 * day, column) for day in FORTNIGHT]
        habits["median_change"] = nanmedian(changes)
        habits["mean_abs_change"] = nanmean([np.abs(values) for values in changes])
        habits["median_level"] = nanmedian(levels) - anchor
        habits["zero_share"] = nanmean([np.where(np.isnan(values), np.nan, values == 0) for values in levels])
        yield from ((f"{name}+{lead}", values) for name, values in habits.items())


def _usual(own: Floats, offset: int, row: Ints, column: Ints) -> Floats:
    """Return the mean level at the hour of the day ``offset`` hours after the anchor's, over two weeks."""
    return nanmean([at(own, row + offset - 24 * day, column) for day in FORTNIGHT])


def _mean_change(values: Floats, lead: int, row: Ints, column: Ints, period: int, times: int) -> Floats:
    return nanmean([change(values, row - period * k, column, lead) for k in range(1, times + 1)])


def nanmean(arrays: Sequence[Floats]) -> Floats:
    """Return the mean over arrays of one shape (n,), without what is NaN; NaN where all are."""
    total, count = np.zeros(len(arrays[0])), np.zeros(len(arrays[0]))
    for array in arrays:
        seen = ~np.isnan(array)
        total[seen] += array[seen]
        count += seen
    return _ratio(total, count)


def nanmedian(arrays: Sequence[Floats]) -> Floats:
    """Return the median over arrays of one shape, without what is NaN; NaN where all are."""
    ordered = np.sort(np.stack(arrays, axis=-1), axis=-1)  # NaN sorts to the end
    count = (~np.isnan(ordered)).sum(axis=-1)
    middle = [np.maximum(place, 0)[..., None] for place in ((count - 1) // 2, count // 2)]
    low, high = (np.take_along_axis(ordered, place, axis=-1)[..., 0] for place in middle)
    return np.where(count > 0, (low + high) / 2, np.nan)


def _ratio(total: Floats, count: npt.NDArray[np.generic]) -> Floats:
    ratio = np.divide(total, count, out=np.full(total.shape, np.nan), where=np.asarray(count) > 0)
    return np.asarray(ratio, dtype=float)


def _others_mean(values: Floats) -> Floats:
    """Return the mean of the other stations' readings of the same hour; NaN where no other station measured."""
    seen = ~np.isnan(values)
    count = seen.sum(axis=1, keepdims=True) - seen
    total = np.where(seen, values, 0.0)
    rest = total.sum(axis=1, keepdims=True) - total
    return _ratio(rest, count)


def _rolling_sum(values: npt.NDArray[np.generic], hours: int) -> Floats:
    total = np.cumsum(np.asarray(values, dtype=float), axis=0)
    out = total.copy()
    out[hours:] -= total[:-hours]
    return out


def _rolling_mean(values: Floats, hours: int) -> Floats:
    return _ratio(_rolling_sum(np.nan_to_num(values), hours), _rolling_sum(~np.isnan(values), hours))


def _rolling_median(values: Floats, hours: int) -> Floats:
    return np.asarray(pd.DataFrame(values).rolling(hours, min_periods=1).median(), dtype=float)


def _fading_mean(values: Floats, half_life: float) -> Floats:
    """Return the mean up to each hour in which a reading counts half as much when it is `half_life` hours older."""
    return np.asarray(pd.DataFrame(values).ewm(halflife=half_life, ignore_na=False).mean(), dtype=float)


def _median_of_hour(values: Floats) -> Floats:
    """Return the median at each hour of the day over the 14 days before, (hours, stations)."""
    out = np.full(values.shape, np.nan)
    padded = np.vstack([np.full((FORTNIGHT[-1] * 24, values.shape[1]), np.nan), values])
    for column in range(values.shape[1]):  # one station at a time: 14 days of it are held
        own = padded[:, column]
        out[:, column] = nanmedian([own[(14 - day) * 24 : len(own) - day * 24] for day in FORTNIGHT])
    return out


def _rolling_std(values: Floats, hours: int) -> Floats:
    mean = _rolling_mean(values, hours)
    square = _rolling_mean(values**2, hours)
    return np.sqrt(np.maximum(square - mean**2, 0.0))


def _rolling(combine: np.ufunc, values: Floats, hours: int) -> Floats:
    """Combine rolling windows (fmax, fmin) in log2(hours) steps: windows of 2ᵏ hours are joined until they suffice."""
    out, width = values.copy(), 1
    while width < hours:
        step = min(width, hours - width)
        shifted = np.full(values.shape, np.nan)
        shifted[step:] = out[:-step] if step < len(out) else out[:0]
        out, width = combine(out, shifted), width + step
    return out


def _run_length(values: Floats) -> Floats:
    """Count the hours measured without interruption up to each hour (0 where there is no reading), at most one week."""
    rows = np.arange(len(values))[:, None]
    gap = np.maximum.accumulate(np.where(np.isnan(values), rows, -1), axis=0)
    return np.minimum(rows - gap, 168).astype(float)
