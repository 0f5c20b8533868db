"""How good forecasts are: errors, coverage, skill against persistence, how sure a difference is, and drift.

A number that is not defined, such as a mean over no rows or the skill against a reference without error, is NaN here,
and null in JSON and in documents.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from airqino.forecasting.arrays import Floats
from airqino.forecasting.grid import Grid, at, to_grid
from airqino.readings import CORE_HOURS, FORECAST

__all__ = [
    "EPISODE_DAYS", "KEY", "LOSSES", "MODELLED", "DriftLimits", "drifted_pairs", "episode_starts", "has_drifted",
    "improvement_confidence", "match", "null_if_undefined", "score_groups", "skill", "targets_of", "with_errors",
]  # fmt: skip

#: A station and a pollutant.
Pair = tuple[str, str]

#: Days after which a drift that comes back is another one: their weeks then have no day in common.
EPISODE_DAYS = 7
#: What `airqino.forecasting.model.predict` calls its own forecasts.
MODELLED = "lightgbm"

KEY = ["station", "pollutant", "horizon_h"]
#: Losses of the band; see `with_errors`.
LOSSES = ("winkler", "pinball")
_MATCHED = (*KEY, "target_at", "method", "last_value", "p10", "p50", "p90", "target")


@dataclass(frozen=True)
class DriftLimits:
    """Limits of the scores, beyond which a model has drifted.

    Attributes:
        skill: lowest skill against persistence.
        coverage_low: lowest share of targets inside the 80 % band.
        coverage_high: highest share.
        hours: fewest scored hours that are enough to say.
    """

    skill: float = 0.0
    coverage_low: float = 0.70
    coverage_high: float = 0.90
    hours: int = 72


def skill(error: npt.ArrayLike, reference_error: npt.ArrayLike) -> Floats:
    """Return skill scores: 1 − MAE / MAE of the reference; 0 is as good as the reference, 1 is perfect.

    Source: Murphy (1988), *Monthly Weather Review* 116, 2417–2424.

    Args:
        error: MAE of the forecast, a number or an array of them.
        reference_error: MAE of the reference, here persistence, on the same rows.

    Returns:
        The scores; NaN where the reference has no error, or one of them is NaN.
    """
    mine, theirs = np.asarray(error, dtype=float), np.asarray(reference_error, dtype=float)
    with np.errstate(all="ignore"):
        return np.asarray(np.where(theirs > 0, 1.0 - mine / theirs, np.nan), dtype=float)


def score_groups(rows: pd.DataFrame) -> pd.DataFrame:
    """Score each station, pollutant and horizon.

    An error is forecast − measured. Sources: MAE, Willmott & Matsuura (2005), *Climate Research* 30, 79–82; RMSE,
    Hyndman & Koehler (2006), *International Journal of Forecasting* 22, 679–688; bias, Wilks (2019), *Statistical
    Methods in the Atmospheric Sciences*, 4th ed., ch. 9; coverage, Gneiting, Balabdaoui & Raftery (2007), *Journal of
    the Royal Statistical Society B* 69, 243–268.

    Args:
        rows: from `with_errors`: ``KEY``; ``error``, in the pollutant's unit, NaN where nothing was forecast or
            measured: such rows do not count; ``inside``, whether the target lies in the 80 % band, its ends included;
            errors of other forecasts as ``error_<name>``, one of them ``error_persistence``, NaN where they have none;
            `LOSSES` of the band, where their means are wanted.

    Returns:
        One row for each group that occurs, sorted: ``KEY``; ``n`` rows that count; ``mae`` mean |error|; ``rmse``
        √ mean error²; ``bias`` mean error; ``coverage80`` the share inside; ``skill`` of mae against persistence; for
        each other forecast ``mae_<name>``, then for each but persistence ``skill_<name>``, against persistence too;
        the mean of each of the losses. Errors and losses are in the pollutant's unit; all but n are NaN in a group
        without rows that count.
    """
    groups = rows.groupby(KEY)
    keys, code = groups.size().index.to_frame(index=False), groups.ngroup().to_numpy()
    counted = np.flatnonzero(~np.isnan(rows["error"].to_numpy(dtype=float)))
    counted = counted[np.argsort(code[counted], kind="stable")]
    group = code[counted]

    def of(name: str) -> Floats:
        return rows[name].to_numpy(dtype=float)[counted]

    def mean(values: Floats) -> Floats:
        known = ~np.isnan(values)
        n = np.bincount(group[known], minlength=len(keys))
        return _ratio(_sums(values[known], group[known], len(keys)), n)

    error = of("error")
    others = [str(name).removeprefix("error_") for name in rows.columns if str(name).startswith("error_")]
    mae, maes = mean(np.abs(error)), {name: mean(np.abs(of(f"error_{name}"))) for name in others}
    numbers = {
        "n": np.bincount(group, minlength=len(keys)),
        "mae": mae,
        "rmse": np.sqrt(mean(error**2)),
        "bias": mean(error),
        "coverage80": mean(of("inside")),
        "skill": skill(mae, maes["persistence"]),
        **{f"mae_{name}": values for name, values in maes.items()},
        **{f"skill_{name}": skill(maes[name], maes["persistence"]) for name in others if name != "persistence"},
        **{name: mean(of(name)) for name in LOSSES if name in rows},
    }
    return keys.assign(**numbers)


def _sums(values: Floats, group: npt.NDArray[Any], n_groups: int) -> Floats:
    """Return the sum of each group's values, which are in the groups' order; to the bit what `np.sum` of each gives."""
    begin = np.searchsorted(group, np.arange(n_groups))
    # `reduceat` adds to the first value, `sum` to zero; and it wants a value in each group
    return np.asarray(np.add.reduceat(np.insert(values, begin, 0.0), begin + np.arange(n_groups)))


def _ratio(total: Floats, n: npt.NDArray[Any]) -> Floats:
    return np.asarray(np.divide(total, n, out=np.full(len(total), np.nan), where=n > 0), dtype=float)


def with_errors(matched: pd.DataFrame, **others: str) -> pd.DataFrame:
    """Add to matched forecasts ``error`` and ``error_persistence``, and of the band ``inside`` and `LOSSES`.

    ``winkler`` is the interval score of the 80 % band: its width, and for a target outside of it 2 / 0.2 times the
    distance to it (Gneiting & Raftery, 2007, *JASA* 102, 359–378, section 6.2, after Winkler, 1972). ``pinball`` is the
    mean of the quantile losses of p10, p50 and p90 (Koenker & Bassett, 1978, *Econometrica* 46, 33–50).

    Args:
        matched: from `match`.
        others: columns with other forecasts by name; each gives an ``error_<name>``.
    """
    errors = {
        f"error_{name}": matched[column] - matched["target"]
        for name, column in {"persistence": "last_value", **others}.items()
    }
    low, high, target = matched["p10"], matched["p90"], matched["target"]
    inside = (low <= target) & (target <= high)
    missed = (low - target).clip(lower=0) + (target - high).clip(lower=0)
    quantiles = {0.1: low, 0.5: matched["p50"], 0.9: high}
    pinball = [np.maximum(q * (target - of), (q - 1) * (target - of)) for q, of in quantiles.items()]
    losses = {"winkler": high - low + 2 / 0.2 * missed, "pinball": sum(pinball) / len(pinball)}
    return matched.assign(error=matched["p50"] - target, inside=inside, **losses, **errors)


def match(forecasts: pd.DataFrame, hourly: pd.DataFrame, pollutants: Sequence[str] = FORECAST) -> pd.DataFrame:
    """Put beside each forecast what was measured.

    Args:
        forecasts: rows as `airqino.forecasting.model.predict` returns them.
        hourly: station, observed_at (UTC), and the pollutants with their ``<pollutant>_flag``.
        pollutants: what is forecast.

    Returns:
        The forecasts in their order with one more column: ``target``, in the pollutant's unit; NaN where nothing
        (usable) was measured, for a dead, stuck or impossible reading says nothing of the air.
    """
    if not len(forecasts):
        return pd.DataFrame({name: [] for name in _MATCHED})
    if not len(hourly):
        return forecasts.assign(target=np.nan)
    return forecasts.assign(target=targets_of(forecasts, to_grid(hourly), pollutants))


def targets_of(forecasts: pd.DataFrame, grid: Grid, pollutants: Sequence[str] = FORECAST) -> Floats:
    """Return what was measured of each forecast, (n,): see `match`.

    Args:
        forecasts: as for `match`.
        grid: the readings.
        pollutants: what is forecast.
    """
    row = grid.index(pd.DatetimeIndex(forecasts["target_at"]))
    column = pd.Index(grid.stations).get_indexer(pd.Index(forecasts["station"]))
    of, target = forecasts["pollutant"].to_numpy(), np.full(len(forecasts), np.nan)
    for pollutant in pollutants:
        mine = np.flatnonzero((of == pollutant) & (column >= 0))
        target[mine] = at(grid.values[pollutant], row[mine], column[mine])
    return target


def drifted_pairs(matched: pd.DataFrame, limits: DriftLimits) -> tuple[set[Pair], set[Pair]]:
    """Find where a model's own forecasts are beyond the limits.

    Args:
        matched: from `match`; rows that are not a model's are left out.
        limits: the limits.

    Returns:
        (station, pollutant) pairs beyond the limits at a core horizon, and all pairs with enough hours to say.
    """
    scores = score_groups(with_errors(matched[matched["method"] == MODELLED]))
    scores = scores[scores["n"] >= limits.hours]
    pairs = list(zip(scores["station"], scores["pollutant"], strict=True))
    drifted = has_drifted(scores, limits)
    return {pair for pair, beyond in zip(pairs, drifted, strict=True) if beyond}, {*pairs}


def has_drifted(scores: pd.DataFrame, limits: DriftLimits) -> pd.Series:
    """Tell whether scores are beyond the limits.

    By the core horizons alone: errors far ahead overlap, so that a week of them says little.

    Args:
        scores: horizon_h, n, skill and coverage80 of a model's own forecasts.
        limits: the limits.
    """
    covered = scores["coverage80"].between(limits.coverage_low, limits.coverage_high)
    enough = (scores["horizon_h"] <= CORE_HOURS) & (scores["n"] >= limits.hours)
    return enough & ((scores["skill"] < limits.skill) | ~covered)


def episode_starts(
    day: date, pairs: Collection[Pair], drifted_on: Callable[[date], Collection[Pair]], look_back: int
) -> dict[Pair, date]:
    """Return the first day of the drifts that last on a day.

    Args:
        day: a day with drift.
        pairs: what has drifted on it.
        drifted_on: gives what had drifted on an earlier day; asked from the newest on, for as long as one goes on.
        look_back: days that are asked at most.

    Returns:
        For each pair the day that its drift began: before it, a week went by without any.
    """
    starts = dict.fromkeys(pairs, day)
    for back in range(1, look_back + 1):
        earlier = day - timedelta(days=back)
        lasting = [pair for pair, start in starts.items() if (start - earlier).days <= EPISODE_DAYS]
        if not lasting:
            break
        found = drifted_on(earlier)
        starts |= {pair: earlier for pair in lasting if pair in found}
    return starts


def improvement_confidence(
    error_a: npt.ArrayLike, error_b: npt.ArrayLike, day: npt.ArrayLike, draws: int = 2000, seed: int = 1
) -> float:
    """Return the one-sided confidence that A's MAE is smaller than B's, by a paired block bootstrap over days.

    Whole days are drawn with replacement, for errors of one day are alike; a drawn day brings both forecasts' errors.
    The confidence is the share of draws with Σ|a| < Σ|b|, a tie counting half.
    Source: Künsch (1989), *Annals of Statistics* 17, 1217–1241; with pairs: Efron & Tibshirani (1993), *An Introduction
    to the Bootstrap*, ch. 8 and 15.

    Args:
        error_a: (n,) errors of A.
        error_b: (n,) errors of B on the same rows; rows with a NaN in either are left out.
        day: (n,) day of each row, any type that can be sorted.
        draws: number of draws.
        seed: random seed.

    Returns:
        The confidence, 0 to 1; 0.5 without rows.
    """
    gain = np.abs(np.asarray(error_b, dtype=float)) - np.abs(np.asarray(error_a, dtype=float))
    counted = ~np.isnan(gain)
    if not counted.any():
        return 0.5
    _, code = np.unique(np.asarray(day)[counted], return_inverse=True)
    per_day = np.bincount(code.ravel(), weights=gain[counted])
    n = len(per_day)
    times = np.random.default_rng(seed).multinomial(n, np.full(n, 1.0 / n), size=draws)
    total = times @ per_day
    return float((total > 0).mean() + 0.5 * (total == 0).mean())


def null_if_undefined(number: float | None) -> float | None:
    """Return a number as JSON knows it: None where it is not finite."""
    return number if number is not None and math.isfinite(number) else None
