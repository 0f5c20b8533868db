"""The viewer looks and nothing else; Superset's MongoDB user reads and nothing else."""

from typing import Any

import pytest
import requests
from playwright.sync_api import Page
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from tests.superset.conftest import Site

pytestmark = pytest.mark.superset


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
    ],
)
def test_the_viewer_is_refused(api: requests.Session, site: Site, method: str, path: str, content: Any) -> None:
    assert "X-CSRFToken" in api.headers, "else it would be refused for want of the token"
    answer = api.request(method, f"{site.url}{path}", json=content, allow_redirects=False)
    assert answer.status_code in (401, 403, 404), f"{answer.status_code} {answer.text[:200]}"


@pytest.mark.parametrize("path", ["/sqllab/", "/users/", "/roles/", "/databaseview/list/", "/chart/add", "/logs/"])
def test_the_viewer_sees_no_sql_lab_and_no_admin_page(page: Page, site: Site, path: str) -> None:
    answer = page.goto(f"{site.url}{path}")
    landed = page.url.removeprefix(site.url)
    assert (answer is not None and answer.status in (401, 403, 404)) or not landed.startswith(path)


def test_the_menu_offers_dashboards_only(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/superset/welcome/")
    menu = page.locator(".main-nav, nav, [role=menu]").first.inner_text()
    assert "Dashboards" in menu
    assert not {"SQL", "Charts", "Datasets"} & set(menu.split())


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
