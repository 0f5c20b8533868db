"""Logging: what people and the log file are told of a run.

`tasks/logging.cfg` names the classes here, so that plain ``luigi`` logs as the scripts do. The log file, and with
``[logging] console = json`` standard output, hold JSON lines in the Elastic Common Schema.
"""

import logging
import re
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import ecs_logging
from luigi.interface import core
from luigi.rpc import RPCError
from luigi.setup_logging import InterfaceLogging

from airqino.errors import PipelineError
from airqino.stores.paths import Paths
from tasks.settings.reading import log_folder, staging_root, text
from tasks.settings.secrets import redact

__all__ = [
    "RUN_ID", "Console", "ConsoleFilter", "ConsoleFormatter", "ECSFormatter", "Failure", "LogFile", "error_text",
    "failure", "is_json", "keep_console_quiet", "labels", "log_path", "start_logging",
]  # fmt: skip

#: This process and its workers, in every line of the log file (``trace.id``).
RUN_ID = uuid.uuid4().hex

#: The task at work in this process, as labels of its log lines.
labels: dict[str, str] = {}


def log_path() -> Path:
    """Return the log file of this month."""
    return log_folder() / Paths(staging_root()).log(datetime.now(UTC)).name


def start_logging() -> None:
    """Log as Luigi will: before it starts, and where it never does."""
    InterfaceLogging.setup(core())


class ECSFormatter(ecs_logging.StdlibFormatter):
    """A JSON object a line: Elastic Common Schema, with run, task, hour or day, and station where it is known."""

    def __init__(self) -> None:
        super().__init__(exclude_fields=["log.original", "process.thread", "process.name"], ensure_ascii=False)

    def format_to_ecs(self, record: logging.LogRecord) -> dict[str, Any]:
        """Add the labels, without touching the record that other handlers see."""
        copy = logging.makeLogRecord(record.__dict__)
        station = copy.__dict__.pop("station", None)
        copy.__dict__.update(labels, **{"trace.id": RUN_ID, "service.name": "airqino-pipeline"})
        if station:
            copy.__dict__["labels.station"] = station
        return super().format_to_ecs(copy)


class LogFile(logging.FileHandler):
    """Everything, tracebacks too, in a file a month; opened with the first record."""

    def __init__(self) -> None:
        super().__init__(log_path(), delay=True, encoding="utf-8")
        self.setFormatter(ECSFormatter())
        self._is_foreign: bool | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, unless the root is another environment's; a log that cannot be written never stops a run."""
        if self._is_foreign is None:
            from tasks.environment import is_foreign  # loads MongoDB's driver, which not every command needs

            self._is_foreign = is_foreign(staging_root())
        if self._is_foreign:
            return
        try:
            Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
            super().emit(record)
        except OSError:
            logging.raiseExceptions = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """Keep silent where the disk is full: whatever else it stops is told by what needs it."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)

    def format(self, record: logging.LogRecord) -> str:
        """Write no secret."""
        return redact(super().format(record))


def is_json() -> bool:
    """Tell whether the console is for machines: never on a terminal, whatever the settings say."""
    return text("logging", "console") == "json" and not sys.stdout.isatty()


def keep_console_quiet() -> None:
    """From now on show people what a command itself says and warnings; the rest is for the log file alone."""
    ConsoleFilter.is_quiet = True


class ConsoleFilter(logging.Filter):
    """Of Luigi only what made a task fail; of the pipeline everything from INFO on.

    Where the console is kept quiet, warnings alone and what `airqino.run` says: there the command tells at its end
    why it failed.
    """

    is_quiet = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a person wants to see it."""
        if record.name.startswith("airqino"):
            return not self.is_quiet or record.levelno >= logging.WARNING or record.name == "airqino.run"
        if record.name in ("luigi", "luigi-interface"):
            return not self.is_quiet and failure(record) is not None
        return record.levelno >= logging.WARNING


