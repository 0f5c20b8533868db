"""A wheel built from the repository, installed in a folder of its own and used from another."""

import os
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest
from support.deployment import ROOT, Pipeline

from airqino.sandbox.server import Sandbox


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the wheel is installed; what it depends on is taken from this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for package in ("airqino", "tasks"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, source / package, symlinks=True, ignore=ignored)
    for name in ("luigi.cfg", "pyproject.toml", "README.md", "setup.cfg"):
        shutil.copy(ROOT / name, source)
    pip("wheel", "--no-build-isolation", "--wheel-dir", f"{folder}", f"{source}")
    shutil.rmtree(source)
    (wheel,) = folder.glob("*.whl")
    pip("install", "--target", f"{folder / 'site'}", f"{wheel}")
    return folder / "site"


def pip(command: str, *arguments: str) -> None:
    options = ("--quiet", "--disable-pip-version-check", "--no-deps")
    done = subprocess.run(
        [sys.executable, "-m", "pip", command, *options, *arguments], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def airqino(
    installed: Path, folder: Path, *arguments: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the wheel's command in a folder."""
    env = (dict(os.environ) if env is None else env) | {"PYTHONPATH": f"{installed}", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [f"{installed / 'bin' / 'airqino'}", *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120)


def test_the_command_is_the_wheels(installed: Path, tmp_path: Path) -> None:
    program = "import airqino, tasks; print(airqino.__file__, tasks.__file__)"
    env = os.environ | {"PYTHONPATH": f"{installed}"}
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.stdout.split() == [f"{installed / package / '__init__.py'}" for package in ("airqino", "tasks")]
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    done = airqino(installed, tmp_path, "--version")
    assert (done.returncode, done.stdout) == (0, f"airqino {setup['metadata']['version']}\n")


def test_the_text_beside_the_open_data_comes_with_it(installed: Path, tmp_path: Path) -> None:
    program = "from airqino.opendata import about, guide; print(guide.text(about.About(place='Abidjan')))"
    env = os.environ | {"PYTHONPATH": f"{installed}"}
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.stdout.startswith("# Qualité de l’air à Abidjan\n"), done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["run", "DailyMeans", "--help"]])
def test_help_does_nothing(installed: Path, tmp_path: Path, arguments: list[str]) -> None:
    done = airqino(installed, tmp_path, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "usage: " in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["hourly", "--hour", "soon"], "error: "),
        (["hourly", "--workers", "0"], "'0' is not a whole number above 0"),
        (["run", "DailyMean"], "error: there is no task DailyMean; there are Backfill, CleanDay,"),
        (["hourl"], "error: there is no command hourl: did you mean hourly?"),
    ],
)
def test_a_wrong_argument_ends_with_2(installed: Path, tmp_path: Path, arguments: list[str], text: str) -> None:
    done = airqino(installed, tmp_path, *arguments)
    assert done.returncode == 2
    assert text in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_an_hourly_run_with_the_default_settings(
    installed: Path, tmp_path: Path, pipeline: Pipeline, sandbox: Sandbox
) -> None:
    """In a folder without luigi.cfg: its stations, logs and exit codes are those of the wheel's."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    done = airqino(installed, folder, "hourly", env=pipeline.env)
    assert done.returncode == 0, done.stderr
    assert " done in " in done.stderr  # logged as the default settings say
    assert {row["_id"] for row in pipeline.database.stations.find()} == {"283181971", "283164601"}
    assert pipeline.database.hourly_measurements.count_documents({}) > 100
    assert len(list((pipeline.root / "logs").glob("pipeline-*.jsonl"))) == 1
    assert list(folder.iterdir()) == []
    sandbox.add_fault("server_error_500")
    shutil.rmtree(pipeline.root)
    pipeline.client.drop_database(pipeline.database_name)
    done = airqino(installed, folder, "hourly", env=pipeline.env)
    assert done.returncode == 30, done.stderr  # [retcode] of the default settings
    assert "Traceback" not in done.stderr
