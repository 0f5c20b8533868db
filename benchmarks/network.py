"""What a network's size costs: backfill, an hourly run with one new hour, one with nothing to do, against bare parts.

Run: .venv/bin/python benchmarks/network.py [--stations 2,200] [--days 5] [--profile DIR]. Real parts on loopback: an
API with precomputed answers after 50 ms, a mongod, the pipeline's own commands. Prints a Markdown table: CPU and wall
seconds, the most memory, and the ratio of the CPU time to that of the bare parts on the same rows in the same run
(requests, one Parquet file, insert_many, and nothing kept in between). Asserts nothing.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import requests
from pymongo import MongoClient
from tornado.web import Application, RequestHandler

from airqino.sandbox.mongod import Mongod
from airqino.source.response import parse

#: A Tuesday: the week's model is trained before what is measured.
START = datetime(2026, 3, 3, 0, 5, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
_LATENCY = 0.05


class Cost(NamedTuple):
    """What a command took: seconds of wall and processor time, and the most memory in MB."""

    wall: float
    cpu: float
    memory: float


class _Answers(RequestHandler):
    """Answers put together from rows that were made before."""

    def initialize(self, rows: list[str]) -> None:
        self.rows = rows

    async def get(self, station: str) -> None:
        first, last = (
            datetime.strptime(self.get_query_argument(name), "%Y%m%d-%H%M") for name in ("start_date", "end_date")
        )
        await asyncio.sleep(_LATENCY)
        first = datetime.min + -((datetime.min - first) // HOUR) * HOUR  # rows begin within the span
        start, number = (first - datetime.min) // HOUR, (last - first) // HOUR + 1
        texts = (
            f'{{"timestamp":"{first + n * HOUR:%Y-%m-%d %H:%M:%S}",'
            + self.rows[(int(station) * 37 + start + n) % len(self.rows)]
            for n in range(number)
        )
        header = f'{{"station_name":"S{station}","station_lat":"5.3","station_lon":"3.9"}}'
        now = max(START + DAY, last.replace(tzinfo=UTC) + HOUR)  # what is asked for is over
        self.set_header("Date", f"{now:%a, %d %b %Y %H:%M:%S} GMT")
        self.finish(f'{{"header":{header},"data":[{",".join(texts)}]}}')


def _serve(port: Any) -> None:
    draw = np.random.default_rng(7)
    levels = np.round(np.exp(draw.normal(2.5, 0.6, 400_009)), 3)
    shares = {"CO": 0.02, "NO2": 0.9, "O3": 1.4, "PM10": 1.6, "PM2.5": 1, "T": 1.2, "RH": 3, "T. int.": 40}
    rows = [json.dumps({name: round(share * v, 4) for name, share in shares.items()})[1:] for v in levels]

    async def run() -> None:
        from tornado.httpserver import HTTPServer
        from tornado.netutil import bind_sockets

        sockets = bind_sockets(0, "127.0.0.1")
        route = (r"/v3/getStationHourlyAvg/(\d+)", _Answers, {"rows": rows})
        server = HTTPServer(Application([route], log_function=lambda _: None))
        server.add_sockets(sockets)
        port.send(sockets[0].getsockname()[1])
        await asyncio.Event().wait()

    asyncio.run(run())


@contextmanager
def api() -> Iterator[str]:
    """Serve answers from a process of its own, whose time does not count."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()


