"""The chance that a day's mean will exceed a guideline.

For each day a model forecasts, from one reading, the mean of the day's hours that are still to come, as a change from
that reading. With what was measured so far this gives the day's mean. How far such means were off in the last 120 days
before the training, each forecast by a fit that had not seen its day, says how likely the guideline is exceeded: these
are errors of whole days, so the dependence between the errors of consecutive hours is in them. They are taken over all
stations together, and as ratios, because a day's mean is off by more where there is more in the air.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self

import numpy as np

from airqino.compute import HERE, Pool
from airqino.forecasting import boosting
from airqino.forecasting.arrays import Bools, Floats, Ints, Matrix
from airqino.forecasting.boosting import LeadModel, Recipe
from airqino.forecasting.features import FORTNIGHT, feature_matrix, feature_names, nanmean, nanmedian
from airqino.forecasting.grid import Grid
from airqino.forecasting.spans import POLLUTANT, VALID_SHARE, Spans
from airqino.readings import reading

__all__ = ["DAYS", "EVENING_HOUR", "DayModel", "chances", "fit_days"]

#: Which day, as counted from that of the reading.
DAYS = {"today": 0, "tomorrow": 1}
#: From this hour of the station's day on, the next day is forecast too.
EVENING_HOUR = 18
#: Readings from this hour on forecast the next day: an hour before the first such forecast, or up to two earlier.
_FIRST_HOUR_FOR_TOMORROW = EVENING_HOUR - 3
#: Errors are those of so many days before the training: they change with the season.
_ERROR_DAYS = 120
#: These are forecast in so many blocks, each by a fit without it.
_BLOCKS = 3
#: Fewer days' errors say too little of how sure a forecast is.
_FEWEST_ERRORS = 20
#: Errors are kept as so many quantiles.
_KEPT = 199
#: Leads whose habits the trees are given.
_LEADS = (1, 3, 6, 12)


@dataclass(frozen=True)
class DayModel:
    """What forecasts the mean of a day from a reading of that day, or of the day before.

    Attributes:
        rest: forecasts the mean of those of the day's hours that come after the reading.
        errors: for each hour (0 to 24) of the station's day, quantiles of log((1 + mean) / (1 + forecast of the mean))
            of days it had not seen, in order; empty where there are too few.
        reliability: of those days, by fifths of the chance: its mean, how often the guideline was exceeded, and of how
            many forecasts; fifths without any are left out.
    """

    rest: LeadModel
    errors: tuple[tuple[float, ...], ...]
    reliability: tuple[tuple[float, float, int], ...] = ()

    def chance(self, mean: Floats, hour: Ints, limit: float) -> Floats:
        """Return the probability that the day's mean exceeds a limit.

        Args:
            mean: (n,) forecasts of the mean.
            hour: (n,) hour of the station's day of the reading.
            limit: in the pollutant's unit.

        Returns:
            (n,) from above 0 to below 1: that something never happened does not mean that it cannot; NaN where there
            are too few errors, or no forecast.
        """
        out = np.full(len(mean), np.nan)
        for of in np.unique(hour):
            errors, at = np.array(self.errors[of]), hour == of
            if len(errors):
                needed = np.log1p(limit) - np.log1p(np.maximum(mean[at], 0.0))
                beyond = len(errors) - np.searchsorted(errors, needed, side="right")
                out[at] = np.where(np.isnan(mean[at]), np.nan, (beyond + 0.5) / (len(errors) + 1))
        return out


@dataclass(frozen=True)
class _Anchors:
    """Readings from which the mean of a day is forecast."""

    day: int
    row: Ints
    column: Ints
    hour: Ints  # of the station's day
    last: Floats
    so_far: Floats  # sum of the day's readings up to this one
    n_so_far: Ints
    left: Ints  # the day's hours after it
    features: Matrix

    @classmethod
    def of(cls, spans: Spans, day: int, row: Ints, column: Ints, codes: Floats, pool: Pool = HERE) -> Self:
        """Measure what is known at some readings."""
        grid, now = spans.grid, row + 1
        midnight, _ = spans.bounds(row, column, 0)
        begin, end = spans.bounds(row, column, day)
        last = grid.values[POLLUTANT][row, column]
        so_far, n = spans.mean(midnight, now, column)
        features = feature_matrix(grid, POLLUTANT, _LEADS, row, column, codes, pool)
        more = np.column_stack(list(_more(spans, day, row, column, last, so_far).values())).astype(np.float32)
        whole = np.zeros(len(row), dtype=np.int64) if day else n
        total = np.where(whole > 0, so_far * whole, 0.0)
        left = end - np.maximum(begin, now)
        return cls(day, row, column, row - midnight, last, total, whole, left, np.hstack([features, more]))

    def where(self, keep: Bools | Ints) -> Self:
        """Return some of them."""
        columns = {name: values[keep] for name, values in vars(self).items() if name != "day"}
        return replace(self, **columns)

    def mean(self, rest: Floats) -> Floats:
        """Return the day's mean, of the mean of the rest."""
        return (self.so_far + self.left * np.maximum(rest, 0.0)) / (self.n_so_far + self.left)


