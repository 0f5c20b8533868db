"""LightGBM behind a few functions: fit with early stopping, fit a fixed number of rounds, predict, importance.

LightGBM is imported inside them: it costs time that a run without a forecast need not spend.
"""

import functools
import sys
from types import ModuleType
from typing import Any

import numpy as np

from airqino.forecasting.arrays import Floats, Matrix
from airqino.forecasting.artifact import ForecastModel

__all__ = ["early_stopped_rounds", "fit", "fit_dataset", "importance", "predict"]

#: The same data and seed give the same trees (LightGBM docs, parameter ``deterministic``, which asks for a forced row-
#: or column-wise layout).
_DETERMINISTIC: dict[str, Any] = {"deterministic": True, "force_row_wise": True, "verbose": -1, "num_threads": 1}


def fit_dataset(features: Matrix, target: Floats) -> Any:
    """Bin the features; column 0 is the station's code, a category."""
    lgb = _lightgbm()
    params = _DETERMINISTIC | {"max_cat_to_onehot": 8}
    return lgb.Dataset(features, target, categorical_feature=[0], params=params).construct()


def early_stopped_rounds(
    dataset: Any, features: Matrix, target: Floats, params: dict[str, Any], rounds: int, patience: int
) -> tuple[str, int]:
    """Fit until a later block of time no longer gets better.

    Args:
        dataset: from `fit_dataset`.
        features: (n, features) of the later block.
        target: (n,) of the later block.
        params: LightGBM parameters.
        rounds: most rounds.
        patience: stop after so many rounds without a better one.

    Returns:
        The model string, cut at its best round, and that round's number.
    """
    lgb = _lightgbm()
    later = lgb.Dataset(features, target, reference=dataset, categorical_feature=[0])
    stop = lgb.early_stopping(patience, verbose=False)
    booster = lgb.train(_DETERMINISTIC | params, dataset, rounds, valid_sets=[later], callbacks=[stop])
    best = max(int(booster.best_iteration), 1)
    return _text(booster, best), best


def fit(dataset: Any, params: dict[str, Any], rounds: int) -> str:
    """Fit a fixed number of rounds, and return the model string."""
    lgb = _lightgbm()
    return _text(lgb.train(_DETERMINISTIC | params, dataset, num_boost_round=rounds), rounds)


def predict(members: list[str], features: Matrix, num_threads: int) -> Floats:
    """Return the mean prediction of several boosters, (n,)."""
    if len(features) == 0:
        return np.zeros(0)
    total = np.zeros(len(features))
    for member in members:
        total += _booster(member).predict(features, num_threads=num_threads)
    return total / len(members)


def importance(model: ForecastModel) -> dict[str, dict[str, float]]:
    """Return the share of each feature in the gain of the boosters' splits.

    Source: total gain, Hastie, Tibshirani & Friedman (2009), *The Elements of Statistical Learning*, section 10.13.1.

    Args:
        model: a trained model; its networks are not looked at.

    Returns:
        For each pollutant with boosters: the share (0 to 1) by feature, summed over leads and members.
    """
    shares = {}
    for pollutant, names in model.features.items():
        texts = [text for key, text in sorted(model.boosters.items()) if key.startswith(f"{pollutant}/")]
        gains = [_booster(text).feature_importance("gain") for text in texts]
        total = np.sum(gains, axis=0) if gains else np.zeros(len(names))
        if total.sum() > 0:
            shares[pollutant] = dict(zip(names, (total / total.sum()).tolist(), strict=True))
    return shares


@functools.lru_cache(maxsize=128)
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
            del sys.modules["sklearn"]
    return lightgbm


def _text(booster: Any, rounds: int) -> str:
    """Return the model string without its parameters block: the thread count there would make equal models differ."""
    text: str = booster.model_to_string(num_iteration=rounds)
    head, _, tail = text.partition("\nparameters:\n")
    return head + tail.partition("\nend of parameters\n")[2] if tail else text
