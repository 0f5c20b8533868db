"""Synthetic hourly series for the forecast."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from airqino.forecasting.grid import COVARIATES, WEATHER

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


def readings(
    hours: int = 900, stations: Iterable[str] = ("7", "11", "5"), seed: int = 0, missing: float = 0.1
) -> pd.DataFrame:
    """Return random readings with gaps, in random order."""
    random = np.random.default_rng(seed)
    parts = []
    for station in stations:
        table = pd.DataFrame(
            {"observed_at": pd.date_range(START, periods=hours, freq="h").astype("datetime64[us, UTC]")}
        )
        table.insert(0, "station", station)
        for name in COVARIATES + WEATHER:
            table[name] = np.round(random.gamma(1.0, 5.0, hours))
        for name in COVARIATES:
            table[f"{name}_flag"] = random.choice(["ok", "humid", "stuck", "spike"], hours, p=[0.85, 0.05, 0.05, 0.05])
        parts.append(table[random.random(hours) > missing])
    return pd.concat(parts).sample(frac=1, random_state=seed).reset_index(drop=True)


def series(hourly: pd.DataFrame, station: str, name: str = "pm2_5") -> pd.Series:
    """Return the usable readings of a station by hour, by pandas alone."""
    own = hourly[hourly["station"] == station].set_index("observed_at").sort_index()
    return own[name].where(own[f"{name}_flag"].isin(["ok", "humid"])) if f"{name}_flag" in own else own[name]
