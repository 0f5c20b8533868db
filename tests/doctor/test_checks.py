"""Parts of the doctor on their own."""

import os
import shlex
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from support.deployment import ROOT

from tasks.doctor import checks, database, machine, source
from tasks.settings import secrets
from tasks.settings.sections import AirQino, Staging, Station


def test_a_check_that_hangs_or_breaks_is_told_and_the_others_are_not_held_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang():
        yield checks.ok("first", "fine")
        time.sleep(5)

    def break_off():
        raise RuntimeError("S3cret")
        yield

    groups = [
        checks.Group(("first", "second", "third"), hang),
        checks.Group(("fourth",), break_off),
        checks.Group(("fifth",), lambda: [checks.ok("fifth", "the S3cret is out")]),
    ]
    began = time.monotonic()
    monkeypatch.setenv("AIRQINO_PASSWORD", "S3cret")
    secrets._secrets.cache_clear()
    results = checks.run(groups, 0.3)
    secrets._secrets.cache_clear()
    assert time.monotonic() - began < 2
    assert [result.outcome for result in results] == ["ok", "failed", "skipped", "failed", "ok"]
    assert results[1].finding == "no result within 0.3 s"
    assert results[3].finding == "the check itself failed: RuntimeError"
    assert results[4].finding == "the **** is out"


@pytest.mark.parametrize(
    ("text", "has_zlib", "outcome", "says"),
    [
        ("4.4", False, "failed", "4.4"),
        ("5.0.32", True, "failed", "5.0.32"),
        ("6.0.27", True, "warning", "6.0.27 is past its end of life"),
        ("6.0.5", False, "warning", "6.0.5 is past its end of life"),
        ("6.0.5", True, "warning", "6.0.5 is past its end of life; 6.0.5 shows memory"),
        ("7.0.27", True, "warning", "7.0.27 shows memory"),
        ("7.0.27", False, "ok", "7.0.27"),
        ("7.0.28", True, "ok", "7.0.28"),
        ("8.0.16", True, "warning", "8.0.16 shows memory"),
        ("8.0.17", True, "ok", "8.0.17"),
        ("8.1.2", True, "warning", "8.1.2 shows memory"),
        ("8.2.1-rc0", True, "warning", "8.2.1-rc0 shows memory"),
        ("8.2.3", True, "ok", "8.2.3"),
        ("9.0.0", True, "ok", "9.0.0"),
    ],
)
def test_old_servers(text: str, has_zlib: bool, outcome: str, says: str) -> None:
    result = database.version(text, has_zlib)
    assert result.outcome == outcome
    assert result.finding.startswith(says)
    assert (result.cure == "") == (outcome == "ok")
    if "shows memory" in says:
        assert "net.compression.compressors: disabled" in result.cure


@pytest.mark.parametrize(
    ("uri", "hosts", "outcome"),
    [
        ("mongodb://db.example", ["db.example"], "warning"),
        ("mongodb://10.0.0.5", ["127.0.0.1", "10.0.0.5"], "warning"),
        ("mongodb://db.example/?TLS=true", ["db.example"], "ok"),
        ("mongodb://db.example/?tls=true&tlsInsecure=true", ["db.example"], "warning"),
        ("mongodb://localhost/?tls=true&tlsAllowInvalidCertificates=true", ["localhost"], "warning"),
        ("mongodb://localhost", ["localhost"], "ok"),
        ("mongodb://[::1]", ["::1"], "ok"),
    ],
)
def test_tls_is_wanted_beyond_this_machine(uri: str, hosts: list[str], outcome: str) -> None:
    client: MongoClient[dict[str, Any]] = MongoClient(uri, connect=False)
    assert database.encryption(client.options.pool_options._ssl_context, hosts).outcome == outcome


def test_a_check_that_hangs_does_not_hold_up_the_end_of_the_process() -> None:
    code = (
        "import time\nfrom tasks.doctor.checks import Group, run\n"
        "print(run([Group(('first',), lambda: time.sleep(60))], 0.1)[0].outcome)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr, done.returncode) == ("failed\n", "", 0)


def test_rights_on_single_collections() -> None:
    every = [{"resource": {"anyResource": True}, "actions": ["find", "insert", "update", "createIndex"]}]
    views = {"station_names and 23 more": ["collMod", "createCollection"]}
    assert database.missing_actions("air_quality", every) == views
    ours = {"resource": {"db": "air_quality", "collection": ""}, "actions": ["collMod", "createCollection"]}
    assert database.missing_actions("air_quality", [*every, ours]) == {}
    elsewhere = [{"resource": {"db": "other", "collection": ""}, "actions": every[0]["actions"]}, ours]
    assert database.missing_actions("air_quality", elsewhere) == {
        "models and 9 more": ["createIndex", "find", "insert", "update"]
    }
    of_one = {"resource": {"db": "air_quality", "collection": "loads"}, "actions": every[0]["actions"]}
    some = {"resource": {"db": "air_quality", "collection": ""}, "actions": ["find", "insert", "update"]}
    assert "loads" not in database.missing_actions("air_quality", [some, of_one, ours])


def test_places_and_zones() -> None:
    now = datetime(2024, 7, 1, tzinfo=UTC)
    fits = {"a": Station(latitude=31.2, longitude=121.5, time_zone="Asia/Shanghai")}  # 8.1 h by the sun, 8 by law
    assert source.places(fits, now) == []
    assert "Asia/Shanghai" in source.places({"a": Station(latitude=5, longitude=-4, time_zone="Asia/Shanghai")}, now)[0]
    ended = Station(latitude=5, longitude=-4, valid_to="2024-06-01T00")
    assert "out of service" in source.places({"a": ended}, now)[0]
    # Paris to London: 344 km
    near = {"a": Station(latitude=48.8566, longitude=2.3522), "b": Station(latitude=51.5074, longitude=-0.1278)}
    assert source.places(near, now) == []
    # Paris to New York: 5837 km
    far = {"a": Station(latitude=48.8566, longitude=2.3522), "b": Station(latitude=40.7128, longitude=-74.006)}
    assert "5837 km apart" in source.places(far, now)[-1]
    twice = {"a": Station(latitude=5, longitude=-4), "b": Station(latitude=5, longitude=-4)}
    assert "the same coordinates" in source.places(twice, now)[0]


def test_a_command_to_paste_takes_a_folder_as_one_word(tmp_path: Path) -> None:
    root = tmp_path / "air; rm -r quality"
    root.mkdir()
    leftover = root / ".daily.parquet.0.tmp"
    leftover.touch()
    os.utime(leftover, (0, 0))
    cures = [
        result.cure for result in machine.examine(Staging(root=f"{root}"), None, AirQino()) if "find" in result.cure
    ]
    assert [shlex.split(cure)[:2] for cure in cures] == [["find", f"{root}"]]
