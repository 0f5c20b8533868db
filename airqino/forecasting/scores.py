"""Living scores: what was published against what came, over a day, a week and a month; and when a model has drifted."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from airqino.forecasting import skill
from airqino.forecasting.features import USABLE_FLAGS

__all__ = ["COLUMNS", "WINDOWS", "Limits", "episode_start", "match", "strays", "summarise", "unlike"]

#: Days that the scores are taken over.
WINDOWS = (1, 7, 30)
#: Days after which a drift that comes back is another one: their weeks then have no day in common.
EPISODE_DAYS = 7
#: What `airqino.forecasting.model.predict` calls its own forecasts.
MODELLED = "lightgbm"

COLUMNS = (
    "station", "pollutant", "horizon_h", "day", "window_days", "n", "mae", "bias", "coverage80", "mae_persistence",
    "skill", "modelled", "drift",
)  # fmt: skip
_KEY = ["station", "pollutant", "horizon_h"]
_POLLUTANTS = ("co", "pm2_5")
_MATCHED = (*_KEY, "target_at", "method", "last_value", "p10", "p50", "p90", "target")


@dataclass(frozen=True)
class Limits:
    """Beyond these a model has drifted.

    Attributes:
        skill: lowest skill against persistence.
        coverage_low: lowest share of targets inside the 80 % band.
        coverage_high: highest share.
        hours: fewest scored hours to judge by.
    """

    skill: float = 0.0
    coverage_low: float = 0.70
    coverage_high: float = 0.90
    hours: int = 72


def match(forecasts: pd.DataFrame, hourly: pd.DataFrame, pollutants: Sequence[str] = _POLLUTANTS) -> pd.DataFrame:
    """Puts beside each forecast what was measured.

    Args:
        forecasts: rows as :func:`airqino.forecasting.model.predict` returns them.
        hourly: station, observed_at (UTC), and the pollutants with their ``<pollutant>_flag``.
        pollutants: what is forecast.

    Returns:
        The forecasts with one more column: ``target``, in the pollutant's unit; NaN where nothing (usable) was
        measured, for a dead, stuck or impossible reading says nothing of the air.
    """
    if not len(forecasts):
        return pd.DataFrame({name: [] for name in _MATCHED})
    measured = []
    for pollutant in pollutants if len(hourly) else ():
        usable = hourly[f"{pollutant}_flag"].isin(USABLE_FLAGS)
        values = hourly.loc[usable, ["station", "observed_at", pollutant]]
        measured.append(
            values.rename(columns={"observed_at": "target_at", pollutant: "target"}).assign(pollutant=pollutant)
        )
    if not measured:
        return forecasts.assign(target=np.nan)
    return forecasts.merge(pd.concat(measured), on=["station", "pollutant", "target_at"], how="left", validate="m:1")


def summarise(
    matched: pd.DataFrame, day: date, limits: Limits | None = None, windows: Sequence[int] = WINDOWS
) -> pd.DataFrame:
    """Scores of a day, and of the days before it together with it.

    Args:
        matched: from :func:`match`: the forecasts whose target lies in the longest window.
        day: the last day (UTC) of the windows.
        limits: when a model has drifted.
        windows: lengths in days.

    Returns:
        One row with ``COLUMNS`` for each station, pollutant, horizon and window in which something was published,
        sorted by them. n counts the forecasts whose target was measured; where it is 0, the scores are NaN. mae, bias
        (forecast − measured) and mae_persistence (of "no change" from the last reading known at the hour of issue, on
        the same rows) are in the pollutant's unit; skill is 1 − mae / mae_persistence, NaN where persistence made no
        error. modelled counts the rows among n that a trained model made, and drift says, for the window of 7 days,
        whether they are beyond the limits; persistence cannot drift.
    """
    limits, rows = limits or Limits(), []
    if not len(matched):
        windows = ()
    end = pd.Timestamp(day, tz="UTC") + pd.Timedelta(days=1)
    published = matched[matched["method"] != "none"]
    for window in windows:
        inside = published[(published["target_at"] >= end - pd.Timedelta(days=window)) & (published["target_at"] < end)]
        for key, group in inside.groupby(_KEY):
            scored = group[group["target"].notna() & group["p50"].notna()]
            modelled = scored[scored["method"] == MODELLED]
            judged = _scores(modelled)
            drifted = window == EPISODE_DAYS and _beyond(len(modelled), judged["skill"], judged["coverage80"], limits)
            known = {"day": f"{day}", "window_days": window, "n": len(scored), **_scores(scored)}
            rows.append(dict(zip(_KEY, key, strict=True)) | known | {"modelled": len(modelled), "drift": drifted})
    table = pd.DataFrame(rows, columns=list(COLUMNS)).sort_values([*_KEY, "window_days"], ignore_index=True)
    whole = dict.fromkeys(("horizon_h", "window_days", "n", "modelled"), "int64")
    real = dict.fromkeys(("mae", "bias", "coverage80", "mae_persistence", "skill"), "float64")
    return table.astype(whole | real | dict.fromkeys(("station", "pollutant", "day"), "str") | {"drift": "bool"})


def unlike(measured: Mapping[str, float], hours: int, limits: Limits) -> bool:
    """Whether scores (``skill``, ``coverage80``) over so many hours are beyond the limits."""
    return _beyond(hours, measured["skill"], measured["coverage80"], limits)


def strays(matched: pd.DataFrame, limits: Limits) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """Where a model's own forecasts are beyond the limits.

    Args:
        matched: from :func:`match`; rows that are not a model's are left out.
        limits: the limits.

    Returns:
        (station, pollutant) pairs beyond the limits at some horizon, and all pairs with enough hours to judge.
    """
    beyond, judged = set(), set()
    rows = matched[(matched["method"] == MODELLED) & matched["target"].notna()]
    for (station, pollutant, _), group in rows.groupby(_KEY):
        if len(group) >= limits.hours:
            judged.add((str(station), str(pollutant)))
            if unlike(_scores(group), len(group), limits):
                beyond.add((str(station), str(pollutant)))
    return beyond, judged


def episode_start(day: date, drifted: Collection[date]) -> date:
    """The first day of the drift that lasts on a day.

    Args:
        day: a day with drift.
        drifted: earlier days with drift.

    Returns:
        The day that the drift began: before it, a week went by without any.
    """
    start = day
    for earlier in sorted((d for d in drifted if d < day), reverse=True):
        if start - earlier > timedelta(days=EPISODE_DAYS):
            break
        start = earlier
    return start


def _scores(rows: pd.DataFrame) -> dict[str, Any]:
    target, p50 = _floats(rows, "target"), _floats(rows, "p50")
    error, naive = skill.mae(target, p50), skill.mae(target, _floats(rows, "last_value"))
    return {
        "mae": error,
        "bias": skill.bias(target, p50),
        "coverage80": skill.coverage(target, _floats(rows, "p10"), _floats(rows, "p90")),
        "mae_persistence": naive,
        "skill": skill.skill(error, naive) if naive > 0 else math.nan,
    }


def _floats(rows: pd.DataFrame, name: str) -> npt.NDArray[np.float64]:
    return rows[name].to_numpy(dtype=float)


def _beyond(hours: int, gained: float, covered: float, limits: Limits) -> bool:
    return bool(
        hours >= limits.hours and (gained < limits.skill or not limits.coverage_low <= covered <= limits.coverage_high)
    )
