"""scripts/doctor as people run it."""

import json
import os
import re
import subprocess
import sys
import time

from support.deployment import ROOT, without_settings
from support.healthy import SECRETS, Deployment


def doctor_of(healthy: Deployment, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    kept = without_settings()
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "tasks.cli", "doctor", *arguments],
        cwd=ROOT,
        env=kept | healthy.env | {"PATH": os.environ["PATH"]} | more,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert time.monotonic() - began < 10
    assert "Traceback" not in done.stdout + done.stderr
    for secret in SECRETS:
        assert secret not in done.stdout + done.stderr
    return done


def test_exit_codes_and_both_forms(healthy: Deployment) -> None:
    roomy = healthy.folder / "roomy.cfg"  # whatever room the machine has that runs the tests
    roomy.write_text("[alerts]\ndisk_free_share = 1e-9\n")
    healthy.env["LUIGI_CONFIG_PATH"] = f"{roomy}"
    done = doctor_of(healthy)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "✗" not in done.stdout
    assert re.search(r"✓ MongoDB rights", done.stdout)
    healthy.env["MONGODB_URI"] = healthy.database.uri("reader", "Reader-S3cret")
    done = doctor_of(healthy)
    assert done.returncode == 1
    assert re.search(r"✗ MongoDB rights", done.stdout)
    assert "→ use the user etl_writer" in done.stdout
    done = doctor_of(healthy, "--json")
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert answer["healthy"] is False
    assert [check["name"] for check in answer["checks"] if check["outcome"] == "failed"] == ["MongoDB rights"]


def test_a_file_that_cannot_be_parsed_is_told_by_doctor_and_by_every_command(healthy: Deployment) -> None:
    path = healthy.folder / "production.cfg"
    path.write_text("[airqino]\npassword S3cret-line\n")
    error = f"{path} line 2: neither [section] nor option = value"
    done = doctor_of(healthy, "--json", LUIGI_CONFIG_PATH=f"{path}")
    assert done.returncode == 1
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert [name for name, check in checks.items() if check["outcome"] == "failed"] == ["configuration"]
    assert error in checks["configuration"]["found"]
    assert "S3cret-line" not in done.stdout
    assert checks["API"]["outcome"] == checks["MongoDB"]["outcome"] == checks["staging root"]["outcome"] == "skipped"
    assert checks["Python and packages"]["outcome"] == "ok"
    status = subprocess.run(
        [sys.executable, "-m", "tasks.cli", "status"],
        cwd=ROOT,
        env=os.environ | {"LUIGI_CONFIG_PATH": f"{path}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (status.returncode, status.stderr) == (2, f"error: {error}; correct it\n")


def test_a_configuration_file_that_is_not_there(healthy: Deployment) -> None:
    done = doctor_of(healthy, "--json", LUIGI_CONFIG_PATH="/no/production.cfg")
    assert (done.returncode, done.stderr) == (1, "")
    failed = {one["name"]: one["found"] for one in json.loads(done.stdout)["checks"] if one["outcome"] == "failed"}
    assert failed.keys() - {"disk space"} == {"configuration"}  # the machine that runs the tests may have little room
    assert "LUIGI_CONFIG_PATH = /no/production.cfg: there is no such file" in failed["configuration"]


def test_help() -> None:
    done = subprocess.run([ROOT / "scripts" / "doctor", "--help"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "--json" in done.stdout
    assert "exit codes" in done.stdout
