"""The operator's word: it rebuilds its days alone, survives a back-up, and can be taken back to the byte."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bson
import pyarrow.parquet as pq
import pytest
from support.configured import use_settings
from support.deployment import OURS, ROOT, Pipeline
from support.inprocess import forget

from airqino.sandbox.mongod import Mongod
from airqino.sandbox.server import Sandbox
from airqino.stores import parquet
from tasks.clean import CleanDay

LIVE, OTHER = "283181971", "283164601"
START = datetime(2026, 3, 1, tzinfo=UTC)
#: Of the staged days, one in the middle: before the late window of every run here, with more than a week on each side.
DAY = datetime(2026, 3, 10, tzinfo=UTC)
NOW = datetime(2026, 3, 25, 12, 5, tzinfo=UTC)
HOURS = 24 * 25
SPAN = f"{DAY:%Y-%m-%d}T10..{DAY:%Y-%m-%d}T12"


def value(hour: int) -> dict[str, float]:
    """Readings that no test objects to: PM2.5 moves by 1 around 20, PM10 is 10 more, CO is never at its floor."""
    fine = 20 + hour % 7 - (hour // 7) % 3
    return {"CO": 0.5 + 0.1 * (hour % 5), "PM2.5": fine, "PM10": fine + 10, "RH": 50 + hour % 3, "O3": 40 + hour % 11}


@pytest.fixture(scope="module")
def api() -> Iterator[Sandbox]:
    with Sandbox(now=NOW) as server:
        for station in (LIVE, OTHER):
            for hour in range(HOURS):
                server.override(station, START + timedelta(hours=hour), value(hour))
        yield server


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory, mongod: Mongod, api: Sandbox) -> Iterator[Pipeline]:
    """Twenty-five days that are final as far as they can be, and an hourly run after them."""
    folder = tmp_path_factory.mktemp("loaded")
    made = Pipeline(folder / "staging", mongod, api.url, AIRQINO_NOW=f"{NOW:%Y-%m-%dT%H:%M}")
    made.configure(folder / "luigi.cfg", late_window_hours=30)  # not nine days to look at: faster runs
    done = made.backfill(f"{START:%Y-%m-%dT%H}", "2026-03-25T10")
    assert done.returncode == 0, done.stderr
    hourly(made)
    yield made
    made.close()


@pytest.fixture
def pipeline(tmp_path: Path, loaded: Pipeline) -> Iterator[Pipeline]:
    with loaded.copied(tmp_path / "staging") as made:
        yield made


def hourly(pipeline: Pipeline, minutes: int = 0) -> None:
    done = pipeline.hourly(f"{NOW + timedelta(minutes=minutes):%Y-%m-%dT%H:%M}")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def note(pipeline: Pipeline, *arguments: str) -> str:
    done = pipeline.script("note", *arguments, "--why", "a lorry stood beside it", "--who", "Awa")
    assert done.returncode == 0, done.stderr
    return done.stdout.split(":")[0]


def files(pipeline: Pipeline) -> dict[str, tuple[bytes, int]]:
    """Each derived table: its bytes, and when it was written."""
    paths = sorted(pipeline.root.glob("*-*-*/*.parquet"))
    return {f"{path.relative_to(pipeline.root)}": (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def content(tables: dict[str, tuple[bytes, int]]) -> dict[str, tuple[dict[str, str], Any]]:
    """Each table's rows and what else is kept with them, but which files were looked at when it was built."""
    found = {name: parquet.decode(Path(name), written) for name, (written, _) in tables.items()}
    texts = {name: parquet.texts_in(table) for name, table in found.items()}
    of_looking = ("basis", "checksum")
    kept = {name: {k: v for k, v in of.items() if k not in of_looking} for name, of in texts.items()}
    return {name: (kept[name], table.to_pydict()) for name, table in found.items()}


def documents(pipeline: Pipeline) -> dict[str, dict[str, dict[str, Any]]]:
    """All documents of the days, whole."""
    names = ("hourly_measurements", "daily_averages", "coverage", "profiles", "stations", "forecasts", "loads")
    found = {name: {d["_id"]: d for d in pipeline.database[name].find()} for name in names}
    found["loads"].pop("notes", None)
    return found


