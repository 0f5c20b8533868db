"""Settings from a luigi.cfg and the environment: what they become, and what a wrong one is told."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from luigi.configuration import LuigiConfigParser

from airqino.errors import ConfigError
from tasks.logs import log_path
from tasks.settings import reading, sections
from tasks.settings.sections import AirQino

ROOT = Path(__file__).resolve().parents[2]
AT = datetime(2024, 9, 9, 10, tzinfo=UTC)


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Read the settings of a luigi.cfg as a process started beside it does."""
    for variable in sections.ENVIRONMENT:
        monkeypatch.delenv(variable, raising=False)

    def settings(text: str = "", **environment: str) -> reading.Settings:
        (tmp_path / "luigi.cfg").write_text(text)
        monkeypatch.setattr(LuigiConfigParser, "_instance", None)
        monkeypatch.setattr(LuigiConfigParser, "_config_paths", [str(tmp_path / "luigi.cfg")])
        for variable, value in environment.items():
            monkeypatch.setenv(variable, value)
        return reading.settings.__wrapped__()

    return settings


def error_of(read, text="", **environment) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text, **environment)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def run(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Check the settings in a process of its own, as the commands do, in a folder with a luigi.cfg."""
    code = (
        "import sys; from tasks.cli.main import run; from tasks.settings.reading import settings\n"
        "def work():\n"
        "    read = settings(); print(read.airqino.retries, read.mongo.uri, read.now.isoformat()); return 0\n"
        "sys.exit(run(work))"
    )
    kept = {k: v for k, v in os.environ.items() if k not in sections.ENVIRONMENT}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=kept | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


# --- values


@pytest.mark.parametrize(
    ("stations", "most", "days"),
    [(2, 31, 31), (2, 366, 366), (300, 31, 31), (600, 31, 17), (10_000, 31, 1), (300, 1, 1), (99_999, 31, 1)],
)
def test_of_a_large_network_fewer_days_are_asked_for_at_a_time(stations: int, most: int, days: int) -> None:
    names = tuple(f"{900_000_000 + n}" for n in range(stations))
    assert AirQino(stations=names, max_days_per_request=most).request_days == days


def test_without_a_file_every_option_has_its_default(read):
    got = read()
    assert got.airqino == sections.AirQino()
    assert (got.staging, got.quality, got.mongo) == (sections.Staging(), sections.Quality(), sections.Mongo())
    assert (got.forecast, got.status, got.stations) == (sections.Forecasting(), sections.Status(), {})
    assert abs(got.now - datetime.now(UTC)) < timedelta(seconds=30)


def test_the_file_that_is_shipped_says_what_the_defaults_say(read):
    got = read((ROOT / "luigi.cfg").read_text())
    token_url = "https://airqino-auth.magentalab.it/realms/airqino/protocol/openid-connect/token"
    assert got.airqino == sections.AirQino(token_url=token_url)
    assert (got.quality, got.mongo, got.forecast) == (sections.Quality(), sections.Mongo(), sections.Forecasting())
    assert got.stations.keys() == set(got.airqino.stations)


def test_values_are_read_with_their_types(read):
    got = read(
        "[airqino]\nstations = 1, 22 ,333\nretries = 0\nread_timeout_seconds = 2.5\nretry_pauses_hours = 0.5,1\n"
        "[quality]\nvalid_share = 1\n[forecast]\nhorizons = 1, 2,23\n"
    )
    assert got.airqino.stations == ("1", "22", "333")
    assert (got.airqino.retries, got.airqino.read_timeout_seconds) == (0, 2.5)
    assert got.airqino.retry_pauses_hours == (0.5, 1)
    assert got.quality.valid_share == 1
    assert got.forecast.horizons == (1, 2, 23)


def test_an_empty_option_means_its_default(read):
    assert read("[airqino]\nretries =\nnow =\nbase_url =   \n").airqino == sections.AirQino()


# --- wrong values

WRONG = [
    ("airqino", "base_url", "airqino.example", "a URL that begins with http:// or https://"),
    ("airqino", "stations", "SMART189", "numeric station ids, comma-separated"),
    ("airqino", "stations", ",", "numeric station ids, comma-separated"),
    ("airqino", "connect_timeout_seconds", "0", "a number of seconds above 0, at most 3600"),
    ("airqino", "read_timeout_seconds", "nan", "a number of seconds above 0, at most 3600"),
    ("airqino", "retries", "2.5", "a whole number from 0 to 10"),
    ("airqino", "retries", "-1", "a whole number from 0 to 10"),
    ("airqino", "concurrency", "65", "a whole number from 1 to 64"),
    ("airqino", "token_url", "auth.example", "empty, or an http(s) URL"),
    ("airqino", "retry_pauses_hours", "1,soon", "growing pauses in hours, comma-separated"),
    ("airqino", "retry_pauses_hours", "1,0", "growing pauses in hours, comma-separated"),
    ("airqino", "reread_after_hours", "23", "a whole number from 24 to 48"),
    ("airqino", "reread_after_hours", "49", "a whole number from 24 to 48"),
    ("airqino", "now", "yesterday", "empty, or a moment such as 2024-07-01T00:05 (UTC)"),
    ("quality", "stuck_hours", "1", "a whole number from 2 to 24"),
    ("quality", "dead_share", "1.01", "a number above 0, at most 1"),
    ("quality", "valid_share", "0", "a number above 0, at most 1"),
    *(
        ("mongo", "database", name, "letters, digits, _ and -, at most 63; not admin, config or local")
        for name in ("air.quality", "admin", "Local")
    ),
    ("airqino", "stations", "../1", "numeric station ids, comma-separated"),
    ("mongo", "timeout_seconds", "soon", "a number of seconds above 0, at most 3600"),
    *(("forecast", "horizons", hours, "hours from 1 to 23, comma-separated") for hours in ("0,1", "1,2,24", "1,soon")),
    ("forecast", "train_days", "0", "a whole number from 1 to 1000"),
    ("forecast", "threads", "many", "a whole number from 1 to 64"),
    *(
        ("compute", "scheduler", address, "empty (this host), or a Dask scheduler such as tcp://dask-scheduler:8786")
        for address in ("dask-scheduler:8786", "tcp://dask-scheduler", "http://dask:8786")
    ),
    ("status", "max_age_hours", "0", "a whole number of hours from 1 to 10000"),
    ("stations.1", "latitude", "91", "degrees, -90 to 90"),
    ("stations.1", "longitude", "east", "degrees, -180 to 180"),
    ("stations.1", "time_zone", "Africa/Abijan", "a time zone name such as Africa/Abidjan"),
    ("stations.1", "time_zone", "../UTC", "a time zone name such as Africa/Abidjan"),
    ("stations.1", "time_zone", "Africa", "a time zone name such as Africa/Abidjan"),
    ("stations.1", "correction", "hackair", "none or kappa"),
]


@pytest.mark.parametrize(("section", "option", "value", "allowed"), WRONG)
def test_a_wrong_value_is_told_with_section_option_value_and_what_is_allowed(read, section, option, value, allowed):
    message = error_of(read, f"[{section}]\n{option} = {value}\n")
    assert message == f"luigi.cfg [{section}] {option} = {value!r}: allowed is {allowed}"


@pytest.mark.parametrize("id_", ["../../victim", "SMART189", "1/2", "1" * 19, ""])
def test_a_section_of_a_station_bears_its_id(read, id_):
    message = error_of(read, f"[stations.{id_}]\nname = mine\n")
    assert message == f"luigi.cfg [stations.{id_}]: {id_!r} is no station's id: that is a number of at most 18 digits"


@pytest.mark.parametrize("hours", ["2, 1", "1, 3", "6, 12", "1, 2, 2"])
def test_horizons_grow_and_begin_with_those_that_are_always_published(read, hours):
    message = error_of(read, f"[forecast]\nhorizons = {hours}\n")
    assert message == f"luigi.cfg [forecast] horizons = {hours}: they must grow, and 1 to 2 must be among them"


@pytest.mark.parametrize("option", ["valid_from", "valid_to"])
def test_a_wrong_hour_of_service_is_told_with_an_example(read, option):
    message = error_of(read, f"[stations.1]\n{option} = 2024-09-31T00\n")
    assert message.startswith(f"luigi.cfg [stations.1] {option}: '2024-09-31T00' is not an hour: write it as")


@pytest.mark.parametrize("section", ["airqino", "staging", "quality", "mongo", "forecast", "status", "stations.1"])
def test_an_unknown_option_is_told_with_those_that_there_are(read, section):
    message = error_of(read, f"[{section}]\nretrys = 3\n")
    assert message.startswith(f"luigi.cfg [{section}] retrys: no such option; there are ")
    struct = sections.Station if section == "stations.1" else getattr(read(), section).__class__
    assert message.split("there are ")[1].split(", ") == sorted(struct.__struct_fields__)


def test_a_secret_is_hidden_where_its_value_is_wrong(read):
    message = error_of(read, "[mongo]\nuri = postgres://user:S3cret@host/db\n")
    assert message == "luigi.cfg [mongo] uri = (hidden): allowed is mongodb:// or mongodb+srv://"
    message = error_of(read, MONGODB_URI="S3cret and more")
    assert message == "MONGODB_URI ([mongo] uri) = (hidden): allowed is mongodb:// or mongodb+srv://"


@pytest.mark.parametrize("missing", ["password", "client_id", "token_url"])
def test_a_user_name_needs_the_rest_of_the_credentials(read, missing):
    of = {"username": "u", "password": "S3cret", "client_id": "c", "token_url": "https://auth.example/token"}
    text = "[airqino]\n" + "".join(f"{k} = {v}\n" for k, v in of.items() if k != missing)
    message = error_of(read, text)
    assert message.startswith("[airqino] username is set")
    assert f"AIRQINO_{missing.upper()}" in message
    assert "S3cret" not in message
    assert read(text + f"{missing} = {of[missing]}\n").airqino.password == "S3cret"


# --- the environment


@pytest.mark.parametrize(
    ("variable", "in_file", "in_environment"),
    [
        ("AIRQINO_BASE_URL", "http://file", "http://127.0.0.1:8765"),
        ("AIRQINO_STATIONS", "7", "42"),
        ("AIRQINO_CLIENT_ID", "file", "x"),
        ("AIRQINO_CLIENT_SECRET", "file", "x"),
        ("AIRQINO_PASSWORD", "file", "x%40y"),
        ("AIRQINO_TOKEN_URL", "https://file/t", "https://auth.example/t"),
        ("AIRQINO_NOW", "2020-01-01T00:00", "2024-07-01T00:05"),
        ("STAGING_ROOT", "file", "/data"),
        ("MONGODB_URI", "mongodb://file", "mongodb://u:x%40y@host"),
        ("MONGODB_DATABASE", "file", "other"),
        ("DASK_SCHEDULER_ADDRESS", "tcp://file:8786", "tls://dask:8786"),
    ],
)
def test_the_environment_wins_over_the_file_and_an_empty_variable_does_not(read, variable, in_file, in_environment):
    section, option = sections.ENVIRONMENT[variable].section, sections.ENVIRONMENT[variable].name
    text = f"[{section}]\n{option} = {in_file}\n"
    for value, expected in (("", in_file), (in_environment, in_environment)):
        got = getattr(getattr(read(text, **{variable: value}), section), option)
        assert got == ((expected,) if option == "stations" else expected)


def test_a_wrong_variable_is_named_with_the_option_it_stands_for(read):
    message = error_of(read, "[airqino]\nstations = 1\n", AIRQINO_STATIONS="SMART189")
    assert message.startswith("AIRQINO_STATIONS ([airqino] stations) = 'SMART189': allowed is numeric station ids")


def test_a_scheduler_without_the_extra_is_told_with_its_name(read, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    address = "tcp://dask:8786"
    assert "run scripts/install dask" in error_of(read, DASK_SCHEDULER_ADDRESS=address)
    assert read(DASK_SCHEDULER_ADDRESS="").compute.scheduler == ""


def test_a_user_name_from_the_environment_needs_the_rest_too(read):
    assert "AIRQINO_PASSWORD" in error_of(read, AIRQINO_USERNAME="u", AIRQINO_CLIENT_ID="c")


def test_blanks_around_the_staging_root_lead_to_one_place(read, monkeypatch, tmp_path):
    root = tmp_path / "data"
    got = read(STAGING_ROOT=f" {root} ")
    assert got.staging.root == f"{root}"
    assert reading.staging_root() == root
    assert log_path().parent == root / "logs"
    monkeypatch.delenv("STAGING_ROOT")
    read(f"[staging]\nroot =  {root}/file \n")
    assert reading.staging_root() == root / "file"


def test_the_environment_wins_even_over_a_text_that_cannot_be_read(read):
    assert read("[mongo]\nuri = mongodb://u:100%@h\n", MONGODB_URI="mongodb://h").mongo.uri == "mongodb://h"


def test_every_option_with_a_variable_or_a_secret_is_found_by_its_marks():
    """Written out by hand: a secret that loses its mark would be shown."""
    secret = {f"{o.section}.{o.name}" for o in sections.OPTIONS if o.secret}
    assert secret == {
        "airqino.client_secret",
        "airqino.password",
        "mongo.uri",
        "forecast.tracking_uri",
        "alerts.urls",
        "alerts.heartbeat_url",
        "metrics.pushgateway_url",
        "smtp.password",
        "sendgrid.apikey",
    }
    text = (ROOT / "luigi.cfg").read_text()
    named = {name for line in re.findall(r"\[([A-Z_0-9, ]+)\]$", text, re.MULTILINE) for name in line.split(", ")}
    assert named == sections.ENVIRONMENT.keys()


# --- stations


def test_what_the_operator_says_of_a_station(read):
    got = read(
        "[airqino]\nstations = 1,2,3\n"
        "[stations.1]\nname = Port\nlatitude = 5.3\nlongitude = -3.96\ntime_zone = Africa/Abidjan\n"
        "[stations.2]\ntime_zone = Asia/Kolkata\nvalid_from = 2024-09-09T10\nvalid_to = 2024-09-09T12\n"
    )
    assert got.station("1") == sections.Station(name="Port", latitude=5.3, longitude=-3.96, time_zone="Africa/Abidjan")
    assert got.station("3") == sections.Station()
    assert [got.zone(station) for station in "123"] == ["Africa/Abidjan", "Asia/Kolkata", "UTC"]
    in_service = [[s for s in got.active_stations(AT + timedelta(hours=h)) if s == "2"] for h in (-1, 0, 2, 3)]
    assert in_service == [[], ["2"], ["2"], []]
    assert got.active_stations(AT) == ["1", "2", "3"]


# --- now


@pytest.mark.parametrize(
    ("now", "delay", "last"),
    [
        ("2024-07-01T00:05", 2, "2024-06-30T23"),
        ("2024-07-01T00:02", 2, "2024-06-30T23"),
        ("2024-07-01T00:01:59", 2, "2024-06-30T22"),
        ("2024-03-01 00:30:00", 45, "2024-02-29T22"),
        ("2024-07-01T00:00", 0, "2024-06-30T23"),
    ],
)
def test_the_last_hour_is_over_and_published(read, now, delay, last):
    got = read(f"[airqino]\nnow = {now}\npublish_delay_minutes = {delay}\n")
    assert got.now == datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert got.last_hour == datetime.fromisoformat(f"{last}:00+00:00")


@pytest.mark.parametrize("now", ["2024-13-01T00:05", "2023-02-29T00:05", "2024-07-01T24:05"])
def test_a_moment_that_does_not_exist_is_told(read, now):
    assert error_of(read, AIRQINO_NOW=now).startswith(f"AIRQINO_NOW ([airqino] now) = {now!r}: allowed is")


# --- a process of its own


def test_a_process_reads_the_file_beside_it_and_the_environment(tmp_path):
    (tmp_path / "luigi.cfg").write_text(
        "[airqino]\nretries = 7\nnow = 2024-07-01T00:05\n[mongo]\nuri = mongodb://file\n"
    )
    done = run(tmp_path, MONGODB_URI="mongodb://variable", AIRQINO_NOW="", LUIGID_URL="http://127.0.0.1:9")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "7 mongodb://variable 2024-07-01T00:05:00+00:00\n"


def test_a_process_ends_with_one_line_for_a_wrong_setting(tmp_path):
    (tmp_path / "luigi.cfg").write_text("[quality]\nstuck_hours = often\n")
    done = run(tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: luigi.cfg [quality] stuck_hours = 'often': allowed is a whole number from 2 to 24\n"


def test_settings_are_read_once_in_a_process(read):
    reading.settings.cache_clear()
    try:
        read("[airqino]\nretries = 7\n")
        assert reading.settings().airqino.retries == 7
        read("[airqino]\nretries = 8\n")
        assert reading.settings().airqino.retries == 7
        assert reading.settings().now == reading.settings().now
    finally:
        reading.settings.cache_clear()
