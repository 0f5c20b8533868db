"""The forecast: train a model on the past, and ask it for the next hours.

Direct models, for each pollutant and *lead* (hours from the last usable reading to the target), over all stations, on the
change from that reading: LightGBM for the median, blended with small neural networks that also give the band. With a
fresh reading the lead is the horizon; with one that is an hour old, the forecast for the next hour is that of lead 2. No
lead is longer than three hours, so nothing is forecast beyond that.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.science import boosting, calibration, network
from tasks.science.artifact import Band, ForecastModel, Score
from tasks.science.features import LOOKBACK_HOURS, Grid, feature_matrix, last_usable, to_grid
from tasks.science.training import LEADS, Recipe, blend, train

__all__ = ["COLUMNS", "LEADS", "Band", "ForecastModel", "Recipe", "Score", "predict", "train"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

COLUMNS = (
    "station", "pollutant", "issued_at", "target_at", "horizon_h", "p10", "p50", "p90",
    "method", "reason", "last_value", "last_observed_at",
)  # fmt: skip
#: Flags of a sensor that is broken now: nothing is forecast from readings before it broke.
_BROKEN = ("dead", "stuck")
#: Persistence takes its band from this many hours of changes.
_RECENT_HOURS = 28 * 24


def predict(
    model: ForecastModel | None,
    hourly: pd.DataFrame,
    issued_at: Sequence[pd.Timestamp],
    num_threads: int = 2,
    pollutants: Sequence[str] = ("co", "pm2_5"),
    horizons: Sequence[int] = (1, 2),
    no_model_reason: str = "no model",
) -> pd.DataFrame:
    """Forecasts of every station in the readings, for each hour of issue.

    Args:
        model: a trained model, or None: persistence everywhere.
        hourly: readings as for :func:`tasks.science.features.to_grid`; 30 days before an hour of issue are enough, and
            nothing after it is used.
        issued_at: hours of issue: the beginning (UTC) of the last hour that is over.
        num_threads: threads of LightGBM.
        pollutants: what to forecast; one the model does not know gets persistence.
        horizons: hours from issued_at to target_at.
        no_model_reason: the reason given where there is no model.

    Returns:
        One row for each hour of issue, station, pollutant and horizon, sorted by them, with ``COLUMNS``. p10, p50,
        p90 and last_value are in the pollutant's unit, NaN where there is no forecast; ``method`` is lightgbm (the
        trained model), persistence or none, and ``reason`` says why it is not the model.
    """
    hours = pd.DatetimeIndex(pd.to_datetime(list(issued_at), utc=True)).unique().sort_values()
    if len(hours) == 0 or len(hourly) == 0:
        return _table([])
    grid = to_grid(hourly, hours[0] - pd.Timedelta(hours=LOOKBACK_HOURS), hours[-1])
    rows = grid.index(hours)
    parts = []
    for pollutant in pollutants:
        anchors = _Anchors(grid, pollutant, rows)
        for horizon in horizons:
            parts.append(_forecast(model, grid, anchors, pollutant, int(horizon), num_threads, no_model_reason))
    return _table(parts)


class _Anchors:
    """For each hour of issue and station (flattened, hours outermost): the last reading, or why there is none."""

    def __init__(self, grid: Grid, pollutant: str, rows: Ints) -> None:
        values, flags = grid.values[pollutant], grid.flags[pollutant]
        n = len(grid.stations)
        self.issued = np.repeat(rows, n)
        self.column = np.tile(np.arange(n), len(rows))
        self.anchor = last_usable(values, grid.n_hours)[self.issued, self.column]
        self.age = self.issued - self.anchor
        told = last_usable(np.where(flags == "absent", np.nan, 0.0), grid.n_hours)[self.issued, self.column]
        self.flag = np.where(told >= 0, flags[np.maximum(told, 0), self.column], "absent")
        self.broken = np.isin(self.flag, _BROKEN)
        present = np.concatenate([np.zeros((1, n)), np.cumsum(~np.isnan(values), axis=0)])
        before = np.maximum(self.issued - 5, 0)
        self.missing = 6.0 - (present[self.issued + 1, self.column] - present[before, self.column])
        self.known = self.anchor >= 0
        self.last = np.where(self.known, values[np.maximum(self.anchor, 0), self.column], np.nan)

    def reasons(self) -> npt.NDArray[np.object_]:
        """Why there is no forecast, where there is none."""
        out = np.array([f"no reading for {age} h" for age in self.age], dtype=object)
        out[~self.known] = f"no reading in the last {LOOKBACK_HOURS // 24} days"
        for flag in (*_BROKEN, "out_of_range"):
            rows = self.flag == flag
            out[rows] = f"sensor {flag.replace('_', ' ')}"
        return out


def _forecast(
    model: ForecastModel | None,
    grid: Grid,
    anchors: _Anchors,
    pollutant: str,
    horizon: int,
    num_threads: int,
    no_model_reason: str,
) -> pd.DataFrame:
    n = len(anchors.issued)
    lead = anchors.age + horizon
    possible = anchors.known & ~anchors.broken & np.isin(lead, LEADS)
    quantiles = np.full((3, n), np.nan)
    reason = np.where(possible, no_model_reason, anchors.reasons())
    method = np.where(possible, "persistence", "none").astype(object)
    for value in LEADS:
        rows = np.flatnonzero(possible & (lead == value))
        if len(rows) == 0:
            continue
        by_model = np.zeros(len(rows), dtype=bool)
        if model is not None:
            by_model, reason[rows] = _judged(model, grid, anchors.column[rows], pollutant, value)
        modelled, rest = rows[by_model], rows[~by_model]
        if model is not None and len(modelled):
            quantiles[:, modelled] = _modelled(model, grid, anchors, pollutant, value, modelled, num_threads)
            method[modelled] = "lightgbm"
        if len(rest):
            changes = _recent_changes(grid, pollutant, value, anchors.anchor[rest], anchors.column[rest])
            p10, p90 = calibration.change_band(anchors.last[rest], changes, anchors.missing[rest])
            quantiles[:, rest] = p10, anchors.last[rest], p90
    issued = _moments(grid, anchors.issued)
    return pd.DataFrame(
        {
            "station": np.array(grid.stations, dtype=object)[anchors.column],
            "pollutant": pollutant,
            "issued_at": issued,
            "target_at": issued + pd.Timedelta(hours=horizon),
            "horizon_h": np.int64(horizon),
            "p10": quantiles[0],
            "p50": quantiles[1],
            "p90": quantiles[2],
            "method": method,
            "reason": reason,
            "last_value": anchors.last,
            "last_observed_at": _moments(grid, anchors.anchor).where(anchors.known),
        }
    )


def _judged(
    model: ForecastModel, grid: Grid, column: Ints, pollutant: str, lead: int
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.object_]]:
    """Where the model is to be used, and the reason where it is not."""
    if pollutant not in model.pollutants:
        return np.zeros(len(column), dtype=bool), np.full(
            len(column), "model does not know this pollutant", dtype=object
        )
    beats, reasons = [], []
    for station in grid.stations:
        score = model.score(station, pollutant, lead)
        beats.append(score is not None and score.beats)
        reasons.append("" if beats[-1] else "model does not beat persistence here")
    return np.array(beats)[column], np.array(reasons, dtype=object)[column]


def _modelled(
    model: ForecastModel, grid: Grid, anchors: _Anchors, pollutant: str, lead: int, rows: Ints, num_threads: int
) -> Floats:
    """(3, n) calibrated quantiles."""
    code = {station: float(position) for position, station in enumerate(model.stations)}
    codes = np.array([code.get(station, np.nan) for station in grid.stations])
    features = feature_matrix(grid, pollutant, LEADS, anchors.anchor[rows], anchors.column[rows], codes)
    boosters = model.boosters_of(pollutant, lead)
    boosted = boosting.predict(boosters, features, num_threads) if boosters else None
    networks = [network.Network.from_bytes(content) for content in model.networks_of(pollutant)]
    raw = blend(anchors.last[rows], boosted, network.predict(networks, features)[:, LEADS.index(lead)])
    bands = [model.band(station, pollutant, lead) for station in grid.stations]
    below = np.array([band.below if band else 0.0 for band in bands])[anchors.column[rows]]
    above = np.array([band.above if band else 0.0 for band in bands])[anchors.column[rows]]
    return np.stack(calibration.apply_band(pollutant, raw, below, above, anchors.missing[rows]))


def _recent_changes(grid: Grid, pollutant: str, lead: int, anchor: Ints, column: Ints) -> Floats:
    """(n, hours) changes over a lead that had happened by each anchor."""
    values = grid.values[pollutant]
    changes = np.full((len(values) + _RECENT_HOURS, values.shape[1]), np.nan)
    changes[_RECENT_HOURS + lead :] = values[lead:] - values[:-lead]
    return changes[anchor[:, None] + np.arange(1, _RECENT_HOURS + 1), column[:, None]]


def _moments(grid: Grid, rows: Ints) -> pd.Series:
    hours = (grid.start + rows).astype("datetime64[h]").astype("datetime64[us]")
    return pd.Series(pd.DatetimeIndex(hours).tz_localize("UTC"))


def _table(parts: list[pd.DataFrame]) -> pd.DataFrame:
    if not parts:
        return pd.DataFrame({name: [] for name in COLUMNS})
    table = pd.concat(parts, ignore_index=True)[list(COLUMNS)]
    return table.sort_values(["issued_at", "station", "pollutant", "horizon_h"], ignore_index=True)
