"""Hours and days as text and back, and the Luigi parameters that carry them."""

import itertools
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airqino.errors import ConfigError
from airqino.times import (
    HOUR,
    day_range,
    day_start,
    floor_hour,
    format_hour,
    hour_range,
    parse_day,
    parse_hour,
    runs_of,
)
from tasks.parameters import DayParameter, DaysParameter, HourParameter, HoursParameter

AT = datetime(2024, 9, 9, 10, tzinfo=UTC)
HOURS = HoursParameter("hours")

hours = st.builds(
    lambda day, hour: datetime(day.year, day.month, day.day, hour, tzinfo=UTC),
    st.dates(date(2000, 1, 1), date(2100, 12, 31)),
    st.integers(0, 23),
)
near = st.sets(st.integers(0, 60), max_size=40).map(lambda steps: [AT + step * HOUR for step in steps])


def naive_runs(of):
    """Runs, found by asking of each hour whether the one before is there."""
    there = set(of)
    begins = sorted(hour for hour in there if hour - HOUR not in there)
    ends = sorted(hour for hour in there if hour + HOUR not in there)
    return list(zip(begins, ends, strict=True))


@given(hours)
def test_an_hour_comes_back_from_its_text(hour):
    assert parse_hour(format_hour(hour)) == hour
    assert parse_hour(f"  {format_hour(hour)}:00 ") == hour
    assert parse_hour(format_hour(hour)).utcoffset() == timedelta(0)
    parameter = HourParameter("hour")
    assert parameter.parse(parameter.serialize(hour)) == hour
    assert format_hour(hour) == hour.isoformat()[:13]


def test_an_hour_left_out_is_none():
    parameter = HourParameter("hour", default=None)
    assert parameter.serialize(None) == ""
    assert parameter.normalize(None) is None


@given(hours, st.integers(0, 59), st.integers(0, 59), st.integers(0, 999_999))
def test_a_moment_is_cut_to_the_hour_it_lies_in(hour, minute, second, microsecond):
    moment = hour.replace(minute=minute, second=second, microsecond=microsecond)
    assert floor_hour(moment) == hour
    assert HourParameter("hour").normalize(moment) == hour
    assert HourParameter("hour").normalize(moment.replace(tzinfo=None)) == hour


@pytest.mark.parametrize(
    "text",
    [
        *("", "now", "2024-09-09", "2024-09-09T", "2024-09-09T24", "2024-09-09T10:30", "2024-09-09T10:00:00"),
        *(
            "2024-02-30T10",
            "2023-02-29T00",
            "2024-13-01T00",
            "2024-09-09 10",
            "1999-12-31T23",
            "09.09.2024T10",
            "2024-09-09T10Z",
        ),
    ],
)
def test_what_is_no_hour_is_told_with_an_example(text):
    with pytest.raises(ConfigError) as caught:
        parse_hour(text)
    assert str(caught.value) == f"{text!r} is not an hour: write it as 2024-09-09T10 (UTC)"


@given(st.dates(date(1900, 1, 1)))
def test_a_day_comes_back_from_its_text(day):
    parameter = DayParameter()
    assert parse_day(f" {day} ") == parameter.parse(parameter.serialize(day)) == day
    assert day_start(day) == datetime.fromisoformat(f"{day}T00:00:00+00:00")


@pytest.mark.parametrize("text", ["", "2024-02-30", "2023-02-29", "9.9.2024", "2024-09-09T10", "yesterday"])
def test_what_is_no_day_is_told_with_an_example(text):
    with pytest.raises(ConfigError) as caught:
        parse_day(text)
    assert str(caught.value) == f"{text!r} is not a day: write it as 2024-09-09"


@given(hours, st.integers(0, 100))
def test_ranges_hold_both_ends(hour, count):
    found = hour_range(hour, hour + count * HOUR)
    assert (found[0], found[-1], len(found)) == (hour, hour + count * HOUR, count + 1)
    assert {b - a for a, b in itertools.pairwise(found)} <= {HOUR}
    days = day_range(hour.date(), hour.date() + timedelta(days=count))
    assert (days[0], days[-1], len(set(days))) == (hour.date(), hour.date() + timedelta(days=count), count + 1)


