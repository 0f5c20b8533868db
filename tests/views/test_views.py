"""The shapes made for the dashboards, against naive computations."""

from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest
from support.documents import DAY, HOUR, NOW, forecast, reading, station

from airqino import views
from airqino.quality.flags import TESTS

#: Of the words that PartiQL reserves, those that a field may well be called.
RESERVED = {
    *("action", "all", "count", "current", "date", "first", "index", "key", "last", "level", "list", "lower", "max"),
    *("missing", "min", "module", "names", "new", "old", "order", "over", "partial", "position", "real", "rows"),
    *("section", "size", "sum", "table", "time", "timestamp", "union", "unknown", "upper", "value", "values", "zone"),
}


def test_coverage_tells_missing_hours_nights_and_flags() -> None:
    start = datetime(2024, 9, 9, tzinfo=UTC)  # a Monday
    rows: list[dict[str, Any]] = [
        {"station": "a", "observed_at": start + hour * HOUR, "status": "ok", "co_flag": "dead", "rh_flag": "ok"}
        | {"co_tests": "114131122", "rh_tests": "111113111" if hour < 3 else "999999999"}
        for hour in range(20)
    ]
    rows += [{"station": "a", "observed_at": start + hour * HOUR, "status": "absent"} for hour in range(20, 24)]
    hourly, zones = pa.Table.from_pylist(rows), {"a": "Africa/Lagos"}  # an hour ahead of UTC
    found = views.coverage_details(hourly, zones, ["co", "rh"])["a"]
    assert found["missing"] == [
        {"weekday": 1, "hour": 21},
        {"weekday": 1, "hour": 22},
        {"weekday": 1, "hour": 23},
        {"weekday": 2, "hour": 0},
    ]
    assert (found["night_hours"], found["night_missing_hours"]) == (8, 3)
    assert found["flags"] == [{"reading": "co", "flag": "dead", "hours": 20}]
    assert {(of["reading"], of["test"], of["code"], of["hours"]) for of in found["tests"]} == {
        *(("co", "dead", 4, 20), ("co", "floor", 3, 20), ("rh", "humid", 3, 3))
    }
    assert {of["test"] for of in found["tests"]} <= {*TESTS}
    assert views.coverage_details(hourly.slice(0, 0), {}, ["co"]) == {}


def test_profiles_sum_usable_readings_by_local_weekday_and_hour(db: Any) -> None:
    start = datetime(2024, 8, 31, 22, tzinfo=UTC)
    hours = [start + n * HOUR for n in range(24 * 21)]
    readings = [reading("a", at, n % 50, flag="spike" if n % 7 == 0 else "ok") for n, at in enumerate(hours)]
    readings += [reading("b", at, 10.0) for at in hours]
    db.hourly_measurements.insert_many(readings)
    db.stations.insert_many([station("a", hours[-1], time_zone="Africa/Lagos"), station("b", hours[-1])])
    views.ensure_views(db)
    views.refresh_profiles(db, [date(2024, 9, day) for day in range(1, 22)])
    for name, ahead in (("A", 1), ("B", 0)):
        naive: dict[tuple[int, int], list[float]] = {}
        for row in readings:
            local = row["observed_at"] + ahead * HOUR
            if row["station_name"] == name and row["pm2_5_flag"] == "ok" and local.month == 9:
                naive.setdefault((local.isoweekday(), local.hour), []).append(row["pm2_5"])
        rows = list(db.hourly_profiles.find({"station_name": name, "month": "2024-09-01"}))
        assert {(r["weekday"], r["hour"]): r["pm2_5_sum"] for r in rows if r["pm2_5_hours"]} == pytest.approx(
            {key: sum(levels) for key, levels in naive.items()}
        )
        assert all(r["pm2_5_hours"] == len(naive.get((r["weekday"], r["hour"]), [])) for r in rows)
        assert all(r["co_hours"] == 0 for r in rows), "a dead sensor adds nothing"
    together = list(db.hourly_profiles.find({"station_name": views.ALL_STATIONS}))
    assert sum(r["pm2_5_hours"] for r in together) == sum(
        r["pm2_5_hours"] for r in db.hourly_profiles.find({"station_name": {"$ne": views.ALL_STATIONS}})
    )
    before = list(db.profiles.find(sort=[("_id", 1)]))
    views.refresh_profiles(db, [date(2024, 9, 9)])
    assert list(db.profiles.find(sort=[("_id", 1)])) == before, "again gives the same"


