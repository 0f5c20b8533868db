"""What goes wrong at the source, in MongoDB or in the settings, and what is left of it."""

import re
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.deployment import ROOT, Pipeline

from airqino.sandbox.faults import KINDS
from airqino.sandbox.mongod import Mongod, free_port
from airqino.sandbox.server import Account, Sandbox

LIVE, OTHER = "283181971", "283164601"
NOW = datetime(2026, 2, 20, 12, 5, tzinfo=UTC)
TEXT = f"{NOW:%Y-%m-%dT%H:%M}"
HOUR = NOW.replace(minute=0) - timedelta(hours=1)

#: Fewer and faster tries: the faults of these tests do not go away by themselves.
FAST = {"now": TEXT}


@pytest.fixture
def quick(pipeline: Pipeline, sandbox: Sandbox, tmp_path: Path) -> Pipeline:
    """A deployment at a fixed moment that gives up soon."""
    sandbox.now = NOW
    for station in (LIVE, OTHER):
        for back in range(260):
            sandbox.override(station, HOUR - timedelta(hours=back), {"CO": 0.4, "PM2.5": 12.0 + back % 7, "PM10": 30.0})
    text = (ROOT / "luigi.cfg").read_text()
    for option, value in (
        ("retries", 1),
        ("retry_backoff_seconds", 0.05),
        ("read_timeout_seconds", 1),
        ("requests_per_second", 500),
        ("late_window_hours", 30),
    ):
        text = re.sub(rf"^{option} = .*", f"{option} = {value}", text, flags=re.MULTILINE)
    (tmp_path / "luigi.cfg").write_text(text)
    pipeline.env |= {"LUIGI_CONFIG_PATH": str(tmp_path / "luigi.cfg"), "AIRQINO_NOW": TEXT}
    return pipeline


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("server_error", "ServerError: HTTP 503"),
        ("server_error_500", "ServerError: HTTP 500"),
        ("latency", "SourceTimeoutError"),
        ("malformed", "NotJSONError"),
        ("wrong_shape", "UnexpectedShapeError"),
        ("html", "NotJSONError"),
        ("cut_off", "UnreachableError"),
        ("unauthorized", "CredentialsError: HTTP 401"),
        ("rate_limited", "RateLimitedError: HTTP 429"),
    ],
)
def test_one_failing_station_leaves_the_other_on_time(quick: Pipeline, sandbox: Sandbox, kind: str, error: str) -> None:
    sandbox.add_fault(kind, station=OTHER, seconds=3 if kind == "latency" else 1)
    done = quick.hourly()
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert f"station {OTHER}" in done.stderr
    assert error in done.stderr
    assert quick.database["hourly_measurements"].find_one({"_id": f"{LIVE}|{HOUR:%Y-%m-%dT%H}"})
    assert quick.database["daily_averages"].find_one({"_id": f"{LIVE}|{HOUR:%Y-%m-%d}"})["pm2_5_hours"] == 12
    assert quick.database["forecasts"].find_one({"station": LIVE, "pollutant": "pm2_5", "issued_at": HOUR})["p50"] > 0
    assert quick.database["hourly_measurements"].count_documents({"station": OTHER}) == 0

    # the cause is gone: an hour later the station is asked again and nothing is missing
    sandbox.clear_faults()
    sandbox.now = NOW + timedelta(hours=1)
    done = quick.hourly(f"{sandbox.now:%Y-%m-%dT%H:%M}")
    assert done.returncode == 0, done.stderr
    assert quick.database["hourly_measurements"].count_documents({"station": OTHER}) == quick.database[
        "hourly_measurements"
    ].count_documents({"station": LIVE})


@pytest.mark.parametrize(("kind", "why"), [("server_error", "HTTP 503"), ("unauthorized", "AIRQINO_USERNAME")])
def test_all_stations_failing_fails_the_run_and_writes_no_hour(
    quick: Pipeline, sandbox: Sandbox, kind: str, why: str
) -> None:
    sandbox.add_fault(kind)
    done = quick.hourly()
    assert done.returncode == 30, done.stderr
    assert "Traceback" not in done.stderr
    assert LIVE in done.stderr
    assert OTHER in done.stderr
    assert why in done.stderr
    assert not list(quick.root.glob("*-*-*"))


def test_retry_after_is_obeyed(quick: Pipeline, sandbox: Sandbox) -> None:
    sandbox.add_fault("rate_limited", times=1, seconds=3)
    began = time.monotonic()
    done = quick.hourly()
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began >= 3
    assert quick.database["hourly_measurements"].count_documents({"observed_at": HOUR}) == 2


