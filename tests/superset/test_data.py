"""Every chart's data, as Superset's API gives them, against pandas over the sandbox's raw answers."""

import json
import math
from itertools import pairwise
from typing import Any

import pytest
import requests

from tests.superset.conftest import DASHBOARDS, ROOT, Site, charts_of
from tests.superset.expected import AGES, EXPECTED
from tests.superset.raw import Data
from tests.superset.tables import Ordered, Table

pytestmark = pytest.mark.superset

Questions = dict[tuple[str, str], dict[str, Any]]
#: Columns by which rows are told apart, beside those of texts.
_TIMES = {"day", "observed_at", "seen_at", "calendar_month"}


@pytest.fixture(scope="module")
def data(site: Site) -> Data:
    return site.data()


def ask(site: Site, api: requests.Session, question: dict[str, Any]) -> list[Table]:
    """Ask Superset for a chart's data, past its cache."""
    answer = api.post(f"{site.url}/api/v1/chart/data", json={**question, "force": True})
    assert answer.status_code == 200, answer.text
    return [result["data"] for result in answer.json()["result"]]


def test_every_chart_is_compared(questions: Questions) -> None:
    languages = {*DASHBOARDS.values()}
    assert set(questions) == {(lang, chart) for lang in languages for chart in EXPECTED}
    assert len(questions) == sum(len(charts_of(slug)) for slug in DASHBOARDS)


@pytest.mark.parametrize("lang", sorted({*DASHBOARDS.values()}))
@pytest.mark.parametrize("chart", EXPECTED)
def test_a_chart_shows_what_follows_from_the_raw_answers(
    chart: str, lang: str, site: Site, data: Data, api: requests.Session, questions: Questions
) -> None:
    results, tables = ask(site, api, questions[lang, chart]), EXPECTED[chart](data, lang)
    assert len(results) == len(tables)
    for result, table in zip(results, tables, strict=True):
        assert table, "nothing to compare with"
        assert_same(result, table)


def assert_same(rows: Table, expected: Table) -> None:
    """Compare the rows, by their order where it is told; numbers to 1e-6, ages to a tenth of an hour.

    Rows that hold nothing but what they are told apart by draw nothing, and are left out.
    """
    columns = set().union(*expected)
    assert {column for row in rows for column in row} - {"rank"} == columns
    texts = {c for c in columns if any(isinstance(row.get(c), str) for row in expected)}
    if isinstance(expected, Ordered):
        assert len(rows) == len(expected)
        for row, wanted in zip(rows, expected, strict=True):
            assert_cells(row, wanted)
        return
    keys = sorted(texts | (columns & _TIMES))
    shown, wanted = (_by_key(table, keys, columns - {*keys}) for table in (rows, expected))
    assert list(shown) == list(wanted)
    for key, row in wanted.items():
        assert_cells(shown[key], row)


def _by_key(table: Table, keys: list[str], others: set[str]) -> dict[tuple[str, ...], dict[str, Any]]:
    kept = [row for row in table if not others or any(not _is_nothing(row.get(column)) for column in others)]
    found = {tuple(f"{row.get(key)}".removesuffix(".0") for key in keys): row for row in kept}
    assert len(found) == len(kept), "no two rows are alike"
    return dict(sorted(found.items()))


def assert_cells(row: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Compare a row; of a text of an age, and of what is rounded, several may be right."""
    for column, value in wanted.items():
        told = row.get(column)
        if isinstance(value, tuple):
            assert any(told == of or (isinstance(of, float) and abs(told - of) < 1e-6) for of in value), (column, row)
        elif isinstance(value, str):
            assert told == value, (column, row)
        elif _is_nothing(value):
            assert _is_nothing(told), (column, row)
        else:
            assert told == pytest.approx(value, rel=0, abs=0.11 if column in AGES else 1e-6), (column, row)


def _is_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


@pytest.mark.parametrize("chart", ["last_48_hours_co", "days_co", "profile_co"])
def test_no_co_is_drawn_at_nothing(chart: str, site: Site, api: requests.Session, questions: Questions) -> None:
    names = {"observed_at", "day", "hour_name", "weekday_name", "rank"}
    told = [
        (column, value)
        for table in ask(site, api, questions["en", chart])
        for row in table
        for column, value in row.items()
        if column not in names and value is not None
    ]
    assert told
    assert [pair for pair in told if pair[1] < 0.005] == []


@pytest.mark.parametrize("chart", ["now", "others_now", "days_and_basis", "guideline_year"])
@pytest.mark.parametrize("lang", sorted({*DASHBOARDS.values()}))
def test_no_co_is_written_as_nothing(
    chart: str, lang: str, site: Site, api: requests.Session, questions: Questions
) -> None:
    (table,) = ask(site, api, questions[lang, chart])
    texts = [f"{value}" for row in table for value in row.values()]
    assert [text for text in texts if "0.00" in text or "0,00" in text] == []


def test_the_last_hours_are_of_every_state(site: Site, api: requests.Session, questions: Questions) -> None:
    (first,), (others,) = (ask(site, api, questions["en", chart]) for chart in ("now", "others_now"))
    told = {row["now"] for row in [*first, *others]}
    assert {"no recent reading", "reading left out", "no reading", "too low to measure"} < told
    assert any(row["level"] == "" for row in first), "a station that is silent has no level"


def test_the_coast_lies_along_the_waters_of_the_operators_map(data: Data) -> None:
    of = json.loads((ROOT / "airqino/publishing/maps/abidjan.geojson").read_text())
    west, south, east, north = of["bbox"]
    waters = [feature for feature in of["features"] if feature["geometry"]["type"] == "MultiPolygon"]
    edges = [
        edge
        for feature in waters
        for polygon in feature["geometry"]["coordinates"]
        for ring in polygon
        for edge in pairwise(ring)
    ]
    (outline,) = data.db["outlines"].find()
    points = [(point["longitude"], point["latitude"]) for point in outline["points"]]
    assert 100 <= len(points) <= 400
    assert len({*points}) == len(points)
    stations = [(station["longitude"], station["latitude"]) for station in data.db["stations"].find()]
    xs, ys = ([place[axis] for place in stations] for axis in (0, 1))
    for x, y in points:
        assert max(west, min(xs) - 0.15) - 1e-5 <= x <= min(east, max(xs) + 0.15) + 1e-5
        assert max(south, min(ys) - 0.15) - 1e-5 <= y <= min(north, max(ys) + 0.15) + 1e-5
        assert min(_away(x, y, *edge) for edge in edges) < 2e-5
        assert not {x, y} & {west, south, east, north}, "where the map was cut there is no coast"


def _away(x: float, y: float, one: list[float], other: list[float]) -> float:
    """Degrees between a point and the line between two others."""
    (ax, ay), (bx, by) = one, other
    length = (bx - ax) ** 2 + (by - ay) ** 2
    share = min(1.0, max(0.0, ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length)) if length else 0.0
    return math.hypot(x - ax - share * (bx - ax), y - ay - share * (by - ay))
