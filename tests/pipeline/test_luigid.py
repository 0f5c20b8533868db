"""One task against luigid, seen in its web page."""

import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright
from prometheus_client.parser import text_string_to_metric_families
from support.deployment import ROOT, Pipeline
from support.luigid import running_luigid

from airqino.readings import CORE_HOURS, FORECAST
from airqino.sandbox.server import Sandbox

#: What Chromium needs to run as root and to leave the outside world alone.
CHROMIUM = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]


@pytest.fixture
def luigid(tmp_path: Path) -> Iterator[str]:
    with running_luigid(tmp_path) as (url, _):
        yield url


def metrics(url: str) -> dict[tuple[str, str], float]:
    """luigid's own metrics: (name, task family) → value."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as reply:
        families = text_string_to_metric_families(reply.read().decode())
    return {(s.name, s.labels["family"]): s.value for family in families for s in family.samples}


def daily_means(pipeline: Pipeline, url: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("luigi")), "--module", "tasks", "DailyMeans", "--day", "2024-03-02"]
    return subprocess.run(
        command, env=pipeline.env | {"LUIGID_URL": url}, cwd=ROOT, capture_output=True, text=True, timeout=120
    )


def test_one_task_against_luigid_shows_in_its_page_and_does_nothing_the_second_time(
    pipeline: Pipeline, sandbox: Sandbox, luigid: str
) -> None:
    sandbox.now = datetime(2024, 3, 10, 0, 5, tzinfo=UTC)
    pipeline.env["AIRQINO_NOW"] = "2024-03-10T00:05"
    done = daily_means(pipeline, luigid)
    assert done.returncode == 0, done.stderr
    assert (pipeline.root / "2024-03-02" / "daily.parquet").exists()
    assert sandbox.stats()["by_station"] == {"283181971": 1, "283164601": 1}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)
        page = browser.new_page()
        page.goto(f"{luigid}/static/visualiser/index.html")
        page.get_by_text("DailyMeans").first.wait_for(timeout=30_000)
        table = page.locator("#taskTable").inner_text()
        browser.close()
    assert "2024-03-02" in table
    assert "DONE" in table.upper()
    counted = metrics(luigid)
    assert counted["luigi_task_started_total", "DailyMeans"] == counted["luigi_task_done_total", "DailyMeans"] == 1
    assert counted["luigi_task_execution_time_seconds", "FetchHour"] > 0
    assert not [key for key, value in counted.items() if key[0] == "luigi_task_failed_total" and value]

    sandbox.reset()
    written = {path: path.stat().st_mtime_ns for path in pipeline.root.rglob("*.parquet")}
    again = daily_means(pipeline, luigid)
    assert again.returncode == 0, again.stderr
    assert sandbox.stats()["data_requests"] == 0
    assert written == {path: path.stat().st_mtime_ns for path in pipeline.root.rglob("*.parquet")}


@pytest.mark.drill
def test_an_hourly_run_and_a_rerun_go_through_luigid(pipeline: Pipeline, sandbox: Sandbox, luigid: str) -> None:
    for moment in ("2024-03-10T00:05", "2024-03-10T01:05", "2024-03-10T01:05"):
        sandbox.now = datetime.fromisoformat(moment).replace(tzinfo=UTC)
        done = pipeline.hourly(moment, LUIGID_URL=luigid)
        assert done.returncode == 0, done.stderr
        assert "does not answer" not in done.stderr
    assert pipeline.database["forecasts"].count_documents({"hindcast": False}) == 2 * 2 * len(FORECAST) * CORE_HOURS


@pytest.mark.drill
@pytest.mark.parametrize("workers", [1, 3])
def test_what_failed_is_tried_again_by_the_next_run_at_once(
    pipeline: Pipeline, sandbox: Sandbox, luigid: str, workers: int
) -> None:
    """luigid remembers failures: neither a task nor a batch of hours may be shut out, or tried without end."""
    pipeline.env["LUIGID_URL"] = luigid
    sandbox.now = datetime(2024, 3, 10, 0, 5, tzinfo=UTC)
    options = ("--workers", f"{workers}")
    away = pipeline.script("hourly", *options, AIRQINO_NOW="2024-03-10T00:05", AIRQINO_BASE_URL="http://127.0.0.1:9")
    assert away.returncode == 30, away.stderr
    done = pipeline.script("hourly", *options, AIRQINO_NOW="2024-03-10T00:05", timeout=60)
    assert done.returncode == 0, done.stderr[-3000:]
    assert sandbox.stats()["by_station"] == {"283181971": 1, "283164601": 1}


@pytest.mark.drill
@pytest.mark.parametrize("workers", [1, 3])
def test_a_luigid_that_dies_in_the_middle_of_a_run_is_done_without(
    tmp_path: Path, pipeline: Pipeline, sandbox: Sandbox, workers: int
) -> None:
    sandbox.now = datetime(2024, 3, 10, 0, 5, tzinfo=UTC)
    with running_luigid(tmp_path) as (url, server):

        def kill_when_something_is_staged() -> None:
            last = pipeline.root / "2024-03-09" / "raw" / "23.parquet"  # before it, not all that was fetched is staged
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and not last.exists():
                time.sleep(0.005)
            server.kill()

        thread = threading.Thread(target=kill_when_something_is_staged)
        thread.start()
        done = pipeline.script("hourly", "--workers", f"{workers}", AIRQINO_NOW="2024-03-10T00:05", LUIGID_URL=url)
        thread.join()
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("luigid does not answer any more: this run goes on with a scheduler of its own\n") == 1
    assert "Traceback" not in done.stderr
    assert "RPCError" not in done.stderr
    assert sandbox.stats()["by_station"] == {"283181971": 1, "283164601": 1}, "what was fetched is not fetched again"
    assert pipeline.database["forecasts"].count_documents({"hindcast": False}) > 0
    assert "task_failed" not in (pipeline.root / "alerts.json").read_text()