def test_an_expired_token_is_renewed_within_the_run(tmp_path: Path, mongod: Mongod) -> None:
    with Sandbox(now=NOW, account=Account(), token_seconds=16) as sandbox:
        login = Account()
        pipeline = Pipeline(
            tmp_path / "staging",
            mongod,
            sandbox.url,
            AIRQINO_NOW=TEXT,
            AIRQINO_TOKEN_URL=sandbox.token_url,
            AIRQINO_CLIENT_ID=login.client_id,
            AIRQINO_CLIENT_SECRET=login.client_secret,
            AIRQINO_USERNAME=login.username,
            AIRQINO_PASSWORD=login.password,
        )
        sandbox.add_fault("token_expired")
        done = pipeline.backfill("2026-01-01T00", "2026-02-10T23")
        assert done.returncode == 0, done.stderr
        assert sandbox.stats()["token_requests"] >= 2
        wrong = pipeline.hourly(AIRQINO_PASSWORD="not-the-password")
        assert wrong.returncode == 30, wrong.stderr
        assert "the token endpoint refused user" in wrong.stderr
        everything = wrong.stderr + "".join(p.read_text() for p in (pipeline.root / "logs").iterdir())
        assert "not-the-password" not in everything
        assert login.client_secret not in everything
        pipeline.close()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_passing_fault_loses_and_doubles_nothing(quick: Pipeline, sandbox: Sandbox, kind: str) -> None:
    """The fault hits the first requests of a backfill; after a second run all is as if it had not been."""
    sandbox.add_fault(kind, times=3, seconds=2)
    first = quick.backfill("2026-02-18T00", "2026-02-19T23")
    assert "Traceback" not in first.stderr
    sandbox.clear_faults()
    second = quick.backfill("2026-02-18T00", "2026-02-19T23", AIRQINO_NOW="2026-02-26T12:05")
    assert second.returncode == 0, second.stderr
    found = quick.documents("hourly_measurements")
    expected = {
        f"{station}|2026-02-{day}T{hour:02}" for station in (LIVE, OTHER) for day in (18, 19) for hour in range(24)
    }
    assert {key for key in found if "|2026-02-18" in key or "|2026-02-19" in key} == expected


@pytest.mark.drill
def test_five_percent_of_all_faults_over_thirty_days_lose_nothing(
    tmp_path: Path, mongod: Mongod, quick: Pipeline, sandbox: Sandbox
) -> None:
    for kind in KINDS:
        if kind != "unknown_station":  # for a station never seen before this is a mistake in the settings
            sandbox.add_fault(kind, probability=0.05, seconds=0.2)
    span = ("2026-01-10T00", "2026-02-08T23")
    config = Path(quick.env["LUIGI_CONFIG_PATH"])
    config.write_text(
        re.sub(r"^max_days_per_request = .*", "max_days_per_request = 1", config.read_text(), flags=re.MULTILINE)
    )
    for attempt in range(8):
        done = quick.backfill(*span, AIRQINO_NOW=f"2026-02-20T12:{attempt + 5:02}")
        assert "Traceback" not in done.stderr
        failed = quick.database["coverage"].count_documents({"failed_hours": {"$gt": 0}})
        if done.returncode == 0 and not failed and quick.database["loads"].count_documents({"kind": "day"}) == 30:
            break
    else:
        pytest.fail(done.stderr)
    # an `empty` answer is an answer: its hours are absent until asked again, here by a re-read without faults
    sandbox.clear_faults()
    calm = Pipeline(tmp_path / "calm", mongod, sandbox.url, AIRQINO_NOW="2026-02-20T12:05")
    assert calm.backfill(*span).returncode == 0
    ours, theirs = quick.documents("hourly_measurements"), calm.documents("hourly_measurements")
    missing = theirs.keys() - ours.keys()
    assert not ours.keys() - theirs.keys()
    assert {key: ours[key]["pm2_5"] for key in ours} == {key: theirs[key]["pm2_5"] for key in ours}
    absent = {d["_id"]: d["absent_hours"] for d in quick.database["coverage"].find({"absent_hours": 24})}
    assert {key.split("T")[0] for key in missing} <= absent.keys()  # only whole days that were answered empty
    calm.close()


def test_mongodb_going_away_leaves_the_staged_files_for_the_next_run(tmp_path: Path, sandbox: Sandbox) -> None:
    sandbox.now = NOW
    with Mongod(tmp_path / "mongo") as own:
        pipeline = Pipeline(tmp_path / "staging", own, sandbox.url, AIRQINO_NOW=TEXT)
        pipeline.env["LUIGI_CONFIG_PATH"] = str(tmp_path / "luigi.cfg")
        (tmp_path / "luigi.cfg").write_text(
            (ROOT / "luigi.cfg").read_text().replace("failover_seconds = 30", "failover_seconds = 1")
        )
        stop = threading.Thread(target=lambda: (_wait_for(pipeline.root, "*/raw/*.parquet"), own.kill()))
        stop.start()
        done = pipeline.backfill("2026-01-01T00", "2026-01-31T23")
        stop.join()
        assert done.returncode == 30, done.stderr
        assert "MongoDB at mongodb://127.0.0.1" in done.stderr
        assert "Traceback" not in done.stderr
        raw = len(list(pipeline.root.glob("*/raw/*.parquet")))
        assert raw == 31 * 24
        own.start()
        sandbox.reset()
        done = pipeline.backfill("2026-01-01T00", "2026-01-31T23")
        assert done.returncode == 0, done.stderr
        assert sandbox.stats()["data_requests"] == 0
        rows = sum(d["ok_hours"] for d in pipeline.database["coverage"].find())
        assert pipeline.database["hourly_measurements"].count_documents({}) == rows > 1000


