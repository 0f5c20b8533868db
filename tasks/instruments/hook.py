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
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import luigi

from tasks import events
from tasks.airqino import raw
from tasks.airqino.client import Answer
from tasks.config import settings
from tasks.errors import PipelineError
from tasks.hours import format_hour
from tasks.instruments import incidents, texts
from tasks.instruments.incidents import Book, Incident
from tasks.instruments.tally import Tally
from tasks.redaction import redact

__all__ = ["count_into", "failed", "send_at_exit", "told"]

log = logging.getLogger("instruments.hook")

#: Ends the name of an incident of what the hourly run does not look after.
_PAST = " (past)"
#: How long the end of a run may be held up.
_SENDING_SECONDS = 60
#: One byte, shared with forked workers: whether this run has something to tell.
_something = mmap.mmap(-1, 1)
_tally: Tally | None = None


def count_into(tally: Tally | None) -> None:
    """Count the events of this process and of those it forks from now on."""
    global _tally
    _tally = tally


def failed(family: str, parameters: Mapping[str, str], why: str, units: list[str], what: str = "") -> None:
    """Open an incident for something that failed."""
    title, text = texts.task_failed(family, parameters, redact(why))
    with _noted() as book:
        now = datetime.now(UTC)
        book.begin(Incident(kind="task_failed", what=what or family, since=now, title=title, text=text, units=units))


@luigi.Task.event_handler(luigi.Event.FAILURE)  # type: ignore[untyped-decorator]
def _on_failure(task: luigi.Task, error: BaseException) -> None:
    if _tally:
        _tally.add("failed", task.task_family)
    failed(task.task_family, task.to_str_params(), events.told(error), _units(task), _what(task))


@luigi.Task.event_handler(luigi.Event.BROKEN_TASK)  # type: ignore[untyped-decorator]
def _on_broken(task: luigi.Task, error: BaseException) -> None:
    _on_failure(task, error)


@luigi.Task.event_handler(luigi.Event.DEPENDENCY_MISSING)  # type: ignore[untyped-decorator]
def _on_missing(task: luigi.Task) -> None:
    _on_failure(task, PipelineError(f"whether it is complete cannot be told; the error is in {events.log_path()}"))


@luigi.Task.event_handler(luigi.Event.PROCESS_FAILURE)  # type: ignore[untyped-decorator]
@luigi.Task.event_handler(luigi.Event.TIMEOUT)  # type: ignore[untyped-decorator]
def _on_killed(task: luigi.Task, why: str) -> None:
    _on_failure(task, PipelineError(f"{why} (out of memory?)"))


@luigi.Task.event_handler(luigi.Event.SUCCESS)  # type: ignore[untyped-decorator]
@luigi.Task.event_handler(luigi.Event.DEPENDENCY_PRESENT)  # type: ignore[untyped-decorator]
def _on_success(task: luigi.Task) -> None:
    root = events.staging_root()
    if not any(_cured_by(task, incident) for incident in incidents.read(root).open()):
        return
    with _noted() as book:
        for incident in book.open():
            if cured := _cured_by(task, incident):
                incident.units = [unit for unit in incident.units if unit not in cured]
                if not incident.units:
                    book.end(incident.key)


@luigi.Task.event_handler(luigi.Event.PROCESSING_TIME)  # type: ignore[untyped-decorator]
def _on_time(task: luigi.Task, seconds: float) -> None:
    if _tally:
        _tally.add("seconds", task.task_family, seconds)


@luigi.Task.event_handler(events.FETCHED)  # type: ignore[untyped-decorator]
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


@luigi.Task.event_handler(events.DRIFT)  # type: ignore[untyped-decorator]
def _on_drift(task: Any, begun: list[tuple[str, str]]) -> None:
    with _noted() as book:
        for station, pollutant in begun:
            title, text = texts.drift_seen(station, pollutant, task.day)
            what = f"{station} {pollutant}"
            book.begin(Incident(kind="drift", what=what, since=datetime.now(UTC), title=title, text=text))


@contextlib.contextmanager
def _noted() -> Iterator[Book]:
    """Change the incidents, and remember that there is something to tell; a full disk stops no task."""
    try:
        with incidents.book(events.staging_root()) as book:
            yield book
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


def _what(task: luigi.Task) -> str:
    """The incident that a failure belongs to: that of its stage, or another for what is past the hourly run's reach.

    A backfill that failed then neither hides that the hourly run fails, nor is called mended when that one succeeds.
    """
    reach = settings().last_hour - timedelta(hours=settings().airqino.late_window_hours)
    past = task.task_family == "Backfill" or max(_units(task)) < f"{reach.date()}"
    return f"{task.task_family}{_PAST if past else ''}"


def _cured_by(task: luigi.Task, incident: Incident) -> set[str]:
    """The units of a failed task that are right, now that another has succeeded or was found complete.

    Besides the same task for the same hours or days it is `Hourly`, which looks after everything in its reach.
    """
    if incident.kind != "task_failed":
        return set()
    units = set(incident.units)
    if incident.what.removesuffix(_PAST) == task.task_family:
        return units & set(_units(task))
    if task.task_family == "Hourly" and not incident.what.endswith(_PAST):
        return {unit for unit in units if unit <= _units(task)[0]}
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
