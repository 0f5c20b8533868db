"""How long the open data take: from nothing, with nothing to do, after an hour's change; each in its own process.

Run: PYTHONPATH=. .venv/bin/python benchmarks/opendata.py [--stations 2] [--days 366]. The readings are made up, and
staged beforehand. Prints wall and processor seconds of `airqino.opendata.writing.write`, without the imports.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from airqino.quality.flags import flag_history
from airqino.quality.means import daily_means
from airqino.readings import NAMES, POLLUTANTS
from airqino.stores import parquet
from airqino.stores.paths import Paths

_WRITE = """
import sys, time
from pathlib import Path
from airqino.opendata.about import About, Location
from airqino.opendata.writing import write
folder, root, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
about = About(locations={f"{n}": Location(f"Station {n}", 5.3, -3.9) for n in range(1, count + 1)})
wall, processor = time.perf_counter(), time.process_time()
done = write(folder, root, about)
wall, processor = time.perf_counter() - wall, time.process_time() - processor
print(f"{wall:.2f} s, processor {processor:.2f} s, {len(done.files)} files")
"""


def stage(root: Path, stations: int, days: int) -> None:
    """Stage hours and daily means of some days from 2024-01-01 on."""
    hours = pd.date_range("2024-01-01", periods=24 * days, freq="h", tz="UTC", unit="us")
    random = np.random.default_rng(1)
    tables = []
    for station in range(1, stations + 1):
        made = {name: np.round(random.gamma(9, 2, len(hours)), 2) for name in NAMES}
        made |= {f"{name}_raw": np.full(len(hours), np.nan) for name in POLLUTANTS}
        tables.append(
            pd.DataFrame({"station": f"{station}", "observed_at": hours, "status": "ok", "final": True} | made)
        )
    flagged, paths = flag_history(pd.concat(tables, ignore_index=True)), Paths(root)
    dates = sorted(flagged["observed_at"].dt.date.unique())
    for day, rows in flagged.groupby(flagged["observed_at"].dt.date):
        table = pa.Table.from_pandas(rows.sort_values(["station", "observed_at"]), preserve_index=False)
        parquet.write(paths.hourly(day), table)  # type: ignore[arg-type]
    for day, rows in daily_means(flagged, dates, {}).groupby("day"):
        parquet.write(paths.daily(day), pa.Table.from_pandas(rows, preserve_index=False))  # type: ignore[arg-type]


def change(root: Path) -> None:
    """Change a value of each station on the last day, as a new hour does."""
    paths = Paths(root)
    day = paths.days()[-1]
    for path, column in ((paths.hourly(day), "pm2_5"), (paths.daily(day), "pm2_5_mean")):
        table = parquet.read(path)
        assert table is not None
        values = [value + 1 for value in table[column].to_pylist()]
        parquet.write(path, table.set_column(table.column_names.index(column), column, [values]))


def main() -> None:
    """Stage, and write three times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stations", type=int, default=2)
    parser.add_argument("--days", type=int, default=366)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root, folder = Path(scratch) / "staging", Path(scratch) / "public"
        stage(root, arguments.stations, arguments.days)
        for what in ("from nothing", "nothing to do", "an hour's change", "an hour's change"):
            if what.startswith("an"):
                change(root)
            command = [sys.executable, "-c", _WRITE, f"{folder}", f"{root}", f"{arguments.stations}"]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            print(f"{what}: {done.stdout}", end="")


if __name__ == "__main__":
    main()
