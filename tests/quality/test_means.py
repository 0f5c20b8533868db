"""The daily means, against pandas group-bys in local time and days counted by hand."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airqino.quality import index
from airqino.quality.contexts import Context
from airqino.quality.flags import COUNTED, TESTS, UNCHECKED, flag_days
from airqino.quality.means import daily_means, dried
from airqino.readings import NAMES, POLLUTANTS
from airqino.times import local_date, local_day

#: WHO global air quality guidelines, 2021, table 0.1: mg/m³ and µg/m³; of O3 the one for 8-hour means.
WHO = {"co": 4.0, "pm2_5": 15.0, "pm10": 45.0, "no2": 25.0, "o3": 100.0}
DAY = date(2024, 9, 9)
MIDNIGHT = datetime(2024, 9, 9, tzinfo=UTC)
NONE = float("nan")


def rows(values, start=MIDNIGHT, station="1", **columns):
    """One hourly row per PM2.5 value, its CO a tenth of it; NaN is a row of the API without the reading."""
    table = pd.DataFrame({"station": station, "pm2_5": [float(v) for v in values]})
    table["observed_at"] = pd.date_range(start, periods=len(values), freq="h")
    table["co"] = table["pm2_5"] / 10
    return completed(table.assign(**{"status": "ok", "final": True} | columns))


def completed(table):
    """Add what a row of the hourly table has beside; a word with a code of its own gets it."""
    for name in POLLUTANTS:
        if name not in table:
            table[name] = NONE
        if f"{name}_flag" not in table:
            table[f"{name}_flag"] = "ok"
        table[f"{name}_flag"] = table[f"{name}_flag"].where(table[name].notna(), "absent")
        table[f"{name}_tests"] = table[f"{name}_flag"].map(codes)
    if "rh" not in table:
        table["rh"] = NONE
    if "rh_flag" not in table:
        table["rh_flag"] = "ok"
    return table


def codes(flag):
    digits = list(UNCHECKED)
    test = {"floor": "floor", "at_floor": "dead", "humid": "humid", "level": "level"}.get(flag)
    if test:
        digits[TESTS.index(test)] = "3"
    return "".join(digits)


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
@settings(max_examples=100)
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
            st.sampled_from(["ok", "ok", "ok", "ok", "humid", "floor", "spike", "stuck", "dead"]),
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
@settings(max_examples=60)
def test_means_and_counts_equal_a_group_by_in_local_time(cells, of_stations, day, share):
    zones_of = dict(zip("123", of_stations, strict=True))
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    table = pd.DataFrame(cells, columns=["station", "at", "pm2_5", "co", "flag", "status", "final"])
    table["observed_at"] = pd.to_datetime([start + timedelta(hours=h) for h in table.pop("at")], utc=True)
    table.loc[table["status"] != "ok", ["pm2_5", "co"]] = NONE
    table = completed(table.assign(pm2_5_flag=table["flag"], co_flag=table["flag"]))
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
            flags = group[f"{name}_flag"]
            counting = group[name][flags.isin(COUNTED)]
            assert row[f"{name}_mean"] == pytest.approx(group[name].mean(), nan_ok=True)
            assert row[f"{name}_checked_mean"] == pytest.approx(counting.mean(), nan_ok=True)
            assert (row[f"{name}_hours"], row[f"{name}_checked_hours"]) == (group[name].count(), len(counting))
            out = {word: (flags == word).sum() for word in ("dead", "stuck", "spike")}
            assert row[f"{name}_left_out"] == ", ".join(f"{n} h {word}" for word, n in out.items() if n)
            floor = (flags == "floor").sum()
            if len(counting) < share * hours:
                quality = "insufficient"
            elif len(counting) and 2 * floor >= len(counting):
                quality = "suspect"
            else:
                quality = "checked" if sum(out.values()) else "ok"
            assert row[f"{name}_quality"] == quality
            who = counting.mean() > WHO[name] if quality in ("ok", "checked") else None
            assert row[f"{name}_above_who"] is who or row[f"{name}_above_who"] == who
        assert row["co_floor_hours"] == (group["co_flag"] == "floor").sum()
        assert row["pm2_5_humid_hours"] == (group["pm2_5_flag"] == "humid").sum()


@given(st.integers(0, 2**32 - 1), zones, zones, st.sets(st.integers(0, 5), min_size=1))
@settings(max_examples=30)
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
    assert (row["pm2_5_checked_mean"], row["pm2_5_checked_hours"]) == (10, 12)


def test_rows_of_several_files_have_the_means_of_one_table():
    tables = [rows([20.0 + n, 50.0, 70.0] * 6, pm2_5_flag=["ok", "spike", "humid"] * 6) for n in range(2)]
    tables[1]["station"] = "2"
    whole = (
        pd.concat(tables, ignore_index=True)
        .convert_dtypes(dtype_backend="pyarrow")
        .astype({"observed_at": "datetime64[us, UTC]"})
    )
    files = [pa.Table.from_pandas(table, preserve_index=False) for table in tables]
    in_pieces = pa.concat_tables(files, promote_options="permissive").to_pandas()
    assert pa.chunked_array(pa.array(in_pieces["pm2_5_flag"])).num_chunks == 2
    one, other = (daily_means(table, [DAY], {}) for table in (whole, in_pieces))
    pd.testing.assert_frame_equal(one, other)
    assert list(one["pm2_5_left_out"]) == ["6 h spike"] * 2


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


def test_a_day_of_which_too_few_hours_count_is_insufficient_and_one_with_some_left_out_is_checked():
    for fine, quality in ((24, "ok"), (23, "checked"), (18, "checked"), (17, "insufficient")):
        row = day_of(rows([20] * 24, pm2_5_flag=["ok"] * fine + ["dead"] * (24 - fine)))
        assert (row["pm2_5_quality"], row["pm2_5_checked_hours"], row["pm2_5_hours"]) == (quality, fine, 24)
        assert row["pm2_5_left_out"] == (f"{24 - fine} h dead" if fine < 24 else "")
        assert row["pm2_5_above_who"] is (None if quality == "insufficient" else True)
        assert row["co_quality"] == "ok"


def test_what_is_left_out_is_told_worst_first():
    flags = ["ok"] * 19 + ["spike"] * 2 + ["out_of_range"] + ["stuck"] * 2
    assert day_of(rows([20] * 24, pm2_5_flag=flags))["pm2_5_left_out"] == "1 h out_of_range, 2 h stuck, 2 h spike"


@pytest.mark.parametrize(("zeros", "quality"), [(11, "ok"), (12, "suspect"), (24, "suspect")])
def test_a_day_half_of_which_stands_at_the_floor_is_suspect(zeros, quality):
    co = [0.0] * zeros + [0.4] * (24 - zeros)
    row = day_of(rows([20] * 24, co=co, co_flag=["floor"] * zeros + ["ok"] * (24 - zeros)))
    assert (row["co_quality"], row["co_floor_hours"], row["co_checked_hours"]) == (quality, zeros, 24)
    assert row["co_checked_mean"] == pytest.approx(0.4 * (24 - zeros) / 24)


@pytest.mark.parametrize("flag", ["at_floor", "level"])
def test_a_day_that_another_test_doubts_as_a_whole_is_suspect_and_above_nothing(flag):
    row = day_of(rows([400] * 24, pm2_5_flag=flag))
    assert (row["pm2_5_quality"], row["pm2_5_checked_hours"], row["pm2_5_above_who"]) == ("suspect", 24, None)


def test_humid_hours_count_and_are_told():
    row = day_of(rows([20] * 24, pm2_5_flag=["humid"] * 20 + ["ok"] * 4))
    assert (row["pm2_5_quality"], row["pm2_5_humid_hours"], row["pm2_5_above_who"]) == ("ok", 20, True)


#: What can be wrong with a day of readings: hours (value → other value), the sensor, and what the day must not be.
KINDS = {
    "a code for nothing in one hour": ("co", lambda hour, value: -999.0 if hour == 10 else value),
    "the end of the scale": ("pm2_5", lambda hour, value: 999.9 if hour in (3, 4) else value),
    "the end of the coarse scale": ("pm10", lambda hour, value: 1999.9 if hour in (3, 4) else value),
    "another unit from noon on": ("co", lambda hour, value: value * 1000 if hour >= 12 else value),
    "the part above the whole": ("pm2_5", lambda hour, value: 80.0 + value),
    "one value far above a flat day": ("co", lambda hour, value: 25.0 if hour == 23 else 0.0),
}


@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_of_fault_is_called_ok_or_above_the_guideline(kind):
    name, fault = KINDS[kind]
    air = {"co": 0.3, "no2": 20.0, "o3": 30.0, "pm10": 25.0, "pm2_5": 12.0, "t": 27.0, "rh": 60.0, "t_int": 400.0}
    table = pd.DataFrame({"observed_at": pd.date_range(MIDNIGHT, periods=24, freq="h"), "station": "1"})
    for reading, level in air.items():
        table[reading] = [level * (1 + 0.05 * (hour * 7 % 5)) for hour in range(24)]
    table[name] = [fault(hour, value) for hour, value in enumerate(table[name])]
    start = pd.Timestamp(MIDNIGHT)
    known = Context(
        levels={("1", name): level for name, level in air.items()},
        last={("1", name): table[name][1] for name in NAMES},
        following={("1", name): table[name][1] for name in NAMES},
    )
    table = table.join(flag_days(table, {start: known})).assign(status="ok", final=True)
    row = day_of(table)
    assert row[f"{name}_quality"] in ("checked", "suspect", "insufficient")
    assert not row[f"{name}_above_who"]
    if row[f"{name}_quality"] == "checked":
        assert row[f"{name}_checked_mean"] == pytest.approx(air[name] * 1.1, rel=0.1)


def test_the_share_of_valid_hours_is_a_setting():
    assert day_of(rows([10] * 12), valid_share=0.5)["pm2_5_quality"] == "ok"
    assert day_of(rows([10] * 11), valid_share=0.5)["pm2_5_quality"] == "insufficient"
    assert day_of(rows([10] * 23), valid_share=1)["valid"] is False


# --- WHO levels


@pytest.mark.parametrize("above", [False, True])
@pytest.mark.parametrize("pollutant", ["co", "pm2_5", "pm10", "no2"])
def test_a_mean_at_the_guideline_is_not_above_it(pollutant, above):
    level = WHO[pollutant] + (0.01 if above else 0)
    assert day_of(rows([1] * 24, **{pollutant: level}))[f"{pollutant}_above_who"] == above


@given(
    st.lists(st.one_of(st.none(), st.floats(0, 200)), min_size=48, max_size=48),
    st.sets(st.integers(0, 47), max_size=10),
    zones,
)
@settings(max_examples=60)
def test_ozone_is_judged_by_the_highest_eight_hours_that_lie_in_the_day(values, spikes, zone):
    start = MIDNIGHT - timedelta(hours=12)
    there = [hour for hour, value in enumerate(values) if value is not None]
    table = pd.DataFrame({"station": "1", "o3": [float(values[hour]) for hour in there]})
    table["observed_at"] = pd.to_datetime([start + timedelta(hours=hour) for hour in there], utc=True)
    table["o3_flag"] = ["spike" if hour in spikes else "ok" for hour in there]
    table = completed(table.assign(status="ok", final=True))
    of_day = [hour for hour in range(48) if local_date(start + timedelta(hours=hour), zone) == DAY]
    counting = [None if hour in spikes else values[hour] for hour in of_day]
    windows = [[v for v in counting[i : i + 8] if v is not None] for i in range(len(of_day) - 7)]
    means = [sum(window) / len(window) for window in windows if len(window) >= 6]
    found = daily_means(table, [DAY], {"1": zone}).to_dict("records")
    if not any(values[hour] is not None for hour in of_day):
        assert found == []
        return
    (row,) = found
    assert row["o3_8h_max"] == pytest.approx(max(means)) if means else np.isnan(row["o3_8h_max"])
    vouched = row["o3_quality"] in ("ok", "checked") and means
    assert row["o3_above_who"] is (bool(row["o3_8h_max"] > 100) if vouched else None)


@pytest.mark.parametrize(("day", "hours"), [(DAY, 24), (date(2024, 10, 27), 25), (date(2024, 3, 31), 23)])
def test_eight_hours_do_not_reach_beyond_the_day(day, hours):
    zone = "UTC" if hours == 24 else "Europe/Rome"
    o3 = [10.0] * (hours - 7) + [80.0] * 7 + [300.0]  # the last is the next day's
    row = day_of(rows([1] * (hours + 1), local_day(day, zone).start, o3=o3), day, zone)
    assert row["o3_8h_max"] == (10 + 7 * 80) / 8


def test_what_is_left_out_in_the_evening_is_in_no_mean_of_the_next_day():
    two_days = rows(
        [1] * 48, o3=[30.0] * 22 + [900.0, 30.0] + [30.0] * 24, o3_flag=["ok"] * 22 + ["spike"] + ["ok"] * 25
    )
    found = daily_means(two_days, [DAY, DAY + timedelta(days=1)], {}).to_dict("records")
    assert [(row["o3_8h_max"], row["o3_quality"], row["o3_above_who"]) for row in found] == [
        (30, "checked", False),
        (30, "ok", False),
    ]


# --- humid air


@pytest.mark.parametrize(
    ("rh", "dry"),
    [
        (50, 15 / (1 + 0.4 / 1.65)),  # 1 / 0.5 - 1 = 1
        (80, 15 / (1 + 0.4 / 1.65 * 4)),  # 1 / 0.8 - 1 = 1 / 4
        (100, 15 / (1 + 0.4 / 1.65 * 99)),  # as at 99 %
        (NONE, 15),
        (110, 15 / (1 + 0.4 / 1.65 * 99)),
        (111, 15),
        (-1, 15),
    ],
)
def test_dried_values_follow_kappa_koehler_theory(rh, dry):
    assert dried(np.array([15.0]), np.array([float(rh)]))[0] == pytest.approx(dry)


def test_the_dry_mean_is_that_of_the_hours_that_count_and_changes_no_other():
    row = day_of(rows([20] * 23 + [900], rh=80.0, pm2_5_flag=["humid"] * 23 + ["spike"]))
    assert row["pm2_5_dry_mean"] == pytest.approx(20 / (1 + 1.6 / 1.65))
    assert (row["pm2_5_checked_mean"], row["pm2_5_above_who"], row["pm2_5_dry_above_who"]) == (20, True, False)


@pytest.mark.parametrize("flag", ["dead", "stuck", "out_of_range", "invalidated"])
def test_without_a_humidity_that_counts_there_is_no_corrected_mean(flag):
    row = day_of(rows([20] * 24, rh=80.0, rh_flag=flag))
    assert np.isnan(row["pm2_5_dry_mean"])
    assert row["pm2_5_dry_above_who"] is None
    saturated = day_of(rows([20] * 24, rh=100.0, rh_flag=flag))["pm2_5_dry_mean"]  # a sensor stands still in fog
    fog = np.nan if flag in ("invalidated", "dead") else 20 / (1 + 0.4 / 1.65 * 99)
    assert saturated == pytest.approx(fog, nan_ok=True)


def test_few_hours_without_a_humidity_stay_as_they_are():
    known = 20 / (1 + 1.6 / 1.65)
    row = day_of(rows([20] * 24, rh=[80.0] * 18 + [NONE] * 6))
    assert row["pm2_5_dry_mean"] == pytest.approx((18 * known + 6 * 20) / 24)
    assert np.isnan(day_of(rows([20] * 24, rh=[80.0] * 17 + [NONE] * 7))["pm2_5_dry_mean"])
    assert day_of(rows([20] * 8, rh=[80.0] * 6 + [NONE] * 2))["pm2_5_dry_mean"] == pytest.approx((6 * known + 40) / 8)


# --- the European Air Quality Index


#: European Environment Agency, bands of 2024: the highest value of each of the first five levels, µg/m³.
BANDS = {
    "pm2_5": (5, 15, 50, 90, 140),
    "pm10": (15, 45, 120, 195, 270),
    "no2": (10, 25, 60, 100, 150),
    "o3": (60, 100, 120, 160, 180),
}


def levels(row):
    """Return the levels of one station-hour, which stands among others."""
    rows = [hour_of(pm10=999.0), row, hour_of(o3=None)]
    return {name: found[1] for name, found in index.levels({key: [of[key] for of in rows] for key in row}).items()}


def hour_of(**changed):
    found = dict.fromkeys(BANDS, 1.0) | {f"{name}_flag": "ok" for name in BANDS} | {"co": 9.0, "co_flag": "ok"}
    return found | changed


@pytest.mark.parametrize("name", BANDS)
def test_the_level_of_an_hour_is_that_of_its_band(name):
    for number, end in enumerate(BANDS[name], start=1):
        assert levels(hour_of(**{name: end + 0.4}))[f"{name}_index"] == number
        assert levels(hour_of(**{name: end + 0.6})) == levels(hour_of()) | {
            f"{name}_index": number + 1,
            "index": number + 1,
        }


def test_there_is_no_level_without_a_value_that_counts():
    assert levels(hour_of(no2=None, no2_flag="absent")) == {
        "pm2_5_index": 1,
        "pm10_index": 1,
        "no2_index": None,
        "o3_index": 1,
        "index": None,
    }
    assert levels(hour_of(pm10_flag="spike"))["index"] == 1  # the other particles are enough
    assert levels(hour_of(pm10_flag="spike", pm2_5_flag="dead"))["index"] is None
    assert levels(hour_of(pm2_5_flag="humid", pm2_5=60.0))["index"] == 4
    assert levels(hour_of(pm2_5_flag="level", pm10_flag="level", pm2_5=300.0))["index"] is None  # we doubt it


# --- provisional


def test_a_day_is_provisional_until_each_of_its_hours_is_final():
    assert day_of(rows([10] * 24))["provisional"] is False
    assert day_of(rows([10] * 24, final=[True] * 23 + [False]))["provisional"] is True
    assert day_of(rows([10] * 23))["provisional"] is True  # an hour that was not asked for yet
    absent = rows([10] * 23 + [NONE], status=["ok"] * 23 + ["absent"])
    assert day_of(absent)["provisional"] is False
    failed = rows([10] * 23 + [NONE], status=["ok"] * 23 + ["failed"], final=[True] * 23 + [False])
    assert (day_of(failed)["provisional"], day_of(failed)["failed_hours"]) == (True, 1)
