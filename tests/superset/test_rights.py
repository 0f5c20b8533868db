"""The viewer looks and nothing else; Superset's MongoDB user reads and nothing else."""

from typing import Any

import pytest
import requests
from playwright.sync_api import Page, expect
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from tests.superset.conftest import DASHBOARDS, Site

pytestmark = pytest.mark.superset

#: What somebody would set in place of the password.
_MINE = "x" * 12


@pytest.mark.parametrize(
    ("method", "path", "content"),
    [
        ("POST", "/api/v1/dashboard/", {"dashboard_title": "mine"}),
        ("PUT", "/api/v1/dashboard/1", {"dashboard_title": "mine"}),
        ("DELETE", "/api/v1/dashboard/1", None),
        ("PUT", "/api/v1/chart/1", {"slice_name": "mine"}),
        ("DELETE", "/api/v1/chart/1", None),
        ("PUT", "/api/v1/dataset/1", {"description": "mine"}),
        ("POST", "/api/v1/database/", {"database_name": "mine", "sqlalchemy_uri": "sqlite://"}),
        ("GET", "/api/v1/database/1/connection", None),
        ("POST", "/api/v1/sqllab/execute/", {"database_id": 1, "sql": "SELECT day FROM daily_averages"}),
        ("GET", "/api/v1/assets/export/", None),
        ("GET", "/api/v1/security/users/", None),
        ("GET", "/api/v1/security/roles/", None),
        # The account is shared: nobody changes it.
        ("PUT", "/api/v1/me/", {"first_name": "mine"}),
        ("PUT", "/api/v1/me/", {"password": _MINE}),
        ("PUT", "/api/v1/security/users/2", {"password": _MINE}),
        ("POST", "/api/v1/chart/", {"slice_name": "mine", "datasource_id": 1, "datasource_type": "table"}),
        ("POST", "/api/v1/dashboard/1/permalink", {}),
        ("POST", "/api/v1/security/guest_token/", {}),
    ],
)
def test_the_viewer_is_refused(api: requests.Session, site: Site, method: str, path: str, content: Any) -> None:
    assert "X-CSRFToken" in api.headers, "else it would be refused for want of the token"
    answer = api.request(method, f"{site.url}{path}", json=content, allow_redirects=False)
    assert answer.status_code in (401, 403, 404), f"{answer.status_code} {answer.text[:200]}"


@pytest.mark.parametrize(
    "path",
    [
        *("/sqllab/", "/users/", "/roles/", "/databaseview/list/", "/chart/add", "/logs/", "/explore/?slice_id=1"),
        *("/resetmypassword/form", "/userinfoeditview/form", "/user_info/"),
    ],
)
def test_the_viewer_sees_no_sql_lab_and_no_admin_page(page: Page, site: Site, path: str) -> None:
    answer = page.goto(f"{site.url}{path}")
    landed = page.url.removeprefix(site.url)
    assert (answer is not None and answer.status in (401, 403, 404)) or not landed.startswith(path)


@pytest.mark.parametrize("path", ["/", "/superset/welcome/"])
def test_one_lands_on_the_dashboard(page: Page, site: Site, path: str) -> None:
    page.goto(f"{site.url}/superset/dashboard/qualite-des-donnees/")
    page.goto(f"{site.url}{path}")
    assert page.url == f"{site.url}/superset/dashboard/qualite-de-l-air/"


def test_the_menu_offers_dashboards_only(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/superset/dashboard/air-quality/")
    menu = page.locator("[role=menu]").first
    expect(menu).to_contain_text("Dashboards")
    assert not {"SQL", "Charts", "Datasets", "+"} & set(menu.inner_text().split())
    page.get_by_role("button", name="Menu actions trigger").click()
    offered = page.locator(".ant-dropdown:visible").inner_text()
    assert "Download" in offered
    assert not [word for word in ("Edit", "Save", "Embed", "email", "properties") if word in offered]


def _languages(page: Page) -> tuple[str, str, str]:
    """Return what tells a page's language: a word of its menu, its months, its decimal sign."""
    page.wait_for_selector('[data-test="actions-trigger"]')
    common = page.evaluate("JSON.parse(document.getElementById('app').dataset.bootstrap).common")
    menu = page.locator("[role=menu]").first.inner_text().split("\n")[0]
    return menu, common["d3_time_format"]["months"][7], common["d3_format"]["decimal"]


def test_a_page_speaks_its_dashboards_language_whatever_was_open_before(page: Page, site: Site) -> None:
    english, french = ("Dashboards", "August", "."), ("Tableaux de bord", "août", ",")
    for slug, language in (*DASHBOARDS.items(), ("air-quality", "en")):
        page.goto(f"{site.url}/superset/dashboard/{slug}/")
        assert _languages(page) == (french if language == "fr" else english), slug
    page.goto(f"{site.url}/lang/fr")
    assert page.url.endswith("/superset/dashboard/qualite-de-l-air/")


def test_without_logging_in_there_is_nothing_to_read(site: Site) -> None:
    for slug in DASHBOARDS:
        answer = requests.get(f"{site.url}/superset/dashboard/{slug}/", allow_redirects=False)
        assert (answer.status_code, "/login/" in answer.headers.get("Location", "")) == (302, True)
    assert requests.get(f"{site.url}/api/v1/dashboard/").status_code == 401


def test_supersets_mongodb_user_cannot_write(site: Site) -> None:
    with MongoClient(site.reader) as client:
        days = client.air_quality.daily_averages
        assert days.count_documents({}) > 100
        for write in (
            lambda: days.insert_one({"_id": "mine"}),
            lambda: days.update_one({}, {"$set": {"co_mean": 1}}),
            lambda: days.delete_one({}),
            lambda: client.air_quality.create_collection("mine"),
            lambda: days.aggregate([{"$limit": 1}, {"$out": "mine"}]),
            days.drop,
        ):
            with pytest.raises(OperationFailure, match="not authorized"):
                write()
