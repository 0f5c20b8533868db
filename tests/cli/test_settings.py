"""airqino settings: what was read, what it changes, and an edited luigi.cfg moved out of the checkout."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.deployment import ROOT, without_settings

#: Of the account of the API.
OURS = "api-S3cret"


class Checkout:
    """A folder with a luigi.cfg, and the folder of the operator's settings."""

    def __init__(self, tmp_path: Path) -> None:
        self.here, self.etc = tmp_path / "a checkout", tmp_path / "etc"
        self.here.mkdir()
        self.etc.mkdir()
        self.cfg, self.own = self.here / "luigi.cfg", self.etc / "airqino.cfg"
        shutil.copy(ROOT / "luigi.cfg", self.here)

    def run(self, *arguments: str, code: int = 0, **env: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "tasks.cli", "settings", *arguments],
            cwd=self.here,
            env=without_settings() | {"AIRQINO_CONFIG_DIR": f"{self.etc}", "PYTHONPATH": f"{ROOT}"} | env,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == code, done.stderr
        if code:
            assert (done.stdout, done.stderr.count("\n")) == ("", 1)
        return done.stdout + done.stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_what_was_read_and_what_it_changes(checkout: Checkout) -> None:
    assert checkout.run() == (
        f"read    {checkout.cfg}\nabsent  {checkout.own}\nabsent  {checkout.etc / 'airqino.env'}\n"
        "read    variables of this process: none\n"
    )
    checkout.own.write_text("[airqino]\nretries = 1\n[stations.7]\nname = Port\n[smtp]\npassword = mail-S3cret\n")
    (checkout.etc / "airqino.env").write_text(f"AIRQINO_PASSWORD='{OURS}'\nSTAGING_ROOT='/srv/staged'\n")
    shown = checkout.run(MONGODB_DATABASE="other", AIRQINO_USERNAME="u", AIRQINO_CLIENT_ID="c")
    assert shown.splitlines()[:3] == [
        f"read    {path}" for path in (checkout.cfg, checkout.own, checkout.etc / "airqino.env")
    ]
    assert "this process: AIRQINO_CLIENT_ID, AIRQINO_USERNAME, MONGODB_DATABASE" in shown
    assert f"[airqino] retries = 1  ({checkout.own})\n" in shown
    assert f"[stations.7] name = Port  ({checkout.own})\n" in shown
    assert f"[staging] root = /srv/staged  ({checkout.etc / 'airqino.env'})\n" in shown
    assert "[mongo] database = other  (MONGODB_DATABASE)\n" in shown
    assert f"[airqino] password = (hidden)  ({checkout.etc / 'airqino.env'})\n" in shown
    assert "S3cret" not in shown
    assert "connect_timeout" not in shown  # as the package brings it


def test_an_edited_file_is_moved_out(checkout: Checkout) -> None:
    shipped = checkout.cfg.read_text()
    assert "nothing to move" in checkout.run("--move-out")
    edited = shipped.replace("retries = 3", "retries = 1").replace("stations = 283181971,", "stations = 7,\n  ")
    checkout.cfg.write_text(edited + "\n[stations.7]\nname = Port\ntime_zone = Africa/Abidjan\n")
    before = checkout.run().partition("process: none\n")[2]
    shown = checkout.run("--move-out")
    assert f"{checkout.own} has now what was changed in {checkout.cfg}" in shown
    assert checkout.cfg.read_text() == shipped
    assert checkout.own.read_text() == (
        "[airqino]\nstations = 7,\n  283164601\nretries = 1\n\n[stations.7]\nname = Port\ntime_zone = Africa/Abidjan\n"
    )
    assert checkout.own.stat().st_mode & 0o777 == 0o640
    after = checkout.run().partition("process: none\n")[2]
    assert after.replace(f"({checkout.own})", "(luigi.cfg)") == before  # the same settings are in force


def test_a_move_that_was_broken_off_is_finished_and_a_file_of_others_is_kept(checkout: Checkout) -> None:
    shipped = checkout.cfg.read_text()
    checkout.cfg.write_text(shipped.replace("retries = 3", "retries = 1"))
    checkout.own.write_text("[mongo]\ndatabase = other\n")
    told = f"error: {checkout.own} is there already: copy [airqino] retries into it by hand; run this again"
    assert checkout.run("--move-out", code=2).startswith(told)
    assert checkout.own.read_text() == "[mongo]\ndatabase = other\n"
    checkout.own.write_text("[mongo]\ndatabase = other\n[airqino]\nretries = 1\n")
    checkout.run("--move-out")
    assert checkout.cfg.read_text() == shipped


def test_without_the_folder_it_says_how_to_make_it(checkout: Checkout, tmp_path: Path) -> None:
    checkout.cfg.write_text(checkout.cfg.read_text().replace("retries = 3", "retries = 1"))
    checkout.etc.rmdir()
    told = checkout.run("--move-out", code=2)
    assert told.startswith(f"error: there is no folder {checkout.etc} for airqino.cfg; make it first: install -d")
