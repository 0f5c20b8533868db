"""Each staging root and each database belongs to one environment, and a run of another one refuses both."""

import subprocess
from pathlib import Path

import pytest
from support.deployment import Pipeline

from airqino.sandbox.server import Sandbox

NOW = "2026-02-20T12:06"


@pytest.fixture
def deployed(pipeline: Pipeline, sandbox: Sandbox) -> Pipeline:
    """One that has run once."""
    pipeline.env |= {"AIRQINO_NOW": NOW, "AIRQINO_STATIONS": "283181971"}
    sandbox.now = None
    done = pipeline.script("backfill", "2026-02-20T08", "2026-02-20T10")
    assert done.returncode == 0, done.stderr
    return pipeline


def marks(pipeline: Pipeline) -> tuple[str, str | None]:
    document = pipeline.database["loads"].find_one({"_id": "environment"}) or {}
    path = pipeline.root / "environment"
    return path.read_text() if path.exists() else "", document.get("environment")


def contents(pipeline: Pipeline) -> dict[str, object]:
    """All that must not change: files but the log and locks, and documents."""
    files = {
        path: path.read_bytes()
        for path in pipeline.root.rglob("*")
        if path.is_file() and path.name[0] != "." and path.parent.name != "logs"
    }
    return {"files": files, **{name: list(pipeline.database[name].find()) for name in ("loads", "daily_averages")}}


def error(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that is told; `run` has looked for luigid before."""
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("luigid at")]
    return line


COMMANDS = (
    ["hourly"],
    ["backfill", "2026-02-20T08", "2026-02-20T11"],
    ["run", "LoadDay", "--day", "2026-02-20"],
    ["verify"],
    ["status"],
    ["note", "comment", "283181971", "all", "2026-02-20T08..2026-02-20T09", "--why", "x"],
    ["alerts", "check"],
    ["models", "list"],
    ["export", "2026-02-20"],
)


def test_the_first_run_marks_both_and_another_environment_is_refused(deployed: Pipeline, sandbox: Sandbox) -> None:
    assert marks(deployed) == ("production\n", "production")
    before, asked = contents(deployed), sandbox.stats()["data_requests"]
    for command in COMMANDS:
        done = deployed.script(*command, AIRQINO_ENVIRONMENT="test")
        told = "belongs to the environment production, and the settings are those of test: correct AIRQINO_ENVIRONMENT"
        assert done.returncode == 2, command
        assert error(done).startswith(f"error: staging root {deployed.root} {told}"), (command, done.stderr)
        assert contents(deployed) == before, command
    assert sandbox.stats()["data_requests"] == asked
    assert deployed.hourly().returncode == 0  # its own goes on


def test_the_database_of_another_environment_is_refused(deployed: Pipeline, tmp_path: Path) -> None:
    """The staging root is the test's own; only the database was mistaken."""
    before = contents(deployed)
    own = {"AIRQINO_ENVIRONMENT": "test", "STAGING_ROOT": f"{tmp_path / 'test'}"}
    for command in COMMANDS[:3]:
        done = deployed.script(*command, **own)
        assert done.returncode == 2, command
        assert error(done).startswith(f"error: database {deployed.database_name} belongs to the environment production")
    assert contents(deployed) == before
    assert list((tmp_path / "test").glob("20*")) == []


def test_plain_luigi_writes_nothing_to_another_environment(deployed: Pipeline) -> None:
    """No incident, no line of the log and no lock either."""
    files = {path: path.read_bytes() for path in deployed.root.rglob("*") if path.is_file()}
    before = contents(deployed)
    deployed.env["AIRQINO_ENVIRONMENT"] = "test"
    for task in (["LoadDay", "--day", "2026-02-20"], ["Hourly"], ["LoadNotes"], ["TrainModel", "--day", "2026-02-16"]):
        done = deployed.luigi(*task)
        assert done.returncode != 0
        assert "belongs to the environment production" in done.stdout + done.stderr
        assert {path: path.read_bytes() for path in deployed.root.rglob("*") if path.is_file()} == files, task
    assert contents(deployed) == before


def test_what_has_no_mark_belongs_to_whoever_comes_first(deployed: Pipeline) -> None:
    """As after version 0.7.0, or where a mark is illegible."""
    deployed.database["loads"].delete_one({"_id": "environment"})
    for text in (None, "", "\x00", '{"hour": 1}'):
        path = deployed.root / "environment"
        path.unlink() if text is None else path.write_text(text)
        assert deployed.hourly().returncode == 0
        assert marks(deployed) == ("production\n", "production")


def test_what_only_looks_marks_nothing(deployed: Pipeline) -> None:
    """After an upgrade, a look with the wrong environment's settings must not hand it what is another's."""
    deployed.database["loads"].delete_one({"_id": "environment"})
    (deployed.root / "environment").unlink()
    looks = (
        ["verify", "--check"],
        ["hourly", "--dry-run"],
        ["backfill", "--dry-run", "2026-02-20"],
        ["run", "LoadDay", "--day", "2026-02-20", "--dry-run"],
        ["status"],
        ["runs"],
        ["doctor"],
        ["alerts", "check"],
        ["models", "list"],
        ["note", "list"],
    )
    for command in looks:
        done = deployed.script(*command, AIRQINO_ENVIRONMENT="test")
        assert done.returncode in (0, 1), (command, done.stderr)
        assert marks(deployed) == ("", None), command


def test_a_backup_keeps_the_environment(deployed: Pipeline, tmp_path: Path) -> None:
    done = deployed.script("backup", f"{tmp_path / 'kept'}")
    assert done.returncode == 0, done.stderr
    (file,) = (tmp_path / "kept").iterdir()
    new = Pipeline(tmp_path / "new", deployed.mongod, deployed.env["AIRQINO_BASE_URL"])
    try:
        done = new.script("restore", f"{file}", AIRQINO_ENVIRONMENT="test")
        assert done.returncode == 2
        told = f"error: {file} belongs to the environment production, and the settings are those of test: to restore"
        assert done.stderr.startswith(told)
        assert marks(new) == ("", None)
        done = new.script("restore", f"{file}")
        assert done.returncode == 0, done.stderr
        assert marks(new) == ("production\n", "production")
    finally:
        new.close()


def test_a_wrong_name_is_told(deployed: Pipeline) -> None:
    done = deployed.hourly(AIRQINO_ENVIRONMENT="Test 1")
    told = "error: AIRQINO_ENVIRONMENT ([airqino] environment) = 'Test 1': allowed is small letters, digits and -"
    assert (done.returncode, done.stderr.startswith(told)) == (2, True)