def test_a_leap_day_is_in_the_range_over_it():
    assert day_range(date(2024, 2, 28), date(2024, 3, 1))[1] == date(2024, 2, 29)
    assert len(hour_range(parse_hour("2024-02-28T00"), parse_hour("2024-03-01T23"))) == 72


@given(near)
def test_runs_equal_a_search_for_beginnings_and_ends(of):
    assert runs_of(of) == naive_runs(of)
    assert runs_of([*of, *of[::-1]]) == naive_runs(of)


@given(near)
def test_hours_come_back_from_their_text_as_a_sorted_tuple(of):
    value = HOURS.normalize(of)
    assert value == tuple(sorted(of))
    text = HOURS.serialize(value)
    if of:
        assert HOURS.parse(text) == value
        assert len(text.split(",")) == len(naive_runs(of))
    else:
        assert text == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-09-09T10", [10]),
        ("2024-09-09T10..2024-09-09T13", [10, 11, 12, 13]),
        ("2024-09-09T13,2024-09-09T10", [10, 13]),
        ("2024-09-09T10..2024-09-09T12,2024-09-09T11..2024-09-09T13", [10, 11, 12, 13]),
        (" 2024-09-09T10 .. 2024-09-09T11 , 2024-09-09T20", [10, 11, 20]),
    ],
)
def test_hours_are_read_from_single_ones_and_ranges(text, expected):
    assert [hour.hour for hour in HOURS.parse(text)] == expected


def test_hours_are_written_as_runs():
    of = [AT, AT + HOUR, AT + 2 * HOUR, AT + 5 * HOUR]
    assert HOURS.serialize(tuple(of)) == "2024-09-09T10..2024-09-09T12,2024-09-09T15"


@pytest.mark.parametrize("text", ["", ",", "2024-09-09T10,", "2024-09-09T10..never", "..2024-09-09T10", "2024-09-09"])
def test_what_are_no_hours_is_told(text):
    with pytest.raises(ConfigError, match="is not an hour"):
        HOURS.parse(text)


def test_a_range_that_ends_before_it_begins_is_told():
    with pytest.raises(ConfigError, match="the first lies after the last, swap them"):
        HOURS.parse("2024-09-09T13..2024-09-09T10")


def test_a_single_hour_will_do_where_hours_are_wanted():
    assert HOURS.normalize(AT.replace(minute=59)) == (AT,)
    assert HOURS.normalize(AT.replace(tzinfo=None)) == (AT,)


@given(st.lists(near, min_size=1, max_size=5))
def test_a_batch_holds_every_hour_once(batch):
    together = HOURS._batch_method([HOURS.normalize(of) for of in batch])
    assert together == tuple(sorted({hour for of in batch for hour in of}))


def test_the_same_hour_in_another_zone_is_the_same_hour_of_a_set():
    abroad = AT.astimezone(timezone(timedelta(hours=2)))
    assert HOURS.normalize([AT, abroad]) == (AT,)


@given(st.sets(st.dates(date(2000, 1, 1), date(2002, 12, 31)), min_size=1, max_size=30))
def test_days_survive_being_written_and_read(of):
    days = DaysParameter("days")
    value = days.normalize(of)
    assert value == tuple(sorted(of))
    assert days.parse(days.serialize(value)) == value


def test_days_are_written_as_ranges():
    days = DaysParameter("days")
    value = days.parse("2024-02-28..2024-03-01,2024-03-05")
    assert value == (date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1), date(2024, 3, 5))
    assert days.serialize(value) == "2024-02-28..2024-03-01,2024-03-05"
    assert days.normalize(date(2024, 3, 5)) == (date(2024, 3, 5),)


@pytest.mark.parametrize("text", ["2024-03-02..2024-03-01", "yesterday", "2024-02-30", ""])
def test_days_that_are_none(text):
    with pytest.raises(ConfigError):
        DaysParameter("days").parse(text)
