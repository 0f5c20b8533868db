"""Answers cut at a round number of rows: the rest is asked for, and what does not come is not called absent."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from support.capped import HOUR, capped, value
from support.hostile import http

from airqino.errors import ServerError, UnexpectedShapeError
from airqino.source import raw
from airqino.source.capped import rest_of
from airqino.source.client import Answer, Client
from airqino.source.response import Header, Response, Row

FIRST = datetime(2024, 3, 1, tzinfo=UTC)
LAST = FIRST + 743 * HOUR  # 31 days
DAY = timedelta(days=1)


def ask(url: str, **options) -> Answer:
    with Client(url, backoff=0, retries=0, requests_per_second=1000, **options) as client:
        return client.hourly_of({"1": (FIRST, LAST)})["1"]


def read(answer: Answer) -> dict[datetime, float | None]:
    return {row.hour: row.pm2_5 for row in answer.response.data}


WHOLE = {FIRST + n * HOUR: value(FIRST + n * HOUR) for n in range(744)}


@pytest.mark.parametrize(
    ("rows", "newest", "requests"), [(500, False, 2), (100, False, 8), (250, True, 3), (750, False, 1)]
)
def test_a_cut_answer_is_completed_and_each_request_is_on_record(rows, newest, requests):
    with capped(rows, newest=newest) as (url, spans):
        answer = ask(url)
    assert answer.error is None
    assert read(answer) == WHOLE
    assert len(spans) == len(answer.exchanges) == requests
    assert [exchange.status for exchange in answer.exchanges] == [200] * requests
    assert len({exchange.sha256 for exchange in answer.exchanges}) == requests
    assert hashlib.sha256(b"").hexdigest() not in {exchange.sha256 for exchange in answer.exchanges}


def test_the_rest_alone_is_asked_for():
    with capped(500) as (url, spans):
        answer = ask(url)
    rest = FIRST + 500 * HOUR
    assert spans[1] == (rest - timedelta(minutes=1), LAST + timedelta(minutes=59))
    assert (answer.more[0].first, answer.more[0].last) == (f"{rest:%Y-%m-%dT%H}", f"{LAST:%Y-%m-%dT%H}")


def test_a_station_that_stopped_after_a_round_number_of_rows_is_asked_once_more_and_then_absent():
    with capped(1000, until=FIRST + 499 * HOUR) as (url, spans):
        answer = ask(url)
    assert (len(spans), answer.error, len(answer.response.data)) == (2, None, 500)
    said = raw.finding(answer, LAST, LAST + 9 * DAY)
    assert (said.values, said.error, said.confirms) == (None, None, True)


def test_an_error_in_the_rest_leaves_what_came_and_calls_nothing_absent():
    busy = http(b"", "503 Busy")
    with capped(500, answers=lambda span: busy if span[0] > FIRST else None) as (url, _):
        answer = ask(url)
    assert type(answer.error) is ServerError
    readings = answer.readings
    assert readings[FIRST].pm2_5 == value(FIRST)
    assert raw.finding(answer, FIRST, LAST).error is None
    assert type(raw.finding(answer, LAST, LAST + DAY).error) is ServerError


def test_a_server_that_ignores_the_dates_of_the_rest_leaves_it_failed():
    rows = [f'{{"timestamp": "{FIRST + n * HOUR:%Y-%m-%d %H:%M:%S}", "CO": 1}}' for n in range(500)]
    same = http(f'{{"header": {{}}, "data": [{",".join(rows)}]}}'.encode())
    with capped(500, answers=lambda _: same) as (url, spans):
        answer = ask(url)
    assert len(spans) == 2
    error = raw.finding(answer, LAST, LAST + DAY).error
    assert type(error) is UnexpectedShapeError
    assert str(error) == "the answer stops at 500 rows, and the rest of 2024-03-01T00…2024-03-31T23 does not come"


def test_the_parts_end(monkeypatch):
    monkeypatch.setattr("airqino.source.client._MAX_PARTS", 3)
    with capped(100) as (url, spans):
        answer = ask(url)
    assert (len(spans), type(answer.error)) == (4, UnexpectedShapeError)
    assert len(answer.response.data) >= 300


@pytest.mark.parametrize(
    ("rows", "begin", "rest"),
    [
        (500, 0, (500, 743)),
        (499, 0, None),  # no round number
        (50, 0, None),  # a small one
        (700, 0, (700, 743)),
        (700, 20, None),  # what is missing is less than a day
        (500, 244, (0, 243)),  # the newest rows
    ],
)
def test_what_an_answer_leaves_out(rows, begin, rest):
    data = [Row((FIRST + (begin + n) * HOUR).replace(tzinfo=None), co=1.0) for n in range(rows)]
    hours = rest and (FIRST + rest[0] * HOUR, FIRST + rest[1] * HOUR)
    assert rest_of(Response(Header(), data), FIRST, LAST) == hours


def test_what_a_part_could_not_read_is_not_absent_in_the_whole():
    odd = b'{"header": {}, "data": [{"timestamp": "2024-03-31 23:00:00", "CO": "?!"}, {"timestamp": "never", "CO": 1}]}'
    odd = odd.replace(b'"never"', b'"2024-03-30 10:30:00"')
    with capped(500, answers=lambda span: http(odd.replace(b'"?!"', b"7")) if span[0] > FIRST else None) as (url, _):
        answer = ask(url)
    readings = answer.readings
    assert readings[LAST].co == 7
    half_past = datetime(2024, 3, 30, 10, tzinfo=UTC)
    assert type(raw.fault(answer, half_past)) is UnexpectedShapeError
    assert raw.fault(answer, half_past - HOUR) is None
