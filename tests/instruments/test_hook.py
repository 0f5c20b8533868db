"""Which run an incident belongs to, and what ends it: Luigi's events of real tasks, in this process."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import luigi
import pytest

from airqino.errors import ServerError, SourceError, UnexpectedShapeError
from airqino.sandbox.series import DEFAULT_STATIONS
from airqino.source.client import Answer, Exchange
from tasks import FetchHour, Hourly, LoadDay, ScoreForecasts, TrainModel, stage
from tasks.instruments import hook
from tasks.instruments.incidents import read
from tasks.settings.reading import settings

LIVE, OTHER = sorted(DEFAULT_STATIONS)
LATER = datetime(2024, 9, 12, 10, tzinfo=UTC)
DAYS = (date(2024, 9, 10), date(2024, 9, 11), date(2024, 9, 12))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("STAGING_ROOT", str(tmp_path))
    monkeypatch.setattr(hook, "_hourly", False)
    settings.cache_clear()  # of another test
    yield tmp_path
    hook.mark_sent()  # this process has nobody to tell at its end


def fail(*failing: luigi.Task) -> None:
    for task in failing:
        task.trigger_event(luigi.Event.FAILURE, task, ValueError("broken"))


def keys(root: Path) -> list[str]:
    return [incident.key for incident in read(root).open()]


def test_what_the_hourly_run_failed_at_ends_with_a_later_hourly_however_old_it_is(root: Path) -> None:
    hook.mark_hourly_run()
    fail(TrainModel(day=date(2024, 9, 9)), ScoreForecasts(day=date(2024, 8, 1)), LoadDay(day=DAYS))
    assert keys(root) == ["task_failed|LoadDay", "task_failed|ScoreForecasts", "task_failed|TrainModel"]
    hourly = Hourly(hour=LATER)
    hourly.trigger_event(luigi.Event.SUCCESS, hourly)
    assert keys(root) == []


def test_an_hourly_that_is_run_again_for_the_same_hour_ends_its_own_failure(root: Path) -> None:
    hook.mark_hourly_run()
    hourly = Hourly(hour=LATER)
    fail(hourly)
    hourly.trigger_event(luigi.Event.SUCCESS, hourly)
    assert keys(root) == []


@pytest.mark.parametrize(
    ("event", "detail", "reason"),
    [
        (luigi.Event.FAILURE, [ValueError("broken")], "ValueError: broken"),
        (luigi.Event.BROKEN_TASK, [ValueError("broken")], "ValueError: broken"),
        (luigi.Event.DEPENDENCY_MISSING, [], "could not find out whether it is complete"),
        (luigi.Event.PROCESS_FAILURE, ["died unexpectedly"], "died unexpectedly (out of memory?)"),
        (luigi.Event.TIMEOUT, ["timed out"], "timed out (out of memory?)"),
    ],
)
def test_each_way_in_which_a_task_fails_opens_an_incident(root: Path, event: str, detail: list, reason: str) -> None:
    task = LoadDay(day=DAYS)
    task.trigger_event(event, task, *detail)
    (one,) = read(root).open()
    assert (one.key, one.units) == ("task_failed|LoadDay (past)", [f"{day}" for day in DAYS])
    assert reason in one.text


def test_an_hourly_of_the_past_ends_nothing_that_came_after_it(root: Path) -> None:
    hook.mark_hourly_run()
    fail(Hourly(hour=LATER))
    before = Hourly(hour=LATER.replace(hour=9))
    before.trigger_event(luigi.Event.SUCCESS, before)
    assert keys(root) == ["task_failed|Hourly"]


def test_what_another_run_failed_at_ends_when_all_of_it_has_succeeded_or_is_found_complete(root: Path) -> None:
    fail(LoadDay(day=DAYS))
    hourly = Hourly(hour=LATER)
    hourly.trigger_event(luigi.Event.SUCCESS, hourly)
    for day in DAYS[1:]:  # by the hourly run, in whose window they lie
        one = LoadDay(day=day)
        one.trigger_event(luigi.Event.SUCCESS, one)
    (left,) = read(root).open()
    assert (left.key, left.units) == ("task_failed|LoadDay (past)", ["2024-09-10"])
    one = LoadDay(day=DAYS[:2])
    one.trigger_event(luigi.Event.DEPENDENCY_PRESENT, one)
    assert keys(root) == []


@pytest.mark.parametrize(
    ("errors", "opened"),
    [
        ({LIVE: UnexpectedShapeError("its rows have fields 'x'"), OTHER: UnexpectedShapeError("'y'")}, True),
        ({LIVE: UnexpectedShapeError("'x'"), OTHER: ServerError("HTTP 503")}, False),
        ({LIVE: UnexpectedShapeError("'x'"), OTHER: None}, False),
        ({LIVE: UnexpectedShapeError("'x'")}, False),  # the other was not asked
    ],
)
def test_answers_that_nobody_can_read_are_a_change_of_shape(
    root: Path, errors: dict[str, SourceError | None], opened: bool
) -> None:
    task = FetchHour(hour=LATER)
    answers = {station: Answer(Exchange(station, "", ""), error=error) for station, error in errors.items()}
    task.trigger_event(stage.FETCHED, task, {(station, LATER) for station in errors}, answers)
    assert keys(root) == ["shape_changed|"] * opened
    assert all("its rows have fields 'x'" in incident.text for incident in read(root).open())


def test_the_event_of_a_drift_names_the_station_by_its_name(root: Path) -> None:
    task = ScoreForecasts(day=DAYS[0])
    task.trigger_event(stage.DRIFT, task, [("283181971", "co"), ("77", "co")])
    titles = {incident.subject: incident.title for incident in read(root).open()}
    assert titles == {
        "283181971 co": "CO forecasts at SMART189 (283181971) have drifted",
        "77 co": "CO forecasts at 77 have drifted",
    }