def _more(spans: Spans, day: int, row: Ints, column: Ints, last: Floats, so_far: Floats) -> dict[str, Floats]:
    """Return the features of a day, (n,) by name; none reads beyond the row."""
    now = row + 1
    begin, end = spans.bounds(row, column, day)
    yesterday, _ = spans.mean(*spans.bounds(row, column, -1), column)
    three, _ = spans.mean(now - 3, now, column)
    levels, changes = [], []
    for back in FORTNIGHT:
        earlier = row - 24 * back
        first, stop = spans.bounds(earlier, column, day)
        level, _ = spans.mean(np.maximum(first, earlier + 1), stop, column)
        level[stop > now] = np.nan  # not over yet
        levels.append(level)
        changes.append(
            level - np.where(earlier >= 0, spans.grid.values[POLLUTANT][np.maximum(earlier, 0), column], np.nan)
        )
    return {
        "hours_left": (end - np.maximum(begin, now)).astype(float),
        "day_so_far": so_far - last,
        "last_three": three - last,
        "day_before": yesterday - last,
        "rest_level": nanmean(levels) - last,
        "rest_median_level": nanmedian(levels) - last,
        "rest_change": nanmean(changes),
        "rest_median_change": nanmedian(changes),
        "rest_change_7": nanmean(changes[:7]),
    }


def fit_days(
    grid: Grid,
    zones: Mapping[str, str],
    thinned: Callable[[Ints, Ints], Ints],
    recipe: Recipe,
    seed: int,
    pool: Pool = HERE,
) -> dict[str, DayModel]:
    """Fit the models of today's and tomorrow's mean, and measure how far they are off.

    Args:
        grid: the readings of the training.
        zones: time zone of each station; UTC where not named.
        thinned: gives of rows and their stations those positions that are used.
        recipe: the settings.
        seed: random seed.
        pool: where the fits run.

    Returns:
        The models by the names in ``DAYS``; without one that has nothing to learn from.
    """
    spans, codes = Spans(grid, zones), np.arange(len(grid.stations), dtype=float)
    found = {}
    for name, day in DAYS.items():
        row, column = np.nonzero(~np.isnan(grid.values[POLLUTANT]))
        midnight, stop = spans.bounds(row, column, 0)
        usable = np.flatnonzero((row + 1 < stop) if day == 0 else (row - midnight >= _FIRST_HOUR_FOR_TOMORROW))
        usable = usable[thinned(np.arange(len(usable)), column[usable])]
        anchors = _Anchors.of(spans, day, row[usable], column[usable], codes, pool)
        begin, end = spans.bounds(anchors.row, anchors.column, day)
        rest, n = spans.mean(np.maximum(begin, anchors.row + 1), end, anchors.column)
        known = (n > 0) & (2 * n >= anchors.left) & (end <= grid.n_hours)
        if known.sum() < 2 * _FEWEST_ERRORS:
            continue
        rows, target = anchors.where(known), rest[known]
        blocks = _unseen(*_days_of(spans, rows))
        keeps = [np.ones(len(target), dtype=bool), *(others for _, others in blocks)]
        parts = ((rows.where(keep), target[keep], len(grid.stations), recipe, seed) for keep in keeps)
        whole, *fits = pool.map(_fit_rest, parts)
        found[name] = _with_errors(whole, spans, list(zip((at for at, _ in blocks), fits, strict=True)), rows)
    return found


def _fit_rest(rows: _Anchors, target: Floats, n_stations: int, recipe: Recipe, seed: int) -> LeadModel:
    """Fit the mean of the rest; hours of a short rest say less."""
    names = [*feature_names(POLLUTANT, _LEADS), *_NAMES]
    changes = target - rows.last
    age = (rows.row.max() - rows.row) / 24
    weight = 0.5 ** (age / recipe.half_life_days) * np.sqrt(rows.left / 12)
    return boosting.fit_day(POLLUTANT, names, n_stations, rows.features, changes, weight, recipe, seed)


#: Names of what `_more` returns.
_NAMES = (
    "hours_left", "day_so_far", "last_three", "day_before", "rest_level", "rest_median_level", "rest_change",
    "rest_median_change", "rest_change_7",
)  # fmt: skip


