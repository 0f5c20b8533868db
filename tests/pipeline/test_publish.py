"""What the public gets of an hour: the numbers that are loaded, whole, and never a reason for a run to fail."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from support.deployment import ROOT, Pipeline
from support.inprocess import Killed, configured, killed_after
from support.public import text_of

from airqino.sandbox.mongod import Mongod
from airqino.sandbox.server import Sandbox
from tasks.publish import Publish
from tasks.served import served

LIVE, OTHER = "283181971", "283164601"
NOW = datetime(2026, 3, 12, 12, 5, tzinfo=UTC)
HOUR = datetime(2026, 3, 12, 11, tzinfo=UTC)


@pytest.fixture(scope="module")
def api() -> Iterator[Sandbox]:
    with Sandbox(now=NOW) as server:
        yield server


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory, mongod: Mongod, api: Sandbox) -> Iterator[Pipeline]:
    """Five days and an hourly run that publishes."""
    folder = tmp_path_factory.mktemp("published")
    made = Pipeline(folder / "staging", mongod, api.url, AIRQINO_NOW=f"{NOW:%Y-%m-%dT%H:%M}")
    made.configure(folder / "luigi.cfg", late_window_hours=24, min_train_days=14)
    assert made.backfill("2026-03-07T00", "2026-03-12T10").returncode == 0
    made.env["PUBLISH_ROOT"] = f"{made.root / 'public'}"
    done = made.hourly()
    assert done.returncode == 0, done.stderr
    yield made
    made.close()


@pytest.fixture
def pipeline(tmp_path: Path, loaded: Pipeline) -> Iterator[Pipeline]:
    with loaded.copied(tmp_path / "staging") as made:
        shutil.rmtree(tmp_path / "staging" / "public")
        shutil.copytree(loaded.root / "public", tmp_path / "public", symlinks=True)
        made.env["PUBLISH_ROOT"] = f"{tmp_path / 'public'}"
        yield made


@pytest.fixture
def here(pipeline: Pipeline, tmp_path: Path) -> Iterator[Pipeline]:
    """The same deployment, for tasks in this process."""
    names = ("AIRQINO_NOW", "STAGING_ROOT", "PUBLISH_ROOT")
    with configured(tmp_path, {}, **{name: pipeline.env[name] for name in names}):
        yield pipeline


def public(pipeline: Pipeline) -> Path:
    return Path(pipeline.env["PUBLISH_ROOT"])


def now_json(pipeline: Pipeline) -> dict[str, object]:
    return json.loads((public(pipeline) / "now.json").read_text())


def rows(path: Path) -> list[dict[str, str]]:
    return [*csv.DictReader(io.StringIO(path.read_text()))]


def files(pipeline: Pipeline) -> dict[str, bytes]:
    """What a web server finds, but for the records."""
    live = public(pipeline) / ".live" / "."
    found = (path for path in live.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {f"{path.relative_to(live)}": path.read_bytes() for path in found}


def test_page_data_and_database_have_the_same_numbers(loaded: Pipeline) -> None:
    told = {station["station"]: station for station in now_json(loaded)["stations"]}
    hours = {of["station"]: of for of in loaded.database["hourly_measurements"].find({"observed_at": HOUR})}
    assert told.keys() == hours.keys() == {LIVE, OTHER}
    for station, of in told.items():
        assert of["pm2_5"] == pytest.approx(hours[station]["pm2_5"], abs=0.001)
        frame = pd.read_csv(public(loaded) / "data" / station / "2026.csv")
        wanted = {
            (of["day"], name): of[f"{name}_checked_mean"]
            for of in loaded.database["daily_averages"].find({"station": station})
            for name in ("co", "no2", "o3", "pm10", "pm2_5")
            if of[f"{name}_quality"] in ("ok", "checked")
        }
        frame = frame[frame["value"].notna()].replace({"parameter": {"pm25": "pm2_5"}})
        assert frame.set_index(["day", "parameter"])["value"].to_dict() == pytest.approx(wanted)
    text = text_of((public(loaded) / "en/index.html").read_text())
    assert "12 March 2026" in text


def test_a_second_run_publishes_nothing_and_the_next_hour_does(pipeline: Pipeline, api: Sandbox) -> None:
    assert pipeline.hourly().returncode == 0  # as a copied file is another one
    before = (public(pipeline) / ".live").readlink()
    assert pipeline.hourly().returncode == 0
    assert (public(pipeline) / ".live").readlink() == before
    later = NOW + timedelta(hours=1)
    api.now = later
    try:
        done = pipeline.hourly(f"{later:%Y-%m-%dT%H:%M}")
    finally:
        api.now = NOW
    assert done.returncode == 0, done.stderr
    assert now_json(pipeline)["hour"] == "2026-03-12T12:00:00Z"
    data = rows(public(pipeline) / "data" / LIVE / "2026-03.csv")
    assert max(row["datetimeUtc"] for row in data) == "2026-03-12T12:00:00Z"


def test_its_failure_changes_no_exit_code_is_told_and_ends_by_itself(pipeline: Pipeline) -> None:
    root = public(pipeline)
    shutil.rmtree(root)
    root.mkdir()
    (root / "index.html").write_text("of the city's own site")
    done = pipeline.hourly()
    assert done.returncode == 0, done.stderr
    assert "index.html is in the way" in done.stderr
    assert (root / "index.html").read_text() == "of the city's own site"
    told = json.loads(pipeline.script("alerts", "list", "--json").stdout)
    (incident,) = [of for of in told if of["key"] == "task_failed|Publish"]
    assert "index.html is in the way" in incident["text"]
    assert "scripts/rerun Publish --hour 2026-03-12T11" in incident["text"]
    (root / "index.html").unlink()
    assert pipeline.hourly().returncode == 0
    assert now_json(pipeline)["hour"] == "2026-03-12T11:00:00Z"
    told = json.loads(pipeline.script("alerts", "list", "--json").stdout)
    assert "task_failed|Publish" not in [of["key"] for of in told]


def test_what_the_operator_takes_back_is_gone_at_once_with_an_erratum(pipeline: Pipeline) -> None:
    before = now_json(pipeline)
    (value,) = [of["pm2_5"] for of in before["stations"] if of["station"] == LIVE]
    assert value is not None
    span, said = "2026-03-12T11..2026-03-12T11", ("--why", "a fire", "--who", "Awa")
    note = pipeline.script("note", "invalidate", LIVE, "PM2.5", span, *said)
    assert note.returncode == 0, note.stderr
    done = pipeline.script("publish")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, f"published: {public(pipeline) / 'index.html'}")
    (after,) = [of for of in now_json(pipeline)["stations"] if of["station"] == LIVE]
    assert (after["state"], after["pm2_5"], after["level"]) == ("left_out", None, None)
    (hour,) = [
        row
        for row in rows(public(pipeline) / "data" / LIVE / "2026-03.csv")
        if (row["parameter"], row["datetimeUtc"]) == ("pm25", "2026-03-12T11:00:00Z")
    ]
    assert (hour["value"], hour["flag"]) == ("", "invalidated")
    assert "a fire" in hour["notes"]
    (change,) = [row for row in rows(public(pipeline) / "data" / "changes.csv") if row["kind"] == "invalidate"]
    assert change["why"] == "a fire"
    text = text_of((public(pipeline) / "index.html").read_text())
    assert "mesures retirées (erratum)" in text
    assert "a fire" in text


def test_killed_at_any_moment_page_and_data_are_of_one_release(here: Pipeline, tmp_path: Path) -> None:
    before, kept = files(here), tmp_path / "kept"
    shutil.copytree(public(here), kept, symlinks=True)
    staged = here.root / "2026-03-12" / "hourly.parquet"
    staged.write_bytes(staged.read_bytes())  # another file, so that there is something to do
    raised = 0
    for renames in range(0, 60, 3):
        shutil.rmtree(public(here))
        shutil.copytree(kept, public(here), symlinks=True)
        try:
            with killed_after(renames):
                Publish(hour=HOUR).run()
        except Killed:
            raised += 1
            assert not Publish(hour=HOUR).complete()
        found = files(here)
        assert found.keys() == before.keys()
        assert json.loads(found["now.json"])["hour"] == "2026-03-12T11:00:00Z"
        Publish(hour=HOUR).run()
        assert Publish(hour=HOUR).complete()
        assert files(here) == before
    assert 3 < raised < 20


def test_a_page_does_not_go_back_but_after_a_clock_that_ran_ahead(here: Pipeline) -> None:
    Publish(hour=HOUR - timedelta(hours=5)).run()
    assert served().hour == HOUR
    assert Publish(hour=HOUR - timedelta(hours=5)).complete()
    record = (public(here) / ".live" / ".published.json").resolve()
    record.write_text(record.read_text().replace("2026-03-12T11", "2026-03-14T11"))
    assert not Publish(hour=HOUR).complete()
    Publish(hour=HOUR).run()
    assert served().hour == HOUR


@pytest.mark.parametrize("text", ["", "{", "[]", '{"hour": 3}', '{"hour": "2026-03-12T11", "inputs": 7}'])
def test_a_record_that_nobody_can_read_is_none(here: Pipeline, text: str) -> None:
    (public(here) / ".live" / ".published.json").resolve().write_text(text)
    assert not Publish(hour=HOUR).complete()
    Publish(hour=HOUR).run()
    assert Publish(hour=HOUR).complete()


def test_a_damaged_hour_is_not_told_as_one_without_readings(here: Pipeline) -> None:
    before = files(here)
    staged = here.root / "2026-03-12" / "hourly.parquet"
    staged.write_bytes(staged.read_bytes()[:-20])
    with pytest.raises(Exception, match=r"hourly\.parquet"):
        Publish(hour=HOUR).run()
    assert files(here) == before
    assert not staged.exists(), "it is set aside, and built again by the next run"


def test_without_a_folder_there_is_nothing_to_do(pipeline: Pipeline) -> None:
    del pipeline.env["PUBLISH_ROOT"]
    done = pipeline.script("publish")
    assert (done.returncode, done.stderr) == (
        2,
        "error: no folder is named to publish into: set PUBLISH_ROOT ([publish] root)\n",
    )


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("city", "", "[publish] city: say of which city or region the page tells, or leave root empty"),
        ("licence", "public", "[publish] licence = 'public': allowed is empty, or one of CC-BY-4.0"),
        ("url", "air.example.org", "PUBLISH_URL ([publish] url)"),
    ],
)
def test_a_wrong_setting_is_named(pipeline: Pipeline, tmp_path: Path, option: str, value: str, told: str) -> None:
    overlay = tmp_path / "own.cfg"
    overlay.write_text(f"[publish]\n{option} = {value}\n")
    done = pipeline.script("publish", LUIGI_CONFIG_PATH=f"{overlay}")
    assert done.returncode == 2
    assert told in done.stderr or (option == "url" and "[publish] url" in done.stderr)
    assert "Traceback" not in done.stderr


def test_a_run_that_is_stopped_while_it_publishes_is_done(pipeline: Pipeline, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "map.geojson")  # who opens it waits for one who writes
    overlay = tmp_path / "waits.cfg"
    overlay.write_text(f"[publish]\nmap = {tmp_path / 'map.geojson'}\n")
    before = files(pipeline)
    env = pipeline.env | {"LUIGI_CONFIG_PATH": f"{overlay}"}
    run = subprocess.Popen([sys.executable, "-m", "tasks.cli", "hourly"], cwd=ROOT, env=env, stderr=subprocess.PIPE)
    told = b""
    while b" done in " not in told:
        told += run.stderr.readline()
    time.sleep(1.5)
    run.terminate()
    _, rest = run.communicate(timeout=30)
    assert run.returncode == 0, told + rest
    assert b"stopped while 2026-03-12T11 was published; what is served stays" in rest
    assert files(pipeline) == before


def test_a_process_that_dies_is_told_by_the_run(pipeline: Pipeline, tmp_path: Path) -> None:
    (tmp_path / "map.geojson").write_text("{}")
    overlay = tmp_path / "wrong.cfg"
    overlay.write_text(f"[publish]\nmap = {tmp_path / 'map.geojson'}\n")
    done = pipeline.hourly(LUIGI_CONFIG_PATH=f"{overlay}")
    assert done.returncode == 0
    assert "map.geojson is no GeoJSON" in done.stderr
    told = json.loads(pipeline.script("alerts", "list", "--json").stdout)
    (incident,) = [of for of in told if of["key"] == "task_failed|Publish"]
    assert "map.geojson is no GeoJSON" in incident["text"]


def test_what_rots_where_it_is_served_is_built_again_from_what_is_staged(here: Pipeline) -> None:
    before = files(here)
    for ending in ("csv", "parquet"):
        path = public(here) / "data" / LIVE / f"2026.{ending}"
        status, content = path.stat(), path.read_bytes()
        path.write_bytes(b"\xff" * len(content))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    Publish(hour=HOUR).run()
    assert files(here) == before


def test_a_backup_leaves_out_what_is_served(pipeline: Pipeline, tmp_path: Path) -> None:
    shutil.copytree(public(pipeline), pipeline.root / "public", symlinks=True)
    done = pipeline.script("backup", f"{tmp_path / 'all.tar.gz'}")
    assert done.returncode == 0, done.stderr
    archive = Path(re.search(r"\S+\.tar\.gz", done.stdout)[0])
    with tarfile.open(archive) as tar:
        names = tar.getnames()
    assert not [name for name in names if "/public/" in name]
    assert f"staging/{HOUR:%Y-%m-%d}/daily.parquet" in names
