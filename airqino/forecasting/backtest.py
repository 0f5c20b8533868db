"""Backtest: forecasts of a past time as they would have been made then, and how good they were."""

from collections.abc import Callable, Iterator

import pandas as pd

from airqino.compute import HERE, Pool
from airqino.errors import InsufficientHistoryError
from airqino.forecasting.model import Recipe, predict, train
from airqino.forecasting.scoring import KEY, LOSSES, match, score_groups, with_errors
from airqino.readings import FORECAST, HORIZONS

__all__ = ["SCORES", "Progress", "backtest", "score_backtest"]

#: Called with the steps done, the steps in all, and what is being done.
Progress = Callable[[int, int, str], None]

SCORES = (
    *(*KEY, "n", "mae", "rmse", "skill", "coverage80", "mae_persistence", "mae_seasonal24"),
    *("skill_against_seasonal24", *LOSSES),
)

_WEEK = pd.Timedelta(days=7)
_DAY = pd.Timedelta(days=1)
_HOUR = pd.Timedelta(hours=1)
_STEPS = 2 * len(FORECAST) + 1  # two fits of each pollutant, and the forecasts


def backtest(
    hourly: pd.DataFrame,
    start: pd.Timestamp,
    stop: pd.Timestamp,
    retrain: str = "once",
    progress: Progress | None = None,
    seed: int = 1,
    pool: Pool = HERE,
    recipe: Recipe | None = None,
) -> pd.DataFrame:
    """Issue a forecast for every hour of a past time, with models that know only what lay before.

    Args:
        hourly: readings as for `features.to_grid`, flagged by what was known when each hour ended.
        start: first hour of issue (UTC); the first model is trained on hours before it.
        stop: last hour of issue.
        retrain: ``once``, or ``weekly``: again every seven days after start, each time on what lay before.
        progress: called with each step.
        seed: random seed of the training.
        pool: where the models are fitted.
        recipe: settings of the training other than the default ones.

    Returns:
        The columns of `model.predict` for every hour, station, pollutant and horizon. Where the
        history is too short to train on, persistence, and the reason says so.

    Raises:
        ValueError: retrain is neither once nor weekly, or start lies after stop.
    """
    if retrain not in ("once", "weekly") or start > stop:
        raise ValueError(f"retrain {retrain!r}, from {start} to {stop}: expected once or weekly, and start before stop")
    begins = [start] if retrain == "once" else list(pd.date_range(start, stop, freq=_WEEK))
    total, parts = len(begins) * _STEPS, []
    report = progress or (lambda done, total, text: None)
    for number, begin in enumerate(begins):
        steps = iter(range(number * _STEPS, total))

        def tell(text: str, begin: pd.Timestamp = begin, steps: Iterator[int] = steps) -> None:
            report(next(steps), total, f"{begin:%Y-%m-%d} {text}")

        model, reason = None, "no model"
        try:
            model = train(hourly, begin, FORECAST, HORIZONS, seed, pool, recipe, tell, zones={})
        except InsufficientHistoryError:
            reason = "history too short"
        report((number + 1) * _STEPS - 1, total, f"{begin:%Y-%m-%d} forecasts")
        issued = pd.date_range(begin, min(begin + _WEEK - _HOUR, stop) if retrain == "weekly" else stop, freq=_HOUR)
        parts.append(predict(model, hourly, list(issued), pool.threads, FORECAST, no_model_reason=reason))
    report(total, total, "")
    return pd.concat(parts, ignore_index=True)


def score_backtest(forecasts: pd.DataFrame, hourly: pd.DataFrame) -> pd.DataFrame:
    """Compare forecasts with what came.

    A forecast is scored where its target and the reading of its hour of issue were both observed and can be used,
    and something was forecast. Nothing is forecast for a dead sensor or one at its floor, so it has no rows here.

    Args:
        forecasts: from `backtest`.
        hourly: the readings.

    Returns:
        One row with ``SCORES`` for each station, pollutant and horizon with at least one scored hour, sorted by them.
        Errors are in the pollutant's unit; mae_persistence is of the reading of the hour of issue, on the same rows;
        mae_seasonal24 of the reading 24 h before the target, on those of the rows that have one (the seasonal-naive
        forecast of Hyndman & Athanasopoulos, 2021, *Forecasting: Principles and Practice*, 3rd ed., section 5.2), and
        skill_against_seasonal24 = 1 − MAE / its MAE, both on those rows; winkler and pinball as in
        `scoring.with_errors`.
    """
    if not len(forecasts):
        return pd.DataFrame({name: [] for name in SCORES})
    day_before = match(forecasts.assign(target_at=forecasts["target_at"] - _DAY), hourly)["target"]
    rows = match(forecasts, hourly).assign(day_before=day_before)
    fresh = rows[rows["last_observed_at"] == rows["issued_at"]]
    table = score_groups(with_errors(fresh, seasonal24="day_before"))
    both = score_groups(with_errors(fresh[fresh["day_before"].notna()], seasonal24="day_before")).set_index(KEY)
    against = (1 - both["mae"] / both["mae_seasonal24"]).rename("skill_against_seasonal24")
    table = table.join(against, on=KEY)
    return table.loc[table["n"] > 0, list(SCORES)].reset_index(drop=True)
