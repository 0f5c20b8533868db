"""scripts/status: the room that files and documents take, against du, df and dbStats."""

import json
import shutil
import subprocess
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from support.deployment import Pipeline

from airqino.sandbox.server import Sandbox

NOW = datetime(2026, 3, 10, 12, 5, tzinfo=UTC)


def allocated(*folders: Path) -> int:
    """What du counts of the files in some folders, in bytes."""
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    listed = subprocess.run(["du", "--block-size=1", *map(str, files)], capture_output=True, text=True, check=True)
    return sum(int(line.split()[0]) for line in listed.stdout.splitlines())


@pytest.mark.drill
def test_status_tells_the_room_that_is_taken_and_how_long_there_is_enough(pipeline: Pipeline, sandbox: Sandbox) -> None:
    sandbox.now = NOW
    now = f"{NOW:%Y-%m-%dT%H:%M}"
    assert pipeline.backfill("2026-02-01T00", "2026-03-10T11", AIRQINO_NOW=now).returncode == 0
    # MongoDB's files grow at its checkpoints, one a minute: with none between the two readings they are alike.
    pipeline.database.client.admin.command("fsync")
    done = pipeline.script("status", "--json", AIRQINO_NOW=now)
    found = json.loads(done.stdout)
    room = found["disk"]
    assert room["staging_bytes"] == allocated(pipeline.root)
    days = [pipeline.root / f"{date(2026, 3, 10) - timedelta(days=back)}" for back in range(1, 31)]
    assert room["growth_bytes_per_day"] == pytest.approx(allocated(*days) / 30)
    free = shutil.disk_usage(pipeline.root)
    assert room["free_bytes"] == pytest.approx(free.free, rel=0.05)
    assert room["free_share"] == pytest.approx(free.free / (free.free + free.used), rel=0.05)
    assert room["days_until_full"] == pytest.approx(room["free_bytes"] / room["growth_bytes_per_day"])
    assert found["database"]["database_bytes"] == pipeline.database.command("dbStats")["totalSize"]
    assert found["database"]["database_free_bytes"] > 0
    shown = pipeline.script("status", AIRQINO_NOW=now).stdout
    assert "staging root: " in shown
    assert " a day: enough for " in shown
    assert "; database: " in shown


def test_status_names_the_sensors_that_say_nothing_of_the_air(pipeline: Pipeline) -> None:
    faults = {"co": "at_floor", "pm2_5": None, "rh": "dead", "no2": ["by hand"]}
    pipeline.database["stations"].insert_many(
        [{"_id": "283164601", "sensor_faults": faults}, {"_id": "283181971", "sensor_faults": 5}]
    )
    assert json.loads(pipeline.script("status", "--json").stdout)["sensor_faults"] == {"283164601": {"co": "at_floor"}}
    told = pipeline.script("status").stdout
    assert "CO says nothing of the air: at floor" in told
    assert told.count("says nothing of the air") == 1


def test_without_staged_days_there_is_no_growth_to_tell(pipeline: Pipeline) -> None:
    found = json.loads(pipeline.script("status", "--json").stdout)
    assert (found["disk"]["staging_bytes"], found["disk"]["growth_bytes_per_day"]) == (0, None)
    assert found["disk"]["days_until_full"] is None
    assert not pipeline.root.exists()
    away = json.loads(pipeline.script("status", "--json", MONGODB_URI="mongodb://127.0.0.1:9/").stdout)
    assert away["database"] is None
    assert away["disk"]["free_bytes"] > 0
