"""What is stored is what was meant: documents that somebody changed are found and mended, and strays stop nothing."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import bson
import pytest
from bson.codec_options import DatetimeConversion
from bson.datetime_ms import DatetimeMS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.collection import Collection
from support.deployment import Pipeline
from support.inprocess import configured

from airqino.sandbox.mongod import Mongod
from airqino.sandbox.server import Sandbox
from tasks.verify import verify

Document = dict[str, Any]

NOW = datetime(2026, 3, 20, 10, 25, tzinfo=UTC)
FIRST = date(2026, 2, 20)
TODAY, YESTERDAY = date(2026, 3, 20), date(2026, 3, 19)
STATION = "283181971"
#: Collection → the field that tells the day.
DAY_FIELD = {
    "hourly_measurements": "observed_at",
    "daily_averages": "day",
    "coverage": "day",
    "revisions": "observed_at",
    "forecasts": "issued_at",
    "forecast_scores": "day",
}
ROW = {"CO": 0.61, "NO2": 12.0, "O3": 30.0, "PM10": 41.0, "PM2.5": 21.0, "T": 27.0, "RH": 81, "T. int.": 700}
OF_DAYS = list(DAY_FIELD)[:4]
#: A moment that Python has no datetime for.
BEYOND = DatetimeMS(10**15)


def edited(document: Document) -> Document:
    name = next(n for n, value in document.items() if isinstance(value, float | int) and not isinstance(value, bool))
    return document | {name: document[name] + 1}


def of_another_type(document: Document) -> Document:
    name = next(n for n, value in document.items() if isinstance(value, float | int) and not isinstance(value, bool))
    return document | {name: f"{document[name]}"}


def in_another_order(document: Document) -> Document:
    return {"_id": document["_id"]} | dict(reversed(document.items()))


def on_another_day(document: Document) -> Document:
    return {
        n: "2031-01-01" if n == "day" else datetime(2031, 1, 1) if n.endswith("_at") else v for n, v in document.items()
    }


#: What somebody does to a document: what it then is; None: gone.
DAMAGES: dict[str, Callable[[Document], Document | None]] = {
    "deleted": lambda document: None,
    "edited": edited,
    "of another type": of_another_type,
    "a field more": lambda document: document | {"note": "by hand"},
    "in another order": in_another_order,
    "on another day": on_another_day,
    "nothing but its id": lambda document: {"_id": document["_id"]},
    "beyond the calendar": lambda document: (
        document | {n: BEYOND for n in document if n.endswith("_at")} | {"day": BEYOND}
    ),
    "without a station": lambda document: document | {"station": ["SMART189", 5]},
}


def made(folder: Path, mongod: Mongod, api: Sandbox) -> Pipeline:
    pipeline = Pipeline(folder / "staging", mongod, api.url, AIRQINO_NOW=f"{NOW:%Y-%m-%dT%H:%M}")
    span = f"{FIRST}T00", "2026-03-20T08"
    assert pipeline.backfill(*span, AIRQINO_NOW="2026-03-20T10:05").returncode == 0
    for day in range(29):  # the source changes a value of each day
        api.override(STATION, datetime(FIRST.year, FIRST.month, FIRST.day, 6, tzinfo=UTC) + timedelta(days=day), ROW)
    for done in (
        pipeline.backfill(*span, "--again"),
        pipeline.hourly(),
        pipeline.backfill("2026-03-02T00", "2026-03-02T05", "--hindcast"),
    ):
        assert done.returncode == 0, done.stderr
    return pipeline


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory, mongod: Mongod) -> Iterator[tuple[Pipeline, Sandbox]]:
    """A month, forecasts of some hours and scores among it."""
    with Sandbox(now=NOW) as api:
        pipeline = made(tmp_path_factory.mktemp("verify"), mongod, api)
        yield pipeline, api
        pipeline.close()


def stored(pipeline: Pipeline) -> dict[str, dict[str, bytes]]:
    """Every document byte by byte."""
    return {name: {f"{d['_id']}": bytes(bson.encode(d)) for d in lenient(pipeline)[name].find()} for name in DAY_FIELD}


def unequal(one: dict[str, dict[str, bytes]], other: dict[str, dict[str, bytes]]) -> list[str]:
    """The documents that are not the same, byte by byte, in two states."""
    keys = {(name, key) for state in (one, other) for name, of in state.items() for key in of}
    return sorted(f"{name} {key}" for name, key in keys if one[name].get(key) != other[name].get(key))


def lenient(pipeline: Pipeline) -> Any:
    options = bson.CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_AUTO, tz_aware=True)
    return pipeline.client.get_database(pipeline.database_name, codec_options=options)


def of_day(pipeline: Pipeline, collection: str, day: date) -> list[Document]:
    field = DAY_FIELD[collection]
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    where = f"{day}" if field == "day" else {"$gte": start, "$lt": start + timedelta(days=1)}
    return list(lenient(pipeline)[collection].find({field: where}).sort("_id"))


def damage(pipeline: Pipeline, collection: str, document: Document, kind: str) -> None:
    key, changed = {"_id": document["_id"]}, DAMAGES[kind](document)
    if changed is None:
        pipeline.database[collection].delete_one(key)
    else:
        pipeline.database[collection].replace_one(key, changed)


@pytest.mark.parametrize("kind", DAMAGES)
def test_the_next_hourly_run_mends_today_and_yesterday(deployed: tuple[Pipeline, Sandbox], kind: str) -> None:
    pipeline, api = deployed
    before, asked = stored(pipeline), api.stats()["data_requests"]
    for day in (TODAY, YESTERDAY):
        for name in OF_DAYS:
            for document in of_day(pipeline, name, day)[-1:]:
                damage(pipeline, name, document, kind)
    damaged = stored(pipeline)
    assert {name for name in OF_DAYS if damaged[name] != before[name]} == {*OF_DAYS}
    done = pipeline.hourly()
    assert done.returncode == 0, done.stderr
    assert unequal(stored(pipeline), before) == []
    word = "missing" if kind == "deleted" else "changed"
    for day in (TODAY, YESTERDAY):
        assert (
            f"{day}: not as it was loaded, and loaded again: coverage: 1 {word}; daily_averages: 1 {word}"
            in done.stderr
        )
    assert api.stats()["data_requests"] == asked


def test_the_first_run_of_a_day_mends_the_window(tmp_path: Path, deployed: tuple[Pipeline, Sandbox]) -> None:
    with deployed[0].copied(tmp_path / "staging") as pipeline:
        days = [TODAY - timedelta(days=back) for back in range(2, 9)]
        before = stored(pipeline)
        kinds = [kind for kind in DAMAGES if kind != "deleted"]  # a document less is found each hour, by their number
        for number, day in enumerate(days):
            for name in DAY_FIELD:
                for document in of_day(pipeline, name, day)[-2:]:
                    damage(pipeline, name, document, kinds[number % len(kinds)])
        damaged = stored(pipeline)
        assert {name for name in DAY_FIELD if damaged[name] != before[name]} >= {*OF_DAYS}
        assert pipeline.database["loads"].find_one({"_id": "verify"})["day"] == f"{TODAY}"  # type: ignore[index]
        same_day = pipeline.hourly()  # counts documents; most kinds change nothing in their number
        assert same_day.returncode == 0, same_day.stderr
        assert {key.rsplit("|")[-1][:10] for key in unequal(stored(pipeline), before)} >= {f"{day}" for day in days[:4]}
        pipeline.database["loads"].update_one({"_id": "verify"}, {"$set": {"day": f"{YESTERDAY}"}})
        done = pipeline.hourly()
        assert done.returncode == 0, done.stderr
        assert unequal(stored(pipeline), before) == []
        for day in days:
            assert f"{day}: not as it was loaded, and loaded again: " in same_day.stderr + done.stderr


def test_a_document_less_is_loaded_by_the_next_run(deployed: tuple[Pipeline, Sandbox]) -> None:
    pipeline, _ = deployed
    before, day = stored(pipeline), TODAY - timedelta(days=5)
    for name in OF_DAYS[:3]:
        damage(pipeline, name, of_day(pipeline, name, day)[-1], "deleted")
    done = pipeline.hourly()
    assert done.returncode == 0, done.stderr
    assert unequal(stored(pipeline), before) == []
    assert (
        f"{day}: not as it was loaded, and loaded again: coverage: 1 missing; daily_averages: 1 missing" in done.stderr
    )


def test_verify_mends_any_day_and_says_what_it_found(deployed: tuple[Pipeline, Sandbox]) -> None:
    pipeline, api = deployed
    before, asked = stored(pipeline), api.stats()["data_requests"]
    days = [date(2026, 3, 2), *(FIRST + timedelta(days=n) for n in range(len(DAMAGES) - 1))]
    touched = set()
    for day, kind in zip(days, DAMAGES, strict=True):
        for name in DAY_FIELD:
            for document in of_day(pipeline, name, day)[:1]:
                damage(pipeline, name, document, kind)
                touched.add((name, kind))
    assert {name for name, _ in touched} == {*DAY_FIELD}
    damaged = stored(pipeline)
    told = pipeline.script("verify", f"{FIRST}..2026-03-05", "--check")
    assert (told.returncode, stored(pipeline)) == (1, damaged), told.stderr
    lines = dict(line.split("  ", 1) for line in told.stdout.splitlines()[:-1])
    assert lines.keys() == {f"{day}" for day in days}
    assert "daily_averages: 1 missing" in lines[f"{days[0]}"]
    assert "forecasts: 1 missing" in lines[f"{days[0]}"]
    assert "hourly_measurements: 1 changed" in lines[f"{days[1]}"]
    assert f"14 days, {FIRST} … 2026-03-05: {len(days)} differ from what is staged" in told.stdout
    mended = pipeline.script("verify", f"{FIRST}..2026-03-05")
    assert (mended.returncode, unequal(stored(pipeline), before)) == (0, []), mended.stderr
    assert mended.stdout.splitlines()[:-1] == told.stdout.splitlines()[:-1]
    again = pipeline.script("verify", f"{FIRST}..2026-03-05", "--check")
    assert again.returncode == 0
    assert again.stdout == f"14 days, {FIRST} … 2026-03-05: all documents are as they were meant\n"
    assert api.stats()["data_requests"] == asked


@pytest.mark.parametrize("minutes", [60, 30, 720])
def test_a_forecast_that_stands_at_another_time_is_changed_and_none_of_others(
    deployed: tuple[Pipeline, Sandbox], minutes: int
) -> None:
    pipeline, _ = deployed
    before = stored(pipeline)
    forecasts = pipeline.database["forecasts"]
    document = forecasts.find_one({"issued_at": datetime(2026, 3, 2, 3, tzinfo=UTC)})
    assert document
    moved = document["issued_at"] + timedelta(minutes=minutes)
    forecasts.update_one({"_id": document["_id"]}, {"$set": {"issued_at": moved}})
    told = pipeline.script("verify", "2026-03-02", "--check")
    assert (told.returncode, told.stdout.splitlines()[0]) == (1, "2026-03-02  forecasts: 1 changed")
    assert pipeline.script("verify", "2026-03-02").returncode == 0
    assert unequal(stored(pipeline), before) == []


def test_verify_of_a_table_or_a_load_that_is_gone(deployed: tuple[Pipeline, Sandbox]) -> None:
    pipeline, api = deployed
    before, asked, staged = stored(pipeline), api.stats()["data_requests"], pipeline.staged()
    (pipeline.root / "2026-02-25" / "hourly.parquet").unlink()
    (pipeline.root / "2026-02-26" / "daily.parquet").unlink()
    (pipeline.root / "2026-03-02" / "forecast" / "03.parquet").unlink()
    pipeline.database["loads"].delete_one({"_id": "day|2026-02-27"})
    told = pipeline.script("verify", "--check")
    assert told.returncode == 1, told.stderr
    assert told.stdout.splitlines()[:-1] == [
        "2026-02-25  its tables were built from other readings or by an older version",
        "2026-02-26  its tables were built from other readings or by an older version",
        "2026-02-27  it was not loaded as it is staged",
    ]
    assert pipeline.script("verify").returncode == 0
    assert unequal(stored(pipeline), before) == []
    assert (pipeline.staged(), api.stats()["data_requests"]) == (staged, asked)
    assert pipeline.script("verify", "--check").returncode == 0


@pytest.mark.parametrize("field", ["p50", "target_at", "station"])
@pytest.mark.parametrize("edit", [Collection.update_one, Collection.update_many])
def test_a_lost_forecast_that_was_edited_too_is_not_restored_and_stops_nothing(
    tmp_path: Path, deployed: tuple[Pipeline, Sandbox], edit: Callable[..., Any], field: str
) -> None:
    with deployed[0].copied(tmp_path / "staging") as pipeline:
        lost = [pipeline.root / "2026-03-02" / "forecast" / f"{hour:02}.parquet" for hour in (3, 4)]
        whole = lost[1].read_bytes()
        for path in lost:
            path.unlink()
        at = {"issued_at": datetime(2026, 3, 2, 3, tzinfo=UTC)}
        edit(pipeline.database["forecasts"], at, {"$set": {field: "12.5"}})
        done = pipeline.script("verify", "2026-03-02")
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
        assert "forecast of 2026-03-02T03: cannot be restored from MongoDB" in done.stderr
        assert not lost[0].exists()
        assert lost[1].read_bytes() == whole


def test_verify_says_what_it_cannot_do(deployed: tuple[Pipeline, Sandbox]) -> None:
    pipeline, _ = deployed
    nothing = pipeline.script("verify", "2019-01-01..2019-01-31")
    assert (nothing.returncode, nothing.stdout) == (2, "")
    assert "of 2019-01-01..2019-01-31 nothing is staged" in nothing.stderr
    wrong = pipeline.script("verify", "2026-03-05..2026-03-01")
    assert (wrong.returncode, "swap them" in wrong.stderr) == (2, True)


DAY = date(2026, 2, 24)
HOUR = datetime(2026, 2, 24, 3, tzinfo=UTC)
#: Collection → documents that pose as ours.
POSING: dict[str, list[Document]] = {
    "hourly_measurements": [{"_id": 7, "station": STATION, "observed_at": HOUR, "pm2_5": 900.0, "pm2_5_flag": "ok"}],
    "daily_averages": [{"_id": {"of": "a tool"}, "station": STATION, "day": f"{DAY}", "pm2_5_mean": 900.0}],
    "coverage": [{"station": STATION, "day": f"{DAY}"}],
    "revisions": [{"_id": "by hand", "station": STATION, "observed_at": HOUR, "reading": "co"}],
    "forecasts": [{"_id": "x", "station": STATION, "issued_at": HOUR}],
}


def test_a_document_that_poses_as_ours_is_told_and_left_alone(
    tmp_path: Path, deployed: tuple[Pipeline, Sandbox]
) -> None:
    with deployed[0].copied(tmp_path / "staging") as pipeline:
        for name, documents in POSING.items():
            pipeline.database[name].insert_many([dict(document) for document in documents])
        stranger = {"_id": "999|2026-02-24", "station": "999", "day": f"{DAY}"}  # another network's, in one database
        pipeline.database["daily_averages"].insert_one(stranger)
        before = stored(pipeline)
        done = pipeline.script("verify", f"{DAY}")
        assert (done.returncode, stored(pipeline)) == (1, before), done.stderr
        told = [line for line in done.stdout.splitlines() if "not ours, left alone" in line]
        assert len(told) == len(POSING)
        assert f"{DAY}  not ours, left alone: daily_averages {{'of': 'a tool'}}" in told
        assert "all documents are as they were meant; 5 documents are not ours" in done.stdout


def test_the_daily_look_tells_of_it_too(tmp_path: Path, deployed: tuple[Pipeline, Sandbox]) -> None:
    with deployed[0].copied(tmp_path / "staging") as pipeline:
        pipeline.database["daily_averages"].insert_one({"_id": "x", "station": STATION, "day": f"{TODAY}"})
        pipeline.database["loads"].delete_one({"_id": "verify"})
        done = pipeline.hourly()
        assert done.returncode == 0, done.stderr
        assert f"{TODAY}: documents of our stations that we did not write: daily_averages: 1 foreign" in done.stderr


ODD: list[Any] = [None, 5, "x", [], [HOUR, "2026-03-20"], {"a": 1}, True, b"\x00", BEYOND, 1e308, float("nan")]


@pytest.mark.drill
def test_strays_stop_nothing(tmp_path: Path, deployed: tuple[Pipeline, Sandbox]) -> None:
    """Documents of every shape in every collection, some in the place of ours."""
    with deployed[0].copied(tmp_path / "staging") as pipeline:
        assert pipeline.luigi("LoadDay", "--day", f"{TODAY}").returncode == 0
        before = stored(pipeline)
        moments = [*ODD, f"{TODAY}", datetime(2026, 3, 20, 3, tzinfo=UTC), datetime(2026, 3, 19, 3, 7, tzinfo=UTC)]
        usual = {"station": STATION, "day": f"{TODAY}", "provisional": True, "kind": "day", "month": "2026-03-01"}
        usual |= dict.fromkeys(("observed_at", "issued_at", "seen_at", "loaded_at", "last_seen_at"), moments[-1])
        for name in (*DAY_FIELD, "loads", "stations", "profiles", "models"):
            strays = [usual | {field: odd} for odd in moments for field in usual]
            strays += [usual | {"kind": "forecast", "issued_at": odd} for odd in moments]
            strays += [{"provisional": True, "day": "2026-03-0x"}, {"provisional": True, "day": ["2026-03-05", 5]}, {}]
            pipeline.database[name].insert_many(strays)
        for key in (f"day|{TODAY}", f"day|{YESTERDAY}", "day|2026-03-14", "stations", "verify", f"score|{TODAY}"):
            pipeline.database["loads"].replace_one({"_id": key}, {"kind": "day", "inputs": 5}, upsert=True)
        pipeline.database["loads"].update_one({"_id": "day|2026-03-13"}, {"$set": {"hourly_documents": "many"}})
        (pipeline.root / "2026-03-18" / "revisions.parquet").unlink(missing_ok=True)
        for done in (pipeline.hourly(), pipeline.backfill("2026-03-01T00", "2026-03-20T09"), pipeline.hourly()):
            assert done.returncode == 0, done.stderr
            assert "Traceback" not in done.stderr
        after = stored(pipeline)
        ours = {name: {key: after[name].get(key, b"") for key in of} for name, of in before.items()}
        assert unequal(ours, before) == []
        assert pipeline.script("status").returncode == 0
        verified = pipeline.script("verify")
        assert verified.returncode == 1, verified.stderr


WORDS = st.sampled_from(["station", "day", "observed_at", "pm2_5", "pm2_5_mean", "co_flag", "units", "new"])
VALUES = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.floats(), st.text(max_size=5), st.sampled_from(ODD))
EDITS = st.tuples(
    st.sampled_from(OF_DAYS), st.integers(0, 200), st.sampled_from(["set", "unset", "delete", "add"]), WORDS, VALUES
)


@pytest.fixture(scope="module")
def in_process(
    tmp_path_factory: pytest.TempPathFactory, deployed: tuple[Pipeline, Sandbox]
) -> Iterator[tuple[Pipeline, dict[str, list[Document]]]]:
    folder = tmp_path_factory.mktemp("inprocess")
    with deployed[0].copied(folder / "staging") as pipeline:
        kept = ("AIRQINO_", "STAGING_", "MONGODB_")
        with configured(folder, {}, **{k: v for k, v in pipeline.env.items() if k.startswith(kept)}):
            days = [DAY, DAY + timedelta(days=1)]
            yield pipeline, {name: [d for day in days for d in of_day(pipeline, name, day)] for name in OF_DAYS}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.lists(EDITS, min_size=1, max_size=8))
def test_whatever_is_done_to_documents_verify_undoes(
    in_process: tuple[Pipeline, dict[str, list[Document]]], edits: list[tuple[str, int, str, str, Any]]
) -> None:
    pipeline, documents = in_process
    meant = {name: {d["_id"]: bson.encode(d) for d in of} for name, of in documents.items()}
    added: dict[str, list[Any]] = {name: [] for name in OF_DAYS}
    for name, number, what, field, value in edits:
        collection = pipeline.database[name]
        if what == "add":
            stray = {"station": STATION, "day": f"{DAY}", "observed_at": HOUR, field: value}
            added[name].append(collection.insert_one(stray).inserted_id)
        elif documents[name]:
            key = {"_id": documents[name][number % len(documents[name])]["_id"]}
            if what == "delete":
                collection.delete_one(key)
            else:
                collection.update_one(key, {f"${what}": {field: value}})
    list(verify([DAY, DAY + timedelta(days=1)]))
    for name, of in meant.items():
        found = lenient(pipeline)[name].find({"_id": {"$in": [*of]}})
        assert {d["_id"]: bson.encode(d) for d in found} == of
        assert pipeline.database[name].delete_many({"_id": {"$in": added[name]}}).deleted_count == len(added[name])
    assert [of for of in verify([DAY, DAY + timedelta(days=1)], mend=False) if not of.as_meant] == []


def test_east_of_utc_the_day_is_verified_before_it_begins_in_utc(
    tmp_path: Path, pipeline: Pipeline, sandbox: Any
) -> None:
    """At 15:00 UTC it is the next day in Tokyo: its documents are looked at, and the run is complete."""
    sections = f"[stations.{STATION}]\ntime_zone = Asia/Tokyo\nvalid_from = 2026-03-20T00\n"
    (tmp_path / "airqino.cfg").write_text(sections)
    pipeline.env |= {"LUIGI_CONFIG_PATH": f"{tmp_path / 'airqino.cfg'}", "AIRQINO_STATIONS": STATION}
    sandbox.now = datetime(2026, 3, 20, 17, 5, tzinfo=UTC)
    done = pipeline.hourly("2026-03-20T17:05")
    assert done.returncode == 0, done.stderr
    assert pipeline.database["loads"].find_one({"_id": "verify"})["day"] == "2026-03-21"
