"""Synthetic hourly series for the forecast."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from airqino.forecasting.features import COVARIATES, WEATHER

START = pd.Timestamp("2024-01-01", tz="UTC")


def cyclic(days: int, stations: Iterable[str] = ("a", "b"), seed: int = 0) -> pd.DataFrame:
    """Return readings from ``START``: a daily cycle and noise that reverts, so there is something to forecast."""
    random = np.random.default_rng(seed)
    hours = days * 24
    cycle = 10 + 5 * np.sin(2 * np.pi * np.arange(hours) / 24)
    at = pd.date_range(START, periods=hours, freq="h").astype("datetime64[us, UTC]")
    parts = []
    for station in stations:
        table = pd.DataFrame({"station": station, "observed_at": at})
        for name in COVARIATES + WEATHER:
            table[name] = np.maximum(cycle + random.normal(0, 3, hours), 0.1)
        for name in COVARIATES:
            table[f"{name}_flag"] = "ok"
        parts.append(table)
    return pd.concat(parts, ignore_index=True)
