"""A whole site for the browser: sandbox API → pipeline → MongoDB with users → Superset, started once for all tests."""

import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, Response, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout
from pymongo import MongoClient
from support.secured import ReplicaSet, replica_set

from airqino.sandbox.mongod import free_port
from airqino.sandbox.server import Sandbox
from tests.superset.filling import fill, spoil
from tests.superset.raw import CORRECTED, FAR_SECTION, STATIONS, Data, hour_before_last

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "dashboards/superset"))

import generate  # noqa: E402
from slugs import DASHBOARDS  # noqa: E402

#: High enough for a dashboard as a whole: a chart is drawn when it comes into view.
HEIGHT = 8600


def _items_of(slug: str, kind: str) -> list[dict[str, Any]]:
    """What stands on a dashboard of one kind: charts, tabs."""
    documents = generate.bundle(DASHBOARDS[slug])
    (position,) = (document["position"] for document in documents.values() if document.get("slug") == slug)
    return [item for item in position.values() if isinstance(item, dict) and item["type"] == kind]


def charts_of(slug: str) -> dict[str, str]:
    """The charts of a dashboard: their titles, and their names in the source."""
    documents = generate.bundle(DASHBOARDS[slug])
    shown = {item["meta"]["uuid"] for item in _items_of(slug, "CHART")}
    charts = {path: of for path, of in documents.items() if path.startswith("charts/") and of["uuid"] in shown}
    return {of["slice_name"]: path.removeprefix("charts/")[: -len("_en.yaml")] for path, of in charts.items()}


def tabs_of(slug: str) -> list[int]:
    """The numbers of charts on the tabs of a dashboard: those of a tab that was never open are not drawn."""
    return [len(item["children"]) for item in _items_of(slug, "TAB")]


def drawn_at_first(slug: str) -> int:
    """The number of charts that are drawn before another tab is opened."""
    return len(charts_of(slug)) - sum(tabs_of(slug)[1:])


#: The viewer's and the admin's passwords of this run.
PASSWORD = secrets.token_urlsafe(12)

#: What each dashboard asked for its charts when it was first opened, with the filters it opens with.
_asked: dict[str, dict[str, Any]] = {}

_BROWSER = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
)


@dataclass
class Site:
    """What the tests need to know of the running site."""

    url: str
    mongodb: str = field(repr=False)
    reader: str = field(repr=False)
    environment: dict[str, str] = field(repr=False)
    api: str
    first: datetime
    opened: datetime

    def data(self) -> Data:
        """What the charts must show as things are now."""
        return Data(self.db, self.api, self.first)

    @property
    def db(self) -> Any:
        """The database, as the administrator."""
        return MongoClient(self.mongodb, tz_aware=True)["air_quality"]

    def superset(self, command: str) -> str:
        """Run scripts/superset and return what it prints."""
        return _run([str(ROOT / "scripts/superset"), command], self.environment)

    def luigi(self, *arguments: str, now: datetime | None = None) -> None:
        """Run the pipeline, as if it were `now`."""
        environment = self.environment | ({"AIRQINO_NOW": f"{now:%Y-%m-%dT%H:%M}"} if now else {})
        command = [sys.executable, "-m", "luigi", "--module", "tasks", *arguments, "--local-scheduler", "--no-lock"]
        _run(command, environment)

    def note(self, *arguments: str, now: datetime) -> None:
        """Make an operator's note, as if it were `now`."""
        who = () if arguments[0] == "apply" else ("--who", "an operator")
        environment = self.environment | {"AIRQINO_NOW": f"{now:%Y-%m-%dT%H:%M}"}
        _run([sys.executable, "-m", "tasks.cli", "note", *arguments, *who], environment)


def _run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Ten weeks through the pipeline up to the hour before the last one; Superset as the reader."""
    folder = tmp_path_factory.mktemp("site")
    with replica_set(folder / "mongo", members=1) as server:
        uris = _with_users(server)
        # at one fixed moment, so that what was fetched can be asked for again
        opened = datetime.now(UTC)
        with Sandbox(now=opened) as sandbox:
            first = (hour_before_last() - timedelta(days=70)).replace(hour=0, minute=0, second=0, microsecond=0)
            spoil(sandbox, first + timedelta(days=40))
            settings = quick_settings().replace("[staging]\n", f"{FAR_SECTION}[staging]\n")
            section = f"[stations.{CORRECTED}]\n"
            (folder / "luigi.cfg").write_text(settings.replace(section, f"{section}correction = kappa\n"))
            environment = os.environ | {
                "PYTHONPATH": str(ROOT),
                "AIRQINO_BASE_URL": sandbox.url,
                "AIRQINO_STATIONS": ",".join(STATIONS),
                "STAGING_ROOT": str(folder / "staging"),
                "LUIGI_CONFIG_PATH": str(folder / "luigi.cfg"),
                "MONGODB_URI": uris["pipeline"],
                "MONGODB_DATABASE": "air_quality",
                "SUPERSET_MONGODB_URI": uris["reader"],
                "SUPERSET_PORT": str(free_port()),
                "SUPERSET_CACHE_SECONDS": "5",
                "SUPERSET_ADMIN_PASSWORD": PASSWORD,
                "SUPERSET_VIEWER_PASSWORD": PASSWORD,
            }
            url = f"http://127.0.0.1:{environment['SUPERSET_PORT']}"
            running = Site(url, uris["admin"], uris["reader"], environment, sandbox.url, first, opened)
            fill(running)
            try:
                assert url in running.superset("up")
                yield running
            finally:
                running.superset("down")


def quick_settings() -> str:
    """The project's settings, but with trainings that are many times faster."""
    settings = (ROOT / "luigi.cfg").read_text()
    for of_project, quick in (("horizons = 1, 2, 3, 6, 9, 12", "horizons = 1, 2, 6"), ("rounds = 200", "rounds = 30")):
        assert of_project in settings
        settings = settings.replace(of_project, quick)
    return settings


