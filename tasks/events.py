"""What people and log files are told of a run.

`tasks/logging.cfg` names the classes here, so that plain ``luigi`` logs as the scripts do.
"""

import logging
import os
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import luigi
from luigi.configuration import get_config

from tasks.errors import PipelineError

__all__ = ["DRIFT", "ConsoleFilter", "ConsoleFormatter", "LogFile", "log_path", "stage_seconds"]


#: Seconds that each stage (task family) took in this process.
stage_seconds: defaultdict[str, float] = defaultdict(float)


@luigi.Task.event_handler(luigi.Event.PROCESSING_TIME)  # type: ignore[untyped-decorator]
def _count_seconds(task: luigi.Task, seconds: float) -> None:
    stage_seconds[task.task_family] += seconds


#: Luigi event of a model that has drifted: called once for each drift with the task and a list of
#: (station, pollutant).
DRIFT = "airqino.drift"


def log_path() -> Path:
    """The log file of this month."""
    folder = os.environ.get("STAGING_ROOT") or get_config().get("staging", "root", "staging")
    return Path(folder) / "logs" / f"pipeline-{datetime.now(UTC):%Y-%m}.log"


class LogFile(logging.FileHandler):
    """Everything, tracebacks too, in a file a month; opened with the first record."""

    def __init__(self) -> None:
        """Name the file; make its folder with the first record."""
        super().__init__(log_path(), delay=True, encoding="utf-8")

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; a log that cannot be written never stops a run."""
        try:
            Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
            super().emit(record)
        except OSError:
            logging.raiseExceptions = False


class ConsoleFilter(logging.Filter):
    """Of Luigi only what went wrong; of the pipeline everything from INFO on."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a person wants to see it."""
        return record.name.startswith("airqino") or (
            record.levelno >= logging.WARNING
            and not record.getMessage().startswith(("Failed connecting", "Failed pinging", "Retrying"))
        )


class Console(logging.StreamHandler):  # type: ignore[type-arg]
    """Standard error, for people."""

    def __init__(self) -> None:
        """Filter and format for people."""
        super().__init__()
        self.addFilter(ConsoleFilter())
        self.setFormatter(ConsoleFormatter())


class ConsoleFormatter(logging.Formatter):
    """One line for each record, without a traceback: that is in the log file."""

    def __init__(self) -> None:
        """Short times, in UTC as everything else."""
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
        self.converter = lambda seconds: datetime.fromtimestamp(seconds or 0, UTC).timetuple()

    def format(self, record: logging.LogRecord) -> str:
        """Say what failed and why."""
        record = logging.makeLogRecord(record.__dict__)
        message = record.getMessage()
        if record.exc_info and (error := record.exc_info[1]):
            task = record.args[-1] if isinstance(record.args, tuple) and record.args else ""
            message = f"{task} failed: {_told(error)}" if task else _told(error)
        elif "Traceback (most recent call last)" in message:
            first, _, rest = message.partition("Traceback (most recent call last)")
            message = f"{' '.join(first.split()).rstrip(':')}: {rest.strip().splitlines()[-1].strip()}"
            message = message.replace("tasks.errors.", "")
        record.msg, record.args, record.exc_info, record.exc_text = message, None, None, None
        return super().format(record)


def _told(error: BaseException) -> str:
    if isinstance(error, PipelineError):
        return str(error)
    if isinstance(error, RuntimeError) and str(error).startswith("Unfulfilled"):
        return str(error).split(" (")[0]
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text} (the traceback is in {log_path()})"
