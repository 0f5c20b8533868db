"""A run with credentials set, whose failure quotes them all: nobody gets to read them."""

import re
import subprocess
import sys
from pathlib import Path

import luigi
import pytest
from support.deployment import ROOT, Pipeline
from support.receivers import Post, Web

import tasks
from tasks.stage import Stage

TASK = """
import logging, os
from tasks.parameters import HourParameter
from tasks.stage import Stage

class Chatty(Stage):
    hour = HourParameter(description="an hour")

    def run(self):
        names = ("AIRQINO_CLIENT_SECRET", "AIRQINO_PASSWORD", "MONGODB_URI", "ALERT_URLS", "ALERT_HEARTBEAT_URL")
        secrets = " ".join(os.environ[name] for name in names) + " Authorization: Bearer eyJhbGci.OiJIUzI1NiJ9"
        logging.getLogger("airqino.chatty").warning("about to fail with %s", secrets)
        raise ValueError(secrets)
"""

SECRETS = ["kundengeheimnis", 'pass"wort-ö1', "pass\\\\", "mongogeheim", "hookgeheim", "0f9a2c1e-1234-4bcd", "eyJhbGci"]


@pytest.mark.parametrize(("console", "workers"), [("text", "1"), ("json", "2")])
def test_no_secret_is_written_or_sent(
    mailed: Pipeline, web: Web, post: Post, tmp_path: Path, console: str, workers: str
) -> None:
    (tmp_path / "chatty.py").write_text(TASK)
    env = mailed.env | {
        "AIRQINO_CLIENT_SECRET": "kundengeheimnis",
        "AIRQINO_PASSWORD": 'pass"wort-ö1',
        "MONGODB_URI": "mongodb://etl:mongogeheim@127.0.0.1:9/?tls=true",
        "ALERT_URLS": f"json://ops:hookgeheim@127.0.0.1:{web.port}/alerts",
        "ALERT_HEARTBEAT_URL": "https://hc.example.org/ping/0f9a2c1e-1234-4bcd-9e10-aabbccddeeff",
        "LOG_CONSOLE": console,
        "PYTHONPATH": str(tmp_path),
    }
    luigi = str(Path(sys.executable).with_name("luigi"))
    done = subprocess.run(
        [luigi, "--module", "chatty", "Chatty", "--hour", "2024-09-09T10", "--workers", workers, "--local-scheduler"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 30, done.stderr
    (log,) = (mailed.root / "logs").iterdir()
    (alert,) = web.alerts
    (mail,) = post.texts()  # what luigid's page shows is the same
    places = {
        "console": done.stdout + done.stderr,
        "log": log.read_text(),
        "alerts.json": (mailed.root / "alerts.json").read_text(),
        "alert": alert["title"] + alert["message"],
        "Luigi's mail": mail,
    }
    for place, text in places.items():
        assert "****" in text, place
        for secret in SECRETS:
            assert secret not in text, (place, secret)
    assert '"task":"Chatty"' in places["log"]
    assert '"hour":"2024-09-09T10"' in places["log"]
    assert '"stack_trace":"' in places["log"]
    assert len({*re.findall(r'"trace":\{"id":"(\w+)"', places["log"])}) == 1  # forked or not
    assert (done.stdout != "") == (console == "json")


def test_every_task_masks_what_luigi_tells_of_its_failure() -> None:
    ours = [getattr(tasks, name) for name in tasks.__all__]
    stages = [each for each in ours if isinstance(each, type) and issubclass(each, luigi.Task)]
    assert len(stages) == 14
    assert [each for each in stages if not issubclass(each, Stage)] == []
