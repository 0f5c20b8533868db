"""How long the public pages of an hour take, for two stations and for 200, over a year of the sandbox's answers.

Run: .venv/bin/python benchmarks/public_page.py. Prints seconds on the clock and of CPU; asserts nothing.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.public import HOUR, MAPPED, STATIONS, stage, tables_of

from airqino.publishing import publish, snapshot, tables
from airqino.publishing.facts import Snapshot
from airqino.publishing.stations import Station
from airqino.publishing.tables import Tables


def crowded(made: Tables, number: int) -> tuple[Tables, tuple[Station, ...]]:
    """The tables of many stations, each with the rows of one of the two."""
    stations = tuple(
        Station(f"{2000 + i}", f"SMART{2000 + i}", f"Lieu {i}", 5.21 + i % 19 / 100, -4.14 + i % 31 / 100)
        for i in range(number)
    )

    def repeated(rows: pd.DataFrame) -> pd.DataFrame:
        of = [rows[rows["station"] == station.id] for station in STATIONS]
        return pd.concat([of[i % 2].assign(station=s.id) for i, s in enumerate(stations)], ignore_index=True)

    parts = {name: repeated(getattr(made, name)) for name in ("hourly", "daily", "forecasts", "scores")}
    return replace(made, **parts), stations


def timed(table: Table, what: str, work: Callable[[], Any]) -> Any:
    """Run, and note the seconds."""
    began, spent = time.perf_counter(), time.process_time()
    result = work()
    table.add_row(what, f"{time.perf_counter() - began:.2f}", f"{time.process_time() - spent:.2f}")
    return result


def main() -> None:
    """Print the table."""
    table = Table("what", "seconds", "CPU")
    two, _ = tables_of(days=400)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        paths = stage(root / "staging", two, HOUR)
        read = timed(table, "read the tables of two stations", lambda: tables.read(paths, HOUR))
        timed(table, "read them again", lambda: tables.read(paths, HOUR))

        def all_files(made: Tables, stations: tuple[Station, ...], where: str) -> Snapshot:
            shown = snapshot.take(made, stations, HOUR)
            publish.write(root / where, shown, MAPPED)
            return shown

        timed(table, "two stations from loaded tables, first in a process", lambda: all_files(read, STATIONS, "two"))
        timed(table, "two stations, nothing changes", lambda: all_files(read, STATIONS, "two"))
        later = replace(read, hourly=read.hourly.assign(pm2_5=read.hourly["pm2_5"] + 1))
        timed(table, "two stations, all changes", lambda: all_files(later, STATIONS, "two"))
        recent = replace(
            read, hourly=read.hourly[read.hourly["observed_at"] > pd.Timestamp(HOUR) - pd.Timedelta(days=31)]
        )
        many, stations = crowded(recent, 200)
        timed(table, "200 stations: snapshot alone", lambda: snapshot.take(many, stations, HOUR))
        timed(table, "200 stations: index and pages, all new", lambda: all_files(many, stations, "many"))
        size = sum(path.stat().st_size for path in (root / "many").rglob("*") if path.is_file()) / 1e6
        table.add_row("200 stations: MB written", f"{size:.1f}", "")
    Console().print(table)


if __name__ == "__main__":
    main()