@pytest.mark.parametrize("pattern", ["*/raw/*.parquet", "*/daily.parquet"])
def test_mongodb_dying_in_an_hourly_run_is_a_task_that_failed(tmp_path: Path, sandbox: Sandbox, pattern: str) -> None:
    sandbox.now = NOW
    with Mongod(tmp_path / "mongo") as own:
        pipeline = Pipeline(tmp_path / "staging", own, sandbox.url, AIRQINO_NOW=TEXT)
        pipeline.env["LUIGI_CONFIG_PATH"] = str(tmp_path / "luigi.cfg")
        (tmp_path / "luigi.cfg").write_text(
            (ROOT / "luigi.cfg").read_text().replace("failover_seconds = 30", "failover_seconds = 1")
        )
        stop = threading.Thread(target=lambda: (_wait_for(pipeline.root, pattern), own.kill()))
        stop.start()
        done = pipeline.hourly()
        stop.join()
    assert done.returncode == 30, done.stderr
    assert "MongoDB at mongodb://127.0.0.1" in done.stderr
    assert "cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr


def _wait_for(root: Path, pattern: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not any(root.glob(pattern)):
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("command", "env", "message"),
    [
        (
            ["hourly"],
            {"AIRQINO_STATIONS": "no-number"},
            r"AIRQINO_STATIONS \(\[airqino\] stations\) = 'no-number': allowed",
        ),
        (
            ["hourly"],
            {"AIRQINO_BASE_URL": "ftp://x"},
            r"AIRQINO_BASE_URL \(\[airqino\] base_url\) = 'ftp://x': allowed is a URL",
        ),
        (
            ["hourly"],
            {"MONGODB_URI": "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300"},
            "MongoDB at .* cannot be reached",
        ),
        (["hourly"], {"MONGODB_URI": "http://x"}, r"MONGODB_URI \(\[mongo\] uri\) = \(hidden\): allowed"),
        (["hourly"], {"MONGODB_URI": "mongodb://user:geheim@/x"}, "MongoDB"),
        (["hourly"], {"STAGING_ROOT": "/proc/nowhere"}, "staging root /proc/nowhere cannot be written"),
        (["hourly", "--hour", "2026-02-30T10"], {}, "'2026-02-30T10' is not an hour"),
        (["hourly", "--hour", "2026-02-25T10"], {}, "is not over and published yet"),
        (["backfill", "2026-02-10T00", "2026-02-09T00"], {}, "the first lies after the last, swap them"),
        (["backfill", "2026-13-01T00", "2026-02-09T00"], {}, "is no time: write an hour"),
        (["backfill", "2026-02-01T00", "2027-02-09T00"], {}, "is not over and published yet"),
    ],
)
def test_bad_settings_give_one_clear_line_before_anything_is_written(
    quick: Pipeline, sandbox: Sandbox, command: list[str], env: dict[str, str], message: str
) -> None:
    done = quick.script(*command, **env)
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if line]
    assert len(lines) == 1, done.stderr
    assert re.search(message, lines[0]), lines[0]
    assert "geheim" not in done.stderr
    assert sandbox.stats()["data_requests"] == 0
    assert not list(quick.root.glob("*-*-*"))
    assert quick.database_name not in quick.client.list_database_names()


def test_a_station_the_api_does_not_know_stops_the_run(tmp_path: Path, mongod: Mongod) -> None:
    with Sandbox(now=NOW, stations=[LIVE]) as sandbox:
        pipeline = Pipeline(
            tmp_path / "staging", mongod, sandbox.url, AIRQINO_NOW=TEXT, AIRQINO_STATIONS=f"{LIVE},99999999"
        )
        done = pipeline.hourly()
        assert done.returncode == 30, done.stderr
        assert "the API does not know station 99999999" in done.stderr
        assert "Traceback" not in done.stderr
        assert not list(pipeline.root.glob("*-*-*"))


def test_plain_luigi_tells_a_wrong_setting_without_a_traceback(quick: Pipeline) -> None:
    done = quick.luigi("DailyMeans", "--day", "2026-02-10", AIRQINO_BASE_URL="nonsense")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "allowed is a URL" in done.stderr


