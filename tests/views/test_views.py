"""The shapes made for the dashboards, against naive computations."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pymongo import MongoClient

from airqino import views
from airqino.sandbox.mongod import Mongod

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    with Mongod(tmp_path_factory.mktemp("mongo")) as running:
        yield running


@pytest.fixture
def db(server: Mongod, request: pytest.FixtureRequest) -> Iterator[Any]:
    with MongoClient(server.uri, tz_aware=True) as client:
        yield client[f"dashboard_{request.node.name[:40]}"]  # views are asked for once per process and database


def reading(
    station: str, at: datetime, pm2_5: float | None, co: float | None = 0.0, flag: str = "ok"
) -> dict[str, Any]:
    return {
        **{"_id": f"{station}|{at:%Y-%m-%dT%H}", "station": station, "station_name": station.upper()},
        **{"observed_at": at, "pm2_5": pm2_5, "pm2_5_flag": flag, "co": co, "co_flag": "dead"},
    }


def station(name: str, seen: datetime, **other: Any) -> dict[str, Any]:
    of = {"time_zone": "UTC", "latitude": 5.0, "longitude": -4.0, "dead_sensors": ["co"], "last_seen_at": seen}
    return {"_id": name, "name": name.upper(), **of, **other}


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


def test_station_now_shows_the_last_hour_and_the_newest_forecast(db: Any) -> None:
    last = datetime(2024, 9, 9, 10, tzinfo=UTC)
    db.stations.insert_one(station("a", last))
    db.hourly_measurements.insert_many(
        [reading("a", last - ago * HOUR, level) for ago, level in enumerate([20.0, 10.0, None, 16.0, 99.0])]
    )
    db.hourly_measurements.update_one({"pm2_5": None}, {"$set": {"pm2_5_flag": "absent"}})
    for issued in (last, last + HOUR):
        for horizon in (1, 2):
            of = {"station": "a", "pollutant": "pm2_5", "issued_at": issued, "horizon_h": horizon}
            level = 100 * issued.hour + horizon
            db.forecasts.insert_one(
                of | {"target_at": issued + horizon * HOUR, "p10": level, "p50": level, "p90": level}
            )
    views.ensure_views(db)
    pm, co = sorted(db.station_now.find(), key=lambda row: row["pollutant"], reverse=True)
    assert (pm["concentration"], pm["change"]) == (20.0, 7.0)
    assert (pm["next_1h_p50"], pm["next_2h_p50"]) == (1101, 1102)
    assert (co["concentration"], co["dead"]) == (None, 1)


def test_guideline_days_count_valid_days_only(db: Any) -> None:
    days = [("ok", True), ("ok", False), ("insufficient", None), ("suspect", None), ("ok", True)]
    db.daily_averages.insert_many(
        {
            **{"station_name": "A", "day": f"2024-09-{day:02d}", "co_quality": "suspect", "co_above_who": None},
            **{"pm2_5_quality": quality, "pm2_5_above_who": above},
        }
        for day, (quality, above) in enumerate(days, 1)
    )
    views.ensure_views(db)
    found = {row["pollutant"]: (row["days_above"], row["valid_days"], row["days"]) for row in db.guideline_days.find()}
    assert found == {"PM2.5": (2, 3, 5), "CO": (0, 0, 5)}


def test_views_are_brought_up_to_date_and_else_left_alone(db: Any) -> None:
    views.ensure_views.__wrapped__(db)
    db.command("collMod", "station_map", viewOn="stations", pipeline=[])
    views.ensure_views.__wrapped__(db)
    views.ensure_views.__wrapped__(db)
    shown = {view["name"]: view["options"]["pipeline"] for view in db.list_collections(filter={"type": "view"})}
    assert shown == {name: pipeline for name, (_, pipeline) in views.VIEWS.items()}
