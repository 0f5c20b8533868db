"""What the dashboards call stations: the name as it is now, and two of one name stay two."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo import MongoClient

from airqino import views
from airqino.sandbox.mongod import Mongod
from airqino.stores import indexes

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
#: Two stations of one name, another, and one of which nothing is known.
STATIONS = {"a": "Market", "b": "Market", "c": "School"}
NAMES = {"a": "Market (a)", "b": "Market (b)", "c": "School", "unknown": "unknown"}


@pytest.fixture(scope="module")
def db(mongod: Mongod) -> Iterator[Any]:
    """A few documents of each station, some as 0.2 wrote them: with the name of then."""
    with MongoClient(mongod.uri, tz_aware=True) as client:
        made = client[f"names_{uuid.uuid4().hex[:8]}"]
        indexes.ensure_indexes(made)
        made.stations.insert_many(
            {"_id": station, "name": name, "latitude": 5.0, "longitude": -4.0, "last_seen_at": NOW}
            for station, name in STATIONS.items()
        )
        for number, station in enumerate(NAMES):
            documents = of_station(station, number + 1)
            for collection, some in documents.items():
                made[collection].insert_many(some)
        views.refresh_profiles(made, [NOW.date()])
        views.ensure_views(made)
        yield made
        client.drop_database(made.name)


def of_station(station: str, level: float) -> dict[str, list[dict[str, Any]]]:
    former, day = {"station": station, "station_name": "Former name"}, f"{NOW:%Y-%m-%d}"
    flags = {"pm2_5_flag": "ok", "co_flag": "absent", "co": None}
    hours = [NOW - timedelta(hours=ago) for ago in range(4)]
    forecast = {"pollutant": "pm2_5", "issued_at": NOW, "horizon_h": 1, "target_at": NOW + timedelta(hours=1)}
    return {
        "hourly_measurements": [
            {**(former if n else {"station": station}), "_id": f"{station}|{n}", "observed_at": at, **flags}
            | {"pm2_5": level}
            for n, at in enumerate(hours)
        ],
        "daily_averages": [
            {**former, "_id": f"{station}|{n}", "day": f"2024-09-{n:02}", "pm2_5_mean": level}
            | {"pm2_5_checked_mean": level}
            | {"pm2_5_quality": "ok", "pm2_5_above_who": True, "co_quality": "suspect", "co_above_who": None}
            for n in range(1, 11)
        ],
        "coverage": [
            {**former, "_id": f"{station}|{day}", "day": day, "ok_hours": 23, "missing": [{"weekday": 1, "hour": 2}]}
            | {"flags": [{"reading": "co", "flag": "dead", "hours": 3}]}
            | {"tests": [{"reading": "co", "test": "dead", "code": 4, "hours": 3}]}
        ],
        "forecasts": [{**former, **forecast, "_id": f"{station}|f", "p10": level, "p50": level, "p90": level}],
        "forecast_scores": [{"station": station, "_id": f"{station}|s", "day": day, "n": 5}],
        "notes": [
            {"station": station, "_id": f"2024-09-09-{level:.0f}", "reading": "co", "kind": "comment", "active": True}
            | {"first_hour": NOW, "last_hour": None, "noted_at": NOW, "who": "an operator", "why": "because"}
        ],
        "revisions": [
            {"station": station, "_id": f"{station}|r", "reading": "co", "old_reading": 1.0, "new_reading": 3.0}
        ],
    }


@pytest.mark.parametrize(
    "view",
    [
        *("hourly_measurements_named", "daily_averages_named", "coverage_named", "forecasts_named"),
        *(
            "forecast_scores_named",
            "sensor_hours",
            "test_codes",
            "completeness_days",
            "daily_pollutants",
            "errata",
            "flag_hours",
            "missing_hours",
            "revision_log",
            "hourly_levels",
        ),
    ],
)
def test_a_view_shows_the_present_name_and_keeps_namesakes_apart(db: Any, view: str) -> None:
    rows = list(db[view].find({"kind": {"$ne": "hour"}}))  # of hours without a reading only known stations have rows
    assert {(row["station"], row["station_name"]) for row in rows} == set(NAMES.items())
    assert not [row for row in rows if {"known", "namesakes"} & row.keys()]
    per_station = [sum(row["station"] == station for row in rows) for station in NAMES]
    assert len(set(per_station)) == 1, "no row is doubled or lost"


@pytest.mark.parametrize("view", ["station_names", "station_now", "station_map", "station_index", "guideline_year"])
def test_a_view_of_the_stations_does_so_too(db: Any, view: str) -> None:
    assert {row["station"]: row["station_name"] for row in db[view].find()} == {s: NAMES[s] for s in STATIONS}


def test_series_of_a_chart_are_one_for_each_station(db: Any) -> None:
    levels: dict[str, set[float]] = {}
    for row in db.hourly_levels.find({"kind": {"$ne": "hour"}}):
        levels.setdefault(row["series"], set()).add(row["concentration"])
    expected = {name: {float(number)} for number, name in enumerate(NAMES.values(), 1)}
    endings = ("", "__yhat", "__yhat_lower", "__yhat_upper")
    assert levels == {f"{name}{end}": of for name, of in expected.items() for end in endings}


def test_profiles_are_by_station_with_one_of_all(db: Any) -> None:
    sums: dict[str, float] = {}
    for row in db.hourly_profiles.find():
        sums[row["station_name"]] = sums.get(row["station_name"], 0) + row["pm2_5_sum"]
    hours = [row["observed_at"] for row in db.hourly_measurements.find({"station": "a"})]  # an hour may end meanwhile
    today = sum(at.date() == max(hours).date() for at in hours)
    assert sums == {"Market (a)": today, "Market (b)": 2 * today, "School": 3 * today, views.ALL_STATIONS: 6 * today}


@pytest.mark.parametrize(
    ("stations", "names"),
    [
        ([("1", "SMART189", "Cocody")], ["Cocody (SMART189)"]),
        ([("1", "SMART189", ""), ("2", "SMART188", None)], ["SMART189", "SMART188"]),
        ([("1", "SMART189", "Cocody"), ("2", "SMART188", "Cocody")], ["Cocody (SMART189)", "Cocody (SMART188)"]),
        ([("1", "SMART189", "Cocody"), ("2", "SMART189", "Plateau")], ["Cocody (SMART189)", "Plateau (SMART189)"]),
        ([("1", "SMART189", "Cocody"), ("2", "SMART189", "Cocody")], ["Cocody (SMART189, 1)", "Cocody (SMART189, 2)"]),
        ([("1", "Cocody", "Cocody"), ("2", "Plateau", "")], ["Cocody", "Plateau"]),
        ([("1", "Cocody", "Cocody"), ("2", "Cocody", "")], ["Cocody (1)", "Cocody (2)"]),
        ([("1", None, "Cocody"), ("2", 5, 7), ("3", "A", 7)], ["1", "2", "A"]),
    ],
)
def test_the_place_stands_before_the_devices_name(
    mongod: Mongod, stations: list[tuple[str, Any, Any]], names: list[str]
) -> None:
    with MongoClient(mongod.uri) as client:
        made = client[f"places_{uuid.uuid4().hex[:8]}"]
        fields = [{"_id": id, "name": name, "place": place} for id, name, place in stations]
        made.stations.insert_many({k: v for k, v in of.items() if v is not None} for of in fields)
        made.stations.insert_one({"name": "SMART189", "place": "Cocody"})  # none of ours
        made.coverage.insert_many({"station": id, "day": "2024-09-09"} for id in (*(s[0] for s in stations), "none"))
        views.ensure_views(made)
        expected = {id: name for (id, *_), name in zip(stations, names, strict=True)}
        assert {row["station"]: row["station_name"] for row in made.station_names.find()} == expected
        found = {row["station"]: row["station_name"] for row in made.completeness_days.find()}
        assert found == expected | {"none": "none"}
        client.drop_database(made.name)


def test_what_a_view_looks_up_of_some_stations_is_theirs(db: Any) -> None:
    for view, most in (("guideline_year", 10), ("guideline_months", 10), ("station_now", 9), ("day_reliability", 20)):
        ask = {"aggregate": view, "pipeline": [{"$match": {"station": "c"}}], "cursor": {}}
        plan = db.command("explain", ask, verbosity="executionStats")
        assert [number for key, number in walk(plan) if key == "collectionScans" and int(number)] == [], view
        examined = [int(number) for key, number in walk(plan) if key == "totalDocsExamined"]
        assert sum(examined) <= most + 2 * len(STATIONS), view


def walk(plan: Any) -> Iterator[tuple[str, Any]]:
    for key, value in plan.items() if isinstance(plan, dict) else enumerate(plan) if isinstance(plan, list) else ():
        yield str(key), value
        yield from walk(value)


def test_a_rename_shows_at_once(db: Any) -> None:
    db.stations.update_one({"_id": "b"}, {"$set": {"name": "Harbour"}})
    try:
        assert {row["station_name"] for row in db.daily_averages_named.find()} == {
            *("Market", "Harbour", "School", "unknown")
        }
    finally:
        db.stations.update_one({"_id": "b"}, {"$set": {"name": "Market"}})


@pytest.mark.parametrize(
    ("view", "where", "index"),
    [
        ("daily_averages_named", {"day": {"$gte": "2024-09-09"}}, "day: 1, station: 1"),
        ("daily_averages_named", {"station": {"$in": ["a"]}, "day": {"$gte": "2024-09-09"}}, "station: 1, day: 1"),
        ("daily_pollutants", {"station": {"$in": ["a"]}, "day": {"$gte": "2024-09-09"}}, "station: 1, day: 1"),
        ("hourly_measurements_named", {"observed_at": {"$gte": NOW}}, "observed_at: 1, station: 1"),
        ("hourly_levels", {"station": {"$in": ["a"]}}, "station: 1, observed_at: 1"),
        ("hourly_profiles", {"station": {"$in": ["c"]}, "month": {"$gte": "2024-01-01"}}, "station: 1, month: 1"),
        ("hourly_profiles", {"station": None, "month": {"$gte": "2024-01-01"}}, "station: 1, month: 1"),
        ("flag_hours", {"day": {"$gte": "2024-09-09"}}, "day: 1, station: 1"),
        ("test_codes", {"station": {"$in": ["a"]}, "day": {"$gte": "2024-09-09"}}, "day: 1, station: 1"),
        ("completeness_days", {"station": {"$in": ["a"]}, "day": {"$gte": "2024-09-09"}}, "day: 1, station: 1"),
        ("sensor_hours", {"station": {"$in": ["a"]}, "day": {"$gte": "2024-09-09"}}, "station: 1, day: 1"),
        ("station_now", {"station": {"$in": ["a"]}}, "_id: 1"),
        ("station_map", {"station": {"$in": ["a"]}}, "_id: 1"),
        ("guideline_year", {"station": {"$in": ["a"]}}, "_id: 1"),
    ],
)
def test_a_filter_on_a_view_reaches_the_index(db: Any, view: str, where: dict[str, Any], index: str) -> None:
    db.command("profile", 2, filter={"ns": f"{db.name}.{view}"})
    assert list(db[view].find(where))
    db.command("profile", 0)
    *_, asked = db["system.profile"].find({"ns": f"{db.name}.{view}"}).sort("ts")
    assert asked["planSummary"].startswith(f"IXSCAN {{ {index} }}")
