"""One good station beside one hostile station of each kind: its hour, daily mean and forecast are on time."""

import functools
import gzip
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.deployment import ROOT, Pipeline
from support.hostile import drip, hours_of, http, talking

from airqino.sandbox.mongod import Mongod

pytestmark = pytest.mark.drill  # it takes long

GOOD = "283181971"
NOW = datetime(2026, 2, 20, 12, 5, tzinfo=UTC)
LAST = datetime(2026, 2, 20, 11, tzinfo=UTC)
HOUR = timedelta(hours=1)

Behaviour = Callable[[socket.socket, bytes], None]


@dataclass(frozen=True)
class Way:
    """What a station does, and the reason that the run gives for it; without one, what it costs is not the hour."""

    behave: Behaviour
    reason: str = ""
    remark: str = ""


def good(hours: list[datetime], **header: object) -> bytes:
    """An answer as documented: PM2.5 is the hour of the day plus 5."""
    data = [
        {"timestamp": f"{at:%Y-%m-%d %H:%M:%S}", "CO": 0.4 + at.hour / 100, "PM2.5": 5.0 + at.hour, "PM10": 60.0}
        for at in hours
    ]
    return json.dumps({"header": {"station_name": "S", **header}, "data": data}).encode()


def sending(answer: bytes) -> Behaviour:
    return lambda connection, _: connection.sendall(answer)


def with_row(**row: object) -> Behaviour:
    """All the hours asked for, and a row more."""

    def behave(connection: socket.socket, request: bytes) -> None:
        content = json.loads(good(hours_of(request)))
        content["data"].append(row)
        connection.sendall(http(json.dumps(content).encode()))

    return behave


