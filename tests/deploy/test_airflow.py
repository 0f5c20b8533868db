"""The DAG in a real Airflow 3, which runs it once against the sandbox and a MongoDB (scripts/dev/check-deploy)."""

import fcntl
import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.deployment import ROOT, Pipeline
from support.receivers import Post

from airqino.sandbox.server import Sandbox

pytestmark = pytest.mark.deploy
AIRFLOW = ROOT / ".venv-airflow" / "bin" / "airflow"
NOW = datetime(2026, 2, 20, 12, 6, tzinfo=UTC)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("airflow")
    done = airflow(folder, "db", "migrate")
    assert done.returncode == 0, done.stderr
    return folder


def airflow(home: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(AIRFLOW), *arguments],
        env=os.environ
        | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "deploy" / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRQINO_HOME": str(ROOT),
            "AIRQINO_ENV": str(home / "airqino.env"),
        }
        | env,
        capture_output=True,
        text=True,
        timeout=240,
    )


def run(home: Path, pipeline: Pipeline, **env: str) -> subprocess.CompletedProcess[str]:
    (home / "airqino.env").write_text("".join(f"{k}='{v}'\n" for k, v in settings(pipeline).items()))
    return airflow(home, "dags", "test", "airqino_hourly", "2026-02-20T12:05:00+00:00", **env)


def settings(pipeline: Pipeline) -> dict[str, str]:
    ours = ("AIRQINO_", "STAGING_", "MONGODB_", "LUIGID_")
    return {k: v for k, v in pipeline.env.items() if k.startswith(ours)} | {"AIRQINO_NOW": f"{NOW:%Y-%m-%dT%H:%M}"}


def test_it_loads_without_an_error(home: Path) -> None:
    errors = airflow(home, "dags", "list-import-errors", "--local", "--output", "plain")
    assert (errors.returncode, "airqino_hourly" in errors.stdout) == (0, False), errors.stdout
    listed = airflow(home, "dags", "list", "--local", "--output", "plain")
    assert "airqino_hourly" in listed.stdout


def test_it_runs_the_hour_of_its_interval(home: Path, pipeline: Pipeline, sandbox: Sandbox) -> None:
    sandbox.now = NOW
    done = run(home, pipeline)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (pipeline.root / "2026-02-20" / "raw" / "11.parquet").exists()
    assert not (pipeline.root / "2026-02-20" / "raw" / "12.parquet").exists()
    assert [path.name for path in pipeline.root.glob("2026-02-20/forecast/*")] == ["11.parquet"]
    assert pipeline.database["daily_averages"].count_documents({"day": "2026-02-20"}) == 2


def test_it_steps_aside_for_another_run(home: Path, pipeline: Pipeline, sandbox: Sandbox) -> None:
    sandbox.now = NOW
    pipeline.root.mkdir(parents=True)
    with (pipeline.root / ".hourly.lock").open("a") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        done = run(home, pipeline)
    assert "another hourly run is under way" in done.stdout + done.stderr
    assert "skipped" in (done.stdout + done.stderr).lower()
    assert sandbox.stats()["data_requests"] == 0


def test_a_mail_tells_of_each_retry_and_of_the_failure(
    home: Path, pipeline: Pipeline, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.now = NOW
    pipeline.env["MONGODB_URI"] = "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=100"
    dag = (ROOT / "deploy" / "airflow" / "airqino_hourly.py").read_text()
    assert dag.count("timedelta(minutes=5)") == 1
    (tmp_path / "dag.py").write_text(dag.replace("timedelta(minutes=5)", "timedelta(seconds=1)"))
    with Post() as post:
        connection = {"conn_type": "smtp", "host": "127.0.0.1", "port": post.port}
        extra = {"disable_ssl": True, "disable_tls": True, "from_email": "airflow@example.org"}
        done = run(
            home,
            pipeline,
            AIRFLOW__CORE__DAGS_FOLDER=str(tmp_path),
            AIRFLOW_CONN_SMTP_DEFAULT=json.dumps({**connection, "extra": extra}),
            AIRQINO_MAIL="night@example.org, day@example.org",
        )
    told = done.stdout + done.stderr
    assert [mail["Subject"] for mail in post.mails] == [
        "[AirQino] the hour 2026-02-20T11 failed and is tried again",
        "[AirQino] the hour 2026-02-20T11 failed and is tried again",
        "[AirQino] the hour 2026-02-20T11 failed",
    ], told[-3000:]
    assert {mail["To"] for mail in post.mails} == {"night@example.org, day@example.org"}
    # the second is left out: `dags test` makes all tries in one process, where a notifier fills in its text only once
    for number, mail in ((1, post.mails[0]), (3, post.mails[2])):
        text = mail.get_payload()[0].get_payload(decode=True).decode()
        assert f"Try {number} of 3: Bash command failed" in text
