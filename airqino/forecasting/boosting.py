"""LightGBM behind a few functions: fit one pollutant and lead, forecast with it, importance.

For each pollutant and lead: boosters of the median, which are averaged; for a reading with a floor one of whether it
will be at it; and one for each end of the band. Extremely randomised trees: Geurts, Ernst & Wehenkel (2006), *Machine
Learning* 63, 3–42.

LightGBM is imported inside the functions: it costs time that a run without a forecast need not spend.
"""

import functools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Self

import numpy as np

from airqino.forecasting.arrays import Floats, Matrix
from airqino.forecasting.inputs import Scaling
from airqino.readings import reading

__all__ = ["LeadModel", "Recipe", "fit", "fit_day", "importance", "predict", "predict_day"]

#: The same data and seed give the same trees (LightGBM docs, parameter ``deterministic``, which asks for a forced row-
#: or column-wise layout); each booster is fitted by one thread.
_DETERMINISTIC: dict[str, Any] = {"deterministic": True, "force_row_wise": True, "verbose": -1, "num_threads": 1}
#: The ends of the band, by their names.
_ENDS = {"p10": 0.1, "p90": 0.9}
_MEDIAN, _FLOOR = "median", "floor"
_HUBER: dict[str, Any] = {"objective": "huber", "alpha": 0.2, "boost_from_average": False}


@dataclass(frozen=True)
class Recipe:
    """Settings of the training; the defaults are what won the backtests (docs/forecast.md).

    Attributes:
        medians: boosters averaged for the median of a lead.
        rounds: boosting rounds of each of them; there is no early stopping.
        learning_rate: their shrinkage.
        leaves: leaves of their trees.
        band_rounds: boosting rounds of each end of the band.
        band_rate: their shrinkage.
        floor_rounds: boosting rounds of the booster that tells the floor.
        day_rounds: boosting rounds of the mean of a day.
        day_rate: their shrinkage.
        day_leaves: leaves of their trees: days are fewer than hours.
        half_life_days: a row counts half as much when it is so much older.
        validation_medians: `medians` of the fit that is validated.
        validation_days: length of the time-ordered block at the end that calibration and scores use; at most a quarter
            of the history.
        max_rows: fit on at most so many rows of a pollutant, thinned evenly at each station.
    """

    medians: int = 3
    rounds: int = 200
    learning_rate: float = 0.3
    leaves: int = 31
    band_rounds: int = 100
    band_rate: float = 0.12
    floor_rounds: int = 200
    day_rounds: int = 150
    day_rate: float = 0.1
    day_leaves: int = 15
    half_life_days: float = 240.0
    validation_medians: int = 1
    validation_days: int = 42
    max_rows: int = 60_000

    @classmethod
    def of_rounds(cls, rounds: int) -> Self:
        """Return the default recipe with more or fewer rounds, of all boosters alike."""
        share = rounds / cls.rounds
        names = ("rounds", "band_rounds", "floor_rounds", "day_rounds")
        return cls(**{name: max(round(share * getattr(cls, name)), 1) for name in names})

    def trees(self) -> dict[str, Any]:
        """Return the LightGBM parameters that all boosters have in common, as the median's have them."""
        sampled = {"feature_fraction": 0.4, "bagging_fraction": 0.8, "bagging_freq": 1}
        grown = {"extra_trees": True, "num_leaves": self.leaves, "min_data_in_leaf": 40, "max_bin": 63}
        return _DETERMINISTIC | sampled | grown | {"lambda_l2": 0.1, "path_smooth": 5.0}

    def smoother(self) -> dict[str, Any]:
        """Return those of the band and the floor: fewer rows say something of them, so the trees are simpler."""
        return self.trees() | {"min_data_in_leaf": 60, "feature_fraction": 0.3, "lambda_l2": 1.0, "path_smooth": 0.0}


@dataclass(frozen=True)
class LeadModel:
    """What forecasts one pollutant at one lead.

    Attributes:
        scaling: of the features and of the change.
        boosters: LightGBM model strings: ``median-0`` and on, ``p10``, ``p90``; ``floor`` of a reading that has one and
            was at it.
    """

    scaling: Scaling
    boosters: dict[str, str] = field(default_factory=dict)


def fit(
    pollutant: str,
    names: Sequence[str],
    n_stations: int,
    features: Matrix,
    last: Floats,
    changes: Floats,
    weight: Floats,
    recipe: Recipe,
    medians: int,
    seed: int,
) -> LeadModel:
    """Fit the boosters of one pollutant and lead.

    Args:
        pollutant: co or pm2_5.
        names: of the features.
        n_stations: how many stations the rows may be of.
        features: (n, features); NaN where something was not measured.
        last: (n,) last readings, in the pollutant's unit.
        changes: (n,) changes to be forecast, in the pollutant's unit.
        weight: (n,) how much each row counts.
        recipe: the settings.
        medians: how many boosters of the median.
        seed: random seed; the same data and seed give the same boosters, byte for byte.
    """
    lgb, scaling = _lightgbm(), Scaling.of(pollutant, names, features, changes, n_stations)
    inputs, trees, smoother = scaling.apply(features), recipe.trees(), recipe.smoother()
    columns = [f"{position}" for position in range(inputs.shape[1])]
    dataset = lgb.Dataset(inputs, scaling.drawn(changes), weight=weight, feature_name=columns, params=trees)
    median = _HUBER | {"learning_rate": recipe.learning_rate}
    boosters = {
        f"{_MEDIAN}-{k}": _text(lgb.train(trees | median | {"seed": seed + k}, dataset, recipe.rounds))
        for k in range(medians)
    }
    for name, alpha in _ENDS.items():
        end = {"objective": "quantile", "alpha": alpha, "num_leaves": 23, "learning_rate": recipe.band_rate}
        boosters[name] = _text(lgb.train(smoother | end | {"seed": seed}, dataset, recipe.band_rounds))
    floor = reading(pollutant).floor
    if floor is not None:
        at_floor = (last + changes <= floor + 1e-9).astype(float)  # of a sum, whose last digit is not exact
        if 0 < at_floor.sum() < len(at_floor):
            told = {"objective": "binary", "num_leaves": 15, "learning_rate": 0.06, "seed": seed}
            binned = lgb.Dataset(inputs, at_floor, feature_name=columns, params=smoother)
            boosters[_FLOOR] = _text(lgb.train(smoother | told, binned, recipe.floor_rounds))
    return LeadModel(scaling, boosters)