def different(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


def row(pipeline: Pipeline, hour: int) -> dict[str, Any]:
    table = pq.read_table(pipeline.root / f"{DAY:%Y-%m-%d}" / "hourly.parquet").to_pylist()
    (found,) = (r for r in table if r["station"] == LIVE and r["observed_at"] == DAY + timedelta(hours=hour))
    return found


def daily(pipeline: Pipeline, station: str = LIVE) -> dict[str, Any]:
    found = pipeline.database["daily_averages"].find_one({"_id": f"{station}|{DAY:%Y-%m-%d}"})
    assert found
    return found


def fine_of(hours: range | list[int]) -> list[float]:
    first = int((DAY - START) / timedelta(hours=1))
    return [value(first + hour)["PM2.5"] for hour in hours]


def test_what_is_invalidated_leaves_the_numbers_of_its_day_alone_and_comes_back_to_the_byte(
    pipeline: Pipeline, api: Sandbox
) -> None:
    tables, stored = files(pipeline), documents(pipeline)
    assert daily(pipeline)["pm2_5_quality"] == "ok", "or the test shows nothing"
    api.reset()
    key = note(pipeline, "invalidate", LIVE, "PM2.5", SPAN)
    hourly(pipeline)
    assert api.stats()["data_requests"] == 0
    after = files(pipeline)
    # the day, before the late window, and no other: neither written anew nor with another byte
    assert different(tables, after) == {f"{DAY:%Y-%m-%d}/hourly.parquet", f"{DAY:%Y-%m-%d}/daily.parquet"}
    loads = different(stored["loads"], documents(pipeline)["loads"])
    assert loads == {f"day|{DAY:%Y-%m-%d}"}
    found = daily(pipeline)
    kept = fine_of([hour for hour in range(24) if hour not in (10, 11, 12)])
    assert found["pm2_5_mean"] == pytest.approx(sum(fine_of(range(24))) / 24, abs=1e-12)  # as reported, always
    assert found["pm2_5_checked_mean"] == pytest.approx(sum(kept) / 21, abs=1e-12)
    assert (found["pm2_5_checked_hours"], found["pm2_5_quality"]) == (21, "checked")
    assert found["pm2_5_left_out"] == "3 h invalidated"
    assert (found["notes"], daily(pipeline, OTHER)["notes"]) == ([key], [])
    assert [row(pipeline, hour)["pm2_5_flag"] for hour in (9, 10, 12, 13)] == ["ok", "invalidated", "invalidated", "ok"]
    assert row(pipeline, 10)["pm2_5"] == fine_of([10])[0]  # the value is kept
    assert row(pipeline, 10)["pm10_flag"] == "ok"
    (erratum,) = pipeline.database["errata"].find()
    assert erratum == {
        "note": key,
        "station": LIVE,
        "station_name": "Cocody (SMART189)",
        "reading": "PM2.5",
        "kind": "invalidate",
        "first_hour": DAY + timedelta(hours=10),
        "last_hour": DAY + timedelta(hours=12),
        "slope": None,
        "zero_offset": None,
        "who": "Awa",
        "why": "a lorry stood beside it",
        "noted_at": NOW,
    }
    # nothing is left to do
    hourly(pipeline, 1)
    assert files(pipeline) == after

    note(pipeline, "revoke", key)
    hourly(pipeline, 2)
    assert content(files(pipeline)) == content(tables)
    again = documents(pipeline)
    assert {d["_id"] for d in again["loads"].values() if d["loaded_at"] > NOW} <= {f"day|{DAY:%Y-%m-%d}", "stations"}
    for name in again:
        now, was = (
            {k: {f: v for f, v in d.items() if f != "loaded_at"} for k, d in of[name].items()} for of in (again, stored)
        )
        assert now == was, name
    assert list(pipeline.database["errata"].find()) == []
    (kept_note,) = pipeline.database["notes"].find()
    assert (kept_note["active"], kept_note["revoked_by"]) == (False, "Awa")


def test_a_calibration_rebuilds_its_days_at_once_by_one_command_and_keeps_what_was_reported(
    pipeline: Pipeline, api: Sandbox
) -> None:
    tables = files(pipeline)
    api.reset()
    last = f"{DAY + timedelta(days=1):%Y-%m-%d}"
    key = note(
        pipeline, "calibrate", LIVE, "pm2_5", f"{DAY:%Y-%m-%d}..{last}", "--slope", "0.5", "--offset", "3", "--now"
    )
    assert api.stats()["data_requests"] == 0
    days = {f"{DAY:%Y-%m-%d}", last}
    rewritten = {name.split("/")[0] for name in different(tables, files(pipeline))}
    # the level of the days after it is another one, for as many days as it rests on them
    assert days <= rewritten <= days | {f"{DAY + timedelta(days=n):%Y-%m-%d}" for n in range(-1, 9)}
    calibrated = [0.5 * fine + 3 for fine in fine_of(range(24))]
    found = daily(pipeline)
    assert found["pm2_5_checked_mean"] == pytest.approx(sum(calibrated) / 24, abs=1e-12)
    assert found["pm2_5_mean"] == pytest.approx(sum(fine_of(range(24))) / 24, abs=1e-12)
    assert found["notes"] == [key]
    assert (row(pipeline, 5)["pm2_5"], row(pipeline, 5)["pm2_5_raw"]) == (calibrated[5], fine_of([5])[0])
    assert row(pipeline, 5)["pm10_raw"] is None
    hour = pipeline.database["hourly_measurements"].find_one({"_id": f"{LIVE}|{DAY:%Y-%m-%d}T05"})
    assert (hour["pm2_5"], hour["pm2_5_raw"]) == (calibrated[5], fine_of([5])[0])
    # no day that depends on it was left out: all tables made anew, from the raw hours and the notes, are the same
    applied = content(files(pipeline))
    for name in applied:
        if name.endswith(("hourly.parquet", "daily.parquet")):
            (pipeline.root / name).unlink()
    done = pipeline.luigi("DailyMeans", "--day", f"{START:%Y-%m-%d}..2026-03-25")
    assert done.returncode == 0, done.stderr
    assert content(files(pipeline)) == applied
    note(pipeline, "revoke", key, "--now")
    assert content(files(pipeline)) == content(tables)


def test_a_comment_changes_no_table_and_is_named_with_its_day(pipeline: Pipeline) -> None:
    tables, stored = files(pipeline), documents(pipeline)
    key = note(pipeline, "comment", LIVE, "all", f"{DAY:%Y-%m-%d}", "--now")
    assert files(pipeline) == tables
    after = documents(pipeline)
    assert different(stored["daily_averages"], after["daily_averages"]) == {f"{LIVE}|{DAY:%Y-%m-%d}"}
    assert daily(pipeline)["notes"] == [key]
    assert after["hourly_measurements"] == stored["hourly_measurements"]


def test_a_long_span_is_built_by_one_run_after_the_other_the_newest_days_first(pipeline: Pipeline) -> None:
    note(pipeline, "calibrate", LIVE, "co", f"{START:%Y-%m-%d}..", "--slope", "2")
    code = "from tasks import errata; errata._CHUNK = 10; print(len(errata.apply(seconds=0)))"
    for left in (15, 5, 0):
        done = subprocess.run(
            [sys.executable, "-c", code], env=pipeline.env, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert int(done.stdout) == (10 if left else 5)
        raw = {d["day"] for d in pipeline.database["hourly_measurements"].find({"co_raw": {"$ne": None}})}
        assert sorted(raw) == [f"{START + timedelta(days=n):%Y-%m-%d}" for n in range(left, 25)]
        assert len(pipeline.database["loads"].find_one({"_id": "notes"})["pending"]) == left


@pytest.mark.drill
def test_notes_survive_a_new_staging_root_and_an_empty_database(tmp_path: Path, pipeline: Pipeline) -> None:
    gone = note(pipeline, "comment", OTHER, "all", SPAN)
    note(pipeline, "invalidate", LIVE, "all", SPAN)
    note(pipeline, "revoke", gone, "--now")
    tables, stored = files(pipeline), documents(pipeline)
    written = (pipeline.root / "operator" / "notes.jsonl").read_bytes()
    assert pipeline.script("backup", str(tmp_path / "backups")).returncode == 0
    (archive,) = (tmp_path / "backups").iterdir()
    pipeline.client.drop_database(pipeline.database_name)
    shutil.rmtree(pipeline.root)
    done = pipeline.script("restore", str(archive), "--only", "staging")
    assert done.returncode == 0, done.stderr
    assert (pipeline.root / "operator" / "notes.jsonl").read_bytes() == written
    done = pipeline.backfill(f"{START:%Y-%m-%dT%H}", "2026-03-25T10")
    assert done.returncode == 0, done.stderr
    hourly(pipeline)
    assert content(files(pipeline)) == content(tables)
    again = documents(pipeline)
    for name in ("hourly_measurements", "daily_averages", "coverage", "profiles"):
        assert again[name] == stored[name], name
    assert [d["kind"] for d in pipeline.database["errata"].find()] == ["invalidate"]


def _list(pipeline: Pipeline) -> None:
    assert "calibrate" in pipeline.script("note", "list").stdout


def _verify(pipeline: Pipeline) -> None:
    assert pipeline.script("verify", f"{DAY:%Y-%m-%d}").returncode == 0


def _backfill(pipeline: Pipeline) -> None:
    assert pipeline.backfill(f"{DAY:%Y-%m-%d}T00", f"{DAY:%Y-%m-%d}T23").returncode == 0


@pytest.mark.parametrize(
    "restore", [hourly, _list, *(pytest.param(of, marks=pytest.mark.drill) for of in (_verify, _backfill))]
)
def test_a_file_that_is_gone_is_written_again_from_mongodb(
    pipeline: Pipeline, restore: Callable[[Pipeline], None]
) -> None:
    gone = note(pipeline, "comment", OTHER, "all", SPAN)
    note(pipeline, "calibrate", LIVE, "co", SPAN, "--slope", "1.5", "--offset", "-0.25")
    note(pipeline, "revoke", gone, "--now")
    tables, path = files(pipeline), pipeline.root / "operator" / "notes.jsonl"
    written = path.read_bytes()
    path.unlink()
    done = pipeline.luigi("LoadDay", "--day", f"{DAY:%Y-%m-%d}")  # does not go on without it
    assert done.returncode != 0
    assert f"{path} is gone: scripts/note list brings it back from MongoDB" in done.stderr
    restore(pipeline)
    assert path.read_bytes() == written
    hourly(pipeline)
    assert content(files(pipeline)) == content(tables)


def test_days_that_were_built_while_the_notes_were_lost_are_built_again(pipeline: Pipeline) -> None:
    note(pipeline, "invalidate", LIVE, "pm2_5", SPAN, "--now")
    tables = files(pipeline)
    shutil.rmtree(pipeline.root / "operator")  # so that nothing says that there were any
    assert pipeline.luigi("LoadDay", "--day", f"{DAY:%Y-%m-%d}").returncode == 0
    assert content(files(pipeline)) != content(tables)
    hourly(pipeline)
    assert content(files(pipeline)) == content(tables)
    assert daily(pipeline)["pm2_5_checked_hours"] == 21


def test_a_folder_of_notes_that_nobody_wrote_is_named_with_what_to_do(pipeline: Pipeline) -> None:
    (pipeline.root / "operator").mkdir()
    done = pipeline.hourly(f"{NOW:%Y-%m-%dT%H:%M}")
    assert done.returncode != 0
    assert f"or remove the empty folder {pipeline.root / 'operator'} if there never was a note" in done.stderr
    (pipeline.root / "operator").rmdir()
    hourly(pipeline)


def test_a_note_after_the_file_was_lost_erases_no_earlier_one(pipeline: Pipeline) -> None:
    first = note(pipeline, "invalidate", LIVE, "pm2_5", SPAN, "--now")
    (pipeline.root / "operator" / "notes.jsonl").unlink()
    second = note(pipeline, "comment", OTHER, "all", SPAN, "--now")
    assert [d["_id"] for d in pipeline.database["notes"].find({"active": True}).sort("_id")] == [first, second]
    assert daily(pipeline)["pm2_5_checked_hours"] == 21


def test_an_id_that_comes_to_mean_something_else_rebuilds_the_days_of_both(pipeline: Pipeline) -> None:
    note(pipeline, "invalidate", LIVE, "pm2_5", SPAN, "--now")
    path = pipeline.root / "operator" / "notes.jsonl"
    header, line = path.read_text().splitlines()
    later = DAY + timedelta(days=3)
    path.write_text(f"{header}\n{line.replace(f'{DAY:%Y-%m-%d}T', f'{later:%Y-%m-%d}T')}\n")
    assert pipeline.script("note", "apply").returncode == 0
    assert (daily(pipeline)["pm2_5_checked_hours"], daily(pipeline)["notes"]) == (24, [])
    of_later = pipeline.database["daily_averages"].find_one({"_id": f"{LIVE}|{later:%Y-%m-%d}"}) or {}
    assert of_later["pm2_5_checked_hours"] == 21


def test_a_backfill_under_a_new_staging_root_knows_the_notes_that_only_mongodb_has(pipeline: Pipeline) -> None:
    note(pipeline, "invalidate", LIVE, "pm2_5", SPAN, "--now")
    shutil.rmtree(pipeline.root)
    done = pipeline.backfill(f"{DAY:%Y-%m-%d}T00", f"{DAY:%Y-%m-%d}T23")
    assert done.returncode == 0, done.stderr
    assert [row(pipeline, hour)["pm2_5_flag"] for hour in (9, 10)] == ["ok", "invalidated"]
    assert daily(pipeline)["pm2_5_checked_hours"] == 21


def load_notes(pipeline: Pipeline) -> str:
    done = pipeline.luigi("LoadNotes")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.drill
def test_where_it_is_not_legible_which_days_are_left_all_notes_are_looked_at_anew(pipeline: Pipeline) -> None:
    note(pipeline, "invalidate", LIVE, "all", SPAN, "--now")
    tables, loads = files(pipeline), pipeline.database["loads"]
    record = loads.find_one({"_id": "notes"}) or {}
    for pending in (["x"], 5, None):
        loads.update_one({"_id": "notes"}, {"$set": {"pending": pending}})
        (pipeline.root / f"{DAY:%Y-%m-%d}" / "hourly.parquet").unlink()
        load_notes(pipeline)
        assert content(files(pipeline)) == content(tables), pending
        assert (loads.find_one({"_id": "notes"}) or {})["pending"] == record["pending"] == []
    # legible, but no days that are there; and not told by which run
    for pending in ([f"{DAY:%Y-%m-%d}"], ["9999-12-31", "0001-01-01"]):
        loads.update_one({"_id": "notes"}, {"$set": {"pending": pending}, "$unset": {"run": ""}})
        load_notes(pipeline)
        assert (loads.find_one({"_id": "notes"}) or {})["pending"] == []


def test_what_is_no_document_of_a_note_of_ours_is_told_once_and_left_alone(pipeline: Pipeline) -> None:
    gone = note(pipeline, "calibrate", LIVE, "co", SPAN, "--slope", "1.5", "--offset", "-0.25")
    note(pipeline, "invalidate", OTHER, "all", SPAN)
    note(pipeline, "revoke", gone, "--now")
    path, notes = pipeline.root / "operator" / "notes.jsonl", pipeline.database["notes"]
    written, ours = path.read_bytes(), list(notes.find())
    whole = notes.find_one({"_id": gone}) or {}
    empty = {"first_hour": None}, {"last_hour": None, "kind": "invalidate"}, {"first_hour": "2026-03-10"}, {"who": ""}
    typed = {"slope": "2"}, {"slope": float("nan")}, {"station": 5}, {"noted_at": None}, {"kind": "odd"}, {"why": []}
    revoked = {"revocation": 5}, {"revocation": "x"}, {"revoked_at": None}, {"revoked_at": START}, {"active": "yes"}
    strays: list[dict[str, Any]] = [
        whole | {"_id": f"{NOW:%Y-%m-%d}-{number}"} | edit
        for number, edit in enumerate((*empty, *typed, *revoked), start=10)
    ]
    strays += [whole | {"_id": key} for key in ("x", 5, {"of": "a tool"}, f"{START:%Y-%m-%d}-1")]
    notes.insert_many(strays)
    not_ours = {"$in": [stray["_id"] for stray in strays]}
    told = load_notes(pipeline)
    for stray in strays:
        assert told.count(f"the document {stray['_id']!r} is not of a note of ours: left alone") == 1, told
    # what is ours is mended, however it was edited
    notes.update_one({"_id": gone}, {"$set": {"first_hour": None}})
    load_notes(pipeline)
    assert list(notes.find({"_id": {"$not": not_ours}})) == ours
    # and restored alone, without a note whose line was gone before the file was
    left = {"active": False, **dict.fromkeys(("revocation", "revoked_by", "revoked_why", "revoked_at"))}
    notes.insert_one(whole | left | {"_id": f"{NOW:%Y-%m-%d}-99"})
    path.unlink()
    load_notes(pipeline)
    assert path.read_bytes() == written
    assert {bson.encode(d) for d in notes.find({"_id": not_ours})} == {bson.encode(stray) for stray in strays}


def test_a_damaged_file_stops_the_run_and_names_the_line(pipeline: Pipeline) -> None:
    note(pipeline, "invalidate", LIVE, "all", SPAN, "--now")
    tables, path = files(pipeline), pipeline.root / "operator" / "notes.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    done = pipeline.hourly(f"{NOW + timedelta(minutes=1):%Y-%m-%dT%H:%M}")
    assert done.returncode != 0
    assert f"{path} line 2 is no note" in done.stderr + done.stdout
    assert files(pipeline) == tables
    for arguments in (["list"], ["apply"], ["comment", LIVE, "all", SPAN, "--why", "x"]):
        refused = pipeline.script("note", *arguments)
        assert refused.returncode == 2
        assert f"{path} line 2 is no note" in refused.stderr
        assert "Traceback" not in refused.stderr


def test_a_process_sees_a_note_that_is_written_while_it_runs(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next day as well: its context was computed before the note, and is another one now."""
    ours = {name: text for name, text in pipeline.env.items() if name.startswith(OURS)}
    use_settings(monkeypatch, [ROOT / "luigi.cfg"], ours)
    forget()
    task = CleanDay(day=[(DAY + timedelta(days=n)).date() for n in range(-2, 4)])
    assert task.unfinished() == set()
    note(pipeline, "invalidate", LIVE, "all", f"{DAY:%Y-%m-%d}T20..{DAY:%Y-%m-%d}T23")
    seen = task.unfinished()
    assert seen == {DAY.date(), (DAY + timedelta(days=1)).date()}
    forget()
    assert task.unfinished() == seen, "a new process sees the same"
    forget()


def test_hindcasts_do_not_know_what_was_invalidated(pipeline: Pipeline) -> None:
    hour = f"{DAY:%Y-%m-%d}T12"
    note(pipeline, "invalidate", LIVE, "pm2_5", SPAN, "--now")
    done = pipeline.luigi("Forecast", "--hour", hour)
    assert done.returncode == 0, done.stderr
    rows = pq.read_table(pipeline.root / f"{DAY:%Y-%m-%d}" / "forecast" / "12.parquet").to_pylist()
    last = {(r["station"], r["pollutant"]): r["last_observed_at"] for r in rows}
    assert last[LIVE, "pm2_5"] == DAY + timedelta(hours=9)
    assert last[OTHER, "pm2_5"] == last[LIVE, "co"] == DAY + timedelta(hours=12)
