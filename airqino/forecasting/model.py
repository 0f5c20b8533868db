"""The forecast: train a model on the past, and ask it for the next hours.

Direct LightGBM models, for each pollutant and *lead* (hours from the last usable reading to the target), over all
stations, on the change from that reading, for the median and the band. With a fresh reading the lead is the horizon;
with one that is an hour old, the forecast for the next hour is that of lead 2. From older readings only "no change" is
forecast, and from those older than `OLDEST_HOURS` nothing.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from airqino.forecasting import boosting, calibration
from airqino.forecasting.arrays import Bools, Floats, Ints
from airqino.forecasting.artifact import Band, ForecastModel, Score
from airqino.forecasting.boosting import Recipe
from airqino.forecasting.exceedance import DAYS, chances
from airqino.forecasting.features import LOOKBACK_HOURS, feature_matrix, feature_names, names_for
from airqino.forecasting.grid import Grid, last_usable, to_grid
from airqino.forecasting.levels import level
from airqino.forecasting.scoring import MODELLED
from airqino.forecasting.spans import POLLUTANT, Spans
from airqino.forecasting.training import leads_of, train
from airqino.readings import CORE_HOURS, FORECAST, HORIZONS

__all__ = [
    "COLUMNS", "HISTORY_HOURS", "OLDEST_HOURS", "Band", "ForecastModel", "Recipe", "Score",
    "predict", "span_of", "train",
]  # fmt: skip

COLUMNS = (
    "station", "pollutant", "issued_at", "target_at", "horizon_h", "p10", "p50", "p90",
    "method", "reason", "last_value", "last_observed_at", "level", "level_probability", "day", "day_exceedance",
)  # fmt: skip
#: Flags of a sensor that is broken now: nothing is forecast from readings before it broke.
_BROKEN = {
    "dead": "sensor dead",
    "stuck": "sensor stuck",
    "at_floor": "sensor at its floor: mis-zeroed or dead",
    "offset": "zero of the sensor off",
}
#: Flags of readings that cannot be, of a sensor that may be well again.
_IMPOSSIBLE = {
    "out_of_range": "sensor out of range",
    "unit": "readings in another unit",
    "invalidated": "readings invalidated by the operator",
}
#: Readings that a forecast makes use of: the features' look back, from each hour whose forecast corrects the band.
HISTORY_HOURS = LOOKBACK_HOURS + calibration.RECENT_HOURS
#: Persistence takes its band from the changes of four weeks.
_RECENT_CHANGES = 28 * 24
#: Recent forecasts that are made again to see what the bands missed, for all stations together.
_MOST_RECENT_ROWS = 8000
#: Nothing is forecast from a reading that is older.
OLDEST_HOURS = 2
#: The reason given with the model's forecast at a station that is new, or was silent before the training.
_NEW = "little was known of this station in the training: model and band are mostly those of the others"


def predict(
    model: ForecastModel | None,
    hourly: pd.DataFrame | Grid,
    issued_at: Sequence[pd.Timestamp],
    num_threads: int = 2,
    pollutants: Sequence[str] = FORECAST,
    horizons: Sequence[int] = HORIZONS,
    no_model_reason: str = "no model",
    zones: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Forecast every station in the readings, for each hour of issue.

    Args:
        model: a trained model, or None: persistence everywhere.
        hourly: readings as for `grid.to_grid`, or the grid of some stations' readings; 44 days (``HISTORY_HOURS``)
            before an hour of issue are made use of, and nothing after it. A grid's last hour is the last of issue.
        issued_at: hours of issue: the beginning (UTC) of the last hour that is over.
        num_threads: threads of LightGBM.
        pollutants: what to forecast; one the model does not know gets persistence.
        horizons: hours from issued_at to target_at.
        no_model_reason: the reason given where there is no model.
        zones: time zone of each station, for its days; UTC where not named.

    Returns:
        One row for each hour of issue, station, pollutant and horizon, sorted by them, with ``COLUMNS``. p10, p50,
        p90 and last_value are in the pollutant's unit, NaN where there is no forecast; ``method`` is lightgbm (the
        trained model), persistence (up to two hours ahead) or none, and ``reason`` says why it is not the model, or
        that little was known of the station when it was trained. ``day`` is the station's day that the target lies
        in. Of PM2.5, ``level`` is the level of the European Air Quality Index that the hour will most likely have, with
        its probability, and ``day_exceedance`` the probability that the day's mean exceeds the guideline: of the day
        that is under way, and from 18:00 of the next; NaN where a model cannot tell.
    """
    hours = pd.DatetimeIndex(pd.to_datetime(list(issued_at), utc=True)).unique().sort_values()
    if len(hours) == 0 or (isinstance(hourly, pd.DataFrame) and not len(hourly)):
        return _table([])
    grid = hourly if isinstance(hourly, Grid) else to_grid(hourly, *span_of(hours))
    rows = grid.index(hours)
    spans, parts = Spans(grid, zones or {}), []
    for pollutant in pollutants:
        anchors, quantiles, reason = _Anchors(grid, pollutant, rows), None, no_model_reason
        if model is not None and pollutant in model.pollutants:
            quantiles = _Model(model, grid, anchors, horizons, num_threads)
        elif model is not None:
            reason = "history too short"  # for this pollutant, when the model was made
        chance = {name: np.full(len(anchors.age), np.nan) for name in DAYS}
        if model is not None and pollutant == POLLUTANT and pollutant in model.pollutants:
            known = np.flatnonzero(anchors.possible)
            told = anchors.anchor[known], anchors.issued[known], anchors.column[known]
            for name, values in chances(model.days, spans, _codes(model, grid), *told, num_threads).items():
                chance[name][known] = values
        for horizon in horizons:
            table = _forecast(quantiles, grid, anchors, int(horizon), reason)
            parts.append(table.assign(**_of_day(spans, anchors, int(horizon), chance)))
    return _table(parts)


