"""Hours and days as text and back, and the Luigi parameters that carry them."""

import itertools
from datetime import UTC, date, datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tasks.parameters
import tasks.settings.reading
from airqino.errors import ConfigError
from airqino.times import (
    DAY,
    FORMS,
    HOUR,
    Span,
    day_range,
    day_start,
    floor_hour,
    format_hour,
    hour_range,
    parse_day,
    parse_hour,
    parse_month,
    parse_span,
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


@given(st.dates(date(2000, 1, 1)))
def test_a_day_comes_back_from_its_text(day):
    parameter = DayParameter()
    assert parse_day(f" {day} ") == parameter.parse(parameter.serialize(day)) == day
    assert day_start(day) == datetime.fromisoformat(f"{day}T00:00:00+00:00")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2024-02-30",
        "2023-02-29",
        "9.9.2024",
        "2024-09-09T10",
        "2024-09",
        "20240909",
        "2024-W37-1",
        "2024-9-9",
        "1999-12-31",
    ],
)
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


@pytest.mark.parametrize(
    "text", ["", ",", "2024-09-09T10,", "2024-09-09T10..never", "..2024-09-09T10", "2024-09-09 10"]
)
def test_what_are_no_hours_is_told(text):
    with pytest.raises(ConfigError, match="is no time: write an hour"):
        HOURS.parse(text)


#: What may be written of a moment → the first and the last hour that it names.
named = st.builds(
    lambda hour, form: {
        "hour": (f"{hour:%Y-%m-%dT%H}", Span(hour, hour)),
        "day": (f"{hour:%Y-%m-%d}", Span(hour.replace(hour=0), hour.replace(hour=23))),
        "month": (f"{hour:%Y-%m}", Span(hour.replace(day=1, hour=0), before_next_month(hour))),
        "year": (f"{hour:%Y}", Span(hour.replace(month=1, day=1, hour=0), hour.replace(month=12, day=31, hour=23))),
    }[form],
    hours,
    st.sampled_from(("hour", "day", "month", "year")),
)


def before_next_month(hour):
    """The last hour of a month, found by walking into the next one."""
    day = hour.replace(hour=23)
    while (day + DAY).month == hour.month:
        day += DAY
    return day


@given(named)
def test_a_span_is_all_that_its_text_names(of):
    text, span = of
    assert parse_span(text) == parse_span(f" {text} ") == parse_span(f"{text}..{text}") == span
    assert parse_span(text, until=span.last) == span


@given(named, named)
def test_from_one_to_the_other_is_from_the_first_hour_of_one_to_the_last_of_the_other(a, b):
    (a_text, a_span), (b_text, b_span) = a, b
    if a_span.first <= b_span.last:
        assert parse_span(f"{a_text}..{b_text}") == parse_span(f"{a_text} .. {b_text}") == (a_span.first, b_span.last)
    else:
        with pytest.raises(ConfigError, match=f"{a_text}..{b_text}: the first lies after the last, swap them"):
            parse_span(f"{a_text}..{b_text}")


@given(named, hours)
def test_with_a_last_hour_what_is_under_way_ends_there_and_an_open_end_too(of, until):
    text, span = of
    under_way = span.first <= until <= span.last
    assert parse_span(text, until) == (span.first, until if under_way else span.last)
    if span.first <= until:
        assert parse_span(f"{text}..", until) == (span.first, until)
    else:
        with pytest.raises(ConfigError, match="begins after the last hour there is"):
            parse_span(f"{text}..", until)


@given(named)
def test_an_open_end_is_refused_where_nothing_says_where_it_is(of):
    with pytest.raises(ConfigError, match="say where the span ends"):
        parse_span(f"{of[0]}..")


@given(st.text("0123456789-T:.Z ", max_size=24))
def test_whatever_is_typed_is_a_span_or_told_in_one_line_with_all_forms(text):
    told, span = "", None
    try:
        span = parse_span(text)
    except ConfigError as error:
        told = f"{error}"
    if span:
        assert span.first <= span.last
        assert {span.first.tzinfo, span.last.tzinfo} == {UTC}
    else:
        assert "\n" not in told
        assert FORMS in told or "swap them" in told or "where the span ends" in told


@pytest.mark.parametrize(
    "text",
    [
        *("", "..", "..2024-03", "2024-13", "2024-00", "2024-3", "24-03", "märz", "0000-01", "1999", "2024-03-32"),
        *("2024-03-02T24", "2024-03-02T1", "2024-03-02 10", "2024-03-02T10:30", "2024-03..2024-04..2024-05", "٢٠٢٤"),
    ],
)
def test_what_is_no_time_is_told_with_what_may_be_written(text):
    with pytest.raises(ConfigError, match="is no time: write ") as caught:
        parse_span(text)
    assert str(caught.value).endswith(FORMS)


def test_a_month_is_its_first_day():
    assert parse_month(" 2024-02 ") == date(2024, 2, 1)
    with pytest.raises(ConfigError, match="'2024-02-01' is no month: write it as 2024-03"):
        parse_month("2024-02-01")


@pytest.mark.parametrize(
    ("text", "count"), [("2024-09-09", 24), ("2024-02", 29 * 24), ("2023", 8760), ("2024-09-08..2024-09-09T01", 26)]
)
def test_hours_may_be_named_by_days_months_and_years(text, count):
    found = HOURS.parse(text)
    assert (len(found), {*map(type, found)}) == (count, {datetime})


def test_hours_that_are_not_over_are_refused_before_they_are_counted(monkeypatch):
    until_september(monkeypatch)
    assert HOURS.parse("2024-09")[-1] == AT
    assert HOURS.parse("2024-09-09T08..")[-1] == AT
    for text in ("2024-09-09T11", "2024-09-01..9999", "2025"):
        with pytest.raises(ConfigError, match="is not over and published yet"):
            HOURS.parse(text)


def test_days_of_a_month_under_way_are_those_that_have_begun(monkeypatch):
    until_september(monkeypatch)
    days = DaysParameter("days")
    assert days.parse("2024-09") == (*day_range(date(2024, 9, 1), date(2024, 9, 9)),)
    assert days.parse("2024-09-08..") == (date(2024, 9, 8), date(2024, 9, 9))
    assert days.parse("2024-09-10") == (date(2024, 9, 10),)  # it may have begun east of Greenwich: the task knows
    with pytest.raises(ConfigError, match="is not over and published yet"):
        days.parse("2024-01..9999-12-31")


def until_september(monkeypatch):
    monkeypatch.setattr(tasks.parameters, "settings", lambda: SimpleNamespace(last_hour=AT))
    monkeypatch.setattr(tasks.settings.reading, "settings", lambda: SimpleNamespace(last_hour=AT))


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
