"""Which messages a channel gets, once each, and what channels that fail or hang cannot do."""

import logging
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.deployment import ROOT
from support.incidents import begin, end, incident
from support.receivers import Web

from airqino.sandbox.mongod import free_port
from tasks.instruments import channels
from tasks.instruments.delivery import deliver
from tasks.instruments.incidents import read


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


def test_a_channel_that_got_the_end_gets_a_new_start_and_one_that_did_not_gets_none(tmp_path: Path) -> None:
    with Web() as good, Web() as bad:
        urls = f"json://127.0.0.1:{good.port} json://127.0.0.1:{bad.port}"
        begin(tmp_path, incident())
        assert deliver(tmp_path, urls)
        bad.status = 500
        end(tmp_path, "disk_low|")
        assert not deliver(tmp_path, urls)
        bad.status, bad.requests = 200, []
        begin(tmp_path, incident())
        assert deliver(tmp_path, urls)
        end(tmp_path, "disk_low|")
        assert deliver(tmp_path, urls)
    assert good.titles == ["[AirQino] disk_low", "[AirQino] resolved: disk_low"] * 2
    assert bad.titles == ["[AirQino] resolved: disk_low"]
