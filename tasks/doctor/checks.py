"""What a check finds, and running checks side by side, each bounded in time.

A check is a small function that returns a `Result`. Those that build on each other (MongoDB must answer before its
indexes can be seen) form a group: a generator that stops where there is no use in going on.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tasks.settings.secrets import redact

__all__ = ["Group", "Outcome", "Result", "failed", "ok", "run", "skipped", "warning"]

Outcome = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True)
class Result:
    """What one check found.

    Attributes:
        name: of the check.
        outcome: ``failed`` stops runs or makes them wrong; with a ``warning`` they go on.
        found: in a line.
        cure: what to do about it; empty where there is nothing to do.
    """

    name: str
    outcome: Outcome
    found: str
    cure: str = ""


def ok(name: str, found: str) -> Result:
    """As it should be."""
    return Result(name, "ok", found)


def warning(name: str, found: str, cure: str) -> Result:
    """Runs go on, but somebody should look."""
    return Result(name, "warning", found, cure)


def failed(name: str, found: str, cure: str) -> Result:
    """Runs cannot go on, or their results are wrong."""
    return Result(name, "failed", found, cure)


def skipped(name: str, found: str) -> Result:
    """Not checked, and why."""
    return Result(name, "skipped", found)


@dataclass(frozen=True)
class Group:
    """Checks that build on each other: their names in order, and the generator that yields their results."""

    names: tuple[str, ...]
    look: Callable[[], Iterable[Result]]


def run(groups: Sequence[Group], seconds: float) -> list[Result]:
    """Run all groups at the same time.

    Args:
        groups: What to check.
        seconds: After so many, what has no result yet has failed.

    Returns:
        A result for each name, in the groups' order.
    """
    deadline = time.monotonic() + seconds
    started = [_Running(group) for group in groups]
    results = [result for running in started for result in running.results(deadline, seconds)]
    return [replace(result, found=redact(result.found), cure=redact(result.cure)) for result in results]


class _Running:
    """A group in a thread of its own; a daemon, so that one that hangs does not hold up the end of the process."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._found: list[Result] = []
        self._error = ""
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        try:
            for result in self._group.look():
                self._found.append(result)
        except Exception as error:  # the text of an error nobody foresaw may hold anything, also a secret
            self._error = type(error).__name__

    def results(self, deadline: float, seconds: float) -> Iterator[Result]:
        self._thread.join(max(0.0, deadline - time.monotonic()))
        hangs, found = self._thread.is_alive(), list(self._found)
        yield from found
        missing = [name for name in self._group.names if name not in {result.name for result in found}]
        if missing and hangs:
            yield failed(missing.pop(0), f"no result within {seconds:g} s", "try again; the machine may be overloaded")
        elif missing and self._error:
            told = f"the check itself failed: {self._error}"
            yield failed(missing.pop(0), told, "report it, with what `scripts/doctor --json` prints")
        for name in missing:
            yield skipped(name, "cannot be checked before what is wrong above is cured")
