"""Hook: turn Luigi's events into incidents and counts, in whichever process they happen.

`tasks/graph.py` imports this module, so plain ``luigi --module tasks`` raises alerts as the scripts do. With
several workers Luigi forks, and a task's events happen in the fork: they go into files that all processes share
(`incidents.book`, `tally.Tally`). Only the process that was started sends messages, when it ends.
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
import msgspec

from airqino.errors import NotAskedError, PipelineError, SourceTimeoutError, StagingError, UnexpectedShapeError
from airqino.source.client import Answer
from airqino.times import format_hour
from tasks import logs, stage
from tasks.environment import is_foreign
from tasks.instruments import incidents, texts
from tasks.instruments.incidents import Book, Incident
from tasks.instruments.tally import Tally
from tasks.settings.reading import settings, staging_root
from tasks.settings.secrets import redact
from tasks.stations import station_name

__all__ = ["count_into", "mark_hourly_run", "mark_sent", "record_failure", "send_at_exit", "unwritten"]

log = logging.getLogger("instruments.hook")

#: Ends the subject of an incident of any run but the hourly one, which does not look after what the other was for.
_PAST = " (past)"
#: How long the end of a run may be held up: by another process that sends, and by sending itself.
_SENDING_SECONDS = 90
#: One byte, shared with forked workers: whether this run changed an incident and nothing was sent since.
_unsent = mmap.mmap(-1, 1)
_tally: Tally | None = None
#: Incidents of this process that could not be written down, such as on a full disk: they are sent all the same.
unwritten: list[Incident] = []
#: Whether this process, or the one that forked it, is the hourly run.
_hourly = False


def mark_hourly_run() -> None:
    """Open the incidents of failures from now on as the hourly run's."""
    global _hourly
    _hourly = True


def count_into(tally: Tally | None) -> None:
    """Count the events of this process and of those it forks from now on."""
    global _tally
    _tally = tally


def record_failure(family: str, parameters: Mapping[str, str], reason: str, units: list[str]) -> None:
    """Open an incident for a task, or a run, that failed.

    The hourly run's failures and those of other runs are separate incidents: a backfill that fails does not hide that
    the hourly run fails, and does not end when the hourly run succeeds.

    Args:
        family: The name of the task's class.
        parameters: The task's parameters, as on the command line.
        reason: Why it failed; secrets are masked here.
        units: The hours or days that have to succeed for the incident to end.
    """
    title, text = texts.task_failed(family, parameters, redact(reason), by_itself=_hourly)
    subject, now = f"{family}{'' if _hourly else _PAST}", datetime.now(UTC)
    _begin(Incident(kind="task_failed", subject=subject, since=now, title=title, text=text, units=units))


@luigi.Task.event_handler(luigi.Event.BROKEN_TASK)  # type: ignore[untyped-decorator]
@luigi.Task.event_handler(luigi.Event.FAILURE)  # type: ignore[untyped-decorator]
def _on_failure(task: luigi.Task, error: BaseException) -> None:
    record_failure(task.task_family, task.to_str_params(), logs.error_text(error), _units(task))
    if _tally:
        _tally.add("failed", task.task_family)


@luigi.Task.event_handler(luigi.Event.DEPENDENCY_MISSING)  # type: ignore[untyped-decorator]
def _on_missing(task: luigi.Task) -> None:
    _on_failure(task, PipelineError(f"could not find out whether it is complete; the error is in {logs.log_path()}"))


@luigi.Task.event_handler(luigi.Event.PROCESS_FAILURE)  # type: ignore[untyped-decorator]
@luigi.Task.event_handler(luigi.Event.TIMEOUT)  # type: ignore[untyped-decorator]
def _on_killed(task: luigi.Task, reason: str) -> None:
    _on_failure(task, PipelineError(f"{reason} (out of memory?)"))


@luigi.Task.event_handler(luigi.Event.SUCCESS)  # type: ignore[untyped-decorator]
@luigi.Task.event_handler(luigi.Event.DEPENDENCY_PRESENT)  # type: ignore[untyped-decorator]
def _on_success(task: luigi.Task) -> None:
    try:
        open_incidents = incidents.read(staging_root()).open()
    except OSError:  # the end of the run warns of it, once
        return
    if any(_resolved_by(task, incident) for incident in open_incidents):
        _change_book(lambda book: _resolve(task, book))


def _resolve(task: luigi.Task, book: Book) -> None:
    for incident in book.open():
        if resolved := _resolved_by(task, incident):
            incident.units = [unit for unit in incident.units if unit not in resolved]
            if not incident.units:
                book.end(incident.key)


@luigi.Task.event_handler(luigi.Event.PROCESSING_TIME)  # type: ignore[untyped-decorator]
def _on_time(task: luigi.Task, seconds: float) -> None:
    if _tally:
        _tally.add("seconds", task.task_family, seconds)