def command(env: dict[str, str], *arguments: str, profile: Path | None = None) -> Cost:
    """Run one of the pipeline's commands, which must succeed."""
    profiled = ["-m", "cProfile", "-o", f"{profile}"] if profile else []
    began = time.monotonic()
    program = [sys.executable, *profiled, "-m", "tasks.cli", *arguments]
    process = subprocess.Popen(program, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(arguments)} ended with {status}:\n{said.decode()[-2000:]}")
    return Cost(time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def bare(url: str, stations: list[str], first: datetime, last: datetime, mongod: str, folder: Path) -> Cost:
    """Fetch, write and insert the same rows with the bare parts, in a process of its own."""
    began = time.monotonic()
    process = multiprocessing.Process(target=_bare, args=(url, stations, first, last, mongod, folder))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process.start()
    process.join()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    return Cost(time.monotonic() - began, cpu, float("nan"))


def _bare(url: str, stations: list[str], first: datetime, last: datetime, mongod: str, folder: Path) -> None:
    session = requests.Session()
    asked = {"start_date": f"{first:%Y%m%d-%H%M}", "end_date": f"{last:%Y%m%d-%H%M}"}

    def rows(station: str) -> list[dict[str, Any]]:
        answer = parse(session.get(f"{url}/v3/getStationHourlyAvg/{station}", params=asked).content)
        return [{"station": station, "observed_at": row.hour, **row.values()} for row in answer.data]

    with ThreadPoolExecutor(16) as pool:
        found = [row for of in pool.map(rows, stations) for row in of]
    pq.write_table(pa.Table.from_pylist(found), folder / "bare.parquet")
    with MongoClient[Any](mongod) as client:
        client["bare"]["hourly"].insert_many(found)
        client.drop_database("bare")


def measured(number: int, days: int, profiles: Path | None, rounds: int) -> list[tuple[str, Cost, Cost]]:
    """Return what each command cost for a network of so many stations, and what the bare parts did."""
    stations = [f"{900000000 + n}" for n in range(number)]
    with tempfile.TemporaryDirectory() as name, Mongod(Path(name) / "mongod") as mongod, api() as url:
        folder = Path(name)
        config = folder / "config"
        config.mkdir()
        # a large network's backfill takes long
        source = {
            "stations": ", ".join(stations),
            "concurrency": 64,
            "requests_per_second": 1000,
            "run_seconds": 20_000,
        }
        options = "\n".join(f"{option} = {value}" for option, value in source.items())
        (config / "airqino.cfg").write_text(f"[airqino]\n{options}\n[forecast]\nrounds = {rounds}\n")
        env = os.environ | {
            "AIRQINO_CONFIG_DIR": f"{config}",
            "AIRQINO_BASE_URL": url,
            "STAGING_ROOT": f"{folder}/staging",
            "MONGODB_URI": mongod.uri,
            "LUIGID_URL": "http://127.0.0.1:9",
            "AIRQINO_NOW": f"{START:%Y-%m-%dT%H:%M}",
        }

        def run(what: str, *arguments: str, at: datetime = START) -> Cost:
            profile = profiles / f"{what.replace(' ', '-')}-{number}.prof" if profiles else None
            return command(env | {"AIRQINO_NOW": f"{at:%Y-%m-%dT%H:%M}"}, *arguments, profile=profile)

        begin, end = START.replace(minute=0) - days * DAY, START.replace(minute=0) - HOUR
        span = f"{begin:%Y-%m-%dT%H}..{end:%Y-%m-%dT%H}"
        whole = bare(url, stations, begin, end, mongod.uri, folder)
        one = bare(url, stations, end, end, mongod.uri, folder)
        found = [(f"backfill of {days} days", run("backfill", "backfill", span), whole)]
        found.append(("the same again", run("again", "backfill", span), whole))
        found.append(("first hourly run, with its training", run("first hourly", "hourly"), one))
        for hour in (1, 2):
            cost = run(f"hourly {hour}", "hourly", at=START + hour * HOUR)
        found.append(("hourly run, one new hour", cost, one))
        found.append(("hourly run, nothing to do", run("nothing", "hourly", at=START + 2 * HOUR), one))
        found.append(("hourly run, 21 new hours", run("21 hours", "hourly", at=START + DAY - HOUR), one))
        found.append(("hourly run, the last hour of a day", run("last hour", "hourly", at=START + DAY), one))
        found.append(("hourly run, the hour after it", run("hour after", "hourly", at=START + DAY + HOUR), one))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stations", default="2,200", help="sizes of the network (default: 2,200)")
    parser.add_argument("--days", type=int, default=5, help="days that are staged (default: 5)")
    parser.add_argument("--rounds", type=int, default=200, help="trees of each of the model's boosters (default: 200)")
    parser.add_argument("--profile", type=Path, metavar="DIR", help="also write cProfile's files there")
    arguments = parser.parse_args()
    if arguments.profile:
        arguments.profile.mkdir(parents=True, exist_ok=True)
    print("| stations | what | CPU s | wall s | most memory, MB | CPU, × bare parts |\n|---:|---|---:|---:|---:|---:|")
    for number in map(int, arguments.stations.split(",")):
        for what, cost, reference in measured(number, arguments.days, arguments.profile, arguments.rounds):
            ratio = cost.cpu / reference.cpu
            print(
                f"| {number} | {what} | {cost.cpu:.1f} | {cost.wall:.1f} | {cost.memory:.0f} | {ratio:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