def test_a_day_that_has_begun_nowhere_is_refused(quick: Pipeline, sandbox: Sandbox) -> None:
    """At five past midnight the last hour published is yesterday's."""
    done = quick.luigi("LoadDay", "--day", "2026-02-10", AIRQINO_NOW="2026-02-10T00:05")
    assert done.returncode != 0
    told = "day 2026-02-10: hour 2026-02-10T00 is not over and published yet: the last one is 2026-02-09T23"
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert sandbox.stats()["data_requests"] == 0


def test_a_day_that_has_begun_in_the_east_is_loaded(quick: Pipeline, sandbox: Sandbox, tmp_path: Path) -> None:
    config = tmp_path / "luigi.cfg"
    text = config.read_text()
    assert text.count("time_zone = Africa/Abidjan") == 2
    config.write_text(text.replace("time_zone = Africa/Abidjan", "time_zone = Asia/Tokyo", 1))
    sandbox.now = datetime(2026, 2, 10, 0, 5, tzinfo=UTC)
    done = quick.luigi("LoadDay", "--day", "2026-02-10", AIRQINO_NOW="2026-02-10T00:05")
    assert done.returncode == 0, done.stderr
    days = quick.database["daily_averages"].find({"day": "2026-02-10"}, {"station": 1, "pm2_5_hours": 1})
    assert [row for row in days if row["pm2_5_hours"]] != []
    early = quick.luigi("LoadDay", "--day", "2026-02-11", AIRQINO_NOW="2026-02-10T15:05")
    assert "hour 2026-02-10T15 is not over" in early.stderr


def test_an_overlapping_hourly_run_steps_aside(quick: Pipeline, sandbox: Sandbox) -> None:
    sandbox.add_fault("latency", times=2, seconds=0.9)
    first = subprocess.Popen(
        [sys.executable, "-m", "tasks.cli", "hourly"], env=quick.env, cwd=ROOT, stderr=subprocess.PIPE
    )
    _wait_for(quick.root, ".hourly.lock")
    second = quick.hourly()
    assert second.returncode == 10, second.stderr
    assert "another hourly run is under way" in second.stderr
    assert first.wait(60) == 0


def test_a_luigid_that_does_not_answer_is_done_without(quick: Pipeline) -> None:
    done = quick.hourly(LUIGID_URL=f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 0
    assert "luigid" not in done.stderr  # it is for the log: nothing is wrong
    log = "".join(path.read_text() for path in (quick.root / "logs").iterdir())
    assert "does not answer: this run uses a scheduler of its own" in log


def test_days_before_any_station_was_in_service_do_not_stop_a_run(pipeline: Pipeline, tmp_path: Path) -> None:
    text = (ROOT / "luigi.cfg").read_text()
    text = text.replace("time_zone = Africa/Abidjan", "time_zone = Africa/Abidjan\nvalid_from = 2024-09-09T00")
    (tmp_path / "late.cfg").write_text(text)
    done = pipeline.hourly("2024-09-09T05:05", LUIGI_CONFIG_PATH=str(tmp_path / "late.cfg"))
    assert done.returncode == 0, done.stderr


def test_a_station_not_in_service_yet_and_a_failing_one_do_not_hold_up_the_rest(
    pipeline: Pipeline, sandbox: Sandbox, tmp_path: Path
) -> None:
    text = (ROOT / "luigi.cfg").read_text()
    text = text.replace("[stations.283181971]", "[stations.283181971]\nvalid_from = 2024-10-03T00")
    (tmp_path / "late.cfg").write_text(text)
    sandbox.add_fault("server_error_500", station=OTHER)
    config = {"LUIGI_CONFIG_PATH": str(tmp_path / "late.cfg"), "AIRQINO_NOW": "2024-10-20T00:05"}
    done = pipeline.backfill("2024-10-01T00", "2024-10-05T23", **config)
    assert done.returncode == 0, done.stderr
    assert pipeline.database["daily_averages"].count_documents({"station": LIVE}) == 3


def test_a_document_too_many_blocks_nothing(pipeline: Pipeline) -> None:
    moment = "2024-10-20T00:05"
    assert pipeline.backfill("2024-10-01T00", "2024-10-02T23", AIRQINO_NOW=moment).returncode == 0
    day = datetime(2024, 10, 1, tzinfo=UTC)
    pipeline.database["hourly_measurements"].insert_one(
        {"_id": "77|2024-10-01T03", "station": "77", "observed_at": day}
    )
    pipeline.database["daily_averages"].delete_one({"_id": f"{LIVE}|2024-10-02"})
    done = pipeline.backfill("2024-10-01T00", "2024-10-02T23", AIRQINO_NOW=moment)
    assert done.returncode == 0, done.stderr
    assert pipeline.database["daily_averages"].count_documents({"day": "2024-10-02"}) == 2
