"""Training, promotion and what is published when something is broken, with real parts throughout."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.tracking import MlflowClient
from support.dask import cluster
from support.deployment import ROOT, Pipeline

from airqino.forecasting.artifact import FORMAT
from airqino.forecasting.grid import USABLE_FLAGS
from airqino.readings import CORE_HOURS, FORECAST, HORIZONS
from airqino.sandbox.mongod import Mongod
from airqino.sandbox.server import Sandbox
from airqino.stores import models, parquet
from airqino.stores.models import Champion, ModelCard

FIRST, LAST = date(2026, 1, 12), date(2026, 3, 3)
MOMENT = datetime(2026, 3, 4, 0, 5, tzinfo=UTC)
NOW = "2026-03-04T00:05"
MONDAY = date(2026, 3, 2)
DAYS = [FIRST + timedelta(days=i) for i in range((LAST - FIRST).days + 1)]


@pytest.fixture(scope="module")
def api():
    with Sandbox(now=MOMENT) as server:
        yield server


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory, mongod: Mongod, api: Sandbox) -> Iterator[Pipeline]:
    """Seven weeks of hours, and no model."""
    folder = tmp_path_factory.mktemp("history")
    pipeline = Pipeline(folder / "staging", mongod, api.url, AIRQINO_NOW=NOW)
    done = pipeline.backfill(f"{FIRST}T00", f"{LAST}T23")
    assert done.returncode == 0, done.stderr
    yield pipeline
    pipeline.close()


@pytest.fixture(scope="module")
def trained(staged: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """The same with the model of the last Monday."""
    with staged.copied(tmp_path_factory.mktemp("trained") / "staging") as pipeline:
        train(pipeline, MONDAY)
        yield pipeline


@pytest.fixture
def untrained(staged: Pipeline, tmp_path: Path) -> Iterator[Pipeline]:
    """A deployment of its own that starts from those seven weeks."""
    with staged.copied(tmp_path / "staging") as pipeline:
        yield pipeline


@pytest.fixture
def deployed(trained: Pipeline, tmp_path: Path) -> Iterator[Pipeline]:
    """A deployment of its own that starts from those seven weeks and the last Monday's model."""
    with trained.copied(tmp_path / "staging") as pipeline:
        yield pipeline


def train(pipeline: Pipeline, day: date) -> dict[str, Any]:
    done = pipeline.luigi("TrainModel", "--day", f"{day}")
    assert done.returncode == 0, done.stderr
    return json.loads((pipeline.root / "models" / f"{day}" / "card.json").read_text())


def champion(pipeline: Pipeline) -> dict[str, Any]:
    """What champion.json says, without its checksum."""
    content = json.loads((pipeline.root / "models" / "champion.json").read_text())
    return {name: value for name, value in content.items() if name != "checksum"}


def alias(pipeline: Pipeline) -> str:
    client = MlflowClient(f"sqlite:///{pipeline.root}/mlflow/mlflow.db")
    return client.get_model_version_by_alias("airqino-forecast", "champion").tags["version"]


def registered(pipeline: Pipeline) -> list[str]:
    client = MlflowClient(f"sqlite:///{pipeline.root}/mlflow/mlflow.db")
    return sorted(v.tags["version"] for v in client.search_model_versions("name='airqino-forecast'"))


def make_noise(pipeline: Pipeline, until: date) -> None:
    """Readings that have nothing to do with the hour before."""
    random = np.random.default_rng(1)
    for day in [d for d in DAYS if d < until]:
        path = pipeline.root / f"{day}" / "hourly.parquet"
        table = parquet.read(path)
        frame = table.to_pandas()
        frame["co"] = np.where(frame["co"].notna(), random.uniform(0, 3, len(frame)), np.nan)
        frame["pm2_5"] = np.where(frame["pm2_5"].notna(), random.uniform(0, 90, len(frame)), np.nan)
        noisy = pa.Table.from_pandas(frame, table.schema.remove_metadata(), preserve_index=False)
        parquet.write(path, noisy, extra={"inputs": parquet.texts_in(parquet.read(path))["inputs"]})