def span_of(hours: Sequence[pd.Timestamp] | pd.DatetimeIndex) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return the first and the last hour whose readings the forecasts of some hours of issue make use of."""
    return min(hours) - pd.Timedelta(hours=HISTORY_HOURS), max(hours)


class _Anchors:
    """For each hour of issue and station (flattened, hours outermost): the last reading, or why there is none."""

    def __init__(self, grid: Grid, pollutant: str, rows: Ints) -> None:
        self.pollutant = pollutant
        values, flags = grid.values[pollutant], grid.flags[pollutant]
        n = len(grid.stations)
        self.issued = np.repeat(rows, n)
        self.column = np.tile(np.arange(n), len(rows))
        self.anchor = last_usable(values, grid.n_hours)[self.issued, self.column]
        self.age = self.issued - self.anchor
        self.possible = (self.anchor >= 0) & (self.age <= OLDEST_HOURS)
        flagged = last_usable(np.where(flags == "absent", np.nan, 0.0), grid.n_hours)[self.issued, self.column]
        self.flag = np.where(flagged >= 0, flags[np.maximum(flagged, 0), self.column], "absent")
        self.possible &= ~np.isin(self.flag, list(_BROKEN))
        present = np.concatenate([np.zeros((1, n)), np.cumsum(~np.isnan(values), axis=0)])
        before = np.maximum(self.issued - 5, 0)
        self.missing = 6.0 - (present[self.issued + 1, self.column] - present[before, self.column])
        self.has_reading = self.anchor >= 0
        self.last = np.where(self.has_reading, values[np.maximum(self.anchor, 0), self.column], np.nan)

    def reasons(self) -> npt.NDArray[np.object_]:
        """Say why there is no forecast, where there is none."""
        out = np.array([f"no reading for {age} h" for age in self.age], dtype=object)
        out[~self.has_reading] = f"no reading in the last {HISTORY_HOURS // 24} days"
        for flag, reason in (_BROKEN | _IMPOSSIBLE).items():
            out[self.flag == flag] = reason
        return out


class _Model:
    """What a model says of one pollutant: raw quantiles of every anchor that is needed, and their recent misses."""

    def __init__(
        self, model: ForecastModel, grid: Grid, anchors: _Anchors, horizons: Sequence[int], num_threads: int
    ) -> None:
        self.model, self.grid, self.anchors, self.pollutant = model, grid, anchors, anchors.pollutant
        self.num_threads = num_threads
        self._raw_of: dict[int, Floats] = {}
        #: The first hour the model has not seen: what a band misses of targets before says nothing of it.
        self.unseen = max(int(grid.index(pd.DatetimeIndex([model.trained_until]))[0]), 0)
        ages = np.unique(anchors.age[anchors.possible & (anchors.age <= 1)]).tolist()
        leads = sorted({int(horizon) + age for horizon in horizons for age in ages} & {*leads_of(model.horizons)})
        values = grid.values[self.pollutant]
        usable = ~np.isnan(values)
        # This saves the work for hours whose forecasts correct no band; `quantiles` leaves out the targets seen.
        longest = max(leads_of(model.horizons))
        usable[: max(int(anchors.issued.min()) - calibration.RECENT_HOURS, self.unseen) - longest] = False
        # Of many stations, every k-th hour of the last two weeks is enough to see what the bands missed; k has no
        # divisor in common with 24, or it would be the same hours of each day.
        n_stations = grid.network.stations if grid.network else len(grid.stations)
        step = -(-n_stations * calibration.RECENT_HOURS // _MOST_RECENT_ROWS)
        while math.gcd(step, 24) > 1:
            step += 1
        usable[(grid.start + np.arange(len(values))) % step != 0] = False
        usable[anchors.anchor[anchors.has_reading], anchors.column[anchors.has_reading]] = True
        self.row, self.column = np.nonzero(usable)
        self.names = feature_names(self.pollutant, leads)
        self.features = feature_matrix(grid, self.pollutant, leads, self.row, self.column, _codes(model, grid))

    def quantiles(self, lead: int, rows: Ints) -> Floats:
        """Return the (3, n) calibrated quantiles of some of the anchors, at a lead that the model has."""
        anchors, raw = self.anchors, self._raw(lead)
        station = [self.model.band(name, self.pollutant, lead) for name in self.grid.stations]
        column, issued = anchors.column[rows], anchors.issued[rows]
        values = self.grid.values[self.pollutant]
        target = np.full(values.shape, np.nan)
        target[:-lead] = values[lead:]
        target[: max(self.unseen - lead, 0)] = np.nan
        corrections = []
        missed_sides = calibration.misses(self.pollutant, (raw[0], raw[1], raw[2]), target)
        for side, missed in zip(("below", "above"), missed_sides, strict=True):
            trained = np.array([getattr(band, side) if band else 0.0 for band in station])[column]
            window = _before(missed, issued - lead, column, calibration.RECENT_HOURS)
            corrections.append(calibration.recent(window, trained))
        p10, p50, p90 = raw[:, anchors.anchor[rows], column]
        below, above = corrections
        return np.stack(calibration.apply_band(self.pollutant, (p10, p50, p90), below, above, anchors.missing[rows]))

    def _raw(self, lead: int) -> Floats:
        """Return the (3, hours, stations) quantiles as the boosters give them; NaN where none is needed."""
        values = self.grid.values[self.pollutant]
        if lead not in self._raw_of:  # else of a fresh reading, and of one an hour old
            features, last = self.features[:, names_for(self.names, lead)], values[self.row, self.column]
            model = self.model.models[f"{self.pollutant}/{lead}"]
            self._raw_of[lead] = boosting.predict(self.pollutant, model, features, last, self.num_threads)
        raw = np.full((3, *values.shape), np.nan)
        raw[:, self.row, self.column] = self._raw_of[lead]
        return raw

    def reasons_against(self, lead: int) -> npt.NDArray[np.object_]:
        """Say for each station why the model is not to be used; empty where it is."""
        reasons = []
        for station in self.grid.stations:
            score = self.model.score(station, self.pollutant, lead)
            if lead not in leads_of(self.model.horizons):
                reasons.append(f"the model was not trained {lead} h ahead")
            elif score is None:
                reasons.append("too few recent hours to judge the model")
            else:
                reasons.append("" if score.beats else f"at {lead} h the model does not beat the simple forecasts here")
        return np.array(reasons, dtype=object)

    def are_new(self, lead: int) -> Bools:
        """Tell of each station whether the training knew little of it."""
        return np.array([not self.model.knows(station, self.pollutant, lead) for station in self.grid.stations])


def _forecast(model: _Model | None, grid: Grid, anchors: _Anchors, horizon: int, no_model_reason: str) -> pd.DataFrame:
    possible, quantiles = anchors.possible, np.full((3, len(anchors.age)), np.nan)
    reason = np.where(possible, no_model_reason, anchors.reasons())
    method = np.where(possible, "persistence", "none").astype(object)
    for age in range(OLDEST_HOURS + 1):
        rows, lead = np.flatnonzero(possible & (anchors.age == age)), age + horizon
        if model is not None and age > 1:
            reason[rows] = f"the last reading is {age} h old"
        elif model is not None and len(rows):
            reason[rows] = model.reasons_against(lead)[anchors.column[rows]]
            modelled = rows[reason[rows] == ""]
            method[modelled] = MODELLED
            reason[modelled[model.are_new(lead)[anchors.column[modelled]]]] = _NEW
            if len(modelled):
                quantiles[:, modelled] = model.quantiles(lead, modelled)
        if horizon > CORE_HOURS:
            method[rows[method[rows] == "persistence"]] = "none"
        rest = rows[method[rows] == "persistence"]
        changes = _recent_changes(grid, anchors, lead, rest)
        p10, p90 = calibration.change_band(anchors.last[rest], changes, anchors.missing[rest])
        quantiles[:, rest] = p10, anchors.last[rest], p90
    issued = _moments(grid, anchors.issued)
    names, probability = level(anchors.pollutant, *quantiles)
    return pd.DataFrame(
        {
            "station": np.array(grid.stations, dtype=object)[anchors.column],
            "pollutant": anchors.pollutant,
            "issued_at": issued,
            "target_at": issued + pd.Timedelta(hours=horizon),
            "horizon_h": np.int64(horizon),
            **dict(zip(("p10", "p50", "p90"), quantiles, strict=True)),
            "method": method,
            "reason": reason,
            "last_value": anchors.last,
            "last_observed_at": _moments(grid, anchors.anchor).where(anchors.has_reading),
            "level": pd.Series(names, dtype="str"),  # one type, whether some or none are known
            "level_probability": probability,
        }
    )


def _codes(model: ForecastModel, grid: Grid) -> Floats:
    """Return the model's code of each station; NaN for one it does not know."""
    code = {station: float(position) for position, station in enumerate(model.stations)}
    return np.array([code.get(station, np.nan) for station in grid.stations])


