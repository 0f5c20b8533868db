"""Which commands ran: what is written down, and what no fault of the file can do."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.configured import Configured
from support.deployment import ROOT

from airqino.errors import ConfigError, StagingError
from airqino.stores.paths import Paths
from tasks.cli.main import Stopped
from tasks.instruments import runs


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    configured = Configured(tmp_path, "http://127.0.0.1:9", monkeypatch)
    configured()
    configured.root.mkdir()
    return configured.root


def test_a_run_is_there_while_it_runs_and_after_it(root: Path) -> None:
    with runs.recorded("backfill", ["2024-03"]) as run:
        (under_way,) = runs.read(root)
        assert (under_way.command, under_way.code, under_way.duration) == ("backfill 2024-03", None, None)
        run.code = 0
    (done,) = runs.read(root)
    assert (done.id, done.outcome, done.reason) == (under_way.id, "ok", "")
    assert done.duration is not None
    assert 0 <= done.duration.total_seconds() < 60


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (StagingError("no room"), 2, "no room"),
        (ConfigError("[airqino] stations: none"), 2, "[airqino] stations: none"),
        (Stopped(), 143, "stopped by SIGTERM"),
        (KeyboardInterrupt(), 130, "KeyboardInterrupt"),
        (ValueError("odd"), 1, "odd"),
    ],
)
def test_an_error_is_the_reason_and_goes_on(root: Path, error: BaseException, code: int, reason: str) -> None:
    with pytest.raises(type(error)), runs.recorded("hourly", []):
        raise error
    (run,) = runs.read(root)
    assert (run.code, run.outcome) == (code, f"exit {code}")
    assert reason in run.reason


def test_a_process_that_was_killed_is_told_apart_from_one_that_runs(root: Path) -> None:
    program = (
        "import os, sys; sys.argv[0] = 'airqino'\n"
        "from tasks.instruments import runs\n"
        "with runs.recorded('hourly', []): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program], env={"STAGING_ROOT": f"{root}"}, check=False)
    (run,) = runs.read(root)
    assert run.outcome == "killed"


def test_the_oldest_runs_make_room(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "_KEPT", 3)
    for number in range(5):
        with runs.recorded("verify", [f"{number}"]) as run:
            run.code = number
            run.reason = f"reason {number}"
    assert [of.command for of in runs.read(root)] == ["verify 2", "verify 3", "verify 4"]
    assert [of.reason for of in runs.read(root)] == ["reason 2", "reason 3", "reason 4"]


def test_a_root_that_is_not_there_is_not_made_and_the_run_is_written_once_it_is(root: Path) -> None:
    root.rmdir()
    with pytest.raises(StagingError), runs.recorded("hourly", []):
        raise StagingError("staging root cannot be written")
    assert not root.exists()
    with runs.recorded("hourly", []) as run:
        root.mkdir()  # as the run itself does
        run.code = 0
    assert [of.outcome for of in runs.read(root)] == ["ok"]


def test_nothing_is_written_while_another_process_holds_the_file(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(runs, "_WAIT_SECONDS", 0.05)
    lock = Paths(root).lock("runs")
    program = "import sys; from pathlib import Path; from airqino.stores.locks import held\n"
    program += "with held(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", program, f"{lock}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with runs.recorded("hourly", []) as run:
            run.code = 0
        assert not Paths(root).runs.exists()
        other.communicate()
    assert "runs.parquet cannot be written: another process has held" in caplog.text


@pytest.mark.parametrize("content", [b"", b"PAR1 or not", None])
def test_a_damaged_file_is_kept_and_begun_anew(root: Path, content: bytes | None) -> None:
    file = root / "runs.parquet"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    assert runs.read(root) == []
    with runs.recorded("hourly", []) as run:
        run.code = 0
    if content is not None:
        assert [of.command for of in runs.read(root)] == ["hourly"]
        (kept,) = (root / "quarantine").glob("runs.parquet.*")
        assert kept.read_bytes() == content


def test_no_secret_is_written_down(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = "mongodb://{}:{}@db/".format("ops", "Very-S3cret")
    with pytest.raises(StagingError), runs.recorded("restore", [uri]):
        raise StagingError(f"{uri} does not answer")
    (run,) = runs.read(root)
    assert "S3cret" not in f"{run}"
