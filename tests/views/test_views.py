"""The shapes made for the dashboards, against naive computations."""

import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pymongo import MongoClient

from airqino import views
from airqino.readings import HORIZONS
from airqino.sandbox.mongod import Mongod

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    with Mongod(tmp_path_factory.mktemp("mongo")) as running:
        yield running


@pytest.fixture
def db(server: Mongod) -> Iterator[Any]:
    with MongoClient(server.uri, tz_aware=True) as client:
        yield client[f"dashboard_{uuid.uuid4().hex[:8]}"]  # views are asked for once per process and database


def reading(
    station: str, at: datetime, pm2_5: float | None, co: float | None = 0.0, flag: str = "ok", co_flag: str = "dead"
) -> dict[str, Any]:
    return {
        **{"_id": f"{station}|{at:%Y-%m-%dT%H}", "station": station, "station_name": station.upper()},
        **{"observed_at": at, "pm2_5": pm2_5, "pm2_5_flag": flag, "co": co, "co_flag": co_flag},
    }


def station(name: str, seen: datetime, **other: Any) -> dict[str, Any]:
    of = {"time_zone": "UTC", "latitude": 5.0, "longitude": -4.0, "sensor_faults": {"co": "dead"}, "last_seen_at": seen}
    return {"_id": name, "name": name.upper(), **of, **other}


def forecast(station: str, issued: datetime, horizon: int, level: float) -> dict[str, Any]:
    of = {"station": station, "pollutant": "pm2_5", "issued_at": issued, "horizon_h": horizon}
    return of | {"target_at": issued + horizon * HOUR} | dict.fromkeys(("p10", "p50", "p90"), level)


def test_coverage_tells_missing_hours_nights_and_flags() -> None:
    start = datetime(2024, 9, 9, tzinfo=UTC)  # a Monday
    rows: list[dict[str, Any]] = [
        {"station": "a", "observed_at": start + hour * HOUR, "status": "ok", "co_flag": "dead", "rh_flag": "ok"}
        for hour in range(20)
    ]
    rows += [{"station": "a", "observed_at": start + hour * HOUR, "status": "absent"} for hour in range(20, 24)]
    found = views.coverage_details(rows, {"a": "Africa/Lagos"}, ["co", "rh"])["a"]  # an hour ahead of UTC
    assert found["missing"] == [
        {"weekday": 1, "hour": 21},
        {"weekday": 1, "hour": 22},
        {"weekday": 1, "hour": 23},
        {"weekday": 2, "hour": 0},
    ]
    assert (found["night_hours"], found["night_missing_hours"]) == (8, 3)
    assert found["flags"] == [{"reading": "co", "flag": "dead", "hours": 20}]
    assert views.coverage_details([], {}, ["co"]) == {}


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


def test_station_now_shows_the_last_hour_and_the_newest_forecast(db: Any) -> None:
    last = datetime(2024, 9, 9, 10, tzinfo=UTC)
    db.stations.insert_one(station("a", last))
    db.hourly_measurements.insert_many(
        [reading("a", last - ago * HOUR, level) for ago, level in enumerate([20.0, 10.0, None, 16.0, 99.0])]
    )
    db.hourly_measurements.update_one({"pm2_5": None}, {"$set": {"pm2_5_flag": "absent"}})
    db.hourly_measurements.update_one({"pm2_5": 10.0}, {"$set": {"pm2_5_flag": "humid"}})
    for issued in (last, last + HOUR):
        for horizon in (*HORIZONS[2:], *HORIZONS[:2]):
            db.forecasts.insert_one(forecast("a", issued, horizon, 100 * issued.hour + horizon))
    views.ensure_views(db)
    rows = {row["pollutant"]: row for row in db.station_now.find()}
    assert list(rows) == ["PM2.5", "PM10", "O3", "NO2", "CO"]
    pm, co = rows["PM2.5"], rows["CO"]
    assert (pm["concentration"], pm["change"], pm["at_floor"]) == (20.0, 7.0, False)
    assert {name: row["smallest"] for name, row in rows.items() if row["smallest"]} == {"CO": 0.01}
    assert (pm["next_1h_p50"], pm["next_2h_p50"]) == (1101, 1102)
    assert (co["concentration"], co["at_floor"], co["fault"]) == (None, False, "dead")
    assert {name: row["is_forecast"] for name, row in rows.items() if row["is_forecast"]} == {"PM2.5": True, "CO": True}


