"""What the pipeline's parts cost beside bare ones: staging, flags and means, documents.

Run: scripts/install sandbox benchmark; PYTHONPATH=. .venv/bin/python benchmarks/parts.py [--stations 200] [--days 30]
Each is timed beside its reference in the same run, on the same rows, the best of three: raw hours against pyarrow's
`write_table`, means against DuckDB on one Parquet file with the same hours, documents against a bare `insert_many` of
the same ones. Prints a Markdown table: rows in a second of wall time, and how many times as long as the reference it
takes. Asserts nothing.
"""

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pymongo import MongoClient

from airqino.quality import flags, notes
from airqino.quality.contexts import contexts
from airqino.quality.means import daily_means
from airqino.readings import NAMES, POLLUTANTS, UNITS
from airqino.sandbox.mongod import Mongod
from airqino.stores import mongo, parquet, writes

START = pd.Timestamp("2026-02-01", tz="UTC")
#: Flags of values that count, as the query has them.
_COUNTED = ", ".join(f"'{flag}'" for flag in flags.COUNTED)
_TRIES = 3


def fastest(run: Callable[[], object], before: Callable[[], object] = lambda: None) -> float:
    """Return the seconds of the fastest of some tries."""
    seconds = []
    for _ in range(_TRIES):
        before()
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def hours(stations: int, days: int) -> pd.DataFrame:
    """Return raw rows of a network, random and without gaps."""
    draw, moments = np.random.default_rng(1), pd.date_range(START, periods=24 * days, freq="h", unit="us")
    rows = pd.DataFrame(
        {
            "station": np.repeat([f"{900_000_000 + n}" for n in range(stations)], len(moments)),
            "observed_at": pd.DatetimeIndex(np.tile(moments, stations)),
        }
    )
    for name in NAMES:
        rows[name] = np.round(np.exp(draw.normal(2.5, 0.6, len(rows))) * (0.02 if name == "co" else 1), 4)
    return rows.assign(status="ok", final=True, reason="")


def told(what: str, number: int, seconds: float, reference: str, of_reference: float) -> None:
    """Print a line of the table."""
    print(f"| {what} | {number / seconds:,.0f} | {reference} | {seconds / of_reference:.1f} |", flush=True)


def staging(rows: pd.DataFrame, folder: Path) -> None:
    """Write each hour's rows into a file of its own."""
    tables = [pa.Table.from_pandas(of, preserve_index=False) for _, of in rows.groupby("observed_at")]
    folder.mkdir()
    numbers = itertools.count()
    bare = fastest(lambda: [pq.write_table(table, folder / f"{next(numbers)}.parquet") for table in tables])
    ours = fastest(lambda: [parquet.write(folder / f"{next(numbers)}.parquet", table) for table in tables])
    told("raw hours written, with checksum and fsync", len(rows), ours, "pyarrow's `write_table`", bare)


def quality(rows: pd.DataFrame, days: int, folder: Path) -> pd.DataFrame:
    """Flag the rows and average them; return them flagged."""
    known = notes.apply(rows, [])
    starts = [START + pd.Timedelta(days=day) for day in range(days)]
    around = dict(zip(starts, contexts(known, starts), strict=True))
    flagged = pd.concat([flags.unflagged(known), flags.flag_days(known, around)], axis=1)
    path = folder / "hours.parquet"
    pq.write_table(pa.Table.from_pandas(flagged, preserve_index=False), path)
    connection = duckdb.connect()
    connection.execute("set threads = 1")
    counted = "avg({0}), count({0}), avg({0}) filter ({0}_flag in (" + _COUNTED + "))"
    each = ", ".join(f"{counted}, count(*) filter ({{0}}_flag = 'spike')".format(name) for name in POLLUTANTS)
    query = f"select station, date_trunc('day', observed_at), {each} from '{path}' group by all"
    bare = fastest(lambda: connection.execute(query).fetchall())
    of_days = [start.date() for start in starts]
    wanted = ["station", "observed_at", "status", "final", "rh", "rh_flag"]
    wanted += [f"{name}{part}" for name in POLLUTANTS for part in ("", "_flag", "_tests")]

    def means() -> None:
        daily_means(pq.read_table(path, columns=wanted).to_pandas(), of_days, {})

    reference = "DuckDB, plain and checked means by station and day"
    told("daily means, all columns, read from Parquet", len(rows), fastest(means), reference, bare)
    flagging = fastest(lambda: flags.flag_days(known, around))
    told("flags of nine tests", len(rows), flagging, "the same", bare)
    return flagged


def documents(rows: pd.DataFrame, folder: Path) -> None:
    """Load documents where there are none, and again where each is as it should be."""
    some = rows.iloc[:40_000].drop(columns=["status", "reason", "final"])
    made: list[dict[str, Any]] = [
        {"_id": f"{row['station']}|{row['observed_at']:%Y-%m-%dT%H}", **row, "units": UNITS}
        for row in some.assign(observed_at=some["observed_at"].dt.to_pydatetime()).to_dict("records")
    ]
    where = {"station": {"$exists": True}}
    with Mongod(folder / "mongod") as server, MongoClient[Any](server.uri) as client:
        database = mongo.database(server.uri, "ours")

        def emptied() -> None:
            client.drop_database("ours")
            client.drop_database("bare")

        bare = fastest(lambda: client["bare"]["hours"].insert_many(made), emptied)
        fresh = fastest(lambda: writes.replace(database, "hours", made, where), emptied)
        again = fastest(lambda: writes.replace(database, "hours", made, where))
    told("documents loaded where there are none", len(made), fresh, "`insert_many`", bare)
    told("documents loaded again, none written", len(made), again, "`insert_many`", bare)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stations", type=int, default=200, help="stations (default: 200)")
    parser.add_argument("--days", type=int, default=30, help="days (default: 30)")
    arguments = parser.parse_args()
    rows = hours(arguments.stations, arguments.days)
    print("| what | rows a second | reference | × its time |\n|---|---:|---|---:|")
    with tempfile.TemporaryDirectory() as name:
        staging(rows, Path(name) / "hours")
        documents(quality(rows, arguments.days, Path(name)), Path(name))


if __name__ == "__main__":
    main()
