"""Outages of any length: one command brings back all that is missing, and status says so before and after."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from support.deployment import Pipeline

from airqino.sandbox.server import Sandbox

pytestmark = [pytest.mark.drill, pytest.mark.timeout(600)]

STATION, OTHER = "283181971", "283164601"
START = datetime(2026, 5, 4, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def calm(sandbox: Sandbox, days: int) -> None:
    """Rows without gaps, also in the window before: PM2.5 counts the hours."""
    for station in (STATION, OTHER):
        for i in range(-24 * 11, 24 * days):
            values = {"CO": 0.1 * (i % 5) + 0.1, "PM2.5": i + int(station) % 7, "PM10": 500.0 + i}
            sandbox.override(station, START + i * HOUR, values)


def run(pipeline: Pipeline, sandbox: Sandbox, at: datetime, command: str, *arguments: str) -> None:
    sandbox.now = at
    done = pipeline.script(command, *arguments, AIRQINO_NOW=f"{at:%Y-%m-%dT%H:%M}")
    assert done.returncode == 0, done.stderr


def status(pipeline: Pipeline, at: datetime) -> dict[str, object]:
    shown = pipeline.script("status", "--json", AIRQINO_NOW=f"{at:%Y-%m-%dT%H:%M}")
    return dict(json.loads(shown.stdout)["open"])


def shown(pipeline: Pipeline, at: datetime) -> str:
    return pipeline.script("status", AIRQINO_NOW=f"{at:%Y-%m-%dT%H:%M}").stdout


def incidents(pipeline: Pipeline, at: datetime) -> set[str]:
    done = pipeline.script("alerts", "check", "--json", AIRQINO_NOW=f"{at:%Y-%m-%dT%H:%M}")
    assert done.returncode in (0, 1), done.stderr
    return {incident["kind"] for incident in json.loads(done.stdout)}


def diagnosed(pipeline: Pipeline, at: datetime) -> str:
    """What doctor says of missing hours."""
    done = pipeline.script("doctor", "--json", AIRQINO_NOW=f"{at:%Y-%m-%dT%H:%M}")
    (check,) = (check for check in json.loads(done.stdout)["checks"] if check["name"] == "missing hours")
    return f"{check['outcome']}: {check['found']}"


def hours(pipeline: Pipeline, station: str) -> dict[datetime, float]:
    found = pipeline.database["hourly_measurements"].find({"station": station, "observed_at": {"$gte": START}})
    return {d["observed_at"]: d["pm2_5"] for d in found}


def expected(station: str, until: datetime) -> dict[datetime, float]:
    return {START + i * HOUR: i + int(station) % 7 for i in range(int((until - START) / HOUR))}


def test_an_outage_of_the_pipeline_is_made_good_by_one_command(pipeline: Pipeline, sandbox: Sandbox) -> None:
    calm(sandbox, 20)
    run(pipeline, sandbox, START + 2 * DAY + HOUR / 10, "backfill", f"{START:%Y-%m-%d}..")
    back = START + 14 * DAY + HOUR / 10
    run(pipeline, sandbox, back, "hourly")  # it catches up nine days; two are left
    before = status(pipeline, back)
    assert (before["never_asked"], before["failed"]) == (2 * 24 * 2, 0)
    assert (before["first_day"], before["last_day"]) == ("2026-05-06", "2026-05-07")
    assert "\n    scripts/backfill\n" in shown(pipeline, back)
    assert "hours_missing" in incidents(pipeline, back)
    assert (
        diagnosed(pipeline, back)
        == "warning: 96 station-hours were never asked for, 0 failed (2026-05-06 … 2026-05-07)"
    )
    run(pipeline, sandbox, back + HOUR / 10, "backfill")
    assert status(pipeline, back + HOUR / 10)["never_asked"] == 0
    assert "scripts/backfill" not in shown(pipeline, back + HOUR / 10)
    assert "hours_missing" not in incidents(pipeline, back + HOUR / 10)
    assert diagnosed(pipeline, back).startswith("ok")
    for station in (STATION, OTHER):
        assert hours(pipeline, station) == expected(station, START + 14 * DAY)


@pytest.mark.parametrize("settled", [False, True])
def test_a_backlog_of_ten_days_is_brought_by_one_command(pipeline: Pipeline, sandbox: Sandbox, settled: bool) -> None:
    calm(sandbox, 20)
    appears = START + 13 * DAY
    for i in range(24, 24 * 12):
        sandbox.override(STATION, START + i * HOUR, None)
        values = {"CO": 0.1 * (i % 5) + 0.1, "PM2.5": i + int(STATION) % 7, "PM10": 500.0 + i}
        sandbox.override(STATION, START + i * HOUR, values, since=appears)
    run(pipeline, sandbox, START + DAY + HOUR / 10, "backfill", f"{START:%Y-%m-%d}..")
    for day in range(2, 13):
        run(pipeline, sandbox, START + day * DAY + HOUR / 10, "hourly")
    at = appears + HOUR / 10
    if settled:  # hours whose absence was confirmed twice, the later time eight days after them
        run(pipeline, sandbox, START + 12 * DAY + 2 * HOUR, "backfill", f"{START:%Y-%m-%d}..")
        at = START + 14 * DAY + HOUR / 10
        for i in range(24, 24 * 12):
            sandbox.override(STATION, START + i * HOUR, None, since=appears)
        run(pipeline, sandbox, at, "backfill")
        for i in range(24, 24 * 12):
            values = {"CO": 0.1 * (i % 5) + 0.1, "PM2.5": i + int(STATION) % 7, "PM10": 500.0 + i}
            sandbox.override(STATION, START + i * HOUR, values, since=at)
        at += DAY
    before = status(pipeline, at)
    assert before["absent"] == 11 * 24
    assert (before["settled"] > 0) is settled
    assert "the source had no row for 264 station-hours" in shown(pipeline, at)
    assert "hours_missing" not in incidents(pipeline, at)  # what the source does not have is no fault
    until = at.replace(minute=0)
    run(pipeline, sandbox, at, "backfill", *(["--again"] if settled else []))
    assert hours(pipeline, STATION) == expected(STATION, until)
    assert hours(pipeline, OTHER) == expected(OTHER, until)
    day = pipeline.database["daily_averages"].find_one({"_id": f"{STATION}|2026-05-10"})
    assert day["pm2_5_hours"] == 24
    after = status(pipeline, at)
    assert (after["absent"], after["never_asked"], after["failed"]) == (0, 0, 0)
    assert "the source had no row" not in shown(pipeline, at)


def test_empty_answers_of_three_days_settle_nothing(pipeline: Pipeline, sandbox: Sandbox) -> None:
    calm(sandbox, 20)
    run(pipeline, sandbox, START + 2 * DAY + HOUR / 10, "backfill", f"{START - 8 * DAY:%Y-%m-%d}..")
    sandbox.add_fault("empty")
    for day in range(3, 6):
        run(pipeline, sandbox, START + day * DAY + HOUR / 10, "hourly")
        run(pipeline, sandbox, START + day * DAY + HOUR / 5, "backfill")
    empty = START + 5 * DAY + HOUR / 5
    assert status(pipeline, empty)["absent"] == 2 * 3 * 24
    assert "72 h: station off (no row: the answer is empty)" in shown(pipeline, empty)
    sandbox.clear_faults()
    run(pipeline, sandbox, empty + HOUR, "backfill")
    assert status(pipeline, empty + HOUR)["absent"] == 0
    assert "station off" not in shown(pipeline, empty + HOUR).partition("\n  ")[2]
    at = START + 18 * DAY + HOUR / 10
    run(pipeline, sandbox, at, "backfill")
    for station in (STATION, OTHER):
        assert hours(pipeline, station) == expected(station, START + 18 * DAY)
