"""Runs: which commands ran, when, how long, how they ended and why; kept in ``<staging root>/runs.parquet``."""

import contextlib
import logging
import os
import socket
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from airqino.errors import DamagedFileError, PipelineError, StagingError
from airqino.stores import files, parquet
from airqino.stores.locks import held
from airqino.stores.paths import Paths
from tasks import targets
from tasks.instruments import incidents
from tasks.settings.reading import staging_root
from tasks.settings.secrets import redact

__all__ = ["RecordedRun", "read", "recorded"]

log = logging.getLogger("instruments.runs")

#: The newest runs are kept: two months of hourly ones.
_KEPT = 1500
#: Seconds to wait for another process that writes the file; it takes milliseconds.
_WAIT_SECONDS = 10
_TIME = pa.timestamp("us", tz="UTC")
_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("command", pa.string()),
        ("began_at", _TIME),
        ("ended_at", _TIME),  # null while it runs, and of a process that was killed
        ("code", pa.int16()),  # null likewise
        ("reason", pa.string()),  # why the code is not 0
        ("host", pa.string()),
        ("pid", pa.int64()),
    ]
)


@dataclass
class RecordedRun:
    """A run of a command.

    Attributes:
        command: As it was typed, without ``scripts/``.
        began_at: When it began.
        ended_at: When it ended; None while it runs, and of a process that was killed.
        code: Its exit code; None likewise.
        reason: Why the code is not 0; empty where it is.
    """

    command: str
    began_at: datetime
    ended_at: datetime | None = None
    code: int | None = None
    reason: str = ""
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)

    @property
    def duration(self) -> timedelta | None:
        """Return how long it took; None where its end is not known."""
        return self.ended_at - self.began_at if self.ended_at else None

    @property
    def outcome(self) -> str:
        """Return ``ok``, ``exit 30``, ``under way``, or ``killed`` where no end was written down."""
        if self.code is not None:
            return f"exit {self.code}" if self.code else "ok"
        return "under way" if self.host != socket.gethostname() or _is_alive(self.pid) else "killed"


def _is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return b"airqino" in (command := Path(f"/proc/{pid}/cmdline").read_bytes()) or b"tasks.cli" in command
    return False


@contextlib.contextmanager
def recorded(command: str, arguments: Sequence[str]) -> Iterator[RecordedRun]:
    """Write down that a command runs, and how it ended; where that cannot be written, the log says so and it runs on.

    A staging root that is not there yet is not made: then only the end is written.

    Args:
        command: The command's name.
        arguments: Its arguments.

    Yields:
        The run, whose `code`, and `reason` if it is not 0, the block sets. An error that leaves the block is the
        reason by itself.

    Raises:
        ConfigError: The staging root belongs to another environment.
    """
    targets.paths()  # nothing is written into another environment's staging root
    run, began = RecordedRun(redact(" ".join([command, *arguments])), datetime.now(UTC)), time.monotonic()
    _write(run)
    try:
        yield run
    except PipelineError as error:
        run.code, run.reason = 2, f"{error}"
        raise
    except BaseException as error:
        run.code = getattr(error, "code", None)
        run.code = run.code if isinstance(run.code, int) else 130 if isinstance(error, KeyboardInterrupt) else 1
        run.reason = getattr(error, "reason", "") or f"{error}" or type(error).__name__
        raise
    finally:
        run.ended_at = run.began_at + timedelta(seconds=time.monotonic() - began)
        if run.code and not run.reason:
            run.reason = _failures(run.began_at)
        run.reason = redact(" ".join(run.reason.split()))[:500]
        _write(run)


def _failures(since: datetime) -> str:
    """Return why tasks failed in this run, as their alerts say."""
    with contextlib.suppress(OSError):
        opened = [i for i in incidents.read(staging_root()).open() if i.kind == "task_failed" and i.units]
        told = [f"{i.title}: {i.text.partition('Why: ')[2].partition(chr(10))[0]}" for i in opened]
        return "; ".join(told)
    return ""


def read(root: Path) -> list[RecordedRun]:
    """Return the runs of a staging root, oldest first; none where there is no file, or a damaged one."""
    try:
        table = parquet.read(Paths(root).runs)
    except DamagedFileError:
        return []
    if table is None or not {*_SCHEMA.names} <= {*table.column_names}:
        return []
    return [RecordedRun(**row) for row in table.select(_SCHEMA.names).to_pylist()]


def _write(run: RecordedRun) -> None:
    root = staging_root()
    try:
        if not root.is_dir():  # a mistyped one is not made; a new one is there at the end
            return
        with held(Paths(root).lock("runs"), wait=_WAIT_SECONDS) as got:
            if not got:
                raise StagingError(f"another process has held it for {_WAIT_SECONDS} s")
            try:
                parquet.read(Paths(root).runs)
            except DamagedFileError:
                files.set_aside(Paths(root).runs, root, Paths(root).quarantine)
            others = [of for of in read(root) if of.id != run.id]
            rows = sorted([*others, run], key=lambda of: of.began_at)[-_KEPT:]
            table = pa.Table.from_pylist([vars(of) for of in rows], schema=_SCHEMA)
            parquet.write(Paths(root).runs, table)
    except (OSError, PipelineError) as error:  # the command itself tells that the staging root cannot be used
        log.info("runs.parquet cannot be written: %s", error)
