"""airqino stations: the list beside what is configured, and a new station written into luigi.cfg."""

import json
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.configured import Configured
from support.hostile import http, serving, talking

from airqino.readings import READINGS
from airqino.sandbox import series
from airqino.sandbox.habits import Habits
from airqino.sandbox.server import Sandbox
from tasks.cli.main import main
from tasks.settings.reading import settings

A, B = series.DEFAULT_STATIONS
NOW = datetime(2024, 9, 9, 10, 30, tzinfo=UTC)
CFG = "[airqino]\nstations = 283181971\n\n[stations.283181971]\nname = Port\ntime_zone = Africa/Abidjan\n"
NOTES = "# as the API says; correct it and take the # away:\n# it has not sent a reading lately\n"


def listed(capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[str, str]]:
    assert main(["stations", "--json"]) == 0
    stations = json.loads(capsys.readouterr().out)["stations"]
    return {station["station"]: (station["state"], station["name"]) for station in stations}


def test_what_is_listed_beside_what_is_configured(configure: Configured, capsys: pytest.CaptureFixture[str]) -> None:
    configure(CFG, AIRQINO_STATIONS=f"{A},42")
    assert listed(capsys) == {A: ("configured", "SMART189"), B: ("new", "SMART188"), "42": ("gone", "42")}
    assert main(["stations"]) == 0
    assert "Project AQ54" in capsys.readouterr().out
    configure(CFG, AIRQINO_STATIONS=f"{A},42", AIRQINO_PROJECT="Port [1]/2")  # the sandbox takes any, without a slash
    assert main(["stations"]) == 0
    shown = capsys.readouterr().out
    assert "Project Port [1]/2" in shown
    assert "5.3693, 0.0500" in shown  # of SMART188, as wrong as the API has it
    assert f"sensors that the API lists: {', '.join(reading.key for reading in READINGS)}\n" in shown
    assert shown.endswith("to configure a new one: scripts/stations --add ID\n")


