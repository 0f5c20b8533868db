"""Each habit of the sandbox, over real HTTP, and the addresses that list what there is."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from statistics import fmean

import pytest
import requests

from airqino.errors import ConfigError
from airqino.readings import READINGS
from airqino.sandbox import series
from airqino.sandbox.habits import KINDS, Habits
from airqino.sandbox.server import Account, Sandbox
from tasks.cli.sandbox import main as command

A = "283164601"  # hardly ever off
NOW = datetime(2024, 9, 9, 10, 30, tzinfo=UTC)
WINDOW = {"start_date": "20240909-0600", "end_date": "20240909-2300"}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(now=NOW) as running:
        yield running


def get(sandbox: Sandbox, *habits: str, station: str = A, **window: str) -> requests.Response:
    sandbox.habits = Habits.parse(habits)
    return requests.get(f"{sandbox.url}/v3/getStationHourlyAvg/{station}", params=window or WINDOW, timeout=5)


def stamps(reply: requests.Response) -> list[str]:
    return [row["timestamp"][8:16] for row in reply.json()["data"]]


HOURS = [f"09 {hour:02}:00" for hour in range(6, 11)]


@pytest.mark.parametrize(
    ("habits", "shown"),
    [
        ((), HOURS),
        (("start_exclusive",), HOURS[1:]),
        (("no_running_hour",), HOURS[:-1]),
        (("oldest:2",), HOURS[:2]),
        (("newest:2",), HOURS[-2:]),
        (("hour_by_end",), [*HOURS, "09 11:00"]),
        (("hour_by_end", "no_running_hour"), HOURS),
        (("zone:-2",), ["09 06:00", "09 07:00", "09 08:00"]),
        (("zone:5.5",), [f"09 {hour:02}:30" for hour in range(6, 16)]),
    ],
)
def test_rows_that_come(sandbox: Sandbox, habits: tuple[str, ...], shown: list[str]) -> None:
    assert stamps(get(sandbox, *habits)) == shown


def test_a_row_is_the_same_reading_whatever_it_is_called(sandbox: Sandbox) -> None:
    honest, other = get(sandbox).json()["data"], get(sandbox, "zone:2").json()["data"]
    assert other[2] == honest[0] | {"timestamp": "2024-09-09 08:00:00"}
    assert other[-1] == honest[-1] | {"timestamp": "2024-09-09 12:00:00"}


def test_the_ends_of_a_span(sandbox: Sandbox) -> None:
    window = {"start_date": "20240909-0600", "end_date": "20240909-0900"}
    assert stamps(get(sandbox, "end_exclusive", **window)) == HOURS[:3]
    assert stamps(get(sandbox, "start_exclusive", "end_exclusive", "zone:1", **window)) == HOURS[1:3]


def test_dates_that_are_ignored_bring_a_year(sandbox: Sandbox) -> None:
    shown = [row["timestamp"] for row in get(sandbox, "dates_ignored").json()["data"]]
    assert (shown[0], shown[-1]) == ("2023-09-10 11:00:00", "2024-09-09 10:00:00")


@pytest.mark.parametrize(
    ("habits", "window", "status"),
    [
        (("longest:10",), {"start_date": "20240830-0000", "end_date": "20240909-0001"}, 400),
        (("longest:10",), {"start_date": "20240830-0000", "end_date": "20240909-0000"}, 200),
        (("no_future",), WINDOW, 400),
        (("no_future",), {"end_date": "20240909-1030", "start_date": "20240909-0000"}, 200),
        (("no_rows:204",), {"start_date": "20240910-0000"} | {"end_date": "20240911-0000"}, 204),
        (("no_rows:404",), {"start_date": "20240910-0000", "end_date": "20240911-0000"}, 404),
        (("no_rows:404",), WINDOW, 200),
    ],
)
def test_statuses(sandbox: Sandbox, habits: tuple[str, ...], window: dict[str, str], status: int) -> None:
    assert get(sandbox, *habits, **window).status_code == status


@pytest.mark.parametrize(
    ("habits", "status"), [((), 404), (("unknown_station:200",), 200), (("unknown_station:400",), 400)]
)
def test_a_station_that_there_is_not(sandbox: Sandbox, habits: tuple[str, ...], status: int) -> None:
    answer = get(sandbox, *habits, station="0")
    assert answer.status_code == status
    assert status != 200 or answer.json() == {"header": {}, "data": []}


@pytest.mark.parametrize("text", ["slow", "end_exclusive:1", "zone", "zone:east", "oldest:1.5", ""])
def test_what_is_no_habit(text: str) -> None:
    with pytest.raises(ValueError, match="habit"):
        Habits.parse([text])


def test_every_kind_can_be_written() -> None:
    numbers = {"oldest", "newest", "longest", "zone", "no_rows", "unknown_station"}
    habits = Habits.parse([f"{kind}:7" if kind in numbers else kind for kind in KINDS])
    assert [getattr(habits, kind) for kind in KINDS] == [7 if kind in numbers else True for kind in KINDS]


# --- what there is


def test_the_listing_has_what_public_clients_read(sandbox: Sandbox) -> None:
    listed = requests.get(f"{sandbox.url}/getStations/AQ54", timeout=5).json()
    assert [station["station_name"] for station in listed] == ["SMART188", "SMART189"]
    assert listed[0]["latitude"] == series.header(A)["station_lat"]


def test_sensors_are_those_of_the_rows(sandbox: Sandbox) -> None:
    listed = {sensor["sensor_name"] for sensor in requests.get(f"{sandbox.url}/getSensors", timeout=5).json()}
    row = get(sandbox).json()["data"][0]
    assert listed == {reading.key for reading in READINGS} == row.keys() - {"timestamp"}


def test_raw_rows_have_the_hourly_means_as_their_means_in_utc(sandbox: Sandbox) -> None:
    hourly = {row["timestamp"][:13]: row for row in get(sandbox, "zone:3").json()["data"]}
    raw = requests.get(f"{sandbox.url}/getRange/SMART188/2024-09-09/2024-09-09", timeout=5).json()["raw_data"]
    hours = {row["utc_timestamp"][:13] for row in raw}
    assert hours == {f"2024-09-09 {hour:02}" for hour in range(11)}
    sent = [row["PM2.5"] for row in raw if row["utc_timestamp"].startswith("2024-09-09 05")]
    assert len(sent) == 6
    assert fmean(sent) == pytest.approx(hourly["2024-09-09 08"]["PM2.5"])
    assert max(datetime.fromisoformat(row["utc_timestamp"]) for row in raw) <= NOW.replace(tzinfo=None)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("SMART7/2024-09-09/2024-09-09", 404),
        ("SMART188/yesterday/2024-09-09", 400),
        ("SMART188/2024-08-01/2024-09-09", 400),
    ],
)
def test_refusals_of_raw_rows(sandbox: Sandbox, path: str, status: int) -> None:
    assert requests.get(f"{sandbox.url}/getRange/{path}", timeout=5).status_code == status


def test_the_lists_want_a_token_too() -> None:
    with Sandbox(now=NOW, account=Account()) as sandbox:
        for path in ("getStations/AQ54", "getSensors", "getRange/SMART188/2024-09-09/2024-09-09"):
            assert requests.get(f"{sandbox.url}/{path}", timeout=5).status_code == 401


def test_replayed_rows_have_habits_too(tmp_path) -> None:
    rows = [{"timestamp": f"{datetime(2024, 9, 8) + timedelta(hours=n)}", "CO": float(n)} for n in range(34)]
    (tmp_path / "11.json").write_text(json.dumps({"header": {"station_name": "X"}, "data": rows}))
    with Sandbox(tmp_path, now=NOW) as sandbox:
        answer = get(sandbox, "hour_by_end", "oldest:2", station="11").json()
    assert answer["data"] == [{"timestamp": f"2024-09-09 0{hour}:00:00", "CO": 23.0 + hour} for hour in (6, 7)]


def test_the_command_names_every_habit_and_refuses_others(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        command(["--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert all(f"  {kind} " in shown for kind in KINDS)
    with pytest.raises(ConfigError, match=r"^habit 'slow' is unknown; known are start_exclusive,"):
        command(["--habit", "slow"])
