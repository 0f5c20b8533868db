"""Backtest: forecasts of a past time as they would have been made then, and how good they were."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from airqino.errors import InsufficientHistoryError
from airqino.forecasting import skill
from airqino.forecasting.features import to_grid
from airqino.forecasting.model import ForecastModel, Recipe, predict, train

__all__ = ["SCORES", "Progress", "backtest", "scores"]

#: Called with the steps done, the steps in all, and what is being done.
Progress = Callable[[int, int, str], None]

SCORES = (
    "station", "pollutant", "horizon_h", "n", "mae", "rmse", "skill", "coverage80", "mae_persistence", "mae_seasonal24",
)  # fmt: skip

_POLLUTANTS = ("co", "pm2_5")
_WEEK = pd.Timedelta(days=7)
_HOUR = pd.Timedelta(hours=1)
_STEPS = 2 * len(_POLLUTANTS) + 1  # two fits of each pollutant, and the forecasts


def backtest(
    hourly: pd.DataFrame,
    start: pd.Timestamp,
    stop: pd.Timestamp,
    retrain: str = "once",
    progress: Progress | None = None,
    seed: int = 1,
    num_threads: int = 2,
    recipe: Recipe | None = None,
) -> pd.DataFrame:
    """Issues a forecast for every hour of a past time, with models that know only what lay before.

    Args:
        hourly: readings as for `features.to_grid`, flagged by what was known when each hour ended.
        start: first hour of issue (UTC); the first model is trained on hours before it.
        stop: last hour of issue.
        retrain: ``once``, or ``weekly``: again every seven days after start, each time on what lay before.
        progress: told of each step.
        seed: random seed of the training.
        num_threads: threads of LightGBM.
        recipe: settings of the training other than the default ones.

    Returns:
        The columns of `model.predict` for every hour, station, pollutant and horizon. Where the
        history is too short to train on, persistence, and the reason says so.

    Raises:
        ValueError: retrain is neither once nor weekly, or start lies after stop.
    """
    if retrain not in ("once", "weekly") or start > stop:
        raise ValueError(
            f"retrain is {retrain!r}, from {start} to {stop}: expected once or weekly, and start before stop"
        )
    begins = [start] if retrain == "once" else list(pd.date_range(start, stop, freq=_WEEK))
    total, parts = len(begins) * _STEPS, []
    for number, begin in enumerate(begins):
        end = begins[number + 1] - _HOUR if number + 1 < len(begins) else stop
        done = number * _STEPS

        def tell(text: str, counter: list[int] = [done], day: pd.Timestamp = begin) -> None:  # noqa: B006
            if progress is not None:
                progress(counter[0], total, f"{day:%Y-%m-%d} {text}")
            counter[0] += 1

        model: ForecastModel | None = None
        reason = "no model"
        try:
            model = train(hourly, begin, _POLLUTANTS, seed=seed, num_threads=num_threads, recipe=recipe, progress=tell)
        except InsufficientHistoryError:
            reason = "history too short"
        if progress is not None:
            progress(done + _STEPS - 1, total, f"{begin:%Y-%m-%d} forecasts")
        issued = pd.date_range(begin, end, freq=_HOUR)
        parts.append(predict(model, hourly, list(issued), num_threads, _POLLUTANTS, no_model_reason=reason))
    if progress is not None:
        progress(total, total, "")
    return pd.concat(parts, ignore_index=True)


def scores(forecasts: pd.DataFrame, hourly: pd.DataFrame) -> pd.DataFrame:
    """Compares forecasts with what came.

    A forecast is scored where its target and the reading of its hour of issue were both observed and not flagged dead,
    stuck or out of range, and something was forecast. Nothing is forecast for a dead sensor, so it has no rows here.

    Args:
        forecasts: from :func:`backtest`.
        hourly: the readings.

    Returns:
        One row with ``SCORES`` for each station, pollutant and horizon with at least one scored hour, sorted by them.
        Errors are in the pollutant's unit; mae_persistence is of the reading of the hour of issue, on the same rows;
        mae_seasonal24 of the reading 24 h before the target, on those of the rows that have one.
    """
    if len(forecasts) == 0 or len(hourly) == 0:
        return pd.DataFrame({name: [] for name in SCORES})
    grid = to_grid(hourly)
    column_of = {station: position for position, station in enumerate(grid.stations)}
    rows = []
    for key, group in forecasts.groupby(["station", "pollutant", "horizon_h"]):
        station, pollutant, horizon = str(key[0]), str(key[1]), int(group["horizon_h"].iloc[0])
        if station not in column_of:
            continue
        own = pd.Series(grid.values[pollutant][:, column_of[station]])
        issued = pd.Index(grid.index(pd.DatetimeIndex(group["issued_at"])))
        target, last, day_before = (
            own.reindex(issued + offset).to_numpy(dtype=float) for offset in (horizon, 0, horizon - 24)
        )
        p10, p50, p90 = (group[name].to_numpy(dtype=float) for name in ("p10", "p50", "p90"))
        scored = ~np.isnan(target + last + p50)
        if not scored.any():
            continue
        target, last, day_before = target[scored], last[scored], day_before[scored]
        error, naive = skill.mae(target, p50[scored]), skill.mae(target, last)
        rows.append(
            (
                station,
                pollutant,
                horizon,
                int(scored.sum()),
                error,
                skill.rmse(target, p50[scored]),
                skill.skill(error, naive),
                skill.coverage(target, p10[scored], p90[scored]),
                naive,
                skill.seasonal24_mae(target, day_before),
            )
        )
    return pd.DataFrame(rows, columns=list(SCORES))
