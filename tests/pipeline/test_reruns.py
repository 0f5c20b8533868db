"""The same result from any order, and after being killed at any moment."""

import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.deployment import ROOT, Pipeline

from airqino.sandbox.mongod import Mongod
from airqino.sandbox.server import Sandbox

START, STOP = "2026-03-01T00", "2026-03-06T23"
NOW = "2026-03-10T00:05"
STATIONS = ("283181971", "283164601")


@pytest.fixture(scope="module")
def api():
    """A synthetic API that has its gaps, late and revised rows, at one fixed moment."""
    with Sandbox(now=datetime(2026, 3, 10, 0, 5, tzinfo=UTC)) as server:
        yield server


@pytest.fixture
def deploy(tmp_path: Path, mongod: Mongod, api: Sandbox):
    made: list[Pipeline] = []

    def new() -> Pipeline:
        made.append(Pipeline(tmp_path / f"staging{len(made)}", mongod, api.url, AIRQINO_NOW=NOW))
        return made[-1]

    yield new
    for pipeline in made:
        pipeline.close()


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory, mongod: Mongod, api: Sandbox):
    """The state after one quiet run over the range."""
    pipeline = Pipeline(tmp_path_factory.mktemp("quiet"), mongod, api.url, AIRQINO_NOW=NOW)
    done = pipeline.backfill(START, STOP)
    assert done.returncode == 0, done.stderr
    state = pipeline.state()
    assert len(state["daily_averages"]) >= 6
    return state


def test_hour_by_hour_equals_one_range(deploy, quiet) -> None:
    pipeline = deploy()
    assert pipeline.luigi("LoadDay", "--day", "2026-03-01..2026-03-02").returncode == 0
    for day in ("2026-03-03", "2026-03-04"):
        for first, last in ((0, 0), (1, 5), (6, 6), (7, 22), (23, 23)):
            done = pipeline.luigi("FetchHour", "--hour", f"{day}T{first:02}..{day}T{last:02}")
            assert done.returncode == 0, done.stderr
        done = pipeline.luigi("LoadDay", "--day", day)
        assert done.returncode == 0, done.stderr
    # the last hour of a day that was there already is compared with the first of the next one
    assert pipeline.luigi("LoadDay", "--day", "2026-03-02..2026-03-06").returncode == 0
    assert pipeline.state() == quiet


@pytest.mark.drill
def test_days_backwards_equal_one_range(deploy, quiet) -> None:
    pipeline = deploy()
    for day in range(6, 0, -1):
        done = pipeline.backfill(f"2026-03-0{day}T00", f"2026-03-0{day}T23")
        assert done.returncode == 0, done.stderr
    assert pipeline.state() == quiet


def test_a_range_of_days_as_one_task_equals_them_all(deploy, quiet) -> None:
    pipeline = deploy()
    done = pipeline.luigi("LoadDay", "--day", "2026-03-01..2026-03-06")
    assert done.returncode == 0, done.stderr
    assert pipeline.state() == quiet


def test_four_workers_equal_one(deploy, quiet) -> None:
    pipeline = deploy()
    done = pipeline.backfill(START, STOP, "--workers", "4")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert pipeline.state() == quiet


def test_two_at_once_do_the_work_once(deploy, quiet, api: Sandbox) -> None:
    pipeline = deploy()
    api.reset()
    command = [sys.executable, "-m", "tasks.cli", "backfill", START, STOP]
    runs = [subprocess.Popen(command, env=pipeline.env, cwd=ROOT, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [run.wait(120) for run in runs] == [0, 0]
    assert api.stats()["by_station"] == dict.fromkeys(STATIONS, 1)
    assert pipeline.state() == quiet


@pytest.mark.drill
def test_killed_at_twenty_random_moments(deploy, quiet) -> None:
    """Each kill may hit a half-written file or a half-loaded day; the last run mends all of it."""
    pipeline = deploy()
    moments = random.Random(7)
    killed = 0
    while killed < 20:
        run = subprocess.Popen(
            [sys.executable, "-m", "tasks.cli", "backfill", START, STOP],
            env=pipeline.env,
            cwd=ROOT,
            stderr=subprocess.DEVNULL,
        )
        # start-up takes most of a second; what there is to interrupt comes after it and gets less each time
        time.sleep(0.5 + 1.2 * moments.random())
        if run.poll() is not None:  # it was done before it could be killed: lose something and go on
            _lose_something(pipeline, moments)
            continue
        run.send_signal(signal.SIGKILL)
        run.wait()
        killed += 1
        if killed % 5 == 0:
            _lose_something(pipeline, moments)
    done = pipeline.backfill(START, STOP)
    assert done.returncode == 0, done.stderr
    assert pipeline.state() == quiet


def _lose_something(pipeline: Pipeline, moments: random.Random) -> None:
    """Delete a staged file or a document."""
    day = f"2026-03-0{moments.randint(1, 6)}"
    files = list((pipeline.root / day).rglob("*.parquet"))
    if files and moments.random() < 0.7:
        moments.choice(files).unlink()
    else:
        pipeline.database["hourly_measurements"].delete_many({"day": day})
