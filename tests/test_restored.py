"""What is gone from the staging root comes back from MongoDB as it was, and nothing else is made of documents."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.commands import ROOT
from support.deployment import WHEN, Pipeline

from airqino.sandbox.mongod import Mongod
from airqino.sandbox.server import Sandbox
from airqino.stores.locks import held
from airqino.stores.paths import Paths

NOW = datetime(2026, 3, 20, 12, 5, tzinfo=UTC)
STATION = "283181971"


def rows(pipeline: Pipeline) -> dict[tuple[str, datetime], dict[str, object]]:
    """The readings that are staged, from the raw files, without the times at which things were done."""
    found = [row for path in sorted(pipeline.root.glob("*/raw/*.parquet")) for row in pq.read_table(path).to_pylist()]
    return {
        (row["station"], row["observed_at"]): {k: v for k, v in row.items() if k not in WHEN}
        for row in found
        if row["status"] == "ok"
    }


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory, mongod: Mongod) -> Iterator[Pipeline]:
    """Fourteen days, five of them older than hourly runs look back, with a calibration."""
    with Sandbox(now=NOW) as api:
        made = Pipeline(tmp_path_factory.mktemp("staged") / "staging", mongod, api.url)
        made.env["AIRQINO_NOW"] = f"{NOW:%Y-%m-%dT%H:%M}"
        assert made.backfill("2026-03-07..").returncode == 0
        note = ("calibrate", STATION, "co", "2026-03-08..2026-03-09", "--offset", "0.5", "--why", "zero", "--who", "me")
        assert made.script("note", *note, "--now").returncode == 0
        yield made
        made.close()


@pytest.fixture
def filled(staged: Pipeline, tmp_path: Path, sandbox: Sandbox) -> Iterator[Pipeline]:
    """A deployment of the test's own, that starts there, with an API of the test's own."""
    sandbox.now = NOW
    with staged.copied(tmp_path / "staging") as made:
        made.env["AIRQINO_BASE_URL"] = sandbox.url
        yield made


def test_lost_readings_come_back_as_the_station_reported_them(filled: Pipeline, sandbox: Sandbox) -> None:
    before, documents = rows(filled), filled.documents("hourly_measurements")
    shutil.rmtree(filled.root)
    sandbox.add_fault("server_error_500")
    assert filled.hourly().returncode in (0, 30)  # the source is away, too
    assert rows(filled) == before
    sandbox.clear_faults()
    assert filled.hourly().returncode == 0
    assert {key: filled.documents("hourly_measurements")[key] for key in documents} == documents


def test_what_the_source_has_changed_meanwhile_is_a_revision(filled: Pipeline, sandbox: Sandbox) -> None:
    at = NOW.replace(minute=0) - timedelta(days=3)
    key = f"{STATION}|{at:%Y-%m-%dT%H}"
    old = filled.documents("hourly_measurements")[key]["pm2_5"]
    shutil.rmtree(filled.root)
    sandbox.override(STATION, at, {"CO": 0.4, "PM2.5": old + 7})
    assert filled.backfill().returncode == 0  # from the first day that MongoDB has loaded
    sandbox.now = NOW + timedelta(hours=1)
    filled.env["AIRQINO_NOW"] = f"{sandbox.now:%Y-%m-%dT%H:%M}"
    assert filled.script("run", "FetchHour", "--hour", f"{at:%Y-%m-%dT%H}", "--again").returncode == 0
    assert filled.hourly().returncode == 0
    changed = [d for d in filled.documents("revisions").values() if d["reading"] == "pm2_5"]
    assert [(d["old_reading"], d["new_reading"]) for d in changed] == [(old, old + 7)]
    assert filled.documents("hourly_measurements")[key]["pm2_5"] == old + 7


@pytest.mark.parametrize(("damage", "start"), [("emptied", "hourly"), ("deleted", "hourly"), ("deleted", "luigi")])
def test_what_a_station_was_called_before_its_file_was_lost_is_told_with_its_new_name(
    filled: Pipeline, sandbox: Sandbox, damage: str, start: str
) -> None:
    """Without the days before, the new name would be the first that was ever known, and replace what MongoDB has."""
    before = filled.database["stations"].find_one({"_id": STATION})["history"]
    path = filled.root / "stations" / f"{STATION}.parquet"
    path.write_bytes(b"") if damage == "emptied" else path.unlink()
    sandbox.present(STATION, {"station_name": "Harbour"}, NOW)
    sandbox.now = NOW + timedelta(hours=1)
    filled.env["AIRQINO_NOW"] = f"{sandbox.now:%Y-%m-%dT%H:%M}"
    done = filled.hourly() if start == "hourly" else filled.luigi("LoadDay", "--day", f"{NOW:%Y-%m-%d}")
    assert done.returncode == 0, done.stderr
    after = filled.database["stations"].find_one({"_id": STATION})["history"]
    assert after[:-1] == before
    assert (after[-1]["name"], after[-1]["since"]) == ("Harbour", NOW.replace(minute=0))
    assert [row["name"] for row in pq.read_table(path).to_pylist()] == [row["name"] for row in after]


def test_a_document_that_no_row_of_ours_makes_is_left_alone(filled: Pipeline) -> None:
    at, collection = datetime(2026, 3, 8, 5, tzinfo=UTC), filled.database["hourly_measurements"]
    before = rows(filled)
    whole = collection.find_one({"_id": f"{STATION}|2026-03-08T05"})
    odd = [
        {"_id": "a", "station": "../../victim"},
        {"_id": "b", "pm2_5": "12"},
        {"_id": f"{STATION}|2026-03-08T05:30", "observed_at": at + timedelta(minutes=30)},
        {"_id": f"1|{at:%Y-%m-%dT%H}", "station": 1},
        {"_id": f"7|{at:%Y-%m-%dT%H}", "station": "7", "provisional": "no"},
        {"_id": f"8|{at:%Y-%m-%dT%H}", "station": "8", "pm2_5": ["12"]},
    ]
    collection.insert_many([whole | of for of in odd])
    shutil.rmtree(filled.root)
    assert filled.hourly().returncode == 0
    assert {key: of for key, of in rows(filled).items() if key in before} == before
    assert {station for station, _ in rows(filled)} == {station for station, _ in before}
    assert not list(filled.root.parent.rglob("victim*"))


def of_day(pipeline: Pipeline, day: str) -> dict[str, dict[str, object]]:
    return {
        key: document
        for name in ("daily_averages", "coverage")
        for key, document in pipeline.documents(name).items()
        if key.endswith(day)
    }


def test_a_mean_that_rests_on_hours_nobody_has_any_more_is_kept(filled: Pipeline, sandbox: Sandbox) -> None:
    """As with `retention_days`, after the staging root is lost: the source has forgotten what MongoDB has dropped."""
    day, at = "2026-03-08", datetime(2026, 3, 8, tzinfo=UTC)
    kept = of_day(filled, day)
    filled.database["hourly_measurements"].delete_many({"observed_at": {"$gte": at, "$lt": at + timedelta(hours=20)}})
    shutil.rmtree(filled.root)
    for station in (STATION, "283164601"):
        for n in range(20):
            sandbox.override(station, at + timedelta(hours=n), None)
    assert "14 days are in MongoDB, but not staged" in filled.script("status").stdout
    done = filled.script("run", "LoadDay", "--day", day)
    assert done.returncode == 0, done.stderr
    assert f"{day}: its means rest on readings that are not staged any more, and stay as they are" in done.stderr
    assert "not staged" not in filled.script("status").stdout.replace("staged any more", "")
    for command in (["hourly"], ["backfill", "2026-03-07..2026-03-09"], ["verify"], ["hourly"]):
        assert filled.script(*command).returncode == 0, command
        assert of_day(filled, day) == kept, command
    assert len([row for row in rows(filled) if row[1].date() == at.date()]) < 9
    checked = filled.script("verify", "--check")
    assert checked.returncode == 0, checked.stdout
    assert filled.script("run", "LoadDay", "--day", day, "--force").returncode == 0
    assert of_day(filled, day) != kept, "who means it gets what is left"


def test_a_restore_that_is_stopped_leaves_no_half_day(filled: Pipeline) -> None:
    before = rows(filled)
    shutil.rmtree(filled.root)
    process = subprocess.Popen([sys.executable, "-m", "tasks.cli", "hourly"], env=os.environ | filled.env, cwd=ROOT)
    while process.poll() is None and len(list(filled.root.glob("*/raw"))) < 3:
        time.sleep(0.001)
    process.kill()
    process.wait()
    complete = {path.parent.name: len(list(path.glob("*.parquet"))) for path in filled.root.glob("*/raw")}
    assert {name: n for name, n in complete.items() if n < 22} == {}, complete
    assert filled.hourly().returncode == 0
    assert rows(filled) == before


def test_the_stations_of_another_pipeline_are_not_staged_as_ours(filled: Pipeline) -> None:
    collection = filled.database["hourly_measurements"]
    theirs = [
        of | {"_id": f"77|{of['observed_at']:%Y-%m-%dT%H}", "station": "77"}
        for of in collection.find({"station": STATION, "observed_at": {"$gte": NOW - timedelta(days=5)}})
    ]
    collection.insert_many(theirs)
    before = rows(filled)
    shutil.rmtree(filled.root)
    assert filled.hourly().returncode == 0
    assert {station for station, _ in rows(filled)} == {station for station, _ in before}


def test_nothing_is_restored_while_another_run_is_at_work(filled: Pipeline) -> None:
    shutil.rmtree(filled.root)
    with ThreadPoolExecutor() as pool:
        with held(Paths(filled.root).lock("run")) as got:
            assert got
            run = pool.submit(filled.hourly)
            lock = filled.root / ".hourly.lock"
            while not lock.exists() and run.running():
                time.sleep(0.1)
            time.sleep(3)
            assert run.running()
            assert not list(filled.root.glob("*/raw"))
        assert run.result().returncode == 0
    assert list(filled.root.glob("*/raw"))


def test_days_of_a_lost_database_are_loaded_by_the_hourly_runs(filled: Pipeline) -> None:
    wanted = {name: filled.documents(name) for name in ("hourly_measurements", "daily_averages", "coverage")}
    filled.client.drop_database(filled.database_name)
    assert "14 days are staged, but not loaded" in filled.script("status").stdout
    assert filled.hourly().returncode == 0
    assert {name: filled.documents(name) for name in wanted} == wanted
    assert "not loaded" not in filled.script("status").stdout


def test_no_run_goes_further_back_for_a_station_east_of_utc(filled: Pipeline) -> None:
    """The first local day begins on the day before, which is fetched for it, but is no day of ours."""
    text = (ROOT / "luigi.cfg").read_text().replace("time_zone = Africa/Abidjan", "time_zone = Asia/Tokyo")
    (filled.root.parent / "east.cfg").write_text(text)
    filled.env["LUIGI_CONFIG_PATH"] = f"{filled.root.parent / 'east.cfg'}"
    shutil.rmtree(filled.root)
    filled.client.drop_database(filled.database_name)
    assert filled.backfill("2026-03-15..").returncode == 0
    for _ in range(2):
        assert filled.hourly().returncode == 0
    first = min(path.parent.name for path in filled.root.glob("*/raw"))
    for _ in range(3):
        assert filled.hourly().returncode == 0
    assert min(path.parent.name for path in filled.root.glob("*/raw")) == first
