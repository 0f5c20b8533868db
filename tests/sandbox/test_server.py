"""The sandbox over real HTTP: the contract, the faults, the controls, the command line."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
import requests

from airqino.sandbox import series
from airqino.sandbox.faults import KINDS, Fault
from airqino.sandbox.server import Account, Sandbox

ROOT = Path(__file__).resolve().parents[2]
A, B = series.DEFAULT_STATIONS
NOW = datetime(2024, 9, 9, 10, 30, tzinfo=UTC)
DAY = {"start_date": "20240908-0000", "end_date": "20240908-2300"}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(now=NOW) as running:
        yield running


def get(sandbox: Sandbox, station: str = A, token: str | None = None, **window: str) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = f"{sandbox.url}/v3/getStationHourlyAvg/{station}"
    return requests.get(url, params=window or DAY, headers=headers, timeout=5)


def stamps(response: requests.Response) -> list[str]:
    return [row["timestamp"] for row in response.json()["data"]]


def row_of(sandbox: Sandbox, hour: str) -> dict | None:
    """Return the row of one hour given as YYYYmmdd-HHMM."""
    found = get(sandbox, start_date=hour, end_date=hour).json()["data"]
    return found[0] if found else None


# --- the contract


def test_a_window_has_both_its_ends(sandbox):
    answer = get(sandbox, start_date="20240903-0500", end_date="20240903-0800")
    assert answer.status_code == 200
    assert answer.json()["header"] == series.header(A)
    assert stamps(answer) == [f"2024-09-03 0{hour}:00:00" for hour in (5, 6, 7, 8)]


def test_without_dates_comes_the_last_year_up_to_the_running_hour(sandbox):
    answer = requests.get(f"{sandbox.url}/v3/getStationHourlyAvg/{B}", timeout=5)
    assert stamps(answer)[0] >= "2023-09-10 11:00:00"
    assert stamps(answer)[-1] == "2024-09-09 10:00:00"
    assert 1e6 < len(answer.content) < 2.5e6
    assert answer.headers["Content-Encoding"] == "gzip"


def test_gzip_only_when_accepted(sandbox):
    url = f"{sandbox.url}/v3/getStationHourlyAvg/{A}"
    plain = requests.get(url, params=DAY, headers={"Accept-Encoding": "identity"}, timeout=5)
    assert "Content-Encoding" not in plain.headers
    assert plain.json() == get(sandbox).json()


def test_the_clock_moves_on_and_shows_in_the_date_header(sandbox):
    assert parsedate_to_datetime(get(sandbox).headers["Date"]) == NOW
    partial = row_of(sandbox, "20240909-1000")
    sandbox.now = NOW + timedelta(hours=1)
    assert parsedate_to_datetime(get(sandbox).headers["Date"]) == NOW + timedelta(hours=1)
    assert row_of(sandbox, "20240909-1000")["PM2.5"] != partial["PM2.5"]
    assert row_of(sandbox, "20240909-1200") is None
    sandbox.now = None
    assert abs(sandbox.now - datetime.now(UTC)) < timedelta(seconds=5)


@pytest.mark.parametrize(
    ("window", "reason"),
    [
        ({"start_date": "2024-09-09"}, "YYYYmmdd-HHMM"),
        ({"end_date": "20240931-0000"}, "YYYYmmdd-HHMM"),
        ({"start_date": "20240909-0000", "end_date": "20240908-0000"}, "after"),
        ({"start_date": "00010101-0000"}, "before the year 2000"),
    ],
)
def test_bad_dates_are_400_and_say_why(sandbox, window, reason):
    answer = get(sandbox, **window)
    assert answer.status_code == 400
    assert reason in answer.json()["message"]


@pytest.mark.parametrize("station", ["SMART188", "-1", "1" * 30, "٣"])
def test_a_station_that_is_no_number_is_404(sandbox, station):
    answer = get(sandbox, station)
    assert answer.status_code == 404
    assert "not found" in answer.json()["message"]


def test_only_the_stations_named_are_known():
    with Sandbox(now=NOW, stations=[A]) as sandbox:
        assert get(sandbox, A).status_code == 200
        assert get(sandbox, B).status_code == 404
        listed = requests.get(f"{sandbox.url}/getStations/AQ54", timeout=5).json()
        assert [station["station_id"] for station in listed] == [A]


def test_other_addresses_are_404_in_json(sandbox):
    answer = requests.get(f"{sandbox.url}/getHourlyAvg/1", timeout=5)
    assert (answer.status_code, answer.json()) == (404, {"message": "Not Found"})


# --- signing in


def test_tokens_by_password_and_by_refresh():
    known = Account("client", "secret", "user", "password")
    with Sandbox(now=NOW, account=known, token_seconds=1) as sandbox:
        answer = get(sandbox)
        assert (answer.status_code, answer.text) == (401, "{}")
        assert get(sandbox, token="made-up").status_code == 401
        client = {"client_id": "client", "client_secret": "secret"}
        password = client | {"grant_type": "password", "username": "user", "password": "password"}
        first = requests.post(sandbox.token_url, data=password, timeout=5).json()
        assert first["expires_in"] == 1
        assert get(sandbox, token=first["access_token"]).status_code == 200
        time.sleep(1.05)
        assert get(sandbox, token=first["access_token"]).status_code == 401
        refresh = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
        second = requests.post(sandbox.token_url, data=refresh, auth=("client", "secret"), timeout=5).json()
        assert get(sandbox, token=second["access_token"]).status_code == 200
        assert sandbox.stats()["token_requests"] == 2


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_secret": "no"}, 401, "unauthorized_client"),
        ({"password": "no"}, 401, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "no"}, 400, "invalid_grant"),
        ({"grant_type": "implicit"}, 400, "unsupported_grant_type"),
        ({"grant_type": None}, 400, "invalid_request"),
    ],
)
def test_refusals_of_the_token_endpoint(sandbox, change, status, error):
    known = Account()
    form = {"grant_type": "password", "client_id": known.client_id, "client_secret": known.client_secret}
    form |= {"username": known.username, "password": known.password} | change
    answer = requests.post(sandbox.token_url, data=form, timeout=5)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.json()["error_description"]


def test_a_token_can_be_refused_before_its_time():
    known = Account()
    form = {"grant_type": "password", "client_id": known.client_id, "client_secret": known.client_secret}
    form |= {"username": known.username, "password": known.password}
    with Sandbox(now=NOW, account=known) as sandbox:
        old = requests.post(sandbox.token_url, data=form, timeout=5).json()["access_token"]
        sandbox.add_fault("token_expired")
        assert get(sandbox, token=old).status_code == 401
        assert get(sandbox, token=old).status_code == 401
        new = requests.post(sandbox.token_url, data=form, timeout=5).json()["access_token"]
        assert get(sandbox, token=new).status_code == 200


# --- faults


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("rate_limited", 429),
        ("server_error", 503),
        ("server_error_500", 500),
        ("unauthorized", 401),
        ("token_expired", 401),
        ("unknown_station", 404),
    ],
)
def test_faults_that_are_a_status(sandbox, kind, status):
    honest = get(sandbox).json()
    sandbox.add_fault(kind, times=1, seconds=7)
    answer = get(sandbox)
    assert answer.status_code == status
    assert isinstance(answer.json(), dict)
    assert answer.headers.get("Retry-After") == ("7" if kind == "rate_limited" else None)
    assert get(sandbox).json() == honest


def test_faults_of_the_body(sandbox):
    honest = get(sandbox).json()

    def under(kind: str) -> requests.Response:
        sandbox.add_fault(kind, times=1)
        answer = get(sandbox)
        assert answer.status_code == 200
        return answer

    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        under("malformed").json()
    assert "data" not in under("wrong_shape").json()
    assert under("html").headers["Content-Type"] == "text/html"
    assert under("empty").json() == {"header": honest["header"], "data": []}

    doubled = Counter(map(json.dumps, under("duplicate").json()["data"]))
    assert set(doubled) == {json.dumps(row) for row in honest["data"]}
    assert set(doubled.values()) == {1, 2}
    mixed = under("out_of_order").json()["data"]
    assert mixed != honest["data"]
    assert sorted(mixed, key=lambda row: row["timestamp"]) == honest["data"]
    future = under("future").json()["data"]
    assert future[:-3] == honest["data"]
    assert [row["timestamp"] for row in future[-3:]] == [f"2024-09-09 {hour}:00:00" for hour in (11, 12, 13)]
    assert get(sandbox).json() == honest


def test_a_cut_off_answer_breaks_the_connection(sandbox):
    sandbox.add_fault("cut_off", times=1)
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)):
        get(sandbox)
    assert get(sandbox).status_code == 200
    assert sandbox.stats()["data_requests"] == 2


def test_latency_delays_and_goes_with_another_fault(sandbox):
    sandbox.add_fault("latency", seconds=0.3)
    sandbox.add_fault("server_error")
    began = time.perf_counter()
    assert get(sandbox).status_code == 503
    assert time.perf_counter() - began >= 0.3
    sandbox.clear_faults()
    assert get(sandbox).status_code == 200


def test_latency_of_one_request_holds_up_no_other(sandbox):
    sandbox.add_fault("latency", station=A, seconds=5)
    with pytest.raises(requests.ReadTimeout):
        requests.get(f"{sandbox.url}/v3/getStationHourlyAvg/{A}", params=DAY, timeout=0.1)
    assert get(sandbox, B).elapsed < timedelta(seconds=2)


def test_a_fault_may_hit_one_station_only(sandbox):
    sandbox.add_fault("server_error", station=A)
    assert [get(sandbox, station).status_code for station in (A, B)] == [503, 200]


def test_draws_follow_the_seed_and_not_the_other_stations_requests():
    def statuses(seed: int, disturbed: bool) -> list[int]:
        with Sandbox(now=NOW, seed=seed) as sandbox:
            sandbox.add_fault("server_error", probability=0.3)
            found = []
            for _ in range(60):
                found.append(get(sandbox).status_code)
                if disturbed:
                    get(sandbox, B)
            return found

    one = statuses(1, disturbed=False)
    assert 5 < one.count(503) < 35
    assert statuses(1, disturbed=True) == one
    assert statuses(2, disturbed=False) != one


def test_faults_from_text():
    assert Fault.parse("html") == Fault("html")
    assert Fault.parse("latency:0.5:283181971:3:1.5") == Fault("latency", 0.5, "283181971", 3, 1.5)
    assert Fault.parse("latency::::4") == Fault("latency", seconds=4)
    for text in ("fire", "html:2", "html:much", "html:nan", "html:1:1:0", "latency:1:::-1", "html:1:1:1:1:1"):
        with pytest.raises(ValueError, match=r"fault|could not|invalid"):
            Fault.parse(text)


# --- late and revised rows made exactly


def test_overrides_hold_from_their_time_on(sandbox):
    hour = datetime(2024, 9, 3, 5, tzinfo=UTC)
    honest = row_of(sandbox, "20240903-0500")
    sandbox.override(A, hour, {"CO": 0.5}, since=NOW + timedelta(hours=30))
    sandbox.override(A, hour, None)
    sandbox.override(A, hour, {}, since=NOW + timedelta(hours=10))
    assert row_of(sandbox, "20240903-0500") is None
    assert len(stamps(get(sandbox, start_date="20240903-0400", end_date="20240903-0600"))) == 2
    sandbox.now = NOW + timedelta(hours=10)
    assert row_of(sandbox, "20240903-0500") == honest
    sandbox.now = NOW + timedelta(hours=30)
    assert row_of(sandbox, "20240903-0500") == honest | {"CO": 0.5}
    assert get(sandbox, B).json()["data"] == series.rows(
        B, datetime(2024, 9, 8, tzinfo=UTC), datetime(2024, 9, 8, 23, tzinfo=UTC), sandbox.now
    )


def test_overrides_make_rows_and_take_sensors_away(tmp_path):
    rows = [{"timestamp": "2024-09-08 01:00:00", "CO": 0.2, "RH": 80.0}]
    (tmp_path / "11.json").write_text(json.dumps({"header": {"station_name": "X"}, "data": rows}))
    with Sandbox(tmp_path, now=NOW) as sandbox:
        sandbox.override("11", datetime(2024, 9, 8, 0, tzinfo=UTC), {"PM2.5": 3.0})
        sandbox.override("11", datetime(2024, 9, 8, 1, tzinfo=UTC), {"RH": None})
        sandbox.override("11", datetime(2024, 9, 8, 2, tzinfo=UTC), {})
        assert get(sandbox, "11").json()["data"] == [
            {"timestamp": "2024-09-08 00:00:00", "PM2.5": 3.0},
            {"timestamp": "2024-09-08 01:00:00", "CO": 0.2},
        ]


# --- replayed answers


def test_replayed_answers_are_served_as_they_are(tmp_path):
    rows = [
        {"timestamp": f"2024-09-{day:02} {hour:02}:00:00", "CO": day + hour / 100}
        for day in (8, 9)
        for hour in range(24)
    ]
    (tmp_path / "11.json").write_text(json.dumps({"header": {"station_name": "X"}, "data": rows}))
    (tmp_path / "12.as-of-2024-09-08.json").write_text(json.dumps({"header": {}, "data": []}))
    with Sandbox(tmp_path, now=NOW) as sandbox:
        assert get(sandbox, "11").json() == {"header": {"station_name": "X"}, "data": rows[:24]}
        assert get(sandbox, "11", start_date="20240908-2200").json()["data"] == rows[22 : 24 + 11]
        assert get(sandbox, "12").status_code == 404
        assert get(sandbox, A).status_code == 404


# --- counting and control


def test_requests_are_counted(sandbox):
    get(sandbox, A)
    get(sandbox, A, start_date="nonsense")
    get(sandbox, "x")
    requests.get(f"{sandbox.url}/getStations/AQ54", timeout=5)
    stats = requests.get(f"{sandbox.url}/__stats", timeout=5).json()
    assert stats == sandbox.stats()
    assert stats["data_requests"] == 3
    assert stats["by_station"] == {A: 2, "x": 1}
    assert stats["by_status"] == {"200": 1, "400": 1, "404": 1}
    assert stats["windows"][0] == {
        "station": A,
        "start": "2024-09-08T00:00:00+00:00",
        "stop": "2024-09-08T23:00:00+00:00",
        "status": 200,
        "rows": len(get(sandbox, A).json()["data"]),
        "faults": [],
    }
    assert requests.post(f"{sandbox.url}/__reset", timeout=5).status_code == 200
    assert sandbox.stats()["data_requests"] == 0


def test_control_over_http(sandbox):
    def post(what: str, body: object) -> int:
        return requests.post(f"{sandbox.url}/__{what}", json=body, timeout=5).status_code

    assert post("now", {"now": "2024-09-10T00:00:00Z"}) == 200
    assert sandbox.now == datetime(2024, 9, 10, tzinfo=UTC)
    assert post("faults", {"kind": "empty", "station": A}) == 200
    assert get(sandbox).json()["data"] == []
    assert requests.delete(f"{sandbox.url}/__faults", timeout=5).status_code == 200
    assert get(sandbox).json()["data"]
    change = {"station": A, "hour": "2024-09-03T05:00", "values": {"CO": 9.0}, "from": "2024-09-09T00:00"}
    assert post("override", change) == 200
    assert row_of(sandbox, "20240903-0500")["CO"] == 9.0
    assert post("now", {"now": None}) == 200
    assert abs(sandbox.now - datetime.now(UTC)) < timedelta(seconds=5)


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("faults", {"kind": "fire"}),
        ("faults", []),
        ("now", {"now": "soon"}),
        ("now", {}),
        ("override", {"station": A}),
        ("override", {"station": A, "hour": "2024-09-09", "values": 5}),
    ],
)
def test_control_refuses_nonsense(sandbox, what, body):
    answer = requests.post(f"{sandbox.url}/__{what}", json=body, timeout=5)
    assert answer.status_code == 400
    assert answer.json()["message"]


# --- the command line


def command(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tasks.cli", "sandbox", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_interrupted(number):
    options = ["--port", "0", "--now", "2024-09-09T10:30", "--fault", f"server_error:1:{B}", "--log-requests"]
    with command(*options) as process:
        url = process.stdout.readline().split()[-1]
        answers = [requests.get(f"{url}/v3/getStationHourlyAvg/{s}", params=DAY, timeout=5) for s in (A, B)]
        process.send_signal(number)
        out, err = process.communicate(timeout=5)
    assert [answer.status_code for answer in answers] == [200, 503]
    assert (process.returncode, err) == (0, "")
    assert [line.split()[:2] for line in out.splitlines()] == [["2024-09-09T10:30:00Z", A], ["2024-09-09T10:30:00Z", B]]


def test_wrong_arguments_give_one_line_and_exit_code_2(sandbox, tmp_path):
    wrong = {
        "cannot be used": ["--port", sandbox.url.rsplit(":", 1)[1]],
        "does not exist": ["--port", "0", "--replay", str(tmp_path / "none")],
        "holds no <station>.json": ["--port", "0", "--replay", str(tmp_path)],
        "known are latency": ["--fault", "fire"],
        "Invalid isoformat": ["--now", "soon"],
    }
    for reason, process in [(reason, command(*arguments)) for reason, arguments in wrong.items()]:
        with process:
            out, err = process.communicate(timeout=10)
        assert (process.returncode, out) == (2, "")
        assert reason in err.splitlines()[-1]
        assert "Traceback" not in err
        assert reason.startswith(("known", "Invalid")) or len(err.splitlines()) == 1


def test_help_names_every_fault():
    with command("--help") as process:
        out, _ = process.communicate(timeout=10)
    assert all(kind in out for kind in KINDS)


def test_a_station_is_renamed_and_moved_from_some_time_on(sandbox):
    later = NOW + timedelta(hours=1)
    sandbox.present(A, {"station_name": "SMART900"}, since=later)
    sandbox.present(A, {"station_lat": 5.5}, since=later + timedelta(hours=1))
    assert get(sandbox).json()["header"] == series.header(A)
    sandbox.now = later
    assert get(sandbox).json()["header"] == series.header(A) | {"station_name": "SMART900"}
    sandbox.now += timedelta(hours=1)
    expected = series.header(A) | {"station_name": "SMART900", "station_lat": 5.5}
    assert get(sandbox).json()["header"] == expected
    assert get(sandbox, B).json()["header"] == series.header(B)
    listed = requests.get(f"{sandbox.url}/getStations/AQ54", timeout=5).json()
    assert [(of["station_name"], of["latitude"]) for of in listed if of["station_id"] == A] == [("SMART900", 5.5)]
