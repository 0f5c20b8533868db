"""The `airqino` command: what it lists, what it says of mistakes, how it ends."""

import os
import re
import shutil
import signal
import subprocess
import sys
from configparser import ConfigParser
from importlib.metadata import version
from pathlib import Path

import pytest
from support.deployment import ROOT, Pipeline, without_settings

AIRQINO = Path(sys.executable).with_name("airqino")
#: As a user meets them: try it, set it up, run it, look after it, keep it, study it.
ORDER = [
    *(
        "demo",
        "doctor",
        "settings",
        "probe",
        "stations",
        "backfill",
        "hourly",
        "status",
        "runs",
        "verify",
        "run",
        "note",
        "alerts",
        "publish",
        "export",
        "report",
        "models",
    ),
    *("backup", "restore", "mongo-users", "backtest", "sandbox"),
]


def airqino(*arguments: str, folder: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    kept = without_settings()
    return subprocess.run([AIRQINO, *arguments], cwd=folder, env=kept | env, capture_output=True, text=True, timeout=60)


def test_help_lists_the_commands_in_order_one_line_each() -> None:
    done = airqino("--help", COLUMNS="80")
    assert (done.returncode, done.stderr) == (0, "")
    listed = re.findall(r"^  ([a-z-]+) {2,}(\S.*)$", done.stdout.partition("commands:\n")[2], re.MULTILINE)
    assert [name for name, _ in listed] == ORDER
    assert max(map(len, done.stdout.splitlines())) <= 100
    bare = airqino(COLUMNS="80")
    assert (bare.returncode, bare.stdout) == (2, done.stdout)


def test_the_version_is_that_of_setup_cfg_and_the_changelog() -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    version = setup["metadata"]["version"]
    done = airqino("--version")
    assert (done.returncode, done.stdout) == (0, f"airqino {version}\n")
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert next(heading for heading in headings if heading != "Unreleased") == version


def test_a_pull_without_an_install_is_told(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "tasks", tmp_path / "copied" / "tasks")
    (tmp_path / "copied" / "setup.cfg").write_text("[metadata]\nversion = 99.1.2\n")
    done = subprocess.run(
        [sys.executable, "-m", "tasks.cli", "--version"],
        cwd=tmp_path / "copied",
        env=without_settings() | {"PYTHONPATH": f"{tmp_path / 'copied'}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"airqino 99.1.2 (installed: {version('airqino-pipeline')}; run scripts/install)\n"


#: Runs a command, then tells what it has imported: the heavy modules, and those of commands.
IMPORTED = """
import sys
from tasks.cli.main import main
code = main(sys.argv[1:])
heavy = {"lightgbm", "mlflow", "pandas", "pyarrow", "pymongo", "tasks.graph"}
print(*sorted(m for m in sys.modules if m in heavy or m.startswith("tasks.cli.")), file=sys.stderr)
sys.exit(code)
"""


def imported(*arguments: str, folder: Path = ROOT, **env: str) -> tuple[str, set[str]]:
    """What a command that must succeed prints, and what it has imported."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, *arguments],
        cwd=folder,
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == 1
    return done.stdout, set(done.stderr.split())


@pytest.mark.parametrize("name", ORDER)
def test_every_command_has_help_that_does_nothing(tmp_path: Path, name: str) -> None:
    """In an empty folder, with a staging root that must not come into being."""
    text, modules = imported(name, "--help", folder=tmp_path, STAGING_ROOT=f"{tmp_path / 'staging'}")
    assert text.startswith(f"usage: airqino {name} ")
    assert list(tmp_path.iterdir()) == []
    assert f"tasks.cli.{name.replace('-', '_')}" in modules
    assert not modules & {"lightgbm", "mlflow"}


def test_only_what_is_asked_for_is_imported() -> None:
    assert imported("--version")[1] == {"tasks.cli.main"}
    assert imported("--help")[1] == {"tasks.cli.main"}
    commands = {module for module in imported("status", "--help")[1] if module.startswith("tasks.")}
    assert commands == {"tasks.cli.main", "tasks.cli.status"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("statsu", "error: there is no command statsu: did you mean status? `scripts/airqino --help` lists them\n"),
        (
            "mongo_users",
            "error: there is no command mongo_users: did you mean mongo-users? `scripts/airqino --help` lists them\n",
        ),
        ("qwxyz", "error: there is no command qwxyz; `scripts/airqino --help` lists them\n"),
    ],
)
def test_an_unknown_command_is_one_line_with_the_nearest(name: str, text: str) -> None:
    done = airqino(name, "--json")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", text)


def test_python_m_does_the_same() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tasks.cli", "statsu"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (2, airqino("statsu").stderr)


def into_closed_pipe(command: list[str], env: dict[str, str]) -> tuple[int, str]:
    """Exit code and standard error of a command whose reader is gone before it writes."""
    reader, writer = os.pipe()
    os.close(reader)
    env = env | {"PYTHONUNBUFFERED": ""}  # else each print writes at once, and nothing is left for the end
    try:
        done = subprocess.run(command, cwd=ROOT, env=env, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60)
    finally:
        os.close(writer)
    return done.returncode, done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["hourly", "--help"], ["alerts", "list"]])
def test_a_reader_that_goes_away_is_no_error(pipeline: Pipeline, arguments: list[str]) -> None:
    assert into_closed_pipe([f"{AIRQINO}", *arguments], pipeline.env) == (0, "")


@pytest.mark.parametrize(
    ("work", "code"), [("print('a line') or 3", 3), ("print('a line\\n' * 100_000) or 3", 128 + signal.SIGPIPE)]
)
def test_the_code_of_a_command_whose_reader_goes_away(work: str, code: int) -> None:
    """Its own where it has done its work, the shell's where it was still writing."""
    program = f"import sys; from tasks.cli.main import run; sys.exit(run(lambda: {work}))"
    assert into_closed_pipe([sys.executable, "-c", program], dict(os.environ)) == (code, "")


def test_a_table_for_a_reader_that_goes_away_is_no_traceback(pipeline: Pipeline) -> None:
    assert into_closed_pipe([f"{AIRQINO}", "status"], pipeline.env) == (1, "")
