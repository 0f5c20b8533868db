"""Results of checks, and running checks side by side, each within a limited time.

A check is a small function that returns a `Result`. Checks that build on each other (MongoDB must answer before its
indexes can be read) form a group: a generator that stops where the next check makes no sense.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from tasks.settings.secrets import redact

__all__ = ["Group", "Outcome", "Result", "failed", "ok", "run", "same_environment", "skipped", "warning"]

Outcome = Literal["ok", "warning", "failed", "skipped"]


class Result(msgspec.Struct, frozen=True, rename={"finding": "found"}):
    """The result of one check.

    Attributes:
        name: The check's name.
        outcome: ``failed`` stops runs or makes them wrong; with a ``warning`` they go on.
        finding: What is so, in one line. In JSON ``found``.
        cure: What to do about it; empty where there is nothing to do.
    """

    name: str
    outcome: Outcome
    finding: str
    cure: str = ""


def ok(name: str, finding: str) -> Result:
    """Return that all is as it should be."""
    return Result(name, "ok", finding)


def warning(name: str, finding: str, cure: str) -> Result:
    """Return that runs go on, but somebody should look."""
    return Result(name, "warning", finding, cure)


def failed(name: str, finding: str, cure: str) -> Result:
    """Return that runs cannot go on, or that their results are wrong."""
    return Result(name, "failed", finding, cure)


def skipped(name: str, finding: str) -> Result:
    """Return that nothing was checked, and why."""
    return Result(name, "skipped", finding)


@dataclass(frozen=True)
class Group:
    """Checks that build on each other: their names in order, and the function that yields their results."""

    names: tuple[str, ...]
    check: Callable[[], Iterable[Result]]


def same_environment(name: str, mark: str | None, ours: str, cure: str) -> Result:
    """Check that what bears a mark belongs to this environment."""
    if mark not in (None, ours):
        return failed(name, f"it belongs to {mark}, and the settings are those of {ours}: every run refuses", cure)
    return ok(name, ours if mark else f"{ours}, as soon as a run has marked it")


def run(groups: Sequence[Group], seconds: float) -> list[Result]:
    """Run all groups at the same time.

    Args:
        groups: What to check.
        seconds: After this time a check without a result has failed.

    Returns:
        A result for each name, in the groups' order. Secrets are masked.
    """
    deadline = time.monotonic() + seconds
    running = [_Running(group) for group in groups]
    results = [result for group in running for result in group.results(deadline, seconds)]
    return [Result(r.name, r.outcome, redact(r.finding), redact(r.cure)) for r in results]


class _Running:
    """A group in a thread of its own; a daemon thread, so that one that hangs does not hold up the process's end."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._results: list[Result] = []
        self._error = ""
        self._thread = threading.Thread(target=self._check, daemon=True)
        self._thread.start()

    def _check(self) -> None:
        try:
            for result in self._group.check():
                self._results.append(result)
        except Exception as error:  # the text of an unexpected error may hold anything, also a secret
            self._error = type(error).__name__

    def results(self, deadline: float, seconds: float) -> Iterator[Result]:
        self._thread.join(max(0.0, deadline - time.monotonic()))
        hangs, results = self._thread.is_alive(), list(self._results)
        yield from results
        missing = [name for name in self._group.names if name not in {result.name for result in results}]
        if missing and hangs:
            yield failed(missing.pop(0), f"no result within {seconds:g} s", "try again; the machine may be overloaded")
        elif missing and self._error:
            finding = f"the check itself failed: {self._error}"
            yield failed(missing.pop(0), finding, "report it, with the output of `scripts/doctor --json`")
        for name in missing:
            yield skipped(name, "not checked: first cure what is wrong above")