def test_profiles_take_what_counts_and_tell_single_hours_at_the_floor(db: Any) -> None:
    at = datetime(2024, 9, 9, 10, tzinfo=UTC)
    flags = ["ok", "humid", "level", "floor", "at_floor", "spike", "invalidated", "absent"]
    levels = [1.0, 2.0, 4.0, 0.0, 64.0, 64.0, 64.0, None]
    db.hourly_measurements.insert_many(
        reading(f"s{number}", at, level, co=level, flag=flag, co_flag=flag)
        for number, (level, flag) in enumerate(zip(levels, flags, strict=True))
    )
    db.stations.insert_many(station(f"s{number}", at) for number in range(len(flags)))
    views.ensure_views(db)
    views.refresh_profiles(db, [at.date()])
    (cell,) = db.hourly_profiles.find({"station": None})
    assert (cell["co_sum"], cell["co_hours"], cell["co_floor_hours"]) == (1 + 2 + 4 + 0, 4, 1)
    assert (cell["pm10_sum"], cell["pm10_hours"]) == (0, 0)
    assert "pm2_5_floor_hours" not in cell


def test_profiles_leave_out_what_is_no_station_of_ours(db: Any) -> None:
    at = datetime(2024, 9, 9, 10, tzinfo=UTC)
    db.hourly_measurements.insert_many([reading("a", at, 3.0), reading("b", at, 5.0)])
    db.stations.insert_many([station("a", at), station("b", at, time_zone=None)])
    for zone in ("Mars/Phobos", "../etc", "Africa", 5, ["UTC"], {"of": "UTC"}):
        db.stations.insert_one({"time_zone": zone})
    db.stations.insert_many([{"_id": 7, "time_zone": "UTC"}, {"time_zone": "UTC"}])
    views.ensure_views(db)
    views.refresh_profiles(db, [at.date()])
    assert {p["station"]: p["cells"][0]["pm2_5_sum"] for p in db.profiles.find()} == {"a": 3.0, "b": 5.0, None: 8.0}


def test_codes_completeness_and_old_coverage(db: Any) -> None:
    tests = [{"reading": "co", "test": "floor", "code": 3, "hours": 5}]
    tests += [{"reading": "t_int", "test": "stuck", "code": 4, "hours": 2}]
    of_day = {"station": "a", "ok_hours": 18, "absent_hours": 5, "failed_hours": 1, "reason": "ServerError: HTTP 503"}
    old = {"_id": "a|2024-09-08", "day": "2024-09-08"} | of_day
    db.coverage.insert_many([old, {"_id": "a|2024-09-09", "day": "2024-09-09", "tests": tests} | of_day])
    views.ensure_views(db)
    found = [tuple(row[name] for name in ("day", "reading", "test", "code", "hours")) for row in db.test_codes.find()]
    assert found == [("2024-09-09", "CO", "floor", 3, 5), ("2024-09-09", "T int", "stuck", 4, 2)]
    rows = list(db.completeness_days.find({"day": {"$lt": "2025"}}, sort=[("day", 1)]))
    expected = of_day | {"station_name": "a", "expected_hours": 24, "share": 0.75}
    assert rows == [expected | {"day": "2024-09-08"}, expected | {"day": "2024-09-09"}]
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    db.coverage.insert_one(
        {"_id": "a|today", "day": today} | of_day | {"ok_hours": 9, "absent_hours": 1, "failed_hours": 0}
    )
    (running,) = db.completeness_days.find({"day": today})
    assert (running["expected_hours"], running["share"]) == (10, 0.9)


