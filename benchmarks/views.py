"""How long the dashboards' views take to answer, of a large network.

Run: .venv/bin/python benchmarks/views.py [--stations 200] [--days 730]. A mongod of its own on loopback, filled with
made-up documents: two years of days and coverage, two days of hours, the forecasts of 90 days that a chart asks for.
Prints the median seconds of each query and its rows; asserts nothing.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from pymongo import MongoClient
from rich.console import Console
from rich.table import Table

from airqino import views
from airqino.readings import FORECAST, HORIZONS, NAMES, POLLUTANTS
from airqino.sandbox.mongod import Mongod
from airqino.stores import indexes, mongo

Document = dict[str, Any]
NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TRIES = 3


def days_of(station: str, day: str) -> Document:
    """Return a day's document, with all fields that the loads write."""
    level = random.uniform(2, 40)
    document: Document = {"_id": f"{station}|{day}", "station": station, "day": day, "provisional": False, "notes": []}
    for name in POLLUTANTS:
        document |= {f"{name}_{part}": level for part in ("mean", "checked_mean")}
        document |= {f"{name}_hours": 24, f"{name}_checked_hours": 23, f"{name}_left_out": "1 h spike"}
        document |= {f"{name}_quality": random.choice(("ok", "checked", "suspect")), f"{name}_above_who": level > 15}
    document |= {"co_floor_hours": random.choice((0, 0, 20)), "pm2_5_humid_hours": 5, "pm10_humid_hours": 5}
    document |= {"o3_8h_max": level, "pm2_5_dry_mean": level, "pm2_5_dry_above_who": level > 15}
    return document | {"hours": 24, "absent_hours": 0, "failed_hours": 0, "expected_hours": 24, "completeness": 1.0}


def coverage_of(station: str, day: str) -> Document:
    """Return a day's document of the coverage."""
    found = [{"reading": name, "flag": "spike", "hours": 1} for name in POLLUTANTS]
    tests = [{"reading": name, "test": "spike", "code": 4, "hours": 1} for name in POLLUTANTS]
    document = {"_id": f"{station}|{day}", "station": station, "day": day, "reason": "ServerError: HTTP 503"}
    document |= {"ok_hours": 22, "absent_hours": 2, "failed_hours": 0, "night_hours": 8, "night_missing_hours": 1}
    return document | {"missing": [{"weekday": 1, "hour": 3}] * 2, "flags": found, "tests": tests}


def hour_of(station: str, at: datetime) -> Document:
    """Return an hour's document."""
    document: Document = {"_id": f"{station}|{at:%Y-%m-%dT%H}", "station": station, "observed_at": at, "index": 2}
    for name in NAMES:
        document |= {name: random.uniform(1, 40), f"{name}_flag": "ok", f"{name}_tests": "111111111"}
    return document | {f"{name}_index": 2 for name in POLLUTANTS}


def forecast_of(station: str, pollutant: str, issued: datetime, horizon: int) -> Document:
    """Return a forecast's document."""
    at = issued + horizon * HOUR
    document = {"_id": f"{station}|{pollutant}|{issued:%Y-%m-%dT%H}|{horizon}", "station": station}
    document |= {"pollutant": pollutant, "issued_at": issued, "horizon_h": horizon, "target_at": at}
    document |= {"p10": 5.0, "p50": 9.0, "p90": 20.0, "day": f"{at:%Y-%m-%d}", "day_exceedance": random.random()}
    return document | {"method": "lightgbm", "reason": ""}


def documents(stations: list[str], days: list[str]) -> Iterator[tuple[str, list[Document]]]:
    """Yield documents to insert."""
    for station in stations:
        yield "daily_averages", [days_of(station, day) for day in days]
        yield "coverage", [coverage_of(station, day) for day in days]
        yield "hourly_measurements", [hour_of(station, NOW - n * HOUR) for n in range(1, 7 * 24)]
        yield "forecasts", [forecast_of(station, "pm2_5", NOW - n * HOUR, 1) for n in range(8, 92 * 24)]
        issued = [NOW - n * HOUR for n in range(1, 8)]
        yield "forecasts", [forecast_of(station, p, at, h) for p in FORECAST for at in issued for h in HORIZONS]


def queries(stations: list[str]) -> dict[str, tuple[str, Document]]:
    """Return what to ask, by name: the view and its filter."""
    some, year = {"station": {"$in": stations[:8]}}, f"{NOW - 365 * DAY:%Y-%m-%d}"
    return {
        **{name: (name, {}) for name in ("station_now", "station_map", "station_index", "station_names", "present")},
        **{name: (name, {}) for name in ("guideline_year", "guideline_months", "day_reliability", "hourly_levels")},
        "guideline_year, 8 stations": ("guideline_year", some),
        "guideline_months, 8 stations": ("guideline_months", some),
        "station_now, 8 stations": ("station_now", some),
        "hourly_levels, 8 stations": ("hourly_levels", some),
        "day_reliability, 8 stations": ("day_reliability", some),
        "daily_pollutants, 8 stations, PM2.5": ("daily_pollutants", some | {"pollutant": "PM2.5"}),
        "daily_pollutants, 8 stations, PM2.5, a year": (
            "daily_pollutants",
            some | {"pollutant": "PM2.5", "day": {"$gte": year}},
        ),
        "sensor_hours, 8 stations, a year": ("sensor_hours", some | {"day": {"$gte": year}}),
        "test_codes, 8 stations, a year": ("test_codes", some | {"day": {"$gte": year}}),
        "completeness_days, 8 stations, a year": ("completeness_days", some | {"day": {"$gte": year}}),
        "completeness_days, a year": ("completeness_days", {"day": {"$gte": year}}),
    }


def main() -> None:
    """Fill, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stations", type=int, default=200, help="stations (default: 200)")
    parser.add_argument("--days", type=int, default=730, help="days of each (default: 730)")
    arguments = parser.parse_args()
    stations = [f"{283000000 + number}" for number in range(arguments.stations)]
    days = [f"{NOW - number * DAY:%Y-%m-%d}" for number in range(1, arguments.days + 1)]
    table = Table("query", "rows", "median, s", title=f"{len(stations)} stations, {len(days)} days")
    with tempfile.TemporaryDirectory() as folder, Mongod(Path(folder)) as mongod, MongoClient(mongod.uri) as client:
        db: mongo.Database = client["views"]
        indexes.ensure_indexes(db)
        db.stations.insert_many(
            {"_id": station, "name": f"SMART{number % 190}", "place": "Cocody" if number % 2 else "", "latitude": 5.3}
            | {"longitude": -4.0, "time_zone": "Africa/Abidjan", "last_seen_at": NOW - HOUR, "sensor_faults": {}}
            for number, station in enumerate(stations)
        )
        for collection, some in documents(stations, days):
            db[collection].insert_many(some, ordered=False)
        views.ensure_views(db)
        for name, (view, where) in queries(stations).items():
            took, rows = [], 0
            for _ in range(TRIES):
                began = time.monotonic()
                rows = sum(1 for _ in db[view].find(where, batch_size=100_000))
                took.append(time.monotonic() - began)
            table.add_row(name, f"{rows:,}", f"{median(took):.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
