"""Back up, lose everything, restore: the same documents and files, and the next hour goes on from there."""

import shutil
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from deployment import Pipeline

from tasks.airqino.sandbox import Sandbox
from tasks.stores.mongod import Mongod

pytestmark = pytest.mark.drill

NOW = datetime(2026, 3, 10, 12, 5, tzinfo=UTC)
SPAN = ("2026-02-01T00", "2026-03-10T10")
REBUILT = (
    *("hourly_measurements", "daily_averages", "coverage", "revisions", "stations", "profiles"),
    *("forecasts", "forecast_scores", "models"),
)


@pytest.fixture
def filled(tmp_path: Path, mongod: Mongod, sandbox: Sandbox) -> Any:
    """A deployment with 38 days, a revision, a model, forecasts as they were published, and their scores."""
    made = Pipeline(tmp_path / "staging", mongod, sandbox.url)
    sandbox.now = NOW.replace(day=8)
    assert made.backfill("2026-02-01T00", "2026-03-08T09", AIRQINO_NOW="2026-03-08T12:05").returncode == 0
    sandbox.override("283181971", NOW.replace(day=7, hour=9, minute=0), {"PM2.5": 99.5})
    for hour in (12, 13):
        sandbox.now = NOW.replace(hour=hour)
        done = made.hourly(f"2026-03-10T{hour}:05")
        assert done.returncode == 0, done.stderr
    assert made.backfill("2026-03-05T00", "2026-03-05T11", "--hindcast", AIRQINO_NOW="2026-03-10T13:06").returncode == 0
    yield made
    made.client.drop_database(made.database_name)
    made.client.close()


def documents(pipeline: Pipeline) -> dict[str, list[dict[str, Any]]]:
    """All documents of all collections, whole."""
    names = sorted(c["name"] for c in pipeline.database.list_collections(filter={"type": "collection"}))
    return {n: list(pipeline.database[n].find(sort=[("_id", 1)])) for n in names if not n.startswith("system.")}


def files(pipeline: Pipeline) -> dict[str, bytes]:
    return {
        str(path.relative_to(pipeline.root)): path.read_bytes()
        for path in sorted(pipeline.root.rglob("*"))
        if path.is_file() and not path.name.startswith(".") and path.suffix not in (".db", ".log", ".jsonl")
    }


def backed_up(pipeline: Pipeline, folder: Path, *options: str) -> Path:
    done = pipeline.script("backup", str(folder), *options)
    assert done.returncode == 0, done.stderr
    (path,) = folder.iterdir()
    return path


def lose_everything(pipeline: Pipeline) -> None:
    pipeline.client.drop_database(pipeline.database_name)
    shutil.rmtree(pipeline.root)


def test_all_is_as_it_was_and_the_next_hour_writes_nothing_old(
    tmp_path: Path, filled: Pipeline, sandbox: Sandbox
) -> None:
    path = backed_up(filled, tmp_path / "backups")
    before, staged = documents(filled), files(filled)
    assert {name for name in REBUILT if not before[name]} == set(), "nothing to lose"
    lose_everything(filled)
    done = filled.script("restore", str(path))
    assert done.returncode == 0, done.stderr
    assert documents(filled) == before
    assert files(filled) == staged
    assert (filled.root / "mlflow" / "mlflow.db").stat().st_size > 10_000
    sandbox.now = NOW.replace(hour=14)
    done = filled.hourly("2026-03-10T14:05")
    assert done.returncode == 0, done.stderr
    loaded_at = datetime(2026, 3, 10, 14, 5, tzinfo=UTC)
    again = {load["_id"] for load in filled.database["loads"].find({"loaded_at": loaded_at})}
    old = {load["_id"] for load in before["loads"]} - {"day|2026-03-10", "score|2026-03-10"}
    assert "day|2026-03-10" in again
    # the evening before belongs to the running day's readings to be read again; nothing older is
    assert not {name for name in again & old if name.split("|")[1] < "2026-03-08"}
    after = documents(filled)["hourly_measurements"]
    assert [d for d in after if d["observed_at"] < NOW.replace(hour=13, minute=0, day=8)] == [
        d for d in before["hourly_measurements"] if d["observed_at"] < NOW.replace(hour=13, minute=0, day=8)
    ]
    views = {view["name"] for view in filled.database.list_collections(filter={"type": "view"})}
    assert "station_now" in views


def test_from_the_staged_files_alone_a_backfill_makes_all_documents_again_without_a_request(
    tmp_path: Path, filled: Pipeline, sandbox: Sandbox
) -> None:
    path = backed_up(filled, tmp_path / "backups", "--no-database")
    before = {name: filled.documents(name) for name in REBUILT}
    lose_everything(filled)
    assert filled.script("restore", str(path)).returncode == 0
    sandbox.reset()
    now = "2026-03-10T13:07"
    for done in (filled.backfill(*SPAN, AIRQINO_NOW=now), filled.hourly(now)):
        assert done.returncode == 0, done.stderr
    assert sandbox.stats()["data_requests"] == 0
    for name in REBUILT:
        assert filled.documents(name) == before[name], name


def test_nothing_that_is_there_is_overwritten(tmp_path: Path, filled: Pipeline) -> None:
    path = backed_up(filled, tmp_path / "backups")
    before, staged = documents(filled), files(filled)
    refused = filled.script("restore", str(path))
    assert refused.returncode == 2
    assert f"the staging root {filled.root} is not empty" in refused.stderr
    refused = filled.script("restore", str(path), "--only", "database")
    assert refused.returncode == 2
    assert "--drop drops its collections first" in refused.stderr
    assert documents(filled) == before
    assert files(filled) == staged
    filled.database["daily_averages"].delete_many({})
    done = filled.script("restore", str(path), "--only", "database", "--drop")
    assert done.returncode == 0, done.stderr
    assert documents(filled) == before


def test_a_damaged_or_foreign_file_changes_nothing(tmp_path: Path, filled: Pipeline) -> None:
    path = backed_up(filled, tmp_path / "backups")
    content = path.read_bytes()
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(content[: len(content) // 2])
    with tarfile.open(tmp_path / "foreign.tar.gz", "w:gz") as tar:
        tar.add(__file__, "staging/../../outside.py")
    shutil.rmtree(filled.root)
    for bad in (cut, tmp_path / "foreign.tar.gz", tmp_path / "none.tar.gz"):
        refused = filled.script("restore", str(bad))
        assert refused.returncode == 2
        assert str(bad) in refused.stderr
        assert "Traceback" not in refused.stderr
        assert not filled.root.exists()
