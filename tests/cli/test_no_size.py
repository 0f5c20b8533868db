"""A staging root on a file system that has no size, such as /proc: one clear line, whatever is asked."""

import subprocess
import sys

import pytest
from support.deployment import ROOT, without_settings


@pytest.mark.parametrize("command", [["status"], ["status", "--json"], ["alerts", "check"], ["hourly"], ["verify"]])
def test_it_is_one_line(command: list[str]) -> None:
    env = without_settings() | {"STAGING_ROOT": "/proc/staging", "MONGODB_URI": "mongodb://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-m", "tasks.cli", *command], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: staging root /proc/staging")
    assert done.stderr.endswith("; check STAGING_ROOT\n")
    assert done.stderr.count("\n") == 1


def test_doctor_says_so_beside_the_rest() -> None:
    env = without_settings() | {"STAGING_ROOT": "/proc/staging", "MONGODB_URI": "mongodb://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-m", "tasks.cli", "doctor"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert "/proc/staging" in done.stdout
    assert "the check itself failed" not in done.stdout