def predict(pollutant: str, model: LeadModel, features: Matrix, last: Floats, num_threads: int) -> Floats:
    """Return p10, p50 and p90 as the boosters give them, (3, n), in the pollutant's unit and in order.

    Args:
        pollutant: co or pm2_5.
        model: of this pollutant and one lead.
        features: (n, features) as in `fit`.
        last: (n,) last readings.
        num_threads: threads of LightGBM.
    """
    if len(features) == 0:
        return np.zeros((3, 0))
    inputs, boosters = model.scaling.apply(features), model.boosters

    def ask(name: str) -> Floats:
        return np.asarray(_booster(boosters[name]).predict(inputs, num_threads=num_threads), dtype=float)

    medians = [ask(name) for name in sorted(boosters) if name.startswith(_MEDIAN)]
    p50 = last + model.scaling.change(np.mean(medians, axis=0))
    if _FLOOR in boosters:
        p50 = np.where(ask(_FLOOR) > 0.5, reading(pollutant).floor or 0.0, p50)
    low, high = (last + model.scaling.change(ask(name)) for name in _ENDS)
    return np.stack([np.minimum(low, p50), p50, np.maximum(high, p50)])


def fit_day(
    pollutant: str,
    names: Sequence[str],
    n_stations: int,
    features: Matrix,
    changes: Floats,
    weight: Floats,
    recipe: Recipe,
    seed: int,
) -> LeadModel:
    """Fit the booster of the mean of some hours of a day, as a change from the last reading.

    Args: those of `fit`.
    """
    lgb, scaling = _lightgbm(), Scaling.of(pollutant, names, features, changes, n_stations)
    inputs, trees = scaling.apply(features), recipe.trees() | {"num_leaves": recipe.day_leaves}
    columns = [f"{position}" for position in range(inputs.shape[1])]
    dataset = lgb.Dataset(inputs, scaling.drawn(changes), weight=weight, feature_name=columns, params=trees)
    median = trees | _HUBER | {"learning_rate": recipe.day_rate, "seed": seed}
    return LeadModel(scaling, {f"{_MEDIAN}-0": _text(lgb.train(median, dataset, recipe.day_rounds))})


def predict_day(model: LeadModel, features: Matrix, last: Floats, num_threads: int) -> Floats:
    """Return the mean of those hours as the booster gives it, (n,), in the pollutant's unit.

    Args: those of `predict`.
    """
    if len(features) == 0:
        return np.zeros(0)
    inputs = model.scaling.apply(features)
    drawn = _booster(model.boosters[f"{_MEDIAN}-0"]).predict(inputs, num_threads=num_threads)
    return last + model.scaling.change(np.asarray(drawn, dtype=float))


def importance(models: Mapping[str, LeadModel]) -> dict[str, dict[str, float]]:
    """Return the share of each input in the gain of the splits of the median's boosters.

    Source: total gain, Hastie, Tibshirani & Friedman (2009), *The Elements of Statistical Learning*, section 10.13.1.

    Args:
        models: by ``"<pollutant>/<lead>"``.

    Returns:
        For each pollutant the share (0 to 1) by input, over leads and boosters. Inputs that depend on the lead count
        under their name without it.
    """
    shares: dict[str, dict[str, float]] = {}
    for key, model in sorted(models.items()):
        gained = shares.setdefault(key.partition("/")[0], {})
        names = [name.partition("+")[0] for name in model.scaling.inputs]
        for text in (text for name, text in model.boosters.items() if name.startswith(_MEDIAN)):
            for name, gain in zip(names, _booster(text).feature_importance("gain"), strict=True):
                gained[name] = gained.get(name, 0.0) + float(gain)
    return {of: _normalised(gained) for of, gained in shares.items() if sum(gained.values()) > 0}


def _normalised(gained: Mapping[str, float]) -> dict[str, float]:
    total = sum(gained.values())
    return {name: gain / total for name, gain in gained.items()}


@functools.lru_cache(maxsize=512)  # those of two models of a dozen leads
def _booster(text: str) -> Any:
    return _lightgbm().Booster(model_str=text)


@functools.cache
def _lightgbm() -> ModuleType:
    """Import LightGBM without scikit-learn, which it would load for wrappers not used here: 1.3 s of each run."""
    without = "sklearn" not in sys.modules
    if without:
        sys.modules["sklearn"] = None  # type: ignore[assignment]  # what cannot be imported, LightGBM does without
    try:
        import lightgbm
    finally:
        if without:
            sys.modules.pop("sklearn", None)  # threads of a worker may come here at once
    return lightgbm


def _text(booster: Any) -> str:
    """Return the model string without its parameters block: the thread count there would make equal models differ."""
    text: str = booster.model_to_string()
    head, _, tail = text.partition("\nparameters:\n")
    return head + tail.partition("\nend of parameters\n")[2] if tail else text
