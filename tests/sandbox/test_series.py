"""The made-up series: the same whatever the window, late and revised as the real source is, and lifelike."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airqino.sandbox import series

LIVE, DEAD = series.DEFAULT_STATIONS
START = datetime(2023, 9, 1, tzinfo=UTC)
STOP = datetime(2024, 8, 31, 23, tzinfo=UTC)
LATER = datetime(2030, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)

stations = st.sampled_from([LIVE, DEAD, "7", "999999999"])
hours = st.integers(0, 24 * 400).map(lambda count: datetime(2023, 12, 1, tzinfo=UTC) + count * HOUR)


def begins(row: series.Row) -> datetime:
    return datetime.strptime(row["timestamp"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)


def seen(station: str, hour: datetime, now: datetime) -> series.Row | None:
    found = series.rows(station, hour, hour, now)
    assert len(found) <= 1
    return found[0] if found else None


@pytest.fixture(scope="module")
def year() -> pd.DataFrame:
    frame = pd.DataFrame(series.rows(LIVE, START, STOP, LATER))
    return frame.set_index(pd.to_datetime(frame.pop("timestamp"))).asfreq("h")


@given(stations, hours, st.integers(0, 200), st.integers(0, 200), st.integers(0, 300), st.integers(0, 59))
@settings(max_examples=60)
def test_a_window_is_a_slice_of_any_longer_one(station, start, length, margin, age, minute):
    stop = start + length * HOUR
    now = stop + age * HOUR + timedelta(minutes=minute)
    longer = series.rows(station, start - margin * HOUR, stop + margin * HOUR, now)
    expected = [row for row in longer if start <= begins(row) <= stop]
    assert series.rows(station, start, stop, now) == expected


@given(stations, hours, st.integers(0, 3599))
@settings(max_examples=60)
def test_rows_are_in_order_and_end_with_the_running_hour(station, hour, second):
    now = hour + timedelta(seconds=second)
    found = [begins(row) for row in series.rows(station, hour - 50 * HOUR, hour + 50 * HOUR, now)]
    assert found == sorted(set(found))
    assert all(hour - 50 * HOUR <= begin <= hour for begin in found)


@given(stations, hours, st.integers(0, 3599))
@settings(max_examples=100)
def test_the_running_hour_is_partial(station, hour, second):
    partial = seen(station, hour, hour + timedelta(seconds=second))
    final = seen(station, hour, LATER)
    if partial is not None:
        assert final is not None
        assert partial["PM2.5"] != final["PM2.5"]


@pytest.mark.parametrize("station", [LIVE, DEAD, "31"])
def test_rows_come_late_and_change_once(station):
    """Follow each hour of half a year from its end on, and count by hand what changed and when."""
    total = late = revised = 0
    for count in range(24 * 180):
        hour = START + count * HOUR
        final = seen(station, hour, LATER)
        if final is None:
            assert seen(station, hour, hour + HOUR) is None
            continue
        total += 1
        at_end = seen(station, hour, hour + HOUR)
        if at_end == final:
            continue
        history = [seen(station, hour, hour + (1 + age) * HOUR) for age in range(40)]
        changes = [age for age in range(1, 40) if history[age] != history[age - 1]]
        assert len(changes) == 1
        assert history[-1] == final
        if at_end is None:
            late += 1
            assert 1 <= changes[0] <= series.LATE_HOURS
            assert seen(station, hour, hour + timedelta(minutes=30)) is None
        else:
            revised += 1
            assert changes[0] == series.REVISED_AFTER_HOURS
            assert at_end["PM2.5"] != final["PM2.5"]
    assert 0.005 < late / total < 0.02
    assert 0.005 < revised / total < 0.02


def test_callers_may_change_their_rows():
    first = series.rows(LIVE, START, START + 5 * HOUR, LATER)
    first[0]["CO"] = -1.0
    assert series.rows(LIVE, START, START + 5 * HOUR, LATER)[0]["CO"] != -1.0


def test_a_start_within_an_hour_takes_the_next_one():
    found = series.rows(LIVE, START + timedelta(minutes=1), START + timedelta(minutes=179), LATER)
    assert [row["timestamp"] for row in found] == ["2023-09-01 01:00:00", "2023-09-01 02:00:00"]


def test_times_before_1970_and_other_zones_are_times_too():
    old = series.rows("5", datetime(1969, 12, 25, tzinfo=UTC), datetime(1970, 1, 8, tzinfo=UTC), LATER)
    assert {row["timestamp"][:4] for row in old} == {"1969", "1970"}
    rome = datetime.fromisoformat("2024-01-01T01:00:00+01:00")
    assert series.rows(LIVE, rome, rome + 3 * HOUR, LATER)[0]["timestamp"] == "2024-01-01 00:00:00"


def test_headers_are_as_unreliable_as_the_real_ones():
    assert series.header(LIVE)["station_name"] == "SMART189"
    assert series.header(LIVE)["station_lon"] == pytest.approx(3.957688)
    assert series.header(DEAD)["station_name"] == "SMART188"
    assert series.header(DEAD)["station_lon"] == pytest.approx(0.05)
    assert series.header("123456")["station_name"] == "SMART456"


def test_readings_are_physical(year):
    assert (year["PM2.5"].dropna() <= year["PM10"].dropna()).all()
    assert year["PM2.5"].between(1, 300).sum() == year["PM2.5"].notna().sum()
    assert year["RH"].dropna().between(20, 100).all()
    assert year["T"].dropna().between(15, 42).all()
    assert (year["CO"].dropna() >= 0).all()


def test_the_year_and_the_day_have_their_shape(year):
    by_month = year["PM2.5"].groupby(year.index.month).mean()
    assert 1.5 < by_month[[12, 1, 2]].mean() / by_month[[5, 6, 7]].mean() < 3.5
    by_hour = year.groupby(year.index.hour).mean()
    assert by_hour["PM2.5"][[7, 20]].min() > 1.25 * by_hour["PM2.5"][[2, 3]].max()
    assert by_hour["RH"][3] > by_hour["RH"][12] + 10
    by_weekday = year["PM2.5"].groupby(year.index.day_of_week).mean()
    assert by_weekday[6] == by_weekday.min()


def test_noise_persists_so_that_there_is_something_to_forecast(year):
    for sensor, low, high in (("PM2.5", 0.8, 0.95), ("CO", 0.7, 0.9), ("T", 0.9, 0.98)):
        assert low < year[sensor].autocorr(1) < high
    for sensor in ("CO", "T", "RH"):
        assert year[sensor].autocorr(24) > year[sensor].autocorr(6) + 0.05


def test_gaps_are_hours_nights_and_weekends(year):
    off = year["T"].isna()
    lengths = off.groupby((off != off.shift()).cumsum()).agg(["first", "size"])
    gaps = set(lengths.loc[lengths["first"], "size"])
    assert {1, 10} <= gaps
    assert gaps & {41, 65}
    assert 0.02 < off.mean() < 0.25


def test_sensors_go_missing_as_keys_not_as_nulls():
    found = series.rows(LIVE, START, STOP, LATER)
    assert all(value is not None for row in found for value in row.values())
    for sensor in ("RH", "NO2", "O3"):
        assert 0 < sum(sensor not in row for row in found) < 0.05 * len(found)
    for sensor in ("CO", "PM10", "PM2.5", "T", "T. int."):
        assert all(type(row[sensor]) is float for row in found)


def test_co_is_alive_at_one_station_and_dead_at_the_other(year):
    assert 0.3 < (year["CO"].dropna() == 0).mean() < 0.6
    dead = [row["CO"] for row in series.rows(DEAD, START, STOP, LATER)]
    assert 0.98 < sum(co == 0 for co in dead) / len(dead) < 1