@pytest.mark.parametrize(
    ("flags", "concentration", "change", "at_floor"),
    [
        (["floor", "ok", "ok", "ok"], None, None, True),
        (["at_floor", "at_floor", "at_floor", "at_floor"], None, None, True),
        (["ok", "floor", "ok", "ok"], 0.4, None, False),
        (["ok", "spike", "ok", "ok"], 0.4, 0.2, False),
        (["ok", "ok", "ok", "ok", "floor"], 0.4, 0.2, False),
    ],
    ids=["at the floor", "for days", "one before at the floor", "one before left out", "one long before"],
)
def test_an_hour_at_the_floor_is_no_number_and_there_is_no_change_from_or_to_it(
    db: Any, flags: list[str], concentration: float | None, change: float | None, at_floor: bool
) -> None:
    last = datetime(2024, 9, 9, 10, tzinfo=UTC)
    db.stations.insert_one(station("a", last))
    levels = [0.4, 0.2, 0.2, 0.2, 0.2]
    hours = [(0.0 if "floor" in flag else level, flag) for level, flag in zip(levels, flags, strict=False)]
    db.hourly_measurements.insert_many(
        reading("a", last - ago * HOUR, None, co=level, flag="absent", co_flag=flag)
        for ago, (level, flag) in enumerate(hours)
    )
    views.ensure_views(db)
    (co,) = db.station_now.find({"pollutant": "CO"})
    assert (co["concentration"], co["at_floor"]) == (concentration, at_floor)
    assert co["change"] == (None if change is None else pytest.approx(change))


def test_hourly_levels_have_no_hour_at_the_floor(db: Any) -> None:
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    flags = ["ok", "floor", "at_floor", "dead", "out_of_range"]
    db.hourly_measurements.insert_many(
        reading("a", now - ago * HOUR, 7.0, co=0.0 if "floor" in flag else 0.5, flag="humid", co_flag=flag)
        for ago, flag in enumerate(flags)
    )
    views.ensure_views(db)
    levels = [(row["pollutant"], row["concentration"]) for row in db.hourly_levels.find()]
    assert sorted(levels) == [("CO", 0.5), *[("PM2.5", 7.0)] * 5]


