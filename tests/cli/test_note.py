"""airqino note: what is written, what is listed, and what is refused."""

import getpass
import json
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.configured import Configured

from airqino.quality.notes import Note
from airqino.sandbox import series
from airqino.sandbox.mongod import Mongod
from airqino.stores import notebook
from tasks.cli.main import main

A, B = series.DEFAULT_STATIONS
CFG = f"[airqino]\nstations = {A},{B}\n\n[stations.{A}]\nname = Port\n[stations.{B}]\nname = Lycée\n"
WHY = ("--why", "a lorry stood beside it")


@pytest.fixture
def root(configure: Configured, mongod: Mongod) -> Path:
    """A deployment's staging root; before its first note, MongoDB is asked whether it holds any."""
    configure(CFG, AIRQINO_NOW="2024-09-09T10:30:17", MONGODB_URI=mongod.uri, MONGODB_DATABASE="test_note")
    return configure.root


def test_the_first_note_asks_mongodb_whether_there_are_others(
    configure: Configured, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(CFG, MONGODB_URI="mongodb://127.0.0.1:9/")
    assert "MongoDB at mongodb://127.0.0.1:9/" in refused(capsys, "comment", A, "all", "2024-09-08", *WHY)
    assert not (configure.root / "operator").exists()


def listed(capsys: pytest.CaptureFixture[str], *options: str) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert main(["note", "list", "--json", *options]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(["note", *arguments]) == 2
    told = capsys.readouterr().err
    assert "Traceback" not in told
    return told


def test_a_note_keeps_who_when_and_why(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(
            [
                "note",
                "invalidate",
                "Port",
                "PM2.5",
                "2024-09-08T10..2024-09-08T12",
                "--why",
                " a  lorry\n",
                "--who",
                "Awa",
            ]
        )
        == 0
    )
    shown = capsys.readouterr().out
    assert shown == (
        f"2024-09-09-1: invalidate PM2.5 of Port ({A}), 2024-09-08T10 to 2024-09-08T12\n"
        "the next hourly run builds what depends on it; at once: scripts/note apply\n"
    )
    header, line = (root / "operator" / "notes.jsonl").read_text().splitlines()
    assert json.loads(header) == {"format": "airqino-notes", "version": 1}
    assert json.loads(line) == {
        "id": "2024-09-09-1",
        "kind": "invalidate",
        "station": A,
        "reading": "pm2_5",
        "first": "2024-09-08T10:00:00Z",
        "last": "2024-09-08T12:00:00Z",
        "who": "Awa",
        "why": "a lorry",
        "noted_at": "2024-09-09T10:30:17Z",
        "slope": 1.0,
        "offset": 0.0,
        "revokes": "",
    }


@pytest.mark.parametrize(
    ("span", "first", "last"),
    [
        ("2024-09-08T10", "2024-09-08T10", "2024-09-08T10"),
        ("2024-09-08", "2024-09-08T00", "2024-09-08T23"),
        ("2024-09-07..2024-09-08", "2024-09-07T00", "2024-09-08T23"),
        ("2024-09-07T05..2024-09-08", "2024-09-07T05", "2024-09-08T23"),
    ],
)
def test_a_span_is_of_hours_or_of_whole_days(
    root: Path, capsys: pytest.CaptureFixture[str], span: str, first: str, last: str
) -> None:
    assert main(["note", "comment", B, "all", span, *WHY]) == 0
    (note,) = listed(capsys)
    assert (note["first"][:13], note["last"][:13], note["reading"]) == (first, last, "")
    assert note["who"] == getpass.getuser()


def test_a_calibration_may_be_without_an_end(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["note", "calibrate", A, "co", "--slope", "1.5", "--offset", "-0.25", "2024-09-01..", *WHY]) == 0
    assert "1.5 times what was reported -0.25 mg/m³" in capsys.readouterr().out
    (note,) = listed(capsys)
    assert (note["slope"], note["offset"], note["last"]) == (1.5, -0.25, None)
    assert main(["note", "list"]) == 0
    assert "2024-09-01T00 to further notice" in capsys.readouterr().out


def test_what_is_taken_back_is_listed_only_when_asked_for(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["note", "list"]) == 0
    assert capsys.readouterr().out == "there are no notes\n"
    for station in (A, B):
        assert main(["note", "invalidate", station, "all", "2024-09-08", *WHY]) == 0
    assert main(["note", "revoke", "2024-09-09-1", *WHY]) == 0
    assert [note["id"] for note in listed(capsys)] == ["2024-09-09-2"]
    assert [note["id"] for note in listed(capsys, "--station", "Lycée")] == ["2024-09-09-2"]
    assert listed(capsys, "--station", A) == []
    assert [note["id"] for note in listed(capsys, "--all")] == ["2024-09-09-1", "2024-09-09-2", "2024-09-09-3"]
    assert main(["note", "list", "--all"]) == 0
    shown = capsys.readouterr().out
    assert "(taken back)" in shown
    assert "takes 2024-09-09-1 back" in shown


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ("invalidate", "Harbour", "co", "2024-09-08"),
            f"there is no station Harbour; there are {B} (Lycée), {A} (Port)",
        ),
        (("invalidate", A, "pm1", "2024-09-08"), "there is no reading pm1; there are co, no2"),
        (("invalidate", A, "co", "yesterday"), "'yesterday' is no time: write an hour"),
        (("invalidate", A, "co", "2024-09-08T25"), "'2024-09-08T25' is no time"),
        (
            ("invalidate", A, "co", "2024-09-08.."),
            "say where the span ends, as in 2024-03..2024-04; only a calibration",
        ),
        (("restore", A, "co", "2024-09-08..2024-09-07"), "swap them"),
        (("calibrate", A, "all", "2024-09-08..", "--slope", "2"), "a calibration is of one of co"),
        (("calibrate", A, "rh", "2024-09-08..", "--slope", "2"), "a calibration is of one of co"),
        (("calibrate", A, "co", "2024-09-08..", "--slope", "0"), "slope must be a number above 0"),
        (("calibrate", A, "co", "2024-09-08..", "--slope", "two"), "invalid float value: 'two'"),
        (("calibrate", A, "co", "2024-09-08.."), "neither --slope nor --offset changes anything"),
        (("revoke", "7"), "there is no note 7 to revoke"),
        (("invalidate", A, "co", "2024-09-08", "--who", " "), "must not be empty"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_written(
    root: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], told: str
) -> None:
    assert told in refused(capsys, *arguments, *WHY)
    assert not (root / "operator").exists()


def test_a_reason_is_asked_for(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--why" in refused(capsys, "invalidate", A, "co", "2024-09-08")
    assert "must not be empty" in refused(capsys, "invalidate", A, "co", "2024-09-08", "--why", " ")


def test_a_note_cannot_be_taken_back_twice(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["note", "comment", A, "all", "2024-09-08", *WHY]) == 0
    assert main(["note", "revoke", "2024-09-09-1", *WHY]) == 0
    assert "revoked already" in refused(capsys, "revoke", "2024-09-09-1", *WHY)
    assert "write that one again" in refused(capsys, "revoke", "2024-09-09-2", *WHY)


@pytest.mark.parametrize("command", [[], ["invalidate"], ["calibrate"], ["revoke"], ["list"], ["apply"]])
def test_help_says_what_a_command_is_for(root: Path, capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    assert main(["note", *command, "--help"]) == 0
    assert "usage: airqino note" in capsys.readouterr().out


GOOD = (
    b'{"id":"2024-09-09-1","kind":"comment","station":"a","who":"A","why":"b","noted_at":"2024-09-09T10:30:17Z",'
    b'"first":"2024-09-08T10:00:00Z","last":"2024-09-08T10:00:00Z"}'
)
HEADER = b'{"format": "airqino-notes", "version": 1}'


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "line 1 is no note: it does not begin with"),
        (GOOD, "line 1 is no note: it does not begin with"),
        (b'{"format": "airqino-notes", "version": 2}\n', "is of version 2, this program knows 1: upgrade it"),
        (HEADER + b"\n" + GOOD[:-9], "line 2 is no note"),
        (HEADER + b"\n\n" + GOOD, "line 2 is no note"),
        (HEADER + b"\n" + GOOD + b"\n" + GOOD, "line 3 is no note: id 2024-09-09-1 is that of an earlier note"),
        (HEADER + b"\n" + GOOD.replace(b"T10:30:17Z", b""), "line 2 is no note"),
        (HEADER + b"\n\xff\xfe", "line 2 is no note"),
    ],
)
def test_a_damaged_file_is_told_with_its_line_and_left_alone(
    root: Path, capsys: pytest.CaptureFixture[str], content: bytes, told: str
) -> None:
    path = root / "operator" / "notes.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert f"{path} {told}" in refused(capsys, "list")
    assert f"{path} {told}" in refused(capsys, "comment", A, "all", "2024-09-08", *WHY)
    assert path.read_bytes() == content


def test_of_many_that_write_at_once_each_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "operator" / "notes.jsonl"
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("fork")) as pool:
        made = list(pool.map(write, [path] * 20, range(20)))
    kept = notebook.read(path)
    assert [note.id for note in kept] == [f"2024-09-09-{number}" for number in range(1, 21)]
    assert sorted(note.why for note in kept) == sorted(f"by {number}" for number in range(20))
    assert sorted(note.id for note in kept) == sorted(made)


def write(path: Path, number: int) -> str:
    def made(before: Sequence[Note]) -> Note:
        said = msgspec.json.decode(GOOD, type=Note)
        return replace(said, id=f"2024-09-09-{len(before) + 1}", why=f"by {number}")

    return notebook.add(path, path.parent.parent / "lock", made).id
