"""The daily means, against pandas group-bys in local time and days counted by hand."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airqino.quality.means import daily_means
from airqino.times import local_date, local_day

#: WHO global air quality guidelines, 2021, table 0.1: mg/m³ and µg/m³.
WHO_24H = {"co": 4.0, "pm2_5": 15.0}
DAY = date(2024, 9, 9)
MIDNIGHT = datetime(2024, 9, 9, tzinfo=UTC)
NONE = float("nan")


def rows(values, start=MIDNIGHT, station="1", **columns):
    """One hourly row per PM2.5 value, its CO a tenth of it; NaN is a row of the API without the reading."""
    table = pd.DataFrame({"station": station, "pm2_5": [float(v) for v in values]})
    table["observed_at"] = pd.date_range(start, periods=len(values), freq="h")
    table["co"] = table["pm2_5"] / 10
    table["status"] = "ok"
    table["final"] = True
    for name, column in columns.items():
        table[name] = column
    for name in ("co", "pm2_5"):
        if f"{name}_flag" not in table:
            table[f"{name}_flag"] = np.where(table[name].isna(), "absent", "ok")
    return table


def day_of(table, day=DAY, zone="UTC", **options):
    """The one station's row as a dict."""
    (row,) = daily_means(table, [day], {"1": zone}, **options).to_dict("records")
    return row


# --- where a day lies


@pytest.mark.parametrize(
    ("day", "zone", "start", "hours"),
    [
        ("2024-09-09", "UTC", "2024-09-09T00:00", 24),
        ("2024-09-09", "Africa/Abidjan", "2024-09-09T00:00", 24),
        ("2024-03-31", "Europe/Rome", "2024-03-30T23:00", 23),
        ("2024-10-27", "Europe/Rome", "2024-10-26T22:00", 25),
        ("2024-07-01", "Europe/Rome", "2024-06-30T22:00", 24),
        ("2024-01-01", "America/Los_Angeles", "2024-01-01T08:00", 24),
        ("2024-11-03", "America/Los_Angeles", "2024-11-03T07:00", 25),
        ("2024-09-09", "Asia/Kolkata", "2024-09-08T18:30", 24),
        ("2024-09-09", "Asia/Kathmandu", "2024-09-08T18:15", 24),
        ("2024-09-09", "Pacific/Kiritimati", "2024-09-08T10:00", 24),
        ("2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00", 23),  # the day begins at 01:00
        ("2024-02-29", "Africa/Abidjan", "2024-02-29T00:00", 24),
    ],
)
def test_where_a_day_begins_and_how_many_hours_it_has(day, zone, start, hours):
    found = local_day(date.fromisoformat(day), zone)
    assert found.start == datetime.fromisoformat(start).replace(tzinfo=UTC)
    assert found.hours == hours
    assert found.stop - found.start == timedelta(hours=hours)


zones = st.sampled_from(
    ["UTC", "Europe/Rome", "Africa/Abidjan", "America/Los_Angeles", "America/St_Johns", "Asia/Kolkata", "Asia/Tokyo"]
)


@given(st.dates(date(2020, 1, 1), date(2030, 12, 31)), zones)
@settings(max_examples=100, deadline=None)
def test_days_follow_each_other_without_gap_and_hold_the_hours_of_their_date(day, zone):
    found, following = local_day(day, zone), local_day(day + timedelta(days=1), zone)
    assert found.stop == following.start
    first = found.start.replace(minute=0) - timedelta(hours=2)
    begun = [first + timedelta(hours=i) for i in range(30)]
    of_day = [at for at in begun if at.astimezone(ZoneInfo(zone)).date() == day]
    assert len(of_day) == found.hours
    assert all(found.start <= at < found.stop for at in of_day)
    assert {local_date(at, zone) for at in of_day} == {day}


