"""Training of the forecast model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.errors import InsufficientHistoryError
from tasks.science import boosting
from tasks.science.artifact import Band, ForecastModel, Score
from tasks.science.calibration import apply_band, calibrate
from tasks.science.features import Grid, change, feature_matrix, feature_names, to_grid

__all__ = ["MAX_LEAD", "MIN_USABLE_HOURS", "Recipe", "train"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: No forecast reaches further beyond the last reading: at +3 h the other leads' skill was already spent on older readings.
MAX_LEAD = 3
#: Two weeks of one station: the habits of an hour of the day are means over two weeks.
MIN_USABLE_HOURS = 14 * 24


@dataclass(frozen=True)
class Recipe:
    """Settings of the training; the defaults are what won the backtests (docs/forecast.md).

    Attributes:
        members: boosters averaged for the median.
        rounds: most boosting rounds.
        patience: early stopping after so many rounds without gain.
        learning_rate: shrinkage.
        num_leaves: leaves of a tree.
        min_data_in_leaf: fewest rows in a leaf.
        feature_fraction: share of the features each tree may use.
        validation_days: length of the time-ordered block at the end that early stopping, calibration and scores use; at most a
            quarter of the history.
        max_rows: fit on at most so many rows per pollutant and lead, the newest.
    """

    members: int = 3
    rounds: int = 600
    patience: int = 60
    learning_rate: float = 0.03
    num_leaves: int = 31
    min_data_in_leaf: int = 40
    feature_fraction: float = 0.4
    validation_days: int = 42
    max_rows: int = 300_000

    def params(self, objective: str, seed: int) -> dict[str, Any]:
        """LightGBM parameters of one booster."""
        loss = (
            {"objective": "l1"}
            if objective == "p50"
            else {"objective": "quantile", "alpha": {"p10": 0.1, "p90": 0.9}[objective]}
        )
        return loss | {
            "learning_rate": self.learning_rate,
            "num_leaves": self.num_leaves,
            "min_data_in_leaf": self.min_data_in_leaf,
            "feature_fraction": self.feature_fraction,
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "lambda_l2": 1.0,
            "seed": seed,
        }


@dataclass(frozen=True)
class _Rows:
    """Training rows of one pollutant and lead, in the order of time."""

    features: npt.NDArray[np.float32]
    target: Floats
    last: Floats
    row: Ints
    station: npt.NDArray[np.str_]

    def where(self, keep: npt.NDArray[np.bool_]) -> _Rows:
        return _Rows(self.features[keep], self.target[keep], self.last[keep], self.row[keep], self.station[keep])


def train(
    hourly: pd.DataFrame,
    until: pd.Timestamp,
    pollutants: Sequence[str] = ("co", "pm2_5"),
    horizons: Sequence[int] = (1, 2),
    seed: int = 1,
    num_threads: int = 2,
    recipe: Recipe | None = None,
    progress: Callable[[str], None] | None = None,
) -> ForecastModel:
    """Trains a model on what was measured before a moment.

    Args:
        hourly: readings as for :func:`tasks.science.features.to_grid`.
        until: only rows with observed_at < until are used.
        pollutants: what to forecast.
        horizons: hours from the hour of issue to the target.
        seed: random seed; the same data and seed give the same model, byte for byte.
        num_threads: threads of LightGBM.
        recipe: settings other than the default ones.
        progress: called with a short text before each of the fits.

    Returns:
        The model.

    Raises:
        InsufficientHistoryError: fewer than 14 days of usable hours in all, for each of the pollutants.
    """
    recipe = recipe or Recipe()
    until = pd.Timestamp(until).tz_convert("UTC") if pd.Timestamp(until).tzinfo else pd.Timestamp(until, tz="UTC")
    past = hourly[hourly["observed_at"] < until]
    grid = to_grid(past)
    boosters: dict[str, str] = {}
    bands: list[Band] = []
    scores: list[Score] = []
    trained: list[str] = []
    n_rows = 0
    for pollutant in pollutants:
        if (~np.isnan(grid.values[pollutant])).sum() < MIN_USABLE_HOURS:
            continue
        for lead in range(min(horizons), MAX_LEAD + 1):
            if progress is not None:
                progress(f"{pollutant} +{lead} h")
            rows = _rows(grid, pollutant, lead, recipe.max_rows)
            if len(rows.target) < MIN_USABLE_HOURS:
                continue
            fitted = _fit_lead(rows, pollutant, lead, seed, num_threads, recipe)
            boosters |= {f"{pollutant}/{lead}/{key}": text for key, text in fitted[0].items()}
            bands += fitted[1]
            scores += fitted[2]
            n_rows += len(rows.target)
            if pollutant not in trained:
                trained.append(pollutant)
    if not trained:
        most = max(int((~np.isnan(grid.values[name])).sum()) for name in pollutants)
        raise InsufficientHistoryError(
            f"history too short: {most} usable hours before {until:%Y-%m-%dT%H}, at least {MIN_USABLE_HOURS} are needed to train"
        )
    return ForecastModel(
        pollutants=tuple(trained),
        horizons=tuple(int(h) for h in horizons),
        stations=grid.stations,
        features={name: tuple(feature_names(name)) for name in trained},
        boosters=boosters,
        bands=tuple(bands),
        scores=tuple(scores),
        trained_from=str(pd.Timestamp(past["observed_at"].min()).isoformat()),
        trained_until=str(until.isoformat()),
        n_rows=n_rows,
        seed=seed,
        recipe=asdict(recipe),
    )


def _rows(grid: Grid, pollutant: str, lead: int, max_rows: int) -> _Rows:
    row, column = np.nonzero(~np.isnan(grid.values[pollutant]))
    target = change(grid.values[pollutant], row, column, lead)
    keep = np.flatnonzero(~np.isnan(target))[-max_rows:]
    row, column = row[keep], column[keep]
    codes = np.arange(len(grid.stations), dtype=float)
    features = feature_matrix(grid, pollutant, lead, row, column, codes)
    return _Rows(features, target[keep], grid.values[pollutant][row, column], row, np.array(grid.stations)[column])


def _fit_lead(
    rows: _Rows, pollutant: str, lead: int, seed: int, num_threads: int, recipe: Recipe
) -> tuple[dict[str, str], list[Band], list[Score]]:
    """Fits on the past, stops, calibrates and scores on the block after it, then fits on everything."""
    hours = rows.row[-1] - rows.row[0] + 1
    cut = rows.row[-1] - min(recipe.validation_days * 24, hours // 4)
    fitting, block = rows.where(rows.row + lead <= cut), rows.where(rows.row > cut)
    dataset = boosting.fit_dataset(fitting.features, fitting.target, np.ones(len(fitting.target)), num_threads)
    rounds: dict[str, int] = {}
    held: dict[str, Floats] = {}
    for name in ("p10", "p50", "p90"):
        text, rounds[name] = boosting.early_stopped_rounds(
            dataset, block.features, block.target, np.ones(len(block.target)), recipe.params(name, seed), recipe.rounds, recipe.patience,
            num_threads,
        )  # fmt: skip
        held[name] = block.last + boosting.predict([text], block.features, num_threads)
    everything = boosting.fit_dataset(rows.features, rows.target, np.ones(len(rows.target)), num_threads)
    boosters = {}
    for name in ("p10", "p50", "p90"):
        for member in range(recipe.members if name == "p50" else 1):
            params = recipe.params(name, seed + member)
            boosters[f"{name}/{member}"] = boosting.fit(everything, params, rounds[name], num_threads)
    target = block.last + block.target
    bands = calibrate(pollutant, lead, block.station, held["p10"], held["p50"], held["p90"], target)
    return boosters, bands, _scores(pollutant, lead, block, held)


def _scores(pollutant: str, lead: int, block: _Rows, held: dict[str, Floats]) -> list[Score]:
    """Scores on the block; for coverage, each half of it (odd and even weeks) is judged by the other half's calibration."""
    target = block.last + block.target
    inside = np.zeros(len(target), dtype=bool)
    week = block.row // 168 % 2
    for half in (0, 1):
        here, there = week == half, week != half
        bands = {
            band.station: band
            for band in calibrate(
                pollutant, lead, block.station[there], *(held[q][there] for q in ("p10", "p50", "p90")), target[there]
            )
        }
        for station in np.unique(block.station[here]):
            band = bands.get(str(station)) or bands.get("*")
            rows = here & (block.station == station)
            below, above = (band.below, band.above) if band else (0.0, 0.0)
            n = np.ones(rows.sum())
            low, _, high = apply_band(
                pollutant, *(held[q][rows] for q in ("p10", "p50", "p90")), below * n, above * n, 0.0 * n
            )
            inside[rows] = (low <= target[rows]) & (target[rows] <= high)
    out = []
    for name in ("*", *np.unique(block.station)):
        rows = np.ones(len(target), dtype=bool) if name == "*" else block.station == name
        mae = float(np.abs(target[rows] - np.maximum(held["p50"][rows], 0.0)).mean())
        naive = float(np.abs(block.target[rows]).mean())
        skill = 1.0 - mae / naive if naive > 0 else float("nan")
        out.append(
            Score(str(name), pollutant, lead, int(rows.sum()), mae, naive, skill, float(inside[rows].mean()), skill > 0)
        )
    return out
