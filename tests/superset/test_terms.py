"""The words and numbers of the dashboards are those of the pipeline and of the public page."""

import tomllib
from typing import Any

import pytest

from airqino import errors
from airqino.readings import INDEX_LEVELS, LABELS, READINGS, UNITS, reading
from airqino.source.raw import NO_ROW
from tests.superset.conftest import ROOT
from tests.superset.tables import glossary

import colours  # isort: skip  # the conftest has put the dashboards' folder on the path
from texts import read_source  # isort: skip

SOURCE: dict[str, Any] = read_source()
GUIDED = [of for of in READINGS if of.guideline is not None]


def _kinds_of(error: type) -> list[type]:
    return [kind for sub in error.__subclasses__() for kind in (sub, *_kinds_of(sub))]


@pytest.mark.parametrize("error", [kind.__name__ for kind in _kinds_of(errors.SourceError)])
def test_every_error_of_the_source_has_a_class_of_reasons(error: str) -> None:
    assert f"LIKE '{error}%'" in " ".join(SOURCE["datasets"]["macros"]["REASON"].split())


def test_a_missing_row_has_one_and_so_has_any_other_reason() -> None:
    macro = " ".join(SOURCE["datasets"]["macros"]["REASON"].split())
    assert f"LIKE '{NO_ROW}%'" in macro
    assert "ELSE _('another reason') END" in macro


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_the_levels_are_called_as_on_the_public_page(lang: str) -> None:
    words = tomllib.loads((ROOT / f"airqino/publishing/words/{lang}.toml").read_text())["levels"]
    assert list(words) == [*INDEX_LEVELS] == [*colours.LEVELS]
    for level, word in words.items():
        assert word == (level if lang == "en" else glossary()[level])
        assert f"_('{level}')" in " ".join(SOURCE["datasets"]["macros"]["LEVEL"].split())


def test_the_bands_of_the_index_are_those_of_the_readings() -> None:
    bands = {name: tuple(of) for name, of in colours._BANDS.items()}
    assert bands == {of.name: of.index_bands for of in READINGS if of.index_bands}
    for name, of in SOURCE["charts"]["pollutants"].items():
        assert ("top" in of) == (name in bands)
        assert name not in bands or 0 <= of["top"] - bands[name][-1] <= 0.2


def test_the_calendars_colours_change_where_the_levels_do() -> None:
    for of in (of for of in READINGS if of.index_bands):
        (scheme,) = (scheme["colors"] for scheme in colours.schemes() if scheme["id"] == f"levels_{of.name}")
        per_unit = (len(scheme) - 1) / SOURCE["charts"]["pollutants"][of.name]["top"]
        assert [scheme[0], scheme[-1]] == [colours.LEVELS["good"], colours.LEVELS["extremely poor"]]
        for number, (end, colour) in enumerate(zip(of.index_bands[:-1], colours.LEVELS.values(), strict=False)):
            assert scheme[round((end - 0.2) * per_unit)] == colour, (of.name, number)
            assert scheme[round((end + 0.2) * per_unit)] == [*colours.LEVELS.values()][number + 1], (of.name, number)


def test_the_guidelines_are_those_of_the_readings() -> None:
    pollutants = SOURCE["charts"]["pollutants"]
    assert {name: of["guideline"] for name, of in pollutants.items()} == {of.name: of.guideline for of in GUIDED}
    annual = {of.name: of.annual_guideline for of in READINGS if of.annual_guideline is not None}
    assert annual == {name: of["annual"] for name, of in pollutants.items() if "annual" in of}
    for name, of in pollutants.items():
        assert (of["label"], of["unit"]) == (LABELS[name], UNITS[name])
        assert of["mean"] == ("highest 8-hour mean" if reading(name).eight_hours else "24-hour mean")
