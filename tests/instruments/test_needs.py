"""What needs a person, and which need hides no other."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.configured import Configured

from tasks.instruments.needs import all_needs
from tasks.instruments.observed import PipelineState, StationState, Success
from tasks.missing import MissingHours

HOUR = timedelta(hours=1)
LAST = datetime(2024, 9, 9, 10, tzinfo=UTC)
STATION = StationState("77", "SMART77", LAST - 4 * HOUR, True, "", 1.0, {"co": "dead"}, in_service=True)


@pytest.fixture(autouse=True)
def _configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Configured(tmp_path, "http://127.0.0.1:9", monkeypatch)()


def state_of(station: StationState) -> PipelineState:
    """A run has just succeeded, by the clock: however long ago this file was imported, none is overdue."""
    success = Success("2024-09-09T06", datetime.now(UTC))
    return PipelineState(LAST + HOUR, LAST, [station], [], [], 0.9, success)


def needs(state: PipelineState, newest: datetime) -> list[tuple[str, bool, str]]:
    found = all_needs(state, MissingHours(), "ok", newest)
    return [(need["kind"], need["urgent"], need["command"]) for need in found]


@pytest.mark.parametrize(("age", "is_late"), [(3, False), (4, True)])
def test_a_sensor_to_service_hides_no_late_newest_hour(age: int, is_late: bool) -> None:
    late = [("late", True, "scripts/hourly")] if is_late else []
    assert needs(state_of(STATION), LAST - age * HOUR) == [*late, ("sensor_dead", False, "scripts/status")]


def test_what_is_urgent_says_why_the_newest_hour_is_late() -> None:
    silent = state_of(replace(STATION, flags={}, newest=LAST - 9 * HOUR))
    assert [kind for kind, *_ in needs(silent, LAST - 9 * HOUR)] == ["station_silent"]
