"""How long a backfill and an hourly run take, beside plain pandas and insert_many on the same data.

Run: .venv/bin/python benchmarks/backfill.py [--responses DIR]. Real parts on loopback: the sandbox API (synthetic, or a
replay of AirQino responses), a mongod, the pipeline's own commands. Prints seconds and ratios; asserts nothing.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import requests
from pymongo import MongoClient
from rich.console import Console
from rich.table import Table

from airqino.sandbox.mongod import Mongod
from airqino.sandbox.server import Sandbox
from airqino.source.response import parse

STATIONS = ("283181971", "283164601")


def seconds(command: list[str], env: dict[str, str]) -> float:
    """Wall time of a command that must succeed."""
    began = time.monotonic()
    subprocess.run(command, env=env, check=True, stderr=subprocess.DEVNULL)
    return time.monotonic() - began


def plain(api: str, start: str, stop: str, database: Any) -> float:
    """The same data with pandas and insert_many, and nothing kept in between."""
    began = time.monotonic()
    for station in STATIONS:
        url = f"{api}/v3/getStationHourlyAvg/{station}"
        rows = parse(requests.get(url, params={"start_date": start, "end_date": stop}, timeout=60).content).data
        frame = pd.DataFrame([{"station": station, "observed_at": r.hour, **r.values()} for r in rows])
        days = frame.assign(day=frame["observed_at"].dt.date.astype(str)).groupby("day")[["co", "pm2_5"]].mean()
        database["hourly"].insert_many(frame.to_dict("records"))
        database["daily"].insert_many(days.reset_index().to_dict("records"))
    return time.monotonic() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--responses", help="replay AirQino responses (DIR/<station>.json) instead of a synthetic year")
    arguments = parser.parse_args()
    first, last, now = ("2025-01-01T00", "2025-12-31T23", "2026-01-07T00:05")
    if arguments.responses:
        first, last, now = ("2023-09-10T11", "2024-06-30T23", "2024-07-05T00:05")
    clock = datetime.fromisoformat(now).replace(tzinfo=UTC)
    airqino = [sys.executable, "-m", "tasks.cli"]
    with (
        tempfile.TemporaryDirectory() as folder,
        Mongod(Path(folder) / "mongod") as mongod,
        Sandbox(replay=arguments.responses, now=clock) as api,
    ):
        env = os.environ | {
            "AIRQINO_BASE_URL": api.url,
            "STAGING_ROOT": f"{folder}/staging",
            "MONGODB_URI": mongod.uri,
            "LUIGID_URL": "http://127.0.0.1:9",
            "AIRQINO_NOW": now,
        }
        client: MongoClient[dict[str, Any]] = MongoClient(mongod.uri)
        baseline = plain(
            api.url,
            first.replace("-", "").replace("T", "-") + "00",
            last.replace("-", "").replace("T", "-") + "59",
            client["plain"],
        )
        start_up = seconds([sys.executable, "-c", "import tasks.graph, tasks.cli.backfill"], env)
        api.reset()
        results = [("backfill, interpreter start included", seconds([*airqino, "backfill", first, last], env))]
        asked = api.stats()["by_station"]
        results.append(("the same again, nothing to do", seconds([*airqino, "backfill", first, last], env)))
        seconds([*airqino, "hourly"], env)  # trains the week's model
        results.append(("hourly run with nothing to do", seconds([*airqino, "hourly"], env)))
        api.now = clock.replace(hour=1)
        later = env | {"AIRQINO_NOW": now.replace("T00", "T01")}
        results.append(("hourly run with one new hour", seconds([*airqino, "hourly"], later)))
    table = Table(title=f"two stations, {first} to {last}")
    for column in ("what", "seconds", "× plain pandas"):
        table.add_column(column, justify="left" if column == "what" else "right")
    table.add_row("plain pandas + insert_many, in memory", f"{baseline:.2f}", "1.0")
    table.add_row("importing the pipeline", f"{start_up:.2f}", f"{start_up / baseline:.1f}")
    for what, took in results:
        table.add_row(what, f"{took:.2f}", f"{took / baseline:.1f}")
    Console().print(table, f"requests by station: {asked}")


if __name__ == "__main__":
    main()
