"""The scripts that people and cron run: each is the command of its name, after the set-up check."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.deployment import ROOT

from tasks.cli.main import COMMANDS

#: These are no commands of the pipeline's own Python.
OTHERS = {"install", "superset", "test"}
#: Script → command, where the names differ.
RENAMED = {"rerun": "run"}
SCRIPTS = sorted(path.name for path in (ROOT / "scripts").iterdir() if path.is_file() and path.name not in OTHERS)


def test_every_command_has_a_script() -> None:
    assert {RENAMED.get(name, name) for name in SCRIPTS} == set(COMMANDS)


def test_all_scripts_can_be_run() -> None:
    paths = [path for path in (ROOT / "scripts").rglob("*") if path.is_file()]
    assert {path.name for path in paths} >= {*SCRIPTS, *OTHERS, "check", "check-deploy", "test-drills"}
    assert [path for path in paths if not os.access(path, os.X_OK)] == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_sets_up_and_runs_its_command_in_the_repository(tmp_path: Path, name: str) -> None:
    """In a repository of its own, whose parts write down that they were called, where, and how."""
    repository, elsewhere, calls = tmp_path / "a repository", tmp_path / "elsewhere", tmp_path / "calls"
    for path in (repository / "scripts", repository / ".venv" / "bin", elsewhere):
        path.mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / name, repository / "scripts")
    for part, code in (("scripts/install", 0), (".venv/bin/airqino", 7)):
        (repository / part).write_text(
            f'#!/bin/sh\n{{ pwd; echo "${{0##*/}}"; for a; do echo "<$a>"; done; }} >>{calls}\nexit {code}\n'
        )
        (repository / part).chmod(0o755)
    script = repository / "scripts" / name
    done = subprocess.run([script, "--hour", "2024-09-09T10", "two words"], cwd=elsewhere, timeout=20)
    assert done.returncode == 7
    command = [f"<{RENAMED.get(name, name)}>", "<--hour>", "<2024-09-09T10>", "<two words>"]
    assert calls.read_text().splitlines() == [*(f"{repository}", "install"), *(f"{repository}", "airqino", *command)]
    (repository / "scripts" / "install").write_text("#!/bin/sh\nexit 2\n")  # a set-up that fails ends it
    calls.unlink()
    assert subprocess.run([script], cwd=elsewhere, timeout=20).returncode == 2
    assert not calls.exists()
