"""Living scores: as a naive computation says, made once, made again when something changed, and drift seen once."""

import ast
import json
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from subprocess import run
from typing import Any

import pyarrow as pa
import pytest
from support.deployment import ROOT, Pipeline

from airqino.forecasting.grid import USABLE_FLAGS
from airqino.sandbox.mongod import Mongod
from airqino.sandbox.server import Sandbox
from airqino.stores import parquet

NOW = "2026-03-12T10:05"


@pytest.fixture(scope="module")
def api():
    with Sandbox(now=datetime(2026, 3, 12, 10, 5, tzinfo=UTC)) as server:
        yield server


@pytest.fixture(scope="module")
def forecast(tmp_path_factory: pytest.TempPathFactory, mongod: Mongod, api: Sandbox) -> Iterator[Pipeline]:
    """Five weeks, forecast over the last one, on a Thursday."""
    folder = tmp_path_factory.mktemp("forecast")
    pipeline = Pipeline(folder / "staging", mongod, api.url, AIRQINO_NOW=NOW)
    # a week of five weeks' model may drift by itself: only what the tests do to it is beyond these limits
    pipeline.configure(folder / "luigi.cfg", drift_skill=-1, drift_coverage_low=0.01, drift_coverage_high=1)
    for start, options in (("2026-02-05T00", ()), ("2026-03-04T00", ("--hindcast",))):
        done = pipeline.backfill(start, "2026-03-11T23", *options)
        assert done.returncode == 0, done.stderr
    yield pipeline
    pipeline.close()


@pytest.fixture
def deployed(forecast: Pipeline, tmp_path: Path) -> Iterator[Pipeline]:
    """The same, as a deployment of its own."""
    with forecast.copied(tmp_path / "staging") as pipeline:
        yield pipeline


def naive(pipeline: Pipeline, day: date, window: int) -> dict[tuple[str, str, int], dict[str, Any]]:
    """Scores in plain loops over MongoDB's documents."""
    measured = {d["_id"]: d for d in pipeline.database.hourly_measurements.find()}
    stop = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    rows: dict[tuple[str, str, int], list[tuple[float, ...]]] = {}
    for forecast in pipeline.database.forecasts.find():
        name, target_at = forecast["pollutant"], forecast["target_at"]
        reading = measured.get(f"{forecast['station']}|{target_at:%Y-%m-%dT%H}")
        if forecast["method"] == "none" or not stop - timedelta(days=window) <= target_at < stop or not reading:
            continue
        if reading[name] is None or reading[f"{name}_flag"] not in USABLE_FLAGS:
            continue
        came, p50 = reading[name], forecast["p50"]
        inside = forecast["p10"] <= came <= forecast["p90"]
        key = (forecast["station"], name, forecast["horizon_h"])
        rows.setdefault(key, []).append((abs(p50 - came), p50 - came, inside, abs(forecast["last_value"] - came)))
    out = {}
    for key, errors in rows.items():
        mae, bias, covered, persistence = (sum(column) / len(errors) for column in zip(*errors, strict=True))
        out[key] = {"n": len(errors), "mae": mae, "bias": bias, "coverage80": covered}
        out[key] |= {"mae_persistence": persistence, "skill": 1 - mae / persistence if persistence else None}
    return out


def files(pipeline: Pipeline) -> dict[str, tuple[int, int]]:
    paths = [p for p in pipeline.root.rglob("*") if p.is_file() and p.suffix in (".parquet", ".json", ".db")]
    for name in ("last_success.json", "runs.parquet"):  # say when the last run was
        paths.remove(pipeline.root / name)
    return {str(p): (p.stat().st_ino, p.stat().st_mtime_ns) for p in paths}


def database(pipeline: Pipeline) -> dict[str, list[Any]]:
    """What is stored. Views are left out: the ages that they show grow with the clock."""
    stored = pipeline.database.list_collection_names(filter={"type": "collection"})
    return {name: list(pipeline.database[name].find()) for name in stored if not name.startswith("system.")}


