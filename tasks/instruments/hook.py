"""Hook: turns Luigi's events into incidents and counts, in whichever process they happen.

`tasks/__init__.py` imports this module, so plain ``luigi --module tasks`` raises alerts as the scripts do. With
several workers Luigi forks, and a task's events happen in the fork: they go into files that all share
(`incidents.book`, `tally.Tally`); only the process that was started sends messages, when it ends.
"""

import atexit
import contextlib
import logging
import mmap
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import luigi

from airqino.errors import PipelineError
from airqino.source import raw
from airqino.source.client import Answer
from airqino.times import format_hour
from tasks import logs, stage
from tasks.instruments import incidents, texts
from tasks.instruments.incidents import Book, Incident
from tasks.instruments.tally import Tally
from tasks.settings.reading import staging_root
from tasks.settings.secrets import redact

__all__ = ["count_into", "failed", "of_hourly_run", "send_at_exit", "told"]

log = logging.getLogger("instruments.hook")

#: Ends the name of an incident of another run than the hourly one, which does not look after what that was for.
_PAST = " (past)"
#: How long the end of a run may be held up: by another process that sends, and by sending itself.
_SENDING_SECONDS = 90
#: One byte, shared with forked workers: whether this run has something to tell.
_something = mmap.mmap(-1, 1)
_tally: Tally | None = None
#: Whether this process, or the one that forked it, is the hourly run.
_hourly = False


def of_hourly_run() -> None:
    """Name what fails from now on as the hourly run's."""
    global _hourly
    _hourly = True


def count_into(tally: Tally | None) -> None:
    """Count the events of this process and of those it forks from now on."""
    global _tally
    _tally = tally


def failed(family: str, parameters: Mapping[str, str], why: str, units: list[str]) -> None:
    """Open an incident for something that failed.

    A backfill that failed neither hides that the hourly run fails, nor is called mended when that one succeeds.
    """
    title, text = texts.task_failed(family, parameters, redact(why))
    what, now = f"{family}{'' if _hourly else _PAST}", datetime.now(UTC)
    new = Incident(kind="task_failed", what=what, since=now, title=title, text=text, units=units)
    _note(lambda book: book.begin(new))


@luigi.Task.event_handler(luigi.Event.FAILURE)  # type: ignore[untyped-decorator]
def _on_failure(task: luigi.Task, error: BaseException) -> None:
    failed(task.task_family, task.to_str_params(), logs.error_text(error), _units(task))
    if _tally:
        _tally.add("failed", task.task_family)


@luigi.Task.event_handler(luigi.Event.BROKEN_TASK)  # type: ignore[untyped-decorator]
def _on_broken(task: luigi.Task, error: BaseException) -> None:
    _on_failure(task, error)


@luigi.Task.event_handler(luigi.Event.DEPENDENCY_MISSING)  # type: ignore[untyped-decorator]
def _on_missing(task: luigi.Task) -> None:
    _on_failure(task, PipelineError(f"whether it is complete cannot be told; the error is in {logs.log_path()}"))


@luigi.Task.event_handler(luigi.Event.PROCESS_FAILURE)  # type: ignore[untyped-decorator]
@luigi.Task.event_handler(luigi.Event.TIMEOUT)  # type: ignore[untyped-decorator]
def _on_killed(task: luigi.Task, why: str) -> None:
    _on_failure(task, PipelineError(f"{why} (out of memory?)"))


@luigi.Task.event_handler(luigi.Event.SUCCESS)  # type: ignore[untyped-decorator]
@luigi.Task.event_handler(luigi.Event.DEPENDENCY_PRESENT)  # type: ignore[untyped-decorator]
def _on_success(task: luigi.Task) -> None:
    try:
        known = incidents.read(staging_root()).open()
    except OSError:  # the end of the run warns of it, once
        return
    if any(_cured_by(task, incident) for incident in known):
        _note(lambda book: _cure(task, book))


def _cure(task: luigi.Task, book: Book) -> None:
    for incident in book.open():
        if cured := _cured_by(task, incident):
            incident.units = [unit for unit in incident.units if unit not in cured]
            if not incident.units:
                book.end(incident.key)


@luigi.Task.event_handler(luigi.Event.PROCESSING_TIME)  # type: ignore[untyped-decorator]
def _on_time(task: luigi.Task, seconds: float) -> None:
    if _tally:
        _tally.add("seconds", task.task_family, seconds)


@luigi.Task.event_handler(stage.FETCHED)  # type: ignore[untyped-decorator]
def _on_fetched(_: luigi.Task, asked: set[tuple[str, datetime]], answers: Mapping[str, Answer]) -> None:
    if not _tally:
        return
    came = {station: raw.readings(answer) for station, answer in answers.items()}
    _tally.add("hours", amount=sum(hour in came[station] for station, hour in asked))
    for answer in answers.values():
        if answer.response:
            _tally.add("rows", amount=len(answer.response.data))
        silence = "timeout" if "Timeout" in type(answer.error).__name__ else "unreachable"
        _tally.add("requests", f"{answer.exchange.status or silence}")


@luigi.Task.event_handler(stage.DRIFT)  # type: ignore[untyped-decorator]
def _on_drift(task: Any, begun: list[tuple[str, str]]) -> None:
    def open_each(book: Book) -> None:
        for station, pollutant in begun:
            title, text = texts.drift_seen(station, pollutant, task.day)
            what = f"{station} {pollutant}"
            book.begin(Incident(kind="drift", what=what, since=datetime.now(UTC), title=title, text=text))

    _note(open_each)


def _note(change: Callable[[Book], None]) -> None:
    """Change the incidents, and remember that there is something to tell; a full disk stops no task."""
    try:
        with incidents.book(staging_root()) as book:
            change(book)
        _something[0] = 1
    except OSError as error:
        log.warning("alerts.json cannot be written (%s): no alert of this", error.strerror)


def _units(task: luigi.Task) -> list[str]:
    """The hours or days that a task is for."""
    of: dict[str, Any] = task.param_kwargs
    if "day" in of:
        days = of["day"] if isinstance(of["day"], tuple) else (of["day"],)
        return [f"{day}" for day in days]
    if "hour" in of:
        hours = of["hour"] if isinstance(of["hour"], tuple) else (of["hour"],)
        return [format_hour(hour) for hour in hours]
    return [" ".join(task.to_str_params().values())]


def _cured_by(task: luigi.Task, incident: Incident) -> set[str]:
    """The units of a failed task that are right, now that another has succeeded or was found complete.

    Of what the hourly run failed at, a later `Hourly` cures everything; besides, in any run the same task for the
    same hours or days does.
    """
    if incident.kind != "task_failed":
        return set()
    units = set(incident.units)
    if task.task_family == "Hourly" and not incident.what.endswith(_PAST):
        return {unit for unit in units if unit <= _units(task)[0]}
    if incident.what.removesuffix(_PAST) == task.task_family:
        return units & set(_units(task))
    return set()


def told() -> None:
    """Note that everything was told."""
    _something[0] = 0


def send_at_exit() -> None:
    """Tell what happened, at the end of a run that does not do so itself: plain ``luigi``, a backfill."""
    if not _something[0]:
        return
    # a process that ends cannot start threads any more, which Apprise needs: another one sends
    with contextlib.suppress(OSError, subprocess.SubprocessError):  # nothing may change how the run ended
        subprocess.run([sys.executable, "-m", "tasks.instruments.delivery"], timeout=_SENDING_SECONDS, check=False)


atexit.register(send_at_exit)