def _with_users(server: ReplicaSet) -> dict[str, str]:
    """Make the users as an operator does; return the connection strings, whose options say how TLS is checked."""
    passwords = {f"{name.upper()}_PASSWORD": PASSWORD for name in ("etl_writer", "dashboard_reader", "ops")}
    tls = f"tls=true&tlsCAFile={server.ca_file}"
    admin = f"{server.admin_uri}&{tls}"
    _run([sys.executable, "-m", "tasks.cli", "mongo-users"], os.environ | passwords | {"MONGODB_ADMIN_URI": admin})
    users = {"pipeline": "etl_writer", "reader": "dashboard_reader"}
    return {"admin": admin} | {k: f"{server.uri(user, PASSWORD, 'air_quality')}&{tls}" for k, user in users.items()}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    with sync_playwright() as playwright:
        path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        yield playwright.chromium.launch(executable_path=path, args=[*_BROWSER])


@pytest.fixture(scope="session")
def logged_in(site: Site, browser: Browser) -> Any:
    """The cookies of the viewer, after logging in through the form."""
    with browser.new_context() as context:
        log_in(context.new_page(), site)
        return context.storage_state()


@pytest.fixture
def page(browser: Browser, logged_in: Any) -> Iterator[Page]:
    """A page of the viewer, who is logged in."""
    with browser.new_context(viewport={"width": 1400, "height": HEIGHT}, storage_state=logged_in) as context:
        yield context.new_page()


def log_in(page: Page, site: Site, user: str = "viewer") -> None:
    """Fill in the log-in form."""
    page.goto(f"{site.url}/login/")
    page.fill("#username", user)
    page.fill("#password", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/(superset|dashboard)/"))


def open_dashboard(page: Page, site: Site, slug: str) -> dict[str, Response]:
    """Open a dashboard and each of its tabs, and wait until every chart is drawn.

    Returns:
        The answer of Superset's API for each chart, by the chart's title.
    """
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer) if "/api/v1/chart/data" in answer.url else None)
    page.goto(f"{site.url}/superset/dashboard/{slug}/")
    drawn = drawn_at_first(slug)
    wait_until_drawn(page, drawn)
    for number, charts in enumerate(tabs_of(slug)[1:], 1):
        open_tab(page, number)
        drawn += charts
        wait_until_drawn(page, drawn)
    names = page.locator("[data-test-chart-id]").evaluate_all(
        "es => es.map(e => [e.getAttribute('data-test-chart-id'), e.getAttribute('data-test-chart-name')])"
    )
    by_id = {int(number): name for number, name in names}
    found = {by_id.get(json.loads(a.request.post_data)["form_data"].get("slice_id")): a for a in answers}
    answered = {name: answer for name, answer in found.items() if name}
    _asked.setdefault(slug, {name: json.loads(a.request.post_data or "") for name, a in answered.items()})
    return answered


def open_tab(page: Page, number: int) -> None:
    """Open a tab of a dashboard by its place."""
    page.locator(".dashboard-component-tabs .ant-tabs-tab").nth(number).click()


def wait_until_drawn(page: Page, charts: int) -> None:
    """Wait until as many charts as given stand there and none is loading."""
    try:
        page.wait_for_function(
            """charts => document.querySelectorAll('[data-test="slice-container"]').length >= charts
                      && !document.querySelector('.loading, [data-test="loading-indicator"]')""",
            arg=charts,
            timeout=60_000,
        )
    except PlaywrightTimeout:
        pytest.fail(
            f"{page.url} is not drawn after a minute; it shows:\n{page.inner_text('body')[:3000]}", pytrace=False
        )
    page.wait_for_timeout(1500)  # ECharts draws in steps


@pytest.fixture(scope="session")
def questions(site: Site, browser: Browser, logged_in: Any) -> dict[tuple[str, str], dict[str, Any]]:
    """What the dashboards ask Superset's API for each chart, as the browser asks it; by language and chart."""
    with browser.new_context(viewport={"width": 1400, "height": HEIGHT}, storage_state=logged_in) as context:
        for slug in DASHBOARDS.keys() - _asked.keys():
            open_dashboard(context.new_page(), site, slug)
    return {
        (DASHBOARDS[slug], charts_of(slug)[title]): question
        for slug, asked in _asked.items()
        for title, question in asked.items()
    }


@pytest.fixture(scope="session")
def api(site: Site) -> requests.Session:
    """A session of the viewer with Superset's API, without a browser."""
    return api_session(site, "viewer")


def api_session(site: Site, user: str) -> requests.Session:
    """Log in at the API."""
    session = requests.Session()
    content = {"username": user, "password": PASSWORD, "provider": "db"}
    answer = session.post(f"{site.url}/api/v1/security/login", json=content)
    session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    session.headers["Referer"] = site.url
    token = session.get(f"{site.url}/api/v1/security/csrf_token/")
    if token.ok:
        session.headers["X-CSRFToken"] = token.json()["result"]
    return session
