"""The registry against a real MLflow store."""

import time
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from airqino.errors import RegistryError
from airqino.forecasting import plots
from airqino.stores.registry import MODEL, Record, Registry


def record(version: str, skill: float = 0.1) -> Record:
    return Record(
        version=version,
        params={"fingerprint": "abc", "rows": "10"},
        metrics={"skill": skill, "recent_mae/283181971.pm2_5.1h": 2.5},
        files={"model.json": b"{}", "pm2_5-1-0.txt": b"tree", "card.json": b'{"trained": true}'},
        texts={"features.json": "[]"},
        figures={"feature_importance_pm2_5.png": plots.importance("pm2_5", {f"lag {i}": i / 1000 for i in range(45)})},
    )


def versions(registry: Registry) -> list[str]:
    """The versions that MLflow itself knows."""
    client = MlflowClient(tracking_uri=registry.uri, registry_uri=registry.uri)
    return sorted({found.tags["version"] for found in client.search_model_versions(f"name = '{MODEL}'")})


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(f"sqlite:///{tmp_path}/mlflow/mlflow.db")


def test_record_promote_and_read_back(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert registry.alias_version() is None
    assert versions(registry) == []
    for version in ("2024-09-02", "2024-09-09"):
        registry.record(record(version))
    assert versions(registry) == ["2024-09-02", "2024-09-09"]
    registry.move_alias("2024-09-09")
    registry.move_alias("2024-09-02")
    assert registry.alias_version() == "2024-09-02"
    assert registry.files("2024-09-09") == record("2024-09-09").files

    client = MlflowClient(registry.uri)
    run = client.get_run(client.get_model_version_by_alias("airqino-forecast", "champion").run_id)
    assert run.data.metrics == {"skill": 0.1, "recent_mae/283181971.pm2_5.1h": 2.5}
    assert run.data.params == {"fingerprint": "abc", "rows": "10"}
    assert run.info.status == "FINISHED"
    names = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert names == {"features.json", "feature_importance_pm2_5.png", "model"}
    # everything lies under the store's own folder, nothing in the folder the command was started in
    assert {path.name for path in tmp_path.iterdir()} == {"mlflow"}


def test_trained_twice_the_newest_counts(registry: Registry) -> None:
    registry.record(record("2024-09-09"))
    newer = record("2024-09-09")
    registry.record(Record(newer.version, newer.params, newer.metrics, {"model.json": b"newer"}))
    assert registry.files("2024-09-09") == {"model.json": b"newer"}
    assert versions(registry) == ["2024-09-09"]


def test_unknown_version(registry: Registry) -> None:
    with pytest.raises(RegistryError, match="does not know version 2024-01-01"):
        registry.move_alias("2024-01-01")


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "http://user:secret@127.0.0.1:9"])
def test_no_server_fails_soon_and_shows_no_password(uri: str) -> None:
    began = time.monotonic()
    with pytest.raises(RegistryError, match=r"http://127\.0\.0\.1:9 cannot be used") as caught:
        Registry(uri).alias_version()
    assert "secret" not in str(caught.value)
    assert time.monotonic() - began < 5


def test_broken_file_fails_soon(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"not a database" * 1000)
    began = time.monotonic()
    with pytest.raises(RegistryError, match="not a database"):
        Registry(f"sqlite:///{tmp_path}/mlflow.db").alias_version()
    assert time.monotonic() - began < 5


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RegistryError, match="cannot be used"):
        Registry(f"sqlite:///{tmp_path}/file/mlflow.db").alias_version()
