"""Training of the forecast model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from airqino.compute import HERE, Pool
from airqino.errors import InsufficientHistoryError
from airqino.forecasting import boosting, calibration
from airqino.forecasting.arrays import Bools, Floats, Ints, Matrix
from airqino.forecasting.artifact import Band, ForecastModel, Score
from airqino.forecasting.boosting import LeadModel, Recipe
from airqino.forecasting.exceedance import DayModel, fit_days
from airqino.forecasting.features import feature_matrix, feature_names, names_for
from airqino.forecasting.grid import Grid, change, to_grid
from airqino.forecasting.spans import POLLUTANT
from airqino.readings import FORECAST, HORIZONS

__all__ = ["MIN_USABLE_HOURS", "MOST_STATIONS", "MOST_STATION_HOURS", "drawn_stations", "leads_of", "train"]

#: Two weeks of one station: the habits of an hour of the day are means over two weeks.
MIN_USABLE_HOURS = 14 * 24


#: A training is of at most so many stations, and of so many hours of all of them together: the readings of 100 stations
#: for a year, and the forecasts of 200 that two models are compared on, take half a gigabyte each.
MOST_STATIONS = 200
MOST_STATION_HOURS = 100 * 365 * 24


def drawn_stations(stations: Sequence[str], hours: int, seed: int) -> list[str]:
    """Draw the stations that a model is trained on: all of them, where that is not too much for the memory.

    The model is one for all stations, and is fitted on `Recipe.max_rows` of their hours; of more stations it would see
    fewer hours each, so few that none could be judged by itself. What is not drawn is forecast as a new station is.

    Args:
        stations: sorted station ids.
        hours: length of the history.
        seed: random seed; the same stations and seed give the same ones.

    Returns:
        Sorted station ids, at least one.
    """
    number = max(min(MOST_STATIONS, MOST_STATION_HOURS // max(hours, 1)), 1)
    if len(stations) <= number:
        return list(stations)
    drawn = np.random.default_rng(seed).choice(len(stations), number, replace=False)
    return [stations[position] for position in sorted(drawn.tolist())]


def leads_of(horizons: Sequence[int]) -> tuple[int, ...]:
    """Return the hours from the last reading to the targets: the horizon, or one more of a reading an hour old."""
    return tuple(sorted({int(horizon) + age for horizon in horizons for age in (0, 1)}))


@dataclass(frozen=True)
class _Rows:
    """Anchors of one pollutant, in the order of time."""

    features: Matrix
    targets: Floats  # (n, leads) changes, NaN where unknown
    yesterday: Floats  # (n, leads) the change that the reading 24 h before the target would forecast
    last: Floats
    row: Ints
    station: npt.NDArray[np.str_]

    def where(self, keep: Bools | Ints) -> Self:
        """Return some of the rows, as copies."""
        return replace(self, **{name: column[keep] for name, column in vars(self).items()})


def train(
    hourly: pd.DataFrame,
    until: pd.Timestamp,
    pollutants: Sequence[str] = FORECAST,
    horizons: Sequence[int] = HORIZONS,
    seed: int = 1,
    pool: Pool = HERE,
    recipe: Recipe | None = None,
    progress: Callable[[str], None] | None = None,
    zones: Mapping[str, str] | None = None,
) -> ForecastModel:
    """Train a model on what was measured before a moment.

    Args:
        hourly: readings as for `features.to_grid`.
        until: only rows with observed_at < until are used.
        pollutants: what to forecast.
        horizons: hours from the hour of issue to the target.
        seed: random seed; the same data and seed give the same model, byte for byte.
        pool: where features are built and boosters are fitted, each by one thread; the model is the same.
        recipe: settings other than the default ones.
        progress: called with a short text before each of the two fits of each pollutant.
        zones: time zone of each station, for its days, UTC where not named; None: days are not forecast.

    Returns:
        The model. A pollutant with less than 14 days of usable hours is left out of it; so are the boosters of a lead
        that beat the simple forecasts at no station.

    Raises:
        InsufficientHistoryError: all of them have less.
    """
    recipe = recipe or Recipe()
    until = pd.Timestamp(until)
    until = until.tz_convert("UTC") if until.tzinfo else until.tz_localize("UTC")
    grid = to_grid(hourly, last=until - pd.Timedelta(hours=1))
    models: dict[str, LeadModel] = {}
    bands: list[Band] = []
    scores: list[Score] = []
    days: dict[str, DayModel] = {}
    trained: list[str] = []
    n_rows = most = 0
    report = progress or (lambda text: None)
    for pollutant in pollutants:
        usable = int((~np.isnan(grid.values[pollutant])).sum())
        most = max(most, usable)
        leads = leads_of(horizons)
        rows = _rows(grid, pollutant, leads, recipe.max_rows, seed, pool)
        if usable < MIN_USABLE_HOURS or len(rows.row) < MIN_USABLE_HOURS // 2:
            continue
        fit = _Fit(pollutant, leads, len(grid.stations), seed, pool, recipe)
        report(f"{pollutant} validation")
        new_bands, new_scores = fit.validate(rows)
        bands += new_bands
        scores += new_scores
        report(f"{pollutant} model")
        wanted = sorted({score.horizon_h for score in new_scores if score.beats})
        models |= {f"{pollutant}/{lead}": model for lead, model in fit.models(rows, wanted, recipe.medians)}
        trained.append(pollutant)
        n_rows += len(rows.row)
        del rows, fit  # 1.5 GB are to be enough for a year of 200 stations
        if pollutant == POLLUTANT and zones is not None:
            thinned = partial(_thinned, most=recipe.max_rows // 2, seed=seed)
            days = fit_days(grid, zones, thinned, recipe, seed, pool)
    if not trained:
        needed = f"{MIN_USABLE_HOURS} are needed to train"
        raise InsufficientHistoryError(f"history too short: {most} usable hours before {until:%Y-%m-%dT%H}, {needed}")
    return ForecastModel(
        pollutants=tuple(trained),
        horizons=tuple(int(horizon) for horizon in horizons),
        stations=grid.stations,
        models=models,
        bands=tuple(bands),
        scores=tuple(scores),
        days=days,
        trained_from=str(pd.Timestamp(hourly["observed_at"].min()).isoformat()),
        trained_until=str(until.isoformat()),
        n_rows=n_rows,
        seed=seed,
        recipe=asdict(recipe),
    )


@dataclass(frozen=True)
class _Fit:
    """The fits of one pollutant's models.

    Each booster is fitted by one thread, the models of several leads at the same time: threads *within* a fit of a few
    thousand rows mostly wait for each other, very long so where the machine has other work too.
    """

    pollutant: str
    leads: tuple[int, ...]
    n_stations: int
    seed: int
    pool: Pool
    recipe: Recipe

    def validate(self, rows: _Rows) -> tuple[list[Band], list[Score]]:
        """Fit on all but the last block of time, and calibrate and score on that."""
        fitting, block = _split(rows, self.leads, self.recipe.validation_days)
        bands: list[Band] = []
        scores: list[Score] = []
        for lead, model in self.models(fitting, self.leads, self.recipe.validation_medians):
            at = self.leads.index(lead)
            features = block.features[:, self._columns(lead)]
            raw = boosting.predict(self.pollutant, model, features, block.last, self.pool.threads)
            changes = block.targets[:, at], block.yesterday[:, at]
            forecasts = block.station, block.row, block.last, *changes, (raw[0], raw[1], raw[2])
            new_bands, new_scores = calibration.calibrate_and_score(self.pollutant, lead, *forecasts)
            bands += new_bands
            scores += new_scores
        return bands, scores

    def models(self, rows: _Rows, leads: Sequence[int], medians: int) -> list[tuple[int, LeadModel]]:
        """Fit the models of some leads; a lead without rows has none."""
        known = {lead: np.flatnonzero(~np.isnan(rows.targets[:, self.leads.index(lead)])) for lead in leads}
        some = [lead for lead in leads if len(known[lead])]
        how = self.recipe, medians, self.seed
        parts = ((self.pollutant, *self._data(rows, lead, known[lead]), *how) for lead in some)
        return list(zip(some, self.pool.map(boosting.fit, parts), strict=True))

    def _data(self, rows: _Rows, lead: int, known: Ints) -> tuple[list[str], int, Matrix, Floats, Floats, Floats]:
        """Return names of features, how many stations, features, last readings, changes and weights of some rows."""
        columns, changes = self._columns(lead), rows.targets[known, self.leads.index(lead)]
        names = np.array(feature_names(self.pollutant, self.leads))[columns].tolist()
        weight = 0.5 ** ((rows.row[-1] - rows.row[known]) / 24 / self.recipe.half_life_days)
        return names, self.n_stations, rows.features[known][:, columns], rows.last[known], changes, weight

    def _columns(self, lead: int) -> list[int]:
        return names_for(feature_names(self.pollutant, self.leads), lead)


def _split(rows: _Rows, leads: Sequence[int], validation_days: int) -> tuple[_Rows, _Rows]:
    """Split off the last block of time, at most a quarter of it; no target before it lies in it."""
    span = int(rows.row[-1] - rows.row[0]) + 1
    cut = int(rows.row[-1]) - min(validation_days * 24, span // 4)
    fitting, block = rows.where(rows.row <= cut), rows.where(rows.row > cut)
    fitting.targets[fitting.row[:, None] + np.array(leads) > cut] = np.nan  # the block's own readings
    return fitting, block


def _rows(grid: Grid, pollutant: str, leads: Sequence[int], max_rows: int, seed: int, pool: Pool = HERE) -> _Rows:
    own = grid.values[pollutant]
    row, column = np.nonzero(~np.isnan(own))
    known = np.zeros(len(row), dtype=bool)
    for lead in leads:
        known |= ~np.isnan(change(own, row, column, lead))
    keep = _thinned(np.flatnonzero(known), column, max_rows, seed)
    row, column = row[keep], column[keep]
    targets = np.column_stack([change(own, row, column, lead) for lead in leads])
    yesterday = np.column_stack([change(own, row, column, lead - 24) for lead in leads])
    codes = np.arange(len(grid.stations), dtype=float)
    features = feature_matrix(grid, pollutant, leads, row, column, codes, pool)
    station = np.array(grid.stations)[column]
    return _Rows(features, targets, yesterday, own[row, column], row, station)


def _thinned(rows: Ints, column: Ints, most: int, seed: int) -> Ints:
    """Return at most so many of the rows, in their order: of a station with many of them one from each k, by chance.

    Every k-th one would be of the same hours of the day where k has a divisor in common with 24.
    """
    stations, counts = np.unique(column[rows], return_counts=True)
    share, left = most, len(stations)
    for count in np.sort(counts):  # what a station does not use of its share is for the others
        if count > share // left:
            break
        share, left = share - count, left - 1
    if not left:
        return rows
    quota, random = share // left, np.random.default_rng(seed)
    parts = [rows[column[rows] == station] for station in stations]
    kept = [part if len(part) <= quota else part[_one_of_each(len(part), quota, random)] for part in parts]
    return np.sort(np.concatenate(kept))


def _one_of_each(length: int, parts: int, random: np.random.Generator) -> Ints:
    """Return a position from each of some equal parts of a length."""
    edges = np.arange(parts + 1) * length // parts
    return np.asarray(random.integers(edges[:-1], edges[1:]), dtype=np.int64)