def put_back(pipeline: Pipeline, staged: Pipeline) -> None:
    for day in DAYS:
        shutil.copy(staged.root / f"{day}" / "hourly.parquet", pipeline.root / f"{day}" / "hourly.parquet")


def warnings(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stderr.splitlines() if "WARNING" in line or "ERROR" in line]


def published(pipeline: Pipeline, hour: str) -> pd.DataFrame:
    day, _, hour = hour.partition("T")
    return pd.read_parquet(pipeline.root / day / "forecast" / f"{hour}.parquet")


@pytest.mark.drill
def test_promotion_and_roll_back(untrained: Pipeline, staged: Pipeline) -> None:
    first, second, third = date(2026, 2, 2), date(2026, 2, 16), date(2026, 3, 2)

    make_noise(untrained, first)  # a world of noise, in which its model is the better one
    card = train(untrained, first)
    assert (card["promoted"], card["against"]) == (True, "persistence")
    assert champion(untrained)["version"] == alias(untrained) == f"{first}"

    put_back(untrained, staged)  # in the real world another one is better
    card = train(untrained, second)
    assert (card["promoted"], card["against"]) == (True, f"{first}")
    assert card["confidence"] >= 0.9
    assert card["skill"] > max(card["skill_champion"], 0)
    assert champion(untrained)["version"] == alias(untrained) == f"{second}"
    assert champion(untrained)["before"] == [f"{first}"]

    make_noise(untrained, third - timedelta(days=13))  # trained on noise, judged on real readings
    card = train(untrained, third)
    assert (card["promoted"], card["against"]) == (False, f"{second}")
    assert card["skill"] < card["skill_champion"]
    assert champion(untrained)["version"] == alias(untrained) == f"{second}"
    assert registered(untrained) == [f"{first}", f"{second}", f"{third}"]

    documents = {d["_id"]: d for d in untrained.database.models.find()}
    assert {v: d["promoted"] for v, d in documents.items()} == {f"{first}": True, f"{second}": True, f"{third}": False}
    assert [v for v, d in documents.items() if d["champion"]] == [f"{second}"]
    assert documents[f"{third}"]["skill"] == card["skill"]

    done = untrained.script("models", "rollback")
    assert done.returncode == 0, done.stderr
    assert champion(untrained)["version"] == alias(untrained) == f"{first}"
    assert untrained.database.models.find_one({"champion": True})["_id"] == f"{first}"
    assert not untrained.database.models.find_one({"_id": f"{second}"})["promoted"]
    assert untrained.script("models", "rollback").returncode == 2  # there was none before it


def test_scores_on_the_card_are_of_unseen_hours(deployed: Pipeline) -> None:
    """The stand-in that is judged is the model that was trained on what lay before the hours compared."""
    from airqino.forecasting.model import Recipe, predict
    from airqino.forecasting.model import train as fit
    from airqino.quality.flags import flag_history

    day = MONDAY
    card = json.loads((deployed.root / "models" / f"{day}" / "card.json").read_text())
    start = pd.Timestamp(day - timedelta(days=12), tz="UTC")  # 49 days staged: a quarter of them
    tables = [pd.read_parquet(deployed.root / f"{d}" / "hourly.parquet") for d in DAYS if d < day]
    readings = pd.concat(tables, ignore_index=True)
    model = fit(readings, start, horizons=(1, 2), seed=20240909, recipe=Recipe.of_rounds(30))
    bare = readings.drop(columns=[name for name in readings if name.endswith(("_flag", "_tests"))])
    hours = list(pd.date_range(start - pd.Timedelta(hours=1), pd.Timestamp(day, tz="UTC"), freq="h", inclusive="left"))
    forecasts = predict(model, flag_history(bare, causal=True), hours, horizons=(1, 2))
    known = readings.set_index(["station", "observed_at"])
    errors: dict[tuple[Any, ...], list[tuple[float, float]]] = {}
    for row in forecasts.itertuples():
        at = (row.station, row.target_at)
        if at not in known.index or known.loc[at, f"{row.pollutant}_flag"] not in USABLE_FLAGS or np.isnan(row.p50):
            continue
        target = known.loc[at, row.pollutant]
        made = errors.setdefault((row.station, row.pollutant, row.horizon_h), [])
        made.append((abs(row.p50 - target), abs(row.last_value - target)))
    assert len(card["scores"]) == len(errors) >= 4
    for score in card["scores"]:
        mine = np.mean(errors[score["station"], score["pollutant"], score["horizon_h"]], axis=0)
        assert score["mae"] == pytest.approx(mine[0])
        assert score["mae_persistence"] == pytest.approx(mine[1])
        assert score["n"] == len(errors[score["station"], score["pollutant"], score["horizon_h"]])


