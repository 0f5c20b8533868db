"""Whether a new model is better than the one in use, on recent hours that neither has seen."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from airqino.forecasting import skill

__all__ = ["SCORES", "Verdict", "judge"]

SCORES = (
    "station", "pollutant", "horizon_h", "n", "mae", "mae_persistence", "skill", "coverage80", "mae_champion",
    "skill_champion",
)  # fmt: skip
_KEY = ["station", "pollutant", "horizon_h"]
_ROW = [*_KEY, "target_at"]


@dataclass(frozen=True)
class Verdict:
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


def judge(challenger: pd.DataFrame, champion: pd.DataFrame | None, aside: Collection[tuple[str, str]] = ()) -> Verdict:
    """Compares two models' forecasts of the same hours, as they are or would be published.

    The confidence is that of `skill.improvement_confidence`: a paired block bootstrap over days.

    Args:
        challenger: its forecasts matched with what came (:func:`airqino.forecasting.scores.match`).
        champion: the champion's; None: the challenger is compared with persistence.
        aside: (station, pollutant) pairs for which persistence is published in the champion's place.

    Returns:
        The verdict, over the rows that both forecast and whose target was measured, at stations, pollutants and
        horizons where persistence made an error at all.
    """
    rows = challenger[challenger["target"].notna() & challenger["p50"].notna()]
    if champion is None:
        rows = rows.assign(other=rows["last_value"])
    else:
        rows = rows.merge(champion[[*_ROW, "p50"]].rename(columns={"p50": "other"}), on=_ROW, how="inner")
        pairs = pd.MultiIndex.from_frame(rows[["station", "pollutant"]])
        rows["other"] = rows["other"].where(~pairs.isin(list(aside)), rows["last_value"])
    rows = rows[rows["other"].notna()].assign(
        error=lambda r: r["p50"] - r["target"],
        error_other=lambda r: r["other"] - r["target"],
        naive=lambda r: (r["last_value"] - r["target"]).abs(),
        inside=lambda r: (r["p10"] <= r["target"]) & (r["target"] <= r["p90"]),
    )
    unit = rows.groupby(_KEY)["naive"].transform("mean")
    rows, unit = rows[unit > 0], unit[unit > 0]
    days = rows["target_at"].dt.floor("D")
    share, share_other = rows["error"] / unit, rows["error_other"] / unit
    return Verdict(
        scores=_scores(rows, champion is not None),
        rows=len(rows),
        days=int(days.nunique()),
        skill=1.0 - float(share.abs().mean()),
        skill_champion=1.0 - float(share_other.abs().mean()) if champion is not None else float("nan"),
        confidence=skill.improvement_confidence(share.to_numpy(), share_other.to_numpy(), days.to_numpy()),
    )


def _scores(rows: pd.DataFrame, has_champion: bool) -> pd.DataFrame:
    table = []
    for key, group in rows.groupby(_KEY):
        error, naive = float(group["error"].abs().mean()), float(group["naive"].mean())
        other = float(group["error_other"].abs().mean()) if has_champion else np.nan
        inside = float(group["inside"].mean())
        table.append(
            (*key, len(group), error, naive, skill.skill(error, naive), inside, other, skill.skill(other, naive))
        )
    return pd.DataFrame(table, columns=list(SCORES))
