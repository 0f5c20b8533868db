"""A revision that comes months late is found by the weekly reading of an old month, and no request more is sent."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from support.deployment import Pipeline

from airqino.sandbox.server import Sandbox

LIVE, OTHER = "283181971", "283164601"
DAY = datetime(2026, 1, 28, tzinfo=UTC)
HOUR = timedelta(hours=1)
WEEKS = [datetime(2026, 2, 11 + 7 * n, 12, 5, tzinfo=UTC) for n in range(3)]  # Wednesdays


@pytest.fixture
def staged(pipeline: Pipeline, sandbox: Sandbox, tmp_path: Path) -> Pipeline:
    """A deployment with two settled days of January, after the week in which they were first seen."""
    pipeline.configure(tmp_path / "luigi.cfg", late_window_hours=24, requests_per_second=500, retries=0)
    for station in (LIVE, OTHER):
        for n in range(48):
            sandbox.override(station, DAY + n * HOUR, {"CO": 0.2 + 0.1 * (n % 3), "PM2.5": float(n), "PM10": 99.0})
    sandbox.now = WEEKS[0]
    env = {"AIRQINO_NOW": f"{WEEKS[0]:%Y-%m-%dT%H:%M}"}
    assert pipeline.backfill("2026-01-28T00", "2026-01-29T23", **env).returncode == 0
    sandbox.reset()
    reread(pipeline, sandbox, WEEKS[0])
    assert sandbox.stats()["data_requests"] == 0
    return pipeline


def reread(pipeline: Pipeline, sandbox: Sandbox, moment: datetime) -> str:
    sandbox.now = moment
    now = f"{moment:%Y-%m-%dT%H:%M}"
    done = pipeline.script("run", "RereadMonth", "--day", f"{moment:%Y-%m-%d}", AIRQINO_NOW=now)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def january(sandbox: Sandbox) -> list[tuple[str, str, str]]:
    """The requests for January since the last look: station, first and last day."""
    windows = [w for w in sandbox.stats()["windows"] if w["stop"] < "2026-02-01"]
    sandbox.reset()
    return sorted((w["station"], w["start"][:10], w["stop"][:10]) for w in windows)


def test_a_late_revision_reaches_the_daily_mean_by_itself(staged: Pipeline, sandbox: Sandbox) -> None:
    for station in (LIVE, OTHER):
        sandbox.override(station, DAY + 10 * HOUR, {"CO": 0.3, "PM2.5": 500.0}, since=WEEKS[0] + HOUR)
    files = {path: path.stat().st_mtime_ns for path in staged.root.glob("2026-01-*/raw/*.parquet")}

    def means() -> list[float]:
        days = (staged.database["daily_averages"].find_one({"_id": f"{s}|2026-01-28"}) for s in (LIVE, OTHER))
        return [day["pm2_5_mean"] for day in days]

    before, after = (pytest.approx(total / 24) for total in (sum(range(24)), sum(range(24)) - 10 + 500))
    assert means() == [before, before]

    # the month comes in one request of each station; a try that fails fails nothing
    sandbox.add_fault("server_error", station=OTHER)
    said = reread(staged, sandbox, WEEKS[1])
    assert f"station {OTHER}: 2026-01 was not read again: ServerError: HTTP 503" in said
    assert january(sandbox) == [(OTHER, "2025-12-31", "2026-01-31"), (LIVE, "2025-12-31", "2026-01-31")]
    assert means() == [after, before]

    # it is made again after a pause, with the hourly run, and nothing else is
    sandbox.clear_faults()
    reread(staged, sandbox, WEEKS[1] + HOUR / 2)
    assert january(sandbox) == []
    for hours, asked in ((1, [OTHER]), (2, [])):
        sandbox.now = WEEKS[1] + hours * HOUR
        done = staged.hourly(f"{sandbox.now:%Y-%m-%dT%H:%M}")
        assert done.returncode == 0, done.stderr
        assert [station for station, *_ in january(sandbox)] == asked
        assert means() == [after, after]

    ledger = pd.read_parquet(staged.root / "2026-01-28" / "revisions.parquet")
    revised = [(r.station, r.old, r.new) for r in ledger.itertuples() if r.reading == "pm2_5"]
    assert revised == [(LIVE, 10.0, 500.0), (OTHER, 10.0, 500.0)]
    assert staged.database["revisions"].count_documents({"reading": "pm2_5"}) == 2
    written = {path for path, moment in files.items() if path.stat().st_mtime_ns != moment}
    assert {f"{path.parent.parent.name} {path.stem}" for path in written} == {"2026-01-28 10"}  # no bookkeeping either
    assert json.loads((staged.root / "rotation.json").read_text())["unloaded"] == []