@pytest.mark.drill
def test_registry_server_gone(untrained: Pipeline) -> None:
    env = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    done = untrained.hourly(**env)
    assert done.returncode == 0, done.stderr
    (warning,) = warnings(done)
    assert "model registry" in warning
    assert champion(untrained)["version"] == f"{MONDAY}"
    assert "lightgbm" in set(published(untrained, "2026-03-03T23")["method"])
    assert warnings(untrained.hourly(**env)) == []  # nothing to train: nobody asks it


@pytest.mark.drill
def test_registry_file_damaged(deployed: Pipeline) -> None:
    path = deployed.root / "mlflow" / "mlflow.db"
    path.write_bytes(b"no database" * 1000)
    card = train(deployed, MONDAY + timedelta(days=1))
    assert card["against"] == f"{MONDAY}"
    assert registered(deployed) == [f"{MONDAY + timedelta(days=1)}"]
    (kept,) = (deployed.root / "quarantine" / "mlflow").iterdir()
    assert kept.read_bytes() == b"no database" * 1000


def files_of(deployed: Pipeline, version: str = "2026-03-02") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (deployed.root / "models" / version).iterdir()}


def test_a_damaged_model_comes_back_from_the_registry(deployed: Pipeline) -> None:
    file, before = next((deployed.root / "models" / "2026-03-02").glob("*.txt.gz")), files_of(deployed)
    file.write_bytes(before[file.name][:1000])
    done = deployed.hourly()
    assert done.returncode == 0, done.stderr
    damaged, restored = warnings(done)
    assert f"{file.name} is damaged: it is kept as" in damaged
    assert "restored from the registry" in restored
    assert set(published(deployed, "2026-03-03T23")["model_version"]) == {"2026-03-02"}
    assert files_of(deployed) == before
    (kept,) = (deployed.root / "quarantine" / "models").glob("2026-03-02.*")
    assert (kept / file.name).read_bytes() == before[file.name][:1000]
    assert "a damaged file was set aside" in deployed.script("alerts", "list").stdout


@pytest.mark.drill
def test_a_damaged_model_without_a_registry_is_trained_again(deployed: Pipeline) -> None:
    file, before = next((deployed.root / "models" / "2026-03-02").glob("*.txt.gz")), files_of(deployed)
    file.write_bytes(before[file.name][:1000])
    shutil.rmtree(deployed.root / "mlflow")
    done = deployed.hourly()
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert champion(deployed)["version"] == "2026-03-02"
    assert set(published(deployed, "2026-03-03T23")["model_version"]) == {"2026-03-02"}
    after = files_of(deployed)
    assert {n: c for n, c in after.items() if n != "card.json"} == {n: c for n, c in before.items() if n != "card.json"}
    assert warnings(deployed.hourly()) == []


@pytest.mark.drill
def test_a_model_that_is_whole_but_none_gives_persistence_with_the_reason(deployed: Pipeline) -> None:
    folder = deployed.root / "models" / "2026-03-02"
    made = ModelCard(format=FORMAT, trained=True, trained_for="2026-03-02", promoted=True)
    models.save(folder, {"model.json": b"{}"}, made)
    models.write_champion(folder.parent / "champion.json", Champion("2026-03-02", "2026-03-02T00:05:00+00:00"))
    done = deployed.hourly()
    assert done.returncode == 0, done.stderr
    forecast = published(deployed, "2026-03-03T23")
    possible = forecast[forecast["method"] != "none"]
    assert set(possible["method"]) == {"persistence"}
    assert set(possible["reason"]) == {"model 2026-03-02 cannot be used"}
    assert (possible["p50"] == possible["last_value"]).all()