def test_errata_are_the_notes_that_hold_with_names(db: Any) -> None:
    at = datetime(2024, 9, 9, 10, tzinfo=UTC)
    db.stations.insert_one(station("a", at))
    span = {"first_hour": at, "last_hour": at + 3 * HOUR, "noted_at": at + 9 * HOUR, "slope": None, "zero_offset": None}
    note = {"station": "a", "kind": "invalidate", "why": "inlet blocked", "who": "an operator"} | span
    db.notes.insert_many(
        [
            note | {"_id": "2024-09-09-1", "reading": "pm2_5", "active": True},
            note | {"_id": "2024-09-09-2", "reading": "", "active": True},
            note | {"_id": "2024-09-09-3", "reading": "co", "active": False, "revoked_by": "another"},
        ]
    )
    views.ensure_views(db)
    rows = sorted(db.errata.find(), key=lambda row: row["note"])
    shown = note | {"station_name": "A"}
    assert rows == [
        shown | {"note": "2024-09-09-1", "reading": "PM2.5"},
        shown | {"note": "2024-09-09-2", "reading": "all"},
    ]


def test_every_view_answers_of_what_older_versions_have_loaded(db: Any) -> None:
    """Stations without a place, coverage without tests, hours without an index, days without checked means."""
    at = NOW - HOUR
    yesterday = f"{NOW - DAY:%Y-%m-%d}"
    former = {"station": "a", "station_name": "A of then"}
    place = {"latitude": 5.3, "longitude": -4.0, "time_zone": "Africa/Abidjan"}
    db.stations.insert_one({"_id": "a", "name": "A", "last_seen_at": at, "dead_sensors": []} | place)
    db.stations.insert_one({"name": "another's", "time_zone": "Mars/Phobos"})
    levels = {"pm2_5": 20.0, "pm2_5_flag": "ok", "co": 0.4, "co_flag": "ok"}
    db.hourly_measurements.insert_one(former | {"_id": "a|1", "observed_at": at} | levels)
    of_day = {"pm2_5_mean": 20.0, "pm2_5_hours": 24, "pm2_5_quality": "ok", "pm2_5_above_who": True}
    db.daily_averages.insert_one(former | {"_id": f"a|{yesterday}", "day": yesterday, "provisional": False} | of_day)
    counts = {"ok_hours": 23, "absent_hours": 1, "failed_hours": 0, "reason": "absent"}
    db.coverage.insert_one(former | {"_id": f"a|{yesterday}", "day": yesterday} | counts)
    bare = forecast("a", at, 1, 9.0)
    db.forecasts.insert_one({key: value for key, value in bare.items() if key not in ("reason", "day")})
    views.ensure_views(db)
    rows = {name: list(db[name].find()) for name in views.VIEWS}
    assert {row["station_name"] for name in ("station_now", "station_map", "guideline_year") for row in rows[name]} == {
        "A"
    }
    (pm,) = [row for row in rows["station_now"] if row["pollutant"] == "PM2.5"]
    assert (pm["concentration"], pm["hour_level"], pm["fault"], pm["next_1h_p50"]) == (20.0, None, None, 9.0)
    assert (rows["test_codes"], rows["day_reliability"]) == ([], [])
    assert {row["judged"] for row in rows["guideline_year"]} == {"none"}
    assert [(row["day"], row["ok_hours"]) for row in rows["completeness_days"]] == [(yesterday, 23)]
    assert sorted(row["kind"] for row in rows["station_map"]) == ["north-east", "south-west", "station"]


def test_views_are_brought_up_to_date_and_else_left_alone(db: Any) -> None:
    views.ensure_views.__wrapped__(db)
    db.command("collMod", "station_map", viewOn="stations", pipeline=[])
    views.ensure_views.__wrapped__(db)
    views.ensure_views.__wrapped__(db)
    shown = {view["name"]: view["options"]["pipeline"] for view in db.list_collections(filter={"type": "view"})}
    assert shown == {name: pipeline for name, (_, pipeline) in views.VIEWS.items()}


def test_no_view_has_a_field_that_partiql_reserves() -> None:
    for name, (_, pipeline) in views.VIEWS.items():
        shown = [stage["$project"] for stage in pipeline if "$project" in stage][-1:]
        assert not [field for stage in shown for field in stage if field in RESERVED], name
