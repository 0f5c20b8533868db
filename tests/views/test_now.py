"""The views of the present: each station's last hour and forecast, its index, the map, and the moment."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.documents import DAY, HOUR, NOW, forecast, reading, station

from airqino import views
from airqino.readings import HORIZONS

LAST = NOW - HOUR


def test_station_now_shows_the_last_hour_and_the_newest_forecast(db: Any) -> None:
    db.stations.insert_one(station("a", LAST))
    db.hourly_measurements.insert_many(
        [reading("a", LAST - ago * HOUR, level) for ago, level in enumerate([20.0, 10.0, None, 16.0, 99.0])]
    )
    db.hourly_measurements.update_one({"pm2_5": None}, {"$set": {"pm2_5_flag": "absent"}})
    db.hourly_measurements.update_one({"pm2_5": 10.0}, {"$set": {"pm2_5_flag": "humid"}})
    db.hourly_measurements.update_one({"pm2_5": 20.0}, {"$set": {"pm2_5_index": 3, "co_index": 5}})
    for number, issued in enumerate((LAST, LAST + HOUR)):
        for horizon in (*HORIZONS[2:], *HORIZONS[:2]):
            db.forecasts.insert_one(forecast("a", issued, horizon, 100 * (number + 1) + horizon))
    views.ensure_views(db)
    rows = {row["pollutant"]: row for row in db.station_now.find()}
    assert list(rows) == ["PM2.5", "PM10", "O3", "NO2", "CO"]
    pm, co = rows["PM2.5"], rows["CO"]
    assert (pm["state"], pm["concentration"], pm["change"], pm["trend"]) == ("measured", 20.0, 7.0, "rising")
    assert (pm["hour_level"], co["hour_level"]) == (3, None)
    assert {name: row["smallest"] for name, row in rows.items() if row["smallest"]} == {"CO": 0.01}
    assert (pm["next_1h_state"], pm["next_1h_p50"], pm["next_2h_p50"]) == ("forecast", 201, 202)
    assert (pm["next_1h_at"], pm["next_1h_reason"]) == (LAST + 2 * HOUR, None)
    assert (co["state"], co["concentration"], co["fault"]) == ("left_out", None, "dead")
    states = {name: {row[f"next_{h}h_state"] for h in (1, 2)} for name, row in rows.items()}
    assert states == {name: {"not_forecast"} for name in ("PM10", "O3", "NO2")} | {
        "PM2.5": {"forecast"},
        "CO": {"none"},
    }
    assert co["next_1h_reason"] == "not_made"
    assert rows["PM10"]["state"] == "none"
    assert {row["worst"] for row in rows.values()} == {20.0}
    assert all(set(row) == set(pm) for row in rows.values()), "the same columns in each row"


@pytest.mark.parametrize("hours", [0, 1, 2, 3, 24 * 800])
def test_an_hour_that_ended_three_hours_ago_is_stale(db: Any, hours: int) -> None:
    last = NOW - (hours + 1) * HOUR
    db.stations.insert_one(station("a", last))
    db.hourly_measurements.insert_one(reading("a", last, 20.0) | {"pm2_5_index": 3})
    views.ensure_views(db)
    since = (datetime.now(UTC) - last - HOUR) / HOUR
    pm = db.station_now.find_one({"pollutant": "PM2.5"})
    spot = db.station_map.find_one({"kind": "station"})
    for row in (pm, spot):
        assert row["age_h"] == pytest.approx(since, abs=0.05)
        assert row["stale"] is (since >= 3)
        assert (row["state"], row["concentration"], row["hour_level"], row["last_at"]) == ("measured", 20.0, 3, last)
    assert pm["worst"] == (-1 if since >= 3 else 20.0)


def test_stations_are_ordered_worst_first_and_those_without_a_number_last(db: Any) -> None:
    levels = {"a": (12.0, "ok"), "b": (30.0, "humid"), "c": (99.0, "spike"), "d": (None, "absent")}
    db.stations.insert_many(
        [*(station(name, LAST) for name in levels), station("e", NOW - 9 * HOUR), station("f", NOW)]
    )
    db.hourly_measurements.insert_many(reading(name, LAST, level, flag=flag) for name, (level, flag) in levels.items())
    db.hourly_measurements.insert_one(reading("e", NOW - 9 * HOUR, 80.0))
    views.ensure_views(db)
    rows = {row["station"]: row for row in db.station_now.find({"pollutant": "PM2.5"})}
    assert {name: row["worst"] for name, row in rows.items()} == {"a": 12, "b": 30, "c": -1, "d": -1, "e": -1, "f": -1}
    assert [rows[name]["state"] for name in "abcdef"] == [
        "measured",
        "measured",
        "left_out",
        "none",
        "measured",
        "none",
    ]
    assert rows["f"]["last_at"] == NOW, "its hours have expired"


@pytest.mark.parametrize(
    ("now", "before", "trend"),
    [
        *((11.0, [10.0, 10.0, 10.0], "steady"), (11.1, [10.0, 10.0, 10.0], "rising")),
        *((9.0, [9.0, 10.0, 11.0], "steady"), (8.9, [9.0, 10.0, 11.0], "falling")),
        *((5.0, [], None), (5.0, [None, 5.1], "steady"), (None, [5.0], None)),
    ],
)
def test_a_trend_is_told_against_the_mean_of_three_hours(
    db: Any, now: float | None, before: list[float | None], trend: str | None
) -> None:
    db.stations.insert_one(station("a", LAST))
    db.hourly_measurements.insert_many(
        reading("a", LAST - ago * HOUR, level, flag="absent" if level is None else "ok")
        for ago, level in enumerate([now, *before])
    )
    db.hourly_measurements.insert_one(reading("a", LAST - 4 * HOUR, 500.0))
    views.ensure_views(db)
    assert db.station_now.find_one({"pollutant": "PM2.5"})["trend"] == trend


@pytest.mark.parametrize(
    ("flags", "concentration", "change", "state"),
    [
        (["floor", "ok", "ok", "ok"], None, None, "at_floor"),
        (["at_floor", "at_floor", "at_floor", "at_floor"], None, None, "at_floor"),
        (["ok", "floor", "ok", "ok"], 0.4, None, "measured"),
        (["ok", "spike", "ok", "ok"], 0.4, 0.2, "measured"),
        (["ok", "ok", "ok", "ok", "floor"], 0.4, 0.2, "measured"),
    ],
    ids=["at the floor", "for days", "one before at the floor", "one before left out", "one long before"],
)
def test_an_hour_at_the_floor_is_no_number_and_there_is_no_change_from_or_to_it(
    db: Any, flags: list[str], concentration: float | None, change: float | None, state: str
) -> None:
    db.stations.insert_one(station("a", LAST))
    levels = [0.4, 0.2, 0.2, 0.2, 0.2]
    hours = [(0.0 if "floor" in flag else level, flag) for level, flag in zip(levels, flags, strict=False)]
    db.hourly_measurements.insert_many(
        reading("a", LAST - ago * HOUR, None, co=level, flag="absent", co_flag=flag)
        for ago, (level, flag) in enumerate(hours)
    )
    views.ensure_views(db)
    (co,) = db.station_now.find({"pollutant": "CO"})
    assert (co["concentration"], co["state"]) == (concentration, state)
    assert co["change"] == (None if change is None else pytest.approx(change))


@pytest.mark.parametrize(("co", "state"), [(0.005, "measured"), (0.0049, "at_floor"), (-0.05, "at_floor")])
def test_what_is_written_as_nothing_is_no_measurement(db: Any, co: float, state: str) -> None:
    db.stations.insert_one(station("a", LAST))
    db.hourly_measurements.insert_one(reading("a", LAST, None, co=co, flag="absent", co_flag="ok"))
    views.ensure_views(db)
    row = db.station_now.find_one({"pollutant": "CO"})
    assert (row["state"], row["concentration"]) == (state, co if state == "measured" else None)


@pytest.mark.parametrize(
    ("made", "state", "reason"),
    [
        ({"p50": 0.3}, "forecast", None),
        ({"p50": 0.005, "p10": 0.001}, "forecast", None),
        ({"p50": 0.0049}, "low", None),
        ({"p50": None, "reason": "no reading for 5 h"}, "none", "no_reading"),
        ({"p50": None, "reason": "no reading in the last 2 days"}, "none", "no_reading"),
        ({"p50": None, "reason": "zero of the sensor off"}, "none", "sensor"),
        ({"p50": None, "reason": "readings in another unit"}, "none", "sensor"),
        ({"p50": None, "reason": "no model"}, "none", "model"),
        (None, "none", "not_made"),
    ],
)
def test_a_coming_hour_is_a_number_or_says_why_not(
    db: Any, made: dict[str, Any] | None, state: str, reason: str | None
) -> None:
    db.stations.insert_one(station("a", LAST))
    db.hourly_measurements.insert_one(reading("a", LAST, 9.0))
    if made is not None:
        db.forecasts.insert_one(forecast("a", LAST, 2, 0.2) | {"pollutant": "co"} | made)
    views.ensure_views(db)
    row = db.station_now.find_one({"pollutant": "CO"})
    assert (row["next_2h_state"], row["next_2h_reason"]) == (state, reason)
    numbers = [row[f"next_2h_{p}"] for p in ("p10", "p50", "p90")]
    assert numbers == (
        [made.get(p, 0.2) for p in ("p10", "p50", "p90")] if made and state == "forecast" else [None] * 3
    )


def test_a_forecast_of_an_hour_long_begun_is_late(db: Any) -> None:
    last = NOW - 4 * HOUR
    db.stations.insert_one(station("a", last))
    db.hourly_measurements.insert_one(reading("a", last, 9.0))
    db.forecasts.insert_many(forecast("a", last, horizon, 9.0) for horizon in (1, 2))  # 3 and 2 hours ago and more
    db.forecasts.insert_one(forecast("a", last - HOUR, 1, 9.0))  # made before the last hour was over
    views.ensure_views(db)
    row = db.station_now.find_one({"pollutant": "PM2.5"})
    assert (row["next_1h_state"], row["next_2h_state"]) == ("late", "late")
    assert (row["next_1h_p50"], row["next_1h_at"]) == (None, last + HOUR)


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
    assert a == {"station": "a", "station_name": "A", "last_at": last, "stale": True, "overall": "4 poor"} | {
        **{"pm2_5_index": "2 fair", "pm10_index": "1 good", "no2_index": "4 poor", "o3_index": "6 extremely poor"}
    }
    assert (b["overall"], b["pm2_5_index"], b["no2_index"]) == (None, "3 moderate", None)
    assert not [name for name in a if name.startswith("co")]


def test_the_map_has_each_station_two_corners_and_the_shore(db: Any) -> None:
    db.stations.insert_many([station("a", LAST, place="Cocody"), station("b", LAST, latitude=5.5)])
    db.hourly_measurements.insert_one(reading("a", LAST, 20.0) | {"pm2_5_index": 3})
    db.hourly_measurements.insert_one(reading("b", LAST, 99.0, flag="spike"))
    db.hourly_measurements.insert_one(reading("b", LAST - HOUR, 50.0))
    points = [{"latitude": 5.2, "longitude": -4.1}, {"latitude": 5.3, "longitude": -4.0}]
    db.outlines.insert_one({"_id": "shore", "points": points})
    views.ensure_views(db)
    rows = list(db.station_map.find())
    corners = {("a", "south-west", 4.99, -4.01), ("a", "north-east", 5.01, -3.99)}
    corners |= {("b", "south-west", 5.49, -4.01), ("b", "north-east", 5.51, -3.99)}
    places = {(r["station"], r["kind"], round(r["latitude"], 2), round(r["longitude"], 2)) for r in rows}
    assert places - corners == {
        *(("a", "station", 5.0, -4.0), ("b", "station", 5.5, -4.0)),
        *((None, "coast", 5.2, -4.1), (None, "coast", 5.3, -4.0)),
    }
    assert corners <= places
    told = {r["station"]: (r["station_name"], r["state"], r["concentration"]) for r in rows if r["kind"] == "station"}
    assert told == {"a": ("Cocody (A)", "measured", 20.0), "b": ("B", "left_out", None)}
    asked = db.station_map.find({"$or": [{"station": {"$in": ["b"]}}, {"station": None}]})
    assert sorted(row["kind"] for row in asked) == ["coast", "coast", "north-east", "south-west", "station"]


@pytest.mark.parametrize("loads", [[], [{"_id": "models"}, {"_id": "notes"}]], ids=["empty", "filled"])
def test_the_present_is_one_row_whatever_there_is(db: Any, loads: list[dict[str, Any]]) -> None:
    if loads:
        db.loads.insert_many(loads)
    views.ensure_views(db)
    (row,) = db.present.find()
    assert set(row) == {"now_at"}
    assert abs(datetime.now(UTC) - row["now_at"]) < timedelta(minutes=1)


def test_hourly_levels_have_two_days_and_no_hour_at_the_floor(db: Any) -> None:
    flags = ["ok", "floor", "at_floor", "dead", "out_of_range"]
    db.stations.insert_one(station("a", NOW - HOUR))
    db.hourly_measurements.insert_many(
        reading("a", NOW - ago * HOUR, 7.0, co=0.0 if "floor" in flag else 0.5, flag="humid", co_flag=flag)
        for ago, flag in enumerate(flags, 1)
    )
    db.hourly_measurements.insert_one(reading("a", NOW - 9 * HOUR, None, co=0.004, flag="absent", co_flag="ok"))
    db.hourly_measurements.insert_many(reading("a", NOW - DAY * 2 + ago * HOUR, 8.0) for ago in (-1, 0, 1))
    views.ensure_views(db)
    hours = [row for row in db.hourly_levels.find({"kind": "hour", "pollutant": "CO"}) if row["station"] == "a"]
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    assert {row["observed_at"] for row in hours} == {now - n * HOUR for n in range(48)}, "a gap where nothing is"
    assert {row["concentration"] for row in hours} == {None}
    rows = list(db.hourly_levels.find({"kind": {"$ne": "hour"}}))
    levels = [(row["pollutant"], row["concentration"]) for row in rows]
    assert sorted(levels) == [("CO", 0.5), *[("PM2.5", 7.0)] * 5, *[("PM2.5", 8.0)]]
    assert {row["kind"] for row in rows} == {"reading"}


def test_hourly_levels_have_the_newest_forecast_after_the_newest_reading(db: Any) -> None:
    db.stations.insert_many([station("a", NOW - 2 * HOUR), station("b", NOW - HOUR)])
    for name, newest in (("a", 2), ("b", 1)):
        for ago in range(newest, 5):
            db.forecasts.insert_many(forecast(name, NOW - ago * HOUR, h, 100 * ago + h) for h in HORIZONS)
    db.forecasts.update_one({"station": "a", "issued_at": NOW - 2 * HOUR, "horizon_h": 9}, {"$set": {"p50": None}})
    db.forecasts.insert_one(forecast("b", NOW - HOUR, 1, None, pollutant="co", p10=0.001, p50=0.004, p90=0.2))
    db.forecasts.insert_one(forecast("b", NOW - HOUR, 2, None, pollutant="co", p10=-0.001, p50=0.05, p90=0.2))
    views.ensure_views(db)
    shown = {
        (row["series"], row["observed_at"]): row["concentration"]
        for row in db.hourly_levels.find({"pollutant": "PM2.5", "kind": "forecast"})
    }
    expected = {
        (f"{name.upper()}__yhat{end}", NOW + (h - ago) * HOUR): 100 * ago + h
        for name, ago in (("a", 2), ("b", 1))
        for end in ("", "_lower", "_upper")
        for h in HORIZONS
        if (name, end, h) != ("a", "", 9)
    }
    shown_co = {
        row["series"]: row["concentration"] for row in db.hourly_levels.find({"pollutant": "CO", "kind": "forecast"})
    }
    assert shown_co == {"B__yhat": 0.05, "B__yhat_lower": 0.01, "B__yhat_upper": 0.2}
    assert shown == expected


def test_hourly_levels_have_no_forecast_of_hours_ago_or_of_hours_that_are_measured(db: Any) -> None:
    db.stations.insert_many([station("a", NOW - 4 * HOUR), station("b", NOW - HOUR)])
    db.forecasts.insert_many(forecast("a", NOW - 4 * HOUR, h, 9.0) for h in HORIZONS)
    db.forecasts.insert_many(forecast("b", NOW - 2 * HOUR, h, 9.0) for h in HORIZONS)  # the newest one is late
    views.ensure_views(db)
    rows = list(db.hourly_levels.find({"series": {"$regex": "yhat$"}}))
    assert sorted((r["station"], r["observed_at"]) for r in rows) == [("b", NOW + (h - 2) * HOUR) for h in HORIZONS[1:]]


def test_the_state_tells_the_newest_reading_and_not_the_hour_that_was_asked_for(db: Any) -> None:
    db.stations.insert_many([station("a", NOW - 5 * HOUR), station("b", NOW - 7 * HOUR)])
    db.loads.insert_many(
        [
            {"_id": "day|x", "kind": "day", "through": NOW - HOUR, "loaded_at": NOW},
            {"_id": "forecast|x", "kind": "forecast", "issued_at": NOW - HOUR, "loaded_at": NOW},
            {"_id": "score|x", "kind": "score", "loaded_at": NOW},
        ]
    )
    views.ensure_views(db)
    told = {row["kind"]: row for row in db.pipeline_state.find()}
    now = datetime.now(UTC)
    ages = {kind: (now - hour).total_seconds() / 3600 - 1 for kind, hour in _NEWEST.items()}
    assert {kind: row["newest_at"] for kind, row in told.items()} == _NEWEST
    assert {kind: round(row["age_h"], 1) for kind, row in told.items()} == pytest.approx(ages, abs=0.1)
    assert {kind: row["stale"] for kind, row in told.items()} == {"day": True, "forecast": False}


#: Of each kind of load.
_NEWEST = {"day": NOW - 5 * HOUR, "forecast": NOW - HOUR}
