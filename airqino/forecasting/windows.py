"""Scores of windows of days, made of sums: what the forecasts for each day add up to is counted once.

Every score is a sum over forecasts, or a ratio of two. So the scores of 30 days need no forecast of before: the sums
of each of these days, one row for each station, pollutant and horizon, are enough.
"""

from collections.abc import Iterable, Sequence
from datetime import date

import numpy as np
import pandas as pd

from airqino.forecasting.grid import to_grid
from airqino.forecasting.scoring import (
    EPISODE_DAYS,
    KEY,
    MODELLED,
    DriftLimits,
    has_drifted,
    skill,
    targets_of,
    with_errors,
)
from airqino.readings import FORECAST

__all__ = ["COLUMNS", "SCORED", "SUMS", "WINDOWS", "add", "day_sums", "scores_of", "summarise"]

#: Days that the scores are taken over.
WINDOWS = (1, 7, 30)
COLUMNS = (
    *(*KEY, "day", "window_days", "n", "mae", "bias", "coverage80", "mae_persistence", "skill", "modelled", "drift"),
)
#: What of a forecast is scored.
SCORED = (*KEY, "target_at", "method", "last_value", "p10", "p50", "p90")
_PARTS = ("n", "abs_error", "error", "inside", "n_persistence", "abs_persistence")
#: Of all forecasts that count, and of those among them that a trained model made: how many; sums of |error| and error,
#: in the pollutant's unit; how many targets lay in the 80 % band; and of those with a last reading how many, and the
#: sum of |error| of "no change".
SUMS = (*_PARTS, *(f"modelled_{name}" for name in _PARTS))


def day_sums(
    forecasts: Iterable[pd.DataFrame], hourly: pd.DataFrame, day: date, pollutants: Sequence[str] = FORECAST
) -> pd.DataFrame:
    """Add up the forecasts for a day, a table after the other: only one of them is held.

    Args:
        forecasts: tables with ``SCORED``; what is for another day is left out.
        hourly: the day's readings, as for `scoring.match`.
        day: the day (UTC) of the targets.
        pollutants: what is forecast.

    Returns:
        One row for each station, pollutant and horizon in which something was published, sorted: ``KEY``, ``SUMS``.
    """
    begin = pd.Timestamp(day, tz="UTC")
    used = ["station", "observed_at", *pollutants, *(f"{name}_flag" for name in pollutants)]
    grid = to_grid(hourly[used]) if len(hourly) else None
    total = _added_up(pd.DataFrame(columns=[*SCORED, "target"]))
    for table in forecasts:
        if table.empty:  # whose columns have other types
            continue
        within = (table["target_at"] >= begin) & (table["target_at"] < begin + pd.Timedelta(days=1))
        rows = table[within & (table["method"] != "none")]
        rows = rows.assign(target=targets_of(rows, grid, pollutants) if grid else np.nan)
        total = add(total, _added_up(rows))
    return total


def _added_up(matched: pd.DataFrame) -> pd.DataFrame:
    rows, table = with_errors(matched), matched[KEY].copy()
    error, persistence = rows["error"].to_numpy(dtype=float), rows["error_persistence"].to_numpy(dtype=float)
    counts = ~np.isnan(error)
    numbers = (counts, np.abs(error), error, rows["inside"], ~np.isnan(persistence), np.abs(persistence))
    is_modelled = counts & (rows["method"] == MODELLED).to_numpy()
    for name, values in zip(_PARTS, numbers, strict=True):
        table[name] = np.where(counts, np.asarray(values, dtype=float), 0.0)
        table[f"modelled_{name}"] = np.where(is_modelled, np.asarray(values, dtype=float), 0.0)
    return table[[*KEY, *SUMS]].groupby(KEY, as_index=False).sum()


def add(sums: pd.DataFrame, more: pd.DataFrame) -> pd.DataFrame:
    """Add the sums of other forecasts to some; both are as from `day_sums`."""
    if not len(sums) or not len(more):
        return sums if len(sums) else more
    if sums[KEY].equals(more[KEY]):  # as it is from day to day: nothing has to be looked up
        return sums[KEY].join(sums[list(SUMS)] + more[list(SUMS)])
    return pd.concat([sums, more]).groupby(KEY, as_index=False).sum()


def scores_of(sums: pd.DataFrame, day: date, window_days: int, limits: DriftLimits | None = None) -> pd.DataFrame:
    """Return the scores of a window of days.

    Args:
        sums: of its days together.
        day: the last of them (UTC).
        window_days: how many they are.
        limits: when a model has drifted.

    Returns:
        One row with ``COLUMNS`` for each of the rows. The numbers are those of `scoring.score_groups`; mae_persistence
        is of "no change" from the last reading known at the hour of issue. modelled counts the rows among n that a
        trained model made, and drift says, for the window of 7 days, whether those are beyond the limits; persistence
        cannot drift.
    """
    modelled = _means(sums, "modelled_")
    drift = has_drifted(modelled, limits or DriftLimits()) & (window_days == EPISODE_DAYS)
    table = _means(sums).assign(day=f"{day}", window_days=window_days, modelled=modelled["n"], drift=drift)
    whole = dict.fromkeys(("horizon_h", "window_days", "n", "modelled"), "int64")
    types = whole | dict.fromkeys(("station", "pollutant", "day"), "str") | {"drift": "bool"}
    return table[list(COLUMNS)].astype(types)


def _means(sums: pd.DataFrame, of: str = "") -> pd.DataFrame:
    n, persistence = sums[f"{of}n"].where(sums[f"{of}n"] > 0), sums[f"{of}n_persistence"]
    mae, mae_persistence = sums[f"{of}abs_error"] / n, sums[f"{of}abs_persistence"] / persistence.where(persistence > 0)
    return sums[KEY].assign(
        n=sums[f"{of}n"],
        mae=mae,
        bias=sums[f"{of}error"] / n,
        coverage80=sums[f"{of}inside"] / n,
        mae_persistence=mae_persistence,
        skill=skill(mae, mae_persistence),
    )


def summarise(
    sums: Iterable[pd.DataFrame], day: date, limits: DriftLimits | None = None, windows: Sequence[int] = WINDOWS
) -> pd.DataFrame:
    """Score a day, and the days before it together with it.

    Args:
        sums: of the day, of the day before it, and so on: as many as the longest window has, or as there are.
        day: the day (UTC).
        limits: when a model has drifted.
        windows: lengths in days.

    Returns:
        The rows of `scores_of` for each window, sorted by station, pollutant, horizon and window.
    """
    total, tables = _added_up(pd.DataFrame(columns=[*SCORED, "target"])), []
    for back, one in enumerate(sums, start=1):
        total = add(total, one)
        tables += [scores_of(total, day, back, limits)] if back in windows else []
    return pd.concat(tables).sort_values([*KEY, "window_days"], ignore_index=True)
