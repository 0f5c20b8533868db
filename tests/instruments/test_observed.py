"""Stations, sensors, forecasts and the disk: alerts from real staged files and a real MongoDB."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import luigi
import pandas as pd
import pyarrow as pa
import pytest
from support.deployment import Pipeline
from support.inprocess import configured
from support.receivers import Web
from support.scores import summarised

from airqino.sandbox.server import Sandbox
from airqino.stores import parquet
from tasks import stage
from tasks.instruments import observed
from tasks.instruments.incidents import read
from tasks.instruments.observed import Success, last_success, note_success
from tasks.instruments.presence import presence
from tasks.settings.reading import settings

NOW = datetime(2026, 2, 20, 12, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
LIVE, OTHER = "283181971", "283164601"


def run_at(pipeline: Pipeline, sandbox: Sandbox, moment: datetime) -> None:
    sandbox.now = moment
    done = pipeline.hourly(f"{moment:%Y-%m-%dT%H:%M}")
    assert done.returncode == 0, done.stderr


def calm(sandbox: Sandbox, first: datetime, hours: int) -> None:
    """Rows without gaps, spikes or equal neighbours."""
    for station in (LIVE, OTHER):
        for i in range(hours):
            sandbox.override(station, first + i * HOUR, row(first + i * HOUR))


def row(hour: datetime) -> dict[str, float]:
    return {"CO": 0.2 + 0.1 * (hour.hour % 3), "PM2.5": 10.0 + hour.hour % 5}


def test_a_station_falls_silent_and_comes_back(alerted: Pipeline, sandbox: Sandbox, web: Web) -> None:
    calm(sandbox, NOW.replace(hour=0) - 24 * HOUR, 40)
    for hour in range(6, 14):  # off from 06:00 to 13:59
        sandbox.override(OTHER, NOW.replace(hour=hour, minute=0), None)
    run_at(alerted, sandbox, NOW - HOUR)  # five hours without: not yet
    assert web.titles == []
    for moment in (NOW, NOW + HOUR):
        run_at(alerted, sandbox, moment)
    assert web.titles == [f"[AirQino] station SMART188 ({OTHER}) is silent"]
    message = web.alerts[0]["message"]
    assert "since 2026-02-20 06:00 UTC" in message
    assert "Its newest hour with a reading is 2026-02-20T05 (UTC). The API says of the last hour: no row" in message
    assert "\n    scripts/rerun FetchHour --hour 2026-02-20T06 --backfill\n" in message
    run_at(alerted, sandbox, NOW + 3 * HOUR)
    assert web.titles[1:] == [f"[AirQino] resolved: station SMART188 ({OTHER}) is silent"]


def test_a_sensor_falls_silent_then_a_field_is_renamed_and_both_come_back(
    alerted: Pipeline, sandbox: Sandbox, web: Web
) -> None:
    calm(sandbox, NOW.replace(hour=0) - 24 * HOUR, 40)
    for hour in range(6, 13):  # one sensor of one station
        sandbox.override(OTHER, NOW.replace(hour=hour), row(NOW.replace(hour=hour)) | {"CO": None})
    for station in (LIVE, OTHER):
        values = dict.fromkeys(("CO", "PM2.5")) if station == OTHER else {"PM2.5": None}
        sandbox.override(station, NOW, row(NOW) | values | {"fine dust": 9.0})
    run_at(alerted, sandbox, NOW - HOUR)  # five hours without: not yet
    assert web.titles == []
    run_at(alerted, sandbox, NOW)
    assert web.titles == [f"[AirQino] CO sensor of SMART188 ({OTHER}) is silent"]
    assert "since 2026-02-20 06:00 UTC" in web.alerts[0]["message"]
    run_at(alerted, sandbox, NOW + HOUR)
    assert web.titles[1:] == ["[AirQino] the API's shape has changed: no station sends 'PM2.5' any more"]
    assert "Unknown fields have appeared: 'fine dust'." in web.alerts[1]["message"]
    run_at(alerted, sandbox, NOW + 3 * HOUR)
    assert sorted(web.titles[2:]) == sorted(title.replace("] ", "] resolved: ") for title in web.titles[:2])


@pytest.mark.parametrize(
    ("value", "title", "text"),
    [
        (0.0, "is at its floor", "0.0 for days: it is mis-zeroed or dead, have it checked"),
        (0.4, "is dead", "zero or the same value for days"),
    ],
)
def test_a_dead_sensor_is_told_once(
    alerted: Pipeline, sandbox: Sandbox, web: Web, tmp_path: Path, value: float, title: str, text: str
) -> None:
    alerted.configure(tmp_path / "luigi.cfg", late_window_hours=96)
    calm(sandbox, NOW.replace(hour=0) - 5 * 24 * HOUR, 6 * 24)
    for back in range(1, 110):
        sandbox.override(LIVE, NOW.replace(minute=0) - back * HOUR, {"CO": value})
    for moment in (NOW, NOW + HOUR):
        run_at(alerted, sandbox, moment)
    assert web.titles == [f"[AirQino] CO sensor of SMART189 ({LIVE}) {title}"]
    assert f"As of 2026-02-20T11 (UTC) it reports {text}" in web.alerts[0]["message"]
    assert web.alerts[0]["type"] == "warning"


def test_the_source_rewrites_its_past(alerted: Pipeline, sandbox: Sandbox, web: Web) -> None:
    calm(sandbox, NOW.replace(hour=0) - 24 * HOUR, 36)
    run_at(alerted, sandbox, NOW)
    for back in range(1, 25):  # a day of two stations, which is read again as a whole
        for station in (LIVE, OTHER):
            hour = NOW.replace(hour=0, minute=0) - back * HOUR
            sandbox.override(station, hour, row(hour) | {"PM2.5": 99.0}, since=NOW + HOUR)
    run_at(alerted, sandbox, NOW + 47 * HOUR)
    (alert_sent,) = [alert for alert in web.alerts if "past readings" in alert["title"]]
    assert alert_sent["title"] == "[AirQino] the source has changed 48 past readings in one run"
    assert f"SMART189 ({LIVE}): 24 readings of 2026-02-19T00…2026-02-19T23" in alert_sent["message"]
    assert "\n    scripts/backfill 2026-02-19T00 2026-02-19T23 --again\n" in alert_sent["message"]
    run_at(alerted, sandbox, NOW + 72 * HOUR)
    over = [title for title in web.titles if "resolved: the source" in title]
    assert len(over) == 1


def test_a_disk_that_fills_up(alerted: Pipeline, web: Web, tmp_path: Path) -> None:
    alerted.configure(tmp_path / "luigi.cfg", disk_free_share=1)  # no disk is that empty
    for _ in range(2):
        assert alerted.script("alerts", "check").returncode == 1
    alerted.configure(tmp_path / "luigi.cfg", disk_free_share=0.000001)
    assert alerted.script("alerts", "check").returncode == 0
    assert len(web.titles) == 2
    assert web.titles[0].startswith("[AirQino] only ")
    assert f"% of the disk of {alerted.root} is free" in web.titles[0]
    assert web.titles[1] == web.titles[0].replace("only", "resolved: only")


def scored(pipeline: Pipeline, day: date, error: float) -> None:
    """Stage scores of a week in which every forecast was wrong by so much, and persistence by 5."""
    at = pd.date_range(f"{day - timedelta(days=6)}", periods=168, freq="h", tz="UTC")
    week = pd.DataFrame({"target_at": at, "station": LIVE, "pollutant": "pm2_5", "horizon_h": 1, "method": "lightgbm"})
    week = week.assign(last_value=25.0, p50=20.0 + error, p10=19.0 + error, p90=21.0 + error)
    hourly = pd.DataFrame({"observed_at": at, "station": LIVE, "pm2_5": 20.0, "pm2_5_flag": "ok"})
    scores = summarised(week, hourly, [day], pollutants=["pm2_5"])[day]
    table = pa.Table.from_pandas(scores, preserve_index=False)
    parquet.write(pipeline.root / f"{day}" / "scores.parquet", table)


def test_forecasts_that_drift(alerted: Pipeline, web: Web) -> None:
    scored(alerted, NOW.date(), error=10.0)
    assert alerted.script("alerts", "check").returncode == 1
    assert web.titles == [f"[AirQino] PM2.5 forecasts at SMART189 ({LIVE}) have drifted"]
    message = web.alerts[0]["message"]
    assert "In the 7 days up to 2026-02-20: 1 h ahead: skill -1.00, 0% inside the 80 % band" in message  # 1 - 10 / 5
    (alerted.root / f"{NOW.date()}" / "scores.parquet").unlink()
    assert alerted.script("alerts", "check").returncode == 1  # nothing is known: it stays open
    scored(alerted, NOW.date(), error=0.5)
    # inside the band in 100 % of the hours is a drift of the band
    assert alerted.script("alerts", "check").returncode == 1
    week = alerted.root / f"{NOW.date()}" / "scores.parquet"
    frame = parquet.read(week).to_pandas().assign(drift=False)
    parquet.write(week, pa.Table.from_pandas(frame, preserve_index=False))
    assert alerted.script("alerts", "check").returncode == 0
    assert len(web.titles) == 2


def test_the_event_of_a_drift_opens_the_incident_that_the_scores_confirm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Scores(luigi.Task):
        day = luigi.DateParameter()

    monkeypatch.setenv("STAGING_ROOT", str(tmp_path))
    from tasks.instruments import hook

    task = Scores(day=date(2024, 9, 9))
    task.trigger_event(stage.DRIFT, task, [("77", "co")])
    hook.mark_sent()  # this process has nobody to tell at its end
    (one,) = read(tmp_path).open()
    assert one.key == "drift|77 co"
    assert "2024-09-09" in one.text


@pytest.mark.parametrize(("until", "retired"), [("2024-09-09T09", True), ("2024-09-09T10", False), ("", False)])
def test_a_station_is_retired_when_its_last_hour_of_service_is_over(tmp_path: Path, until: str, retired: bool) -> None:
    options = {"staging": {"root": f"{tmp_path}"}, f"stations.{LIVE}": {"valid_to": until}}
    with configured(tmp_path, options, AIRQINO_NOW="2024-09-09T11:05"):
        state = {
            station.station: station.retired for station in observed._stations(settings(), presence([], {}), {}, {})
        }
    assert state == {LIVE: retired, OTHER: False}


@pytest.mark.parametrize(
    "text",
    [
        '{"hour": "2024-09-09T10", "at": "2024-09-09T11:05:00"}',
        '{"hour": "2024-09-09T10", "at": "2999-01-01T00:00:00Z"}',
        '{"hour": "\\u001b[2J", "at": "2024-09-09T11:05:00Z"}',
        '{"hour": 7, "at": "2024-09-09T11:05:00Z"}',
        "",
    ],
)
def test_a_last_success_that_cannot_be_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "last_success.json").write_text(text)
    assert last_success(tmp_path) is None
    note_success(tmp_path, "2024-09-09T10", datetime(2024, 9, 9, 11, 5, tzinfo=UTC))
    assert last_success(tmp_path) == Success("2024-09-09T10", datetime(2024, 9, 9, 11, 5, tzinfo=UTC))
