"""Back up, lose everything, restore: the same documents and files, and the next hour goes on from there."""

import shutil
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.deployment import Pipeline

from airqino.sandbox.mongod import Mongod
from airqino.sandbox.server import Sandbox

pytestmark = pytest.mark.drill

NOW = datetime(2026, 3, 10, 12, 5, tzinfo=UTC)
SPAN = ("2026-02-01T00", "2026-03-10T10")
REBUILT = (
    *("hourly_measurements", "daily_averages", "coverage", "revisions", "stations", "profiles"),
    *("forecasts", "forecast_scores", "models"),
)


class Lost(NamedTuple):
    """A deployment that is gone, and what there was."""

    archive: Path
    documents: dict[str, list[dict[str, Any]]]
    files: dict[str, bytes]
    api: Sandbox


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory, mongod: Mongod) -> Iterator[Lost]:
    """38 days, a revision, a model, forecasts as they were published, and their scores: backed up, then dropped."""
    folder = tmp_path_factory.mktemp("lost")
    with Sandbox() as api:
        made = Pipeline(folder / "staging", mongod, api.url)
        api.now = NOW.replace(day=8)
        assert made.backfill("2026-02-01T00", "2026-03-08T09", AIRQINO_NOW="2026-03-08T12:05").returncode == 0
        api.override("283181971", NOW.replace(day=7, hour=9, minute=0), {"PM2.5": 99.5})
        for hour in (12, 13):
            api.now = NOW.replace(hour=hour)
            done = made.hourly(f"2026-03-10T{hour}:05")
            assert done.returncode == 0, done.stderr
        hindcast = made.backfill("2026-03-05T00", "2026-03-05T11", "--hindcast", AIRQINO_NOW="2026-03-10T13:06")
        assert hindcast.returncode == 0, hindcast.stderr
        archive = backed_up(made, folder / "backups")
        before = Lost(archive, documents(made), files(made), api)
        assert {name for name in REBUILT if not before.documents[name]} == set(), "nothing to lose"
        made.client.drop_database(made.database_name)
        shutil.rmtree(made.root)
        yield before
        made.client.close()


@pytest.fixture
def new(tmp_path: Path, mongod: Mongod, lost: Lost) -> Iterator[Pipeline]:
    """An empty staging root and database."""
    made = Pipeline(tmp_path / "staging", mongod, lost.api.url)
    yield made
    made.close()


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


def test_all_is_as_it_was_and_the_next_hour_writes_nothing_old(lost: Lost, new: Pipeline) -> None:
    done = new.script("restore", str(lost.archive))
    assert done.returncode == 0, done.stderr
    assert documents(new) == lost.documents
    assert files(new) == lost.files
    assert (new.root / "mlflow" / "mlflow.db").stat().st_size > 10_000
    assert "station_now" in {view["name"] for view in new.database.list_collections(filter={"type": "view"})}
    lost.api.now = NOW.replace(hour=14)
    done = new.hourly("2026-03-10T14:05")
    assert done.returncode == 0, done.stderr
    now = datetime(2026, 3, 10, 14, 5, tzinfo=UTC)
    loaded = {load["_id"] for load in new.database["loads"].find({"loaded_at": now})}
    assert "day|2026-03-10" in loaded
    assert "forecast|2026-03-10T13" in loaded
    # readings are read again 47 h after their hour, so the 8th may become final; nothing older is touched
    assert not {name for name in loaded if name.split("|")[-1] < "2026-03-08" and name != "models"}
    first = NOW.replace(day=8, hour=0, minute=0)
    assert [d for d in documents(new)["hourly_measurements"] if d["observed_at"] < first] == [
        d for d in lost.documents["hourly_measurements"] if d["observed_at"] < first
    ]


def test_from_the_staged_files_alone_a_backfill_makes_all_documents_again_without_a_request(
    lost: Lost, new: Pipeline
) -> None:
    done = new.script("restore", str(lost.archive), "--only", "staging")
    assert done.returncode == 0, done.stderr
    assert documents(new) == {}
    lost.api.reset()
    now = "2026-03-10T13:07"
    for done in (new.backfill(*SPAN, AIRQINO_NOW=now), new.hourly(now)):
        assert done.returncode == 0, done.stderr
    assert lost.api.stats()["data_requests"] <= 4  # for hours without a row that are not settled, and no others
    made = documents(new)
    for name in REBUILT:
        for now_is, was in zip(made[name], lost.documents[name], strict=True):
            # an hour that was read again in between may have become final, and nothing else may differ
            assert now_is.get("provisional") in (was.get("provisional"), False if was.get("provisional") else None), (
                name
            )
            assert now_is | {"provisional": None} == was | {"provisional": None}, name


def test_nothing_that_is_there_is_overwritten(tmp_path: Path, new: Pipeline, lost: Lost) -> None:
    assert new.backfill("2026-02-01T00", "2026-02-02T23", AIRQINO_NOW="2026-03-10T13:07").returncode == 0
    before, staged = documents(new), files(new)
    for options, told in (
        ([], f"the staging root {new.root} is not empty"),
        (["--only", "database"], "--drop drops its collections first"),
    ):
        refused = new.script("restore", str(lost.archive), *options)
        assert refused.returncode == 2
        assert told in refused.stderr
    assert documents(new) == before
    assert files(new) == staged
    own = backed_up(new, tmp_path / "backups")
    new.database["daily_averages"].delete_many({})
    done = new.script("restore", str(own), "--only", "database", "--drop")
    assert done.returncode == 0, done.stderr
    assert documents(new) == before


def test_a_damaged_or_foreign_file_changes_nothing(tmp_path: Path, new: Pipeline, lost: Lost) -> None:
    content = lost.archive.read_bytes()
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(content[: len(content) // 2])
    with tarfile.open(tmp_path / "foreign.tar.gz", "w:gz") as tar:
        tar.add(__file__, "staging/../../outside.py")
    for bad in (cut, tmp_path / "foreign.tar.gz", tmp_path / "none.tar.gz"):
        refused = new.script("restore", str(bad))
        assert refused.returncode == 2
        assert str(bad) in refused.stderr
        assert "Traceback" not in refused.stderr
        assert not new.root.exists()


def test_a_backup_within_the_staging_root_is_refused(new: Pipeline) -> None:
    new.root.mkdir()
    refused = new.script("backup", str(new.root / "backups"))
    assert refused.returncode == 2
    assert "lies in the staging root" in refused.stderr
    assert not (new.root / "backups").exists()
