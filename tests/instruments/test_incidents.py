"""What opens and ends once, in a file that many processes share."""

import json
import multiprocessing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from support.incidents import AT, begin, end, incident

from tasks.instruments import incidents
from tasks.instruments.incidents import book, read


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


def test_a_damaged_file_is_begun_anew(tmp_path: Path) -> None:
    naive = [{"watching_since": AT.isoformat()[:19]}]
    for moments in ({"since": AT.isoformat()[:19]}, {"since": AT.isoformat(), "ended_at": AT.isoformat()[:19]}):
        one = {"kind": "no_success", "title": "", "text": ""} | moments
        naive.append({"watching_since": AT.isoformat(), "incidents": {"no_success|": one}})
    no_offset = [json.dumps(content).encode() for content in naive]
    for damage in (b"", b'{"incidents": {"x', b'{"incidents": []}', b"\xff", *no_offset):
        (tmp_path / "alerts.json").write_bytes(damage)
        assert read(tmp_path).open() == []
        begin(tmp_path, incident())
        assert [i.kind for i in read(tmp_path).open()] == ["disk_low"]
        kept = {path.read_bytes() for path in (tmp_path / "quarantine").glob("alerts.json.*")}
        assert damage in kept


def test_an_incident_of_an_unknown_kind_comes_last(tmp_path: Path) -> None:
    begin(tmp_path, incident("of_a_later_version"), incident())
    assert [i.kind for i in read(tmp_path).open()] == ["disk_low", "of_a_later_version"]


def test_incidents_of_every_kind_have_a_place_in_order(tmp_path: Path) -> None:
    begin(tmp_path, *(incident(kind) for kind in reversed(incidents.KINDS)))
    assert [i.kind for i in read(tmp_path).open()] == list(incidents.KINDS)


def test_the_file_of_the_version_before_is_read_and_written_as_it_was(tmp_path: Path) -> None:
    """Its names, on disk and in `scripts/alerts list --json`, are those of version 0.1.0."""
    content = {
        "watching_since": "2024-09-01T00:00:00Z",
        "incidents": {
            "station_silent|77": {
                "kind": "station_silent",
                "what": "77",
                "since": "2024-09-09T11:05:00Z",
                "title": "station 77 is silent",
                "text": "do something",
                "units": [],
                "ended_at": None,
                "told": {"0123456789ab": "start"},
            }
        },
    }
    (tmp_path / "alerts.json").write_text(json.dumps(content))
    (one,) = read(tmp_path).open()
    assert (one.key, one.since) == ("station_silent|77", AT)
    assert not one.pending_for("0123456789ab")
    assert one.pending_for("ba9876543210")
    begin(tmp_path, incident("disk_low"))
    written = json.loads((tmp_path / "alerts.json").read_text())
    del written["incidents"]["disk_low|"]
    assert written == content


def test_an_ended_incident_is_kept_until_its_end_is_sent_but_no_longer_than_a_day(tmp_path: Path) -> None:
    begin(tmp_path, incident("disk_low", notified={"slow": "start"}), incident("no_success", notified={"quick": "end"}))
    end(tmp_path, "disk_low|")
    end(tmp_path, "no_success|")
    with book(tmp_path) as kept:
        for hours_ago in (0, 23.9):
            kept.incidents["disk_low|"].ended_at = datetime.now(UTC) - timedelta(hours=hours_ago)
            kept.prune(["slow", "quick"])
            assert [*kept.incidents] == ["disk_low|"]
        kept.incidents["disk_low|"].ended_at = datetime.now(UTC) - timedelta(hours=24)
        kept.prune(["slow", "quick"])
        assert kept.incidents == {}
