"""The bundle goes in again and again without doubles, and comes out as it went in."""

import runpy
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.superset.conftest import ROOT, Site, api_session

pytestmark = pytest.mark.superset

BUNDLE = ROOT / "dashboards/superset/bundle"


def _objects(site: Site) -> dict[str, list[str]]:
    api = api_session(site, "admin")
    kinds = {
        "dashboard": "dashboard_title",
        "chart": "slice_name",
        "dataset": "table_name",
        "database": "database_name",
    }
    found = {}
    for kind, name in kinds.items():
        answer = api.get(f"{site.url}/api/v1/{kind}/", params={"q": "(page_size:100)"}).json()
        found[kind] = sorted(f"{row[name]} {row['id']}" for row in answer["result"])
    return found


def test_importing_again_makes_nothing_new(site: Site) -> None:
    before = _objects(site)
    assert {kind: len(names) for kind, names in before.items()} == {
        kind: len([*(BUNDLE / f"{kind}s").rglob("*.yaml")]) for kind in before
    }
    site.superset("import")
    site.superset("import")
    assert _objects(site) == before


def test_exporting_changes_no_file(site: Site) -> None:
    before = {path: path.read_bytes() for path in BUNDLE.rglob("*.yaml")}
    assert site.superset("export").strip() == "no change"
    assert {path: path.read_bytes() for path in BUNDLE.rglob("*.yaml")} == before


def test_the_bundle_holds_no_secret_and_readable_names() -> None:
    for path in BUNDLE.rglob("*.yaml"):
        assert not any(part.isdigit() and len(part) > 4 for part in path.stem.split("_")), path.name
        assert "password" not in path.read_text().lower()
    uri = yaml.safe_load((BUNDLE / "databases/MongoDB.yaml").read_text())["sqlalchemy_uri"]
    assert "@" not in uri


def test_the_calendar_has_the_colours_of_the_map() -> None:
    scheme = runpy.run_path(str(ROOT / "dashboards/superset/colours.py"))["pm2_5_scheme"]()
    chart = yaml.safe_load((BUNDLE / "charts/calendar_of_daily_pm2_5.yaml").read_text())["params"]
    assert (chart["linear_color_scheme"], chart["value_bounds"]) == (scheme["id"], [0, 75])
    labels = yaml.safe_load((BUNDLE / "dashboards/air_quality.yaml").read_text())["metadata"]["label_colors"]
    *below, _, above = [labels[name] for name in labels if "µg/m³" in name]
    per_unit = (len(scheme["colors"]) - 1) / 75
    assert [scheme["colors"][round(top * per_unit)] for top in (15, 25, 50)] == below
    assert scheme["colors"][-1] == above


def test_every_chart_says_unit_rule_and_source() -> None:
    for path in (BUNDLE / "charts").glob("*.yaml"):
        assert len(yaml.safe_load(path.read_text())["description"]) > 60, path.name


def test_usage_is_told() -> None:
    script = Path(ROOT / "scripts/superset")
    told = subprocess.run([script, "--help"], capture_output=True, text=True)
    assert told.returncode == 0
    assert "scripts/superset up" in told.stdout
    wrong = subprocess.run([script, "sideways"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "scripts/superset up" in wrong.stderr
