"""deploy/docker/every: the container's cron."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support.deployment import ROOT

EVERY = str(ROOT / "deploy" / "docker" / "every")


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([EVERY, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def wait_for(path: Path, count: int) -> None:
    deadline = time.monotonic() + 20
    while len(lines(path)) < count:
        assert time.monotonic() < deadline, lines(path)
        time.sleep(0.05)


def test_it_runs_at_the_start_and_then_at_the_times_named(tmp_path: Path) -> None:
    log = tmp_path / "log"
    every = start("5", "1", "sh", "-c", f"date +%s >>{log}; exit 7")
    wait_for(log, 3)
    every.terminate()
    _, errors = every.communicate(timeout=5)
    assert every.returncode == 0
    times = [int(line) for line in lines(log)]
    # on a busy machine the shell tells the time a second after it was started
    assert all((moment - 1) % 5 <= 1 for moment in times[1:])
    assert abs(times[2] - times[1] - 5) <= 1
    assert errors.count("ended with exit code") == len(times)
    assert errors.count("ended with exit code 7") >= 2  # the signal may hit the third before its end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_between_two_runs_ends_it_at_once(tmp_path: Path, number: signal.Signals) -> None:
    log = tmp_path / "log"
    every = start("86400", f"{int(time.time()) % 86400}", "sh", "-c", f"echo ran >>{log}")
    wait_for(log, 1)
    time.sleep(0.3)
    began = time.monotonic()
    every.send_signal(number)
    every.communicate(timeout=10)
    assert time.monotonic() - began < 5  # the next run is a day off
    assert (every.returncode, lines(log)) == (0, ["ran"])


def test_a_signal_during_a_run_reaches_it_and_its_end_is_waited_for(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = tmp_path / "run"
    script.write_text(
        f"#!/bin/sh\ntrap 'echo told >>{log}' TERM\necho began >>{log}\nsleep 1\nsleep 0.2\necho ended >>{log}\n"
    )
    script.chmod(0o755)
    every = start("3600", "0", str(script))
    wait_for(log, 1)
    os.kill(every.pid, signal.SIGTERM)
    every.communicate(timeout=5)
    assert (every.returncode, lines(log)) == (0, ["began", "told", "ended"])


def test_it_says_what_it_wants() -> None:
    done = subprocess.run([EVERY, "3600"], capture_output=True, text=True, timeout=5)
    assert done.returncode == 2
    assert "PERIOD OFFSET COMMAND" in done.stderr
