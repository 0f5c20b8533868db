"""How long training and forecasting take, for two stations and for 200, and how much memory.

Run: .venv/bin/python benchmarks/forecast.py. Synthetic stations, no files and no database: the pure functions that the
tasks call. Prints seconds, and gigabytes; asserts nothing.
"""

import multiprocessing
import resource
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from airqino.forecasting.model import HISTORY_HOURS, predict, train
from airqino.quality.flags import flag_history
from airqino.sandbox.series import DEFAULT_STATIONS, rows
from airqino.source.response import Row

NOW = datetime(2026, 1, 5, tzinfo=UTC)
NAMES = dict(zip(Row.__struct_encode_fields__, Row.__struct_fields__, strict=True))


def readings(stations: list[str], days: int) -> pd.DataFrame:
    """Flagged hourly readings of the last days."""
    frames = []
    for station in stations:
        frame = pd.DataFrame(
            rows(station, NOW - timedelta(days=days), NOW - timedelta(hours=1), NOW + timedelta(days=9))
        )
        frames.append(frame.rename(columns=NAMES).assign(station=station))
    hourly = pd.concat(frames, ignore_index=True)
    hourly["observed_at"] = pd.to_datetime(hourly.pop("timestamp"), utc=True).astype("datetime64[us, UTC]")
    return flag_history(hourly, causal=True)


def crowded(stations: int) -> pd.DataFrame:
    """Readings of a year of many stations: those of two, each a little different."""
    two, random = readings(list(DEFAULT_STATIONS), 365), np.random.default_rng(1)
    parts = [two[two["station"] == station] for station in DEFAULT_STATIONS]
    measured = two.select_dtypes("float").columns
    made = [parts[number % 2].assign(station=f"2832{number:05}") for number in range(stations)]
    for part in made:
        part[measured] *= random.uniform(0.8, 1.2, (len(part), 1))
    return pd.concat(made, ignore_index=True)


def train_crowd(answer: Any) -> None:
    """Train on a year of 200 stations, and tell the seconds and the most memory."""
    hourly, began = crowded(200), time.monotonic()
    train(hourly, pd.Timestamp(NOW), num_threads=2, zones={})
    answer.put((time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6))


def timed(table: Table, what: str, work: Callable[[], Any]) -> Any:
    """Run, and note the seconds."""
    began = time.monotonic()
    result = work()
    table.add_row(what, f"{time.monotonic() - began:.2f}")
    return result


def main() -> None:
    """Measure and print."""
    table = Table(title="synthetic stations, 2 threads")
    table.add_column("what")
    table.add_column("seconds", justify="right")
    two, many = list(DEFAULT_STATIONS), [f"2832{i:05}" for i in range(200)]
    year, recent = readings(two, 365), readings(two, HISTORY_HOURS // 24 + 1)
    crowd = readings(many, HISTORY_HOURS // 24 + 1)
    hour = pd.Timestamp(NOW - timedelta(hours=1))
    timed(table, "import LightGBM", lambda: __import__("lightgbm"))
    model = timed(
        table, "train on a year of two stations", lambda: train(year, pd.Timestamp(NOW), num_threads=2, zones={})
    )
    timed(table, "forecast one hour, two stations", lambda: predict(model, recent, [hour], 2))
    timed(table, "forecast one hour, 200 stations", lambda: predict(model, crowd, [hour], 2))
    timed(table, "flag the days before that hour, 200 stations", lambda: flag_history(crowd, causal=True))
    spawned = multiprocessing.get_context("spawn")  # its memory is its own
    answer: Any = spawned.Queue()
    process = spawned.Process(target=train_crowd, args=(answer,))
    process.start()
    seconds, gigabytes = answer.get()
    process.join()
    table.add_row(f"train on a year of 200 stations ({gigabytes:.2f} GB)", f"{seconds:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
