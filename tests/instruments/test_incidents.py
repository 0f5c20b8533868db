"""What opens and ends once, who is told of what, and a file that many processes share."""

import logging
import multiprocessing
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.deployment import ROOT
from support.receivers import Web

from airqino.sandbox.mongod import free_port
from tasks.instruments import channels, incidents
from tasks.instruments.delivery import deliver
from tasks.instruments.incidents import Incident, book, read
from tasks.instruments.observed import note_success

AT = datetime(2024, 9, 9, 11, 5, tzinfo=UTC)


def incident(kind: str = "disk_low", subject: str = "", **more) -> Incident:
    return Incident(
        kind=kind, subject=subject, since=AT, title=f"{kind} {subject}".strip(), text="do something", **more
    )


def begin(root: Path, *new: Incident) -> None:
    with book(root) as incidents:
        for one in new:
            incidents.begin(one)


def end(root: Path, key: str) -> None:
    with book(root) as incidents:
        incidents.end(key)


def test_an_incident_seen_again_keeps_its_beginning_and_gathers_what_failed(tmp_path: Path) -> None:
    begin(tmp_path, incident("task_failed", "FetchHour", units=["2024-09-09T10"]))
    later = incident("task_failed", "FetchHour", units=["2024-09-09T11"])
    later.since = AT + timedelta(hours=1)
    begin(tmp_path, later)
    (one,) = read(tmp_path).open()
    assert one.since == AT
    assert one.units == ["2024-09-09T10", "2024-09-09T11"]


def _begin_many(root: Path, number: int) -> None:
    for i in range(20):
        begin(root, incident("station_silent", f"{number}-{i}"))


def test_processes_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    workers = [fork.Process(target=_begin_many, args=(tmp_path, number)) for number in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert {i.subject for i in read(tmp_path).open()} == {f"{n}-{i}" for n in range(6) for i in range(20)}
    assert not [*tmp_path.glob("*.tmp"), *tmp_path.glob(".*.tmp")]


def test_what_a_killed_writer_leaves_is_named_as_the_doctor_and_the_back_up_know_it(tmp_path: Path) -> None:
    def write() -> None:
        with book(tmp_path) as incidents:
            incidents.begin(incident())
            (tmp_path / "alerts.json").mkdir()  # so that it comes no further than a killed one

    with pytest.raises(IsADirectoryError):
        write()
    (tmp_path / "last_success.json").mkdir()
    with pytest.raises(IsADirectoryError):
        note_success(tmp_path, "2024-09-09T10", AT)
    left = {path.name for path in tmp_path.glob(".*.tmp")}
    assert left == {f".alerts.json.{os.getpid()}.tmp", f".last_success.json.{os.getpid()}.tmp"}


def test_a_damaged_file_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "alerts.json").write_text('{"incidents": {"x')
    begin(tmp_path, incident())
    assert [i.kind for i in read(tmp_path).open()] == ["disk_low"]


def test_beginning_and_end_are_told_once_each(tmp_path: Path) -> None:
    with Web() as web:
        urls = f"json://127.0.0.1:{web.port}"
        for _ in range(3):
            begin(tmp_path, incident())
            assert deliver(tmp_path, urls)
        assert web.titles == ["[AirQino] disk_low"]
        for _ in range(2):
            end(tmp_path, "disk_low|")
            assert deliver(tmp_path, urls)
    assert web.titles == ["[AirQino] disk_low", "[AirQino] resolved: disk_low"]
    assert [alert["type"] for alert in web.alerts] == ["failure", "success"]
    assert "since 2024-09-09 11:05 UTC" in web.alerts[0]["message"]
    assert read(tmp_path).incidents == {}


def test_a_channel_that_fails_is_told_later_and_the_other_only_once(tmp_path: Path) -> None:
    with Web() as good, Web(status=500) as bad:
        urls = f"json://127.0.0.1:{good.port} json://127.0.0.1:{bad.port}"
        begin(tmp_path, incident())
        assert not deliver(tmp_path, urls)
        bad.status = 200
        assert deliver(tmp_path, urls)
        assert deliver(tmp_path, urls)
    assert good.titles == ["[AirQino] disk_low"]
    assert bad.titles == ["[AirQino] disk_low"] * 2  # the one refused, and the one that came through


def test_who_never_heard_of_the_beginning_is_not_told_of_the_end(tmp_path: Path) -> None:
    with Web() as good, Web(status=500) as bad:
        urls = f"json://127.0.0.1:{good.port} json://127.0.0.1:{bad.port}"
        begin(tmp_path, incident())
        assert not deliver(tmp_path, urls)
        bad.status, bad.requests = 200, []
        end(tmp_path, "disk_low|")
        assert deliver(tmp_path, urls)
    assert bad.titles == []
    assert good.titles[-1] == "[AirQino] resolved: disk_low"
    assert read(tmp_path).incidents == {}


def test_an_incident_that_is_back_before_its_end_was_told_is_the_same_one(tmp_path: Path) -> None:
    with Web() as web:
        urls = f"json://127.0.0.1:{web.port}"
        begin(tmp_path, incident())
        assert deliver(tmp_path, urls)
        web.status = 500
        end(tmp_path, "disk_low|")
        assert not deliver(tmp_path, urls)
        web.status, web.requests = 200, []
        begin(tmp_path, incident())
        assert deliver(tmp_path, urls)
        assert web.titles == []
        end(tmp_path, "disk_low|")
        assert deliver(tmp_path, urls)
        assert web.titles == ["[AirQino] resolved: disk_low"]


