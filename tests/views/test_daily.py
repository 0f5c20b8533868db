"""The views of days and of the guideline, against naive computations over the same documents."""

import random
from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from support.documents import DAY, NOW, day, forecast, station

from airqino import views
from airqino.publishing.days import day_level
from airqino.readings import LABELS, POLLUTANTS, reading

TODAY = NOW.date()


def test_a_day_is_a_row_for_each_pollutant_with_all_that_its_mean_rests_on(db: Any) -> None:
    db.stations.insert_one(station("a", NOW))
    of_day = {"_id": "a|2024-09-09", "station": "a", "day": "2024-09-09", "provisional": True}
    of_day |= {"co_checked_mean": 0.1, "co_quality": "ok", "co_floor_hours": 9, "co_checked_hours": 24}
    of_day |= {"o3_checked_mean": 20.0, "o3_8h_max": 31.0, "pm2_5_mean": 99.0, "pm2_5_checked_mean": 9.0}
    of_day |= {"pm2_5_corrected_mean": 5.0, "pm2_5_correction": "kappa", "pm2_5_dry_mean": 5.0}
    db.daily_averages.insert_one(of_day)
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


@pytest.mark.parametrize(
    ("fields", "mark", "drawn"),
    [
        ({}, None, 3.0),
        ({"provisional": True}, "provisional", 3.0),
        ({"co_floor_hours": 11}, "floor_hours", 3.0),
        ({"co_floor_hours": 11, "provisional": True}, "provisional_floor_hours", 3.0),
        ({"co_floor_hours": 11, "provisional": True, "co_quality": "suspect"}, "suspect", None),
        ({"co_quality": "insufficient", "co_checked_hours": 9, "co_floor_hours": 4}, "insufficient", None),
        ({"co_quality": "suspect", "co_floor_hours": 12}, None, None),
        ({"co_quality": "insufficient", "co_checked_hours": 4, "co_floor_hours": 2}, None, None),
        ({"co_checked_mean": 0.004, "provisional": True}, None, None),
        ({"co_checked_mean": 0.004, "co_floor_hours": 3}, None, None),
        ({"co_checked_mean": -0.02}, None, None),
        ({"co_checked_mean": None, "co_quality": "insufficient", "co_checked_hours": 0}, None, None),
    ],
)
def test_a_day_is_drawn_as_a_line_or_a_dot_or_not_at_all(
    db: Any, fields: dict[str, Any], mark: str | None, drawn: float | None
) -> None:
    db.daily_averages.insert_one(day("a", "2024-09-09", **fields))
    views.ensure_views(db)
    co = db.daily_pollutants.find_one({"pollutant": "CO"})
    assert (co["mark"], co["drawn"], co["dot"]) == (mark, drawn, None if mark is None else 3.0)


@pytest.mark.parametrize("quality", ["ok", "checked", "suspect", "insufficient"])
def test_a_days_level_is_that_of_its_mean_and_above_that_of_the_guideline(db: Any, quality: str) -> None:
    levels = sorted({*range(0, 200, 9), *(band for p in POLLUTANTS for band in reading(p).index_bands)})
    levels += [level + 0.01 for level in levels]
    for number, level in enumerate(levels):
        fields = {f"{p}_{part}": of for p in POLLUTANTS for part, of in (("checked_mean", level), ("quality", quality))}
        over = {f"{p}_above_who": level > (reading(p).guideline or 0) for p in POLLUTANTS}
        db.daily_averages.insert_one(day(f"s{number}", "2024-09-09", **fields, **over, o3_8h_max=level))
    views.ensure_views(db)
    known = quality in ("ok", "checked")
    for row in db.daily_pollutants.find():
        name = next(name for name, label in LABELS.items() if label == row["pollutant"])
        level, bands = levels[int(row["station"][1:])], reading(name).index_bands
        assert row["day_level"] == (bisect_left(bands, level) + 1 if known and bands else None)
        assert row["above_guideline"] == (level > (reading(name).guideline or 0) if known else None)
        if name == "pm2_5" and known:
            assert row["day_level"] == day_level(level)
        if bands and known:
            assert (row["day_level"] > 2) is row["above_guideline"], "the second band ends at the guideline"


def days_before(today: date, days: int) -> Iterator[str]:
    for ago in range(days, 0, -1):
        yield f"{today - timedelta(days=ago)}"


