"""The HTTP client against the sandbox: faults, retries, limits, sign-in, and what is kept of an exchange."""

import hashlib
import json
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import requests
from support.hostile import drip, http, serving, talking

from airqino.errors import (
    AnswerTooLargeError,
    CredentialsError,
    NotAskedError,
    NotJSONError,
    RateLimitedError,
    ReportedError,
    RequestRefusedError,
    ServerError,
    SourceError,
    SourceTimeoutError,
    UnexpectedShapeError,
    UnknownStationError,
    UnreachableError,
)
from airqino.sandbox import series
from airqino.sandbox.handlers import Tokens
from airqino.sandbox.server import Account, Sandbox
from airqino.source import pace
from airqino.source.auth import Credentials as Login
from airqino.source.client import Answer, Client
from airqino.source.response import parse

A, B = series.DEFAULT_STATIONS
NOW = datetime(2024, 9, 9, 10, 30, tzinfo=UTC)
FIRST, LAST = datetime(2024, 9, 8, 20, tzinfo=UTC), datetime(2024, 9, 9, 3, tzinfo=UTC)
KNOWN = Account(client_secret="Right-S3cret", password="Right-Pa55word")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(now=NOW) as running:
        yield running


def client(sandbox: Sandbox | str, **options) -> Client:
    """A client that does not wait where the test does not want it to."""
    url = sandbox if isinstance(sandbox, str) else sandbox.url
    return Client(url, **{"timeout": (2, 5), "backoff": 0, "requests_per_second": 1000} | options)


def answer_of(asking: Client, station: str, first: datetime, last: datetime) -> Answer:
    return asking.hourly_of({station: (first, last)})[station]


def ask(sandbox: Sandbox | str, station: str = A, **options):
    with client(sandbox, **options) as asking:
        return answer_of(asking, station, FIRST, LAST)


def requests_to(sandbox: Sandbox) -> int:
    return sandbox.stats()["data_requests"]


# --- an answer


def test_an_answer_holds_the_rows_the_header_and_the_sources_clock(sandbox):
    answer = ask(sandbox)
    assert answer.error is None
    assert answer.served_at == NOW
    assert answer.response.header.station_name == series.header(A)["station_name"]
    expected = [row["timestamp"] for row in series.rows(A, FIRST, LAST, NOW)]
    assert [f"{row.timestamp:%Y-%m-%d %H:%M:%S}" for row in answer.response.data] == expected


def test_a_minute_more_is_asked_for_on_either_side(sandbox):
    ask(sandbox)
    (window,) = sandbox.stats()["windows"]
    assert (window["start"], window["stop"]) == ("2024-09-08T19:59:00+00:00", "2024-09-09T03:59:00+00:00")


def test_an_exchange_proves_what_was_said(sandbox):
    exchange = ask(sandbox).exchange
    url = f"{sandbox.url}/v3/getStationHourlyAvg/{A}"
    body = requests.get(url, params={"start_date": "20240908-1959", "end_date": "20240909-0359"}, timeout=5).content
    assert (exchange.bytes, exchange.sha256) == (len(body), hashlib.sha256(body).hexdigest())
    assert (exchange.station, exchange.first, exchange.last) == (A, "2024-09-08T20", "2024-09-09T03")
    assert (exchange.status, exchange.error) == (200, "")
    assert 0 <= exchange.seconds < 5
    assert exchange.asdict() == {name: getattr(exchange, name) for name in exchange.__dataclass_fields__}


def test_a_stations_failure_is_in_its_answer_and_leaves_the_others_alone(sandbox):
    sandbox.add_fault("server_error", station=B)
    with client(sandbox, retries=0) as asking:
        answers = asking.hourly_of({A: (FIRST, LAST), B: (FIRST, LAST)})
    assert list(answers) == [A, B]
    assert answers[A].error is None
    assert isinstance(answers[B].error, ServerError)
    assert answers[B].exchange.error == f"ServerError: {answers[B].error}"


# --- faults


