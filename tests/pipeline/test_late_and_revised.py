"""Rows that come late, values that change, and the hour that is still running."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from support.deployment import Pipeline

from airqino.sandbox.server import Sandbox

LIVE, OTHER = "283181971", "283164601"
DAY = datetime(2026, 4, 7, tzinfo=UTC)


def calm(sandbox: Sandbox, first: datetime, hours: int) -> None:
    """Known rows without gaps: PM2.5 counts the hours, CO alternates."""
    for station in (LIVE, OTHER):
        for i in range(hours):
            row = {"CO": 0.1 * (i % 5), "PM2.5": float(i), "PM10": 50.0 + i}
            sandbox.override(station, first + timedelta(hours=i), row)


def run_at(pipeline: Pipeline, sandbox: Sandbox, moment: datetime) -> None:
    sandbox.now = moment
    done = pipeline.hourly(f"{moment:%Y-%m-%dT%H:%M}")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_a_late_row_and_a_changed_value_reach_the_mean_by_themselves(pipeline: Pipeline, sandbox: Sandbox) -> None:
    calm(sandbox, DAY - timedelta(days=1), 24 * 6)
    late, changed = DAY + timedelta(hours=6), DAY + timedelta(hours=8)
    sandbox.override(LIVE, late, None)
    sandbox.override(LIVE, late, {"CO": 0.2, "PM2.5": 100.0}, since=late + timedelta(hours=11))
    sandbox.override(LIVE, changed, {"CO": 0.3, "PM2.5": 200.0}, since=changed + timedelta(hours=31))
    values = [float(24 + i) for i in range(24)]

    def mean() -> tuple[int, float]:
        day = pipeline.database["daily_averages"].find_one({"_id": f"{LIVE}|{DAY:%Y-%m-%d}"})
        return day["pm2_5_hours"], day["pm2_5_mean"]

    # missing at 7:05, it is asked for again after 1, 2, 4 and 8 h; it shows from 17:00 on
    for hour in (7, 8, 10, 14):
        run_at(pipeline, sandbox, DAY + timedelta(hours=hour, minutes=5))
        there = [v for i, v in enumerate(values[:hour]) if i != 6]
        assert mean() == (hour - 1, pytest.approx(sum(there) / len(there)))
    values[6] = 100.0
    for hour in (22, 24):
        run_at(pipeline, sandbox, DAY + timedelta(hours=hour, minutes=5))
        assert mean() == (hour, pytest.approx(sum(values[:hour]) / hour))
    assert pipeline.documents("revisions") == {}

    # its whole day is read again 47 h after its end, in one request for each station
    reread = DAY + timedelta(hours=24 + 47, minutes=5)
    run_at(pipeline, sandbox, reread - timedelta(hours=1))
    assert mean() == (24, pytest.approx(sum(values) / 24))
    run_at(pipeline, sandbox, reread)
    values[8], old = 200.0, values[8]
    assert mean() == (24, pytest.approx(sum(values) / 24))
    revisions = {(r["reading"], r["old_reading"], r["new_reading"]) for r in pipeline.documents("revisions").values()}
    assert ("pm2_5", old, 200.0) in revisions
    ledger = pd.read_parquet(pipeline.root / f"{DAY:%Y-%m-%d}" / "revisions.parquet")
    assert set(ledger[ledger["reading"] == "pm2_5"]["observed_at"]) == {pd.Timestamp(changed)}


def test_a_change_rebuilds_one_day_and_no_other(pipeline: Pipeline, sandbox: Sandbox) -> None:
    """One hour of a day that is read again has changed: the next run writes that day's files alone."""
    calm(sandbox, DAY - timedelta(days=12), 24 * 17)
    end = DAY + timedelta(days=2)
    run_at(pipeline, sandbox, end + timedelta(minutes=5))
    changed = DAY + timedelta(hours=20)
    sandbox.override(LIVE, changed, {"CO": 0.3, "PM2.5": 500.0}, since=end)
    written = {path: path.stat().st_mtime_ns for path in pipeline.root.glob("*-*-*/*.parquet")}
    moment = DAY + timedelta(hours=24 + 47, minutes=10)
    sandbox.now = moment
    done = pipeline.luigi("LoadDay", "--day", f"{DAY:%Y-%m-%d}", AIRQINO_NOW=f"{moment:%Y-%m-%dT%H:%M}")
    assert done.returncode == 0, done.stderr
    after = {path: path.stat().st_mtime_ns for path in written}
    rewritten = {path.parent.name for path in written if written[path] != after[path]}
    assert rewritten == {f"{DAY:%Y-%m-%d}"}
    key = f"{LIVE}|{DAY:%Y-%m-%d}"
    assert (
        pipeline.database["daily_averages"].find_one({"_id": key})["pm2_5_mean"]
        == (sum(range(288, 312)) - 308 + 500) / 24
    )


