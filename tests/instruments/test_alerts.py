"""Runs that fail and recover: who is told what, once, and what no channel can do to a run."""

import json
import re
import shlex
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from support.deployment import ROOT, Pipeline
from support.receivers import Web

from airqino.sandbox.mongod import Mongod, free_port
from airqino.sandbox.server import Sandbox
from airqino.stores import parquet
from tasks.instruments.incidents import read
from tasks.instruments.observed import note_success

NOW = datetime(2026, 2, 20, 12, 5, tzinfo=UTC)
STATIONS = ("283181971", "283164601")


def fail(sandbox: Sandbox) -> None:
    sandbox.add_fault("server_error_500")


def test_three_failing_runs_are_told_once_and_their_recovery_once(
    alerted: Pipeline, sandbox: Sandbox, web: Web
) -> None:
    fail(sandbox)
    for hours in range(3):
        sandbox.now = NOW + timedelta(hours=hours)
        done = alerted.hourly(f"{sandbox.now:%Y-%m-%dT%H:%M}")
        assert done.returncode == 30, done.stderr
    assert web.titles == ["[AirQino] FetchHour failed for 2026-02-19T00..2026-02-20T11"]
    message = web.alerts[0]["message"]
    assert "no station answered for 2026-02-19T00…2026-02-20T11" in message
    assert all(station in message for station in STATIONS)
    assert "\n    scripts/rerun FetchHour --hour 2026-02-19T00..2026-02-20T11\n" in message
    assert not (alerted.root / "last_success.json").exists()

    sandbox.clear_faults()
    began = datetime.now(UTC)
    done = alerted.hourly(f"{sandbox.now:%Y-%m-%dT%H:%M}")
    assert done.returncode == 0, done.stderr
    assert web.titles[1:] == [web.titles[0].replace("] ", "] resolved: ")]
    success = json.loads((alerted.root / "last_success.json").read_text())
    assert success["hour"] == "2026-02-20T13"
    assert began - timedelta(seconds=1) <= datetime.fromisoformat(success["at"]) <= datetime.now(UTC)


@pytest.mark.parametrize("how", ["hourly", "luigi", "backfill"])
def test_a_task_that_fails_in_a_forked_worker_is_told_too(
    alerted: Pipeline, sandbox: Sandbox, web: Web, how: str
) -> None:
    fail(sandbox)
    run = {
        "hourly": lambda: alerted.script("hourly", "--workers", "4"),
        "luigi": lambda: alerted.luigi("Hourly", "--workers", "4"),
        "backfill": lambda: alerted.backfill("2026-02-18T00", "2026-02-19T23", "--workers", "4"),
    }[how]
    done = run()
    assert done.returncode == 30, done.stderr
    assert len(web.titles) == 1
    assert web.titles[0].startswith("[AirQino] FetchHour failed for 2026-02-1")
    sandbox.clear_faults()
    done = run()
    assert done.returncode == 0, done.stderr
    assert [title for title in web.titles if title.startswith("[AirQino] resolved: FetchHour failed for 2026-02-1")]


def test_a_backfill_that_failed_hides_no_failing_hour_and_is_not_mended_by_one(
    alerted: Pipeline, sandbox: Sandbox, web: Web
) -> None:
    fail(sandbox)
    assert alerted.backfill("2026-02-17T00", "2026-02-19T23").returncode == 30  # its last day lies in the window
    assert alerted.hourly().returncode == 30
    assert web.titles == [
        "[AirQino] FetchHour failed for 2026-02-17T00..2026-02-19T23",
        "[AirQino] FetchHour failed for 2026-02-19T00..2026-02-20T11",
    ]
    sandbox.clear_faults()
    assert alerted.hourly().returncode == 0
    assert web.titles[2:] == ["[AirQino] resolved: FetchHour failed for 2026-02-19T00..2026-02-20T11"]
    assert alerted.backfill("2026-02-17T00", "2026-02-19T23").returncode == 0
    assert web.titles[3:] == ["[AirQino] resolved: FetchHour failed for 2026-02-17T00..2026-02-19T23"]