def _days_of(spans: Spans, rows: _Anchors) -> tuple[Ints, Ints]:
    return spans.bounds(rows.row, rows.column, rows.day)


def _unseen(begin: Ints, end: Ints) -> list[tuple[Bools, Bools]]:
    """Return the last days in blocks: which rows are of each block, and on which others it is fitted."""
    first = max(int(begin.max()) - _ERROR_DAYS * 24, int(begin.min()))
    edges = np.linspace(first, int(begin.max()) + 1, _BLOCKS + 1).astype(int)
    # a day on either side is left out: tomorrow's anchors lie in the day before
    blocks = [
        ((begin >= low) & (begin < high), (end <= low - 24) | (begin >= high + 24)) for low, high in pairwise(edges)
    ]
    return [(block, others) for block, others in blocks if block.any() and others.sum() >= _FEWEST_ERRORS]


def _with_errors(
    rest_model: LeadModel, spans: Spans, blocks: list[tuple[Bools, LeadModel]], rows: _Anchors
) -> DayModel:
    """Forecast the last days by fits that have not seen them, and keep the errors of each hour and its neighbours."""
    begin, end = _days_of(spans, rows)
    mean, n = spans.mean(begin, end, rows.column)
    error, told = np.full(len(mean), np.nan), np.full(len(mean), np.nan)
    for block, fit in blocks:
        rest = boosting.predict_day(fit, *_asked(rows.where(block)), 1)
        told[block] = rows.where(block).mean(rest)
        error[block] = np.log1p(mean[block]) - np.log1p(told[block])
    error[n < VALID_SHARE * (end - begin)] = np.nan
    table = []
    for hour in range(25):
        near = error[(np.abs(rows.hour - hour) <= 1) & ~np.isnan(error)]
        shares = (np.arange(_KEPT) + 0.5) / _KEPT
        table.append(tuple(np.quantile(near, shares).tolist()) if len(near) >= _FEWEST_ERRORS else ())
    model = DayModel(rest_model, tuple(table))
    limit = reading(POLLUTANT).guideline or np.inf
    known = ~np.isnan(error)
    chance = model.chance(told[known], rows.hour[known], limit)
    return replace(model, reliability=_by_fifths(chance, mean[known] > limit))


def _by_fifths(chance: Floats, exceeded: Bools) -> tuple[tuple[float, float, int], ...]:
    fifth = np.minimum(np.nan_to_num(chance) * 5, 4).astype(int)
    groups = [~np.isnan(chance) & (fifth == number) for number in range(5)]
    return tuple((float(chance[at].mean()), float(exceeded[at].mean()), int(at.sum())) for at in groups if at.any())


def _asked(rows: _Anchors) -> tuple[Matrix, Floats]:
    return rows.features, rows.last


def chances(
    models: Mapping[str, DayModel],
    spans: Spans,
    codes: Floats,
    anchor: Ints,
    issued: Ints,
    column: Ints,
    num_threads: int,
) -> dict[str, Floats]:
    """Return the chance that the day's mean exceeds the guideline, as known at some hours of issue.

    Args:
        models: from `fit_days`.
        spans: the days on the grid of the readings.
        codes: (stations,) the model's code of each column's station; NaN for one it does not know.
        anchor: (n,) row of the last reading, at or before the hour of issue.
        issued: (n,) row of the hour of issue.
        column: (n,) column of the station.
        num_threads: threads of LightGBM.

    Returns:
        ``today``: (n,) of the day that the hour after the hour of issue lies in; ``tomorrow``: of the day after it,
        NaN before ``EVENING_HOUR``. NaN where it cannot be told.
    """
    limit = reading(POLLUTANT).guideline or np.inf
    now = issued + 1
    of_anchor, _ = spans.bounds(anchor, column, 0)
    midnight, _ = spans.bounds(now, column, 0)
    behind = midnight > of_anchor  # the reading is of the day before
    evening = now - midnight >= EVENING_HOUR
    out = {name: np.full(len(anchor), np.nan) for name in DAYS}
    wanted = (("today", ~behind, "today"), ("today", behind, "tomorrow"), ("tomorrow", ~behind & evening, "tomorrow"))
    for name, which, by in wanted:
        at = np.flatnonzero(which)
        if by in models and len(at):
            rows = _Anchors.of(spans, DAYS[by], anchor[at], column[at], codes)
            rest = boosting.predict_day(models[by].rest, *_asked(rows), num_threads)
            out[name][at] = models[by].chance(rows.mean(rest), rows.hour, limit)
    return out
