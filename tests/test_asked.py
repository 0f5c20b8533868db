"""What tasks are asked of their completeness."""

from collections.abc import Iterator

import pytest

from tasks import asked


class Task:
    """Counts how often it is really asked."""

    is_forced = False

    def __init__(self) -> None:
        self.count = 0

    @asked.asked_once
    def complete(self) -> int:
        self.count += 1
        return self.count

    @asked.asked_once
    def outdated(self) -> str:
        return f"{self.count}"


@pytest.fixture(autouse=True)
def forgetting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(asked, "_keeps_answers", False)
    monkeypatch.setattr(asked, "_only_looks", False)
    yield
    asked._answers.clear()


def test_a_task_is_asked_anew_where_others_may_have_changed_something() -> None:
    task = Task()
    assert [task.complete(), task.complete()] == [1, 2]


def test_a_task_is_asked_once_until_another_has_run() -> None:
    asked.keep_answers()
    task, other = Task(), Task()
    assert [task.complete(), task.complete(), other.complete(), task.outdated()] == [1, 1, 1, "1"]
    asked.look_again()
    assert [task.complete(), task.complete()] == [2, 2]


def test_a_task_that_is_forced_is_asked_for_itself() -> None:
    asked.keep_answers()
    task = Task()
    assert task.complete() == 1
    task.is_forced = True
    assert task.complete() == 2


def test_what_only_looks_asks_once_for_good() -> None:
    asked.only_look()
    task = Task()
    assert task.complete() == 1
    asked.look_again()
    assert task.complete() == 1