def endless(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n[")
    while True:
        connection.sendall(b"0," * 40_000)


@functools.cache
def bomb() -> bytes:
    """3 GB of blanks, packed."""
    return gzip.compress(b" " * (10 << 20)) * 300


def endless_headers(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-More: of the same\r\n" * 1000)


def stops_half_way(connection: socket.socket, _: bytes) -> None:
    connection.sendall(http(good([LAST]))[:-20])


def name_of_17_mb(connection: socket.socket, request: bytes) -> None:
    connection.sendall(http(good(hours_of(request), station_name="x" * (17 << 20))))


ROWS = b'{"data": [' + b"{}," * 5_000_000 + b"{}]}"
WAYS = {
    "drip": Way(lambda c, r: drip(c, http(good(hours_of(r))), 0.5), "SourceTimeoutError: no whole answer within"),
    "silence": Way(lambda c, _: time.sleep(150), "SourceTimeoutError: no"),
    "endless body": Way(endless, "AnswerTooLargeError: the answer has more than 33554432 bytes"),
    "endless headers": Way(endless_headers, "UnreachableError: "),
    "bomb": Way(lambda c, _: c.sendall(http(bomb(), Content_Encoding="gzip")), "AnswerTooLargeError: the answer has"),
    "five million rows": Way(lambda c, _: c.sendall(http(ROWS)), "AnswerTooLargeError: the answer has 5000002 objects"),
    "nesting": Way(sending(http(b"[" * 1_000_000)), "UnexpectedShapeError: .* nested too deeply"),
    "year 1": Way(with_row(timestamp="0001-01-01 00:00:00", CO=1), remark="name no hour: 1, such as '0001-01-01"),
    "year 9999": Way(with_row(timestamp="9999-12-31 23:59:59", CO=1), remark="name no hour: 1, such as '9999-12-31"),
    "name of 17 MB": Way(name_of_17_mb),
    "text for a number": Way(with_row(timestamp="2026-02-20 10:00:00", NO2="-"), remark="values of NO2 .* such as '-'"),
    "retry after 0.493": Way(sending(http(b"", "429 Slow", Retry_After="0.493")), "RateLimitedError: .*0.493"),
    "retry after 1m0s": Way(sending(http(b"", "429 Slow", Retry_After="1m0s")), "RateLimitedError: .*1m0s"),
    "retry after 9…": Way(sending(http(b"", "429 Slow", Retry_After="9" * 5000)), "RateLimitedError: .*9999"),
    "error in a 200": Way(sending(http(b'{"error": "store is behind"}')), "ReportedError: .*store is behind"),
    "error in a 400": Way(sending(http(b'{"detail": "no such span"}', "400 Bad")), "RequestRefused.*no such span"),
    "error in a 503": Way(sending(http(b'{"message": "restarting"}', "503 Busy")), "ServerError: HTTP 503.*restarting"),
    "401": Way(sending(http(b"{}", "401 No")), "CredentialsError: HTTP 401"),
    "web page": Way(sending(http(b"<html>Maintenance</html>")), "NotJSONError: .*Maintenance"),
    "204": Way(sending(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")),
    "null": Way(sending(http(b"null"))),
    "empty list": Way(sending(http(b"[]"))),
    "no HTTP": Way(sending(b"SSH-2.0-OpenSSH\r\n"), "UnreachableError: "),
    "broken off": Way(stops_half_way, "UnreachableError: the connection broke off"),
    "no gzip": Way(sending(http(good([LAST]), Content_Encoding="gzip")), "UnreachableError: "),
    "redirect to itself": Way(sending(http(b"", "302 Found", Location="/v3/getStationHourlyAvg/9")), "redirects"),
    "control characters": Way(sending(http(b"\x00\x1b[31m\x07" * 50)), "NotJSONError: "),
}
IDS = {f"9{number:08}": name for number, name in enumerate(WAYS, start=1)}


@pytest.fixture(scope="module")
def network() -> Iterator[str]:
    """An API where each station of `IDS` behaves in its own way."""

    def talk(connection: socket.socket, request: bytes) -> None:
        station = request.split()[1].split(b"?")[0].rsplit(b"/")[-1].decode()
        if station == "9":
            WAYS["redirect to itself"].behave(connection, request)
        elif station in IDS:
            WAYS[IDS[station]].behave(connection, request)
        else:
            connection.sendall(http(good(hours_of(request))))

    with talking(talk) as url:
        yield url


_MEASURED = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def run(pipeline: Pipeline) -> tuple[int, str, float, float]:
    """An hourly run: its exit code, what it says, its seconds and its largest memory in GB.

    Measured by a small process between: what a process starts has at first the memory of that process.
    """
    command = [sys.executable, "-c", _MEASURED, sys.executable, "-m", "tasks.cli", "hourly"]
    began = time.monotonic()
    done = subprocess.run(command, env=pipeline.env, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr, time.monotonic() - began, int(done.stdout) / 1e6


def check(pipeline: Pipeline, text: str) -> None:
    """The good station is whole; each hostile one has one warning, or none, and the reason in its hour."""
    assert "Traceback" not in text + "".join(p.read_text() for p in (pipeline.root / "logs").iterdir())
    database = pipeline.database
    assert database["hourly_measurements"].find_one({"_id": f"{GOOD}|{LAST:%Y-%m-%dT%H}"})["pm2_5"] == 16.0
    day = database["daily_averages"].find_one({"_id": f"{GOOD}|{LAST:%Y-%m-%d}"})
    assert (day["pm2_5_hours"], day["pm2_5_mean"]) == (12, pytest.approx(5 + sum(range(12)) / 12))
    forecast = database["forecasts"].find_one({"station": GOOD, "pollutant": "pm2_5", "issued_at": LAST})
    assert forecast["p50"] > 0
    lines = [line for line in text.splitlines() if "WARNING" in line]
    rows = {d["station"]: d for d in database["coverage"].find({"day": f"{LAST:%Y-%m-%d}"})}
    for station, name in IDS.items():
        way, told = WAYS[name], [line for line in lines if f"station {station}" in line]
        assert len(told) == bool(way.reason or way.remark), (name, told)
        if way.reason:
            assert re.search(way.reason, told[0]), (name, told)
            assert len(told[0]) < 600
            assert rows[station]["failed_hours"] == 12, name
            assert re.search(way.reason, rows[station]["reason"]), (name, rows[station]["reason"])
        elif way.remark:
            assert re.search(way.remark, told[0]), (name, told)
        assert told == [] or told[0].isprintable(), name


@pytest.fixture
def beset(tmp_path: Path, mongod: Mongod, network: str) -> Iterator[Pipeline]:
    """A deployment with all the stations, the good one last."""
    text = (ROOT / "luigi.cfg").read_text()
    (tmp_path / "luigi.cfg").write_text(text)
    made = Pipeline(
        tmp_path / "staging",
        mongod,
        network,
        AIRQINO_NOW=f"{NOW:%Y-%m-%dT%H:%M}",
        AIRQINO_STATIONS=",".join([*IDS, GOOD]),
    )
    yield made
    made.close()


def test_hostile_stations_cost_the_good_one_nothing(beset: Pipeline, tmp_path: Path) -> None:
    limits = {"request_seconds": 2, "station_seconds": 3, "read_timeout_seconds": 1, "retries": 0}
    beset.configure(tmp_path / "luigi.cfg", requests_per_second=500, concurrency=8, **limits)
    code, text, _, memory = run(beset)
    assert code == 0, text
    check(beset, text)
    assert memory < 1


@pytest.mark.drill
def test_hostile_stations_cost_the_good_one_nothing_with_the_limits_as_they_are(
    beset: Pipeline, tmp_path: Path
) -> None:
    code, text, seconds, memory = run(beset)
    assert code == 0, text
    check(beset, text)
    assert (seconds < 120, memory < 1) == (True, True), (seconds, memory)


def test_a_token_endpoint_that_drips_ends_in_time(tmp_path: Path, beset: Pipeline, network: str) -> None:
    """The first token is good; a station that refuses it asks for another, which comes a byte a second."""
    tokens: list[bytes] = []

    def talk(connection: socket.socket, request: bytes) -> None:
        tokens.append(request)
        token = http(b'{"access_token": "abc", "token_type": "bearer", "expires_in": 300}')
        drip(connection, token, 0.0 if len(tokens) == 1 else 1.0)

    refusing = next(station for station, name in IDS.items() if name == "401")
    limits = {"request_seconds": 2, "station_seconds": 3, "read_timeout_seconds": 1.5, "retries": 0}
    beset.configure(tmp_path / "luigi.cfg", requests_per_second=500, **limits)
    with talking(talk) as url:
        login = {"CLIENT_ID": "c", "CLIENT_SECRET": "s-S3cret", "USERNAME": "u", "PASSWORD": "p-S3cret"}
        beset.env |= {"AIRQINO_STATIONS": f"{GOOD},{refusing}", "AIRQINO_TOKEN_URL": f"{url}/token"}
        beset.env |= {f"AIRQINO_{name}": value for name, value in login.items()}
        code, text, _, _ = run(beset)
    assert code == 0, text
    assert len(tokens) == 2
    (told,) = [line for line in text.splitlines() if f"station {refusing}" in line]
    assert "SourceTimeoutError: the token endpoint did not answer in time" in told
    assert beset.database["hourly_measurements"].find_one({"_id": f"{GOOD}|{LAST:%Y-%m-%dT%H}"})


@pytest.mark.drill
@pytest.mark.parametrize("token", ["a\\nb", "a\\u0000b", "é"])
def test_a_token_that_cannot_be_sent_is_told_in_one_line(
    tmp_path: Path, beset: Pipeline, network: str, token: str
) -> None:
    answer = http(f'{{"access_token": "{token}", "token_type": "bearer", "expires_in": 300}}'.encode())
    with talking(lambda connection, _: connection.sendall(answer)) as url:
        login = {"CLIENT_ID": "c", "CLIENT_SECRET": "s-S3cret", "USERNAME": "u", "PASSWORD": "p-S3cret"}
        beset.env |= {"AIRQINO_STATIONS": GOOD, "AIRQINO_TOKEN_URL": f"{url}/token"}
        beset.env |= {f"AIRQINO_{name}": value for name, value in login.items()}
        code, text, _, _ = run(beset)
    assert code == 30, text
    assert "gave no token that can be sent" in text
    assert "Traceback" not in text
