"""What takes too long is broken off: a block, a task, and a process that does not react."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from luigi.configuration import get_config
from support.deployment import ROOT

from airqino.errors import TookTooLongError
from tasks.limits import TIME_OVER, time_limit
from tasks.settings import reading
from tasks.stage import Stage, exclusive


class OverError(Exception):
    pass


def test_a_block_that_takes_too_long_is_broken_off_and_what_was_before_is_back() -> None:
    before, began = signal.getsignal(signal.SIGALRM), time.monotonic()
    with pytest.raises(OverError), time_limit(0.1, OverError()):
        time.sleep(20)
    assert 0.1 <= time.monotonic() - began < 5
    if callable(before):
        assert signal.getsignal(signal.SIGALRM) is before


def test_a_block_that_is_done_in_time_is_left_alone() -> None:
    with time_limit(0.05, OverError()):
        pass
    time.sleep(0.1)


@pytest.mark.parametrize(("outer", "inner", "error"), [(0.05, 9, OverError), (9, 0.05, TookTooLongError)])
def test_of_limits_within_each_other_the_first_to_expire_counts(outer: float, inner: float, error: type) -> None:
    with pytest.raises(error), time_limit(outer, OverError()), time_limit(inner, TookTooLongError("slow")):
        time.sleep(20)


def test_in_another_thread_there_is_no_limit() -> None:
    done = []

    def work() -> None:
        with time_limit(0.01, OverError()):
            time.sleep(0.05)
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done


def test_a_process_that_does_not_react_is_ended_with_its_workers() -> None:
    program = """
import multiprocessing, os, signal, time
from tasks import limits
limits._GRACE = 0.3
worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
worker.start()
print(worker.pid, flush=True)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])  # as code that never comes back to Python
with limits.time_limit(0.1, RuntimeError("the run is over")):
    time.sleep(60)
"""
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (TIME_OVER, "the run is over; it does not react: ended\n")
    assert time.monotonic() - began < 30
    time.sleep(0.2)
    stat = Path(f"/proc/{int(done.stdout)}/stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


class Endless(Stage):
    @exclusive
    def run(self) -> None:
        time.sleep(20)


@pytest.fixture
def short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Settings by which a task may take 0.2 s."""
    monkeypatch.setenv("STAGING_ROOT", str(tmp_path))
    before = get_config().get("airqino", "run_seconds")
    get_config().set("airqino", "run_seconds", "0.3")
    reading.settings.cache_clear()
    yield
    get_config().set("airqino", "run_seconds", before)
    reading.settings.cache_clear()


def test_a_task_that_takes_too_long_fails_and_lets_go_of_its_stage(short: None) -> None:
    for _ in range(2):
        with pytest.raises(TookTooLongError, match=r"Endless took longer than 0 s: .*run_seconds higher"):
            Endless().run()


def test_the_shares_of_a_run(short: None) -> None:
    source = reading.settings().airqino
    assert (source.asking_seconds, source.task_seconds) == (pytest.approx(0.1), pytest.approx(0.2))
