"""The 80 % band: split conformal calibration of quantile forecasts, and a band without a model.

Split conformal prediction on quantile regression: Romano, Patterson & Candès (2019), "Conformalized Quantile
Regression", NeurIPS 32 (here each side on its own, their Theorem 2, and the miss measured in half widths of the band,
so that the correction grows with the band).
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from airqino.forecasting.arrays import Bools, Floats, Ints
from airqino.forecasting.artifact import Band, Score
from airqino.forecasting.scoring import score_groups
from airqino.readings import reading

__all__ = [
    "COVERAGE", "MISSING_WIDENS", "RECENT_HOURS", "Quantiles", "apply_band", "calibrate", "calibrate_and_score",
    "change_band", "covered", "misses", "recent",
]  # fmt: skip

Names = npt.NDArray[np.str_]
#: p10, p50 and p90, each (n,), in the pollutant's unit.
Quantiles = tuple[Floats, Floats, Floats]

COVERAGE = 0.8
#: Half widths grow by this share for each of the last six hours without a reading.
MISSING_WIDENS = 0.05
#: Fewest hours a station's own calibration rests on: the 0.9 quantile of 100 misses has a standard error of 3 points.
_FEWEST = 100
#: What a band missed in the last two weeks, of hours its model had not seen, corrects it: levels and their spread
#: change with the season, and a band calibrated once covered 65 to 87 % in the two months after (docs/forecast.md).
RECENT_HOURS = 14 * 24


def misses(pollutant: str, raw: Quantiles, target: Floats) -> tuple[Floats, Floats]:
    """Return how far targets lie below and above a band, as a share of its half widths; negative inside of it.

    Args:
        pollutant: co or pm2_5.
        raw: p10, p50, p90 as the models gave them, each (n,), in the pollutant's unit.
        target: (n,) what was measured.

    Returns:
        Below and above, each (n,).
    """
    p10, p50, p90 = raw
    smallest = reading(pollutant).smallest_band
    below = (p50 - target) / np.maximum(p50 - p10, smallest) - 1.0
    above = (target - p50) / np.maximum(p90 - p50, smallest) - 1.0
    return below, above


def calibrate(pollutant: str, lead: int, stations: Names, raw: Quantiles, target: Floats) -> list[Band]:
    """Calibrate a band on forecasts of hours the models had not seen.

    Args:
        pollutant: co or pm2_5.
        lead: hours from the last reading to the target.
        stations: (n,) station of each forecast.
        raw: p10, p50, p90 as the models gave them, each (n,), in the pollutant's unit.
        target: (n,) what was measured.

    Returns:
        One correction for all stations together (``"*"``) and one for each station with enough hours.
    """
    below, above = misses(pollutant, raw, target)
    groups = [("*", np.ones(len(target), dtype=bool))]
    groups += [(str(name), stations == name) for name in np.unique(stations)]
    return [
        Band(name, pollutant, lead, int(rows.sum()), _conformal(below[rows]), _conformal(above[rows]))
        for name, rows in groups
        if rows.sum() >= _FEWEST or (name == "*" and rows.any())
    ]


def calibrate_and_score(
    pollutant: str,
    lead: int,
    stations: Names,
    hour: Ints,
    last: Floats,
    change: Floats,
    yesterday: Floats,
    raw: Quantiles,
) -> tuple[list[Band], list[Score]]:
    """Calibrate the band on forecasts of hours the models had not seen, and score them.

    Args:
        pollutant: co or pm2_5.
        lead: hours from the last reading to the target.
        stations: (n,) station of each forecast.
        hour: (n,) hour of the last reading, counted from anywhere.
        last: (n,) last reading, in the pollutant's unit.
        change: (n,) change from there to the target; NaN where it is unknown.
        yesterday: (n,) change from there to the reading 24 h before the target; NaN where there is none.
        raw: p10, p50, p90 as the models gave them, each (n,).

    Returns:
        Bands and scores, for each station and for all of them together (``"*"``); none if no target is known.
    """
    known = ~np.isnan(change)
    if not known.any():
        return [], []
    stations, change, raw, target = stations[known], change[known], _part(raw, known), (last + change)[known]
    rows = pd.DataFrame({"station": stations.astype(object), "pollutant": pollutant, "horizon_h": lead})
    rows["error"], rows["error_persistence"] = np.maximum(raw[1], 0.0) - target, -change
    rows["error_yesterday"] = yesterday[known] - change
    rows["inside"] = covered(pollutant, lead, stations, hour[known], raw, target)
    names = ["station", "pollutant", "horizon_h", "n", "mae", "mae_persistence", "mae_yesterday", "skill", "coverage80"]
    table = score_groups(pd.concat([rows.assign(station="*"), rows]))[names]
    records: list[dict[str, Any]] = table.to_dict("records")  # type: ignore[assignment]
    scores = [Score(**row, beats=_beats(row["mae"], row["mae_persistence"], row["mae_yesterday"])) for row in records]
    return calibrate(pollutant, lead, stations, raw, target), scores


def _beats(mae: float, *others: float) -> bool:
    """Tell whether an error is smaller than each of the others that is defined."""
    return all(mae < other for other in others if not np.isnan(other))


def covered(pollutant: str, lead: int, stations: Names, hour: Ints, raw: Quantiles, target: Floats) -> Bools:
    """Say which targets lie in the calibrated band, without a band ever being scored on what it was calibrated on.

    Even weeks are scored with the calibration of odd weeks, and the reverse; a band that is scored on its own weeks
    would cover 80 % by construction. Only where all hours are in weeks of one kind, they are scored with their own.

    Args: those of `calibrate_and_score`; target: (n,) what was measured.
    """
    inside = np.zeros(len(target), dtype=bool)
    odd = hour // 168 % 2 == 1
    for scored in (odd, ~odd):
        other = scored if scored.all() else ~scored
        if not scored.any():
            continue
        bands = calibrate(pollutant, lead, stations[other], _part(raw, other), target[other])
        by_station = {band.station: band for band in bands}
        used = [by_station.get(str(name), by_station["*"]) for name in stations[scored]]
        below, above = np.array([band.below for band in used]), np.array([band.above for band in used])
        low, _, high = apply_band(pollutant, _part(raw, scored), below, above, np.zeros(len(used)))
        inside[scored] = (low <= target[scored]) & (target[scored] <= high)
    return inside


def _part(raw: Quantiles, rows: Bools) -> Quantiles:
    return raw[0][rows], raw[1][rows], raw[2][rows]


def _conformal(misses: Floats) -> float:
    """Return the ⌈(n+1)·0.9⌉-th smallest miss: one side of the band is left by one target in ten."""
    n = len(misses)
    rank = min(int(np.ceil((n + 1) * (1 + COVERAGE) / 2)), n)
    return float(np.sort(misses)[rank - 1])


def recent(window: Floats, trained: Floats) -> Floats:
    """Correct one side of a band by what it missed lately.

    Conformal calibration on a moving window: Gibbs & Candès (2021), "Adaptive Conformal Inference Under Distribution
    Shift", NeurIPS 34, show why; Wisniewski, Lindsay & Lindsay (2020), COPA, PMLR 128, use such a window.

    Args:
        window: (n, hours) misses known by each hour of issue; NaN where there was no forecast or no target, or the
            model has learnt from the target.
        trained: (n,) correction of the training.

    Returns:
        (n,) the window's correction where it holds 100 hours or more, a mix with the training's where it holds fewer.
    """
    ordered = np.sort(window, axis=1)  # NaN sorts to the end
    count = (~np.isnan(ordered)).sum(axis=1)
    rank = np.minimum(np.ceil((count + 1) * (1 + COVERAGE) / 2).astype(int), count) - 1
    windowed = np.where(count > 0, ordered[np.arange(len(ordered)), np.maximum(rank, 0)], 0.0)
    share = np.minimum(count / _FEWEST, 1.0)
    return np.asarray(share * windowed + (1 - share) * trained, dtype=float)


def apply_band(pollutant: str, raw: Quantiles, below: Floats, above: Floats, missing: Floats) -> Quantiles:
    """Correct a band, widen it where readings are missing, and keep it in order and above zero.

    Args:
        pollutant: co or pm2_5.
        raw: p10, p50, p90 as the models gave them, each (n,), in the pollutant's unit.
        below: (n,) correction of the lower half.
        above: (n,) correction of the upper half.
        missing: (n,) hours without a reading among the last six.

    Returns:
        p10, p50, p90 with 0 ≤ p10 ≤ p50 ≤ p90.
    """
    p10, p50, p90 = raw
    smallest = reading(pollutant).smallest_band
    wider = 1.0 + MISSING_WIDENS * missing
    low = p50 - np.maximum(p50 - p10, smallest) * np.maximum(1.0 + below, 0.0) * wider
    high = p50 + np.maximum(p90 - p50, smallest) * np.maximum(1.0 + above, 0.0) * wider
    middle = np.maximum(p50, 0.0)
    return np.clip(low, 0.0, middle), middle, np.maximum(high, middle)


def change_band(last: Floats, changes: Floats, missing: Floats) -> tuple[Floats, Floats]:
    """Return the band around "no change": the 80 % quantile of the recent absolute changes on either side.

    Args:
        last: (n,) last readings.
        changes: (n, m) recent changes over the same lead, NaN where unknown.
        missing: (n,) hours without a reading among the last six.

    Returns:
        p10 and p90, each (n,), at least 0. Where fewer than 24 changes (a day) are known, half the last reading on
        either side.
    """
    sizes = np.sort(np.abs(changes), axis=1)  # NaN sorts to the end
    count = (~np.isnan(sizes)).sum(axis=1)
    rank = np.clip(np.ceil((count + 1) * COVERAGE).astype(int), 1, np.maximum(count, 1)) - 1
    half = np.where(count >= 24, sizes[np.arange(len(last)), rank] if sizes.shape[1] else np.nan, 0.5 * last)
    half = half * (1.0 + MISSING_WIDENS * missing)
    return np.maximum(last - half, 0.0), last + half