def test_a_station_is_added_by_its_name_and_used(
    configure: Configured, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox.now = NOW
    path = configure(CFG, AIRQINO_NOW="2024-09-09T10:30")
    assert main(["stations", "--add", "SMART188"]) == 0
    first = series.rows(B, NOW.replace(year=2023, hour=9, minute=0, day=10), NOW, NOW)[0]["timestamp"]
    (asked,) = sandbox.stats()["windows"]
    assert (asked["station"], asked["start"][:13]) == (B, "2023-09-10T08")
    shown = capsys.readouterr().out
    assert f"scripts/backfill {first[:10]}T{first[11:13]} 2024-09-09T09" in shown
    assert path.read_text() == CFG.replace("= 283181971", f"= {A},{B}") + (
        f"\n[stations.{B}]\nname = SMART188\ntime_zone = Africa/Abidjan\n"
        "# as the API says; correct it and take the # away:\n"
        f"# latitude = 5.369346\n# longitude = 0.050000\n# valid_from = {first[:10]}T{first[11:13]}\n"
    )
    configure(path.read_text())
    assert settings().airqino.stations == (A, B)
    assert settings().station(B).name == "SMART188"
    assert main(["stations", "--add", B]) == 0
    assert capsys.readouterr().out == f"{B} (SMART188) is configured already\n"


def test_it_begins_an_airqino_cfg_beside_the_settings_of_the_package(
    configure: Configured, sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the folder of the operator's settings; the file that the package brings stays as it is."""
    sandbox.now, folder = NOW, tmp_path / "etc"
    folder.mkdir()
    path = configure(CFG, AIRQINO_NOW="2024-09-09T10:30", AIRQINO_CONFIG_DIR=f"{folder}", LUIGI_CONFIG_PATH="")
    assert main(["stations", "--add", B]) == 0
    made = folder / "airqino.cfg"
    assert f"{made} has now:" in capsys.readouterr().out
    assert made.read_text().startswith(f"[airqino]\nstations = {A},{B}\n\n[stations.{B}]\nname = SMART188\n")
    assert made.stat().st_mode & 0o777 == 0o640
    assert path.read_text() == CFG


def test_an_api_that_refuses_a_year_is_asked_for_less(configure: Configured, sandbox: Sandbox) -> None:
    sandbox.now, sandbox.habits = NOW, Habits(longest=40)
    path = configure(CFG, AIRQINO_NOW="2024-09-09T10:30")
    assert main(["stations", "--add", B]) == 0
    assert [window["status"] for window in sandbox.stats()["windows"]] == [400, 200]
    first = series.rows(B, NOW.replace(month=8, hour=9, minute=0), NOW, NOW)[0]["timestamp"]
    assert f"# valid_from = {first[:10]}T{first[11:13]}\n" in path.read_text()


def test_stations_of_the_environment_are_told_and_the_list_in_the_file_stays(
    configure: Configured, capsys: pytest.CaptureFixture[str]
) -> None:
    path = configure(CFG, AIRQINO_STATIONS=A)
    assert main(["stations", "--add", B]) == 0
    assert f"AIRQINO_STATIONS is set and wins over luigi.cfg. Set it to {A},{B}\n" in capsys.readouterr().out
    assert path.read_text().startswith(CFG + f"\n[stations.{B}]\n")


@pytest.mark.parametrize(
    ("arguments", "env", "code", "told"),
    [
        (["--add", "SMART7"], {}, 2, f"project AQ54 lists no such station; there are {B} (SMART188), {A}"),
        (["--add", B], {"LUIGI_CONFIG_PATH": "", "AIRQINO_CONFIG_DIR": "/no"}, 2, "there is no folder /no for airqino"),
        ([], {"AIRQINO_BASE_URL": "http://127.0.0.1:9"}, 30, "no connection"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    configure: Configured,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    env: dict[str, str],
    code: int,
    told: str,
) -> None:
    path = configure(CFG.replace("[airqino]", "[airqino]\nretries = 0"), **env)
    before = path.read_text()
    assert main(["stations", *arguments]) == code
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert told in errors
    assert path.read_text() == before


@pytest.mark.parametrize(
    ("status", "body", "code", "told"),
    [
        ("404 Not Found", b'{"message": "no"}', 2, "the API does not know project Ab/idjan: correct AIRQINO_PROJECT"),
        ("200 OK", b"<html>", 30, "not JSON"),
        ("200 OK", b'{"message": "the project is closed"}', 30, "the project is closed"),
        ("200 OK", b"7", 30, "another shape"),
    ],
)
def test_a_listing_that_cannot_be_read(
    configure: Configured, capsys: pytest.CaptureFixture[str], status: str, body: bytes, code: int, told: str
) -> None:
    with serving(http(body, status)) as url:
        configure(CFG.replace("[airqino]", "[airqino]\nretries = 0"), AIRQINO_BASE_URL=url, AIRQINO_PROJECT="Ab/idjan")
        assert main(["stations"]) == code
    assert told in capsys.readouterr().err


def test_a_listing_without_ids(configure: Configured, capsys: pytest.CaptureFixture[str]) -> None:
    """As public clients show it: a name and coordinates."""
    body = json.dumps([{"station_name": "Port", "latitude": 5.3, "longitude": -4.0}, {"station_name": "New"}, 7])
    with serving(http(body.encode())) as url:
        configure(CFG, AIRQINO_BASE_URL=url)
        assert listed(capsys) == {A: ("configured", "Port"), "": ("new", "New")}
        assert main(["stations"]) == 0
        assert "1 rows of the listing name no station" in capsys.readouterr().out
        assert main(["stations", "--add", "New"]) == 2
    assert "the API lists it without its id" in capsys.readouterr().err


def test_a_name_that_luigi_would_not_take_as_it_is_stays_out(
    configure: Configured, capsys: pytest.CaptureFixture[str]
) -> None:
    listing = json.dumps([{"station_id": 5, "station_name": "100% ${AIRQINO_PASSWORD}"}]).encode()

    def talk(connection: socket.socket, request: bytes) -> None:
        connection.sendall(http(listing if b"/getStations/" in request else b'{"header": {}, "data": []}'))

    with talking(talk) as url:
        path = configure(CFG, AIRQINO_BASE_URL=url)
        assert main(["stations", "--add", "5"]) == 0
    text = path.read_text()
    assert text.endswith("\n[stations.5]\ntime_zone = Africa/Abidjan\n" + NOTES)
    assert "PASSWORD" not in text
