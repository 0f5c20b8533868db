"""Ten months of real answers, from JSON to MongoDB."""

import json
import math
from datetime import UTC, datetime, timedelta

import pandas as pd
import pyarrow.parquet as pq
import pytest
from support.deployment import REAL, Pipeline

from airqino.sandbox.mongod import Mongod
from airqino.sandbox.server import Sandbox

pytestmark = [
    pytest.mark.drill,
    pytest.mark.skipif(not REAL.exists(), reason="the real responses lie beside the repository, not in it"),
]
STATIONS = ("283181971", "283164601")
RANGE = ("2023-09-10T11", "2024-06-30T23")


@pytest.fixture(scope="module")
def replay():
    with Sandbox(replay=REAL) as server:
        yield server


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, mongod: Mongod, replay: Sandbox) -> Pipeline:
    pipeline = Pipeline(tmp_path_factory.mktemp("real"), mongod, replay.url)
    done = pipeline.backfill(*RANGE, "--yes")
    assert done.returncode == 0, done.stderr
    return pipeline


def expected(reading: str) -> pd.Series:
    """Daily means straight from the JSON, by (station, day)."""
    frames = []
    for station in STATIONS:
        rows = pd.DataFrame(json.loads((REAL / f"{station}.json").read_text())["data"])
        frames.append(rows.assign(station=station, day=rows["timestamp"].str[:10]))
    return pd.concat(frames).groupby(["station", "day"])[reading].mean()


def test_daily_means_equal_those_of_the_json(filled: Pipeline) -> None:
    documents = filled.documents("daily_averages")
    for name, reading in (("co", "CO"), ("pm2_5", "PM2.5"), ("pm10", "PM10"), ("no2", "NO2"), ("o3", "O3")):
        field, wanted = f"{name}_mean", expected(reading)
        got = {(d["station"], d["day"]): d[field] for d in documents.values()}
        assert set(got) == set(wanted.index)
        assert all(math.isclose(got[key], mean, abs_tol=1e-9) for key, mean in wanted.items())


def test_every_row_of_the_json_is_one_hourly_document(filled: Pipeline) -> None:
    documents = filled.documents("hourly_measurements")
    rows = {
        f"{station}|{row['timestamp'][:10]}T{row['timestamp'][11:13]}": row
        for station in STATIONS
        for row in json.loads((REAL / f"{station}.json").read_text())["data"]
    }
    assert documents.keys() == rows.keys()
    names = {"co": "CO", "no2": "NO2", "o3": "O3", "pm10": "PM10", "pm2_5": "PM2.5", "t": "T", "rh": "RH"}
    for key, row in rows.items():
        assert {ours: documents[key][ours] for ours in names} == {
            ours: row.get(theirs) for ours, theirs in names.items()
        }


def test_the_sensor_at_its_floor_is_known_and_neither_is_called_dead(filled: Pipeline) -> None:
    stations = filled.documents("stations")
    assert stations["283164601"]["sensor_faults"] == {"co": "at_floor"}
    assert stations["283181971"]["sensor_faults"] == {}
    assert [station["dead_sensors"] for station in stations.values()] == [[], []]
    assert stations["283181971"]["longitude"] == pytest.approx(-3.957688)  # the API says +3.957688


def test_no_day_of_zeros_is_called_ok(filled: Pipeline) -> None:
    days = list(filled.documents("daily_averages").values())
    zeros = [day for day in days if day["co_mean"] == 0]
    assert len(zeros) > 200
    assert {day["co_quality"] for day in zeros} <= {"suspect", "insufficient"}
    assert {day["co_above_who"] for day in zeros} == {None}


def writes(pipeline: Pipeline) -> dict[str, list[int]]:
    """How often each collection of the pipeline's database was written to.

    The server's own counters would not do: it keeps books of its sessions every five minutes.
    """
    totals = pipeline.client.admin.command("top")["totals"]
    return {
        name: [of[kind]["count"] for kind in ("insert", "update", "remove")]
        for name, of in totals.items()
        if name.startswith(f"{pipeline.database_name}.")
    }


def test_when_hours_have_settled_a_run_asks_almost_nothing_and_writes_nothing(
    filled: Pipeline, replay: Sandbox
) -> None:
    """Hours without a row are asked for a second time a day later, and by then nothing is."""
    later = {"AIRQINO_NOW": f"{datetime.now(UTC) + timedelta(days=1, hours=1):%Y-%m-%dT%H:%M}"}
    replay.now = datetime.now(UTC) + timedelta(days=1, hours=1)
    done = filled.backfill(*RANGE, "--yes", **later)
    assert done.returncode == 0, done.stderr
    before, counters = filled.state(), writes(filled)
    changed = {path: path.stat().st_mtime_ns for path in filled.root.glob("*-*-*/*.parquet")}
    replay.reset()
    for moment in (later, {"AIRQINO_NOW": f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%dT%H:%M}"}):
        done = filled.backfill(*RANGE, "--yes", **moment)
        assert done.returncode == 0, done.stderr
        # but for hours in a gap longer than what is asked for: such an answer is empty, and confirms nothing
        assert replay.stats()["data_requests"] <= 3
        replay.reset()
    assert writes(filled) == counters
    assert changed == {path: path.stat().st_mtime_ns for path in filled.root.glob("*-*-*/*.parquet")}
    assert filled.state() == before


def test_every_hour_has_a_row_for_each_station(filled: Pipeline) -> None:
    files = list(filled.root.glob("2024-0[1-3]-*/raw/*.parquet"))
    assert len(files) == 24 * (31 + 29 + 31)
    for path in files[::50]:
        assert pq.ParquetFile(path).read(["station"]).column(0).to_pylist() == sorted(STATIONS)
