"""Healthy deployments are told so, and each of many broken ones is found out, it alone, with its cure."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path

import pyarrow as pa
import pytest
from pymongo import MongoClient
from support.deployment import ROOT
from support.healthy import Deployment, Server, wait_for

from airqino.sandbox.mongod import Mongod
from airqino.stores import parquet
from airqino.times import parse_span
from tasks.versions import VERSION

NOW = datetime.now(UTC)
CLOSED = "http://127.0.0.1:9"


def test_a_healthy_deployment_is_all_well(healthy: Deployment) -> None:
    results = healthy.examine()
    assert {name: r for name, r in results.items() if r.outcome != "ok"} == {}
    assert len(results) == 32
    assert results["credentials"].finding == "the token endpoint gives operator a token"
    assert results["MongoDB"].finding.endswith(" answers writer")
    assert results["MongoDB TLS"].finding == "on"
    assert results["MongoDB version"].finding.startswith(f"{healthy.database.client.server_info()['version']}")
    assert results["probe"].finding == "1 of 1 assumptions hold, 0 days ago"
    assert re.search(r"cron\.d/airqino$", results["trigger"].finding)


# --- one thing broken at a time: (how, the one check that says so, what its text
# and its cure hold)


def fault(kind: str, **more: object) -> Callable[[Deployment], None]:
    return lambda healthy: healthy.api.add_fault(kind, **more)  # type: ignore[arg-type]


def env(**variables: str) -> Callable[[Deployment], None]:
    return lambda healthy: healthy.env.update(variables)


def cfg(text: str) -> Callable[[Deployment], None]:
    return lambda healthy: setattr(healthy, "cfg", text)


def no_credentials(healthy: Deployment) -> None:
    for variable in ("AIRQINO_USERNAME", "AIRQINO_PASSWORD", "AIRQINO_CLIENT_ID", "AIRQINO_CLIENT_SECRET"):
        del healthy.env[variable]


def clock_off(minutes: int) -> Callable[[Deployment], None]:
    return lambda healthy: setattr(healthy.api, "now", datetime.now(UTC) + timedelta(minutes=minutes))


def user(name: str, password: str) -> Callable[[Deployment], None]:
    return lambda healthy: healthy.env.update(MONGODB_URI=healthy.database.uri(name, password))


def no_login(healthy: Deployment) -> None:
    healthy.env["MONGODB_URI"] = healthy.database._uri("")


def stranger_ca(healthy: Deployment) -> None:
    healthy.env["MONGODB_CA_FILE"] = f"{healthy.database.other_ca}"


def no_tls(healthy: Deployment) -> None:
    healthy.env["MONGODB_URI"] = healthy.database.uri(options="tls=false")
    del healthy.env["MONGODB_CA_FILE"]


def an_index_less(healthy: Deployment) -> None:
    healthy.database.database["daily_averages"].drop_index("day_1_station_1")


def an_old_view(healthy: Deployment) -> None:
    healthy.database.database.command({"collMod": "station_now", "viewOn": "stations", "pipeline": []})


def days_of_an_older_version(healthy: Deployment) -> None:
    days = [f"{NOW - timedelta(days=back):%Y-%m-%d}" for back in (1, 2, 40)]
    loads = [{"_id": f"day|{day}", "kind": "day", "version": "1.0.0"} for day in days]
    healthy.database.database["loads"].insert_many(loads)
    for day in days[:2]:  # of the third nothing is staged any more
        (healthy.root / day / "raw").mkdir(parents=True, exist_ok=True)


def root_below_a_file(healthy: Deployment) -> None:
    (healthy.folder / "file").touch()
    healthy.env["STAGING_ROOT"] = f"{healthy.folder / 'file' / 'staging'}"


def leftover(healthy: Deployment) -> None:
    path = healthy.root / "2024-09-09" / ".daily.parquet.4711.tmp"
    path.parent.mkdir()
    path.touch()
    os.utime(path, (time.time() - 7200,) * 2)


def foreign_page(healthy: Deployment) -> None:
    healthy.env |= {"PUBLISH_ROOT": f"{healthy.root / 'public'}"}
    (healthy.root / "public").mkdir()
    (healthy.root / "public" / "index.html").write_text("of the city's own site")


def probed_long_ago(healthy: Deployment) -> None:
    healthy.probed(NOW - timedelta(days=40), "does not hold")


def empty_file(healthy: Deployment) -> None:
    folder = built(healthy, datetime.now(UTC))
    (folder / "raw" / "00.parquet").touch()


def built(healthy: Deployment, at: datetime) -> Path:
    """A day that was built and loaded, as far as names tell."""
    folder = healthy.root / f"{at:%Y-%m-%d}"
    (folder / "raw").mkdir(parents=True)
    for name in ("hourly.parquet", "daily.parquet"):
        parquet.write(folder / name, pa.table({"observed_at": pa.array([], pa.timestamp("us", "UTC"))}))
    load = {"_id": f"day|{folder.name}", "kind": "day", "version": VERSION}
    healthy.database.database["loads"].replace_one({"_id": load["_id"]}, load, upsert=True)
    return folder


def lost_notes(healthy: Deployment) -> None:
    (healthy.root / "operator").mkdir(exist_ok=True)
    (healthy.root / "operator" / "notes.jsonl").unlink(missing_ok=True)


def damaged_notes(healthy: Deployment) -> None:
    path = healthy.root / "operator" / "notes.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text('{"format": "airqino-notes", "version": 1}\n{"id": "2024-09-09-1", "ki')


def damaged_model(healthy: Deployment) -> None:
    (healthy.root / "models" / "2024-09-09" / "model.json").write_text("[]")


def staged_long_ago(healthy: Deployment) -> None:
    (built(healthy, NOW - timedelta(days=5)) / "raw" / "00.parquet").touch()


def no_champion(healthy: Deployment) -> None:
    (healthy.root / "models" / "champion.json").unlink()


def open_env_file(healthy: Deployment) -> None:
    (healthy.repository / ".env").write_text("AIRQINO_PASSWORD=demo-S3cret\n")
    (healthy.repository / ".env").chmod(0o644)


def env_file(text: str, mode: int = 0o640) -> Callable[[Deployment], None]:
    def write(healthy: Deployment) -> None:
        path = healthy.folder / "etc" / "airqino.env"
        path.parent.mkdir()
        path.write_text(text)
        path.chmod(mode)
        healthy.env["AIRQINO_CONFIG_DIR"] = f"{path.parent}"

    return write


def edited_luigi_cfg(healthy: Deployment) -> None:
    text = (ROOT / "luigi.cfg").read_text().replace("retries = 3", "retries = 4")
    (healthy.repository / "luigi.cfg").write_text(text)


def anothers_root(healthy: Deployment) -> None:
    (healthy.root / "environment").write_text("test\n")


def anothers_database(healthy: Deployment) -> None:
    loads = healthy.database.database["loads"]
    loads.replace_one({"_id": "environment"}, {"environment": "test"}, upsert=True)


def other_pins(healthy: Deployment) -> None:
    (healthy.repository / "constraints.txt").write_text("luigi==1.0\nabsent==2.0\n")


def cron_gone(healthy: Deployment) -> None:
    (healthy.system / "proc" / "77" / "comm").unlink()


def crontab(name: str, text: str) -> Callable[[Deployment], None]:
    return lambda healthy: healthy.crontab(name, text)


LINE = "5 * * * * etl cd /srv/airqino && scripts/hourly\n"

BROKEN = {
    "wrong option": (
        cfg("[airqino]\nretrys = 3\n"),
        "✗ configuration",
        "[airqino] retrys: no such option",
        "luigi.cfg",
    ),
    "wrong value": (
        cfg("[quality]\nstuck_hours = often\n"),
        "✗ configuration",
        "a whole number from 2 to 24",
        "correct",
    ),
    "wrong option of Luigi's": (cfg("[scheduler]\nretry_count = some\n"), "✗ configuration", "[scheduler]", "correct"),
    "wrong time zone": (cfg("[stations.1]\ntime_zone = Mars\n"), "✗ configuration", "Africa/Abidjan", "correct"),
    "half the credentials": (env(AIRQINO_PASSWORD=""), "✗ configuration", "AIRQINO_PASSWORD", "correct"),
    "misspelt section": (cfg("[alert]\nurls =\n"), "! configuration", "is [alerts] meant?", "correct"),
    "misspelt variable": (env(MONGODB_URL="mongodb://h"), "! configuration", "is MONGODB_URI meant?", "correct"),
    "another value than cron's": (
        env_file("STAGING_ROOT='x'\nALERT_URLS=''\nPUSHGATEWAY_URL='http://h'\n"),
        "! configuration",
        "this shell sets STAGING_ROOT otherwise than ",
        "correct",
    ),
    "edited luigi.cfg": (
        edited_luigi_cfg,
        "! configuration",
        "luigi.cfg was edited ([airqino] retries; 1 in all)",
        "/repository && scripts/settings --move-out",
    ),
    "readable airqino.env": (env_file("AIRQINO_PROJECT='AQ54'\n", 0o644), "! secrets", "airqino.env", "chmod o-rwx"),
    "another environment's root": (anothers_root, "✗ environment", "it belongs to test", "STAGING_ROOT"),
    "another environment's database": (
        anothers_database,
        "✗ MongoDB environment",
        "it belongs to test",
        "MONGODB_DATABASE",
    ),
    "other packages": (other_pins, "! Python and packages", "(tested: 1.0)", "scripts/install"),
    "readable .env": (open_env_file, "! secrets", ".env", "chmod o-rwx"),
    "no credentials": (no_credentials, "✗ credentials", "no credentials are set", "AIRQINO_USERNAME"),
    "refused credentials": (env(AIRQINO_PASSWORD="other"), "✗ credentials", "refused user", "AIRQINO_PASSWORD"),
    "refused token": (fault("unauthorized"), "✗ credentials", "refused the token", "may read this station"),
    "token endpoint away": (
        env(AIRQINO_TOKEN_URL=f"{CLOSED}/t"),
        "✗ credentials",
        "no connection",
        "AIRQINO_TOKEN_URL",
    ),
    "API away": (env(AIRQINO_BASE_URL=CLOSED), "✗ API", "no connection", "BASE_URL"),
    "no such host": (env(AIRQINO_BASE_URL="http://no.invalid"), "✗ API", "no connection", "name resolution"),
    "API slow": (fault("latency", seconds=9), "✗ API", "no answer within 3 s", "read_timeout_seconds"),
    "API has a fault": (fault("server_error"), "✗ API", "HTTP 503", "catch up"),
    "too many requests": (fault("rate_limited"), "✗ API", "HTTP 429", "requests_per_second"),
    "a web page": (fault("html"), "✗ API", "not JSON", "proxy"),
    "another shape": (fault("wrong_shape"), "✗ API", "another shape", "response.py"),
    "one station fails": (fault("server_error", station="283164601"), "✗ API", "(of 283164601;", "catch up"),
    "unknown station": (fault("unknown_station", station="283164601"), "✗ stations", "283164601", "AIRQINO_STATIONS"),
    "sign lost": (cfg("[stations.283164601]\nlongitude = 3.957688\n"), "! stations", "876 km apart", "airqino.cfg"),
    "no place": (env(AIRQINO_STATIONS="1"), "! stations", "1 has no latitude", "[stations.<id>]"),
    "clock behind": (clock_off(10), "✗ clock", "10 min behind", "set-ntp"),
    "clock ahead": (clock_off(-180), "✗ clock", "180 min ahead of", "set-ntp"),
    "another habit": (probed_long_ago, "! probe", "does not hold, 40 days ago: hour", "scripts/probe"),
    "MongoDB away": (
        env(MONGODB_URI="mongodb://127.0.0.1:9"),
        "✗ MongoDB",
        "cannot be reached",
        "systemctl start mongod",
    ),
    "not a URI": (env(MONGODB_URI="mongodb://u:S3/x@h"), "✗ MongoDB", "connection string is wrong", "%2F"),
    "wrong password": (user("writer", "other"), "✗ MongoDB", "does not know this user", "authSource"),
    "no login": (no_login, "✗ MongoDB", "wants a user and a password", "put them"),
    "wrong CA": (stranger_ca, "✗ MongoDB", "not signed by a CA known", "MONGODB_CA_FILE"),
    "no CA file": (env(MONGODB_CA_FILE="/no/ca.pem"), "✗ configuration", "/no/ca.pem", "variable named"),
    "TLS not asked for": (no_tls, "✗ MongoDB", "closes the connection", "?tls=true"),
    "may only read": (user("reader", "Reader-S3cret"), "✗ MongoDB rights", "createIndex, insert, update", "etl_writer"),
    "an index less": (an_index_less, "! MongoDB indexes", "daily_averages (day, station)", "scripts/hourly"),
    "an old view": (an_old_view, "! MongoDB indexes", "view station_now", "scripts/hourly"),
    "an older version": (
        days_of_an_older_version,
        "! MongoDB days",
        "2 days are staged, but not loaded",
        "scripts/verify",
    ),
    "root cannot be made": (root_below_a_file, "✗ staging root", "cannot be written", "STAGING_ROOT"),
    "disk full": (cfg("[alerts]\ndisk_free_share = 1\n"), "✗ disk space", "% free", "make room"),
    "left-over file": (leftover, "! temporary files", ".daily.parquet.4711.tmp", "-mmin +60"),
    "empty file": (empty_file, "✗ staged files", "raw/00.parquet", "scripts/hourly"),
    "lost notes": (lost_notes, "✗ notes", "notes.jsonl is gone", "scripts/note list"),
    "damaged notes": (damaged_notes, "✗ notes", "notes.jsonl line 2 is no note", "back-up"),
    "no success": (
        lambda h: h.success(datetime.now(UTC) - timedelta(hours=4)),
        "✗ last success",
        "4.0 h ago",
        "scripts/hourly",
    ),
    "never a success": (
        lambda h: (h.root / "last_success.json").unlink(),
        "! last success",
        "has succeeded",
        "scripts/hourly",
    ),
    "hours missing": (staged_long_ago, "! missing hours", "station-hours were never asked for", "scripts/backfill"),
    "luigid away": (env(LUIGID_URL=CLOSED), "! luigid", "does not answer", "LUIGID_URL"),
    "registry away": (env(MLFLOW_TRACKING_URI=CLOSED), "! model registry", "127.0.0.1:9", "MLFLOW_TRACKING_URI"),
    "no champion": (no_champion, "! champion", "persistence", "14 staged days"),
    "damaged champion": (damaged_model, "! champion", "2024-09-09", "scripts/hourly"),
    "nowhere to publish": (env(PUBLISH_ROOT="/proc/1/public"), "! public page", "cannot be written", "PUBLISH_ROOT"),
    "another's page": (foreign_page, "! public page", "index.html", "PUBLISH_ROOT"),
    "no such map": (
        cfg("[publish]\nroot = /tmp\nmap = /no/map.geojson\n"),
        "! public page",
        "/no/map.geojson",
        "[publish] map",
    ),
    "nobody to tell": (env(ALERT_URLS=""), "! alerts", "no channel", "ALERT_URLS"),
    "no cron line": (crontab("other", "# " + LINE), "! trigger", "neither cron nor", "crontab -e"),
    "name with a dot": (crontab("airqino.cron", LINE), "! trigger", "cron ignores", "rename"),
    "no line break": (crontab("airqino", LINE.strip()), "! trigger", "last line", "cron"),
    "cron not running": (cron_gone, "! trigger", "cron is not running", "service cron start"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_is_found_it_alone_and_with_its_cure(healthy: Deployment, case: str) -> None:
    break_it, check, finding, cure = BROKEN[case]
    mark, _, name = check.partition(" ")
    outcome = {"✗": "failed", "!": "warning"}[mark]
    break_it(healthy)
    wrong = healthy.wrong()
    assert {name: result.outcome for name, result in wrong.items()} == {name: outcome}
    assert finding in wrong[name].finding
    assert cure in wrong[name].cure


def test_without_a_champion_it_names_the_backfill_that_is_enough_for_one(healthy: Deployment) -> None:
    no_champion(healthy)
    cure = healthy.wrong()["champion"].cure
    command = re.search(r"scripts/backfill (\S+) and then scripts/hourly$", cure)
    assert command, cure
    span = parse_span(command[1], NOW)
    # 14 days before the Monday of the week, whichever day of it this is
    assert (span.last - span.first).days >= 14 + NOW.weekday()


def test_a_secret_in_a_file_that_others_can_read(healthy: Deployment) -> None:
    healthy.cfg = "[airqino]\npassword = demo-S3cret\n"
    assert healthy.wrong() == {}
    healthy.cfg_mode = 0o644
    assert "overlay.cfg" in healthy.wrong()["secrets"].finding


def test_a_broken_section_leaves_the_rest_to_be_checked(healthy: Deployment) -> None:
    healthy.cfg = "[mongo]\ntimeout_seconds = soon\n"
    results = healthy.examine()
    assert results["configuration"].outcome == "failed"
    skipped = {name for name, result in results.items() if result.outcome == "skipped"}
    assert skipped == {name for name in results if name.startswith("MongoDB")}
    assert results["API"].outcome == results["staged files"].outcome == "ok"


def test_a_database_that_nothing_was_loaded_into(healthy: Deployment, mongod: Mongod) -> None:
    healthy.env |= {"MONGODB_URI": mongod.uri, "MONGODB_DATABASE": "never_loaded", "MONGODB_CA_FILE": ""}
    results = healthy.examine()
    assert {name for name, result in results.items() if result.outcome != "ok"} == set()
    assert results["MongoDB indexes"].finding == "none yet: the first load makes them"
    assert "access control is off, on loopback alone" in results["MongoDB"].finding
    with MongoClient(mongod.uri) as client:
        assert "never_loaded" not in client.list_database_names()  # nothing is left behind


@pytest.mark.parametrize(
    ("compressors", "is_told"), [("snappy,zlib", True), ("snappy,zstd", False), ("disabled", False)]
)
def test_a_server_that_shows_its_memory_is_told_where_zlib_is_on(
    healthy: Deployment, tmp_path: Path, compressors: str, is_told: bool
) -> None:
    server = Server(tmp_path / "compressing", "--networkMessageCompressors", compressors)
    try:
        with MongoClient(f"mongodb://127.0.0.1:{server.port}") as client:
            wait_for(client)
            if client.server_info()["versionArray"][:3] != [6, 0, 5]:
                pytest.skip("the server here is another one")
        healthy.env |= {"MONGODB_URI": f"mongodb://127.0.0.1:{server.port}", "MONGODB_CA_FILE": ""}
        healthy.examine()
    finally:
        server.stop()
    result = healthy.examined["MongoDB version"]
    assert result.outcome == "warning"
    assert ("CVE-2025-14847" in result.finding) == is_told
    assert "6.0.5 is past its end of life" in result.finding


def test_a_standalone_server(healthy: Deployment, tmp_path: Path) -> None:
    server = Server(tmp_path / "standalone")
    try:
        uri = f"mongodb://127.0.0.1:{server.port}/"
        with MongoClient(uri) as client:
            wait_for(client)
        healthy.env |= {"MONGODB_URI": uri, "MONGODB_CA_FILE": ""}
        wrong = healthy.wrong()
    finally:
        server.stop()
    assert {name: result.outcome for name, result in wrong.items()} == {"MongoDB members": "warning"}
    assert "--replSet" in wrong["MongoDB members"].cure


def test_a_replica_set_without_a_primary(healthy: Deployment, tmp_path: Path) -> None:
    server = Server(tmp_path / "alone", "--replSet", "rs0")
    try:
        healthy.env |= {"MONGODB_URI": f"mongodb://127.0.0.1:{server.port}/?replicaSet=rs0", "MONGODB_CA_FILE": ""}
        wrong = healthy.wrong()
    finally:
        server.stop()
    assert list(wrong) == ["MongoDB"]


def test_a_run_under_way_is_named_with_its_process(healthy: Deployment) -> None:
    code = (
        "import fcntl, sys, time; f = open(sys.argv[1], 'a'); fcntl.lockf(f, fcntl.LOCK_EX); "
        "print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, f"{healthy.root / '.hourly.lock'}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        result = healthy.examine()["runs under way"]
        holder.kill()
    assert result.outcome == "ok"
    assert f"an hourly run: process {holder.pid} (" in result.finding
    assert healthy.examine()["runs under way"].finding == "none"


def test_servers_that_never_answer_take_less_than_ten_seconds(healthy: Deployment) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=50) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        healthy.env |= {
            **dict.fromkeys(("AIRQINO_BASE_URL", "LUIGID_URL", "MLFLOW_TRACKING_URI"), url),
            "AIRQINO_TOKEN_URL": f"{url}/token",
            "MONGODB_URI": f"mongodb://127.0.0.1:{silent.getsockname()[1]}",
            "MONGODB_CA_FILE": "",
        }
        began = time.monotonic()
        wrong = healthy.wrong()
        assert time.monotonic() - began < 8
    assert {name: result.outcome for name, result in wrong.items()} == {
        "credentials": "failed",
        "MongoDB": "failed",
        "luigid": "warning",
        "model registry": "warning",
    }
    assert "did not answer in time" in wrong["credentials"].finding
    assert "cannot be reached" in wrong["MongoDB"].finding


def test_a_users_own_crontab(healthy: Deployment) -> None:
    healthy.crontab("other", "# nothing\n")
    folder = healthy.folder / "bin"
    folder.mkdir()
    (folder / "crontab").write_text(f"#!/bin/sh\n[ \"$1\" = -l ] && echo '{LINE.strip()}'\n")
    (folder / "crontab").chmod(0o755)
    healthy.env["PATH"] = f"{folder}"
    assert healthy.examine()["trigger"].finding == "crontab of this user"


@pytest.mark.parametrize("name", ["repository", "it's a 100% repository"])
def test_the_line_for_cron_works_as_it_is_pasted(healthy: Deployment, name: str) -> None:
    """From cron's bare environment: with the settings' folder, and what it prints kept in a log."""
    healthy.repository = healthy.repository.rename(healthy.folder / name)
    script, etc = healthy.repository / "scripts" / "hourly", healthy.folder / "e t c"
    script.parent.mkdir()
    script.write_text('#!/bin/sh\necho "settings in $AIRQINO_CONFIG_DIR"\necho trouble >&2\n')
    script.chmod(0o755)
    etc.mkdir()
    healthy.env["AIRQINO_CONFIG_DIR"], healthy.env["HOME"] = f"{etc}", f"{healthy.folder}"
    healthy.crontab("other", "")
    healthy.monkeypatch.setattr(import_module("tasks.doctor.trigger"), "_LOGS", healthy.folder / "no logs")
    cure = healthy.examine()["trigger"].cure
    assert "first put AIRQINO_BASE_URL," in cure  # this shell's alone
    line = cure.splitlines()[-1]
    minute, command = re.fullmatch(r"(\d+) \* \* \* \* (.*)", line).groups()
    assert minute == "5"
    assert "%" not in command.replace(r"\%", "")  # what cron takes for the end of the line
    bare = {"HOME": f"{healthy.folder}", "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh"}
    done = subprocess.run(["/bin/sh", "-c", command.replace(r"\%", "%")], env=bare, cwd="/", capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    log = healthy.folder / "airqino-hourly.log"
    assert log.read_text() == f"settings in {etc}\ntrouble\n"


def test_the_search_path_is_shown_in_its_order(healthy: Deployment) -> None:
    healthy.env["AIRQINO_CONFIG_DIR"] = f"{healthy.folder / 'etc'}"
    (healthy.folder / "etc").mkdir()
    found = healthy.examine()["configuration"].finding
    files = [f"{path}" for path in (ROOT / "luigi.cfg", healthy.folder / "quick.cfg", healthy.folder / "overlay.cfg")]
    assert found.startswith(", ".join(files))
    assert re.search(r"airqino\.env \(absent\), and \d+ variables of this process$", found)
