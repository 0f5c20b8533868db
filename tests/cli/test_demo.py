"""The demo, as a newcomer runs it: with the servers kept, another command on them, and once more."""

import json
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.deployment import ROOT, without_settings

from airqino.sandbox import series
from tasks.cli import demo as demo_command
from tasks.cli.demo_servers import Servers
from tasks.train import monday


def airqino(tmp_path: Path, *arguments: str, **env: str) -> str:
    """Run a command on a machine that has settings of its own, none of which may reach the demo."""
    etc = tmp_path / "etc"
    etc.mkdir(exist_ok=True)
    (etc / "airqino.env").write_text(
        f"AIRQINO_STATIONS='1'\nSTAGING_ROOT='{tmp_path / 'of the machine'}'\nMONGODB_DATABASE='of_the_machine'\n"
    )
    own = {"STAGING_ROOT": f"{tmp_path / 'staging'}", "AIRQINO_CONFIG_DIR": f"{etc}", "COLUMNS": "80"}
    done = subprocess.run(
        [sys.executable, "-m", "tasks.cli", *arguments],
        env=without_settings() | own | env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "of the machine").exists()
    return done.stdout


def demo(tmp_path: Path, *arguments: str) -> str:
    shown = airqino(tmp_path, "demo", *arguments)
    unbroken = ("the public page: ", "published: ", "export ", "open alert")
    told = (" station-hours ", " valid of ")  # of a backfill: sentences, which a terminal wraps
    long = [line for line in shown.splitlines() if len(line.rstrip()) > 80 and not line.startswith(unbroken)]
    assert [line for line in long if not any(text in line for text in told)] == []
    return shown


def last_hour(shown: str) -> str:
    return re.search(r"^(.*) UTC, the last hour", shown, re.MULTILINE).group(1)


def alerts_of(last: datetime, now: datetime) -> Iterator[str]:
    """What is wrong with the sandbox's network as it is: a sensor at its floor, and at times a station that is off."""
    for station in series.DEFAULT_STATIONS:
        rows = series.rows(station, last - timedelta(days=30), last, now)
        if datetime.fromisoformat(f"{rows[-1]['timestamp']}+00:00") <= last - timedelta(hours=6):
            yield f"station {series.header(station)['station_name']} ({station}) is silent"
    # judged by the readings of the last hour's day and the day before
    if series.rows("283164601", last.replace(hour=0) - timedelta(days=1), last, now):
        yield "CO sensor of SMART188 (283164601) is at its floor"


@pytest.mark.drill
@pytest.mark.timeout(1200)
def test_the_demo_shows_all_stages_and_leaves_nothing_to_do(tmp_path: Path) -> None:
    root = tmp_path / "staging" / "demo"
    try:
        asked_between = [datetime.now(UTC)]
        first = demo(tmp_path, "--keep")
        asked_between.append(datetime.now(UTC))
        stages = ("FetchHour", "CleanDay", "DailyMeans", "LoadDay", "TrainModel", "Forecast", "ScoreForecasts")
        assert all(f"stage {stage}" in first for stage in stages)
        ledgers = [pq.read_table(path) for path in tmp_path.rglob("revisions.parquet")]
        assert sum(table["reading"].to_pylist().count("pm2_5") for table in ledgers) >= 3
        page = Path(re.search(r"^the public page: (\S+)$", first.splitlines()[-1]).group(1))
        assert "µg/m³" in page.read_text()
        # a bound is no number: neither of the hour nor at the end of a band
        assert not re.search(r"[( –]0\.00\b", first)
        # a row that is late may come while it runs
        last = datetime.strptime(f"{last_hour(first)}+0000", "%Y-%m-%d %H:%M%z")
        alerts = re.findall("^open alert.*: (.*)$", first, re.MULTILINE)
        assert sorted(alerts) in [sorted(alerts_of(last, asked)) for asked in asked_between]

        exports = dict(shlex.split(line)[1].split("=", 1) for line in first.splitlines() if line.startswith("export "))
        assert exports.keys() == {
            *("AIRQINO_CONFIG_DIR", "AIRQINO_BASE_URL", "MONGODB_URI", "LUIGID_URL", "STAGING_ROOT", "PUBLISH_ROOT")
        }
        models = sorted(path.name for path in (root / "models").iterdir())
        began = time.monotonic()
        airqino(tmp_path, "hourly", **exports)
        took = time.monotonic() - began
        # the first hour of a week that is over brings a model of its own
        if monday((datetime.now(UTC) - timedelta(hours=1)).date()) == monday(last.date()):
            assert sorted(path.name for path in (root / "models").iterdir()) == models, f"it trained, in {took:.0f} s"
        listed = airqino(tmp_path, "alerts", "list", **exports)
        assert [title for title in alerts if title.startswith("CO") and title not in listed] == []
        assert (root / "environment").read_text() == "demo\n"

        again = demo(tmp_path)
        # an hour that ends between the two runs is fetched; else only hours that had no row are asked for again, in one
        # request for each station and month
        if last_hour(first) == last_hour(again):
            assert int(re.search(r"requests to the API in this run: (\d+)", again).group(1)) <= 2 * 3
        demo(tmp_path, "--keep")
    finally:
        # in a shell with the exports as well: they name the demo itself
        airqino(tmp_path, "demo", "--stop", STAGING_ROOT=f"{root}")
    assert not (root / "servers.json").exists()
    assert not (root / "demo").exists()


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "–"), (0.0, "< 0.01"), (0.0049, "< 0.01"), (0.006, "0.01"), (17.4, "17.40")]
)
def test_a_value_that_is_hardly_any_is_shown_as_a_bound(value: float | None, shown: str) -> None:
    assert demo_command._number(value) == shown


def test_the_server_of_another_that_has_the_id_of_one_of_ours_is_not_stopped(tmp_path: Path) -> None:
    """After a reboot ids are used again: here another mongod has that of the demo's."""
    command = [sys.executable, "-c", "import time; time.sleep(60)", "mongod", "--port", "27017"]
    with subprocess.Popen(command) as other:
        text = {"ports": {"mongod": 40001, "luigid": 40002}, "pids": {"mongod": other.pid, "luigid": 2**22 + 1}}
        (tmp_path / "servers.json").write_text(json.dumps(text))
        assert Servers(tmp_path).pids == {}
        assert other.poll() is None
        other.kill()