# --- the mean


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["1", "2", "3"]),
            st.integers(-30, 60),
            st.one_of(st.just(NONE), st.floats(0, 1000, allow_nan=False)),
            st.one_of(st.just(NONE), st.floats(0, 30, allow_nan=False)),
            st.sampled_from(["ok", "spike", "stuck", "dead"]),
            st.sampled_from(["ok", "ok", "ok", "absent", "failed"]),
            st.booleans(),
        ),
        min_size=1,
        max_size=120,
        unique_by=lambda row: row[:2],
    ),
    st.tuples(zones, zones, zones),
    st.sampled_from([DAY, date(2024, 2, 29), date(2024, 3, 31), date(2024, 10, 27), date(2024, 11, 3)]),
    st.sampled_from([0.5, 0.75, 1.0]),
)
@settings(max_examples=60, deadline=None)
def test_means_and_counts_equal_a_group_by_in_local_time(cells, of_stations, day, share):
    zones_of = dict(zip("123", of_stations, strict=True))
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    table = pd.DataFrame(cells, columns=["station", "at", "pm2_5", "co", "flag", "status", "final"])
    table["observed_at"] = pd.to_datetime([start + timedelta(hours=h) for h in table.pop("at")], utc=True)
    table.loc[table["status"] != "ok", ["pm2_5", "co"]] = NONE
    for name in ("pm2_5", "co"):
        table[f"{name}_flag"] = table["flag"].where(table[name].notna(), "absent")
    got = daily_means(table, [day], zones_of, share)

    table["local"] = [local_date(at, zones_of[s]) for at, s in zip(table["observed_at"], table["station"], strict=True)]
    of_day = table[table["local"] == day]
    expected = {s: group for s, group in of_day.groupby("station") if (group["status"] == "ok").any()}
    assert list(got["station"]) == list(expected)
    for row, (station, group) in zip(got.to_dict("records"), expected.items(), strict=True):
        hours = local_day(day, zones_of[station]).hours
        assert row["hours"] == (group["status"] == "ok").sum()
        assert row["absent_hours"] == (group["status"] == "absent").sum()
        assert row["failed_hours"] == (group["status"] == "failed").sum()
        assert row["expected_hours"] == hours
        assert row["completeness"] == pytest.approx(row["hours"] / hours)
        assert row["valid"] == (row["hours"] >= share * hours)
        assert row["provisional"] == (group["final"].sum() < hours)
        for name in ("co", "pm2_5"):
            count, fine = group[name].count(), (group[f"{name}_flag"] == "ok").sum()
            assert row[f"{name}_mean"] == pytest.approx(group[name].mean(), nan_ok=True)
            assert (row[f"{name}_hours"], row[f"{name}_ok_hours"]) == (count, fine)
            enough = "ok" if fine >= share * hours else "suspect"
            assert row[f"{name}_quality"] == (enough if count >= share * hours else "insufficient")
            who = group[name].mean() > WHO_24H[name] if row[f"{name}_quality"] == "ok" else None
            assert row[f"{name}_above_who"] is who or row[f"{name}_above_who"] == who


@given(st.integers(0, 2**32 - 1), zones, zones, st.sets(st.integers(0, 5), min_size=1))
@settings(max_examples=30, deadline=None)
def test_several_days_at_once_equal_each_day_by_itself(seed, one, two, chosen):
    chance = np.random.default_rng(seed)
    start = MIDNIGHT - timedelta(days=1)
    stations = [rows(chance.gamma(2, 20, 8 * 24), start, s, final=chance.random(8 * 24) < 0.9) for s in "12"]
    table = pd.concat(stations, ignore_index=True).sample(frac=0.8, random_state=seed)
    days, zones_of = [DAY + timedelta(days=n) for n in sorted(chosen)], {"1": one, "2": two}
    alone = pd.concat([daily_means(table, [day], zones_of) for day in days], ignore_index=True)
    pd.testing.assert_frame_equal(daily_means(table, days, zones_of), alone)


def test_the_mean_counts_every_reported_value_whatever_its_flag():
    row = day_of(rows([10] * 12 + [40] * 12, pm2_5_flag=["ok"] * 12 + ["stuck"] * 12))
    assert row["pm2_5_mean"] == 25  # (12 × 10 + 12 × 40) / 24
    assert row["co_mean"] == pytest.approx(2.5)
    assert row["pm2_5_ok_hours"] == 12


def test_a_sensor_without_values_has_no_mean_but_the_station_has_its_row():
    row = day_of(rows([10] * 24, co=NONE))
    assert np.isnan(row["co_mean"])
    assert (row["co_hours"], row["co_quality"], row["co_above_who"]) == (0, "insufficient", None)
    assert (row["pm2_5_mean"], row["pm2_5_quality"], row["hours"]) == (10, "ok", 24)


def test_a_station_without_a_reading_on_the_day_has_no_row():
    silent = rows([NONE] * 24, station="2", status="absent")
    yesterday = rows([5] * 24, MIDNIGHT - timedelta(days=1), station="3")
    table = pd.concat([rows([10] * 24), silent, yesterday], ignore_index=True)
    assert list(daily_means(table, [DAY], {})["station"]) == ["1"]


