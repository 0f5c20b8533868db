"""How long each chart of the first dashboard takes, of a large network: asked of MongoDB, and from the cache.

Run: .venv/bin/python benchmarks/superset_charts.py [--stations 200] [--days 730] [--slug air-quality]. Fills a mongod
as benchmarks/views.py does, serves Superset over it, opens the dashboard in a browser to learn what it asks, then asks
each question again alone: three times past the cache, three times from it. Prints the medians; asserts nothing.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

from playwright.sync_api import sync_playwright
from pymongo import MongoClient
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

from views import DAY, HOUR, NOW, documents  # noqa: E402

from airqino import views  # noqa: E402
from airqino.readings import LABELS  # noqa: E402
from airqino.sandbox.mongod import Mongod, free_port  # noqa: E402
from airqino.stores import indexes, mongo  # noqa: E402
from tests.superset import conftest as site  # noqa: E402

TRIES = 3


def fill(db: mongo.Database, count: int, days: int) -> None:
    """Insert what the charts read, beside the documents of `views`: stations, profiles, loads."""
    stations = [f"{283000000 + number}" for number in range(count)]
    indexes.ensure_indexes(db)
    db.stations.insert_many(
        {"_id": station, "name": f"SMART{number:03}", "place": "Cocody", "latitude": 5.3 + number / 1000}
        | {"longitude": -4.0, "time_zone": "Africa/Abidjan", "last_seen_at": NOW - HOUR, "sensor_faults": {}}
        for number, station in enumerate(stations)
    )
    for collection, some in documents(stations, [f"{NOW - n * DAY:%Y-%m-%d}" for n in range(1, days + 1)]):
        db[collection].insert_many(some, ordered=False)
    sums = {f"{name}_{kind}": 24.0 for name in LABELS for kind in ("sum", "hours")} | {"co_floor_hours": 0}
    months = sorted({f"{NOW - n * DAY:%Y-%m}-01" for n in range(days)})
    for station in [*stations, None]:
        db.profiles.insert_many(
            {"_id": f"{station or '*'}|{month[:7]}|{weekday}", "station": station, "month": month, "weekday": weekday}
            | {"cells": [{"hour": hour, **sums} for hour in range(24)]}
            for month in months
            for weekday in range(1, 8)
        )
    db.loads.insert_one({"_id": "day|now", "kind": "day", "through": NOW - HOUR, "loaded_at": NOW})
    db.outlines.insert_one(
        {"_id": "shore", "points": [{"latitude": 5.2, "longitude": -4 + n / 999} for n in range(400)]}
    )
    views.ensure_views(db)


def seconds(ask: Any) -> float:
    """Return the median of some tries."""
    took = []
    for _ in range(TRIES):
        began = time.monotonic()
        answer = ask()
        took.append(time.monotonic() - began)
        assert answer.status_code == 200, answer.text[:500]
    return median(took)


def main() -> None:
    """Fill, serve, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stations", type=int, default=200, help="stations (default: 200)")
    parser.add_argument("--days", type=int, default=730, help="days of each (default: 730)")
    parser.add_argument("--slug", default="air-quality", help="the dashboard (default: air-quality)")
    arguments = parser.parse_args()
    table = Table("chart", "first, s", "cached, s", title=f"{arguments.stations} stations, {arguments.days} days")
    with tempfile.TemporaryDirectory() as folder, Mongod(Path(folder)) as mongod, MongoClient(mongod.uri) as client:
        fill(client["air_quality"], arguments.stations, arguments.days)
        environment = os.environ | {
            **{"MONGODB_URI": mongod.uri, "STAGING_ROOT": folder, "SUPERSET_PORT": str(free_port())},
            **dict.fromkeys(("SUPERSET_ADMIN_PASSWORD", "SUPERSET_VIEWER_PASSWORD"), site.PASSWORD),
        }
        subprocess.run([ROOT / "scripts/superset", "up"], env=environment, check=True, stdout=subprocess.DEVNULL)
        try:
            served: Any = SimpleNamespace(url=f"http://127.0.0.1:{environment['SUPERSET_PORT']}")
            with sync_playwright() as playwright:
                path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
                browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
                page = browser.new_page(viewport={"width": 1400, "height": site.HEIGHT})
                site.log_in(page, served)
                site.open_dashboard(page, served, arguments.slug)
                browser.close()
            api = site.api_session(served, "viewer")
            for name, question in site._asked[arguments.slug].items():
                url = f"{served.url}/api/v1/chart/data"
                first = seconds(lambda q=question, url=url: api.post(url, json=q | {"force": True}))
                table.add_row(name, f"{first:.2f}", f"{seconds(lambda q=question, url=url: api.post(url, json=q)):.2f}")
        finally:
            subprocess.run([ROOT / "scripts/superset", "down"], env=environment, check=True)
    Console().print(table)


if __name__ == "__main__":
    main()