@pytest.mark.drill
def test_a_model_of_an_older_version_gives_persistence_until_the_run_has_trained_another(
    deployed: Pipeline, api: Sandbox, tmp_path: Path
) -> None:
    """With all horizons that there are, from the setting to the documents."""
    deployed.configure(tmp_path / "luigi.cfg", horizons=", ".join(map(str, HORIZONS)), rounds=20)
    folder = deployed.root / "models" / "2026-03-02"
    content = json.dumps({"format": FORMAT - 1}).encode()
    models.save(folder, {"model.json": content, "co-1-0.txt": b"tree"}, models.card(folder))
    about = json.loads((folder / "card.json").read_text())
    about = {name: fact for name, fact in about.items() if name not in ("format", "checksum")}
    (folder / "card.json").write_text(json.dumps(about))
    done = deployed.hourly()
    assert done.returncode == 0, done.stderr
    told = "model 2026-03-02 was trained by an older version of the pipeline"
    assert any(f"{told}: persistence is published" in warning for warning in warnings(done))
    rows = list(deployed.database.forecasts.find({"issued_at": datetime(2026, 3, 3, 23, tzinfo=UTC)}))
    assert len(rows) == 2 * len(FORECAST) * len(HORIZONS)
    assert {row["method"] for row in rows} <= {"persistence", "none"}
    assert {row["reason"] for row in rows if row["method"] == "persistence"} == {told}
    assert {row["model_version"] for row in rows} == {""}

    api.now = MOMENT + timedelta(hours=1)
    done = deployed.hourly("2026-03-04T01:05")
    api.now = MOMENT
    assert done.returncode == 0, done.stderr
    assert "persistence is published" not in done.stderr
    rows = list(deployed.database.forecasts.find({"issued_at": datetime(2026, 3, 4, 0, tzinfo=UTC)}))
    assert {row["model_version"] for row in rows} == {"2026-03-03"}
    keys = {(row["station"], row["pollutant"], row["horizon_h"]) for row in rows}
    assert len(rows) == len(keys) == 2 * len(FORECAST) * len(HORIZONS)
    assert {horizon for _, _, horizon in keys} == {*HORIZONS}
    files = models.load(deployed.root / "models" / "2026-03-03")
    validated = {(s["station"], s["pollutant"], s["horizon_h"]): s for s in json.loads(files["model.json"])["scores"]}
    for row in rows:
        assert row["target_at"] - row["issued_at"] == timedelta(hours=row["horizon_h"])
        if not row["reason"].startswith(("sensor", "no reading")):
            age = (row["issued_at"] - row["last_observed_at"]) // timedelta(hours=1)
            near = "persistence" if row["horizon_h"] <= CORE_HOURS else "none"
            score = validated[row["station"], row["pollutant"], row["horizon_h"] + age]
            assert row["method"] == ("lightgbm" if score["beats"] else near), row
            assert bool(row["reason"]) == (row["method"] != "lightgbm" or score["n"] <= 8 * 24), row
        assert (row["p50"] is None) == (row["method"] == "none") == (row["p10"] is None)
    assert max(row["horizon_h"] for row in rows if row["method"] == "lightgbm") > CORE_HOURS
    assert sorted(registered(deployed)) == ["2026-03-02", "2026-03-03"]
    assert champion(deployed)["version"] == alias(deployed) == "2026-03-03"


