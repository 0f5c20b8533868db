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
from tests.superset.raw import CORRECTED, Data, hour_before_last, notes_of

ROOT = Path(__file__).resolve().parents[2]
DASHBOARDS = {"air-quality": 21, "data-and-forecast-quality": 15}
#: High enough for a dashboard as a whole: a chart is drawn when it comes into view.
HEIGHT = 8600
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
        with Sandbox(now=datetime.now(UTC)) as sandbox:
            first = (hour_before_last() - timedelta(days=70)).replace(hour=0, minute=0, second=0, microsecond=0)
            _spoil(sandbox, first + timedelta(days=40))
            settings = (ROOT / "luigi.cfg").read_text()
            section = f"[stations.{CORRECTED}]\n"
            (folder / "luigi.cfg").write_text(settings.replace(section, f"{section}correction = kappa\n"))
            environment = os.environ | {
                "PYTHONPATH": str(ROOT),
                "AIRQINO_BASE_URL": sandbox.url,
                "STAGING_ROOT": str(folder / "staging"),
                "LUIGI_CONFIG_PATH": str(folder / "luigi.cfg"),
                "MONGODB_URI": uris["pipeline"],
                "MONGODB_DATABASE": "air_quality",
                "SUPERSET_MONGODB_URI": uris["reader"],
                "SUPERSET_PORT": str(free_port()),
                "SUPERSET_ADMIN_PASSWORD": PASSWORD,
                "SUPERSET_VIEWER_PASSWORD": PASSWORD,
            }
            url = f"http://127.0.0.1:{environment['SUPERSET_PORT']}"
            running = Site(url, uris["admin"], uris["reader"], environment, sandbox.url, first)
            _fill(running)
            try:
                assert url in running.superset("up")
                yield running
            finally:
                running.superset("down")


def _spoil(sandbox: Sandbox, day: datetime) -> None:
    """Make the answers of some hours of a day and the week before such as must not count."""
    for hour in range(24):
        at = day + timedelta(hours=hour)
        sandbox.override("283164601", at, {"PM2.5": 30.0 + hour % 7, "PM10": 20.0 + hour % 5})
        sandbox.override("283164601", at - timedelta(days=3), {"PM10": 1999.9 if hour < 4 else 25.0 + hour % 5})
        sandbox.override("283164601", at - timedelta(days=6), {"CO": 400.0 + hour})  # in µg/m³
        sandbox.override("283181971", at - timedelta(days=3), {"O3": -999.0} if hour % 6 == 0 else {"NO2": 19.25})


def _fill(site: Site) -> None:
    """Backfill through the pipeline, and add what takes weeks or luck to come by itself, where it is missing."""
    now, hour = hour_before_last(), "%Y-%m-%dT%H"
    for note in notes_of(site.first):
        site.note(*note, now=now)
    last = now - timedelta(hours=1, minutes=5)
    site.luigi("Backfill", "--start", f"{site.first:{hour}}", "--stop", f"{last:{hour}}", now=now)
    recent = f"{last - timedelta(days=3):%Y-%m-%dT00}"
    site.luigi("Backfill", "--start", recent, "--stop", f"{last:{hour}}", "--hindcast", now=now)
    site.luigi("Hourly", now=now)
    days = [f"{last - timedelta(days=ago):%Y-%m-%d}" for ago in range(40)]
    if not site.db.revisions.find_one():
        site.db.revisions.insert_many(_revisions(site.db, last))
    if not site.db.forecast_scores.find_one():
        site.db.forecast_scores.insert_many(_score(day, i) for i, day in enumerate(days))
    for stray in ({"_id": "mine", "active": True, "kind": "invalidate"}, {"_id": 7, "active": True}):
        site.db.notes.insert_one(stray)
    if not site.db.models.find_one():
        site.db.models.insert_many(_model(day, i) for i, day in enumerate(days[::7]))


def _revisions(db: Any, seen: datetime) -> list[dict[str, Any]]:
    return [
        {
            "_id": f"{row['_id']}|pm2_5|{number}",
            "station": row["station"],
            "observed_at": row["observed_at"],
            "reading": "pm2_5",
            "old_reading": row["pm2_5"],
            "new_reading": row["pm2_5"] + 1,
            "seen_at": seen - timedelta(days=number % 5),
        }
        for number, row in enumerate(
            db.hourly_measurements.find({"pm2_5": {"$ne": None}}, sort=[("_id", -1)], limit=12)
        )
    ]


def _score(day: str, number: int) -> dict[str, Any]:
    key = f"283181971|pm2_5|1|{day}|7"
    of = {"station": "283181971", "pollutant": "pm2_5", "horizon_h": 1, "day": day}
    mae = 3 + number % 4 / 10
    return {
        **{"_id": key, **of, "window_days": 7, "n": 100 + number, "bias": 0.1, "coverage80": 0.75 + number % 9 / 100},
        **{"mae": mae, "mae_persistence": 4.0, "skill": 1 - mae / 4},
    }


def _model(day: str, number: int) -> dict[str, Any]:
    at = datetime.fromisoformat(day).replace(tzinfo=UTC)
    return {
        **{"_id": day, "trained_for": day, "trained_at": at, "promoted": number % 2 == 0, "rows": 1000 * number},
        **{"promoted_at": at if number % 2 == 0 else None, "skill": 0.1 + number / 100},
        "reason": ("champion 2024-09-02 is younger than 7 days: it stays", "better", None)[number % 3],
    }


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
    """Open a dashboard and wait until every chart is drawn.

    Returns:
        The answer of Superset's API for each chart, by the chart's name.
    """
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer) if "/api/v1/chart/data" in answer.url else None)
    page.goto(f"{site.url}/superset/dashboard/{slug}/")
    wait_until_drawn(page, DASHBOARDS[slug])
    names = page.locator("[data-test-chart-id]").evaluate_all(
        "es => es.map(e => [e.getAttribute('data-test-chart-id'), e.getAttribute('data-test-chart-name')])"
    )
    by_id = {int(number): name for number, name in names}
    found = {by_id.get(json.loads(a.request.post_data)["form_data"].get("slice_id")): a for a in answers}
    answered = {name: answer for name, answer in found.items() if name}
    _asked.setdefault(slug, {name: json.loads(a.request.post_data or "") for name, a in answered.items()})
    return answered


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
def questions(site: Site, browser: Browser, logged_in: Any) -> dict[str, dict[str, Any]]:
    """What the dashboards ask Superset's API for each chart, as the browser asks it."""
    with browser.new_context(viewport={"width": 1400, "height": HEIGHT}, storage_state=logged_in) as context:
        for slug in DASHBOARDS.keys() - _asked.keys():
            open_dashboard(context.new_page(), site, slug)
    return {name: question for asked in _asked.values() for name, question in asked.items()}


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
