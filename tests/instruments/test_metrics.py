"""Metrics of real runs against what the sandbox and MongoDB counted themselves."""

import base64
import json
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.deployment import Pipeline
from support.receivers import Web

from airqino.sandbox.mongod import free_port
from airqino.sandbox.server import Sandbox
from airqino.stores import parquet

NOW = datetime(2026, 2, 20, 12, 5, tzinfo=UTC)
LAST = NOW.replace(hour=11, minute=0)
LIVE, OTHER = "283181971", "283164601"


def values(text: str) -> dict[str, float]:
    """``name{label,label}`` → value."""
    return {
        f"{s.name}{{{','.join(s.labels[name] for name in sorted(s.labels))}}}" if s.labels else s.name: s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }


def labelled(found: dict[str, float], name: str) -> dict[str, float]:
    prefix = f"airqino_{name}{{"
    return {key.removeprefix(prefix).removesuffix("}"): v for key, v in found.items() if key.startswith(prefix)}


@pytest.mark.parametrize("workers", ["1", "4"])
def test_a_run_is_measured_and_a_failing_one_keeps_the_last_success(
    quick: Pipeline, sandbox: Sandbox, web: Web, tmp_path: Path, workers: str
) -> None:
    file = tmp_path / "airqino.prom"
    quick.env |= {"METRICS_TEXTFILE": str(file), "PUSHGATEWAY_URL": f"http://push:geheim@127.0.0.1:{web.port}"}
    sandbox.override(OTHER, LAST, None)
    sandbox.override(OTHER, LAST - timedelta(hours=1), None)
    began = datetime.now(UTC).timestamp()
    done = quick.script("hourly", "--workers", workers)
    assert done.returncode == 0, done.stderr
    found = values(file.read_text())

    stats, documents = sandbox.stats(), list(quick.database["hourly_measurements"].find())
    assert labelled(found, "requests") == stats["by_status"] == {"200": 2}
    assert found["airqino_rows_fetched"] == sum(window["rows"] for window in stats["windows"])
    assert found["airqino_hours_fetched"] == len(documents) > 40
    upserted = labelled(found, "documents_upserted")
    assert upserted["hourly_measurements"] == len(documents)
    for name in ("daily_averages", "coverage", "forecasts"):
        assert upserted[name] == quick.database[name].count_documents({})
    assert found["airqino_run_success"] == 1
    assert found["airqino_last_success_timestamp_seconds"] == pytest.approx(datetime.now(UTC).timestamp(), abs=20)
    assert found["airqino_last_success_timestamp_seconds"] >= int(began)
    assert 0 < found["airqino_run_duration_seconds"] < 60
    assert {"FetchHour", "CleanDay", "DailyMeans", "LoadDay", "Forecast"} <= labelled(
        found, "stage_duration_seconds"
    ).keys()
    assert labelled(found, "tasks_failed") == {}
    assert found["airqino_revised_readings"] == 0
    by_station = Counter(d["station"] for d in documents if d["observed_at"] > LAST - timedelta(hours=24))
    assert labelled(found, "completeness_ratio") == {s: pytest.approx(by_station[s] / 24) for s in (LIVE, OTHER)}
    newest = {s: max(d["observed_at"] for d in documents if d["station"] == s).timestamp() for s in (LIVE, OTHER)}
    assert labelled(found, "newest_hour_timestamp_seconds") == newest
    assert newest[OTHER] < newest[LIVE]
    assert labelled(found, "sensor_dead").keys() == {
        f"{sensor},{s}" for sensor in ("co", "pm2_5", "pm10", "no2", "o3") for s in (LIVE, OTHER)
    }
    assert 0 < found["airqino_disk_free_ratio"] < 1
    assert labelled(found, "open_incidents")["task_failed"] == 0

    method, path, headers, body = web.requests[-1]
    assert (method, path) == ("PUT", "/metrics/job/airqino")
    assert headers["Authorization"] == "Basic " + base64.b64encode(b"push:geheim").decode()
    assert values(body.decode()) == found

    sandbox.add_fault("server_error_500")
    sandbox.now = NOW + timedelta(hours=1)
    done = quick.script("hourly", "--workers", workers, AIRQINO_NOW=f"{sandbox.now:%Y-%m-%dT%H:%M}")
    assert done.returncode == 30, done.stderr
    later = values(file.read_text())
    assert later["airqino_run_success"] == 0
    assert later["airqino_last_success_timestamp_seconds"] == found["airqino_last_success_timestamp_seconds"]
    assert later["airqino_last_run_timestamp_seconds"] > found["airqino_last_run_timestamp_seconds"]
    assert labelled(later, "tasks_failed") == {"FetchHour": 1}
    assert labelled(later, "requests") == {"500": 2}
    assert later["airqino_hours_fetched"] == later["airqino_rows_fetched"] == 0
    assert labelled(later, "open_incidents")["task_failed"] == 1
    assert values(web.requests[-1][3].decode()) == later


