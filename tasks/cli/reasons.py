"""Why a run failed, in a line or two, and what to do next; whichever of its processes knows it."""

import contextlib
import json
import logging
import os
import re
from types import MappingProxyType
from typing import NamedTuple, Self

from tasks import logs
from tasks.cli.main import FAILED

__all__ = ["Outcome", "Reasons"]

log = logging.getLogger("airqino.run")

#: Reasons that are told; the log has all of them.
_TOLD = 2
#: Characters of a task and of a reason: a line of both is written to a pipe at once, whatever other processes write.
_LONGEST = 200, 700
#: What Luigi says where a task or a run did not end: its family, and its day or hour.
_TASK = re.compile(r"(\w+)\((?:(?:hour|day|start)=([^,)]*))?")

_WHAT = MappingProxyType(
    {
        10: "another run does some of it now",
        20: "data from outside the pipeline are missing",
        25: "the scheduler did not let some tasks run: another run has them, or it failed at them just now",
        35: "the graph of tasks could not be built",
        40: "an error nobody foresaw",
    }
)
_NEXT = MappingProxyType(
    {
        10: "wait until it is done, then run the same command again",
        25: "wait until the other run is done (luigid's page shows it), then run the same command again",
    }
)


class Outcome(NamedTuple):
    """How a run of Luigi ended.

    Attributes:
        code: The exit code.
        why: Why it failed, in a line or two; none where it did not.
        cure: What to do next, in a line; "" where nothing is to be done.
    """

    code: int
    why: tuple[str, ...] = ()
    cure: str = ""

    def tell(self, what: str) -> None:
        """Tell people and the log how it ended, where it failed.

        Args:
            what: What failed, such as `2024-03-02T10 FAILED`.
        """
        if self.code:
            first, *rest = self.why
            for line in (f"{what} (exit code {self.code}): {first}", *rest, self.cure):
                log.error("%s", line)


class Reasons(logging.Handler):
    """Listens to Luigi's log for what failed, here and in the workers that Luigi forks."""

    def __init__(self) -> None:
        """Begin to listen; what the console is told is already decided by `tasks.logs`."""
        super().__init__(logging.INFO)
        # no file: a full disk is a reason, too
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def __enter__(self) -> Self:
        """Listen."""
        logging.getLogger("luigi-interface").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        """Listen no more."""
        logging.getLogger("luigi-interface").removeHandler(self)
        os.close(self._reader)
        os.close(self._writer)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what a record tells of a failure."""
        if failed := logs.failure(record):
            task, reason = (text[:longest] for text, longest in zip(failed[:2], _LONGEST, strict=True))
            line = json.dumps([task, reason, failed.is_ours], ensure_ascii=False)
            with contextlib.suppress(BlockingIOError):  # after hundreds of them
                os.write(self._writer, line.encode(errors="replace") + b"\n")

    def outcome(self, code: int) -> Outcome:
        """Return how the run ended.

        Args:
            code: Luigi's exit code. Where each error is one of the pipeline's own, such as that MongoDB went away, or
                luigid's, it is that of a failed task, wherever the error was met.
        """
        if not code:
            return Outcome(0)
        failures = self._failures()
        is_known = bool(failures) and all(failed.is_ours for failed in failures)
        code = FAILED if is_known and code > FAILED else code
        if is_known:
            cure = "what is staged stays; when that is mended, the same command does the rest: `scripts/doctor` helps"
        elif code in _NEXT:
            cure = _NEXT[code]
        else:
            cure = f"what is staged stays; report it, with the traceback that is in {logs.log_path()}"
        return Outcome(code, tuple(_told(failures)) or (_WHAT.get(code, "a task failed"),), cure)

    def _failures(self) -> list[logs.Failure]:
        told = b""
        with contextlib.suppress(BlockingIOError):
            while part := os.read(self._reader, 65536):
                told += part
        return [logs.Failure(*json.loads(line)) for line in dict.fromkeys(told.splitlines())]


def _told(failures: list[logs.Failure]) -> list[str]:
    by_reason: dict[str, list[str]] = {}
    for failed in failures:
        by_reason.setdefault(failed.reason, []).append(_name(failed.task))
    lines = [f"{_names(tasks)}{reason}" for reason, tasks in by_reason.items()]
    if len(lines) > _TOLD:
        rest = len(lines) - _TOLD + 1
        return [*lines[: _TOLD - 1], f"and {rest} more errors, in {logs.log_path()}"]
    return lines


def _names(tasks: list[str]) -> str:
    if not tasks[0]:
        return ""
    return f"{tasks[0]} and {len(tasks) - 1} more: " if tasks[1:] else f"{tasks[0]}: "


def _name(task: str) -> str:
    found = _TASK.match(task)
    return " ".join(part for part in found.groups() if part) if found else task
