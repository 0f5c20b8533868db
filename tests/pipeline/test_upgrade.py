"""A staging root and a database of an older version are taken over, and nothing that is settled is asked again.

What an older version wrote in another form is built or loaded anew: by the hourly runs, a month in each, or at once by
a backfill or verify. Until then tables and documents are those of the older version, and whatever reads them goes on.
Each older version is run by its own code, with the packages of today.
"""

import io
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from support.deployment import ROOT, Pipeline

from airqino.forecasting.artifact import FORMAT
from airqino.readings import FORECAST, POLLUTANTS
from airqino.sandbox.mongod import Mongod
from airqino.sandbox.server import Sandbox
from airqino.stores.registry import Registry
from tasks.versions import DAYS_PER_RUN, VERSION

#: Version → the last commit before the next one was begun.
VERSIONS = {
    "0.1.0": "cac9adf",
    "0.2.0": "f420539",
    "0.3.0": "0c8e811",
    "0.4.0": "1056c01",
    "0.5.0": "905c743",
    "0.6.0": "f61341e",
    "0.7.0": "5066ac8",
}
#: What of their days this version builds or loads again; of the others nothing.
TABLES_AND_DOCUMENTS, DOCUMENTS = {"0.1.0", "0.2.0", "0.3.0"}, {"0.4.0", "0.5.0", "0.6.0"}
#: Those whose models cannot be read any more.
OTHER_MODELS = {"0.1.0", "0.2.0", "0.3.0", "0.4.0"}
#: The last one whose models cannot be read any more; its tables can.
OLD_MODELS = "0132e14"
#: More days than a run takes over, and than a forecast looks back.
START, DAYS = "2024-07-15T00", 57
NOW = "2024-09-09T11:05"  # a Monday: the hourly run trains
LATER = "2024-09-09T11:20"  # what is loaded again would show
FEW = "2024-08-26T00"  # just enough days for a training

Means = dict[tuple[str, str], float | None]


def unpack(commit: str, folder: Path) -> Path:
    """Lay an older version's code into a folder."""
    tree = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(tree)) as tar:
        tar.extractall(folder, filter="data")
    return folder