@pytest.mark.drill
def test_scores_equal_a_naive_computation_and_are_made_once(deployed: Pipeline) -> None:
    done = deployed.hourly()
    assert done.returncode == 0, done.stderr
    for day in (date(2026, 3, 11), date(2026, 3, 12)):
        for window in (1, 7, 30):
            expected = naive(deployed, day, window)
            assert len(expected) >= 6 or (window == 1 and expected)
            for (station, pollutant, horizon), scores in expected.items():
                key = f"{station}|{pollutant}|{horizon}|{day}|{window}"
                document = deployed.database.forecast_scores.find_one({"_id": key})
                assert {name: document[name] for name in scores} == pytest.approx(scores), key
    before = files(deployed), database(deployed)
    assert deployed.hourly().returncode == 0
    assert (files(deployed), database(deployed)) == before

    # a forecast file that appears, and a reading that changes, are noticed
    file = deployed.root / "2026-03-08" / "forecast" / "05.parquet"
    file.rename(file.with_suffix(".away"))
    key = "283164601|pm2_5|1|2026-03-11|7"
    old = deployed.database.forecast_scores.find_one({"_id": key})
    assert deployed.luigi("ScoreForecasts", "--day", "2026-03-11").returncode == 0
    assert deployed.database.forecast_scores.find_one({"_id": key})["n"] == old["n"] - 1
    file.with_suffix(".away").rename(file)
    assert deployed.luigi("ScoreForecasts", "--day", "2026-03-11").returncode == 0
    assert deployed.database.forecast_scores.find_one({"_id": key}) == old


_WATCH = """
import sys, luigi, tasks
from luigi.retcodes import run_with_retcodes
@luigi.Task.event_handler("airqino.drift")
def seen(task, pairs):
    print("EVENT", task.day, pairs, flush=True)
run_with_retcodes(["--module", "tasks", "Hourly", "--local-scheduler"])
"""


def watched_hourly(pipeline: Pipeline, now: str):
    command = [sys.executable, "-c", _WATCH]
    env = pipeline.env | {"AIRQINO_NOW": now}
    return run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=200)


@pytest.mark.drill
def test_drift_trains_and_tells_once(deployed: Pipeline, api: Sandbox) -> None:
    for path in sorted((deployed.root / "2026-03-11" / "forecast").glob("*.parquet")):
        table = parquet.read(path)
        frame = table.to_pandas()
        frame.loc[frame["pollutant"] == "pm2_5", "p50"] += 300.0  # a model gone mad
        bad = pa.Table.from_pandas(frame, table.schema.remove_metadata(), preserve_index=False)
        parquet.write(path, bad, extra={"inputs": parquet.texts_in(parquet.read(path))["inputs"]})
    for path in deployed.root.glob("2026-03-1?/scores.parquet"):
        path.unlink()
    assert not (deployed.root / "models" / "2026-03-11").exists()
    done = watched_hourly(deployed, NOW)
    assert done.returncode == 0, done.stderr
    events = [line for line in done.stdout.splitlines() if line.startswith("EVENT")]
    pairs = [pair for line in events for pair in ast.literal_eval(line.split(" ", 2)[2])]
    assert sorted(pairs) == [("283164601", "pm2_5"), ("283181971", "pm2_5")]
    assert all(line.startswith("EVENT 2026-03-11 ") for line in events)
    assert done.stderr.count("forecasts have drifted") == len(events)
    assert json.loads((deployed.root / "models" / "2026-03-11" / "card.json").read_text())["trained"]
    models = sorted(path.name for path in (deployed.root / "models").glob("2*"))
    for hour in (11, 12):
        api.now = datetime(2026, 3, 12, hour, 5, tzinfo=UTC)
        done = watched_hourly(deployed, f"2026-03-12T{hour}:05")
        assert done.returncode == 0, done.stderr
        assert "EVENT" not in done.stdout
        assert "drifted" not in done.stderr
    assert sorted(path.name for path in (deployed.root / "models").glob("2*")) == models
    drifted = deployed.database.forecast_scores.find_one({"_id": "283164601|pm2_5|1|2026-03-12|7"})
    assert drifted["drift"]
    assert drifted["skill"] < 0
