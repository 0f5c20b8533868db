"""LightGBM behind three functions: fit with early stopping, fit a fixed number of rounds, predict.

LightGBM is imported inside them: it costs half a second that a run without a forecast need not spend.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["early_stopped_rounds", "fit", "fit_dataset", "predict"]

Matrix = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

#: The same data and seed give the same trees (LightGBM docs, parameter ``deterministic``, which asks for a forced row-
#: or column-wise layout).
_DETERMINISTIC: dict[str, Any] = {"deterministic": True, "force_row_wise": True, "verbose": -1, "num_threads": 1}


def fit_dataset(features: Matrix, target: Floats) -> Any:
    """Bins the features; column 0 is the station's code, a category."""
    import lightgbm as lgb

    params = _DETERMINISTIC | {"max_cat_to_onehot": 8}
    dataset = lgb.Dataset(features, target, categorical_feature=[0], params=params)
    return dataset.construct()


def early_stopped_rounds(
    dataset: Any,
    features: Matrix,
    target: Floats,
    params: dict[str, Any],
    rounds: int,
    patience: int,
) -> tuple[str, int]:
    """Fits until a later block of time no longer gets better.

    Args:
        dataset: from :func:`fit_dataset`.
        features: (n, features) of the later block.
        target: (n,) of the later block.
        params: LightGBM parameters.
        rounds: most rounds.
        patience: stop after so many rounds without a better one.

    Returns:
        The model string, cut at its best round, and that round's number.
    """
    import lightgbm as lgb

    later = lgb.Dataset(features, target, reference=dataset, categorical_feature=[0])
    booster = lgb.train(
        _DETERMINISTIC | params,
        dataset,
        num_boost_round=rounds,
        valid_sets=[later],
        callbacks=[lgb.early_stopping(patience, verbose=False)],
    )
    best = max(int(booster.best_iteration), 1)
    return _text(booster, best), best


def fit(dataset: Any, params: dict[str, Any], rounds: int) -> str:
    """Fits a fixed number of rounds; returns the model string."""
    import lightgbm as lgb

    booster = lgb.train(_DETERMINISTIC | params, dataset, num_boost_round=rounds)
    return _text(booster, rounds)


def predict(members: list[str], features: Matrix, num_threads: int) -> Floats:
    """Mean prediction of several boosters, (n,)."""
    if len(features) == 0:
        return np.zeros(0)
    total = np.zeros(len(features))
    for member in members:
        total += _booster(member).predict(features, num_threads=num_threads)
    return total / len(members)


@functools.lru_cache(maxsize=128)
def _booster(text: str) -> Any:
    import lightgbm as lgb

    return lgb.Booster(model_str=text)


def _text(booster: Any, rounds: int) -> str:
    """The model string without its parameters block: the thread count there would make equal models differ."""
    text: str = booster.model_to_string(num_iteration=rounds)
    head, _, tail = text.partition("\nparameters:\n")
    return head + tail.partition("\nend of parameters\n")[2] if tail else text