@pytest.mark.drill
def test_a_horizon_that_was_added_is_forecast_from_the_next_hour_on(
    deployed: Pipeline, api: Sandbox, tmp_path: Path
) -> None:
    deployed.configure(tmp_path / "luigi.cfg", horizons="1, 2, 6", rounds=30)
    told = []
    for hour, now in ((23, NOW), (0, "2026-03-04T01:05")):
        api.now = datetime.fromisoformat(f"{now}+00:00")
        done = deployed.hourly(now)
        assert done.returncode == 0, done.stderr
        at = datetime(2026, 3, 3 if hour else 4, hour, tzinfo=UTC)
        rows = list(deployed.database.forecasts.find({"issued_at": at, "pollutant": "pm2_5"}))
        told.append({(row["horizon_h"], row["method"], row["model_version"]) for row in rows})
    api.now = MOMENT
    assert told[0] == {(1, "lightgbm", "2026-03-02"), (2, "lightgbm", "2026-03-02"), (6, "none", "2026-03-02")}
    assert told[1] == {(hours, "lightgbm", "2026-03-03") for hours in (1, 2, 6)}


@pytest.mark.parametrize("damage", [b"{", None])
def test_champion_file_lost(deployed: Pipeline, damage: bytes | None) -> None:
    path, before = deployed.root / "models" / "champion.json", champion(deployed)
    path.unlink()
    if damage is not None:
        path.write_bytes(damage)
    done = deployed.hourly()
    assert done.returncode == 0, done.stderr
    assert set(published(deployed, "2026-03-03T23")["model_version"]) == {"2026-03-02"}
    assert champion(deployed) == before | {"alias": ""}
    assert warnings(deployed.hourly()) == []


@pytest.mark.drill
def test_a_champion_lost_for_good_makes_room_for_the_one_before(deployed: Pipeline) -> None:
    train(deployed, date(2026, 2, 16))
    for version in ("2026-02-16", "2026-03-02"):
        assert deployed.script("models", "promote", version).returncode == 0
    shutil.rmtree(deployed.root / "mlflow")
    (deployed.root / "models" / "2026-03-02" / "card.json").write_bytes(b"")
    done = deployed.script("models", "list")
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    done = deployed.hourly()
    assert done.returncode == 0, done.stderr
    assert champion(deployed)["version"] in ("2026-02-16", "2026-03-02")  # the second where it wins once more
    assert set(published(deployed, "2026-03-03T23")["model_version"]) == {champion(deployed)["version"]}
    assert (deployed.root / "models" / "2026-03-02" / "card.json").stat().st_size > 0


def test_a_champion_that_is_lost_is_a_warning(deployed: Pipeline) -> None:
    shutil.rmtree(deployed.root / "models" / f"{MONDAY}")
    done = deployed.script("run", "Forecast", "--hour", "2026-03-03T23")
    assert done.returncode == 0, done.stderr
    assert any("persistence is published: no model yet" in warning for warning in warnings(done))


def test_two_hundred_hours_of_history(tmp_path: Path, mongod: Mongod, api: Sandbox) -> None:
    pipeline = Pipeline(tmp_path / "staging", mongod, api.url, AIRQINO_NOW=NOW)
    assert pipeline.backfill("2026-02-23T16", "2026-03-03T23").returncode == 0
    for _ in range(2):
        done = pipeline.hourly()
        assert done.returncode == 0, done.stderr
    shutil.rmtree(pipeline.root / "2026-03-03" / "forecast")
    pipeline.database.loads.delete_one({"_id": "forecast|2026-03-03T23"})
    done = pipeline.hourly()
    assert len(done.stderr.splitlines()) == 1  # nobody can do anything but wait: it is in the log alone
    assert warnings(done) == []
    log = "".join(path.read_text() for path in (pipeline.root / "logs").iterdir())
    assert "persistence is published: no model yet: 8 days staged, 14 needed" in log
    forecast = published(pipeline, "2026-03-03T23")
    possible = forecast[forecast["method"] != "none"]
    assert len(possible) > 0
    assert set(possible["method"]) == {"persistence"}
    assert set(possible["reason"]) == {"no model yet: 8 days staged, 14 needed"}
    pipeline.close()