@pytest.fixture
def years(db: Any) -> tuple[Any, pd.DataFrame]:
    """Two years of made-up days of two stations, and a third of which some days are there; as rows too."""
    rng = random.Random(7)
    spans = {"a": ("Pacific/Auckland", 730, 1.0), "b": ("America/Lima", 730, 0.9), "c": ("UTC", 40, 1.0)}
    documents = []
    for name, (zone, back, kept) in spans.items():
        today = datetime.now(ZoneInfo(zone)).date()
        db.stations.insert_one(station(name, NOW, time_zone=zone, place="Cocody"))
        for text in [*days_before(today, back), f"{today}"]:
            fields: dict[str, Any] = {}
            for p in POLLUTANTS:
                mean, quality = rng.uniform(0, 30), rng.choice(["ok", "ok", "checked", "suspect", "insufficient"])
                fields |= {f"{p}_checked_mean": mean, f"{p}_quality": quality}
                told = quality in ("ok", "checked") and rng.random() < 0.97
                fields[f"{p}_above_who"] = mean > 15 if told else None
            fields["pm2_5_dry_above_who"] = rng.choice([True, False, None])
            fields |= {"co_floor_hours": rng.choice([0, 5, 12, 20]), "co_checked_hours": rng.choice([24, 20, 0])}
            if rng.random() < kept:
                documents.append(day(name, text, **fields, o3_8h_max=rng.uniform(0, 99)))
    db.daily_averages.insert_many(documents)
    views.ensure_views(db)
    table = pd.DataFrame(documents)
    table["today"] = table["station"].map(lambda of: f"{datetime.now(ZoneInfo(spans[of][0])).date()}")
    return db, table[table["day"] < table["today"]]


def valid(days: pd.DataFrame, name: str) -> "pd.Series[bool]":
    return days[f"{name}_quality"].isin(["ok", "checked"]) & days[f"{name}_above_who"].notna()


def test_a_year_is_the_365_local_days_before_today(years: tuple[Any, pd.DataFrame]) -> None:
    db, table = years
    rows = {(row["station"], row["pollutant"]): row for row in db.guideline_year.find()}
    assert len(rows) == 3 * 5
    for id, own in table.groupby("station"):
        today = date.fromisoformat(own["today"].iloc[0])
        year = own[own["day"] >= f"{today - timedelta(days=365)}"]
        days = (today - date.fromisoformat(year["day"].min())).days
        assert days == (40 if id == "c" else days)
        assert days <= 365
        for name, label in LABELS.items():
            row, of, counted = rows[id, label], reading(name), year[valid(year, name)]
            means = counted["o3_8h_max" if name == "o3" else f"{name}_checked_mean"]
            floor = (2 * year["co_floor_hours"] >= year["co_checked_hours"]) & (year["co_checked_hours"] > 0)
            expected = {
                **{"station_name": f"Cocody ({id.upper()})", "guideline": of.guideline, "unit": of.unit, "days": days},
                **{"annual_guideline": of.annual_guideline, "valid_days": len(counted)},
                "share_valid": pytest.approx(len(counted) / days),
                "days_above": int(counted[f"{name}_above_who"].astype(bool).sum()),
                "days_above_dry": int((counted["pm2_5_dry_above_who"] == True).sum())  # noqa: E712
                if name == "pm2_5"
                else None,
                "floor_days": int(floor.sum()) if name == "co" else 0,
                "year_mean": pytest.approx(means.mean()),
            }
            assert {part: row[part] for part in expected} == expected, (id, name)
            assert row["judged"] == ("floor" if name == "co" else "few")
            assert row["times_annual"] is None


def test_months_are_the_last_twelve_and_the_running_one(years: tuple[Any, pd.DataFrame]) -> None:
    db, table = years
    expected = {}
    for id, own in table.groupby("station"):
        today = pd.Timestamp(own["today"].iloc[0])
        months = own[own["day"] >= f"{(today.to_period('M') - 12).start_time:%Y-%m-%d}"]
        for month, days in months.groupby(months["day"].str[:7]):
            for name, label in LABELS.items():
                counted = days[valid(days, name)]
                above = int(counted[f"{name}_above_who"].astype(bool).sum())
                expected[id, label, f"{month}-01"] = (len(counted), above)
    found = {
        (row["station"], row["pollutant"], row["calendar_month"]): (row["valid_days"], row["days_above"])
        for row in db.guideline_months.find()
    }
    assert found == expected
    assert len({month for id, _, month in found if id == "a"}) in (12, 13)  # 12 on the first day of a month


@pytest.mark.parametrize(
    ("qualities", "judged"),
    [
        ({"ok": 365}, "yes"),
        ({"ok": 274, "insufficient": 91}, "yes"),
        ({"ok": 273, "insufficient": 92}, "few"),
        ({"insufficient": 100}, "none"),
        ({}, "none"),
        ({"ok": 100}, "yes"),
        ({"ok": 75, "insufficient": 25}, "yes"),
        ({"floor": 365}, "floor"),
        ({"floor": 92, "ok": 273}, "floor"),
        ({"floor": 92, "insufficient": 273}, "floor"),
        ({"floor": 91, "ok": 274}, "yes"),
        ({"floor": 80, "ok": 200, "insufficient": 85}, "floor"),
        ({"floor": 80, "ok": 190, "insufficient": 95}, "few"),
        ({"floor": 20, "insufficient": 200}, "none"),
    ],
)
def test_a_year_is_judged_if_three_quarters_of_its_days_are_valid(
    db: Any, qualities: dict[str, int], judged: str
) -> None:
    db.stations.insert_one(station("a", NOW))
    of_days = [quality for quality, number in qualities.items() for _ in range(number)]
    random.Random(1).shuffle(of_days)
    for text, quality in zip(days_before(TODAY, len(of_days)), of_days, strict=True):
        at_floor = quality == "floor"
        fields = {f"{p}_quality": "suspect" if at_floor else quality for p in POLLUTANTS}
        fields |= {} if quality == "ok" else {f"{p}_above_who": None for p in POLLUTANTS}
        db.daily_averages.insert_one(day("a", text, **fields, co_floor_hours=12 if at_floor else 0))
    views.ensure_views(db)
    rows = {row["pollutant"]: row for row in db.guideline_year.find()}
    assert rows["CO"]["judged"] == judged
    if judged == "yes":
        assert rows["PM2.5"]["judged"] == "yes"
        assert [rows[name]["times_annual"] for name in ("PM2.5", "PM10", "CO", "O3")] == [
            *(pytest.approx(3 / 5), pytest.approx(3 / 15), None, None)
        ]


