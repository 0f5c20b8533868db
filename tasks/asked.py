"""What tasks are asked of their completeness, once while nothing changes."""

import functools
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

__all__ = ["asked_once", "keep_answers", "look_again", "only_look", "only_looks"]

T = TypeVar("T", bound=Hashable)
R = TypeVar("R")

#: Whether this process only looks: nothing under the staging root changes then, and what is damaged stays where it is.
_only_looks = False
#: Whether this process keeps what `asked_once` is told, and what that was.
_keeps_answers = False
_answers: dict[Hashable, Any] = {}


def only_look() -> None:
    """From now on leave everything under the staging root as it is, also damaged files."""
    global _only_looks
    _only_looks = True


def only_looks() -> bool:
    """Tell whether this process only looks."""
    return _only_looks


def keep_answers() -> None:
    """From now on keep what `asked_once` is told until the next task runs: only where this process runs all of them."""
    global _keeps_answers
    _keeps_answers = True


def look_again() -> None:
    """Forget what `asked_once` was told: something may have changed since."""
    if not _only_looks:
        _answers.clear()


def asked_once(method: Callable[[T], R]) -> Callable[[T], R]:
    """Ask a task's method once while nothing changes: each task asks those before it, and Luigi asks each of them.

    Nothing changes between two tasks that run, and where this process only looks, at a plan of years.
    """

    @functools.wraps(method)
    def ask(task: T) -> R:
        if not (_only_looks or _keeps_answers):
            return method(task)
        question = method, task, getattr(task, "is_forced", False)
        if question not in _answers:
            _answers[question] = method(task)
        answer: R = _answers[question]
        return answer

    return ask