def test_requests_without_an_answer_are_told_apart(quick: Pipeline, sandbox: Sandbox, tmp_path: Path) -> None:
    file = tmp_path / "airqino.prom"
    quick.configure(tmp_path / "luigi.cfg", read_timeout_seconds=2)
    sandbox.add_fault("latency", seconds=6, station=OTHER)
    done = quick.hourly(METRICS_TEXTFILE=str(file))
    assert done.returncode == 0, done.stderr
    assert labelled(values(file.read_text()), "requests") == {"200": 1, "timeout": 1}
    done = quick.hourly(
        METRICS_TEXTFILE=str(file),
        AIRQINO_BASE_URL=f"http://127.0.0.1:{free_port()}",
        AIRQINO_NOW=f"{NOW + timedelta(hours=1):%Y-%m-%dT%H:%M}",
    )
    assert done.returncode == 30, done.stderr
    assert labelled(values(file.read_text()), "requests") == {"unreachable": 2}


def test_neither_a_gateway_nor_a_folder_that_is_missing_fails_a_run(quick: Pipeline, tmp_path: Path) -> None:
    url = f"http://push:geheim99@127.0.0.1:{free_port()}"
    done = quick.hourly(METRICS_TEXTFILE=str(tmp_path / "nowhere" / "x.prom"), PUSHGATEWAY_URL=url)
    assert done.returncode == 0, done.stderr
    assert "WARNING [metrics] textfile failed (FileNotFoundError" in done.stderr
    assert "WARNING [metrics] pushgateway_url failed (URLError" in done.stderr
    assert "geheim99" not in done.stderr


def test_scores_of_the_forecasts_are_measured(quick: Pipeline, tmp_path: Path) -> None:
    file, day = tmp_path / "airqino.prom", f"{NOW - timedelta(days=1):%Y-%m-%d}"
    assert quick.hourly().returncode == 0
    row = {"station": LIVE, "pollutant": "co", "day": day, "window_days": 7, "drift": False}
    rows = [row | {"horizon_h": h, "skill": 0.1 * h, "coverage80": 0.8} for h in (1, 2)]
    rows.append(row | {"pollutant": "pm2_5", "horizon_h": 1, "skill": float("nan"), "coverage80": 0.7})
    rows.append(row | {"window_days": 30, "horizon_h": 1, "skill": 9.0, "coverage80": 9.0})
    for of in (day, f"{NOW:%Y-%m-%d}"):
        parquet.write(quick.root / of / "scores.parquet", pa.Table.from_pylist(rows))
    code = (
        "from pathlib import Path; from tasks.instruments import metrics; from tasks.instruments.incidents import Book;"
        "from tasks.instruments.observed import observe; from tasks.instruments.tally import Tally;"
        f"registry = metrics.gauges(observe(Path({str(quick.root)!r})), Tally(), Book(), None, 0, 0.0, 0.0);"
        f"metrics.write(registry, Path({str(file)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=quick.env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = values(file.read_text())
    assert labelled(found, "forecast_skill") == {f"1,co,{LIVE}": 0.1, f"2,co,{LIVE}": 0.2}
    assert labelled(found, "forecast_coverage80") == {f"1,co,{LIVE}": 0.8, f"2,co,{LIVE}": 0.8, f"1,pm2_5,{LIVE}": 0.7}
    assert "airqino_last_success_timestamp_seconds" not in found
    assert json.loads((quick.root / "last_success.json").read_text())["hour"] == "2026-02-20T11"