def run_old(code: Path, pipeline: Pipeline, command: str, *arguments: str, now: str = NOW, **env: str) -> None:
    """Run a command of an older version; it must end well."""
    has_one_command = (code / "tasks" / "cli" / "main.py").exists()  # 0.1 had a module for each
    started = ["tasks.cli", command] if has_one_command else [f"tasks.cli.{command}"]
    knows = "rounds" in (code / "luigi.cfg").read_text()  # what the tests' settings change
    kept = {name: text for name, text in pipeline.env.items() if knows or name != "LUIGI_CONFIG_PATH"}
    done = subprocess.run(
        [sys.executable, "-m", *started, *arguments],
        cwd=code,
        env=kept | {"AIRQINO_NOW": now} | env,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr


def written(pipeline: Pipeline) -> dict[str, int]:
    """When each raw hour, forecast and file of a model was written."""
    paths = (path for kind in ("*/raw/*", "*/forecast/*", "models/*/*") for path in pipeline.root.glob(kind))
    return {f"{path.relative_to(pipeline.root)}": path.stat().st_mtime_ns for path in paths if path.is_file()}


def loads(pipeline: Pipeline) -> dict[str, Any]:
    return {load["_id"]: load["loaded_at"] for load in pipeline.database["loads"].find()}


def tables(pipeline: Pipeline) -> dict[str, int]:
    """When the tables of each day were written."""
    paths = (path for name in ("hourly", "daily") for path in pipeline.root.glob(f"20*/{name}.parquet"))
    return {f"{path.relative_to(pipeline.root)}": path.stat().st_mtime_ns for path in paths}


def of_days(pipeline: Pipeline) -> dict[str, dict[str, dict[str, Any]]]:
    """The documents that staged files make."""
    names = ("hourly_measurements", "daily_averages", "coverage", "revisions", "forecasts", "forecast_scores")
    made = {name: pipeline.documents(name) for name in (*names, "stations", "profiles")}
    return made | {"loads": {k: load for k, load in pipeline.documents("loads").items() if k.startswith("day|")}}


def mark(pipeline: Pipeline) -> tuple[str, str]:
    """The environment that the staging root and the database name."""
    (document,) = pipeline.database["loads"].find({"_id": "environment"})
    return (pipeline.root / "environment").read_text(), document["environment"]


def means(pipeline: Pipeline) -> Means:
    """The plain means and their hours, which both versions have."""
    fields = [f"{pollutant}_{part}" for pollutant in FORECAST for part in ("mean", "hours")]
    return {(d["_id"], field): d[field] for d in pipeline.database["daily_averages"].find() for field in fields}


def forecasts(pipeline: Pipeline) -> dict[str, dict[str, Any]]:
    """The forecasts, without the station's name, which 0.2 loaded with them."""
    found = pipeline.documents("forecasts")
    return {key: {k: v for k, v in document.items() if k != "station_name"} for key, document in found.items()}


def asked_for_what_is_open(before: "State", sandbox: Sandbox) -> None:
    """Assert that what was asked since then holds hours for which a source had no row yet: nothing that is settled."""
    for request in sandbox.stats()["windows"][before.requests :]:
        first, last = (datetime.fromisoformat(request[end]).replace(tzinfo=UTC) for end in ("start", "stop"))
        station = f"{request['station']}"
        assert [hour for of, hour in before.open if of == station and first <= hour <= last], request


def left(pipeline: Pipeline) -> int:
    return int(json.loads(pipeline.script("status", "--json", AIRQINO_NOW=LATER).stdout)["older_version_days"])


@pytest.fixture(scope="module")
def left_behind(tmp_path_factory: pytest.TempPathFactory, mongod: Mongod) -> Iterator[tuple[Pipeline, Sandbox]]:
    """A deployment as the first version has left it, with the indexes that it has made; for the last test alone."""
    folder = tmp_path_factory.mktemp("old")
    code = unpack(VERSIONS["0.1.0"], folder / "code")
    with Sandbox(now=datetime.fromisoformat(f"{NOW}+00:00").astimezone(UTC)) as sandbox:
        pipeline = Pipeline(folder / "staging", mongod, sandbox.url)
        run_old(code, pipeline, "backfill", START, "2024-09-09T09")
        run_old(code, pipeline, "hourly")
        run_old(code, pipeline, "backfill", "2024-09-09T06", "2024-09-09T09", "--hindcast")
        yield pipeline, sandbox
        pipeline.close()


@pytest.fixture
def old(left_behind: tuple[Pipeline, Sandbox], tmp_path: Path) -> Iterator[tuple[Pipeline, Sandbox]]:
    """The same, as a deployment of its own."""
    pipeline, sandbox = left_behind
    with pipeline.copied(tmp_path / "staging") as made:
        yield made, sandbox


@pytest.mark.drill
@pytest.mark.timeout(900)
def test_a_backfill_takes_all_days_over_at_once(old: tuple[Pipeline, Sandbox]) -> None:
    pipeline, sandbox = old
    before = State(pipeline, sandbox)
    backfill = pipeline.backfill(AIRQINO_NOW=LATER)
    assert backfill.returncode == 0, backfill.stderr
    assert left(pipeline) == 0
    asked_for_what_is_open(before, sandbox)
    before.is_taken_over(pipeline)


@pytest.mark.drill
@pytest.mark.timeout(900)
def test_verify_takes_all_days_over_without_the_api(old: tuple[Pipeline, Sandbox]) -> None:
    pipeline, sandbox = old
    before = State(pipeline, sandbox)
    told = pipeline.script("verify", "--check", AIRQINO_NOW=LATER)
    assert told.returncode == 1
    assert told.stdout.count("its tables were built from other readings or by an older version") == DAYS
    assert left(pipeline) == DAYS
    mended = pipeline.script("verify", AIRQINO_NOW=LATER)
    assert mended.returncode == 0, mended.stdout
    assert left(pipeline) == 0
    assert len(sandbox.stats()["windows"]) == before.requests
    before.is_taken_over(pipeline)


@pytest.mark.drill
@pytest.mark.timeout(900)
def test_hourly_runs_take_the_days_over_a_month_in_each(left_behind: tuple[Pipeline, Sandbox], tmp_path: Path) -> None:
    pipeline, sandbox = left_behind
    before = State(pipeline, sandbox)
    assert len([name for name in before.files if "/raw/" in name]) > (DAYS - 1) * 24
    assert "models/2024-09-09/card.json" in before.files
    assert left(pipeline) == DAYS

    first = pipeline.hourly(LATER)
    assert first.returncode == 0, first.stderr
    assert "persistence is published" not in first.stderr  # this hour has a forecast; the next is the new model's
    retrained = [name for name in before.files if name.startswith("models/2024-09-09/")]
    assert json.loads((pipeline.root / "models/2024-09-09/card.json").read_text())["format"] == FORMAT
    assert 15 < left(pipeline) <= DAYS - DAYS_PER_RUN  # some came with it because they are provisional
    # what looks back further than that meets tables of both versions
    for task in (("TrainModel", "--day", "2024-09-02"), ("Forecast", "--hour", "2024-09-03T10")):
        mixed = pipeline.luigi(*task, AIRQINO_NOW=LATER)
        assert mixed.returncode == 0, mixed.stderr
    assert pipeline.database["forecasts"].count_documents({"_id": {"$regex": "2024-09-03T10"}, "hindcast": True}) == 8
    second = pipeline.hourly(LATER)
    assert second.returncode == 0, second.stderr
    assert left(pipeline) == 0
    asked_for_what_is_open(before, sandbox)
    before.is_taken_over(pipeline, besides=retrained)

    loaded = loads(pipeline)
    third = pipeline.hourly("2024-09-09T11:40")
    assert third.returncode == 0, third.stderr
    assert loads(pipeline) == loaded
    # a station that is renamed loads nothing but its own document
    config = tmp_path / "own.cfg"
    config.write_text("[stations.283181971]\nname = Harbour\n")
    renamed = pipeline.hourly("2024-09-09T11:50", LUIGI_CONFIG_PATH=f"{config}")
    assert renamed.returncode == 0, renamed.stderr
    assert {load for load, at in loads(pipeline).items() if loaded[load] != at} == {"stations"}
    for view in ("daily_averages_named", "hourly_profiles", "forecast_scores_named"):
        shown = sorted(pipeline.database[view].distinct("station_name", {"station": {"$ne": None}}))
        assert shown == ["Cocody (Harbour)", "Cocody (SMART188)"], view
    asked_for_what_is_open(before, sandbox)


@pytest.mark.drill
@pytest.mark.timeout(900)
def test_a_champion_that_cannot_be_read_any_more_costs_no_hour(tmp_path: Path, mongod: Mongod) -> None:
    """Trained by version 0.4.0 on Monday; the upgrade is on Tuesday."""
    hours = [datetime(2024, 9, 10, hour, tzinfo=UTC) for hour in (9, 10, 11)]
    nows = [f"{hour + timedelta(hours=1, minutes=5):%Y-%m-%dT%H:%M}" for hour in hours]
    code = unpack(OLD_MODELS, tmp_path / "code")
    with Sandbox(now=hours[0] + timedelta(hours=1, minutes=5)) as sandbox:
        pipeline = Pipeline(tmp_path / "staging", mongod, sandbox.url)
        del pipeline.env["LUIGI_CONFIG_PATH"]  # all horizons
        run_old(code, pipeline, "backfill", "2024-08-05T00", "2024-09-10T08", now=nows[0])
        run_old(code, pipeline, "hourly", now=nows[0])
        run_old(code, pipeline, "models", "promote", "2024-09-09", now=nows[0])
        run_old(code, pipeline, "hourly", now=nows[0])
        before = forecasts(pipeline)
        models = {name: at for name, at in written(pipeline).items() if name.startswith("models/")}
        for hour, now in zip(hours[1:], nows[1:], strict=True):
            sandbox.now = hour + timedelta(hours=1, minutes=5)
            done = pipeline.hourly(now)
            assert done.returncode == 0, done.stderr
    published = forecasts(pipeline)
    assert {key: published[key] for key in before} == before
    made = {hour: list(pipeline.database["forecasts"].find({"issued_at": hour})) for hour in hours}
    assert [len(made[hour]) for hour in hours] == [8, 24, 24]
    told = "model 2024-09-09 was trained by an older version of the pipeline"
    methods = {hour: {(row["method"], row["reason"]) for row in rows if row["p50"]} for hour, rows in made.items()}
    assert ("lightgbm", "") in methods[hours[0]]
    assert methods[hours[1]] == {("persistence", told)}
    assert ("lightgbm", "") in methods[hours[2]]
    assert {row["model_version"] for row in made[hours[2]]} == {"2024-09-10"}
    # both are listed, here and in the registry, and the old one is as it was
    assert models.items() <= written(pipeline).items()
    listed = json.loads(pipeline.script("models", "list", "--json").stdout)
    assert [(row["version"], row["champion"]) for row in listed] == [("2024-09-10", True), ("2024-09-09", False)]
    shown = pipeline.script("models", "list").stdout
    assert "trained by an older version of the pipeline, cannot be published: 2024-09-09" in shown
    registry = Registry(f"sqlite:///{pipeline.root}/mlflow/mlflow.db")
    assert registry.alias_version() == "2024-09-10"
    assert {"model.json", "card.json"} <= registry.files("2024-09-09").keys()
    for arguments in (("rollback",), ("promote", "2024-09-09")):
        refused = pipeline.script("models", *arguments)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert refused.stderr == (
            "error: 2024-09-09 was trained by an older version of the pipeline: this one cannot read it\n"
        )
    pipeline.close()


@pytest.mark.nightly
@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_since_the_first_comes_over(version: str, tmp_path: Path, mongod: Mongod) -> None:
    code = unpack(VERSIONS[version], tmp_path / "code")
    with Sandbox(now=datetime.fromisoformat(f"{NOW}+00:00").astimezone(UTC)) as sandbox, ExitStack() as closed:
        pipeline, fresh, restored = (Pipeline(tmp_path / of, mongod, sandbox.url) for of in ("staging", "new", "back"))
        for made in (pipeline, fresh, restored):
            closed.callback(made.close)
        run_old(code, pipeline, "backfill", FEW, "2024-09-09T09")
        run_old(code, pipeline, "hourly")
        run_old(code, pipeline, "backup", f"{tmp_path}")
        before, loaded, built = State(pipeline, sandbox), loads(pipeline), tables(pipeline)

        # who looks before the first run sees what there is, and changes nothing
        looked = pipeline.script("status", AIRQINO_NOW=LATER)
        assert looked.stderr == ""
        assert "Traceback" not in looked.stdout
        assert left(pipeline) == (before.days if version in TABLES_AND_DOCUMENTS | DOCUMENTS else 0)
        assert pipeline.script("runs").stdout == "no run is written down\n"
        assert (loads(pipeline), tables(pipeline)) == (loaded, built)
        assert not (pipeline.root / "environment").exists()

        # at once, without the API
        with pipeline.copied(tmp_path / "verified") as verified:
            done = verified.script("verify", AIRQINO_NOW=LATER)
            assert done.returncode == 0, done.stdout
            before.is_taken_over(verified)
            # and so from a back-up that the older version has written
            (archive,) = tmp_path.glob("airqino-*.tar.gz")
            for command in (["restore", f"{archive}"], ["verify"]):
                done = restored.script(*command, AIRQINO_NOW=LATER)
                assert done.returncode == 0, (done.stdout, done.stderr)
            assert of_days(restored) == of_days(verified)
        assert len(sandbox.stats()["windows"]) == before.requests

        # or by the hourly run
        done = pipeline.hourly(LATER)
        assert done.returncode == 0, done.stderr
        assert left(pipeline) == 0
        asked_for_what_is_open(before, sandbox)
        again = [name for name in before.files if name.startswith("models/") and version in OTHER_MODELS]
        before.is_taken_over(pipeline, besides=again)
        if version not in OTHER_MODELS:
            assert before.champion is not None
            assert State(pipeline, sandbox).champion == before.champion
        after = loads(pipeline)
        anew = {load for load, at in loaded.items() if load.startswith("day|") and after[load] != at}
        assert len(anew) == (before.days if version in TABLES_AND_DOCUMENTS | DOCUMENTS else 0)
        rebuilt = [name for name, at in tables(pipeline).items() if built[name] != at]
        assert len(rebuilt) == (2 * before.days if version in TABLES_AND_DOCUMENTS else 0)

        # the documents are those that an empty database gets
        shutil.copytree(pipeline.root, fresh.root)
        done = fresh.script("verify", AIRQINO_NOW=LATER)
        assert done.returncode == 0, done.stdout
        assert of_days(pipeline) == of_days(fresh)

        # it belongs to an environment now, and the run is written down
        assert mark(pipeline) == ("production\n", "production")
        assert pipeline.hourly(LATER, AIRQINO_ENVIRONMENT="test").returncode == 2
        ran = json.loads(pipeline.script("runs", "--json").stdout)
        assert next((run["command"], run["outcome"]) for run in ran) == ("hourly", "ok")


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_the_version_before_goes_on_after_a_roll_back(tmp_path: Path, mongod: Mongod) -> None:
    """As the change log tells it: with its settings where it reads them, and blind to what is new."""
    hours = [f"2024-09-{day}:05" for day in ("09T12", "10T11", "10T12", "10T13")]
    code = unpack(VERSIONS["0.7.0"], tmp_path / "code")
    with Sandbox(now=datetime.fromisoformat(f"{NOW}+00:00").astimezone(UTC)) as sandbox, ExitStack() as closed:
        pipeline = Pipeline(tmp_path / "staging", mongod, sandbox.url)
        closed.callback(pipeline.close)
        run_old(code, pipeline, "backfill", FEW, "2024-09-09T09")
        run_old(code, pipeline, "hourly")
        for now in hours[:2]:
            sandbox.now = datetime.fromisoformat(f"{now}+00:00")
            done = pipeline.hourly(now)
            assert done.returncode == 0, done.stderr
        shutil.rmtree(pipeline.root / "2024-09-02")  # this version brings it back from MongoDB
        done = pipeline.script("verify", AIRQINO_NOW=hours[1])
        assert "2024-09-02: raw hours were gone from the staging root: restored from MongoDB" in done.stderr

        new = {name: (pipeline.root / name).read_bytes() for name in ("environment", "runs.parquet")}
        before = State(pipeline, sandbox)
        sandbox.now = datetime.fromisoformat(f"{hours[2]}+00:00")
        for command in (["status"], ["hourly"], ["verify", "--check"], ["backup", f"{tmp_path}"]):
            run_old(code, pipeline, *command, now=hours[2])
        run_old(code, pipeline, "status", now=hours[2], AIRQINO_ENVIRONMENT="test")  # it knows no environments
        config = tmp_path / "own.cfg"
        config.write_text("[airqino]\nenvironment = production\n")
        with pytest.raises(AssertionError, match="environment: no such option"):
            run_old(code, pipeline, "status", LUIGI_CONFIG_PATH=f"{config}")
        assert {name: (pipeline.root / name).read_bytes() for name in new} == new
        assert mark(pipeline) == ("production\n", "production")
        assert before.forecasts.items() <= forecasts(pipeline).items()
        assert before.hours <= pipeline.documents("hourly_measurements").keys()
        assert max(pipeline.database["forecasts"].distinct("issued_at")) == datetime(2024, 9, 10, 11, tzinfo=UTC)

        sandbox.now = datetime.fromisoformat(f"{hours[3]}+00:00")
        done = pipeline.hourly(hours[3])  # and forward again
        assert done.returncode == 0, done.stderr
        checked = pipeline.script("verify", "--check", AIRQINO_NOW=hours[3])
        assert checked.returncode == 0, checked.stdout


class State:
    """What an older version has left."""

    def __init__(self, pipeline: Pipeline, sandbox: Sandbox) -> None:
        self.requests = len(sandbox.stats()["windows"])
        rows = (row for path in pipeline.root.glob("*/raw/*") for row in pq.read_table(path).to_pylist())
        self.open = {(row["station"], row["observed_at"]) for row in rows if row["status"] != "ok" and not row["final"]}
        self.days = len(list(pipeline.root.glob("20*/raw")))
        champion = pipeline.root / "models" / "champion.json"
        self.champion = champion.read_bytes() if champion.exists() else None
        self.files, self.means, self.forecasts = written(pipeline), means(pipeline), forecasts(pipeline)
        self.hours = pipeline.documents("hourly_measurements").keys()

    def is_taken_over(self, pipeline: Pipeline, besides: Collection[str] = ()) -> None:
        """Assert that each day has what is new, and that what there was is as it was, but for some files."""
        files, published, plain = written(pipeline), forecasts(pipeline), means(pipeline)
        hours = {f"{hour:%Y-%m-%d}/raw/{hour:%H}.parquet" for _, hour in self.open}  # may have been asked again
        kept = self.files.keys() - hours - {*besides}
        assert {name: files.get(name) for name in kept} == {name: self.files[name] for name in kept}
        assert {key: published.get(key) for key in self.forecasts} == self.forecasts
        assert plain.keys() == self.means.keys()
        assert plain == {key: pytest.approx(mean, abs=1e-9) for key, mean in self.means.items()}
        loaded = list(pipeline.database["loads"].find({"kind": "day"}))
        assert ({day["version"] for day in loaded}, len(loaded)) == ({VERSION}, self.days)
        documents = pipeline.documents("hourly_measurements")
        assert documents.keys() == self.hours
        for document in documents.values():
            assert {"pm2_5_tests", "units", "index"} <= document.keys()
        for document in pipeline.database["daily_averages"].find():
            assert {f"{pollutant}_checked_mean" for pollutant in POLLUTANTS} <= document.keys()
        for document in pipeline.database["coverage"].find({"ok_hours": {"$gt": 0}}):
            assert {"flags", "tests"} <= document.keys()
