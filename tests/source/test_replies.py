"""Headers and statuses of answers, whatever is in them."""

import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from airqino.errors import CredentialsError, RateLimitedError, RequestRefusedError, ServerError, UnknownStationError
from airqino.source.replies import age, charset, http_date, raise_for, retry_after

NOW = datetime(2024, 9, 9, 10, 30, tzinfo=UTC)
headers = st.text(st.characters(max_codepoint=255), max_size=80)


def reply(status: int = 200, body: bytes = b"", **fields: str) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response._content = body
    response.headers.update({name.replace("_", "-"): value for name, value in fields.items()})
    return response


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        *[(None, None), ("", None), ("soon", None), ("1m0s", None), ("-5", None), ("1e3", None), ("nan", None)],
        *[("120", 120), ("0.493", 0.493), (" 7 ", 7), ("0", 0), ("9" * 5000, math.inf), ("٣", None)],
        *[("Mon, 09 Sep 2024 10:31:30 GMT", 90), ("Mon, 09 Sep 2024 09:00:00 GMT", 0), ("Mon, 99 Sep 2024", None)],
        *[("Fri, 31 Dec 9999 23:59:59 GMT", None), ("Mon, 09 Sep 2024 12:31:00 +0200", 60)],
    ],
)
def test_a_retry_after_is_seconds_or_a_date_or_nothing(header, seconds):
    assert retry_after(header, NOW) == seconds


@given(headers | st.from_regex(r"\A[0-9.+e-]{0,400}\Z"))
def test_any_retry_after_is_a_pause_or_none(header):
    pause = retry_after(header, NOW)
    assert pause is None or pause >= 0


@given(st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31)))
def test_an_http_date_is_the_moment_it_was_written_from(moment):
    moment = moment.replace(microsecond=0, tzinfo=UTC)
    assert http_date(format_datetime(moment, usegmt=True)) == moment
    assert http_date(format_datetime(moment.replace(tzinfo=None))) == moment  # -0000: UTC of an unknown place


@given(st.none() | headers | st.from_regex(r"\A(Mon, )?\d{1,9} (Sep|Oct) \d{1,9} \d\d:\d\d:\d\d [+-]\d{1,8}\Z"))
def test_any_date_is_a_moment_of_this_century_or_none(header):
    moment = http_date(header)
    assert moment is None or (moment.tzinfo is UTC and 2000 <= moment.year < 2100)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("1200", 1200),
        (" 7 ", 7),
        ("-1", 0),
        ("1.5", 0),
        ("9" * 5000, 0),
        ("999999999", 0),
        ("²", 0),
    ],
)
def test_an_age_is_whole_seconds_or_nothing(header, seconds):
    assert age(header) == seconds


@given(headers)
def test_any_age_is_seconds_of_ten_years_at_most(header):
    assert 0 <= age(header) <= timedelta(days=3650).total_seconds()


@pytest.mark.parametrize(
    ("content_type", "declared"),
    [
        *[("application/json", None), ("application/json; charset=ISO-8859-1", "ISO-8859-1"), ("", None)],
        *[('text/html; a=b; Charset = "utf-16"', "utf-16"), ("application/json; charset=", None)],
        ("x" * 300 + "; charset=utf-8", None),
    ],
)
def test_a_declared_character_set_is_found(content_type, declared):
    assert charset(reply(Content_Type=content_type)) == declared


@pytest.mark.parametrize(
    ("status", "error", "text"),
    [
        (401, CredentialsError, "AIRQINO_PASSWORD"),
        (403, CredentialsError, "AIRQINO_USERNAME"),
        (404, UnknownStationError, "does not know this station"),
        (429, RateLimitedError, "Retry-After: none"),
        (400, RequestRefusedError, "refused the request"),
        (304, RequestRefusedError, "refused the request"),
        (500, ServerError, "has a fault"),
        (599, ServerError, "has a fault"),
    ],
)
def test_each_status_is_an_error_with_what_the_source_says(status, error, text):
    with pytest.raises(error, match=f"HTTP {status}: .*{text}"):
        raise_for(reply(status), has_token=False)
    with pytest.raises(error, match="maintenance until noon") as caught:
        raise_for(reply(status, b'{"message": "maintenance\\r\\n until noon"}'), has_token=False)
    assert str(caught.value).isprintable()


def test_what_is_well_raises_nothing():
    for status in (200, 203):
        raise_for(reply(status, b'{"message": "beside the data"}'), has_token=False)
