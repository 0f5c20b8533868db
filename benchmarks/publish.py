"""How long the public page and the open data of an hour take, with a year of hours, days and forecasts before it.

Run: PYTHONPATH=.:tests .venv/bin/python benchmarks/publish.py [--stations 2] [--days 366]. The readings are the
sandbox's, staged beforehand. Prints, for each call of `tasks.publish.Publish` in a process of its own, the seconds on
the clock and of the processor, without imports; and how often the year's daily and hourly files are read in that time.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
from support.deployment import OURS
from support.public import HOUR, STATIONS, answers, staged

from airqino.forecasting.model import predict
from airqino.publishing.tables import Tables
from airqino.readings import HORIZONS
from airqino.stores import parquet
from airqino.stores.paths import Paths

_PUBLISH = """
import sys, time
from pathlib import Path
from airqino.stores import parquet
from airqino.stores.paths import Paths
from airqino.times import parse_hour
from tasks.publish import Publish
wall, processor = time.perf_counter(), time.process_time()
if sys.argv[1] == "read":
    paths = Paths(Path(sys.argv[2]))
    for day in paths.days():
        parquet.read(paths.daily(day)), parquet.read(paths.hourly(day))
else:
    task = Publish(hour=parse_hour(sys.argv[1]))
    if not task.complete():
        task.run()
print(time.perf_counter() - wall, time.process_time() - processor)
"""


def repeated(rows: pd.DataFrame, number: int) -> pd.DataFrame:
    """Give many stations, each, the rows of one of the two."""
    if number == len(STATIONS):
        return rows
    of = [rows[rows["station"] == station.id] for station in STATIONS]
    return pd.concat([of[i % 2].assign(station=f"{2000 + i}") for i in range(number)], ignore_index=True)


def write(path: Path, rows: pd.DataFrame) -> None:
    parquet.write(path, pa.Table.from_pandas(rows.reset_index(drop=True), preserve_index=False))


def stage(paths: Paths, tables: Tables, number: int, first: datetime, hour: datetime) -> None:
    """Stage the days from a moment on, as they are after an hour; and the forecasts issued since."""
    hourly = tables.hourly[tables.hourly["observed_at"].between(pd.Timestamp(first).floor("D"), pd.Timestamp(hour))]
    for day, rows in hourly.groupby(hourly["observed_at"].dt.date):
        write(paths.hourly(day), repeated(rows, number))
    days = tables.daily[tables.daily["day"].between(first.date(), hour.date())]
    for day, rows in days.groupby("day"):
        write(paths.daily(day), repeated(rows, number))
    issued = tables.forecasts["issued_at"].between(pd.Timestamp(first), pd.Timestamp(hour))
    for at, rows in tables.forecasts[issued].groupby("issued_at"):
        write(paths.forecast(at.to_pydatetime()), repeated(rows, number))
    write(paths.scores(hour.date() - timedelta(days=1)), repeated(tables.scores, number))


def main() -> None:
    """Stage, publish four times, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stations", type=int, default=2)
    parser.add_argument("--days", type=int, default=366)
    parser.add_argument("--forecast-days", type=int, default=366, help="with hourly forecasts: the last ones")
    arguments = parser.parse_args()
    number, first = arguments.stations, HOUR - timedelta(days=arguments.days)
    raw, zones = answers([of.id for of in STATIONS], HOUR, arguments.days), {of.id: of.time_zone for of in STATIONS}
    tables = staged(raw, zones, HOUR)
    forecast = HOUR - timedelta(days=min(arguments.days, arguments.forecast_days))
    issued = list(pd.date_range(forecast, HOUR, freq="h"))
    forecasts = predict(None, tables.hourly, issued, horizons=HORIZONS, zones=zones)
    tables = Tables(tables.hourly, tables.daily, forecasts, tables.scores, pd.DataFrame())
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "staging"
        ids = [of.id for of in STATIONS] if number == len(STATIONS) else [f"{2000 + i}" for i in range(number)]
        env = {name: text for name, text in os.environ.items() if not name.startswith(OURS)}
        env |= {"STAGING_ROOT": f"{root}", "PUBLISH_ROOT": f"{scratch}/public", "AIRQINO_STATIONS": ",".join(ids)}

        def timed(what: str) -> tuple[float, float]:
            command = [sys.executable, "-c", _PUBLISH, what, f"{root}"]
            done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
            wall, processor = map(float, done.stdout.split())
            return wall, processor

        stage(Paths(root), tables, number, first, HOUR - timedelta(hours=2))
        timed("read")  # what the disk has to bring is brought
        unit = timed("read")[1]
        for what, hours in (("from nothing", 2), ("nothing to do", 2), ("the next hour", 1), ("the hour after it", 0)):
            hour = HOUR - timedelta(hours=hours)
            if what.startswith("the"):
                stage(Paths(root), tables, number, hour, hour)
            wall, processor = timed(f"{hour:%Y-%m-%dT%H}")
            ratio = processor / unit
            print(f"{what}: {wall:.2f} s, processor {processor:.2f} s, {ratio:.2f} times reading the year", flush=True)
        public = Path(scratch) / "public" / ".live" / "."
        size = sum(path.stat().st_size for path in public.rglob("*") if path.is_file()) / 1e6
        print(f"{sum(path.is_file() for path in public.rglob('*'))} files, {size:.1f} MB; reading {unit:.2f} s")


if __name__ == "__main__":
    main()
