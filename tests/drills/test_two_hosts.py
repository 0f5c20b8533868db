"""Two hosts share a range: one luigid, one bucket, one MongoDB, one Dask cluster of two workers, a disk each.

One of the hosts and one of the workers are killed on the way.
"""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from support.buckets import serving
from support.dask import cluster
from support.deployment import ROOT, Pipeline
from support.luigid import running_luigid
from support.servers import until

from airqino.sandbox.mongod import Mongod
from airqino.sandbox.server import Sandbox
from airqino.times import DAY, day_range

#: What a host's worker does: all units of the range, of which luigid gives it those that no other has.
_WORKER = """
import sys, luigi
from datetime import date
from tasks import LoadDay, clean
from tasks.logs import start_logging
start_logging()
clean._BLOCK_ROWS = 1  # a day is a block, so that small networks' days are shared, too
luigi.configuration.get_config().set("worker", "keep_alive", sys.argv.pop(2))
units = [tuple(date.fromisoformat(day) for day in unit.split(",")) for unit in sys.argv[2:]]
where = {"scheduler_url": sys.argv[1]} if sys.argv[1] else {"local_scheduler": True}
sys.exit(0 if luigi.build([LoadDay(day=unit) for unit in units], no_lock=True, **where) else 1)
"""


class Host:
    """A worker of a host, which has a folder of its own and shares the rest."""

    def __init__(
        self, folder: Path, shared: Pipeline, url: str, units: list[tuple[date, ...]], waits: bool = False
    ) -> None:
        """Start it; one that waits goes on while another host makes what it needs."""
        env = shared.env | {"LOG_FOLDER": f"{folder}", "TMPDIR": f"{folder}", "LUIGID_URL": url}
        folder.mkdir(exist_ok=True)
        told = [",".join(map(str, unit)) for unit in units]
        with (folder / "said").open("ab") as said:
            command = [sys.executable, "-c", _WORKER, url, f"{waits}".lower(), *told]
            self.process = subprocess.Popen(command, env=env, cwd=ROOT, stdout=said, stderr=said)
        self.folder, self.said = folder, folder / "said"

    def tasks(self) -> set[str]:
        """The tasks that it ran, by its own log."""
        lines = [line for path in self.folder.glob("*.jsonl") for line in path.read_text().splitlines()]
        return {f"{json.loads(line)['message']}" for line in lines if " running   " in line}


@contextmanager
def deployed(folder: Path, mongod: Mongod, api: str, stations: int, now: datetime, **env: str) -> Iterator[Pipeline]:
    made = Pipeline(folder / "staging", mongod, api, AIRQINO_NOW=f"{now:%Y-%m-%dT%H:%M}", **env)
    made.env["AIRQINO_STATIONS"] = ",".join(f"{283000000 + n}" for n in range(stations))
    folder.mkdir(exist_ok=True)
    made.configure(folder / "luigi.cfg", requests_per_second=1000, concurrency=16)
    yield made
    made.close()


def differing(one: Pipeline, other: Pipeline, collection: str) -> list[Any]:
    """Return documents of one deployment that the other does not have so, in pairs: a year has gigabytes."""
    found = (of.database[collection].find().sort("_id", 1).batch_size(5000) for of in (one, other))
    return [pair for pair in itertools.zip_longest(*found) if pair[0] != pair[1]]


@pytest.mark.parametrize(
    ("days", "stations", "unit", "seconds"),
    [
        pytest.param(10, 20, 2, 240, marks=[pytest.mark.nightly, pytest.mark.timeout(900)], id="ten_days"),
        pytest.param(366, 200, 30, 5400, marks=[pytest.mark.nightly, pytest.mark.timeout(14_000)], id="a_year"),
    ],
)
def test_a_worker_that_is_killed_costs_time_and_no_data(
    tmp_path: Path, mongod: Mongod, days: int, stations: int, unit: int, seconds: float
) -> None:
    now = datetime(2026, 3, 12, 0, 5, tzinfo=UTC)
    every = day_range(now.date() - days * DAY, now.date() - DAY)
    units = [tuple(every[n : n + unit]) for n in range(0, days, unit)]
    with (
        Sandbox(now=now) as api,
        serving(tmp_path) as store,
        running_luigid(tmp_path) as (luigid, _),
        cluster(tmp_path) as dask,
        deployed(tmp_path / "local", mongod, api.url, stations, now) as local,
    ):
        bucket = store.bucket()
        env = {**store.env, "STAGING_ROOT": bucket.root, "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
        env["DASK_SCHEDULER_ADDRESS"] = dask.address
        with deployed(tmp_path / "shared", mongod, api.url, stations, now, **env) as shared:
            hosts = [Host(tmp_path / name, shared, luigid, units, waits=True) for name in ("one", "two")]

            def count() -> int:
                return shared.database["loads"].count_documents({"kind": "day"})

            until(lambda: count() >= days // 4 and hosts[0].tasks(), seconds, "a quarter of the days, some by each")
            dask.kill_a_worker()
            os.kill(hosts[0].process.pid, signal.SIGKILL)
            hosts[0].process.wait()
            assert count() < days, "they were killed too late to show anything"
            assert (before := dask.steps()) > 0, "the first days were shared"
            deadline, done, changed = time.monotonic() + seconds, count(), time.monotonic()
            # the other goes on with all but what the killed one had
            while done < days and time.monotonic() < changed + max(seconds / 18, 60):
                time.sleep(1)
                if done != (done := count()):
                    changed = time.monotonic()
            hosts[1].process.kill()
            hosts[1].process.wait()
            assert all(host.tasks() for host in hosts), "each had its share"
            while count() < days:  # the next runs: luigid gives it to them when it misses the killed one
                assert time.monotonic() < deadline, hosts[1].said.read_text()[-3000:]
                Host(tmp_path / "next", shared, luigid, units).process.wait(seconds)

            assert dask.steps() > before, "the worker that is left went on"
            # twice: a unit's last hour is judged with the first one of the next unit, which may have come later
            for where, url in ((local, ""), (local, ""), (shared, luigid)):
                last = Host(tmp_path / "last", where, url, units)
                assert last.process.wait(seconds) == 0, last.said.read_text()[-3000:]
            assert local.database["daily_averages"].estimated_document_count() > 0.7 * days * stations
            assert not differing(shared, local, "daily_averages")
            assert not differing(shared, local, "hourly_measurements")