def test_hourly_levels_have_one_forecast_of_an_hour(db: Any) -> None:
    """Of an hour that is over the one made an hour before it, of one to come the newest, whatever that is."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    db.stations.insert_one(station("a", now))
    for ago in range(1, 14):
        db.forecasts.insert_many(forecast("a", now - ago * HOUR, h, 100 * ago + h) for h in HORIZONS)
    db.forecasts.update_one({"issued_at": now - HOUR, "horizon_h": 9}, {"$set": {"p50": None, "p10": None}})
    views.ensure_views(db)
    shown = [(row["observed_at"], row["concentration"]) for row in db.hourly_levels.find({"series": "A__yhat"})]
    expected = {now - (ago - 1) * HOUR: 100 * ago + 1 for ago in range(1, 14)}
    for ahead in range(1, 12):
        newest = next(ago for ago in range(1, 14) if ago + ahead in HORIZONS)
        expected[now + ahead * HOUR] = 100 * newest + newest + ahead
    del expected[now + 8 * HOUR]  # an older one would say what is not said any more
    assert len(shown) == len(expected) == 13 + 11 - 1
    assert dict(shown) == expected


def test_the_index_is_that_of_the_last_hour_in_words(db: Any) -> None:
    last = datetime(2024, 9, 9, 10, tzinfo=UTC)
    db.stations.insert_many([station("a", last), station("b", last)])
    levels = {"index": 4, "pm2_5_index": 2, "pm10_index": 1, "no2_index": 4, "o3_index": 6}
    missing = {"index": None, "pm2_5_index": 3, "pm10_index": None, "no2_index": None, "o3_index": None}
    db.hourly_measurements.insert_many(
        [
            reading("a", last - HOUR, 1.0) | dict.fromkeys(levels, 5),
            reading("a", last, 1.0) | levels,
            reading("b", last, 1.0) | missing,
        ]
    )
    views.ensure_views(db)
    a, b = sorted(db.station_index.find(), key=lambda row: row["station"])
    assert a == {"station": "a", "station_name": "A", "last_at": last, "overall": "4 poor"} | {
        **{"pm2_5_index": "2 fair", "pm10_index": "1 good", "no2_index": "4 poor", "o3_index": "6 extremely poor"}
    }
    assert (b["overall"], b["pm2_5_index"], b["no2_index"]) == (None, "3 moderate", None)
    assert not [name for name in a if name.startswith("co")]


def test_the_map_shows_the_newest_day_that_can_be_vouched_for(db: Any) -> None:
    db.stations.insert_one(station("a", datetime(2024, 9, 9, tzinfo=UTC)))
    qualities = ["ok", "checked", "suspect", "insufficient"]
    db.daily_averages.insert_many(
        {"_id": f"a|{day}", "station": "a", "day": f"2024-09-{day:02}", "pm2_5_quality": quality, "pm2_5_mean": 99.0}
        | {"pm2_5_checked_mean": float(day), "provisional": day == 2}
        for day, quality in enumerate(qualities, 1)
    )
    db.daily_averages.insert_many(  # as version 0.3.0 wrote them, and without a number
        {"_id": f"a|{day}", "station": "a", "day": f"2024-09-{day:02}", "pm2_5_quality": "ok", "pm2_5_mean": 99.0}
        | other
        for day, other in ((8, {}), (9, {"pm2_5_checked_mean": None}))
    )
    views.ensure_views(db)
    rows = list(db.station_map.find())
    assert {(row["day"], row["pm2_5_checked_mean"], row["provisional"]) for row in rows} == {("2024-09-02", 2.0, True)}


def test_guideline_days_count_days_that_can_be_vouched_for(db: Any) -> None:
    days = [("ok", True, True), ("ok", False, False), ("insufficient", None, None), ("suspect", None, None)]
    days += [("checked", True, False), ("checked", False, False)]
    db.daily_averages.insert_many(
        {
            **{"station_name": "A", "day": f"2024-09-{day:02d}", "co_quality": "suspect", "co_above_who": None},
            **{"pm2_5_quality": quality, "pm2_5_above_who": above, "pm2_5_dry_above_who": dry},
            **{"o3_quality": "ok", "o3_above_who": None if day > 2 else False},
            **dict.fromkeys(("pm2_5_checked_mean", "o3_checked_mean", "co_checked_mean"), 1.0),
        }
        for day, (quality, above, dry) in enumerate(days, 1)
    )
    views.ensure_views(db)
    columns = ("days_above_dry", "days_above", "valid_days", "days")
    found = {row["pollutant"]: tuple(row[name] for name in columns) for row in db.guideline_days.find()}
    assert found["PM2.5"] == (1, 2, 4, 6), "from corrected to raw"
    assert found["CO"] == (None, 0, 0, 6)
    assert found["O3"] == (None, 0, 2, 6), "a day without enough 8-hour means is compared with nothing"


def test_a_day_of_version_0_3_0_is_not_vouched_for_before_it_is_taken_over(db: Any) -> None:
    db.stations.insert_one(station("a", datetime(2024, 9, 9, tzinfo=UTC)))
    day = {"_id": "a|2024-09-09", "station": "a", "day": "2024-09-09", "provisional": False}
    day |= {"co_mean": 0.0, "co_hours": 24, "co_quality": "ok", "co_above_who": False}
    day |= {"pm2_5_mean": 40.0, "pm2_5_hours": 24, "pm2_5_quality": "ok", "pm2_5_above_who": True}
    none = {"no2_quality": "insufficient", "no2_checked_mean": None, "no2_above_who": None}
    db.daily_averages.insert_one(day | none)
    views.ensure_views(db)
    counted = {
        row["pollutant"]: [row[name] for name in ("days", "valid_days", "days_above")]
        for row in db.guideline_days.find()
    }
    assert (counted["PM2.5"], counted["CO"]) == ([1, 0, 0], [1, 0, 0])
    assert [row["day"] for row in db.station_map.find({"day": {"$ne": None}})] == []
    rows = {row["pollutant"]: row for row in db.daily_pollutants.find()}
    assert [rows[name]["quality"] for name in ("PM2.5", "CO", "NO2")] == [None, None, "insufficient"]
    assert [rows[name]["mean"] for name in ("PM2.5", "CO")] == [40.0, 0.0], "as reported"


def test_a_day_is_a_row_for_each_pollutant_with_all_that_its_mean_rests_on(db: Any) -> None:
    db.stations.insert_one(station("a", datetime(2024, 9, 9, tzinfo=UTC)))
    day = {"_id": "a|2024-09-09", "station": "a", "day": "2024-09-09", "provisional": True}
    day |= {"co_checked_mean": 0.1, "co_quality": "ok", "co_floor_hours": 9, "co_checked_hours": 24, "co_left_out": ""}
    day |= {"o3_checked_mean": 20.0, "o3_8h_max": 31.0, "pm2_5_mean": 99.0, "pm2_5_checked_mean": 9.0}
    day |= {"pm2_5_corrected_mean": 5.0, "pm2_5_correction": "kappa", "pm2_5_dry_mean": 5.0}
    db.daily_averages.insert_one(day)
    views.ensure_views(db)
    rows = {row["pollutant"]: row for row in db.daily_pollutants.find()}
    assert set(rows) == {"PM2.5", "PM10", "NO2", "O3", "CO"}
    assert {(row["station"], row["station_name"], row["day"], row["provisional"]) for row in rows.values()} == {
        ("a", "A", "2024-09-09", True)
    }
    co, o3, pm = rows["CO"], rows["O3"], rows["PM2.5"]
    assert [co[name] for name in ("concentration", "floor_hours", "checked_hours", "quality")] == [0.1, 9, 24, "ok"]
    assert (co["unit"], co["digits"], pm["unit"]) == ("mg/m³", 2, "µg/m³")
    assert (o3["concentration"], o3["checked_mean"]) == (31.0, 20.0), "the guideline is one of 8-hour means"
    assert (pm["concentration"], pm["mean"], pm["corrected_mean"], pm["correction"]) == (9.0, 99.0, 5.0, "kappa")


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


def test_views_are_brought_up_to_date_and_else_left_alone(db: Any) -> None:
    views.ensure_views.__wrapped__(db)
    db.command("collMod", "station_map", viewOn="stations", pipeline=[])
    views.ensure_views.__wrapped__(db)
    views.ensure_views.__wrapped__(db)
    shown = {view["name"]: view["options"]["pipeline"] for view in db.list_collections(filter={"type": "view"})}
    assert shown == {name: pipeline for name, (_, pipeline) in views.VIEWS.items()}