class Console(logging.StreamHandler):  # type: ignore[type-arg]
    """Standard error, for people; or standard output, for machines, which get what the log file gets."""

    def __init__(self) -> None:
        """Choose by ``[logging] console``, and by whether it is a terminal."""
        if is_json():
            super().__init__(sys.stdout)
            self.setFormatter(ECSFormatter())
        else:
            super().__init__()
            self.addFilter(ConsoleFilter())
            self.setFormatter(ConsoleFormatter())

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """Keep silent where nobody reads any more: a run goes on without."""
        if not isinstance(sys.exc_info()[1], BrokenPipeError):
            super().handleError(record)

    def format(self, record: logging.LogRecord) -> str:
        """Write no secret."""
        return redact(super().format(record))


class ConsoleFormatter(logging.Formatter):
    """One line for each record, without a traceback: that is in the log file."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
        self.converter = lambda seconds: datetime.fromtimestamp(seconds or 0, UTC).timetuple()

    def format(self, record: logging.LogRecord) -> str:
        """Say what failed and why."""
        record = logging.makeLogRecord(record.__dict__)
        message = record.getMessage()
        if record.exc_info and (error := record.exc_info[1]):
            task = record.args[-1] if isinstance(record.args, tuple) and record.args else ""
            message = f"{task} failed: {error_text(error)}" if task else error_text(error)
        elif "Traceback (most recent call last)" in message:
            first, _, rest = message.partition("Traceback (most recent call last)")
            message = f"{' '.join(first.split()).rstrip(':')}: {rest.strip().splitlines()[-1].strip()}"
            message = message.replace("airqino.errors.", "")
        record.msg, record.args, record.exc_info, record.exc_text = message, None, None, None
        return super().format(record)


class Failure(NamedTuple):
    """What a record of Luigi's says of a task that failed.

    Attributes:
        task: The task as Luigi names it, or "" where it is none's.
        reason: Why, in one line.
        is_ours: Whether it was foreseen: one of the pipeline's own errors, whose text says what to do, or luigid's.
    """

    task: str
    reason: str
    is_ours: bool


#: How Luigi begins what it says of an error in a task's complete() or deps(); a traceback follows.
_NOT_SCHEDULED = re.compile(r"Will not run (.*?) or any dependencies due to error in \w+\(\) method:\n")


def failure(record: logging.LogRecord) -> Failure | None:
    """Return what a record of Luigi's tells of a failure; None of all that is its own business.

    A task that Luigi only puts off, because what it needs has changed meanwhile, has not failed.
    """
    message = record.getMessage()
    if record.name != "luigi-interface":
        return None
    if record.exc_info and (error := record.exc_info[1]) and "\n" not in message:
        if isinstance(error, RuntimeError) and str(error).startswith("Unfulfilled"):
            return None
        if isinstance(error, RPCError):
            return Failure("", f"luigid went away: {' '.join(str(error).split())}", is_ours=True)
        last = record.args[-1] if isinstance(record.args, tuple) and record.args else ""
        return Failure(f"{last}", error_text(error), isinstance(error, PipelineError))
    if found := _NOT_SCHEDULED.match(message):
        reason = message.strip().splitlines()[-1].strip()
        is_ours = reason.startswith("airqino.errors.")
        where = "" if is_ours else f" (the traceback is in {log_path()})"
        return Failure(found[1], f"{reason.partition(': ')[2] if is_ours else reason}{where}", is_ours)
    if record.levelno == logging.INFO and re.search(r"died unexpectedly|timed out after", message):
        return Failure("", message, is_ours=False)
    return None


def error_text(error: BaseException) -> str:
    """Return an error in one line for people."""
    if isinstance(error, PipelineError):
        return str(error)
    if isinstance(error, RuntimeError) and str(error).startswith("Unfulfilled"):
        return str(error).split(" (")[0]
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text} (the traceback is in {log_path()})"
