"""The bundles go in again without doubles, take the version before over, and tell what was changed since."""

import io
import json
import re
import subprocess
import zipfile
from pathlib import Path

import colours
import generate
import pytest
import yaml
from texts import MissingTextError, Texts, read_source, uuid

from tests.superset.conftest import DASHBOARDS, PASSWORD, ROOT, Site, api_session, charts_of

pytestmark = pytest.mark.superset

#: The bundle of version 0.6.0, as its repository held it.
BEFORE = Path(__file__).parent / "bundle-0.6.0.zip"
KINDS = {"dashboard": "dashboard_title", "chart": "slice_name", "dataset": "table_name", "database": "database_name"}


def _objects(site: Site) -> dict[str, dict[str, str]]:
    """Every object in Superset: by its kind the name of each UUID."""
    api = api_session(site, "admin")
    found = {}
    for kind, name in KINDS.items():
        answer = api.get(f"{site.url}/api/v1/{kind}/", params={"q": "(page_size:500)"}).json()
        assert answer["count"] == len(answer["result"]) == len({row["uuid"] for row in answer["result"]})
        found[kind] = {row["uuid"]: row[name] for row in answer["result"]}
    return found


def _bundled() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
    for language in generate.LANGUAGES:
        for path, document in generate.bundle(language).items():
            kind = path.partition("/")[0].removesuffix("s")
            if kind in KINDS:
                found[kind][document["uuid"]] = document[KINDS[kind]]
    return found


def test_importing_again_makes_nothing_new(site: Site) -> None:
    assert _objects(site) == _bundled()
    site.superset("import")
    site.superset("import")
    assert _objects(site) == _bundled()


def test_an_export_tells_what_was_changed_and_an_import_takes_it_back(site: Site) -> None:
    assert site.superset("export").strip() == "no change"
    api = api_session(site, "admin")
    wanted = uuid("chart", "calendar_o3", "fr")
    charts = api.get(f"{site.url}/api/v1/chart/", params={"q": "(page_size:500)"}).json()["result"]
    (chart,) = (row for row in charts if row["uuid"] == wanted)
    title = {"slice_name": "Ozone"}
    assert api.put(f"{site.url}/api/v1/chart/{chart['id']}", json=title).status_code == 200
    assert site.superset("export").splitlines() == [
        'charts/calendar_o3_fr.yaml: slice_name: "O3 : calendrier" → "Ozone"'
    ]
    site.superset("import")
    assert site.superset("export").strip() == "no change"


def test_what_the_version_before_brought_is_taken_over(site: Site) -> None:
    """Its bundle goes in beside a dashboard of somebody's own; then ours: no doubles, no orphans, nothing lost."""
    api = api_session(site, "admin")
    passwords = {"databases/MongoDB.yaml": PASSWORD}
    answer = api.post(
        f"{site.url}/api/v1/assets/import/",
        files={"bundle": ("bundle.zip", io.BytesIO(BEFORE.read_bytes()))},
        data={"passwords": json.dumps(passwords), "overwrite": "true"},
    )
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(BEFORE) as archive:
        documents = [yaml.safe_load(archive.read(name)) for name in archive.namelist() if name.endswith(".yaml")]
    old = {document["uuid"] for document in documents if "slice_name" in document or "sql" in document}
    assert old <= {one for kind in ("chart", "dataset") for one in _objects(site)[kind]}
    gone = {one for some in read_source()["uuids"]["gone"].values() for one in some}
    ours = {one for objects in _bundled().values() for one in objects}
    assert old - ours == gone, "each object of the version before is taken over or goes"
    site.superset("import")
    assert _objects(site) == _bundled()
    assert site.superset("export").strip() == "no change"


def test_the_dashboards_are_those_of_both_languages() -> None:
    slugs = {}
    for language in generate.LANGUAGES:
        for document in generate.bundle(language).values():
            if "slug" in document:
                slugs[document["slug"]] = language
    assert slugs == DASHBOARDS
    names = [sorted(charts_of(slug).values()) for slug in DASHBOARDS]
    assert (names[0], names[1]) == (names[2], names[3]), "the same charts in both"


def test_the_glossary_has_each_text_and_no_other() -> None:
    glossary = read_source()["glossary"]
    used: set[str] = set()
    collected = Texts.__call__
    try:
        Texts.__call__ = lambda self, text: (used.add(" ".join(text.split())), collected(self, text))[1]  # type: ignore[method-assign]
        generate.bundle("fr", ["SMART188"])
    finally:
        Texts.__call__ = collected  # type: ignore[method-assign]
    assert set(glossary) - used == set(), "texts that nothing says any more"


def test_a_text_without_a_translation_is_named() -> None:
    texts = Texts("fr", {"good": "bon"})
    assert texts("good") == "bon"
    assert texts.sql("CASE x WHEN 1 THEN _('good') ELSE _('l''air') END, LANG") == (
        "CASE x WHEN 1 THEN 'bon' ELSE 'l''air' END, 'fr'"
    )
    with pytest.raises(MissingTextError, match="lacks:\nl'air"):
        texts.check()


def test_gaps_stay_in_their_order() -> None:
    gap = re.compile(r"%[sd]|\{\w+\}")
    for english, french in read_source()["glossary"].items():
        assert sorted(gap.findall(english)) == sorted(gap.findall(french)), english
        percents = [found for found in gap.findall(english) if found.startswith("%")]
        assert percents == [found for found in gap.findall(french) if found.startswith("%")], english


def test_the_bundle_holds_no_secret() -> None:
    for language in generate.LANGUAGES:
        documents = generate.bundle(language)
        assert "@" not in documents["databases/MongoDB.yaml"]["sqlalchemy_uri"]
        assert not any("password" in json.dumps(document).lower() for document in documents.values())


def test_every_chart_says_unit_rule_or_source() -> None:
    for path, document in generate.bundle("en").items():
        if path.startswith("charts/") and not path.startswith(("charts/present", "charts/state")):
            assert len(document["description"]) > 60, path


@pytest.mark.parametrize("count", [7, 24, 200])
def test_each_station_has_a_colour_of_its_own(count: int) -> None:
    texts = Texts("en", {})
    stations = [f"S{number:03}" for number in range(count)]
    found = colours.of_stations(stations, texts)
    assert len({found[station] for station in stations}) == count
    assert all(found[f"{station}__yhat"] == found[station] for station in stations)


def test_a_scale_of_levels_is_flat_and_steps_at_each_border() -> None:
    for scheme in colours.schemes():
        if not scheme["id"].startswith("levels_"):
            continue
        bands = colours._BANDS[scheme["id"].removeprefix("levels_")]
        levels = [*colours.LEVELS.values()]
        # the chart's values are tenths, and its scale ends where the last colour begins
        assert scheme["colors"] == [levels[sum(t > 10 * band for band in bands)] for t in range(10 * bands[-1] + 2)]
        chart = generate.bundle("en")[f"charts/calendar_{scheme['id'].removeprefix('levels_')}_en.yaml"]
        assert chart["params"]["value_bounds"] == [0, bands[-1] + 0.1]
        assert chart["params"]["linear_color_scheme"] == scheme["id"]


def test_usage_is_told() -> None:
    script = Path(ROOT / "scripts/superset")
    told = subprocess.run([script, "--help"], capture_output=True, text=True)
    assert told.returncode == 0
    assert "scripts/superset up" in told.stdout
    wrong = subprocess.run([script, "sideways"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "scripts/superset up" in wrong.stderr