@pytest.mark.parametrize(
    ("kind", "error", "status"),
    [
        ("rate_limited", RateLimitedError, 429),
        ("server_error", ServerError, 503),
        ("server_error_500", ServerError, 500),
        ("cut_off", UnreachableError, 200),
        ("malformed", NotJSONError, 200),
        ("html", NotJSONError, 200),
        ("wrong_shape", UnexpectedShapeError, 200),
        ("unauthorized", CredentialsError, 401),
        ("unknown_station", UnknownStationError, 404),
    ],
)
def test_each_fault_is_an_error_of_its_own(sandbox, kind, error, status):
    sandbox.add_fault(kind)
    answer = ask(sandbox, retries=0)
    assert type(answer.error) is error
    assert answer.response is None
    assert answer.exchange.status == status
    assert answer.exchange.error == f"{error.__name__}: {answer.error}"
    assert "\n" not in str(answer.error)


@pytest.mark.parametrize("kind", ["duplicate", "out_of_order", "future", "empty"])
def test_odd_rows_are_no_error(sandbox, kind):
    sandbox.add_fault(kind)
    answer = ask(sandbox)
    assert answer.error is None
    honest = [row["timestamp"] for row in series.rows(A, FIRST, LAST, NOW)]
    got = [f"{row.timestamp:%Y-%m-%d %H:%M:%S}" for row in answer.response.data]
    if kind == "empty":
        assert got == []
    elif kind == "future":
        assert got == [*honest, *(f"2024-09-09 {hour}:00:00" for hour in (11, 12, 13))]
    else:
        assert sorted(got) == honest
        assert (got == honest) == (kind == "duplicate")
        assert answer.response.found.doubled.count == (math.ceil(len(honest) / 3) if kind == "duplicate" else 0)


def test_another_4xx_says_what_the_source_says():
    with Sandbox(now=NOW) as sandbox, client(sandbox) as asking:
        answer = answer_of(asking, A, LAST, FIRST)
    assert type(answer.error) is RequestRefusedError
    assert "start_date is after end_date" in str(answer.error)
    assert answer.exchange.status == 400


def test_nobody_there_is_unreachable_at_once():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    began = time.monotonic()
    answer = ask(f"http://127.0.0.1:{port}")
    assert time.monotonic() - began < 1
    assert type(answer.error) is UnreachableError
    assert "Connection refused" in str(answer.error)
    assert "0x" not in str(answer.error)
    assert (answer.exchange.status, answer.exchange.bytes, answer.exchange.sha256) == (None, 0, "")


@pytest.mark.parametrize("payload", [b"", b"SSH-2.0-OpenSSH\r\n"])
def test_what_does_not_speak_http_is_unreachable(payload):
    with serving(payload) as url:
        assert type(ask(url, retries=0).error) is UnreachableError


def test_a_slow_station_fails_within_the_time_out(sandbox):
    sandbox.add_fault("latency", seconds=1.2)
    began = time.monotonic()
    answer = ask(sandbox, retries=0, timeout=(2, 0.3))
    assert 0.25 < time.monotonic() - began < 1
    assert type(answer.error) is SourceTimeoutError
    assert str(answer.error) == "no answer within 0.3 s"


# --- retries


@pytest.mark.parametrize("kind", ["rate_limited", "server_error", "server_error_500", "cut_off", "malformed", "html"])
def test_what_passes_is_asked_again_and_then_right(sandbox, kind):
    sandbox.add_fault(kind, times=2, seconds=0)
    answer = ask(sandbox, retries=2)
    assert answer.error is None
    assert len(answer.response.data) == len(series.rows(A, FIRST, LAST, NOW))
    assert requests_to(sandbox) == 3


@pytest.mark.parametrize("kind", ["server_error", "cut_off", "malformed"])
def test_after_the_last_retry_it_is_an_error(sandbox, kind):
    sandbox.add_fault(kind)
    assert ask(sandbox, retries=2).error is not None
    assert requests_to(sandbox) == 3


@pytest.mark.parametrize("kind", ["wrong_shape", "unauthorized", "unknown_station"])
def test_what_another_try_does_not_change_is_asked_once(sandbox, kind):
    sandbox.add_fault(kind)
    assert ask(sandbox, retries=3).error is not None
    assert requests_to(sandbox) == 1


def test_pauses_between_tries_grow(sandbox):
    sandbox.add_fault("malformed", times=3)
    began = time.monotonic()
    assert ask(sandbox, retries=3, backoff=0.1).error is None
    assert 0.65 < time.monotonic() - began < 2  # 0.1 + 0.2 + 0.4


