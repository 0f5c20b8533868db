"""What the boosters of a model look at."""

from __future__ import annotations

import numpy as np

from airqino.forecasting.artifact import ForecastModel

__all__ = ["importance"]


def importance(model: ForecastModel) -> dict[str, dict[str, float]]:
    """Share of each feature in the gain of the boosters' splits.

    Source: total gain, Hastie, Tibshirani & Friedman (2009), *The Elements of Statistical Learning*, section 10.13.1.

    Args:
        model: a trained model; its networks are not looked at.

    Returns:
        For each pollutant with boosters: the share (0 to 1) by feature, summed over leads and members.
    """
    import lightgbm as lgb

    shares = {}
    for pollutant, names in model.features.items():
        texts = [text for key, text in sorted(model.boosters.items()) if key.startswith(f"{pollutant}/")]
        gains = [lgb.Booster(model_str=text).feature_importance("gain") for text in texts]
        total = np.sum(gains, axis=0) if gains else np.zeros(len(names))
        if total.sum() > 0:
            shares[pollutant] = dict(zip(names, (total / total.sum()).tolist(), strict=True))
    return shares