def test_failing_training_does_not_stop_forecasts(untrained: Pipeline) -> None:
    (untrained.root / "models").write_text("in the way")
    done = untrained.hourly()
    assert done.returncode == 30
    assert "TrainModel" in done.stderr
    assert len(published(untrained, "2026-03-03T23")) == 8
    assert untrained.database.loads.find_one({"_id": "score|2026-03-03"})


def test_a_dask_cluster_trains_the_same_model_and_one_that_is_away_stops_no_forecast(
    untrained: Pipeline, trained: Pipeline, tmp_path: Path
) -> None:
    with cluster(tmp_path) as dask:
        untrained.env["DASK_SCHEDULER_ADDRESS"] = dask.address
        train(untrained, MONDAY)
        assert dask.steps() > 0
    files = [path.relative_to(trained.root) for path in (trained.root / "models" / f"{MONDAY}").glob("*")]
    same = [path for path in files if path.name != "card.json"]  # which says when it was trained
    assert same
    assert all((untrained.root / path).read_bytes() == (trained.root / path).read_bytes() for path in same)
    shutil.rmtree(untrained.root / "models")
    shutil.rmtree(untrained.root / "mlflow")
    done = untrained.hourly()
    assert done.returncode == 30
    assert f"the Dask scheduler {dask.address} ([compute] scheduler) does not answer" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(published(untrained, "2026-03-03T23")) > 0


def test_persistence_in_place_of_a_champion_that_drifted(deployed: Pipeline) -> None:
    path = deployed.root / "models" / "champion.json"
    path.write_text(json.dumps(champion(deployed) | {"aside": [["283164601", "pm2_5"]]}))
    assert deployed.hourly().returncode == 0
    forecast = published(deployed, "2026-03-03T23")
    aside = (forecast["station"] == "283164601") & (forecast["pollutant"] == "pm2_5")
    assert set(forecast[aside]["method"]) == {"persistence"}
    assert set(forecast[aside]["reason"]) == {"model has drifted here, and no better one was found"}
    assert "lightgbm" in set(forecast[~aside]["method"])


@pytest.mark.drill
def test_alias_moved_in_the_registry_is_followed(deployed: Pipeline) -> None:
    first, second = date(2026, 2, 9), MONDAY
    train(deployed, first)
    assert alias(deployed) == f"{second}"
    client = MlflowClient(f"sqlite:///{deployed.root}/mlflow/mlflow.db")
    numbers = {v.tags["version"]: v.version for v in client.search_model_versions("name='airqino-forecast'")}
    client.set_registered_model_alias("airqino-forecast", "champion", numbers[f"{first}"])
    shutil.rmtree(deployed.root / "models" / f"{first}")  # it comes back from the registry
    card = train(deployed, second + timedelta(days=1))
    assert card["against"] == f"{first}"
    assert (deployed.root / "models" / f"{first}" / "model.json").exists()


def test_without_mlflow_models_are_kept_in_the_staging_root_alone(untrained: Pipeline) -> None:
    """As in a lean installation: no registry, no warning, and the next commands find the champion."""
    lean = "import runpy, sys; sys.modules['mlflow'] = None; runpy.run_module(sys.argv.pop(1), run_name='__main__')"

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", lean, *command],
            env=untrained.env,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=240,
        )

    done = run("luigi", "--module", "tasks", "TrainModel", "--day", "2026-03-02", "--local-scheduler")
    assert done.returncode == 0, done.stderr
    assert warnings(done) == []
    assert champion(untrained)["version"] == "2026-03-02"
    assert not (untrained.root / "mlflow").exists()
    done = run("tasks.cli", "models", "promote", "2026-02-23")
    assert (done.returncode, "there is no model registry (scripts/install registry" in done.stderr) == (2, True)
    done = run("tasks.cli", "doctor")
    assert "none: models are kept in the staging root alone" in " ".join(done.stdout.split())
    untrained.env["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"  # one that is named must be reached
    done = run("tasks.cli", "doctor")
    assert "http://127.0.0.1:9 cannot be used: MLflow is not installed" in " ".join(done.stdout.split())
