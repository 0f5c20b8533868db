"""A real cron daemon fires the hourly run on the line of deploy/cron; the run that overlaps it steps aside.

Needs root, and Debian's package cron (scripts/dev/test-drills installs it).
"""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.deployment import ROOT, Pipeline

from airqino.sandbox.server import Sandbox

pytestmark = pytest.mark.drill
NOW = datetime(2026, 2, 20, 12, 6, tzinfo=UTC)
#: A first run this slow is still under way when cron fires the second, a minute later.
SLOW = 64


@pytest.fixture
def crontab(pipeline: Pipeline, tmp_path: Path) -> Iterator[Path]:
    """The shipped file for this machine: its hourly line every minute, as root, on folders of the test."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "over.cfg").write_text(
        "[airqino]\nread_timeout_seconds = 120\nrequest_seconds = 120\nstation_seconds = 240\n"
    )
    ours = ("AIRQINO_", "STAGING_", "MONGODB_", "LUIGID_")
    given = {k: v for k, v in pipeline.env.items() if k.startswith(ours) and k != "AIRQINO_CONFIG_DIR"}
    settings = given | {"AIRQINO_NOW": f"{NOW:%Y-%m-%dT%H:%M}", "LUIGI_CONFIG_PATH": str(tmp_path / "over.cfg")}
    (tmp_path / "airqino.env").write_text("".join(f"{name}='{value}'\n" for name, value in settings.items()))
    text = (ROOT / "deploy" / "cron" / "airqino.cron").read_text()
    for old, new in (
        ("AIRQINO_CONFIG_DIR=/etc/airqino", f"AIRQINO_CONFIG_DIR={tmp_path}"),
        ("/var/log/airqino", str(tmp_path / "logs")),
        ("/run/lock/", f"{tmp_path}/"),
        ("/srv/airqino", str(ROOT)),
        (" airqino {", " root {"),
    ):
        assert old in text
        text = text.replace(old, new)
    # without the lines of alerts and back-up, which the hour does not bring within this drill
    text = "".join(line for line in text.splitlines(keepends=True) if not re.match(r"(\*/15|35 2) ", line))
    text = re.sub(r"^5 \* \* \* \* ", "* * * * * ", text, flags=re.MULTILINE)
    path = Path(f"/etc/cron.d/airqino-drill-{os.getpid()}")
    path.write_text(text)
    path.chmod(0o644)
    daemon = subprocess.Popen(["cron", "-f"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield tmp_path
    path.unlink()
    daemon.terminate()
    daemon.wait(10)


def wait_for(log: Path, words: str, seconds: float) -> str:
    deadline = time.monotonic() + seconds
    while words not in (text := log.read_text() if log.exists() else ""):
        assert time.monotonic() < deadline, f"no {words!r} within {seconds} s in: {text}"
        time.sleep(0.2)
    return text


def test_cron_fires_the_hourly_run_and_the_overlapping_one_steps_aside(
    crontab: Path, pipeline: Pipeline, sandbox: Sandbox
) -> None:
    sandbox.now = NOW
    sandbox.add_fault("latency", times=2, seconds=SLOW)
    log = crontab / "logs" / "hourly.log"
    deadline = time.monotonic() + 90
    while not (pipeline.root / ".hourly.lock").exists():
        assert time.monotonic() < deadline, "cron did not fire within 90 s"
        time.sleep(0.2)

    # one that comes by another way, without flock, sees the pipeline's own lock
    time.sleep(1)
    other = subprocess.run(
        [str(ROOT / "scripts" / "hourly")], env=pipeline.env, capture_output=True, text=True, timeout=60
    )
    assert other.returncode == 10, other.stderr
    assert "another hourly run is under way: nothing done" in other.stderr

    # cron's own next one, a minute later, is held up by flock
    assert "ended with 0" not in wait_for(log, "hourly ended with 10", 90)
    text = wait_for(log, "hourly ended with 0", 60)
    assert f"{NOW:%Y-%m-%d}T11 done" in text
    assert "Traceback" not in text
    assert re.search(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00 hourly ended with 0$", text, re.MULTILINE)

    assert set(sandbox.stats()["by_station"].values()) == {1}
    hours = pipeline.database["hourly_measurements"]
    assert hours.count_documents({}) == len(
        {(document["station"], document["observed_at"]) for document in hours.find()}
    )
    assert pipeline.database["daily_averages"].count_documents({"day": f"{NOW:%Y-%m-%d}"}) == 2