@luigi.Task.event_handler(stage.FETCHED)  # type: ignore[untyped-decorator]
def _on_fetched(_: luigi.Task, asked: set[tuple[str, datetime]], answers: Mapping[str, Answer]) -> None:
    _open_shape_changed(asked, answers)
    if not _tally:
        return
    _tally.add("hours", amount=sum(hour in answers[station].readings for station, hour in asked))
    for answer in answers.values():
        if answer.response:
            _tally.add("rows", amount=len(answer.response.data))
        if isinstance(answer.error, NotAskedError):
            continue
        no_status = "timeout" if isinstance(answer.error, SourceTimeoutError) else "unreachable"
        for exchange in answer.exchanges:
            _tally.add("requests", f"{exchange.status or no_status}")


def _open_shape_changed(asked: set[tuple[str, datetime]], answers: Mapping[str, Answer]) -> None:
    """Open the incident for answers that nobody can read: nothing of them is staged where a condition would see it."""
    newest = max(hour for _, hour in asked)
    reasons = {s: f"{answer.error}" for s, answer in answers.items() if isinstance(answer.error, UnexpectedShapeError)}
    if reasons.keys() == answers.keys() >= {*settings().active_stations(newest)}:
        title, text = texts.answers_unread(reasons, newest)
        _begin(Incident(kind="shape_changed", since=datetime.now(UTC), title=title, text=text))


@luigi.Task.event_handler(stage.DRIFT)  # type: ignore[untyped-decorator]
def _on_drift(task: Any, begun: list[tuple[str, str]]) -> None:
    def open_each(book: Book) -> None:
        for station, pollutant in begun:
            name = station_name(station, settings())
            title, text = texts.drift_without_scores(name, station, pollutant, task.day)
            subject = f"{station} {pollutant}"
            book.begin(Incident(kind="drift", subject=subject, since=datetime.now(UTC), title=title, text=text))

    _change_book(open_each)


def _begin(incident: Incident) -> None:
    if not _change_book(lambda book: book.begin(incident)):
        unwritten.append(incident)


def _change_book(change: Callable[[Book], None]) -> bool:
    """Change the incidents, and remember that messages are to be sent; a full disk stops no task.

    Those of another environment are not ours to change: the settings are wrong, which the run itself tells.

    Returns:
        False where there is something to write down, and it could not be.
    """
    if is_foreign(staging_root()):
        return True
    try:
        with incidents.book(staging_root()) as book:
            change(book)
        _unsent[0] = 1
    except (OSError, StagingError) as error:
        log.info("alerts.json cannot be used: %s", getattr(error, "strerror", None) or error)
        return False
    return True


def _units(task: luigi.Task) -> list[str]:
    """Return the days or hours that a task is for; its parameters where it has neither."""
    for name, form in (("day", str), ("hour", format_hour)):
        if name in task.param_kwargs:
            value = task.param_kwargs[name]
            return [form(unit) for unit in (value if isinstance(value, tuple) else (value,))]
    return [" ".join(task.to_str_params().values())]


def _resolved_by(task: luigi.Task, incident: Incident) -> set[str]:
    """Return the units of a failed task that are right, now that `task` has succeeded or was found complete.

    An `Hourly` resolves all that the hourly run failed at up to its own hour, or in the future, but for `Publish`,
    which comes after it and resolves itself: what is published of an hour stands for those before. Any other incident
    is resolved by the same task for the same hours or days, in whichever run.
    """
    if incident.kind != "task_failed":
        return set()
    units, family = set(incident.units), incident.subject.removesuffix(_PAST)
    is_of_hourly_run = not incident.subject.endswith(_PAST)
    if family == task.task_family == "Publish" or (
        task.task_family == "Hourly" and is_of_hourly_run and family != "Publish"
    ):
        # what a clock that was ahead had asked for is in the future now
        return {unit for unit in units if unit <= _units(task)[0] or unit > format_hour(settings().last_hour)}
    if family == task.task_family:
        return units & set(_units(task))
    return set()


def mark_sent() -> None:
    """Note that all messages were sent."""
    _unsent[0] = 0


def send_at_exit() -> None:
    """Send what there is to send at the end of a run that does not send itself: plain ``luigi``, a backfill."""
    if not (_unsent[0] or unwritten) or is_foreign(staging_root()):
        return
    # a process that ends cannot start threads any more, which Apprise needs: another one sends
    command, left = [sys.executable, "-m", "tasks.instruments.delivery"], msgspec.json.encode(unwritten)
    with contextlib.suppress(OSError, subprocess.SubprocessError):  # nothing may change how the run ended
        subprocess.run(command, input=left, timeout=_SENDING_SECONDS, check=False)


atexit.register(send_at_exit)