@pytest.mark.parametrize(
    "url",
    [
        "json://ops:geheim1234@127.0.0.1:{port}/T0KEN1234",
        "mailto://ops:geheim1234@127.0.0.1:{port}/?from=a@example.org&to=b@example.org",
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
    ],
)
def test_a_channel_that_cannot_be_reached_fails_no_run(quick: Pipeline, url: str) -> None:
    url = url.format(port=free_port())
    quick.configure(Path(quick.env["LUIGI_CONFIG_PATH"]), disk_free_share=1)  # no disk is that empty
    began = time.monotonic()
    # a proxy nobody listens at: slack.com must not be asked by a test
    done = quick.hourly(ALERT_URLS=url, HTTPS_PROXY=f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 60
    scheme = url.partition(":")[0]
    assert f"WARNING alerts: channel 1 ({scheme}) failed (" in done.stderr
    everything = done.stderr + done.stdout + "".join(p.read_text() for p in (quick.root / "logs").iterdir())
    assert not re.search("geheim1234|T0KEN1234|T1JJ3T3L2|TIiajkdnlazkcOXrIdevi7FQ", everything)
    (one,) = read(quick.root).open()  # to be told by the next run
    assert (one.kind, one.notified) == ("disk_low", {})


def test_the_command_in_an_alert_mends_it(alerted: Pipeline, sandbox: Sandbox, web: Web) -> None:
    fail(sandbox)
    assert alerted.hourly().returncode == 30
    sandbox.clear_faults()
    (command,) = re.findall(r"^    (scripts/.*)$", web.alerts[0]["message"], re.MULTILINE)
    module, *arguments = shlex.split(command)[1:]
    done = alerted.script("run", module, *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("FetchHour: done\n")
    assert web.titles[-1].startswith("[AirQino] resolved: FetchHour")


def test_mongodb_away_before_the_run_is_told_and_its_return_as_well(
    quick: Pipeline, sandbox: Sandbox, tmp_path: Path, web: Web
) -> None:
    with Mongod(tmp_path / "own") as own:
        env = {"MONGODB_URI": own.uri + "&serverSelectionTimeoutMS=500", "ALERT_URLS": f"json://127.0.0.1:{web.port}"}
        quick.configure(tmp_path / "luigi.cfg", timeout_seconds=0.5)
        own.kill()
        done = quick.hourly(**env)
        assert done.returncode == 2, done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert web.titles == ["[AirQino] Hourly failed for 2026-02-20T11"]
        assert "cannot be reached" in web.alerts[0]["message"]
        assert "\n    scripts/hourly --hour 2026-02-20T11\n" in web.alerts[0]["message"]
        own.start()
        sandbox.now = NOW + timedelta(hours=1)
        done = quick.hourly("2026-02-20T13:05", **env)  # the next hour: T11 is never run again
        assert done.returncode == 0, done.stderr
        assert web.titles[1:] == ["[AirQino] resolved: Hourly failed for 2026-02-20T11"]
        own.kill()
        assert quick.hourly("2026-02-20T14:05", **env).returncode == 2
        assert web.titles[2:] == ["[AirQino] Hourly failed for 2026-02-20T13"]


def test_a_run_that_hangs_is_told_by_those_that_step_aside(alerted: Pipeline, web: Web) -> None:
    assert alerted.hourly().returncode == 0
    long_ago = (datetime.now(UTC) - timedelta(hours=4)).isoformat(timespec="seconds")
    (alerted.root / "last_success.json").write_text(json.dumps({"hour": "2026-02-20T07", "at": long_ago}))
    hold = f"import fcntl, sys; f = open({str(alerted.root / '.hourly.lock')!r}, 'a'); fcntl.lockf(f, fcntl.LOCK_EX);"
    holder = subprocess.Popen(
        [sys.executable, "-c", f"{hold} print(1, flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        holder.stdout.read(1)
        done = alerted.hourly()
    finally:
        holder.communicate(b"")
    assert done.returncode == 10, done.stderr
    assert web.titles == ["[AirQino] no hourly run has succeeded for more than 3 h"]


def test_the_heartbeat_is_asked_after_success_only_and_cannot_fail_a_run(
    quick: Pipeline, sandbox: Sandbox, web: Web
) -> None:
    url = f"http://127.0.0.1:{web.port}/ping/0f9a2c1e-1234"
    fail(sandbox)
    assert quick.hourly(ALERT_HEARTBEAT_URL=url).returncode == 30
    assert web.requests == []
    sandbox.clear_faults()
    assert quick.hourly(ALERT_HEARTBEAT_URL=url).returncode == 0
    assert [(method, path) for method, path, *_ in web.requests] == [("GET", "/ping/0f9a2c1e-1234")]
    success = (quick.root / "last_success.json").read_text()
    assert quick.script("hourly", "--hour", "2026-02-20T09", ALERT_HEARTBEAT_URL=url).returncode == 0
    assert len(web.requests) == 1  # an hour of the past says nothing of whether those that are due come
    assert (quick.root / "last_success.json").read_text() == success
    web.status = 500
    done = quick.script("hourly", "--hour", "2026-02-20T10", ALERT_HEARTBEAT_URL=url)  # one hour late still does
    assert done.returncode == 0
    assert json.loads((quick.root / "last_success.json").read_text())["hour"] == "2026-02-20T10"
    assert "WARNING [alerts] heartbeat_url failed (HTTPError)" in done.stderr
    assert "0f9a2c1e" not in done.stderr


def test_alerts_check_list_test_and_end(alerted: Pipeline, web: Web) -> None:
    done = alerted.script("alerts", "check")
    assert (done.returncode, done.stdout) == (0, "no open incidents\n"), done.stderr
    long_ago = (datetime.now(UTC) - timedelta(hours=4)).isoformat(timespec="seconds")
    (alerted.root / "last_success.json").write_text(json.dumps({"hour": "2026-02-20T07", "at": long_ago}))
    for _ in range(2):
        done = alerted.script("alerts", "check")
        assert done.returncode == 1, done.stderr
    assert web.titles == ["[AirQino] no hourly run has succeeded for more than 3 h"]
    assert "The last one was that of 2026-02-20T07" in web.alerts[-1]["message"]
    listed = alerted.script("alerts", "list")
    assert listed.returncode == 0
    assert "no_success|\n" in listed.stdout
    assert listed.stdout.endswith("1 open incident\n")
    as_json = json.loads(alerted.script("alerts", "list", "--json").stdout)
    assert [(one["key"], one["kind"], one["since"][:19]) for one in as_json] == [
        ("no_success|", "no_success", long_ago[:19])
    ]

    assert alerted.script("alerts", "end", "nothing|").returncode == 2
    note_success(alerted.root, "2026-02-20T11", datetime.now(UTC))
    assert alerted.script("alerts", "check").returncode == 0
    assert web.titles[1:] == ["[AirQino] resolved: no hourly run has succeeded for more than 3 h"]

    done = alerted.script("alerts", "test", ALERT_URLS=f"json://127.0.0.1:{web.port} json://geheim1234@127.0.0.1:9/")
    assert done.returncode == 1
    assert done.stdout == "channel 1 (json): sent\n"
    assert done.stderr.startswith("channel 2 (json): FAILED: ")
    assert "geheim1234" not in done.stderr
    assert web.titles[-1] == "[AirQino] test"
    none = alerted.script("alerts", "test", ALERT_URLS="")
    assert (none.returncode, none.stderr.count("\n")) == (2, 1)
    assert "ALERT_URLS" in none.stderr


def test_a_check_that_could_not_judge_does_not_say_that_all_is_well(quick: Pipeline, tmp_path: Path) -> None:
    def check(**env: str) -> None:
        done = quick.script("alerts", "check", **env)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert "Traceback" not in done.stderr
        assert done.stderr.splitlines()[-1].startswith("error: "), done.stderr

    (tmp_path / "file").write_text("no folder")
    check(STAGING_ROOT=str(tmp_path / "file" / "staging"))
    (quick.root / ".alerts.lock").mkdir(parents=True)  # as good as a disk that cannot be written, to root as well
    check()
    (quick.root / ".alerts.lock").rmdir()
    parquet.write(quick.root / "2026-02-20" / "scores.parquet", pa.table({"day": ["2026-02-20"], "window_days": [7]}))
    check()
    (quick.root / "2026-02-20" / "scores.parquet").unlink()
    assert quick.script("alerts", "check").returncode == 0


def test_the_answer_for_machines_is_alone_on_standard_output(quick: Pipeline) -> None:
    quick.configure(Path(quick.env["LUIGI_CONFIG_PATH"]), disk_free_share=1)
    done = quick.script("alerts", "check", "--json", LOG_CONSOLE="json")
    assert [one["kind"] for one in json.loads(done.stdout)] == ["disk_low"]
    assert [json.loads(line)["log.level"] for line in done.stderr.splitlines()] == ["info"]


@pytest.mark.parametrize(("fault", "code"), [(False, 0), (True, 30)])
def test_incidents_and_counts_that_cannot_be_kept_change_no_run(
    quick: Pipeline, sandbox: Sandbox, tmp_path: Path, fault: bool, code: int
) -> None:
    if fault:
        fail(sandbox)
    (quick.root / "alerts.json").mkdir(parents=True)
    run = (
        "import tempfile; tempfile.tempdir = '/nowhere'; from tasks.cli.hourly import main; raise SystemExit(main([]))"
    )
    env = quick.env | {"METRICS_TEXTFILE": str(tmp_path / "airqino.prom")}
    done = subprocess.run([sys.executable, "-c", run], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert "WARNING counting for the metrics failed (FileNotFoundError" in done.stderr
    assert "WARNING reading alerts.json failed (IsADirectoryError" in done.stderr
    log = "".join(path.read_text() for path in (quick.root / "logs").iterdir())
    assert "Error in event callback" not in log
    assert ("alerts.json cannot be used: Is a directory" in log) == fault
    text = (tmp_path / "airqino.prom").read_text()
    assert f"airqino_run_success {float(not fault)}\n" in text
    assert "airqino_open_incidents" not in text
    quick.env["METRICS_TEXTFILE"] = ""
    done = subprocess.run([sys.executable, "-c", run], cwd=ROOT, env=quick.env, capture_output=True, timeout=60)
    assert done.returncode == code
    assert b"FileNotFoundError" not in done.stderr  # without metrics nothing is counted


@pytest.mark.parametrize("command", ["hourly", "backfill", "alerts"])
def test_what_cannot_be_written_down_is_told_all_the_same(
    alerted: Pipeline, sandbox: Sandbox, web: Web, command: str
) -> None:
    """As on a full disk: nobody can be told twice at once, but silence would be worse."""
    (alerted.root / "alerts.json").mkdir(parents=True)
    fail(sandbox)
    tells = [datetime.now(UTC).minute < 15]
    for _ in range(2):
        arguments = {"hourly": (), "backfill": ("2026-02-19..",), "alerts": ("check",)}[command]
        done = alerted.script(command, *arguments)
        assert done.returncode == (2 if command == "alerts" else 30), done.stderr
    if command == "alerts":  # a check each quarter of an hour tells in the first one of each hour only
        tells.append(datetime.now(UTC).minute < 15)
        expected = {2} if all(tells) else {0, 1, 2} if any(tells) else {0}  # any: the quarter has begun or ended
        assert len(web.alerts) in expected
        return
    assert len(web.alerts) == 2
    message = web.alerts[0]["message"]
    assert "Alerts cannot be written down under" in message
    assert "FetchHour failed" in message
    assert "\n    scripts/doctor\n" in message


def test_the_scripts_explain_themselves() -> None:
    for script in ("scripts/alerts", "scripts/rerun"):
        done = subprocess.run([script, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert "usage" in done.stdout
