"""--help of each command and script, and a reader that goes away: nothing happens, nothing is written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import commands
from support.deployment import ROOT, Pipeline

import tasks
from tasks.cli.main import COMMANDS

_NOTE = [["note", do] for do in ("invalidate", "restore", "comment", "calibrate", "revoke", "list", "apply")]
_ASKED = [[name] for name in COMMANDS] + [["run", name] for name in tasks.__all__] + _NOTE
#: All that can be run but the scripts that only set up and call a command, whose tests are tests/scripts.
_WRAPPERS = {*COMMANDS, "rerun", "install", "demo"}
_SCRIPTS = [
    *(path for path in sorted((ROOT / "scripts").iterdir()) if path.is_file() and path.name not in _WRAPPERS),
    *sorted((ROOT / "scripts" / "dev").iterdir()),
    *(ROOT / "deploy" / name for name in ("docker/every", "mongo/certificates", "mongo/initiate", "prometheus/check")),
]


def tree(*folders: Path) -> set[Path]:
    return {path for folder in folders for path in folder.rglob("*") if "__pycache__" not in path.parts}


@pytest.mark.parametrize("arguments", _ASKED, ids=" ".join)
def test_help_of_a_command_does_nothing(tmp_path: Path, arguments: list[str]) -> None:
    """With a staging root that must not come into being, and a MongoDB and API that nobody could reach."""
    nowhere = {"MONGODB_URI": "mongodb://127.0.0.1:9", "AIRQINO_BASE_URL": "http://127.0.0.1:9"}
    env = os.environ | nowhere | {"STAGING_ROOT": f"{tmp_path / 'staging'}", "COLUMNS": "100"}
    done = commands.run(["airqino", *arguments, "--help"], env, 60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: airqino {' '.join(arguments)}")
    assert list(tmp_path.iterdir()) == []


#: Beside those above the parts of commands that have parts.
_REFUSING = [*_ASKED, *(["models", do] for do in ("list", "promote", "rollback")), ["alerts", "list"]]


@pytest.mark.parametrize("arguments", _REFUSING, ids=" ".join)
def test_a_wrong_option_is_one_line_and_nothing_is_done(tmp_path: Path, arguments: list[str]) -> None:
    env = os.environ | {"STAGING_ROOT": f"{tmp_path / 'staging'}", "COLUMNS": "40"}
    done = commands.run(["airqino", *arguments, "--no-such-option"], env, 60)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert done.stderr.startswith("error: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["alerts", "mend"],
        ["alerts", "end"],
        ["models"],
        ["models", "revert"],
        ["note", "invalidate"],
        ["backup"],
        ["restore"],
        ["runs", "--last", "0"],
        ["sandbox", "--habit", "odd"],
        ["stations", "more"],
    ],
    ids=" ".join,
)
def test_a_wrong_argument_is_one_line_and_nothing_is_done(tmp_path: Path, arguments: list[str]) -> None:
    env = os.environ | {"STAGING_ROOT": f"{tmp_path / 'staging'}"}
    done = commands.run(["airqino", *arguments], env, 60)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize("script", _SCRIPTS, ids=lambda path: f"{path.relative_to(ROOT)}")
def test_help_of_a_script_does_nothing(tmp_path: Path, script: Path, option: str) -> None:
    """From its own folder, by a name that is relative to it, without a program but the shell's."""
    before = tree(ROOT / "scripts", ROOT / "deploy")
    command = [sys.executable, script.name] if "python" in script.read_text().splitlines()[0] else [f"./{script.name}"]
    env = {"PATH": "/usr/bin:/bin", "STAGING_ROOT": f"{tmp_path / 'staging'}", "HOME": f"{tmp_path}"}
    env |= {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([*command, option], cwd=script.parent, env=env, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout) > 40
    assert list(tmp_path.iterdir()) == []
    assert tree(ROOT / "scripts", ROOT / "deploy") == before


#: Commands that print much or little, and succeed or not.
_PRINTING = [
    *(["--help"], ["run"], ["run", "--help"], ["status"], ["alerts", "list"], ["note", "list"], ["models", "list"]),
    *(["export", "2026-03"], ["verify"], ["nothing"], ["run", "LoadDay"], ["run", "DailyMeans", "--day", "2026-03-01"]),
    *(["backfill", "2026-03-01", "--dry-run"], ["backfill", "2026-03-01"], ["hourly", "--dry-run"], ["backfill"]),
]


@pytest.mark.parametrize("with_errors", [False, True], ids=["stdout", "both"])
@pytest.mark.parametrize("arguments", _PRINTING, ids=" ".join)
def test_a_reader_that_goes_away_ends_a_command_quietly(
    pipeline: Pipeline, arguments: list[str], with_errors: bool
) -> None:
    """As of `airqino … | head -0` and `airqino … 2>&1 | head -0`: what else is told has no traceback."""
    reader, writer = os.pipe()
    os.close(reader)
    env = pipeline.env | {"AIRQINO_NOW": "2026-03-10T00:05", "PYTHONUNBUFFERED": ""}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tasks.cli", *arguments],
            cwd=ROOT,
            env=env,
            stdout=writer,
            stderr=writer if with_errors else subprocess.PIPE,
            text=True,
            timeout=120,
        )
    finally:
        os.close(writer)
    assert done.returncode in (0, 1, 2, 141)
    assert "Traceback" not in (done.stderr or "")
    assert "BrokenPipe" not in (done.stderr or "")
