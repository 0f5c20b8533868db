"""Tell whether a new model is better than the one in use, on recent hours that neither has seen.

The champion has seen everything before its own day, the challenger everything before today, so on no measured hour are
both unseen. The comparison is therefore made with a stand-in: the same training, stopped at `compare_days` before
today, or at the champion's own day if that is later. From there on neither the stand-in nor the champion has seen
anything, and both forecast the same hours. Two weeks: more days would make the test surer, but the stand-in staler than
what would really be published. A stand-in that knows no more than the champion and is made in the same way ties with
it; the champion then stays, as it does where it is younger than a week. The stand-in is older than the challenger it
stands for, which is a bias against promotion, never for it. The challenger wins when its error is the smaller one with
`promote_confidence`. Where there is no champion, "no change" is what has to be beaten in the same way.
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import numpy as np
import pandas as pd

from airqino.compute import HERE, Pool
from airqino.errors import InsufficientHistoryError
from airqino.forecasting import scoring
from airqino.forecasting.model import HISTORY_HOURS, ForecastModel, Recipe, predict, train
from airqino.forecasting.scoring import KEY, DriftLimits, Pair
from airqino.quality.contexts import Thresholds
from airqino.quality.flags import flag_history
from airqino.readings import FORECAST, HORIZONS
from airqino.times import HOUR, day_start

__all__ = ["SCORES", "Comparison", "Opponent", "Outcome", "Policy", "compare", "hold_contest"]

SCORES = (*KEY, "n", "mae", "mae_persistence", "skill", "coverage80", "mae_champion", "skill_champion")
#: Days that a champion must be older than the challenger to be compared with it: each weekday once.
_FEWEST_DAYS = 7


@dataclass(frozen=True)
class Policy:
    """When a challenger is promoted, and how the comparison is made.

    Attributes:
        compare_days: most days compared.
        promote_confidence: least confidence that the challenger's error is the smaller one.
        drift: beyond these limits persistence is published in a champion's place.
        thresholds: of the quality flags that the forecasts would have been made with.
        horizons: hours ahead that are forecast.
        recipe: settings of the training.
        seed: random seed of the training.
    """

    compare_days: int = 14
    promote_confidence: float = 0.90
    drift: DriftLimits = field(default_factory=DriftLimits)
    thresholds: Thresholds = field(default_factory=Thresholds)
    horizons: tuple[int, ...] = HORIZONS
    recipe: Recipe = field(default_factory=Recipe)
    seed: int = 1


@dataclass(frozen=True)
class Opponent:
    """The champion that a challenger has to beat.

    Attributes:
        version: its name, the day that it was trained for.
        model: the model.
        fallback: (station, pollutant) pairs for which persistence is published in its place.
    """

    version: str
    model: ForecastModel
    fallback: frozenset[Pair] = frozenset()


@dataclass(frozen=True)
class Comparison:
    """How a challenger did against the champion, or against persistence where there is none.

    Attributes:
        scores: one row with ``SCORES`` for each station, pollutant and horizon; errors in the pollutant's unit, those
            of the champion NaN where there is none.
        rows: forecasts compared.
        days: days compared.
        skill: 1 − mean error of the challenger, each error as a share of persistence's mean error at its station,
            pollutant and horizon, so that mg/m³ and µg/m³ count alike; NaN without rows.
        skill_champion: the same of the champion; NaN where there is none.
        confidence: that the challenger's mean error is the smaller one.
    """

    scores: pd.DataFrame
    rows: int
    days: int
    skill: float
    skill_champion: float
    confidence: float


@dataclass(frozen=True)
class Outcome:
    """What came of a contest.

    Attributes:
        against: the champion's version, or persistence.
        comparison: None where there was nothing to compare on.
        reason: in words.
        promoted: whether the challenger won.
        fallback: (station, pollutant) pairs for which persistence is published in the winner's place.
    """

    against: str
    comparison: Comparison | None
    reason: str
    promoted: bool
    fallback: frozenset[Pair]


def hold_contest(
    day: date, readings: pd.DataFrame, staged_days: int, champion: Opponent | None, policy: Policy, pool: Pool = HERE
) -> Outcome:
    """Compare a stand-in of the challenger with the champion, or with persistence where there is none.

    Args:
        day: the challenger was trained on what was measured before this day (UTC).
        readings: flagged hourly readings of the days before it, as for `features.to_grid`.
        staged_days: how many days they are.
        champion: the champion; None: the challenger is compared with persistence.
        policy: the rules.
        pool: where the stand-in is fitted.

    Returns:
        The outcome. A champion younger than a week stays, as does one that the stand-in ties with.
    """
    against, replaced = (champion.version, champion.fallback) if champion else ("persistence", frozenset())
    start = day - timedelta(days=min(policy.compare_days, max(staged_days // 4, 1)))
    start = max(start, date.fromisoformat(champion.version)) if champion else start
    old = _published(champion.model, readings, start, day, policy, pool) if champion else None
    kept = replaced if old is None else _fallback(old, day, policy.drift, replaced)
    if champion and (day - start).days < _FEWEST_DAYS:
        reason = f"champion {against} is younger than {_FEWEST_DAYS} days: it stays"
        return Outcome(against, None, reason, False, kept)
    try:
        until, horizons = pd.Timestamp(day_start(start)), policy.horizons
        how = horizons, policy.seed, pool, policy.recipe
        stand_in = train(readings, until, FORECAST, *how)
    except InsufficientHistoryError:
        return Outcome(against, None, "history too short to judge it", False, kept)
    new = _published(stand_in, readings, start, day, policy, pool)
    result = compare(new, old, replaced)
    promoted = result.rows > 0 and result.confidence >= policy.promote_confidence
    reason = (
        f"{'better' if promoted else 'not better'} than {against} (confidence {result.confidence:.2f}"
        f" over {result.days} days, skill {result.skill:.3f}"
        + (f" against {result.skill_champion:.3f})" if champion else ")")
    )
    if promoted:  # where it was worse than persistence; its band is calibrated anew
        kept = _fallback(new, day, replace(policy.drift, coverage_low=0.0, coverage_high=1.0))
    return Outcome(against, result, reason, promoted, kept)


def compare(challenger: pd.DataFrame, champion: pd.DataFrame | None, fallback: Collection[Pair] = ()) -> Comparison:
    """Compare two models' forecasts of the same hours, as they are or would be published.

    The confidence is that of `scoring.improvement_confidence`: a paired block bootstrap over days.

    Args:
        challenger: its forecasts matched with what came (`scoring.match`).
        champion: the champion's; None: the challenger is compared with persistence.
        fallback: (station, pollutant) pairs for which persistence is published in the champion's place.

    Returns:
        The comparison, over the rows that both forecast and whose target was measured, at stations, pollutants and
        horizons where persistence made an error at all.
    """
    rows = challenger.assign(opponent=challenger["last_value"])
    if champion is not None:
        row_key = [*KEY, "target_at"]
        rows = challenger.merge(champion[[*row_key, "p50"]].rename(columns={"p50": "opponent"}), on=row_key)
        pairs = pd.MultiIndex.from_frame(rows[["station", "pollutant"]])
        rows["opponent"] = rows["opponent"].where(~pairs.isin(list(fallback)), rows["last_value"])
    rows = scoring.with_errors(rows[rows[["target", "p50", "opponent"]].notna().all(axis=1)], champion="opponent")
    unit = rows["error_persistence"].abs().groupby([rows[name] for name in KEY]).transform("mean")
    rows, unit = rows[unit > 0], unit[unit > 0]
    days = rows["target_at"].dt.floor("D")
    share, share_opponent = rows["error"] / unit, rows["error_champion"] / unit
    scored = rows if champion is not None else rows.assign(error_champion=np.nan)
    return Comparison(
        scores=scoring.score_groups(scored)[list(SCORES)],
        rows=len(rows),
        days=int(days.nunique()),
        skill=1.0 - float(share.abs().mean()),
        skill_champion=1.0 - float(share_opponent.abs().mean()) if champion is not None else float("nan"),
        confidence=scoring.improvement_confidence(share.to_numpy(), share_opponent.to_numpy(), days.to_numpy()),
    )


def _published(
    model: ForecastModel, readings: pd.DataFrame, start: date, day: date, policy: Policy, pool: Pool
) -> pd.DataFrame:
    """Return what a model would have published in the days compared, beside what came."""
    first, last = day_start(start) - HOUR, day_start(day) - 2 * HOUR
    needed = HISTORY_HOURS * HOUR + timedelta(days=policy.thresholds.dead_days)
    recent = readings[readings["observed_at"] >= pd.Timestamp(first - needed)]
    causal = flag_history(recent.reset_index(drop=True), policy.thresholds, causal=True)  # as when each hour ended
    hours = list(pd.date_range(first, last, freq="h"))
    return scoring.match(predict(model, causal, hours, pool.threads, horizons=policy.horizons), readings)


def _fallback(
    matched: pd.DataFrame, day: date, limits: DriftLimits, before: frozenset[Pair] = frozenset()
) -> frozenset[Pair]:
    """Return where a model was beyond the limits in the last week; pairs with too few hours stay as before."""
    week = matched[matched["target_at"] >= pd.Timestamp(day_start(day)) - pd.Timedelta(days=scoring.EPISODE_DAYS)]
    drifted, scored = scoring.drifted_pairs(week, limits)
    return frozenset(drifted | (before - scored))
