"""Mails to a real SMTP server: Luigi's own, and an alert whose command mends what it tells of."""

import re
import subprocess
from pathlib import Path

from support.deployment import ROOT, Pipeline
from support.receivers import Post

from airqino.sandbox.mongod import free_port
from airqino.sandbox.server import Sandbox


def test_the_command_in_a_mail_pasted_into_a_shell_works(quick: Pipeline, sandbox: Sandbox, post: Post) -> None:
    quick.env["ALERT_URLS"] = (
        f"mailto://127.0.0.1:{post.port}/?from=airqino@example.org&to=oncall@example.org&mode=insecure"
    )
    sandbox.add_fault("server_error_500")
    assert quick.hourly().returncode == 30
    (mail,) = post.texts()
    assert mail.startswith("[AirQino] FetchHour failed for 2026-02-19T00..2026-02-20T11\n")
    (command,) = re.findall(r"^ +(scripts/\S.*?)\r?$", mail, re.MULTILINE)
    sandbox.clear_faults()
    done = subprocess.run(command, shell=True, cwd=ROOT, env=quick.env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert (quick.root / "2026-02-20" / "raw" / "11.parquet").exists()
    assert post.texts()[1].startswith("[AirQino] resolved: FetchHour failed")


def test_luigis_own_mail_works_as_its_settings_say(
    mailed: Pipeline, sandbox: Sandbox, post: Post, tmp_path: Path
) -> None:
    sandbox.add_fault("server_error_500")
    assert mailed.hourly().returncode == 30
    (mail,) = post.texts()
    assert mail.startswith("[AirQino] Luigi: FetchHour(hour=2026-02-19T00..2026-02-20T11, ")
    assert "Traceback" in mail
    assert "AllStationsFailedError" in mail

    config = tmp_path / "luigi.cfg"
    closed = config.read_text().replace(f"port = {post.port}", f"port = {free_port()}")
    config.write_text(closed)
    sandbox.clear_faults()
    assert mailed.hourly().returncode == 0
    sandbox.add_fault("server_error_500")
    done = mailed.hourly("2026-02-20T13:05")
    assert done.returncode == 30, done.stderr
    log = "".join(path.read_text() for path in (mailed.root / "logs").iterdir())
    assert "Not able to connect to smtp server" in log  # Luigi's own words are for the log