def test_a_day_of_version_0_3_0_is_not_vouched_for_before_it_is_taken_over(db: Any) -> None:
    yesterday = f"{TODAY - DAY}"
    db.stations.insert_one(station("a", NOW))
    of_day = {"_id": f"a|{yesterday}", "station": "a", "day": yesterday, "provisional": False}
    of_day |= {"co_mean": 0.0, "co_hours": 24, "co_quality": "ok", "co_above_who": False}
    of_day |= {"pm2_5_mean": 40.0, "pm2_5_hours": 24, "pm2_5_quality": "ok", "pm2_5_above_who": True}
    none = {"no2_quality": "insufficient", "no2_checked_mean": None, "no2_above_who": None}
    db.daily_averages.insert_one(of_day | none)
    views.ensure_views(db)
    for row in db.guideline_year.find():
        assert [row[name] for name in ("days", "valid_days", "days_above", "judged")] == [1, 0, 0, "none"]
    rows = {row["pollutant"]: row for row in db.daily_pollutants.find()}
    assert [rows[name]["quality"] for name in ("PM2.5", "CO", "NO2")] == [None, None, "insufficient"]
    assert [rows[name]["mean"] for name in ("PM2.5", "CO")] == [40.0, 0.0], "as reported"
    for row in rows.values():
        assert [row.get(part) for part in ("drawn", "dot", "mark", "day_level", "above_guideline")] == [None] * 5


def test_sensor_hours_are_those_of_each_pollutant(db: Any) -> None:
    humid = {"pm2_5_humid_hours": 7, "pm10_humid_hours": 8, "pm2_5_checked_hours": 23}
    db.daily_averages.insert_one(day("a", "2024-09-09", **humid, co_floor_hours=5))
    views.ensure_views(db)
    columns = ("checked_hours", "floor_hours", "humid_hours")
    rows = {row["pollutant"]: tuple(row.get(name) for name in columns) for row in db.sensor_hours.find()}
    assert rows == {"PM2.5": (23, None, 7), "PM10": (24, None, 8), "CO": (24, 5, None)} | dict.fromkeys(
        ("NO2", "O3"), (24, None, None)
    )


def test_chances_told_at_six_are_put_beside_what_came(db: Any) -> None:
    zone, expected = ZoneInfo("America/Lima"), {}
    db.stations.insert_one(station("a", NOW, time_zone="America/Lima"))
    chances = [0.0, 0.19, 0.2, 0.55, 0.8, 0.999, 1.0]
    for number, chance in enumerate(chances):
        of_day = TODAY - timedelta(days=2 + number)
        told_at = datetime(of_day.year, of_day.month, of_day.day, 6, tzinfo=zone).astimezone(UTC)
        for hour in (-1, 0, 1):  # what is told before and after differs
            issued = told_at - (1 + hour) * (NOW - (NOW - timedelta(hours=1)))
            other = {"day": f"{of_day}", "day_exceedance": chance if hour == 0 else 0.5}
            db.forecasts.insert_one(forecast("a", issued, 1, 9.0, **other))
        above = number % 2 == 0
        db.daily_averages.insert_one(day("a", f"{of_day}", pm2_5_above_who=above))
        expected[f"{of_day}"] = (chance, min(int(chance * 5), 4), above)
    unsettled = TODAY - timedelta(days=12)
    for number, fields in enumerate(({"provisional": True}, {"pm2_5_quality": "suspect"}, {"pm2_5_above_who": None})):
        of_day = unsettled - timedelta(days=number)
        told_at = datetime(of_day.year, of_day.month, of_day.day, 5, tzinfo=zone).astimezone(UTC)
        db.forecasts.insert_one(forecast("a", told_at, 1, 9.0, day_exceedance=0.5))
        db.daily_averages.insert_one(day("a", f"{of_day}", **fields))
    db.daily_averages.insert_one(day("a", f"{TODAY - timedelta(days=20)}"))  # no chance was told
    views.ensure_views(db)
    rows = list(db.day_reliability.find())
    assert {row["day"]: (row["chance"], row["bin"], row["exceeded"]) for row in rows} == expected
    assert len(rows) == len(expected)
    assert set(rows[0]) == {"station", "station_name", "day", "chance", "bin", "exceeded"}
