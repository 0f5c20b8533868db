"""scripts/models as people use it."""

import hashlib
import json
from pathlib import Path

import pytest
from support.deployment import Pipeline
from support.inprocess import configured

from airqino.forecasting.artifact import FORMAT
from airqino.stores import models
from airqino.stores.registry import Record, Registry
from tasks import promotion


def card(version: str, promoted: bool, of: int = FORMAT) -> models.ModelCard:
    scores = [{"station": "283181971", "pollutant": "pm2_5", "horizon_h": 1, "skill": 0.11}]
    known = {"format": of, "trained": True, "trained_for": version, "rows": 1234, "skill": 0.123, "confidence": 0.97}
    return models.ModelCard(**known, reason="better than persistence", scores=scores, promoted=promoted)


@pytest.fixture
def versions(pipeline: Pipeline) -> Path:
    root = pipeline.root / "models"
    for version in ("2024-09-02", "2024-09-09", "2024-09-16"):
        models.save(root / version, {"model.json": b"{}"}, card(version, version < "2024-09-16"))
    untrained = models.ModelCard(trained_for="2024-08-26", reason="10 days staged, 14 needed", days=10)
    models.save(root / "2024-08-26", {}, untrained)
    models.write_champion(
        root / "champion.json", models.Champion("2024-09-09", "2024-09-09T00:05:00+00:00", ("2024-09-02",))
    )
    return root


def test_list(pipeline: Pipeline, versions: Path) -> None:
    done = pipeline.script("models", "list")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "2024-" in line]
    assert [line.split()[1] for line in lines] == ["2024-09-16", "2024-09-09", "2024-09-02", "2024-08-26"]
    assert ["champion" in line for line in lines] == [False, True, False, False]
    assert "0.123" in lines[0]
    assert "10 days staged, 14 needed" in lines[3]
    rows = json.loads(pipeline.script("models", "list", "--json").stdout)
    assert [row["champion"] for row in rows] == [False, True, False, False]


def test_list_without_models(pipeline: Pipeline) -> None:
    done = pipeline.script("models", "list")
    assert done.returncode == 0
    assert "no models" in done.stdout


@pytest.mark.drill
def test_promote_and_roll_back(pipeline: Pipeline, versions: Path) -> None:
    registry = Registry(f"sqlite:///{pipeline.root}/mlflow/mlflow.db")
    for version in ("2024-09-02", "2024-09-09", "2024-09-16"):
        registry.record(Record(version, {}, {}, {"model.json": b"{}", "card.json": b"{}"}))
    done = pipeline.script("models", "promote", "2024-09-16")
    assert done.returncode == 0, done.stderr
    assert "in place of 2024-09-09" in done.stdout
    assert registry.alias_version() == "2024-09-16"
    assert pipeline.database.models.find_one({"champion": True})["_id"] == "2024-09-16"
    for expected in ("2024-09-09", "2024-09-02"):
        done = pipeline.script("models", "rollback")
        assert done.returncode == 0, done.stderr
        assert f"{expected} is published again" in done.stdout
        assert registry.alias_version() == expected
    done = pipeline.script("models", "rollback")
    assert done.returncode == 2
    assert done.stderr.strip().endswith("no model was published before 2024-09-02: there is nothing to go back to")


def test_what_an_older_version_trained_is_listed_and_not_published(pipeline: Pipeline, versions: Path) -> None:
    models.save(versions / "2024-09-02", {"booster.txt": b"tree"}, card("2024-09-02", True, of=FORMAT - 1))
    before = models.read_champion(versions / "champion.json")
    for arguments in (("promote", "2024-09-02"), ("rollback",)):
        done = pipeline.script("models", *arguments)
        told = "error: 2024-09-02 was trained by an older version of the pipeline: this one cannot read it\n"
        assert (done.returncode, done.stdout, done.stderr) == (2, "", told)
        assert models.read_champion(versions / "champion.json") == before
    listed = [row["version"] for row in json.loads(pipeline.script("models", "list", "--json").stdout)]
    assert listed == ["2024-09-16", "2024-09-09", "2024-09-02", "2024-08-26"]


@pytest.mark.drill
def test_roll_back_leaves_out_what_an_older_version_trained(pipeline: Pipeline, versions: Path) -> None:
    models.save(versions / "2024-09-02", {"booster.txt": b"tree"}, card("2024-09-02", True, of=FORMAT - 1))
    assert pipeline.script("models", "promote", "2024-09-16").returncode == 0
    assert pipeline.script("models", "rollback").returncode == 0
    assert models.read_champion(versions / "champion.json").version == "2024-09-09"
    assert pipeline.script("models", "rollback").returncode == 2
    assert models.read_champion(versions / "champion.json").version == "2024-09-09"


def test_the_alias_is_not_followed_to_what_an_older_version_trained(
    tmp_path: Path, pipeline: Pipeline, versions: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sums = {"model.json": hashlib.sha256(b"{}").hexdigest()}
    card = {"trained": True, "trained_for": "2024-08-19", "sha256": sums}
    old = {"model.json": b"{}", "card.json": json.dumps(card).encode()}
    registry = Registry(f"sqlite:///{pipeline.root}/mlflow/mlflow.db")
    registry.record(Record("2024-08-19", {}, {}, old))
    registry.move_alias("2024-08-19")
    before = models.read_champion(versions / "champion.json")
    with configured(tmp_path, {}, STAGING_ROOT=f"{pipeline.root}"):
        promotion.follow_alias(registry)
    assert "2024-08-19, which an older version of the pipeline trained" in caplog.text
    assert models.read_champion(versions / "champion.json") == before


def test_roll_back_without_a_registry_warns(pipeline: Pipeline, versions: Path) -> None:
    done = pipeline.script("models", "rollback", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert done.returncode == 0
    assert "warning: the model registry at http://127.0.0.1:9 cannot be used" in done.stderr
    assert models.read_champion(versions / "champion.json").version == "2024-09-02"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("promote", "2020-01-01"), "there is no version 2020-01-01"),
        (("promote", "2024-08-26"), "there is no trained version 2024-08-26"),
        (("promote", "../../etc"), "is not a version"),
        ((), "required: ACTION"),
    ],
)
def test_mistakes(pipeline: Pipeline, versions: Path, arguments: tuple[str, ...], told: str) -> None:
    done = pipeline.script("models", *arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_help(pipeline: Pipeline) -> None:
    done = pipeline.script("models", "--help")
    assert done.returncode == 0
    assert all(word in done.stdout for word in ("list", "promote", "rollback", "exit codes"))
