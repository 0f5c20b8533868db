"""The bundle goes in again and again without doubles, and comes out as it went in."""

import runpy
import sqlite3
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


@pytest.mark.parametrize(
    ("co", "written"),
    [(0.004, "< 0.01"), (-0.004, "< 0.01"), (0.0, "< 0.01"), (0.005, "0.01"), (0.3, "0.30"), (-0.05, "-0.05")],
)
def test_no_co_is_written_as_0_00(co: float, written: str) -> None:
    def shows(dataset: str, column: str, **row: object) -> str:
        columns = yaml.safe_load((BUNDLE / f"datasets/MongoDB/{dataset}.yaml").read_text())["columns"]
        (expression,) = (c["expression"] for c in columns if c["column_name"] == column)
        with sqlite3.connect(":memory:") as database:
            database.execute(f"CREATE TABLE documents ({', '.join(row)})")
            database.execute(f"INSERT INTO documents VALUES ({', '.join('?' * len(row))})", list(row.values()))
            return str(database.execute(f"SELECT {expression} FROM documents").fetchone()[0])

    of_co = {"unit": "mg/m³", "digits": 2, "smallest": 0.01, "pollutant": "CO"}
    assert shows("station_now", "last_hour", **of_co, at_floor=0, concentration=co) == f"{written} mg/m³"
    for ahead in (1, 2):
        amounts = {f"next_{ahead}h_{part}": amount for part, amount in (("p10", co), ("p50", co), ("p90", 0.5))}
        row = of_co | amounts | {f"next_{ahead}h_at": "2100-01-01", "last_at": "2024-01-01", "is_forecast": 1}
        told = f"{written}  ({written} – 0.50)" if co >= 0.005 else "too low for this sensor to measure"
        assert shows("station_now", f"next_{ahead}h", **row) == told
    day = of_co | {"mean": co, "checked_mean": co, "checked_hours": 24}
    bound = f"≤ {written.removeprefix('< ')}"
    for column, below in (("reported", ""), ("vouched", ", 9 h below the sensor’s zero")):
        assert shows("daily_basis", column, **day, floor_hours=0) == f"{bound if '<' in written else written} mg/m³"
        assert shows("daily_basis", column, **day, floor_hours=9) == f"{bound} mg/m³{below}"
    assert shows("station_now", "last_hour", **of_co | {"smallest": None}, at_floor=0, concentration=0) == "0.00 mg/m³"


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
