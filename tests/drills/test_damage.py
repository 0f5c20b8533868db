"""Damaged files: each kind, damaged in each way, is found, kept, told and made again, and stops nothing."""

import random
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.deployment import Pipeline

from airqino.sandbox.mongod import Mongod
from airqino.sandbox.server import Sandbox

pytestmark = pytest.mark.drill

NOW = datetime(2026, 4, 20, 0, 5, tzinfo=UTC)
FIRST, STATION = "2026-04-05T00", "283181971"
REVISED = datetime(2026, 4, 18, 8, tzinfo=UTC)
#: A file of each kind, in and before the window that the hourly run looks after.
KINDS = {
    "raw": "2026-04-15/raw/10.parquet",
    "old raw": "2026-04-06/raw/07.parquet",
    "hourly": "2026-04-16/hourly.parquet",
    "daily": "2026-04-17/daily.parquet",
    "revisions": "2026-04-18/revisions.parquet",
    "forecast": "2026-04-19/forecast/20.parquet",
    "scores": "2026-04-19/scores.parquet",
}


def flip(path: Path) -> None:
    """Flip a bit of the rows themselves, behind the four bytes at the beginning."""
    content = bytearray(path.read_bytes())
    content[random.Random(path.name).randrange(30, 60)] ^= 8
    path.write_bytes(content)


def of_another_time(path: Path) -> None:
    """Lay the file of another hour or day, whole as it is, under this name."""
    if path.parent.name in ("raw", "forecast"):
        shutil.copy(next(p for p in sorted(path.parent.glob("*.parquet")) if p != path), path)
        return
    other = next((p for p in sorted(path.parents[1].glob(f"*/{path.name}")) if p != path), None)
    table = pq.ParquetFile(other or path).read()
    if other is None:  # there is one ledger: the same one, of a day later
        moved = pa.array([at + timedelta(days=1) for at in table["observed_at"].to_pylist()], pa.timestamp("us", "UTC"))
        table = table.set_column(table.column_names.index("observed_at"), "observed_at", moved)
    pq.write_table(table, path)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "bit": flip,
    "other": of_another_time,
    "foreign": lambda path: pq.write_table(pa.table({"a": [1]}), path),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, mongod: Mongod) -> Iterator[tuple[Pipeline, Sandbox]]:
    """Two weeks in which the source has revised one hour, and forecasts of the last hours."""
    with Sandbox(now=NOW - timedelta(hours=1)) as sandbox:
        for station in (STATION, "283164601"):
            sandbox.override(station, REVISED, {"CO": 0.4, "PM2.5": 30.0})
            sandbox.override(station, REVISED, {"CO": 0.4, "PM2.5": 44.0}, since=NOW)
        pipeline = Pipeline(tmp_path_factory.mktemp("damaged") / "staging", mongod, sandbox.url)
        early = f"{NOW - timedelta(hours=1):%Y-%m-%dT%H:%M}"
        done = pipeline.backfill(FIRST, "2026-04-19T22", AIRQINO_NOW=early)
        assert done.returncode == 0, done.stderr
        sandbox.now = NOW
        moment = {"AIRQINO_NOW": f"{NOW:%Y-%m-%dT%H:%M}"}
        assert pipeline.luigi("FetchHour", "--hour", "2026-04-18T08", "--again", **moment).returncode == 0
        assert pipeline.backfill("2026-04-19T18", "2026-04-19T22", "--hindcast", **moment).returncode == 0
        assert pipeline.hourly(moment["AIRQINO_NOW"]).returncode == 0
        assert pipeline.backfill(FIRST, "2026-04-19T23", **moment).returncode == 0
        yield pipeline, sandbox
        pipeline.client.drop_database(pipeline.database_name)
        pipeline.client.close()


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_of_each_kind_is_made_again(served: tuple[Pipeline, Sandbox], damage: str) -> None:
    pipeline, sandbox = served
    before = pipeline.state()
    paths = {kind: pipeline.root / name for kind, name in KINDS.items()}
    assert all(path.exists() for path in paths.values())
    for path in paths.values():
        DAMAGES[damage](path)
    sandbox.now += timedelta(minutes=2)
    now = f"{sandbox.now:%Y-%m-%dT%H:%M}"
    hourly = pipeline.hourly(now)
    assert hourly.returncode == 0, hourly.stderr
    assert "Traceback" not in hourly.stderr
    again = pipeline.backfill(AIRQINO_NOW=now)
    assert again.returncode == 0, again.stderr
    after = pipeline.state()
    for name in before:
        assert after[name] == before[name], name
    kept = {path.name.split(".parquet.")[0] for path in (pipeline.root / "quarantine").rglob("*") if path.is_file()}
    # the scores of a day without forecasts have no rows that give them away: they are built again all the same
    assert kept | {"scores"} == {"10", "07", "20", "hourly", "daily", "revisions", "scores"}
    assert "damaged" in pipeline.script("alerts", "list").stdout
    shutil.rmtree(pipeline.root / "quarantine")