def test_retry_after_is_obeyed(sandbox):
    sandbox.add_fault("rate_limited", times=1, seconds=1)
    began = time.monotonic()
    assert ask(sandbox).error is None
    assert 0.9 < time.monotonic() - began < 3


def test_a_retry_after_longer_than_a_run_can_wait_ends_it_at_once(sandbox):
    sandbox.add_fault("rate_limited", seconds=121)
    began = time.monotonic()
    answer = ask(sandbox, retry_after_max=120)
    assert time.monotonic() - began < 1
    assert type(answer.error) is RateLimitedError
    assert "Retry-After: 121" in str(answer.error)
    assert requests_to(sandbox) == 1


def test_the_longest_retry_after_still_holds_after_a_first_retry(sandbox):
    sandbox.add_fault("server_error", times=1)
    sandbox.add_fault("rate_limited", seconds=9)
    began = time.monotonic()
    assert type(ask(sandbox, retry_after_max=8, retries=5).error) is RateLimitedError
    assert time.monotonic() - began < 1
    assert requests_to(sandbox) == 2


# --- deadlines, and stations that keep no contract


def rows(first: datetime, last: datetime) -> bytes:
    hours = int((last - first) / timedelta(hours=1)) + 1
    data = [{"timestamp": f"{first + timedelta(hours=n):%Y-%m-%d %H:%M:%S}", "PM2.5": 1.5 + n} for n in range(hours)]
    return json.dumps({"header": {"station_name": "good"}, "data": data}).encode()


@contextmanager
def network(**bad: Callable[[socket.socket], None]) -> Iterator[str]:
    """An API where each station named behaves in its own way, and every other as it should."""

    def talk(connection: socket.socket, request: bytes) -> None:
        station = request.split()[1].split(b"?")[0].rsplit(b"/")[-1].decode()
        bad.get(station, lambda connection: connection.sendall(http(rows(FIRST, LAST))))(connection)

    with talking(talk) as url:
        yield url


