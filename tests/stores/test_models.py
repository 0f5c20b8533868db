"""Models on disk, and what versions before this one wrote."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from airqino.errors import DamagedFileError, StagingError
from airqino.stores import models
from airqino.stores.models import Champion, ModelCard

#: As it was written before the card had fields of its own.
TRAINED = """{
 "against": "persistence", "compared_days": 12, "compared_rows": 2000, "confidence": 1.0, "days": 50,
 "fingerprint": "abc", "promoted": true, "promoted_at": "2024-09-09T00:05:00+00:00", "reason": "better", "rows": 9000,
 "scores": [{"horizon_h": 1, "mae": 1.5, "pollutant": "co", "skill": null, "station": "1"}],
 "sha256": {}, "skill": 0.1, "skill_champion": null, "trained": true, "trained_at": "2024-09-09T00:05:00+00:00",
 "trained_for": "2024-09-09", "trained_from": "2024-07-21T00:00:00+00:00",
 "trained_until": "2024-09-09T00:00:00+00:00", "note of a later version": {"kept": 1}
}"""
UNTRAINED = (
    '{"days": 7, "reason": "7 days staged, 14 needed", "sha256": {}, "trained": false, "trained_for": "2024-09-02"}'
)
CHAMPION = (
    '{"alias": "2024-09-02", "aside": [["1", "co"]], "before": ["2024-09-02"], '
    '"promoted_at": "2024-09-09T00:05:00+00:00", "version": "2024-09-16"}'
)


def put(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / models.CARD).write_text(text)
    return folder


def test_cards_of_the_version_before(tmp_path: Path) -> None:
    trained = models.card(put(tmp_path / "2024-09-09", TRAINED))
    untrained = models.card(put(tmp_path / "2024-09-02", UNTRAINED))
    assert trained is not None
    assert (trained.trained, trained.days, trained.rows, trained.skill) == (True, 50, 9000, 0.1)
    assert trained.skill_champion is None
    assert trained.scores[0]["mae"] == 1.5
    assert untrained == ModelCard(trained_for="2024-09-02", days=7, reason="7 days staged, 14 needed")


def test_a_change_of_a_card_keeps_what_is_unknown(tmp_path: Path) -> None:
    folder = put(tmp_path / "2024-09-09", TRAINED)
    models.annotate(folder, promoted=False, rolled_back_at="later")
    content = json.loads((folder / models.CARD).read_text())
    checksum = content.pop("checksum")
    assert len(checksum) == 64
    assert content == json.loads(TRAINED) | {"promoted": False, "rolled_back_at": "later"}
    with pytest.raises(StagingError, match="holds no model card"):
        models.annotate(tmp_path / "2", promoted=True)


def test_a_card_there_and_back(tmp_path: Path) -> None:
    folder = tmp_path / "2024-09-09"
    models.save(folder, {"model.json": b"{}"}, models.decode_card(TRAINED.encode()))
    content = json.loads((folder / models.CARD).read_text())
    old = json.loads(TRAINED)
    assert {name: content[name] for name in old if name not in ("note of a later version", "sha256")} == {
        name: old[name] for name in old if name not in ("note of a later version", "sha256")
    }
    assert models.load(folder) == {"model.json": b"{}"}
    for damage, told in ((b"{ }", "is damaged"), (None, "is gone")):
        (folder / "model.json").unlink()
        if damage:
            (folder / "model.json").write_bytes(damage)
        with pytest.raises(DamagedFileError, match=told):
            models.load(folder)


@pytest.mark.parametrize(
    "damage",
    [
        lambda card: b"",
        lambda card: card[:-20],
        lambda card: card.replace(b'"skill": 0.1', b'"skill": 0.5'),
        lambda card: card.replace(b"2024-09-09", b"2024-09-16"),
        lambda card: b'{"a": 1}',
        lambda card: b"\xff\xfe{}",
        None,
    ],
    ids=["empty", "cut", "bit", "another version's", "foreign", "no text", "gone"],
)
def test_a_damaged_card_is_found(tmp_path: Path, damage: Callable[[bytes], bytes] | None) -> None:
    folder = tmp_path / "2024-09-09"
    models.save(folder, {"model.json": b"{}"}, models.decode_card(TRAINED.encode()))
    written = (folder / models.CARD).read_bytes()
    (folder / models.CARD).unlink()
    if damage:
        assert damage(written) != written
        (folder / models.CARD).write_bytes(damage(written))
    for read in (models.card, models.load):
        with pytest.raises(DamagedFileError, match=r"2024-09-09"):
            read(folder)


def test_the_champions_file_keeps_its_keys(tmp_path: Path) -> None:
    (tmp_path / "champion.json").write_text(CHAMPION)
    champion = models.read_champion(tmp_path / "champion.json")
    assert champion == Champion(
        "2024-09-16", "2024-09-09T00:05:00+00:00", ("2024-09-02",), (("1", "co"),), "2024-09-02"
    )
    models.write_champion(tmp_path / "champion.json", champion)
    written = json.loads((tmp_path / "champion.json").read_text())
    assert len(written.pop("checksum")) == 64
    assert written == json.loads(CHAMPION)


@pytest.mark.parametrize(
    ("old", "new"), [("{", "["), ("09-16", "09-23"), ("T00:", "T80:"), ("2024-09-02", "2024-09-03")]
)
def test_a_damaged_file_of_the_champion_is_found(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "champion.json"
    models.write_champion(path, Champion("2024-09-16", "2024-09-09T00:05:00+00:00", ("2024-09-02",)))
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DamagedFileError, match=r"champion\.json cannot be read"):
        models.read_champion(path)
    path.write_text(CHAMPION.replace("T00:", "T80:"))  # one of 0.2, without a checksum
    with pytest.raises(DamagedFileError, match=r"champion\.json cannot be read"):
        models.read_champion(path)
