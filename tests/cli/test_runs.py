"""backfill, hourly and run: spans that cannot be meant, dry runs, and how a run says that it failed."""

import os
import re
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.deployment import ROOT, Pipeline

from airqino.sandbox.mongod import Mongod, free_port
from airqino.sandbox.server import Sandbox

NOW = "2026-03-10T00:05"


@pytest.fixture(autouse=True)
def _now(pipeline: Pipeline, sandbox: Sandbox) -> None:
    pipeline.env["AIRQINO_NOW"] = NOW
    sandbox.now = datetime(2026, 3, 10, 0, 5, tzinfo=UTC)


def everything(pipeline: Pipeline, sandbox: Sandbox) -> object:
    """All that a dry run must leave as it is."""
    files = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in pipeline.root.parent.rglob("*")}
    names = pipeline.database.list_collection_names(filter={"type": "collection"})
    documents = {name: [*pipeline.database[name].find().sort("_id")] for name in sorted(names)}
    return files, documents, sandbox.stats()["data_requests"]


@pytest.mark.parametrize("text", ["2026-03-01", "2026-03-01..2026-03-01T23", "2026-03-01T05"])
def test_a_span_is_written_in_each_form(pipeline: Pipeline, text: str) -> None:
    """Whole days are loaded; two arguments are what older texts name."""
    done = pipeline.backfill(text)
    assert (done.returncode, "1/1 days" in done.stderr) == (0, True)
    assert done.stdout.startswith("2026-03-01: of 48 station-hours ")
    again = pipeline.backfill("2026-03-01T00", "2026-03-01T23")
    assert (again.returncode, again.stdout) == (0, done.stdout)


def test_a_long_span_is_summed_up_by_station(pipeline: Pipeline) -> None:
    done = pipeline.backfill("2026-02-27..")
    counted, *stations = done.stdout.splitlines()
    assert counted.startswith("11 days, 2026-02-27 … 2026-03-09: of 528 station-hours ")
    assert [line.split()[0] for line in stations] == ["SMART188", "SMART189"]
    for line in stations:
        assert re.search(r"PM2\.5 mean \d+\.\d µg/m³ \(plain \d+\.\d\) on \d+ valid of 11 days", line)
        assert "CO " in line
        assert "0.00" not in line


