"""Where the settings come from: each file overrides those before it, whichever way the pipeline is started."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.deployment import ROOT, without_settings

from airqino.errors import ConfigError
from tasks.settings import env_file, luigi_cfg

TELL = """
from tasks.settings.reading import settings
from luigi.configuration import get_config
read = settings()
print(read.airqino.project, read.airqino.retries, read.staging.root, read.mongo.database, len(read.airqino.stations),
      get_config().get("core", "rpc_retry_attempts"), get_config().get("retcode", "task_failed"))
"""
#: The same for a Luigi that was there before the pipeline.
LUIGI_FIRST = "import luigi\nimport tasks\n"


class Folder:
    """A folder in which the pipeline is started, and one with the operator's settings."""

    def __init__(self, tmp_path: Path) -> None:
        self.here, self.etc, self.named = tmp_path / "here", tmp_path / "etc", tmp_path / "named.cfg"
        for folder in (self.here, self.etc):
            folder.mkdir()

    def run(self, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
        settings = {"AIRQINO_CONFIG_DIR": f"{self.etc}", "PYTHONPATH": f"{ROOT}"}
        return subprocess.run(
            [sys.executable, *command],
            cwd=self.here,
            env=without_settings() | settings | env,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def read(self, code: str = TELL, **env: str) -> list[str]:
        done = self.run("-c", code, **env)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.mark.parametrize("code", [TELL, LUIGI_FIRST + TELL], ids=["airqino", "luigi"])
def test_each_source_overrides_those_before_it(folder: Folder, code: str) -> None:
    assert folder.read(code) == ["AQ54", "3", "staging", "air_quality", "2", "2", "30"]
    text = (ROOT / "luigi.cfg").read_text()
    (folder.here / "luigi.cfg").write_text(text.replace("project = AQ54", "project = A1").replace("= 30", "= 31"))
    assert folder.read(code) == ["A1", "3", "staging", "air_quality", "2", "2", "31"]
    (folder.etc / "airqino.cfg").write_text(
        "[airqino]\nproject = A2\nretries = 2\nstations = 7\n[stations.7]\nname = Port\n"
        "[core]\nrpc_retry_attempts = 5\n"
    )
    assert folder.read(code) == ["A2", "2", "staging", "air_quality", "1", "5", "31"]
    folder.named.write_text("[airqino]\nretries = 1\n[staging]\nroot = named\n")
    named = {"LUIGI_CONFIG_PATH": f"{folder.named}"}
    assert folder.read(code, **named) == ["A2", "1", "named", "air_quality", "1", "5", "31"]
    (folder.etc / "airqino.env").write_text("STAGING_ROOT='file'\nMONGODB_DATABASE='file'\nAIRQINO_PROJECT=''\n")
    assert folder.read(code, **named) == ["A2", "1", "file", "file", "1", "5", "31"]
    assert folder.read(code, **named, STAGING_ROOT="own") == ["A2", "1", "own", "file", "1", "5", "31"]


@pytest.mark.parametrize("code", [TELL, LUIGI_FIRST + TELL], ids=["airqino", "luigi"])
def test_airqino_env_may_name_the_special_file_as_before(folder: Folder, code: str) -> None:
    folder.named.write_text("[airqino]\nproject = A3\n")
    (folder.etc / "airqino.env").write_text(f"LUIGI_CONFIG_PATH='{folder.named}'\n")
    assert folder.read(code)[0] == "A3"


def test_plain_luigi_runs_with_the_same_settings(folder: Folder) -> None:
    (folder.etc / "airqino.env").write_text(f"STAGING_ROOT='{folder.here / 'staged'}'\nMONGODB_URI='nonsense'\n")
    done = folder.run("-m", "luigi", "--module", "tasks", "LoadStations", "--local-scheduler")
    assert "MONGODB_URI ([mongo] uri) = (hidden): allowed is" in done.stdout + done.stderr
    assert (folder.here / "staged" / "logs").is_dir()


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("airqino.cfg", "[airqino]\npassword S3cret\n", " line 2: neither [section] nor option = value; correct it"),
        ("airqino.env", "A=''\nS3cret\n", " line 2: not NAME='value'; correct it"),
        ("airqino.cfg", "", " cannot be read (Is a directory): run as the user airqino"),
        ("airqino.env", "", " cannot be read (Is a directory): run as the user airqino"),
        ("airqino.cfg", "[quality]\nstuck_hours = often\n", " [quality] stuck_hours = 'often': allowed is a whole"),
        ("airqino.cfg", "[quality]\nstuk_hours = 3\n", " [quality] stuk_hours: no such option; there are"),
        ("airqino.cfg", "[mongo]\nretention_days = 5\n", " [mongo] retention_days = 5: allowed is 0"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_file(folder: Folder, name: str, text: str, told: str) -> None:
    path = folder.etc / name
    path.write_text(text) if text else path.mkdir()
    done = folder.run("-m", "tasks.cli", "status")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {path}{told}")
    assert done.stderr.count("\n") == 1
    assert "S3cret" not in done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_whom_the_folder_is_closed_to_is_told_whom_to_be(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "airqino.env").touch()
    os.seteuid(65534)
    try:
        with pytest.raises(
            ConfigError, match=r"airqino.env cannot be read \(Permission denied\): run as the user airqi"
        ):
            env_file.values(tmp_path / "airqino.env")
        told = luigi_cfg.mistake([f"{tmp_path / 'airqino.cfg'}"])
    finally:
        os.seteuid(0)
    assert told == f"{tmp_path / 'airqino.cfg'} cannot be read (Permission denied): let this user read it"


def test_a_folder_that_is_named_and_not_there_is_no_other(folder: Folder) -> None:
    """Else a run that is meant for a test would be one for production."""
    done = folder.run("-m", "tasks.cli", "status", AIRQINO_CONFIG_DIR="/no/etc")
    told = "error: AIRQINO_CONFIG_DIR = /no/etc: there is no such folder; correct the variable, or unset it\n"
    assert (done.returncode, done.stderr) == (2, told)


def test_a_relative_folder_is_the_callers(folder: Folder) -> None:
    (folder.etc / "airqino.cfg").write_text("[airqino]\nproject = A4\n")
    caller = {"AIRQINO_CALLER_DIR": f"{folder.etc.parent}", "AIRQINO_CONFIG_DIR": "etc"}
    assert folder.read(**caller)[0] == "A4"


def test_both_copies_of_luigi_cfg_are_the_same() -> None:
    """The one in the folder where the scripts start, and the one that an installed package brings."""
    shipped = ROOT / "tasks" / "settings" / "luigi.cfg"
    assert not shipped.is_symlink()  # an edited one is found by comparing it
    assert shipped.read_bytes() == (ROOT / "luigi.cfg").read_bytes()