@pytest.mark.parametrize("damage", ["emptied", "deleted"])
def test_a_ledger_that_is_lost_before_the_next_revision_has_both(
    pipeline: Pipeline, sandbox: Sandbox, damage: str
) -> None:
    """Whoever writes a revision finds no ledger then, and begins another one: what was loaded is still told."""
    calm(sandbox, DAY - timedelta(days=1), 24 * 3)
    ledger = pipeline.root / f"{DAY:%Y-%m-%d}" / "revisions.parquet"

    def revisions() -> list[tuple[datetime, float, float]]:
        rows = pd.read_parquet(ledger).query("reading == 'pm2_5'")
        return sorted(zip(rows["observed_at"], rows["old"], rows["new"], strict=True))

    changes = []
    for number, days in enumerate((2, 3)):
        changed, new = DAY + timedelta(hours=8 + number), 200.0 + number
        sandbox.override(LIVE, changed, {"CO": 0.3, "PM2.5": new}, since=DAY + timedelta(days=days))
        changes.append((pd.Timestamp(changed), float(24 + 8 + number), new))
    for days, known in ((1, []), (2, changes[:1]), (3, changes)):
        sandbox.now = DAY + timedelta(days=days, hours=1, minutes=5)
        done = pipeline.backfill(f"{DAY:%Y-%m-%d}", "--again", AIRQINO_NOW=f"{sandbox.now:%Y-%m-%dT%H:%M}")
        assert done.returncode == 0, done.stderr
        if known:
            assert revisions() == known
        if known and known != changes:
            ledger.write_bytes(b"") if damage == "emptied" else ledger.unlink()
            (one,) = pipeline.database["revisions"].find({"reading": "pm2_5"})
            # another pipeline's, in the same database
            pipeline.database["revisions"].insert_one(one | {"_id": one["_id"].replace(LIVE, "999"), "station": "999"})
            pipeline.database["revisions"].insert_one(
                {"_id": "stray", "station": LIVE, "observed_at": [DAY, DAY + timedelta(hours=1)]}
            )
    pipeline.database["revisions"].delete_many({"$or": [{"station": "999"}, {"_id": "stray"}]})
    found = pipeline.documents("revisions").values()
    assert len(found) == len(pd.read_parquet(ledger))
    done = pipeline.script("verify", f"{DAY:%Y-%m-%d}", "--check", AIRQINO_NOW=f"{sandbox.now:%Y-%m-%dT%H:%M}")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_running_hour_is_never_published(pipeline: Pipeline, sandbox: Sandbox) -> None:
    calm(sandbox, DAY - timedelta(days=4), 24 * 6)
    run_at(pipeline, sandbox, DAY + timedelta(hours=10, minutes=40))
    hours = [d["observed_at"] for d in pipeline.database["hourly_measurements"].find()]
    assert max(hours) == DAY + timedelta(hours=9)
    assert not list(pipeline.root.glob("2026-04-07/raw/10.parquet"))


def test_a_clock_two_hours_ahead_publishes_nothing_of_an_hour_not_over(pipeline: Pipeline, sandbox: Sandbox) -> None:
    """The API's own clock decides which hour is over; with the clock right, the next run has all of it."""
    calm(sandbox, DAY - timedelta(days=11), 24 * 13)
    sandbox.now = DAY + timedelta(hours=10, minutes=40)
    done = pipeline.hourly(f"{sandbox.now + timedelta(hours=2):%Y-%m-%dT%H:%M}")
    assert done.returncode == 30
    assert "set the clock right" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(pipeline.root.glob("*-*-*/raw/*.parquet"))  # the clock is checked before anything is written
    assert pipeline.documents("forecasts") == {}
    run_at(pipeline, sandbox, DAY + timedelta(hours=11, minutes=10))
    hours = [d["observed_at"] for d in pipeline.database["hourly_measurements"].find({"station": LIVE})]
    assert max(hours) == DAY + timedelta(hours=10)
    assert {DAY + timedelta(hours=h) for h in range(11)} <= set(hours)
    assert len(set(hours)) == len(hours)