@pytest.mark.parametrize(
    "arguments",
    [
        ("backfill", "2016-03-01"),
        ("backfill", "2016-03-01T00", "2026-03-01T23"),
        ("backfill", "2016-03..2026-03", "--again"),
        ("hourly", "--hour", "2016-03-02T10"),
        ("run", "DailyMeans", "--day", "2016-03"),
        ("run", "FetchHour", "--hour", "2016-03-02T10"),
    ],
)
def test_a_year_typed_wrong_is_refused_where_nobody_can_be_asked(
    pipeline: Pipeline, sandbox: Sandbox, arguments: tuple[str, ...]
) -> None:
    before = everything(pipeline, sandbox)
    done = pipeline.script(*arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert re.search(
        r"2016-.*: that is [\d,]+ station-hours of 2 stations, about \d+ requests; nothing is staged", done.stderr
    )
    assert done.stderr.endswith("if that is meant, give --yes\n")
    assert everything(pipeline, sandbox) == before
    began = time.monotonic()
    meant = pipeline.script(*arguments, "--yes", "--dry-run")
    assert (meant.returncode, meant.stderr) == (0, "")
    assert time.monotonic() - began < 45, "of ten years each hour was looked at by itself"  # 6 s on an idle machine


def on_terminal(pipeline: Pipeline, answer: str, *arguments: str) -> tuple[int, str]:
    """Exit code and what is seen of a command that is typed, and whose question is answered."""
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "tasks.cli", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, env=pipeline.env, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.write(ours, f"{answer}\n".encode())
    seen = b""
    try:
        while chunk := os.read(ours, 4096):
            seen += chunk
    except OSError:  # all who could write are gone
        pass
    os.close(ours)
    return process.wait(60), seen.decode()


def test_on_a_terminal_it_asks_back(pipeline: Pipeline, sandbox: Sandbox) -> None:
    assert pipeline.backfill("2026-03-01").returncode == 0
    before = everything(pipeline, sandbox)
    arguments = ("backfill", "2016-03..2016-04", "--dry-run")
    for answer in ("", "n", "no"):
        code, seen = on_terminal(pipeline, answer, *arguments)
        assert code == 2
        assert "that is 2,928 station-hours of 2 stations, about 4 requests" in seen
        assert "the first staged hour is 2026-03-01T00: go on? [y/N]" in seen
        assert "error: nothing was done" in seen
    code, seen = on_terminal(pipeline, "y", *arguments)
    assert code == 0
    assert "would ask 2 stations for 2,928 station-hours, 2016-03-01T00 to 2016-04-30T23, in about 4 requests" in seen
    assert everything(pipeline, sandbox) == before


def test_a_dry_run_says_what_the_run_then_does_and_changes_nothing(pipeline: Pipeline, sandbox: Sandbox) -> None:
    nothing = everything(pipeline, sandbox)
    told = pipeline.backfill("2026-02-20..2026-03-08", "--dry-run")
    assert (told.returncode, told.stderr) == (0, "")
    assert everything(pipeline, sandbox) == nothing
    assert told.stdout.splitlines() == [
        "dry run: nothing is asked, built or written",
        "would ask 2 stations for 816 station-hours, 2026-02-20T00 to 2026-03-08T23, in about 4 requests",
        "would build hourly.parquet of 17 days: 2026-02-20..2026-03-08",
        "would build daily.parquet of 17 days: 2026-02-20..2026-03-08",
        "would write the documents of 17 days: 2026-02-20..2026-03-08",
        "would write the stations' names and places",
        "what of this is built and written depends on what comes",
    ]
    assert pipeline.backfill("2026-02-20..2026-03-08").returncode == 0
    assert sandbox.stats()["data_requests"] == 4

    (pipeline.root / "2026-03-05" / "raw" / "07.parquet").write_bytes(b"damaged")
    (pipeline.root / "2026-03-02" / "daily.parquet").unlink()
    before = everything(pipeline, sandbox)
    for command in (["hourly"], ["run", "Hourly"]):
        told = pipeline.script(*command, "--dry-run")
        assert told.returncode == 0, told.stderr
        assert "07.parquet" in told.stderr
        assert "a run would set it aside, and make it again" in told.stderr
        assert everything(pipeline, sandbox) == before
        assert re.search(r"^would ask 2 stations for \d+ station-hours, .* to 2026-03-09T23", told.stdout, re.MULTILINE)
        assert re.search(r"^would build daily\.parquet of \d+ days: 2026-03-02\b", told.stdout, re.MULTILINE)
        for line in ("would forecast 2026-03-09T23", "would train the model of 2026-03-09"):
            assert line in told.stdout.splitlines()
    day = pipeline.script("run", "LoadDay", "--day", "2026-03-02", "--dry-run")
    assert day.stdout.splitlines()[1:] == [
        "would build daily.parquet of 2026-03-02",
        "would write the documents of 2026-03-02",
    ]
    forced = pipeline.script("run", "CleanDay", "--day", "2026-02-25", "--force", "--dry-run")
    assert forced.stdout.splitlines()[1:] == ["would build hourly.parquet of 2026-02-25"]
    assert everything(pipeline, sandbox) == before
    assert pipeline.hourly().returncode == 0
    assert (pipeline.root / "2026-03-05" / "raw" / "07.parquet").stat().st_size > len(b"damaged")


def test_a_dry_run_without_mongodb_is_one_line(pipeline: Pipeline) -> None:
    done = pipeline.script("hourly", "--dry-run", MONGODB_URI="mongodb://127.0.0.1:9")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert not pipeline.root.exists()


def test_an_hourly_run_that_is_well_prints_one_line(pipeline: Pipeline, sandbox: Sandbox) -> None:
    """With enough days for a model; twice: what there was to do, and nothing; text on a terminal in any case."""
    assert pipeline.backfill("2026-02-10..2026-03-09").returncode == 0
    sandbox.now = datetime(2026, 3, 10, 1, 5, tzinfo=UTC)
    first, again = pipeline.hourly("2026-03-10T01:05"), pipeline.hourly("2026-03-10T01:05")
    for done in (first, again):
        assert (done.returncode, done.stdout) == (0, "")
        line = r"\d\d:\d\d:\d\d INFO    2026-03-10T00 done in \d+\.\d s: \d of 2 stations have sent it\n"
        assert re.fullmatch(line, done.stderr), done.stderr
    pipeline.env |= {"AIRQINO_NOW": "2026-03-10T01:05", "LOG_CONSOLE": "json"}
    code, seen = on_terminal(pipeline, "", "hourly")
    assert code == 0
    assert re.fullmatch(r"\s*\d\d:\d\d:\d\d INFO    2026-03-10T00 done in .*\s*", seen), seen
    log = "".join(path.read_text() for path in (pipeline.root / "logs").iterdir())
    for chatter in ("Luigi Execution Summary", "Informed scheduler", "uses a scheduler of its own"):
        assert chatter in log


def told_of(stderr: str) -> list[str]:
    """The lines about how a run ended."""
    return [line.split(" ", 2)[-1].strip() for line in stderr.splitlines() if " ERROR " in line]


@pytest.mark.parametrize(
    "command", [["hourly"], ["backfill", "2026-03-01"], ["run", "FetchHour", "--hour", "2026-03-02"]]
)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_run_that_failed_says_why_and_what_to_do(pipeline: Pipeline, command: list[str], workers: str) -> None:
    done = pipeline.script(*command, "--workers", workers, AIRQINO_BASE_URL="http://127.0.0.1:9")
    assert done.returncode == 30
    why, cure = told_of(done.stderr)
    assert re.search(r"\(exit code 30\): FetchHour 2026-0\S+: no station answered for ", why), why
    assert "the same command does the rest: `scripts/doctor` helps" in cure
    assert "Traceback" not in done.stderr
    assert pipeline.script(*command).returncode == 0


def test_mongodb_that_dies_in_mid_run_is_a_failed_task_wherever_luigi_meets_it(
    tmp_path: Path, pipeline: Pipeline, sandbox: Sandbox
) -> None:
    sandbox.add_fault("latency", seconds=2)
    with Mongod(tmp_path / "mongo") as own:
        pipeline.configure(tmp_path / "luigi.cfg", failover_seconds=1, timeout_seconds=1)
        stop = threading.Thread(target=lambda: (wait_for_request(sandbox), own.kill()))
        stop.start()
        done = pipeline.script("hourly", MONGODB_URI=own.uri)
        stop.join()
    assert done.returncode == 30, done.stderr
    *why, cure = told_of(done.stderr)
    assert 1 <= len(why) <= 2
    assert "MongoDB at mongodb://127.0.0.1" in why[0]
    assert "the same command does the rest" in cure
    assert "Traceback" not in done.stderr
    assert pipeline.hourly().returncode == 0


def test_luigid_that_dies_in_mid_run_is_done_without(tmp_path: Path, pipeline: Pipeline, sandbox: Sandbox) -> None:
    port = free_port()
    luigid = [f"{Path(sys.executable).with_name('luigid')}", "--address", "127.0.0.1", "--port", f"{port}"]
    state = ["--state-path", f"{tmp_path / 'luigid.state'}"]
    server = subprocess.Popen([*luigid, *state], cwd=ROOT, stderr=subprocess.DEVNULL)
    pipeline.env["LUIGID_URL"] = f"http://127.0.0.1:{port}"
    sandbox.add_fault("latency", seconds=2)
    try:
        wait_for_port(port)
        stop = threading.Thread(target=lambda: (wait_for_request(sandbox), server.kill(), server.wait()))
        stop.start()
        done = pipeline.script("run", "DailyMeans", "--day", "2026-03-02")
        stop.join()
    finally:
        server.kill()
    assert done.returncode == 0, done.stderr
    assert "luigid does not answer any more: this run goes on with a scheduler of its own" in done.stderr
    assert "Traceback" not in done.stderr
    assert (pipeline.root / "2026-03-02" / "daily.parquet").exists()


def wait_for_request(sandbox: Sandbox) -> None:
    deadline = time.monotonic() + 60
    while not sandbox.stats()["data_requests"] and time.monotonic() < deadline:
        time.sleep(0.01)


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
