"""Who has not logged in reads the first dashboard of each language where that is wanted, and nothing else."""

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page

from tests.superset.conftest import HEIGHT, Site, open_dashboard
from tests.superset.test_browser import assert_all_drawn
from tests.superset.texts import english_in, visible_texts

pytestmark = pytest.mark.superset

_HIDDEN = ["data-and-forecast-quality", "qualite-des-donnees"]


@pytest.fixture(scope="module")
def opened(site: Site) -> Iterator[Site]:
    """The site with SUPERSET_ANONYMOUS=1; afterwards it is as before."""
    open_site = replace(site, environment=site.environment | {"SUPERSET_ANONYMOUS": "1"})
    open_site.superset("up")
    yield open_site
    site.superset("up")
    assert requests.get(f"{site.url}/api/v1/dashboard/").status_code == 401, "the rights are taken away"


@pytest.fixture(scope="module")
def question(opened: Site, browser: Browser) -> dict[str, Any]:
    """What the French dashboard asks for its first table, as the browser asks it, without logging in."""
    asked: list[dict[str, Any]] = []
    with browser.new_context(viewport={"width": 1400, "height": HEIGHT}) as context:
        page = context.new_page()
        page.on(
            "request",
            lambda r: asked.append(json.loads(r.post_data)) if "chart/data?" in r.url and r.post_data else None,
        )
        answers = open_dashboard(page, opened, "qualite-de-l-air")
        assert {answer.status for answer in answers.values()} == {200}
    return next(
        each for each in asked if each["form_data"]["viz_type"] == "table" and len(each["queries"][0]["columns"]) > 2
    )


@pytest.mark.parametrize("slug", ["air-quality", "qualite-de-l-air"])
def test_every_chart_is_drawn_in_the_dashboards_language(opened: Site, browser: Browser, slug: str) -> None:
    with browser.new_context(viewport={"width": 1400, "height": HEIGHT}) as context:
        page = context.new_page()
        open_dashboard(page, opened, slug)
        assert_all_drawn(page, slug)
        names = [*opened.data().names.values(), "SMART", "Cocody", "Plateau"]
        assert slug == "air-quality" or english_in(visible_texts(page), names) == []


def _post(site: Site, question: dict[str, Any]) -> requests.Response:
    return requests.post(f"{site.url}/api/v1/chart/data", json=question)


def test_a_charts_own_question_is_answered(opened: Site, question: dict[str, Any]) -> None:
    answer = _post(opened, question)
    assert answer.status_code == 200
    assert answer.json()["result"][0]["rowcount"] > 0


def _expression(sql: str) -> dict[str, str]:
    return {"expressionType": "SQL", "label": "mine", "sqlExpression": sql}


_CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "another dataset": lambda q: q["datasource"].update(id=q["datasource"]["id"] - 1),
    "a subquery": lambda q: q["queries"][0].update(columns=[_expression("(SELECT count(*) FROM notes)")]),
    "an expression": lambda q: q["queries"][0].update(columns=[_expression("upper(station_name)")]),
    "a metric": lambda q: q["queries"][0].update(columns=[], metrics=[_expression("count(*)")]),
    "a condition": lambda q: q["queries"][0]["extras"].update(where="1 IN (SELECT 1 FROM notes)"),
    "a group's condition": lambda q: q["queries"][0]["extras"].update(having="1 = 1"),
    "a filter's expression": lambda q: q["queries"][0]["filters"].append(
        {"col": _expression("1"), "op": "==", "val": 1}
    ),
    "an order": lambda q: q["queries"][0].update(orderby=[["(SELECT 1)", True]]),
    "rows behind the chart": lambda q: q.update(result_type="samples"),
    "drilling": lambda q: q.update(result_type="drill_detail"),
    "the SQL": lambda q: q.update(result_type="query"),
    "another time": lambda q: q["queries"][0].update(time_offsets=["1 year ago"]),
    "rows without end": lambda q: q["queries"][0].update(
        post_processing=[{"operation": "resample", "options": {"rule": "1s", "method": "asfreq"}}]
    ),
    "no chart": lambda q: q["form_data"].pop("slice_id"),
    "no dashboard": lambda q: q["form_data"].pop("dashboardId"),
    "nothing told": lambda q: q.pop("form_data"),
}


@pytest.mark.parametrize("change", _CHANGES)
def test_another_question_is_refused(opened: Site, question: dict[str, Any], change: str) -> None:
    other = copy.deepcopy(question)
    _CHANGES[change](other)
    assert _post(opened, other).status_code == 403


def test_a_filters_value_does_not_become_sql(opened: Site, question: dict[str, Any]) -> None:
    other = copy.deepcopy(question)
    values = ["x') UNION SELECT * FROM notes --", "{{ 7 * 7 }}"]
    other["queries"][0]["filters"].append({"col": "station_name", "op": "IN", "val": values})
    answer = _post(opened, other)
    assert (answer.status_code, answer.json()["result"][0]["rowcount"]) == (200, 0)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *[("GET", f"/api/v1/dashboard/{slug}") for slug in _HIDDEN],
        *[("GET", f"/api/v1/dashboard/{slug}/charts") for slug in _HIDDEN],
        *[("GET", f"/api/v1/dashboard/{slug}/datasets") for slug in _HIDDEN],
        *[("GET", f"/api/v1/{kind}/") for kind in ("chart", "dataset", "database", "log", "security/users")],
        *[("GET", "/api/v1/chart/1/data/"), ("GET", "/api/v1/explore/?slice_id=1"), ("GET", "/api/v1/assets/export/")],
        *[("GET", "/api/v1/datasource/table/1/column/station_name/values/"), ("GET", "/api/v1/dataset/1/drill_info/")],
        *[("POST", "/datasource/samples?datasource_id=1&datasource_type=table"), ("POST", "/api/v1/sqllab/execute/")],
        *[("POST", "/api/v1/dashboard/"), ("PUT", "/api/v1/dashboard/1"), ("DELETE", "/api/v1/dashboard/1")],
    ],
)
def test_nothing_else_is_read_or_written(opened: Site, method: str, path: str) -> None:
    session = requests.Session()
    token = session.get(f"{opened.url}/superset/dashboard/air-quality/").text.partition('id="csrf_token"')[2]
    csrf = token.partition('value="')[2].partition('"')[0]
    session.headers.update({"X-CSRFToken": csrf, "Referer": opened.url})
    answer = session.request(method, f"{opened.url}{path}", json={}, allow_redirects=False)
    assert answer.status_code in (401, 403, 404), f"{answer.status_code} {answer.text[:200]}"


def test_the_viewer_still_sees_all_four(opened: Site, page: Page) -> None:
    for slug in ("air-quality", "qualite-de-l-air", *_HIDDEN):
        assert page.request.get(f"{opened.url}/api/v1/dashboard/{slug}").status == 200