def _of_day(spans: Spans, anchors: _Anchors, horizon: int, chance: Mapping[str, Floats]) -> dict[str, Any]:
    """Return the columns about the day that the target lies in."""
    target, now = anchors.issued + horizon, anchors.issued + 1
    is_today = spans.bounds(target, anchors.column, 0)[0] == spans.bounds(now, anchors.column, 0)[0]
    exceedance = np.where(is_today, chance["today"], chance["tomorrow"])
    return {"day": spans.day(target, anchors.column), "day_exceedance": exceedance}


def _before(values: Floats, row: Ints, column: Ints, hours: int) -> Floats:
    """Return the (n, hours) values of the hours that end with each row, NaN before the first one."""
    padded = np.vstack([np.full((hours, values.shape[1]), np.nan), values])
    return np.asarray(padded[row[:, None] + np.arange(1, hours + 1), column[:, None]], dtype=float)


def _recent_changes(grid: Grid, anchors: _Anchors, lead: int, rows: Ints) -> Floats:
    """Return the (n, hours) changes over a lead that had happened by the anchors."""
    values = grid.values[anchors.pollutant]
    changes = np.full(values.shape, np.nan)
    changes[lead:] = values[lead:] - values[:-lead]
    return _before(changes, anchors.anchor[rows], anchors.column[rows], _RECENT_CHANGES)


def _moments(grid: Grid, rows: Ints) -> pd.Series:
    hours = (grid.start + rows).astype("datetime64[h]").astype("datetime64[us]")
    return pd.Series(pd.DatetimeIndex(hours).tz_localize("UTC"))


def _table(parts: list[pd.DataFrame]) -> pd.DataFrame:
    if not parts:
        return pd.DataFrame({name: [] for name in COLUMNS})
    table = pd.concat(parts, ignore_index=True)[list(COLUMNS)]
    return table.sort_values(["issued_at", "station", "pollutant", "horizon_h"], ignore_index=True)
