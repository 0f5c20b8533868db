"""The demo, as a newcomer runs it: twice."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.deployment import ROOT

from tasks.cli.demo import Servers


def demo(staging: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tasks.cli", "demo"],
        env=os.environ | {"STAGING_ROOT": str(staging), "COLUMNS": "80"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert max(len(line.rstrip()) for line in done.stdout.splitlines() if not line.endswith("index.html")) <= 80
    return done.stdout


@pytest.mark.drill
@pytest.mark.timeout(900)
def test_the_demo_shows_all_stages_and_does_nothing_twice(tmp_path: Path) -> None:
    first = demo(tmp_path)
    stages = ("FetchHour", "CleanDay", "DailyMeans", "LoadDay", "TrainModel", "Forecast", "ScoreForecasts")
    assert all(f"stage {stage}" in first for stage in stages)
    ledgers = [pq.read_table(path) for path in tmp_path.rglob("revisions.parquet")]
    assert sum(table["reading"].to_pylist().count("pm2_5") for table in ledgers) >= 3
    page = Path(re.search(r"^the public page: (\S+)$", first.splitlines()[-1]).group(1))
    assert "µg/m³" in page.read_text()
    again = demo(tmp_path)
    # an hour that ends between the two runs is fetched; else only hours that had no row are asked for again, in one
    # request for each station and month
    heads = [re.search(r"^(.*) UTC, the last hour", text, re.MULTILINE).group(1) for text in (first, again)]
    if heads[0] == heads[1]:
        assert int(re.search(r"requests to the API in this run: (\d+)", again).group(1)) <= 2 * 3


def test_the_server_of_another_that_has_the_id_of_one_of_ours_is_not_stopped(tmp_path: Path) -> None:
    """After a reboot ids are used again: here another mongod has that of the demo's."""
    command = [sys.executable, "-c", "import time; time.sleep(60)", "mongod", "--port", "27017"]
    with subprocess.Popen(command) as other:
        text = {"ports": {"mongod": 40001, "luigid": 40002}, "pids": {"mongod": other.pid, "luigid": 2**22 + 1}}
        (tmp_path / "servers.json").write_text(json.dumps(text))
        assert Servers(tmp_path).pids == {}
        assert other.poll() is None
        other.kill()
