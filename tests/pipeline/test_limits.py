"""The limit on a run: stations without a turn are the next run's first, and no run blocks cron's next for ever."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
from support.deployment import Pipeline

from airqino.sandbox.server import Sandbox
from airqino.stores.locks import held
from airqino.stores.paths import Paths

LIVE, OTHER = "283181971", "283164601"
NOW = datetime(2026, 2, 20, 12, 5, tzinfo=UTC)
LAST = NOW.replace(hour=11, minute=0)


def raw_rows(pipeline: Pipeline) -> dict[str, tuple[str, str, int]]:
    rows = pq.ParquetFile(Paths(pipeline.root).raw(LAST)).read().to_pylist()
    return {row["station"]: (row["status"], row["reason"].partition(":")[0], row["attempts"]) for row in rows}


def test_stations_without_a_turn_are_the_next_runs_first_and_failed_ones_its_last(
    pipeline: Pipeline, sandbox: Sandbox, tmp_path: Path
) -> None:
    pipeline.configure(tmp_path / "luigi.cfg", run_seconds=9, concurrency=1, retries=0)  # 3 s for asking
    sandbox.override(LIVE, LAST, {"CO": 0.4, "PM2.5": 12.0})
    sandbox.add_fault("latency", station=OTHER, seconds=60)
    for moment, expected in (
        (NOW, {OTHER: ("failed", "SourceTimeoutError", 1), LIVE: ("failed", "NotAskedError", 0)}),
        (NOW + timedelta(hours=1), {OTHER: ("failed", "SourceTimeoutError", 2), LIVE: ("ok", "", 0)}),
    ):
        sandbox.now = moment
        done = pipeline.script(
            "run", "FetchHour", "--hour", f"{LAST:%Y-%m-%dT%H}", AIRQINO_NOW=f"{moment:%Y-%m-%dT%H:%M}"
        )
        assert done.returncode == 0, done.stderr
        assert ("1 of 2 stations had no turn" in done.stderr) == (moment == NOW)
        assert raw_rows(pipeline) == expected


def test_a_run_that_takes_too_long_ends_tells_and_leaves_the_way_free(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.configure(tmp_path / "luigi.cfg", run_seconds=3)
    with held(Paths(pipeline.root).lock("run")):  # as a backfill that hangs
        done = pipeline.hourly(f"{NOW:%Y-%m-%dT%H:%M}")
    assert done.returncode == 124
    assert done.stderr.splitlines()[-1] == (
        "ended after 3 s ([airqino] run_seconds); what is staged stays, run again to go on"
    )
    assert "Traceback" not in done.stderr
    listed = pipeline.script("alerts", "list", AIRQINO_NOW=f"{NOW:%Y-%m-%dT%H:%M}").stdout
    assert "Hourly failed" in listed
