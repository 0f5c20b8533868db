"""Calibration and scores of forecasts of a block of time that the models had not seen."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from airqino.forecasting.artifact import Band, Score
from airqino.forecasting.calibration import apply_band, calibrate

__all__ = ["judge"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Names = npt.NDArray[np.str_]
Quantiles = tuple[Floats, Floats, Floats]


def judge(
    pollutant: str, lead: int, station: Names, hour: Ints, last: Floats, change: Floats, raw: Quantiles
) -> tuple[list[Band], list[Score]]:
    """Calibrates the band and scores the forecast, for each station and for all of them together.

    Args:
        pollutant: co or pm2_5.
        lead: hours from the last reading to the target.
        station: (n,) station of each forecast.
        hour: (n,) hour of the last reading, counted from anywhere.
        last: (n,) last reading, in the pollutant's unit.
        change: (n,) change from there to the target; NaN where it is unknown.
        raw: p10, p50, p90 as the models gave them.

    Returns:
        Bands and scores; none if no target is known.
    """
    known = ~np.isnan(change)
    if not known.any():
        return [], []
    station, week, change = station[known], hour[known] // 168 % 2, change[known]
    target = last[known] + change
    quantiles = (raw[0][known], raw[1][known], raw[2][known])
    inside = _inside(pollutant, lead, station, week, quantiles, target)
    scores = []
    for name in ("*", *np.unique(station)):
        rows = np.ones(len(target), dtype=bool) if name == "*" else station == name
        mae = float(np.abs(target[rows] - np.maximum(quantiles[1][rows], 0.0)).mean())
        naive = float(np.abs(change[rows]).mean())
        skill = 1.0 - mae / naive if naive > 0 else None
        covered = float(inside[rows].mean())
        scores.append(Score(str(name), pollutant, lead, int(rows.sum()), mae, naive, skill, covered, mae < naive))
    return calibrate(pollutant, lead, station, quantiles, target), scores


def _inside(
    pollutant: str, lead: int, station: Names, week: Ints, raw: Quantiles, target: Floats
) -> npt.NDArray[np.bool_]:
    """Whether targets lie in the band; odd weeks judge even ones and the reverse, or it were 80 % by construction."""
    inside = np.zeros(len(target), dtype=bool)
    for parity in (0, 1):
        here, there = week == parity, week != parity
        if not there.any():
            there = here
        if not here.any():
            continue
        found = calibrate(pollutant, lead, station[there], _part(raw, there), target[there])
        bands = {band.station: band for band in found}
        used = [bands.get(str(name), bands["*"]) for name in station[here]]
        below, above = np.array([band.below for band in used]), np.array([band.above for band in used])
        low, _, high = apply_band(pollutant, _part(raw, here), below, above, np.zeros(len(used)))
        inside[here] = (low <= target[here]) & (target[here] <= high)
    return inside


def _part(raw: Quantiles, rows: npt.NDArray[np.bool_]) -> Quantiles:
    return raw[0][rows], raw[1][rows], raw[2][rows]
