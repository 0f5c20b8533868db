"""The base of all tasks, the pipeline's own Luigi events, and what a run counts of them."""

import contextlib
import functools
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import luigi
from luigi.rpc import RemoteScheduler

from airqino.errors import StagingError, TookTooLongError
from airqino.stores import files, parquet
from airqino.stores.locks import held
from airqino.stores.paths import Paths
from tasks.asked import look_again
from tasks.limits import time_limit
from tasks.logs import labels
from tasks.settings.reading import settings, staging_root
from tasks.settings.secrets import redact

T = TypeVar("T", bound="Stage")

__all__ = ["DRIFT", "FETCHED", "Stage", "TaskContext", "alone", "exclusive", "stage_seconds"]

#: Luigi event of a model that has drifted: called once for each drift with the task and a list of
#: (station, pollutant).
DRIFT = "airqino.drift"

#: Luigi event of answers that were staged: called with the task, the set of (station, hour) that were asked for, and
#: station → answer.
FETCHED = "airqino.fetched"

#: Seconds that each stage (task family) took in this process.
stage_seconds: defaultdict[str, float] = defaultdict(float)


@luigi.Task.event_handler(luigi.Event.PROCESSING_TIME)  # type: ignore[untyped-decorator]
def _count_seconds(task: luigi.Task, seconds: float) -> None:
    stage_seconds[task.task_family] += seconds


class Stage(luigi.Task):
    """Base of all tasks: what luigid's page and Luigi's own mail tell of a failure holds no secret either."""

    #: Whether it is to be built once more, although it is complete.
    is_forced = False

    def force(self) -> None:
        """Have it built again although it is complete, once; what it needs is built only where that is not complete.

        Raises:
            ConfigError: There is nothing that may be built again.
        """
        self.is_forced = True

    def later(self) -> list[luigi.Task]:
        """Return the tasks that `run` starts, as far as that can be told before it."""
        return []

    def on_failure(self, exception: BaseException) -> str:
        """Return the traceback as Luigi tells it, masked."""
        return redact(super().on_failure(exception))


def exclusive(run: Callable[[T], None]) -> Callable[[T], None]:
    """Let only one task of a stage run at a time under a staging root, however the runs were started.

    Who comes second waits, looks at what the first has written, and does the rest. A task that takes too long fails.
    """

    @functools.wraps(run)
    def run_alone(task: T) -> None:
        with alone(type(task).__name__):
            look_again()
            run(task)
        task.is_forced = False
        look_again()
        parquet.give_back()  # a failed task ends the run soon

    return run_alone


@contextlib.contextmanager
def alone(name: str) -> Iterator[None]:
    """Keep other tasks of a stage waiting while the block runs, for which there is a limit of time.

    Raises:
        StagingError: Another run has not let go of the stage for long.
        TookTooLongError: The block takes too long.
    """
    seconds = settings().airqino.task_seconds
    path = Paths(staging_root()).lock(f"stage.{name}")
    with held(path, wait=seconds) as got:
        if not got:
            raise StagingError(
                f"another run has held {path} for {seconds / 60:.0f} minutes: see what it does, then run again"
            )
        cure = "what is staged stays, run again to go on; for a large network set [airqino] run_seconds higher"
        with time_limit(seconds, TookTooLongError(f"{name} took longer than {seconds:.0f} s: {cure}")):
            yield


class TaskContext:
    """Luigi's ``[worker] task_process_context``: while a task runs, its name, hour and day stand in each log line."""

    def __init__(self, process: Any) -> None:
        """Take the task of the worker's process."""
        parameters = process.task.to_str_params()
        # a batch of hours may be long
        of = {f"labels.{name}": text[:100] for name, text in parameters.items() if name in ("hour", "day") and text}
        self._is_shared = isinstance(process.status_reporter._scheduler, RemoteScheduler)
        self._of = {"labels.task": process.task.task_family, **of}

    def __enter__(self) -> None:
        """Set the labels; see what other hosts have written, before Luigi asks whether what the task needs is there."""
        labels.update(self._of)
        look_again()
        if self._is_shared:
            files.forget()

    def __exit__(self, *_: object) -> None:
        """Take them away."""
        labels.clear()
        look_again()
