"""Damaged files: each kind, damaged in each way, is found, kept, told and made again, and stops nothing."""

import json
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.damage import DAMAGES
from support.deployment import Pipeline

from airqino.sandbox.mongod import Mongod
from airqino.sandbox.server import Sandbox

pytestmark = pytest.mark.nightly

NOW = datetime(2026, 4, 20, 1, 5, tzinfo=UTC)
FIRST, STATION = "2026-04-05T00", "283181971"
REVISED = datetime(2026, 4, 18, 8, tzinfo=UTC)
#: A file of each kind, those of days in and before the window that the hourly run looks after; damaged together.
KINDS = {
    "days": {
        "raw": "2026-04-15/raw/10.parquet",
        "old raw": "2026-04-06/raw/07.parquet",
        "hourly": "2026-04-16/hourly.parquet",
        "daily": "2026-04-17/daily.parquet",
        "revisions": "2026-04-18/revisions.parquet",
        "forecast": "2026-04-19/forecast/20.parquet",
        "scores": "2026-04-19/scores.parquet",
        "station": f"stations/{STATION}.parquet",
    },
    "states": {"alerts": "alerts.json", "last success": "last_success.json", "champion": "models/champion.json"},
    "card": {"card": "models/2026-04-20/card.json"},
    "model": {"model": "models/2026-04-20/model.json"},
    "registry": {"registry": "mlflow/mlflow.db", "card": "models/2026-04-20/card.json"},
}
#: Of the models' documents what says when something was done.
_WHEN = ("trained_at", "promoted_at")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, mongod: Mongod) -> Iterator[tuple[Pipeline, Sandbox]]:
    """Two weeks in which the source has revised one hour, a model, and forecasts of the last hours."""
    with Sandbox(now=NOW - timedelta(hours=1)) as sandbox:
        for station in (STATION, "283164601"):
            sandbox.override(station, REVISED, {"CO": 0.4, "PM2.5": 30.0})
            sandbox.override(station, REVISED, {"CO": 0.4, "PM2.5": 44.0}, since=NOW)
        folder = tmp_path_factory.mktemp("damaged")
        pipeline = Pipeline(folder / "staging", mongod, sandbox.url)
        early = f"{NOW - timedelta(hours=1):%Y-%m-%dT%H:%M}"
        done = pipeline.backfill(FIRST, "2026-04-19T22", AIRQINO_NOW=early)
        assert done.returncode == 0, done.stderr
        sandbox.now = NOW
        moment = {"AIRQINO_NOW": f"{NOW:%Y-%m-%dT%H:%M}"}
        assert pipeline.luigi("FetchHour", "--hour", "2026-04-18T08", "--again", **moment).returncode == 0
        assert pipeline.backfill("2026-04-19T18", "2026-04-19T22", "--hindcast", **moment).returncode == 0
        assert pipeline.backfill(FIRST, "2026-04-19T23", **moment).returncode == 0
        assert pipeline.hourly(moment["AIRQINO_NOW"]).returncode == 0  # it is Monday: a model is trained
        assert pipeline.script("models", "promote", "2026-04-20", **moment).returncode == 0
        yield pipeline, sandbox
        pipeline.close()


def state(pipeline: Pipeline) -> dict[str, Any]:
    """Everything that two runs must agree on, forecasts and models included."""
    models = {
        key: {k: v for k, v in document.items() if k not in _WHEN}
        for key, document in pipeline.documents("models").items()
    }
    return pipeline.state() | {
        "models": models,
        "scores": pipeline.documents("forecast_scores"),
        "champion": json.loads((pipeline.root / "models" / "champion.json").read_text())["version"],
        "model files": {
            path.name: path.read_bytes()
            for path in (pipeline.root / "models" / "2026-04-20").iterdir()
            if path.name != "card.json"
        },
    }


def readings(pipeline: Pipeline) -> dict[str, dict[str, Any]]:
    """The numbers in MongoDB without their flags, which depend on the days before: on an hour that is fetched again."""
    documents = pipeline.documents("hourly_measurements") | pipeline.documents("daily_averages")
    return {
        key: {name: value for name, value in document.items() if not re.search("flag|quality|dead|spike", name)}
        for key, document in documents.items()
    }


@pytest.mark.parametrize("kinds", KINDS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_of_each_kind_is_made_again(served: tuple[Pipeline, Sandbox], kinds: str, damage: str) -> None:
    pipeline, sandbox = served
    before, forecasts, numbers = state(pipeline), pipeline.documents("forecasts"), readings(pipeline)
    damaged = {}
    for kind, name in KINDS[kinds].items():
        DAMAGES[damage](pipeline.root / name)
        damaged[kind] = (pipeline.root / name).read_bytes()
    sandbox.now += timedelta(minutes=2)
    now = f"{sandbox.now:%Y-%m-%dT%H:%M}"

    looked = [
        pipeline.script("status", AIRQINO_NOW=now),
        pipeline.script("models", "list", AIRQINO_NOW=now),
        pipeline.script("alerts", "check", AIRQINO_NOW=now),
        pipeline.hourly(now),
    ]
    assert [done.returncode for done in looked[:2]] == [0, 0]
    assert looked[2].returncode in (0, 1), looked[2].stderr
    assert looked[3].returncode == 0, looked[3].stderr
    assert not any("Traceback" in done.stdout + done.stderr for done in looked)
    # no number in MongoDB is a wrong one at any time, and an old hour is there again without a backfill
    assert readings(pipeline) == numbers
    gone = [name for name in KINDS[kinds].values() if not (pipeline.root / name).exists()]
    assert gone == [], looked[3].stderr

    again = pipeline.backfill(AIRQINO_NOW=now)
    assert again.returncode == 0, again.stderr
    after = state(pipeline)
    for name in before:
        assert after[name] == before[name], name
    assert {key: pipeline.documents("forecasts")[key] for key in forecasts} == forecasts

    kept = [path.read_bytes() for path in (pipeline.root / "quarantine").rglob("*") if path.is_file()]
    # a state file of another content, but of its own form, cannot be told from the right one
    own_form = {"alerts", "last success"} if damage in ("bit", "foreign", "other") else {"last success"}
    # the scores of a day without forecasts have no rows that give them away: they are built again all the same
    own_form |= {"scores"} | ({"registry"} if damage in ("empty", "bit") else set())
    for kind in damaged.keys() - own_form:
        assert damaged[kind] in kept, kind
    if damaged.keys() - own_form:
        assert "damaged" in pipeline.script("alerts", "list").stdout
    shutil.rmtree(pipeline.root / "quarantine", ignore_errors=True)
