"""Model files, whatever became of them: the model that was saved, or an error of ours."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import strategies as st
from support.fuzzing import json_values, outcome, spoiled, tried
from support.series import START, cyclic

from airqino.errors import DamagedFileError, StagingError
from airqino.forecasting.model import ForecastModel, Recipe, train
from airqino.stores import models
from airqino.stores.models import Champion, ModelCard

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(3600)]

VERSION = "2026-03-16"
DAYS = 40
TINY = Recipe(rounds=4, medians=1, band_rounds=4, floor_rounds=4, day_rounds=4, validation_days=10)


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    hourly = cyclic(DAYS)
    return train(hourly, START + pd.Timedelta(days=DAYS - 1), recipe=TINY, zones={}).to_files()


def test_a_version_on_disk(tmp_path: Path, files: dict[str, bytes]) -> None:
    """One file of it is spoiled: its checksums tell, and no number of another model is ever used."""
    folder = tmp_path / VERSION
    models.save(folder, files, ModelCard(trained=True, trained_for=VERSION, trained_at="2026-03-16T00:05:00+00:00"))
    saved = {path.name: path.read_bytes() for path in folder.iterdir()}

    def read(given: tuple[str, bytes]) -> None:
        name, content = given
        shutil.rmtree(folder)
        folder.mkdir()
        for other, as_saved in saved.items():
            (folder / other).write_bytes(content if other == name else as_saved)
        loaded, error = outcome(partial(models.load, folder), StagingError)
        if loaded is None:
            assert f"{folder}" in error
            return
        assert models.card(folder) is not None
        assert loaded == {n: c for n, c in saved.items() if n in loaded}
        if name == models.CARD and loaded.keys() == files.keys():
            ForecastModel.from_files(loaded)

    names = st.sampled_from(sorted(saved))
    tried(read, names.flatmap(lambda name: st.tuples(st.just(name), spoiled(saved[name]))))


def test_files_that_bear_no_checksum(files: dict[str, bytes]) -> None:
    """As they come from a registry that somebody wrote to: a model, or a ValueError that says why not."""

    def read(given: dict[str, bytes]) -> None:
        model, error = outcome(partial(ForecastModel.from_files, given), ValueError)
        assert model or error.startswith("not a readable forecast model: ")
        assert not model or ForecastModel.from_files(model.to_files()) == model

    @st.composite
    def changed(draw: st.DrawFn) -> dict[str, bytes]:
        made = dict(files)
        if draw(st.booleans()):
            made["model.json"] = json.dumps(_with_another_value(draw, json.loads(files["model.json"]))).encode()
        for name in draw(st.lists(st.sampled_from(sorted(files)), max_size=2)):
            made[name] = draw(spoiled(made[name]))
        if draw(st.integers(0, 5)) == 0:
            made.pop(draw(st.sampled_from(sorted(files))))
        return made

    tried(read, changed())


def _with_another_value(draw: st.DrawFn, content: Any) -> Any:
    """Replace something in a JSON value, at any depth."""
    if isinstance(content, dict) and content and draw(st.integers(0, 4)):
        name = draw(st.sampled_from(sorted(content)))
        return content | {name: _with_another_value(draw, content[name])}
    if isinstance(content, list) and content and draw(st.integers(0, 4)):
        at = draw(st.integers(0, len(content) - 1))
        return [*content[:at], _with_another_value(draw, content[at]), *content[at + 1 :]]
    return draw(json_values)


def test_cards_and_champions(tmp_path: Path) -> None:
    """State files of any content, with a checksum of their own or without one."""
    path = tmp_path / "champion.json"
    models.write_champion(path, Champion(VERSION, "2026-03-16T00:05:00+00:00", ("2026-03-09",), (("1", "co"),)))
    champion = json.loads(path.read_bytes())
    champion.pop("checksum")
    card = {"trained": True, "trained_for": VERSION, "sha256": {"model.json": "0"}, "scores": [{"n": 1}], "format": 2}

    def read(content: bytes) -> None:
        folder = tmp_path / VERSION
        folder.mkdir(exist_ok=True)
        for file, of in ((path, models.read_champion), (folder / models.CARD, lambda _: models.card(folder))):
            file.write_bytes(content)
            found, error = outcome(partial(of, file), DamagedFileError)
            assert found or f"{file}" in error

    @st.composite
    def contents(draw: st.DrawFn) -> bytes:
        made = json.dumps(_with_another_value(draw, draw(st.sampled_from([champion, card])))).encode()
        return draw(st.one_of(st.just(made), spoiled(made)))

    tried(read, contents())
