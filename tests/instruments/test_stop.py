"""A run that is told to stop: it ends at once, tells, measures, and leaves nothing that holds up the next one."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support.deployment import ROOT, Pipeline
from support.receivers import Web

from airqino.sandbox.server import Sandbox


def wait_for(root: Path, words: str) -> None:
    """Until the log says so."""
    deadline = time.monotonic() + 30
    while not any(words in log.read_text() for log in root.glob("logs/*.jsonl")):
        assert time.monotonic() < deadline, words
        time.sleep(0.05)


def alive(group: int) -> list[str]:
    """The processes of a group, but for those that wait to be reaped."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            name, _, rest = stat.read_text().rpartition(")")
            state, _, of = rest.split()[:3]
            if int(of) == group and state != "Z":
                found.append(name)
    return found


@pytest.mark.parametrize("workers", ["1", "4"])
def test_a_run_that_gets_sigterm_tells_measures_and_ends(
    alerted: Pipeline, sandbox: Sandbox, web: Web, tmp_path: Path, workers: str
) -> None:
    metrics = tmp_path / "airqino.prom"
    alerted.env["METRICS_TEXTFILE"] = str(metrics)
    sandbox.add_fault("latency", seconds=60)
    run = subprocess.Popen(
        [ROOT / "scripts" / "hourly", "--workers", workers],
        env=alerted.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for(alerted.root, "running   FetchHour")
    time.sleep(0.5)  # until it waits for the answer
    began = time.monotonic()
    # to it alone, or as systemd does it, to its workers as well
    os.kill(run.pid, signal.SIGTERM) if workers == "1" else os.killpg(run.pid, signal.SIGTERM)
    out, err = run.communicate(timeout=30)
    assert run.returncode == 143, err
    assert time.monotonic() - began < 10
    assert out == ""
    assert err.splitlines() == ["stopped by SIGTERM; what is staged stays, run again to go on"]
    assert alive(run.pid) == []  # no worker is left
    assert web.titles == ["[AirQino] Hourly failed for 2026-02-20T11"]
    assert "stopped by SIGTERM" in web.alerts[0]["message"]
    measured = metrics.read_text().splitlines()
    assert {"airqino_run_success 0.0", 'airqino_open_incidents{kind="task_failed"} 1.0'} <= {*measured}
    assert not (alerted.root / "last_success.json").exists()

    sandbox.clear_faults()
    done = alerted.hourly()
    assert done.returncode == 0, done.stderr
    assert web.titles[1:] == ["[AirQino] resolved: Hourly failed for 2026-02-20T11"]


def test_a_backfill_that_gets_sigterm_ends_too(alerted: Pipeline, sandbox: Sandbox) -> None:
    sandbox.add_fault("latency", seconds=60)
    run = subprocess.Popen(
        [ROOT / "scripts" / "backfill", "2026-02-18T00", "2026-02-18T23"],
        env=alerted.env,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(alerted.root, "running   FetchHour")
    run.terminate()
    _, err = run.communicate(timeout=10)
    assert run.returncode == 143, err
    assert "Traceback" not in err
    assert err.endswith("stopped by SIGTERM; what is staged stays, run again to go on\n")
