"""Why a run failed: what is told of Luigi's errors, from whichever process, and with which exit code."""

import logging
import os

import pytest

from airqino.errors import MongoError, StagingError
from tasks.cli.reasons import Outcome, Reasons

LUIGI = logging.getLogger("luigi-interface")
FAILED = "[pid %s] Worker %s failed    %s"


def fails(error: Exception, task: str = "LoadDay(day=2024-09-09, through=2024-09-09T23)") -> None:
    """Log as Luigi does where a task raises."""
    try:
        raise error
    except Exception:
        LUIGI.exception(FAILED, 7, "worker", task)


def test_nothing_is_told_of_a_run_that_is_well() -> None:
    with Reasons() as reasons:
        LUIGI.warning("Data for X() does not exist (yet?)")
    assert reasons.outcome(0) == Outcome(0, (), "")


@pytest.mark.parametrize("code", [30, 35, 40])
def test_errors_of_ours_are_those_of_a_failed_task_and_each_is_told_once(code: int) -> None:
    with Reasons() as reasons:
        for day in (9, 10, 11):
            fails(
                MongoError("MongoDB is gone; start it"), f"LoadDay(day=2024-09-{day:02}, through=2024-09-{day:02}T23)"
            )
        fails(StagingError("the disk is full"), "FetchHour(hour=2024-09-09T10,2024-09-09T12, backfill=False)")
        outcome = reasons.outcome(code)
    assert outcome.code == 30
    assert outcome.why == (
        "LoadDay 2024-09-09 and 2 more: MongoDB is gone; start it",
        "FetchHour 2024-09-09T10: the disk is full",
    )
    assert "the same command does the rest" in outcome.cure


def test_more_reasons_than_two_are_counted() -> None:
    with Reasons() as reasons:
        for number in range(5):
            fails(StagingError(f"reason {number}"))
        outcome = reasons.outcome(30)
    assert len(outcome.why) == 2
    assert outcome.why[1].startswith("and 4 more errors, in ")


@pytest.mark.parametrize("code", [30, 35, 40])
def test_an_error_nobody_foresaw_keeps_its_code_and_is_to_be_reported(code: int) -> None:
    with Reasons() as reasons:
        fails(MongoError("gone"))
        fails(KeyError("co"))
        outcome = reasons.outcome(code)
    assert outcome.code == code
    assert "KeyError: 'co'" in outcome.why[1]
    assert outcome.cure.startswith("what is staged stays; report it, with the traceback that is in ")


@pytest.mark.parametrize(
    ("code", "why", "cure"),
    [
        (10, "another run does some of it now", "wait until it is done"),
        (20, "data from outside the pipeline are missing", "report it"),
        (25, "the scheduler did not let some tasks run", "wait until the other run is done"),
        (35, "the graph of tasks could not be built", "report it"),
        (40, "an error nobody foresaw", "report it"),
    ],
)
def test_each_code_has_a_reason_and_a_next_step(code: int, why: str, cure: str) -> None:
    with Reasons() as reasons:
        outcome = reasons.outcome(code)
    assert (outcome.code, len(outcome.why)) == (code, 1)
    assert why in outcome.why[0]
    assert cure in outcome.cure


def test_what_a_forked_worker_knows_is_told_however_long_it_is() -> None:
    """Hundreds of long ones do not stop the worker, and none is torn."""
    with Reasons() as reasons:
        if (worker := os.fork()) == 0:
            for number in range(300):
                fails(StagingError(f"{number:03} " + 'é"\\' * 2000))
            os._exit(0)
        assert os.waitpid(worker, 0)[1] == 0
        outcome = reasons.outcome(30)
    assert outcome.why[0].startswith("LoadDay 2024-09-09: 000 é")
    assert outcome.why[1].startswith("and ")
