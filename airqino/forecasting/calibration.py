"""The 80 % band: split conformal calibration of quantile forecasts, and a band without a model.

Split conformal prediction on quantile regression: Romano, Patterson & Candès (2019), "Conformalized Quantile
Regression", NeurIPS 32 (here each side on its own, their Theorem 2, and the miss measured in half widths of the band,
so that the correction grows with the band).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from airqino.forecasting.artifact import Band

__all__ = ["COVERAGE", "MISSING_WIDENS", "RECENT_HOURS", "apply_band", "calibrate", "change_band", "misses", "recent"]

Floats = npt.NDArray[np.float64]

COVERAGE = 0.8
#: Half widths grow by this share for each of the last six hours without a reading.
MISSING_WIDENS = 0.05
#: Fewest hours a station's own calibration rests on: the 0.9 quantile of 100 misses has a standard error of 3 points.
_FEWEST = 100
#: Smallest raw half width, in the pollutant's unit; a share of nothing would correct nothing.
_SMALLEST = {"co": 0.005, "pm2_5": 0.3}
_SMALLEST_OTHER = 0.1
#: What a band missed in the last two weeks, of hours its model had not seen, corrects it: levels and their spread
#: change with the season, and a band calibrated once covered 65 to 87 % in the two months after (docs/forecast.md).
RECENT_HOURS = 14 * 24


def misses(pollutant: str, raw: tuple[Floats, Floats, Floats], target: Floats) -> tuple[Floats, Floats]:
    """How far targets lie below and above a band, as a share of its half widths; negative inside of it.

    Args:
        pollutant: co or pm2_5.
        raw: p10, p50, p90 as the models gave them, each (n,), in the pollutant's unit.
        target: (n,) what was measured.

    Returns:
        Below and above, each (n,).
    """
    p10, p50, p90 = raw
    smallest = _SMALLEST.get(pollutant, _SMALLEST_OTHER)
    below = (p50 - target) / np.maximum(p50 - p10, smallest) - 1.0
    above = (target - p50) / np.maximum(p90 - p50, smallest) - 1.0
    return below, above


def calibrate(
    pollutant: str,
    lead: int,
    stations: npt.NDArray[np.str_],
    raw: tuple[Floats, Floats, Floats],
    target: Floats,
) -> list[Band]:
    """Corrections of a band from forecasts of hours the models had not seen.

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


def _conformal(misses: Floats) -> float:
    """The ⌈(n+1)·0.9⌉-th smallest miss: one side of the band is left by one target in ten."""
    n = len(misses)
    rank = min(int(np.ceil((n + 1) * (1 + COVERAGE) / 2)), n)
    return float(np.sort(misses)[rank - 1])


def recent(window: Floats, trained: Floats) -> Floats:
    """Correction of one side of a band by what it missed lately.

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
    found = np.where(count > 0, ordered[np.arange(len(ordered)), np.maximum(rank, 0)], 0.0)
    share = np.minimum(count / _FEWEST, 1.0)
    return np.asarray(share * found + (1 - share) * trained, dtype=float)


def apply_band(
    pollutant: str, raw: tuple[Floats, Floats, Floats], below: Floats, above: Floats, missing: Floats
) -> tuple[Floats, Floats, Floats]:
    """Corrects a band, widens it where readings are missing, and keeps it in order and above zero.

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
    smallest = _SMALLEST.get(pollutant, _SMALLEST_OTHER)
    wider = 1.0 + MISSING_WIDENS * missing
    low = p50 - np.maximum(p50 - p10, smallest) * np.maximum(1.0 + below, 0.0) * wider
    high = p50 + np.maximum(p90 - p50, smallest) * np.maximum(1.0 + above, 0.0) * wider
    middle = np.maximum(p50, 0.0)
    return np.clip(low, 0.0, middle), middle, np.maximum(high, middle)


def change_band(last: Floats, changes: Floats, missing: Floats) -> tuple[Floats, Floats]:
    """The band around "no change": the 80 % quantile of the recent absolute changes on either side.

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