def test_a_leap_day_is_a_day_of_its_own():
    start = datetime(2024, 2, 28, tzinfo=UTC)
    table = rows([1] * 24 + [2] * 24 + [3] * 24, start)
    found = {d: day_of(table, d)["pm2_5_mean"] for d in (date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1))}
    assert list(found.values()) == [1, 2, 3]


# --- completeness and quality


@pytest.mark.parametrize(("hours", "valid", "quality"), [(17, False, "insufficient"), (18, True, "ok")])
def test_18_of_24_hours_make_a_day(hours, valid, quality):
    row = day_of(rows([30] * hours))
    assert (row["valid"], row["pm2_5_quality"], row["completeness"]) == (valid, quality, hours / 24)
    assert row["pm2_5_mean"] == 30
    assert row["pm2_5_above_who"] is (True if valid else None)


@pytest.mark.parametrize(
    ("day", "hours", "needed"), [(date(2024, 3, 31), 23, 18), (date(2024, 10, 27), 25, 19), (DAY, 24, 18)]
)
def test_three_quarters_of_a_day_of_23_or_25_hours_are_18_or_19(day, hours, needed):
    start = local_day(day, "Europe/Rome").start
    for count in (needed - 1, needed):
        row = day_of(rows([10] * count, start), day, "Europe/Rome")
        assert (row["expected_hours"], row["valid"]) == (hours, count == needed)
    whole = day_of(rows(range(hours + 2), start - timedelta(hours=1)), day, "Europe/Rome")
    assert whole["hours"] == hours
    assert whole["completeness"] == 1
    assert whole["pm2_5_mean"] == sum(range(1, hours + 1)) / hours


@pytest.mark.parametrize(
    ("zone", "first"),  # the UTC hour, counted from midnight, that the local day begins with
    [("UTC", 0), ("America/Lima", 5), ("Asia/Tokyo", -9), ("Asia/Kolkata", -5), ("America/St_Johns", 3)],
)
def test_east_and_west_of_utc_the_day_holds_its_own_hours(zone, first):
    start = MIDNIGHT - timedelta(hours=24)
    row = day_of(rows(range(72), start), zone=zone)  # the value says which hour it is
    assert row["hours"] == 24
    assert row["pm2_5_mean"] == 24 + first + 11.5


def test_each_station_has_its_own_day():
    table = pd.concat([rows(range(72), MIDNIGHT - timedelta(days=1), s) for s in "12"], ignore_index=True)
    found = daily_means(table, [DAY], {"1": "Asia/Tokyo"})  # the other: UTC
    assert list(found["pm2_5_mean"]) == [15 + 11.5, 24 + 11.5]


def test_too_few_values_flagged_ok_make_a_mean_suspect():
    for fine, quality in ((18, "ok"), (17, "suspect")):
        row = day_of(rows([20] * 24, pm2_5_flag=["ok"] * fine + ["dead"] * (24 - fine)))
        assert (row["pm2_5_quality"], row["pm2_5_ok_hours"], row["pm2_5_hours"]) == (quality, fine, 24)
        assert row["pm2_5_above_who"] is (True if quality == "ok" else None)
        assert row["co_quality"] == "ok"


def test_the_share_of_valid_hours_is_a_setting():
    assert day_of(rows([10] * 12), valid_share=0.5)["pm2_5_quality"] == "ok"
    assert day_of(rows([10] * 11), valid_share=0.5)["pm2_5_quality"] == "insufficient"
    assert day_of(rows([10] * 23), valid_share=1)["valid"] is False


# --- WHO levels


@pytest.mark.parametrize(("level", "above"), [(15.0, False), (15.01, True)])
def test_a_mean_at_the_guideline_is_not_above_it(level, above):
    assert day_of(rows([level] * 24))["pm2_5_above_who"] == above
    co = day_of(rows([1] * 24, co=4.0 + (0.01 if above else 0)))
    assert co["co_above_who"] == above


# --- provisional


def test_a_day_is_provisional_until_each_of_its_hours_is_final():
    assert day_of(rows([10] * 24))["provisional"] is False
    assert day_of(rows([10] * 24, final=[True] * 23 + [False]))["provisional"] is True
    assert day_of(rows([10] * 23))["provisional"] is True  # an hour that was not asked for yet
    absent = rows([10] * 23 + [NONE], status=["ok"] * 23 + ["absent"])
    assert day_of(absent)["provisional"] is False
    failed = rows([10] * 23 + [NONE], status=["ok"] * 23 + ["failed"], final=[True] * 23 + [False])
    assert (day_of(failed)["provisional"], day_of(failed)["failed_hours"]) == (True, 1)
