"""Which old month is read again next, and what is remembered of it."""

from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from luigi.configuration import get_config

from airqino.times import hour_range
from tasks import Hourly, rotation
from tasks.reread import RereadMonth, _parts
from tasks.rotation import Rotation, Turn, next_months
from tasks.settings import reading
from tasks.train import monday

DAYS = [date(2024, 1, 1) + timedelta(days=n) for n in range(150)]  # to the end of May
WEEK = date(2024, 5, 27)
BEFORE = datetime(2024, 5, 20, tzinfo=UTC)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("STAGING_ROOT", str(tmp_path))
    reading.settings.cache_clear()
    yield tmp_path
    reading.settings.cache_clear()


def test_each_month_has_its_turn_before_one_has_another() -> None:
    turn, months = Turn(week=WEEK), []
    for week in range(8):
        months.append(next_months(turn, DAYS, BEFORE)[0])
        turn.read_at[months[-1]] = datetime(2024, 5, 27, tzinfo=UTC) + timedelta(weeks=week)
    assert months == ["2024-01", "2024-02", "2024-03", "2024-04"] * 2


def test_a_month_is_old_when_it_ended_before_the_late_window() -> None:
    end = datetime(2024, 5, 1, tzinfo=UTC)
    assert "2024-04" in next_months(Turn(week=WEEK), DAYS, end)
    assert "2024-04" not in next_months(Turn(week=WEEK), DAYS, end - timedelta(hours=1))


def test_a_month_that_has_just_ended_waits_for_those_that_were_read_earlier() -> None:
    turn = Turn(week=WEEK, read_at={f"2024-0{m}": datetime(2024, 4, m, tzinfo=UTC) for m in (1, 2, 3)})
    assert next_months(turn, DAYS, BEFORE) == ["2024-01", "2024-02", "2024-03", "2024-04"]


def test_what_was_written_is_read_and_what_is_damaged_begins_anew(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert rotation.read() == Rotation()
    (root / "2024-01-05").mkdir()
    turn = Turn(week=WEEK, read_at={"2024-01": BEFORE}, failed_at=BEFORE, attempts=2)
    rotation.write(Rotation(stations={"1": turn}, unloaded=[date(2024, 1, 5)]))
    assert rotation.read() == Rotation(stations={"1": turn}, unloaded=[date(2024, 1, 5)])
    for content in (b"", b"[]", b'{"stations": {"1": {}}}', b"\xff"):
        (root / "rotation.json").write_bytes(content)
        assert rotation.read() == Rotation()
    assert "begins anew" in caplog.text


@pytest.mark.parametrize(("option", "tasks"), [("true", ["RereadMonth"]), ("false", [])])
def test_the_operator_may_switch_it_off(root: Path, monkeypatch: pytest.MonkeyPatch, option: str, tasks: list) -> None:
    monkeypatch.setitem(get_config()._sections["airqino"], "reread_months", option)
    hourly = Hourly(hour=datetime(2024, 9, 11, 10, tzinfo=UTC))
    assert [task.task_family for task in hourly._rereadings()] == tasks
    assert [f"{task.day}" for task in hourly._rereadings()] == ["2024-09-09"] * len(tasks)  # the Monday


def test_a_month_is_cut_into_spans_that_fit_one_request() -> None:
    parts = list(_parts({"1": "2024-02", "2": "2024-01"}, timedelta(days=15)))
    hours = {s: [span for part in parts for station, span in part.items() if station == s] for s in "12"}
    assert [(first.day, last.day, last.hour) for first, last in hours["1"]] == [(1, 15, 23), (16, 29, 23)]
    assert [(first.day, last.day, last.hour) for first, last in hours["2"]] == [(1, 15, 23), (16, 30, 23), (31, 31, 23)]
    assert len(list(_parts({"1": "2024-01"}, timedelta(days=31)))) == 1
    assert list(_parts({}, timedelta(days=31))) == []


@given(stations=st.integers(0, 30), rows=st.integers(1, 40_000), days=st.integers(1, 31))
def test_however_many_stations_a_part_has_no_more_rows_than_fit_in_memory(stations: int, rows: int, days: int) -> None:
    months = {f"{n}": f"2024-{n % 12 + 1:02}" for n in range(stations)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.reread.ROWS_AT_ONCE", rows)
        parts = list(_parts(months, timedelta(days=days)))
    hours = [(s, hour) for part in parts for s, span in part.items() for hour in hour_range(*span)]
    assert len(hours) == len({*hours}) == sum(24 * monthrange(2024, n % 12 + 1)[1] for n in range(stations))
    assert all(len(part) == 1 or sum(len(hour_range(*span)) for span in part.values()) <= rows for part in parts)


@pytest.mark.parametrize(
    "text",
    [
        '{"stations": {"1": {"week": "2024-05-27", "read_at": {"2024-01": "2024-05-01T00:00:00"}}}}',
        '{"stations": {"1": {"week": "2024-05-27", "failed_at": "2024-05-01T00:00:00"}}}',
    ],
)
def test_a_moment_without_its_offset_is_damage(root: Path, text: str) -> None:
    rotation.paths().rotation.write_text(text)
    assert rotation.read() == Rotation()


def test_a_day_that_is_not_staged_is_not_to_be_loaded(root: Path) -> None:
    (root / "2024-05-01" / "raw").mkdir(parents=True)
    rotation.write(Rotation(unloaded=[date(2024, 5, 1), date(2050, 1, 1)]))
    assert rotation.read().unloaded == [date(2024, 5, 1)]


def test_a_week_that_is_still_to_come_is_a_wrong_clocks(root: Path) -> None:
    config = reading.settings()
    ahead = Rotation(stations={s: Turn(week=date(2090, 1, 2)) for s in config.airqino.stations})
    task = RereadMonth(day=config.now.date())
    assert task._due(ahead, config) == [*config.airqino.stations]
    now = Rotation(stations={s: Turn(week=monday(config.now.date())) for s in config.airqino.stations})
    assert task._due(now, config) == []
