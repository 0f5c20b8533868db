"""Timestamps however they are written, against the moments they were written from."""

import time
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airqino.source.timestamps import hour_of, moment_of

TEN = datetime(2024, 9, 25, 10, tzinfo=UTC)
moments = st.datetimes(datetime(2002, 1, 1), datetime(2098, 12, 31), timezones=st.just(UTC)).map(
    lambda at: at.replace(microsecond=0)
)
offsets = st.integers(-56, 56).map(lambda quarters: timedelta(minutes=15 * quarters))

FORMS = {
    "as the API writes it": lambda at: f"{at:%Y-%m-%d %H:%M:%S}",
    "T": lambda at: f"{at:%Y-%m-%dT%H:%M:%S}",
    "t and z": lambda at: f"{at:%Y-%m-%dt%H:%M:%Sz}",
    "UTC": lambda at: f"{at:%Y-%m-%d %H:%M:%S UTC}",
    "slashes": lambda at: f"{at:%Y/%m/%d %H:%M:%S}",
    "dots": lambda at: f"{at:%Y.%m.%d %H:%M:%S}",
    "no leading zeros": lambda at: f"{at.year}-{at.month}-{at.day} {at.hour}:{at:%M:%S}",
    "compact": lambda at: f"{at:%Y%m%dT%H%M%SZ}",
    "digits": lambda at: f"{at:%Y%m%d%H%M%S}",
    "seconds": lambda at: at.timestamp(),
    "whole seconds": lambda at: int(at.timestamp()),
    "seconds as text": lambda at: f"{at.timestamp():.1f}",
    "milliseconds": lambda at: int(at.timestamp()) * 1000,
    "microseconds": lambda at: f"{at:%Y-%m-%d %H:%M:%S.%f}",
    "decimal comma": lambda at: f"{at:%Y-%m-%dT%H:%M:%S},000",
    "e-mail": format_datetime,
    "HTTP": lambda at: format_datetime(at, usegmt=True),
    "long month": lambda at: f"{at:%d %B %Y %H:%M:%S}",
    "blanks around": lambda at: f"  {at:%Y-%m-%d %H:%M:%S}\n",
}


@pytest.mark.parametrize("form", FORMS)
@given(moments)
def test_each_form_names_the_moment_it_was_written_from(form, at):
    assert moment_of(FORMS[form](at)) == at


@given(moments, offsets, st.sampled_from(["isoformat", "%z", "blank", "hours", "java"]))
def test_an_offset_is_taken_off(at, offset, form):
    there = at.astimezone(timezone(offset))
    text = there.isoformat()
    if form == "%z":
        text = f"{there:%Y-%m-%dT%H:%M:%S%z}"
    elif form == "blank":
        text = f"{there:%Y-%m-%d %H:%M:%S} {there:%z}"
    elif form == "java":
        text = f"{there.isoformat()}[Europe/Rome]"
    elif form == "hours" and offset % timedelta(hours=1) == timedelta(0):
        text = f"{there:%Y-%m-%d %H:%M:%S}{f'{there:%z}'[:3]}"
    assert moment_of(text) == at


@given(moments)
def test_a_date_is_its_midnight_and_24_hours_the_midnight_after(at):
    midnight = at.replace(hour=0, minute=0, second=0)
    after = midnight + timedelta(days=1)
    for date in (f"{at:%Y-%m-%d}", f"{at:%Y/%m/%d}", f"{at:%Y%m%d}", f"{at:%d %b %Y}"):
        assert moment_of(date) == midnight
    for late in (f"{at:%Y-%m-%d} 24:00:00", f"{at:%Y-%m-%d}T24:00", f"{at:%Y%m%d}T24", f"{at:%Y-%m-%d} 24:00:00.000Z"):
        assert moment_of(late) == after


@pytest.mark.parametrize(
    "text", ["25/09/2024 10:00", "25.9.2024 10:00:00", "09/25/2024 10:00", "25-09-2024T10:00Z", "2024-09-25T10"]
)
def test_forms_that_can_mean_one_moment_only(text):
    assert moment_of(text) == TEN


def test_day_and_month_alike_are_no_matter():
    assert moment_of("09/09/2024 10:00") == datetime(2024, 9, 9, 10, tzinfo=UTC)
    assert moment_of("20240925-1000") == TEN


@pytest.mark.parametrize(
    "value",
    [
        *[
            "09/10/2024 10:00",
            "10.09.2024",
            "2024092510",
            "2024-09-25-03",
            "2024-09-25 10:00 PM",
            "2024-09-25 10:00 CET",
        ],
        *["0001-01-01 00:00:00", "9999-12-31 23:00:00", "9999-12-31 24:00:00", "1999-12-31 23:00:00", "2100-01-01"],
        *["0001-01-01T00:00:00+14:00", "9999-12-31T23:00:00-14:00", "2024-02-30 10:00:00", "2023-02-29", "2024-13-01"],
        *["2024-09-25 25:00:00", "2024-09-25 24:30:00", "2024-09-25 10:60:00", "2024-09-25 10:00:60", "2024-00-10"],
        *["2024-09-25T10:00:00+15:00", "2024-09-25T10:00:00+99:99", "yesterday", "", " ", "null", "10:00", "2024-09"],
        *["٢٠٢٤-٠٩-٢٥ ١٠:٠٠:٠٠", "2024-09-25 10:00:00 " * 4, "9" * 13, "1" * 5000, "25 Foo 2024 10:00", "1,7e9"],
        *[None, True, False, 0, -1, 20240925, 45560.4, 1e400, float("nan"), 10**400, [], {}, [2024, 9, 25, 10]],
    ],
)
def test_what_cannot_be_placed_is_none(value):
    assert moment_of(value) is None


@given(st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.from_regex(r"\A[0-9TZ:./+ -]{0,40}\Z")))
def test_whatever_the_value_it_is_a_moment_of_this_century_or_none(value):
    moment = moment_of(value)
    assert moment is None or (moment.tzinfo is UTC and 2000 <= moment.year <= 2099)


def test_a_text_takes_no_time_however_long():
    began = time.perf_counter()
    for text in ("2" * 10_000_000, " " * 10_000_000, "2024-09-25 " * 1_000_000, "9" * 64, "1-" * 32, " " * 64):
        assert moment_of(text) is None
    assert time.perf_counter() - began < 5  # minutes, if it grew with the square of the length


@pytest.mark.parametrize(
    ("late", "hour"),
    [
        *[(timedelta(0), TEN), (timedelta(seconds=3), TEN), (timedelta(milliseconds=250), TEN)],
        *[(timedelta(minutes=4, seconds=59), TEN), (timedelta(microseconds=-1), TEN)],
        *[
            (timedelta(minutes=4, seconds=59.5), None),
            (timedelta(minutes=5), None),
            (timedelta(minutes=30), None),
            (timedelta(minutes=59, seconds=59), None),
        ],
        *[(timedelta(seconds=-1), None), (timedelta(hours=1, seconds=59), TEN + timedelta(hours=1))],
    ],
)
def test_some_seconds_past_the_hour_are_the_hour(late, hour):
    assert hour_of(TEN + late) == hour
