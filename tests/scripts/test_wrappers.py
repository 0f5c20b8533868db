"""The scripts that people and cron run: each is the command of its name, in the repository, and installs nothing."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.deployment import ROOT, without_settings

from tasks.cli.main import COMMANDS

#: These are no commands of the pipeline's own Python.
OTHERS = {"airqino", "install", "superset", "test"}
#: Script → command, where the names differ.
RENAMED = {"rerun": "run"}
SCRIPTS = sorted(path.name for path in (ROOT / "scripts").iterdir() if path.is_file() and path.name not in OTHERS)
#: What the set-up check looks at.
MANIFEST = ("setup.cfg", "constraints.txt", "pyproject.toml")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of its own, whose `airqino` writes down that it was called, where, for whom, and how."""
    made = tmp_path / "a repository"
    shutil.copytree(ROOT / "scripts", made / "scripts")
    for name in MANIFEST:
        shutil.copy(ROOT / name, made)
    (made / ".venv" / "bin").mkdir(parents=True)
    tell = 'pwd; echo "$AIRQINO_CALLER_DIR"; for a; do echo "<$a>"; done'
    for name, code, text in (("airqino", 7, tell), ("python", 0, "echo pip >>pip-was-called")):
        program = made / ".venv" / "bin" / name
        program.write_text(f"#!/bin/sh\n{text}\nexit {code}\n")
        program.chmod(0o755)
    return made


def install(repository: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Set up, with a Python whose pip does nothing."""
    script = repository / "scripts" / "install"
    return subprocess.run(
        [script, *arguments], env=os.environ | {"EXTRAS": ""} | env, capture_output=True, text=True, timeout=20
    )


def stamps(repository: Path) -> list[str]:
    return [path.read_text() for path in (repository / ".venv").glob(".installed-*")]


def test_every_command_has_a_script() -> None:
    assert {RENAMED.get(name, name) for name in SCRIPTS} == set(COMMANDS)


def test_all_scripts_can_be_run() -> None:
    paths = [path for path in (ROOT / "scripts").rglob("*") if path.is_file()]
    assert {path.name for path in paths} >= {*SCRIPTS, *OTHERS, "check", "check-deploy", "test-drills"}
    assert [path for path in paths if not os.access(path, os.X_OK)] == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_runs_its_command_in_the_repository(repository: Path, tmp_path: Path, name: str) -> None:
    install(repository, *(["sandbox"] if name == "demo" else []))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    script = repository / "scripts" / name
    done = subprocess.run(
        [script, "--hour", "2024-09-09T10", "two words"], cwd=elsewhere, capture_output=True, text=True, timeout=20
    )
    command = [f"<{RENAMED.get(name, name)}>", "<--hour>", "<2024-09-09T10>", "<two words>"]
    assert (done.returncode, done.stderr) == (7, "")
    assert done.stdout.splitlines() == [f"{repository}", f"{elsewhere}", *command]


@pytest.mark.parametrize("name", [name for name in SCRIPTS if name != "demo"])
def test_without_its_environment_a_script_says_what_to_run_and_installs_nothing(repository: Path, name: str) -> None:
    def refused() -> str:
        done = subprocess.run([repository / "scripts" / name], cwd="/", capture_output=True, text=True, timeout=20)
        assert (done.returncode, done.stdout) == (2, "")
        assert not (repository / "pip-was-called").exists()
        return done.stderr

    of_another = f"error: {repository}/.venv is of another version than this checkout: run scripts/install\n"
    assert refused() == of_another
    install(repository)
    (repository / "pip-was-called").unlink()
    with (repository / "setup.cfg").open("a") as file:  # as after a pull
        file.write("# changed\n")
    assert refused() == of_another
    shutil.rmtree(repository / ".venv")
    assert refused() == f"error: {repository}/.venv is not there: run scripts/install\n"


def test_what_was_installed_stays_and_nothing_is_done_twice(repository: Path) -> None:
    """The demo adds the sandbox to a lean environment; a later install for production keeps it."""
    called = repository / "pip-was-called"

    def extras(*arguments: str, **env: str) -> tuple[str, bool]:
        called.unlink(missing_ok=True)
        done = install(repository, *arguments, **env)
        assert done.returncode == 0, done.stderr
        (stamp,) = stamps(repository)
        return stamp.strip(), called.exists()

    assert extras() == ("-", True)
    assert extras() == ("-", False)
    assert extras("sandbox") == ("sandbox", True)
    assert extras() == ("sandbox", False)
    assert extras("registry", "test") == ("registry,sandbox,test", True)
    assert extras("sandbox") == ("registry,sandbox,test", False)
    assert extras(EXTRAS="excel") == ("excel,registry,sandbox,test", True)
    assert extras("--again") == ("excel,registry,sandbox,test", True)
    (repository / "constraints.txt").write_text("luigi==1.0\n")
    assert extras() == ("excel,registry,sandbox,test", True)


def test_an_environment_of_version_0_7_0_keeps_what_it_has(repository: Path) -> None:
    (repository / ".venv" / ".installed-0123456789abcdef").touch()
    assert install(repository).returncode == 0
    assert stamps(repository) == ["registry,sandbox,test\n"]


def test_paths_are_those_of_the_caller(tmp_path: Path) -> None:
    """Of the real commands, from another folder."""

    def run(name: str, *arguments: str) -> str:
        env = without_settings() | {"STAGING_ROOT": f"{tmp_path / 'staging'}"}
        done = subprocess.run(
            [ROOT / "scripts" / name, *arguments], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
        return done.stderr

    assert run("restore", "old.tar.gz").startswith(f"error: {tmp_path}/old.tar.gz cannot be read as a back-up")
    (tmp_path / "staging").mkdir()
    assert f"error: {tmp_path}/staging/here lies in the staging root" in run("backup", "staging/here")
    told = run("backtest", "--responses", "answers", "--start", "2024-05-01T00", "--stop", "2024-05-02T00")
    assert f"{tmp_path}/answers" in told
    assert f"{tmp_path}/answers" in run("sandbox", "--replay", "answers")
