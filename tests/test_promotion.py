"""What the registry and the champion's file name is checked before it becomes a path: a version is a day."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from support.inprocess import configured

from airqino.errors import RegistryError
from airqino.stores import models
from airqino.stores.models import ModelCard
from airqino.stores.registry import ALIAS, MODEL, Record, Registry
from tasks import promotion

#: It leads from ``models/`` out of the staging root.
OUTSIDE = "../../victim"
DAY = "2024-09-09"


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A staging root with a folder beside it that is nobody's business."""
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "precious").write_text("kept")
    (tmp_path / "staging" / "models").mkdir(parents=True)
    with configured(tmp_path, {"staging": {"root": f"{tmp_path / 'staging'}"}}):
        yield tmp_path / "staging"


def seen(root: Path) -> dict[str, str]:
    """The folder beside the staging root, as it is now."""
    return {path.name: path.read_text() for path in (root.parent / "victim").iterdir()}


def card(version: str, files: dict[str, bytes]) -> bytes:
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    about = {"trained": True, "trained_for": version, "format": 2, "sha256": sums, "promoted": True}
    return json.dumps(about).encode()


def registered(root: Path, version: str, files: dict[str, bytes], of: str = "") -> Registry:
    """A registry whose alias is at a version, with these files and a card."""
    store = promotion.registry()
    store.record(Record(version, {}, {}, files | {models.CARD: card(of or version, files)}))
    MlflowClient(store.uri).set_registered_model_alias(MODEL, ALIAS, "1")
    return store


def test_a_version_that_is_no_day_is_refused_and_nothing_outside_is_touched(root: Path) -> None:
    store = registered(root, OUTSIDE, {"model.json": b"{}"})
    with pytest.raises(RegistryError, match=r"'\.\./\.\./victim' is no model version") as caught:
        promotion.follow_alias(store)
    assert "tag version" in str(caught.value), "it does not say where to look"
    assert seen(root) == {"precious": "kept"}
    assert not list((root / "quarantine").rglob("*")), "what is not ours was moved away"


def test_the_card_of_another_version_is_refused(root: Path) -> None:
    store = registered(root, DAY, {"model.json": b"{}"}, of="2024-09-02")
    with pytest.raises(RegistryError, match=r"2024-09-09.*card.*2024-09-02"):
        promotion.follow_alias(store)
    assert not promotion.folder(DAY).exists()


def test_files_that_are_not_those_of_the_card_are_refused(root: Path) -> None:
    store = promotion.registry()
    about = card(DAY, {"model.json": b"{}"})
    store.record(Record(DAY, {}, {}, {"model.json": b"changed", models.CARD: about}))
    with pytest.raises(RegistryError, match=r"2024-09-09.*model\.json"):
        promotion.fetch(store, DAY)
    assert not promotion.folder(DAY).exists()


def test_a_version_comes_back_from_the_registry(root: Path) -> None:
    store = registered(root, DAY, {"model.json": b"{}"})
    promotion.fetch(store, DAY)
    assert models.load(promotion.folder(DAY)) == {"model.json": b"{}"}


@pytest.mark.parametrize("named", ["version", "before", "alias"])
def test_a_champions_file_that_names_no_day_is_set_aside(root: Path, named: str) -> None:
    models.save(promotion.folder(DAY), {"model.json": b"{}"}, ModelCard(trained=True, trained_for=DAY, promoted=True))
    names = {"version": DAY, "before": [], "alias": "", "promoted_at": "2024-09-09T00:05:00+00:00", "aside": []}
    (root / "models" / "champion.json").write_text(
        json.dumps(names | {named: [OUTSIDE] if named == "before" else OUTSIDE})
    )
    champion = promotion.champion()
    assert champion is not None
    assert (champion.version, champion.predecessors) == (DAY, ()), "the newest that was promoted takes over"
    assert not (root / "models" / "champion.json").exists()
    assert seen(root) == {"precious": "kept"}


def test_a_card_that_names_files_elsewhere_is_damaged(root: Path) -> None:
    content = (root.parent / "victim" / "precious").read_bytes()
    folder = promotion.folder(DAY)
    folder.mkdir()
    (folder / models.CARD).write_bytes(card(DAY, {"../../../victim/precious": content}))
    assert promotion.card(DAY) is None, "what lies outside would be read, and recorded"
    assert not folder.exists()


def test_a_folder_that_is_no_version_is_none(root: Path) -> None:
    for name in ("2024-09-09.bak", "2024", "2024-W37-1"):
        (root / "models" / name).mkdir()
    models.save(promotion.folder(DAY), {"model.json": b"{}"}, ModelCard(trained=True, trained_for=DAY))
    assert models.versions(root / "models") == [DAY]