def test_an_incident_that_is_back_while_its_end_is_told_is_told_anew(tmp_path: Path) -> None:
    with Web(seconds=0.5) as web, ThreadPoolExecutor(1) as other:
        urls = f"json://127.0.0.1:{web.port}"
        begin(tmp_path, incident())
        assert deliver(tmp_path, urls)
        end(tmp_path, "disk_low|")
        telling = other.submit(deliver, tmp_path, urls)
        while len(web.requests) < 2 and not telling.done():
            time.sleep(0.01)
        assert not telling.done()
        begin(tmp_path, incident())
        assert telling.result()
        assert deliver(tmp_path, urls)
        assert web.titles == ["[AirQino] disk_low", "[AirQino] resolved: disk_low", "[AirQino] disk_low"]


def test_an_incident_that_ends_while_its_beginning_is_told_is_told_to_be_over(tmp_path: Path) -> None:
    with Web(seconds=0.5) as web, ThreadPoolExecutor(1) as other:
        urls = f"json://127.0.0.1:{web.port}"
        begin(tmp_path, incident())
        telling = other.submit(deliver, tmp_path, urls)
        while not web.requests and not telling.done():
            time.sleep(0.01)
        end(tmp_path, "disk_low|")
        assert telling.result()
        assert deliver(tmp_path, urls)
        assert web.titles == ["[AirQino] disk_low", "[AirQino] resolved: disk_low"]


def test_who_finds_another_process_sending_waits_and_tells_what_it_found_itself(tmp_path: Path) -> None:
    with Web(seconds=1) as web:
        urls = f"json://127.0.0.1:{web.port}"
        begin(tmp_path, incident())
        env = os.environ | {"STAGING_ROOT": str(tmp_path), "ALERT_URLS": urls}
        first = subprocess.Popen([sys.executable, "-m", "tasks.instruments.delivery"], cwd=ROOT, env=env)
        while not web.requests and first.poll() is None:
            time.sleep(0.01)
        begin(tmp_path, incident("no_success"))
        assert deliver(tmp_path, urls)
        assert first.wait(30) == 0
        assert web.titles == ["[AirQino] disk_low", "[AirQino] no_success"]


def test_a_handful_are_told_one_by_one_and_a_crowd_at_once(tmp_path: Path) -> None:
    with Web() as web:
        urls = f"json://127.0.0.1:{web.port}"
        begin(tmp_path, *(incident("station_silent", f"{n}") for n in range(5)))
        assert deliver(tmp_path, urls)
        assert sorted(web.titles) == [f"[AirQino] station_silent {n}" for n in range(5)]
        web.requests.clear()
        begin(tmp_path, *(incident("sensor_dead", f"{n:02}") for n in range(40)))
        assert deliver(tmp_path, urls)
    (alert,) = web.alerts
    assert alert["title"] == "[AirQino] sensor_dead 00 and 39 more like it"
    assert all(f"sensor_dead {n:02}, since" in alert["message"] for n in range(40))


def test_a_channel_that_never_answers_takes_no_longer_than_it_may(tmp_path: Path) -> None:
    with Web(seconds=60) as slow, Web() as good:
        message = channels.Message("title", "body", "info")
        outbox = {
            "slow": (f"json://127.0.0.1:{slow.port}", [message]),
            "good": (f"json://127.0.0.1:{good.port}", [message]),
        }
        begun = datetime.now(UTC)
        results = channels.send(outbox, seconds=2)
        assert datetime.now(UTC) - begun < timedelta(seconds=4)
    assert (results["slow"].sent, results["slow"].reason) == (0, "no answer in time")
    assert results["good"] == channels.SendResult(1, "")


@pytest.mark.parametrize("url", ["json://ops:topsecret99@127.0.0.1:{port}/T0KEN12345", "nonsense://topsecret99"])
def test_a_channel_is_named_without_its_secrets(url: str, tmp_path: Path, caplog) -> None:
    url = url.format(port=free_port())
    begin(tmp_path, incident())
    assert not deliver(tmp_path, url)
    (record,) = [r for r in caplog.records if r.name == "instruments.delivery"]
    said = record.getMessage()
    assert said.startswith(f"alerts: channel 1 ({url.split(':')[0]}) failed (")
    assert "topsecret99" not in said
    assert "T0KEN12345" not in said
    assert not logging.getLogger("apprise").propagate  # what Apprise says itself, it says to nobody else


def test_pagerduty_is_given_the_key_that_lets_it_resolve(tmp_path: Path, monkeypatch) -> None:
    from apprise.plugins import pagerduty

    with Web(status=202) as web:
        # its address is not a setting; everything else is real
        monkeypatch.setitem(pagerduty.PAGERDUTY_API_LOOKUP, "us", f"http://127.0.0.1:{web.port}/v2/enqueue")
        urls = "pagerduty://integrationkey@apikey"
        begin(tmp_path, incident("station_silent", "77"))
        assert deliver(tmp_path, urls)
        end(tmp_path, "station_silent|77")
        assert deliver(tmp_path, urls)
    assert [(a["event_action"], a["dedup_key"]) for a in web.alerts] == [
        ("trigger", "station_silent|77"),
        ("resolve", "station_silent|77"),
    ]


def test_incidents_of_every_kind_have_a_place_in_order(tmp_path: Path) -> None:
    begin(tmp_path, *(incident(kind) for kind in reversed(incidents.KINDS)))
    assert [i.kind for i in read(tmp_path).open()] == list(incidents.KINDS)
