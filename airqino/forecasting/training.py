"""Training of the forecast model."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from airqino.errors import InsufficientHistoryError
from airqino.forecasting import boosting, calibration, network
from airqino.forecasting.arrays import Bools, Floats, Ints, Matrix
from airqino.forecasting.artifact import Band, ForecastModel, Score
from airqino.forecasting.features import Grid, change, feature_matrix, feature_names, to_grid
from airqino.readings import FORECAST

__all__ = ["BOOSTED", "LEADS", "MIN_USABLE_HOURS", "Recipe", "blend", "train"]

Quantiles = calibration.Quantiles

#: Hours from the last reading to a target that are forecast: nothing is published beyond three.
LEADS = (1, 2, 3)
#: Share of the boosters in the median; from 0.3 to 0.5 it makes no difference.
BOOSTED = 0.4
#: Two weeks of one station: the habits of an hour of the day are means over two weeks.
MIN_USABLE_HOURS = 14 * 24


@dataclass(frozen=True)
class Recipe:
    """Settings of the training; the defaults are what won the backtests (docs/forecast.md).

    Attributes:
        boosters: boosters averaged for the median of a lead.
        networks: networks averaged for a pollutant.
        half_life_days: a row counts half as much for the networks when it is so much older.
        validation_networks: the same in the fit that is validated.
        rounds: most boosting rounds.
        patience: early stopping after so many rounds without gain.
        learning_rate: shrinkage of the boosters.
        num_leaves: leaves of a tree.
        min_data_in_leaf: fewest rows in a leaf.
        feature_fraction: share of the features each tree may use.
        validation_days: length of the time-ordered block at the end that early stopping, calibration and scores use; at
            most a quarter of the history.
        max_rows: fit on at most so many rows of a pollutant, the newest.
    """

    boosters: int = 1
    networks: int = 4
    half_life_days: float = 180.0
    validation_networks: int = 1
    rounds: int = 300
    patience: int = 40
    learning_rate: float = 0.06
    num_leaves: int = 23
    min_data_in_leaf: int = 40
    feature_fraction: float = 0.4
    validation_days: int = 42
    max_rows: int = 300_000

    def params(self, seed: int) -> dict[str, Any]:
        """Return the LightGBM parameters of one booster."""
        names = ("learning_rate", "num_leaves", "min_data_in_leaf", "feature_fraction")
        fixed = {"objective": "l1", "bagging_fraction": 0.8, "bagging_freq": 1, "lambda_l2": 1.0}
        return fixed | {name: getattr(self, name) for name in names} | {"seed": seed}


@dataclass(frozen=True)
class _Rows:
    """Anchors of one pollutant, in the order of time."""

    features: Matrix
    targets: Floats  # (n, leads) changes, NaN where unknown
    last: Floats
    row: Ints
    station: npt.NDArray[np.str_]

    def where(self, keep: Bools) -> Self:
        """Return some of the rows, as copies."""
        return replace(self, **{name: column[keep] for name, column in vars(self).items()})


def train(
    hourly: pd.DataFrame,
    until: pd.Timestamp,
    pollutants: Sequence[str] = FORECAST,
    horizons: Sequence[int] = (1, 2),
    seed: int = 1,
    num_threads: int = 2,
    recipe: Recipe | None = None,
    progress: Callable[[str], None] | None = None,
) -> ForecastModel:
    """Train a model on what was measured before a moment.

    Args:
        hourly: readings as for `features.to_grid`.
        until: only rows with observed_at < until are used.
        pollutants: what to forecast.
        horizons: hours from the hour of issue to the target, for which boosters are fitted beside the networks.
        seed: random seed; the same data and seed give the same model, byte for byte.
        num_threads: threads of LightGBM.
        recipe: settings other than the default ones.
        progress: called with a short text before each of the two fits of each pollutant.

    Returns:
        The model. A pollutant with less than 14 days of usable hours is left out of it.

    Raises:
        InsufficientHistoryError: all of them have less.
    """
    recipe = recipe or Recipe()
    until = pd.Timestamp(until)
    until = until.tz_convert("UTC") if until.tzinfo else until.tz_localize("UTC")
    past = hourly[hourly["observed_at"] < until]
    grid = to_grid(past)
    boosters: dict[str, str] = {}
    networks: dict[str, bytes] = {}
    bands: list[Band] = []
    scores: list[Score] = []
    features: dict[str, tuple[str, ...]] = {}
    n_rows = most = 0
    report = progress or (lambda text: None)
    for pollutant in pollutants:
        usable = int((~np.isnan(grid.values[pollutant])).sum())
        most = max(most, usable)
        rows = _rows(grid, pollutant, recipe.max_rows)
        if usable < MIN_USABLE_HOURS or len(rows.row) < MIN_USABLE_HOURS // 2:
            continue
        fit = _Fit(pollutant, tuple(horizons), len(grid.stations), seed, num_threads, recipe)
        report(f"{pollutant} validation")
        rounds, block, quantiles = fit.validate(rows)
        for position, lead in enumerate(LEADS):
            changes = block.targets[:, position]
            forecasts = block.station, block.row, block.last, changes, quantiles[position]
            new_bands, new_scores = calibration.calibrate_and_score(pollutant, lead, *forecasts)
            bands += new_bands
            scores += new_scores
        report(f"{pollutant} model")
        new_boosters, new_networks = fit.everything(rows, rounds)
        boosters |= new_boosters
        networks |= new_networks
        features[pollutant] = fit.names
        n_rows += len(rows.row)
    if not features:
        needed = f"{MIN_USABLE_HOURS} are needed to train"
        raise InsufficientHistoryError(f"history too short: {most} usable hours before {until:%Y-%m-%dT%H}, {needed}")
    return ForecastModel(
        pollutants=tuple(features),
        horizons=tuple(int(horizon) for horizon in horizons),
        stations=grid.stations,
        features=features,
        boosters=boosters,
        networks=networks,
        bands=tuple(bands),
        scores=tuple(scores),
        trained_from=str(pd.Timestamp(past["observed_at"].min()).isoformat()),
        trained_until=str(until.isoformat()),
        n_rows=n_rows,
        seed=seed,
        recipe=asdict(recipe),
    )


def blend(last: Floats, boosted: Floats | None, quantiles: Floats) -> Quantiles:
    """Return raw p10, p50, p90 of one lead: the median blends both kinds of models, the half widths are the networks'.

    Args:
        last: (n,) last readings.
        boosted: (n,) changes forecast by the boosters, None where the lead has none.
        quantiles: (n, 3) changes forecast by the networks.
    """
    low, middle, high = np.sort(quantiles, axis=1).T
    p50 = last + (middle if boosted is None else (1 - BOOSTED) * middle + BOOSTED * boosted)
    return p50 - (middle - low), p50, p50 + (high - middle)


@dataclass(frozen=True)
class _Fit:
    """The fit of the parts of the model for one pollutant.

    Each booster is fitted by one thread, several boosters and the networks at the same time: threads *within* a fit of
    a few thousand rows mostly wait for each other, very long so where the machine has other work too.
    """

    pollutant: str
    horizons: tuple[int, ...]
    n_stations: int
    seed: int
    num_threads: int
    recipe: Recipe

    @property
    def leads(self) -> list[int]:
        """Return the leads that get boosters."""
        return [lead for lead in LEADS if lead in self.horizons]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(feature_names(self.pollutant, LEADS))

    def validate(self, rows: _Rows) -> tuple[dict[int, int], _Rows, list[Quantiles]]:
        """Fit on all but the last block of time.

        Returns:
            Rounds of each lead's boosters, the block, and raw quantiles of each lead on the block.
        """
        fitting, block = _split(rows, self.recipe.validation_days)
        known, later = ~np.isnan(fitting.targets), ~np.isnan(block.targets)

        def stopped(lead: int) -> tuple[str, int]:
            at = LEADS.index(lead)
            return boosting.early_stopped_rounds(
                boosting.fit_dataset(fitting.features[known[:, at]], fitting.targets[known[:, at], at]),
                block.features[later[:, at]],
                block.targets[later[:, at], at],
                self.recipe.params(self.seed),
                self.recipe.rounds,
                self.recipe.patience,
            )

        with ThreadPoolExecutor(self.num_threads) as pool:
            futures = {lead: pool.submit(stopped, lead) for lead in self.leads}
            quantiles = network.predict(self.networks(fitting, self.recipe.validation_networks), block.features)
            texts = {lead: future.result() for lead, future in futures.items()}
        raw: list[Quantiles] = []
        for position, lead in enumerate(LEADS):
            boosted = boosting.predict([texts[lead][0]], block.features, self.num_threads) if lead in texts else None
            raw.append(blend(block.last, boosted, quantiles[:, position]))
        return {lead: number for lead, (_, number) in texts.items()}, block, raw

    def everything(self, rows: _Rows, rounds: dict[int, int]) -> tuple[dict[str, str], dict[str, bytes]]:
        """Fit on all rows, and return boosters and networks by their keys."""

        def fitted(lead: int) -> dict[str, str]:
            at = LEADS.index(lead)
            known = ~np.isnan(rows.targets[:, at])
            dataset = boosting.fit_dataset(rows.features[known], rows.targets[known, at])
            members = range(self.recipe.boosters)
            texts = [boosting.fit(dataset, self.recipe.params(self.seed + k), rounds[lead]) for k in members]
            return {f"{self.pollutant}/{lead}/{k}": text for k, text in enumerate(texts)}

        boosters: dict[str, str] = {}
        with ThreadPoolExecutor(self.num_threads) as pool:
            futures = [pool.submit(fitted, lead) for lead in rounds]
            networks = self.networks(rows, self.recipe.networks)
            for future in futures:
                boosters |= future.result()
        return boosters, {f"{self.pollutant}/{k}": net.to_bytes() for k, net in enumerate(networks)}

    def networks(self, rows: _Rows, number: int) -> list[network.Network]:
        """Fit networks with different seeds."""
        weight = 0.5 ** ((rows.row[-1] - rows.row) / 24 / self.recipe.half_life_days)
        return [
            network.fit(rows.features, self.names, rows.targets, weight, self.n_stations, self.seed + k)
            for k in range(number)
        ]


def _split(rows: _Rows, validation_days: int) -> tuple[_Rows, _Rows]:
    """Split off the last block of time, at most a quarter of it; no target before it lies in it."""
    span = int(rows.row[-1] - rows.row[0]) + 1
    cut = int(rows.row[-1]) - min(validation_days * 24, span // 4)
    fitting, block = rows.where(rows.row <= cut), rows.where(rows.row > cut)
    fitting.targets[fitting.row[:, None] + np.array(LEADS) > cut] = np.nan  # the block's own readings
    return fitting, block


def _rows(grid: Grid, pollutant: str, max_rows: int) -> _Rows:
    row, column = np.nonzero(~np.isnan(grid.values[pollutant]))
    targets = np.column_stack([change(grid.values[pollutant], row, column, lead) for lead in LEADS])
    keep = np.flatnonzero(~np.isnan(targets).all(axis=1))[-max_rows:]
    row, column = row[keep], column[keep]
    features = feature_matrix(grid, pollutant, LEADS, row, column, np.arange(len(grid.stations), dtype=float))
    return _Rows(features, targets[keep], grid.values[pollutant][row, column], row, np.array(grid.stations)[column])
