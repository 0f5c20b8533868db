"""What features, training, inference and scores cost: rows a second at several sizes, against bare parts.

Run: .venv/bin/python benchmarks/forecast.py [--stations 2,200,1500] [--rounds 200]. Synthetic stations, no files and no
database: the pure functions that the tasks call. Prints a Markdown table; seconds are of the processor. The references,
in the same run: for features, one numpy cumulative sum of each variable of the same grid; for training, LightGBM's own
fit of one of the medians; for inference, LightGBM's own prediction by as many trees of as many ready rows; for scores,
numpy's bincount of as many numbers. A network of more than 1,500 stations is forecast in blocks of 1,500: one is
measured. Asserts nothing.
"""

import argparse
import resource
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from airqino.forecasting import boosting, windows
from airqino.forecasting.features import feature_matrix, feature_names
from airqino.forecasting.grid import Grid, to_grid
from airqino.forecasting.model import HISTORY_HOURS, ForecastModel, Recipe, predict, span_of, train
from airqino.forecasting.training import drawn_stations, leads_of
from airqino.quality.flags import flag_history
from airqino.readings import FORECAST, HORIZONS
from airqino.sandbox.series import rows
from airqino.source.response import Row

NOW = datetime(2026, 1, 5, tzinfo=UTC)
HOUR = pd.Timestamp(NOW - timedelta(hours=1))
NAMES = dict(zip(Row.__struct_encode_fields__, Row.__struct_fields__, strict=True))
#: Stations with series of their own: a larger network repeats them, each a little different.
_MADE = 50
#: Stations that a task forecasts at a time.
_BLOCK = 1500


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


def crowd(number: int, days: int) -> pd.DataFrame:
    """Readings of many stations."""
    names, random = [f"2832{n:05}" for n in range(number)], np.random.default_rng(1)
    made = readings(names[:_MADE], days)
    measured = made.select_dtypes("float").columns
    parts = [made]
    for begin in range(_MADE, number, _MADE):
        to = dict(zip(names[:_MADE], names[begin : begin + _MADE], strict=False))
        part = made.assign(station=made["station"].map(to)).dropna(subset="station")
        part[measured] *= random.uniform(0.8, 1.2, (len(part), 1))
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def cost(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the processor's seconds, and what the work gave."""
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


def told(stations: int, what: str, number: int, seconds: float, bare: float) -> None:
    """Print a row of the table."""
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    rate = number / max(seconds, 1e-9)
    print(
        f"| {stations} | {what} | {number} | {seconds:.2f} | {rate:.0f} | {seconds / bare:.1f} | {memory:.0f} |",
        flush=True,
    )


def of_features(stations: int, grid: Grid) -> None:
    """Features of all stations at one hour of issue."""
    leads, column = leads_of(HORIZONS), np.arange(len(grid.stations))
    row = np.full(len(column), grid.n_hours - 1)
    for pollutant in FORECAST:
        feature_names(pollutant, leads)
    seconds, _ = cost(lambda: [feature_matrix(grid, p, leads, row, column, column.astype(float)) for p in FORECAST])
    bare, _ = cost(lambda: [np.nancumsum(values, axis=0) for values in grid.values.values()])
    told(stations, "features of an hour", len(FORECAST) * len(column), seconds, bare)


def of_inference(stations: int, grid: Grid, model: ForecastModel) -> None:
    """Forecasts of an hour."""
    predict(model, grid, [HOUR], 1)  # the trees are read once in a run
    seconds, table = cost(lambda: predict(model, grid, [HOUR], 1))
    inputs = {key: np.zeros((stations, len(of.scaling.inputs)), dtype=np.float32) for key, of in model.models.items()}
    bare, _ = cost(
        lambda: [
            boosting._booster(text).predict(inputs[key], num_threads=1)
            for key, of in model.models.items()
            for text in of.boosters.values()
        ]
    )
    told(stations, "forecasts of an hour", len(table), seconds, bare)


def of_training(stations: int, hourly: pd.DataFrame, recipe: Recipe) -> ForecastModel:
    """A model of the network, of the stations that are drawn for it."""
    names = sorted(hourly["station"].unique())
    drawn = hourly[hourly["station"].isin(drawn_stations(names, hourly["observed_at"].nunique(), 1))]
    seconds, model = cost(lambda: train(drawn, pd.Timestamp(NOW), recipe=recipe, zones={}))
    lgb, random = boosting._lightgbm(), np.random.default_rng(1)
    number = min(model.n_rows // len(FORECAST), recipe.max_rows)
    data = lgb.Dataset(random.normal(size=(number, 100)), random.normal(size=number), params=recipe.trees())
    bare, _ = cost(lambda: lgb.train(recipe.trees() | boosting._HUBER, data, recipe.rounds))
    told(stations, "training", model.n_rows, seconds, bare)
    return model


def of_scores(stations: int, hourly: pd.DataFrame, table: pd.DataFrame) -> None:
    """Sums of the 36 files with forecasts for a day, and the scores of 30 such days."""
    day = HOUR.date()
    today = hourly[hourly["observed_at"] >= pd.Timestamp(day, tz="UTC")]
    blocks = range(-(-stations // hourly["station"].nunique()))
    table, today = (pd.concat([t.assign(station=f"{n}" + t["station"]) for n in blocks]) for t in (table, today))
    files = [table.assign(target_at=HOUR - pd.Timedelta(hours=n % 24), method="lightgbm") for n in range(36)]
    seconds, sums = cost(lambda: windows.day_sums(files, today, day))
    group = np.tile(np.arange(len(table)), len(files))
    bare, _ = cost(lambda: [np.bincount(group, weights=group.astype(float)) for _ in range(6)])
    told(stations, "sums of a day", len(group), seconds, bare)
    seconds, scores = cost(lambda: windows.summarise((sums for _ in range(30)), day))
    bare, _ = cost(lambda: np.bincount(np.tile(np.arange(len(sums)), 30)))
    told(stations, "scores of three windows", len(scores), seconds, bare)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stations", default="2,200,1500", help="sizes of the network (default: 2,200,1500)")
    parser.add_argument("--rounds", type=int, default=200, help="trees of each of the model's boosters (default: 200)")
    arguments = parser.parse_args()
    print("| stations | what | rows | CPU s | rows/s | CPU, × reference | most memory so far, MB |")
    print("|---:|---|---:|---:|---:|---:|---:|")
    recipe = Recipe.of_rounds(arguments.rounds)
    for number in map(int, arguments.stations.split(",")):
        hourly = crowd(min(number, _BLOCK), HISTORY_HOURS // 24 + 1)
        grid = to_grid(hourly, *span_of([HOUR]))
        block = len(grid.stations)
        of_features(block, grid)
        model = of_training(block, hourly, recipe)
        of_inference(block, grid, model)
        of_scores(number, hourly, predict(model, grid, [HOUR], 1))


if __name__ == "__main__":
    main()