def sending(answer: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(answer)


def dripping(connection: socket.socket) -> None:
    drip(connection, http(rows(FIRST, LAST)), 0.05)


def endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n[")
    while True:
        connection.sendall(b"0," * 40_000)


HOSTILE = {
    "dripping": (dripping, SourceTimeoutError, "no whole answer within"),
    "endless": (endless, AnswerTooLargeError, "more than 33554432 bytes"),
    "silent": (lambda connection: time.sleep(3), SourceTimeoutError, "no whole answer within"),
    "rows": (sending(http(b'{"data": [' + b"{}," * 5_000_000 + b"{}]}")), AnswerTooLargeError, "objects"),
    "nested": (sending(http(b"[" * 1_000_000)), UnexpectedShapeError, "nested too deeply"),
    "ages": (
        sending(http(b'{"data": [{"timestamp": "0001-01-01 00:00:00", "CO": 1}]}')),
        UnexpectedShapeError,
        "'0001-01-01 00:00:00'",
    ),
    "error in a 200": (sending(http(b'{"error": "store is behind"}')), ReportedError, "store is behind"),
    "error in a 503": (sending(http(b'{"message": "store is behind"}', "503 Busy")), ServerError, "store is behind"),
    "retry after 0.493": (sending(http(b"", "429 Slow", Retry_After="0.493")), RateLimitedError, "Retry-After: 0.493"),
    "retry after 1m0s": (sending(http(b"", "429 Slow", Retry_After="1m0s")), RateLimitedError, "Retry-After: 1m0s"),
    "retry after 9…": (sending(http(b"", "429 Slow", Retry_After="9" * 5000)), RateLimitedError, "Retry-After: 999"),
    "odd headers": (
        sending(http(b"?", Date="Mon, 99 Foo 99999", Age="-1", Content_Type="text/\xff; charset=zip")),
        NotJSONError,
        "begins with '?'",
    ),
    "redirect": (
        sending(http(b"", "302 Found", Location="/v3/getStationHourlyAvg/bad")),
        UnreachableError,
        "redirects",
    ),
    "redirect to a file": (
        sending(http(b"", "302 Found", Location="file:///etc/passwd")),
        UnreachableError,
        "adapters",
    ),
    "redirect nowhere": (sending(http(b"", "302 Found", Location="http://[")), SourceError, "Invalid IPv6 URL"),
}


@pytest.mark.parametrize("way", HOSTILE)
def test_a_hostile_station_fails_with_a_reason_and_the_others_are_on_time(way):
    behaviour, error, text = HOSTILE[way]
    with network(bad=behaviour) as url, client(url, request_seconds=1, station_seconds=1.5, retries=1) as asking:
        began = time.monotonic()
        answers = asking.hourly_of(dict.fromkeys(["bad", "1", "2", "3"], (FIRST, LAST)))
        took = time.monotonic() - began
    assert took < 8  # most of it is the endless station's megabytes
    assert type(answers["bad"].error) is error
    assert text in str(answers["bad"].error)
    assert answers["bad"].exchange.error == f"{error.__name__}: {answers['bad'].error}"
    assert len(answers["bad"].exchange.error) < 500
    assert answers["bad"].exchange.error.isprintable()
    for station in "123":
        assert [row.pm2_5 for row in answers[station].response.data] == [1.5 + n for n in range(8)]
        assert answers[station].exchange.seconds < 2


def test_hostile_stations_however_many_hold_up_no_other(monkeypatch):
    monkeypatch.setattr(pace, "HOLD_SECONDS", 0.3)
    bad = {f"bad{n}": dripping for n in range(8)}
    arrived: dict[str, float] = {}
    began = time.monotonic()

    def good(connection: socket.socket) -> None:
        arrived["good"] = time.monotonic() - began
        connection.sendall(http(rows(FIRST, LAST)))

    options = {"concurrency": 4, "request_seconds": 2, "station_seconds": 3, "retries": 3}
    with network(**bad, good=good) as url, client(url, **options) as asking:
        answers = asking.hourly_of(dict.fromkeys([*bad, "good"], (FIRST, LAST)))
    assert time.monotonic() - began < 6
    assert answers["good"].error is None
    assert arrived["good"] < 1.5  # after two rounds of four that made room
    assert {type(answers[station].error) for station in bad} == {SourceTimeoutError}


def test_all_tries_of_a_station_end_within_its_time():
    tries = []

    def fault(connection: socket.socket) -> None:
        tries.append(time.monotonic())
        connection.sendall(http(b"", "503 Busy"))

    began = time.monotonic()
    with network(bad=fault) as url, client(url, retries=50, backoff=0.2, station_seconds=2.4) as asking:
        answer = answer_of(asking, "bad", FIRST, LAST)
    assert time.monotonic() - began < 2.9
    assert len(tries) == 4  # at 0, 0.2, 0.6 and 1.4 s, on a busy machine up to 1 s later; the next would be at 3 s
    assert type(answer.error) is ServerError


def test_a_pause_longer_than_the_stations_time_ends_the_tries_at_once():
    busy = sending(http(b"", "503 Busy", Retry_After="30"))
    began = time.monotonic()
    with network(bad=busy) as url, client(url, retries=5, station_seconds=5, retry_after_max=120) as asking:
        assert type(answer_of(asking, "bad", FIRST, LAST).error) is ServerError
    assert time.monotonic() - began < 1


def test_who_has_no_turn_before_the_time_is_over_was_not_asked(monkeypatch):
    monkeypatch.setattr(pace, "HOLD_SECONDS", 60)
    arrived = []

    def served(station: str):
        def serve(connection: socket.socket) -> None:
            arrived.append(station)
            connection.sendall(http(rows(FIRST, LAST)))

        return serve

    late = [f"late-{number}" for number in range(1, 31)]
    stations = {"good": served("good"), "bad": dripping} | {station: served(station) for station in late}
    options = {"concurrency": 1, "request_seconds": 5, "station_seconds": 9, "seconds": 1}
    with network(**stations) as url, client(url, **options) as asking:
        began = time.monotonic()
        answers = asking.hourly_of(dict.fromkeys(stations, (FIRST, LAST)))
        assert time.monotonic() - began < 2
        again = asking.hourly_of({"good": (FIRST, LAST)})
        time.sleep(0.3)  # the turn of the last is free now: it asks no more
    # a thread that starts late stands behind some others, but not behind all
    assert sorted(arrived) == sorted(station for station in stations if answers[station].error is None)
    assert len(arrived) < len(stations)
    assert type(answers["bad"].error) is SourceTimeoutError
    not_asked = [station for station in late if station not in arrived]
    assert {type(answers[station].error) for station in not_asked} == {NotAskedError}
    assert type(again["good"].error) is NotAskedError
    assert (answers[not_asked[-1]].exchange.status, answers[not_asked[-1]].exchange.station) == (None, not_asked[-1])


def test_a_station_whose_thread_hangs_is_left_to_itself(monkeypatch):
    monkeypatch.setattr("airqino.source.client._GRACE", 0.3)
    hang = threading.Event()
    with network() as url, client(url, station_seconds=0.5) as asking:
        usual = asking._session.get

        def get(address: str, **options):
            if address.endswith("/stuck"):
                hang.wait(20)  # as a name resolution may, which nothing can interrupt
            return usual(address, **options)

        monkeypatch.setattr(asking._session, "get", get)
        began = time.monotonic()
        answers = asking.hourly_of({"stuck": (FIRST, LAST), "1": (FIRST, LAST)})
        took = time.monotonic() - began
        hang.set()
    assert took < 2.5
    assert answers["1"].error is None
    assert type(answers["stuck"].error) is SourceTimeoutError
    assert (answers["stuck"].exchange.station, answers["stuck"].exchange.first) == ("stuck", "2024-09-08T20")


def test_what_nobody_foresaw_is_the_stations_error_and_is_logged(sandbox, caplog):
    def read(body: bytes, charset: str | None):
        raise ZeroDivisionError("one\nby zero")

    with client(sandbox) as asking:
        reply = asking.get(f"/v3/getStationHourlyAvg/{A}", {}, read)
    assert type(reply.error) is SourceError
    assert str(reply.error) == "unforeseen ZeroDivisionError: one by zero"
    assert "Traceback" in caplog.text


def test_no_content_means_no_rows():
    with serving(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n") as url:
        answer = ask(url)
    assert answer.error is None
    assert answer.response.data == []
    assert answer.exchange.status == 204


def test_a_cached_answer_says_when_it_was_made_and_what_the_clock_shows():
    made = datetime(2024, 9, 9, 10, tzinfo=UTC)
    for age, shown in (("1200", made + timedelta(minutes=20)), ("soon", made)):
        with serving(http(rows(FIRST, LAST), Date=format_datetime(made, usegmt=True), Age=age)) as url:
            answer = ask(url)
        assert (answer.served_at, answer.clock) == (made, shown)
    with serving(http(rows(FIRST, LAST), Date="never")) as url:
        answer = ask(url)
    assert (answer.served_at, answer.clock, answer.age_seconds) == (None, None, 0)


@pytest.mark.parametrize("charset", ["iso-8859-1", "utf-16"])
def test_the_declared_character_set_is_used(charset):
    body = json.dumps({"header": {"station_name": "Côte"}, "data": []}, ensure_ascii=False).encode(charset)
    with serving(http(body, Content_Type=f"application/json; charset={charset}")) as url:
        assert ask(url).response.header.station_name == "Côte"


def test_what_was_not_read_is_kept_in_the_record():
    data = [{"timestamp": "2024-09-09 01:00:00", "CO": "E7", "T": 1}, {"timestamp": "soon", "CO": 1}]
    with serving(http(json.dumps({"header": {}, "data": data}).encode())) as url:
        exchange = ask(url).exchange
    assert exchange.remarks == (
        "rows that name no hour: 1, such as 'soon'",
        "values of CO that are no numbers: 1, such as 'E7'",
    )
    assert json.loads(json.dumps(exchange.asdict()))["remarks"] == list(exchange.remarks)


def test_a_redirect_is_followed_but_the_token_stays_at_home(guarded):
    seen: list[bytes] = []

    def elsewhere(connection: socket.socket, request: bytes) -> None:
        seen.append(request)
        connection.sendall(http(rows(FIRST, LAST)))

    with talking(elsewhere) as other:
        away = http(b"", "302 Found", Location=other.replace("127.0.0.1", "localhost") + "/moved")
        with serving(away) as url, client(url, credentials=login(guarded)) as asking:
            answer = answer_of(asking, A, FIRST, LAST)
    assert answer.error is None
    assert len(answer.response.data) == 8
    assert len(seen) == 1
    assert b"authorization" not in seen[0].lower()


def test_an_error_message_that_repeats_the_token_is_told_without_it(guarded):
    def talk(connection: socket.socket, request: bytes) -> None:
        sent = next(line for line in request.split(b"\r\n") if line.lower().startswith(b"authorization"))
        connection.sendall(http(json.dumps({"message": f"not for {sent.decode()}"}).encode(), "500 Oh"))

    with talking(talk) as url:
        answer = ask(url, retries=0, credentials=login(guarded))
    assert "it says: not for" in str(answer.error)
    assert not any(token in str(answer.error) for token in guarded.tokens.issued)


# --- limits


def test_requests_go_out_no_faster_than_allowed(sandbox):
    stations = {str(number): (FIRST, LAST) for number in range(1, 7)}
    began = time.monotonic()
    with client(sandbox, requests_per_second=4, concurrency=6) as asking:
        asking.hourly_of(dict(list(stations.items())[:4]))
        assert time.monotonic() - began < 0.9  # as many as go out in a second go out at once
        asking.hourly_of(stations)
    assert 2 <= time.monotonic() - began < 3  # the fifth to eighth a second after those, the ninth another one later
    assert requests_to(sandbox) == 10


def test_a_slow_station_holds_up_no_other(sandbox):
    sandbox.add_fault("latency", station="1", seconds=1)
    stations = {str(number): (FIRST, LAST) for number in range(1, 6)}
    began = time.monotonic()
    with client(sandbox, concurrency=2) as asking:
        answers = asking.hourly_of(stations)
    assert all(answer.error is None for answer in answers.values())
    assert answers["1"].exchange.seconds >= 1
    assert max(answers[s].exchange.seconds for s in "2345") < 0.9
    assert time.monotonic() - began < 1.9
    assert [w["station"] for w in sandbox.stats()["windows"]][-1] == "1"  # all others were through before it


def test_no_more_stations_are_asked_at_once_than_allowed(sandbox):
    sandbox.add_fault("latency", seconds=0.25)
    stations = {str(number): (FIRST, LAST) for number in range(1, 5)}
    began = time.monotonic()
    with client(sandbox, concurrency=2) as asking:
        asking.hourly_of(stations)
    assert 0.5 <= time.monotonic() - began < 1


# --- sign-in


def login(sandbox: Sandbox, **changes: str) -> Login:
    known = {"client_id": KNOWN.client_id, "client_secret": KNOWN.client_secret, "username": KNOWN.username}
    return Login(**{"token_url": sandbox.token_url, "password": KNOWN.password} | known | changes)


@pytest.fixture
def guarded() -> Iterator[Sandbox]:
    with Sandbox(now=NOW, account=KNOWN) as running:
        yield running


def tokens(sandbox: Sandbox) -> int:
    return sandbox.stats()["token_requests"]


def test_one_token_serves_all_stations_and_threads(guarded):
    stations = {str(number): (FIRST, LAST) for number in range(1, 9)}
    with client(guarded, credentials=login(guarded), concurrency=8) as asking:
        answers = [*asking.hourly_of(stations).values(), answer_of(asking, A, FIRST, LAST)]
    assert [answer.error for answer in answers] == [None] * 9
    assert tokens(guarded) == 1


def test_a_token_about_to_end_is_renewed_before_it_is_used():
    with Sandbox(now=NOW, account=KNOWN, token_seconds=10) as guarded:
        with client(guarded, credentials=login(guarded)) as asking:
            for _ in range(3):
                assert answer_of(asking, A, FIRST, LAST).error is None
        assert tokens(guarded) == 3
        assert guarded.stats()["by_status"] == {"200": 3}


def test_a_withdrawn_token_is_replaced_and_the_request_sent_again(guarded):
    with client(guarded, credentials=login(guarded)) as asking:
        assert answer_of(asking, A, FIRST, LAST).error is None
        guarded.add_fault("token_expired")
        assert answer_of(asking, A, FIRST, LAST).error is None
    assert tokens(guarded) == 2
    assert guarded.stats()["by_status"] == {"200": 2, "401": 1}


def test_when_the_refresh_token_is_over_as_well_the_password_is_sent_again(guarded):
    with client(guarded, credentials=login(guarded)) as asking:
        assert answer_of(asking, A, FIRST, LAST).error is None
        guarded.tokens = Tokens(KNOWN, 300)  # as after a restart of the token endpoint
        assert answer_of(asking, A, FIRST, LAST).error is None
    assert tokens(guarded) == 3  # password, refused refresh, password


@pytest.mark.parametrize("wrong", ["password", "client_secret", "username", "client_id"])
def test_wrong_credentials_are_told_without_any_secret(guarded, wrong):
    credentials = login(guarded, **{wrong: "Wr0ng"})
    answer = ask(guarded, credentials=credentials)
    assert type(answer.error) is CredentialsError
    assert "AIRQINO_PASSWORD" in str(answer.error)
    told = " ".join(f"{of!r} {of!s}" for of in (answer, answer.error, answer.error.__cause__, credentials))
    assert credentials.password not in told
    assert credentials.client_secret not in told
    assert requests_to(guarded) == 0


def test_without_credentials_the_message_says_what_to_set(guarded):
    answer = ask(guarded)
    assert type(answer.error) is CredentialsError
    for variable in ("AIRQINO_USERNAME", "AIRQINO_PASSWORD", "AIRQINO_CLIENT_ID", "AIRQINO_CLIENT_SECRET"):
        assert variable in str(answer.error)


def test_a_station_closed_to_the_user_is_a_matter_of_credentials(guarded):
    guarded.add_fault("unauthorized")
    answer = ask(guarded, credentials=login(guarded))
    assert type(answer.error) is CredentialsError
    assert "AIRQINO_USERNAME" in str(answer.error)
    assert requests_to(guarded) == 2  # once more with a new token


def test_a_token_endpoint_that_is_down_is_no_matter_of_credentials(guarded):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    answer = ask(guarded, credentials=login(guarded, token_url=f"http://127.0.0.1:{port}/token"))
    assert type(answer.error) is UnreachableError
    assert "token endpoint" in str(answer.error)


@pytest.mark.parametrize("body", [http(b"<html>Maintenance</html>"), http(b"Bad gateway", "502 Bad Gateway")])
def test_a_token_endpoint_that_gives_no_token_is_a_fault_of_the_server(guarded, body):
    with serving(body) as url:
        answer = ask(guarded, credentials=login(guarded, token_url=f"{url}/token"))
    assert type(answer.error) is ServerError
    assert "token endpoint" in str(answer.error)


def test_a_token_endpoint_that_says_nothing_is_a_time_out(guarded):
    with serving(b"", hold=5) as url:
        answer = ask(guarded, timeout=(1, 0.3), credentials=login(guarded, token_url=f"{url}/token"))
    assert type(answer.error) is SourceTimeoutError


def test_the_body_that_came_is_the_body_that_was_read(sandbox):
    answer = ask(sandbox)
    url = f"{sandbox.url}/v3/getStationHourlyAvg/{A}"
    body = requests.get(url, params={"start_date": "20240908-1959", "end_date": "20240909-0359"}, timeout=5).content
    assert answer.response == parse(body)


def test_a_span_of_a_year_comes_whole(sandbox):
    first, last = NOW - timedelta(days=365), NOW.replace(minute=0) - timedelta(hours=1)
    with client(sandbox) as asking:
        answer = answer_of(asking, A, first, last)
    expected = [row["timestamp"] for row in series.rows(A, first, last, NOW)]
    assert [f"{row.timestamp:%Y-%m-%d %H:%M:%S}" for row in answer.response.data] == expected
    assert answer.exchange.bytes > 1e6


def test_thousands_of_stations_take_no_thousands_of_threads(sandbox, monkeypatch):
    monkeypatch.setattr("airqino.source.client._THREADS", 4)
    stations = [f"{283000000 + n}" for n in range(60)]
    most = []

    class Counting(Client):
        def _hourly(self, station, *arguments):
            most.append(sum(thread.name == "stations" for thread in threading.enumerate()))
            return super()._hourly(station, *arguments)

    with Counting(sandbox.url) as api:
        answers = api.hourly_of(dict.fromkeys(stations, (FIRST, LAST)))
    assert list(answers) == stations
    assert all(answer.response for answer in answers.values())
    assert max(most) <= 4
