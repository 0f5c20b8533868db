"""How good the chances of a bad day are: Brier scores, beside simple ways to tell it, and their reliability."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from airqino.forecasting.arrays import Bools, Floats, Ints
from airqino.forecasting.grid import to_grid
from airqino.forecasting.scoring import skill
from airqino.forecasting.spans import POLLUTANT, VALID_SHARE, Spans
from airqino.readings import reading

__all__ = ["DAY_SCORES", "RELIABILITY", "judge_days", "reliability", "score_days"]

DAY_SCORES = ("station", "hour", "n", "frequency", "brier", "brier_recent", "brier_linear", "skill", "skill_linear")
RELIABILITY = ("low", "high", "n", "days", "forecast", "observed", "observed_low", "observed_high")

_JUDGED = ("station", "day", "hour", "forecast", "exceeded", "recent", "linear")
#: The frequency of bad days is that of so many valid days before.
_RECENT_DAYS = 30
#: The linear fit is made on so many valid days before, of the same hour of the day.
_FITTED_DAYS = 120
_FEWEST_DAYS = 20
#: Borders of the bins of forecast probabilities.
_BINS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_DRAWS = 2000


def judge_days(forecasts: pd.DataFrame, hourly: pd.DataFrame, zones: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Put beside each chance of the day under way what came, and what simple ways would have said.

    Args:
        forecasts: from `model.predict`, with ``day_exceedance``.
        hourly: the readings, as for `features.to_grid`.
        zones: time zone of each station; UTC where not named.

    Returns:
        One row for each station and hour of issue of a day with a valid mean: station, day, hour (of the station's day,
        that begins when it is issued; 0 to 23), ``forecast``; ``exceeded``, whether the day's mean did exceed the
        guideline; ``recent``, the share of the last 30 valid days that did; ``linear``, of a linear fit of the day's
        mean on the mean so far, the mean of the last three hours and that of the day before, over the last 120 valid
        days at the same hour, with its errors (NaN at the day's first hour, and where less than 20 days are known).
    """
    mine = forecasts[(forecasts["pollutant"] == POLLUTANT) & (forecasts["horizon_h"] == 1)]
    parts = []
    for station, asked in mine.groupby("station"):
        own = hourly[hourly["station"] == station]
        last = asked["issued_at"].max() + pd.Timedelta(days=2)
        parts.append(_of_station(str(station), asked, to_grid(own, own["observed_at"].min(), last), zones or {}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(_JUDGED))


def _of_station(station: str, asked: pd.DataFrame, grid: Any, zones: Mapping[str, str]) -> pd.DataFrame:
    spans = Spans(grid, zones)
    rows = np.arange(grid.n_hours)
    same = np.zeros(len(rows), dtype=np.int64)
    begin, _ = spans.bounds(rows, same, 0)
    first = np.unique(begin[begin >= 0])
    last = spans.bounds(first, np.zeros(len(first), dtype=np.int64), 0)[1]
    mean, n = spans.mean(first, last, np.zeros(len(first), dtype=np.int64))
    mean[n < VALID_SHARE * (last - first)] = np.nan
    limit = reading(POLLUTANT).guideline or np.inf
    now = grid.index(pd.DatetimeIndex(asked["issued_at"])) + 1
    midnight = spans.bounds(now, np.zeros(len(now), dtype=np.int64), 0)[0]
    day = np.searchsorted(first, midnight)
    linear = np.full(len(asked), np.nan)
    for hour in np.unique(now - midnight):
        at = np.flatnonzero(now - midnight == hour)
        if hour > 0:
            linear[at] = _linear(spans, first, mean, day[at], int(hour), limit)
    valid = np.flatnonzero(~np.isnan(mean))
    known = np.searchsorted(valid, day)
    over = np.concatenate([[0], np.cumsum(mean[valid] > limit)])
    few = np.minimum(known, _RECENT_DAYS)
    recent = np.where(few > 0, (over[known] - over[known - few]) / np.maximum(few, 1), np.nan)
    table = pd.DataFrame(
        {
            "station": station,
            "day": asked["day"].to_numpy(),
            "hour": now - midnight,
            "forecast": asked["day_exceedance"].to_numpy(dtype=float),
            "exceeded": mean[day] > limit,
            "recent": recent,
            "linear": linear,
        }
    )
    return table[~np.isnan(mean[day])]


def _linear(spans: Spans, first: Ints, mean: Floats, day: Ints, hour: int, limit: float) -> Floats:
    """Return for some days the chance that a linear fit gives when so many of its hours are over."""
    now, column = first + hour, np.zeros(len(first), dtype=np.int64)
    so_far, three = spans.mean(first, now, column)[0], spans.mean(now - 3, now, column)[0]
    before = np.concatenate([[np.nan], mean[:-1]])
    given = np.column_stack([np.ones(len(first)), so_far, three, before])
    whole = ~np.isnan(given).any(axis=1)
    usable = np.flatnonzero(whole & ~np.isnan(mean))
    out = np.full(len(day), np.nan)
    for position, one in enumerate(day):
        past = usable[: np.searchsorted(usable, one)][-_FITTED_DAYS:]
        if whole[one] and len(past) >= _FEWEST_DAYS:
            weights, *_ = np.linalg.lstsq(given[past], mean[past], rcond=None)
            out[position] = (given[one] @ weights + mean[past] - given[past] @ weights > limit).mean()
    return out


def score_days(judged: pd.DataFrame) -> pd.DataFrame:
    """Score the chances of each station and hour of the day, and of all hours together (hour -1).

    The Brier score is the mean square of probability − outcome (Brier, 1950, *Monthly Weather Review* 78, 1–3); its
    skill is against that of the frequency of the last 30 valid days, on the same rows: those that have all three.

    Args:
        judged: from `judge_days`.

    Returns:
        One row with ``DAY_SCORES`` for each, sorted: n rows, the frequency of exceedance, Brier scores of the
        forecast, of the recent frequency and of the linear fit, and the skills of forecast and linear fit.
    """
    rows = judged.dropna(subset=["forecast", "recent", "linear"])
    if not len(rows):
        return pd.DataFrame(columns=list(DAY_SCORES))
    outcome = rows["exceeded"].astype(float)
    losses = {name: (rows[name] - outcome) ** 2 for name in ("forecast", "recent", "linear")}
    rows = rows.assign(outcome=outcome, **losses)
    groups = pd.concat([rows.assign(hour=-1), rows]).groupby(["station", "hour"])
    table = groups[["outcome", "forecast", "recent", "linear"]].mean().assign(n=groups.size()).reset_index()
    table.columns = ["station", "hour", "frequency", "brier", "brier_recent", "brier_linear", "n"]
    for name in ("", "_linear"):
        table[f"skill{name}"] = skill(table[f"brier{name}"], table["brier_recent"])
    return table[list(DAY_SCORES)]


def reliability(judged: pd.DataFrame, draws: int = _DRAWS, seed: int = 1) -> pd.DataFrame:
    """Return how often what was forecast came, by bins of the probability.

    The 90 % band is that of a bootstrap over whole days, for the hours of a day share its outcome (Bröcker & Smith,
    2007, *Weather and Forecasting* 22, 651–661, draw single forecasts).

    Args:
        judged: from `judge_days`.
        draws: number of draws.
        seed: random seed.

    Returns:
        One row with ``RELIABILITY`` for each bin with forecasts: its borders, forecasts and days in it, mean
        probability, observed frequency, and the ends of its band: a forecast is reliable where it lies in it.
    """
    rows = judged.dropna(subset=["forecast"])
    days = pd.factorize(rows["station"].astype(str) + rows["day"].astype(str))[0]
    place = np.clip(np.searchsorted(_BINS, rows["forecast"], side="left") - 1, 0, len(_BINS) - 2)
    random, table = np.random.default_rng(seed), []
    for number in np.unique(place):
        at: Bools = place == number
        _, code = np.unique(days[at], return_inverse=True)
        count = np.bincount(code)
        came = np.bincount(code, weights=rows["exceeded"].to_numpy(dtype=float)[at])
        drawn = random.multinomial(len(count), np.full(len(count), 1 / len(count)), size=draws)
        low, high = np.quantile(drawn @ came / (drawn @ count), (0.05, 0.95))
        mean = float(rows["forecast"].to_numpy()[at].mean())
        sizes = int(at.sum()), len(count)
        table.append((_BINS[number], _BINS[number + 1], *sizes, mean, came.sum() / count.sum(), low, high))
    return pd.DataFrame(table, columns=list(RELIABILITY))
