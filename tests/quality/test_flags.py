"""The quality flags, against runs, shares and medians worked out by hand or by a loop over lists."""

import itertools
from datetime import timedelta
from statistics import median

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airqino.quality.flags import FLAGS, Context, Thresholds, contexts, flag_days, flag_history
from airqino.readings import NAMES

#: The sensors' data sheets: CO mg/m³, PM and gases µg/m³, T °C, RH %.
RANGES = {
    "co": (0, 30),
    "no2": (0, 5000),
    "o3": (0, 1000),
    "pm10": (0, 1000),
    "pm2_5": (0, 1000),
    "t": (-40, 80),
    "rh": (0, 100),
}
DAY = pd.Timestamp("2024-09-09", tz="UTC")
HOUR = pd.Timedelta(hours=1)
NONE = float("nan")
#: A day that nothing is wrong with: no value twice in a row, no jump out of the ordinary.
CALM = [10 + (hour * 7 % 11) / 2 for hour in range(24)]


def hours(values, reading="pm2_5", start=DAY, station="1"):
    """One row per value, from `start` on; None leaves the row out, NaN keeps it without the reading."""
    there = [(start + i * HOUR, value) for i, value in enumerate(values) if value is not None]
    table = pd.DataFrame({"station": station, "observed_at": pd.to_datetime([at for at, _ in there], utc=True)})
    for name in NAMES:
        table[name] = [float(value) if name == reading else NONE for _, value in there]
    return table


def context(table, start):
    return contexts(table, [start])[0]


def flag(day, start, before=Context(), **options):
    return flag_days(day, {start: before}, **options)


def flags(values, reading="pm2_5", **options):
    return list(flag(hours(values, reading), DAY, **options)[f"{reading}_flag"])


# --- ranges


@pytest.mark.parametrize("reading", RANGES)
def test_the_ends_of_a_range_are_plausible_and_what_lies_beyond_is_not(reading):
    low, high = RANGES[reading]
    assert flags([low, high, low - 0.01, high + 0.01], reading) == ["ok", "ok", "out_of_range", "out_of_range"]


def test_raw_counts_have_no_range():
    assert flags([-1e9, 536, 1e9], "t_int") == ["ok"] * 3


def test_a_row_without_the_reading_is_absent_and_only_that_reading_is():
    table = hours([12, NONE], "co").assign(rh=[NONE, 84])
    flagged = flag(table, DAY)
    assert list(flagged["co_flag"]) == ["ok", "absent"]
    assert list(flagged["rh_flag"]) == ["absent", "ok"]


def test_flags_lie_on_the_rows_they_belong_to_in_whatever_order_rows_come():
    table = pd.concat([hours([5, -1, 5.5], station="2"), hours([-1, 6, NONE], station="1")], ignore_index=True)
    shuffled = table.sample(frac=1, random_state=3)
    expected = ["ok", "out_of_range", "ok", "out_of_range", "ok", "absent"]
    assert list(flag(shuffled, DAY).loc[table.index, "pm2_5_flag"]) == expected


def test_a_day_without_rows_has_no_flags():
    nothing = flag(hours([5])[:0], DAY)
    assert list(nothing.columns) == [f"{name}_flag" for name in NAMES]
    assert nothing.empty


# --- stuck


@pytest.mark.parametrize(("length", "expected"), [(5, "ok"), (6, "stuck"), (7, "stuck")])
def test_six_equal_hours_are_stuck_and_five_are_not(length, expected):
    values = [*CALM[:8], *[20.0] * length, *CALM[8:12]]
    assert flags(values) == ["ok"] * 8 + [expected] * length + ["ok"] * 4


def test_zero_is_never_stuck():
    assert flags([0.0] * 24, "co") == ["ok"] * 24


def test_a_missing_hour_ends_a_run():
    assert flags([20.0, 20.0, 20.0, None, 20.0, 20.0, 20.0]) == ["ok"] * 6
    assert flags([20.0, 20.0, 20.0, NONE, 20.0, 20.0, 20.0]) == ["ok"] * 3 + ["absent"] + ["ok"] * 3


@pytest.mark.parametrize(("evening", "morning", "expected"), [(4, 2, "stuck"), (4, 1, "ok"), (9, 1, "stuck")])
def test_a_run_goes_on_across_midnight(evening, morning, expected):
    before = context(hours([*CALM[: 24 - evening], *[20.0] * evening], start=DAY - timedelta(days=1)), DAY)
    values = [*[20.0] * morning, *CALM[morning:]]
    assert flags(values, before=before)[: morning + 1] == [expected] * morning + ["ok"]


def test_a_run_of_another_value_or_station_or_reading_does_not_go_on():
    evening = hours([20.0] * 24, start=DAY - timedelta(days=1))
    before = context(evening, DAY)
    assert before.runs == {("1", "pm2_5", 20.0, 6)}
    assert flags([21.0, *CALM[1:]], before=before)[0] == "ok"
    assert flags([20.0], "pm10", before=before) == ["ok"]
    assert flag(hours([20.0], station="2"), DAY, before)["pm2_5_flag"].tolist() == ["ok"]


def test_a_run_that_ended_before_midnight_is_not_carried_over():
    ended = hours([20.0] * 23 + [None], start=DAY - timedelta(days=1))
    assert context(ended, DAY).runs == frozenset()
    assert context(hours([20.0] * 23 + [21.0], start=DAY - timedelta(days=1)), DAY).runs == frozenset()


def test_causal_flags_a_run_from_its_sixth_hour_on():
    values = [*CALM[:4], *[20.0] * 8, *CALM[4:8]]
    assert flags(values, causal=True) == ["ok"] * 9 + ["stuck"] * 3 + ["ok"] * 4
    before = Context(runs=frozenset({("1", "pm2_5", 20.0, 3)}))
    assert flags([20.0] * 5, before=before, causal=True) == ["ok", "ok", "stuck", "stuck", "stuck"]


@given(
    st.lists(st.sampled_from([0.0, 5.0, 6.0, NONE, None]), min_size=24, max_size=24),
    st.integers(2, 8),
    st.integers(0, 8),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_stuck_equals_counting_equal_neighbours(values, length, evening, causal):
    # an evening of less than two equal hours is no run
    before = Context(runs=frozenset({("1", "pm2_5", 5.0, min(evening, length))} if evening > 1 else ()))
    line = [5.0] * min(evening, length) * (evening > 1) + [NONE if v is None else v for v in values]
    expected = []
    for place in range(len(line) - 24, len(line)):
        value = line[place]
        behind = ahead = 0
        while place - behind - 1 >= 0 and line[place - behind - 1] == value:
            behind += 1
        while not causal and place + ahead + 1 < len(line) and line[place + ahead + 1] == value:
            ahead += 1
        stuck = value > 0 and behind + ahead + 1 >= length
        expected.append("absent" if np.isnan(value) else "stuck" if stuck else "ok")
    kept = [f for f, v in zip(expected, values, strict=True) if v is not None]
    limits = Thresholds(stuck_hours=length, spike_deviations=1e9)
    assert flags(values, before=before, thresholds=limits, causal=causal) == kept


# --- dead


def test_a_sensor_that_was_zero_for_days_is_dead_and_so_is_the_whole_next_day():
    before = context(hours([0.0] * 96, "co", DAY - timedelta(days=4)), DAY)
    assert before.dead == {("1", "co")}
    assert flags([0.0, 0.4, 0.5], "co", before=before) == ["dead"] * 3


def test_a_live_sensor_with_45_percent_zeros_is_not_dead():
    rng = np.random.default_rng(7)
    values = np.where(rng.random(168) < 0.45, 0.0, np.round(rng.gamma(2, 0.2, 168) + 0.01, 2))
    assert 0.40 < (values == 0).mean() < 0.50
    assert context(hours(list(values), "co", DAY - timedelta(days=7)), DAY).dead == frozenset()


@pytest.mark.parametrize(("zeros", "dead"), [(90, False), (91, True)])
def test_94_percent_of_the_last_96_readings_is_the_limit(zeros, dead):
    # 0.94 × 96 = 90.24; the live readings stand apart, so that none equals the one before
    values = [0.0] * zeros + [0.1 + i / 10 for i in range(96 - zeros)]
    assert bool(context(hours(values, "co", DAY - timedelta(days=4)), DAY).dead) is dead


def test_constant_values_are_as_dead_as_zeros_and_are_compared_across_gaps():
    values = [7.0 if hour % 2 else None for hour in range(168)]
    assert context(hours(values, "t", DAY - timedelta(days=7)), DAY).dead == {("1", "t")}


def test_a_sensor_dead_before_a_gap_is_dead_after_it_as_long_as_readings_lie_within_the_days_before():
    for days_off, dead in ((3, True), (6, False)):
        values = [0.0] * 168
        off = days_off * 24
        rows = hours(values[: 168 - off], "co", DAY - timedelta(days=7))
        assert bool(context(rows, DAY).dead) is dead  # 96 and 24 readings are left: 48 are needed


@pytest.mark.parametrize(("readings", "dead"), [(47, False), (48, True)])
def test_with_less_than_half_the_readings_nothing_is_said(readings, dead):
    assert bool(context(hours([0.0] * readings, "co", DAY - timedelta(days=3)), DAY).dead) is dead


def test_older_readings_than_the_last_96_do_not_count():
    values = [0.0] * 72 + [0.1 + i / 100 for i in range(96)]
    assert context(hours(values, "co", DAY - timedelta(days=7)), DAY).dead == frozenset()
    assert context(hours(values[::-1], "co", DAY - timedelta(days=7)), DAY).dead == frozenset()  # 75 % of the last 96
    assert context(hours(CALM[:3] * 24 + [0.0] * 96, "co", DAY - timedelta(days=7)), DAY).dead == {("1", "co")}


def test_the_96th_reading_back_is_the_last_that_counts():
    ending = [0.0] * 90 + [0.1, 0.2, 0.3, 0.4, 0.5]  # 95 readings: 94.7 % zero
    for oldest, dead in ((0.7, False), (0.0, True)):  # 90 or 91 of 96
        values = [*[0.0] * 20, oldest, *ending]
        assert bool(context(hours(values, "co", DAY - timedelta(hours=len(values))), DAY).dead) is dead


def test_rows_outside_the_days_before_are_ignored():
    rows = hours([0.0] * (24 * 10), "co", DAY - timedelta(days=9))  # the last day is the day itself
    inside = rows[(rows["observed_at"] >= DAY - timedelta(days=7)) & (rows["observed_at"] < DAY)]
    assert context(rows, DAY) == context(inside, DAY)
    assert context(rows, DAY - timedelta(days=9)) == Context()


def test_a_context_as_content_is_the_same_in_whatever_order_it_was_found():
    one = Context(frozenset({("2", "co"), ("1", "t")}), frozenset({("2", "t", 5.0, 3), ("1", "t", 4.0, 2)}))
    assert one.content() == [[["1", "t"], ["2", "co"]], [["1", "t", 4.0, 2], ["2", "t", 5.0, 3]]]


# --- spike


def test_a_spike_stands_out_from_both_neighbours():
    values = list(CALM)
    scale = 1.4826 * median(abs(b - a) for a, b in itertools.pairwise(CALM))
    values[12] = max(values[11], values[13]) + 13 * scale
    assert [hour for hour, f in enumerate(flags(values)) if f == "spike"] == [12]
    values[12] = min(values[11], values[13]) - 0.01  # no jump at all
    assert set(flags(values)) == {"ok"}


@given(st.lists(st.integers(0, 900), min_size=24, max_size=24), st.sets(st.integers(0, 23), max_size=16))
@settings(max_examples=60, deadline=None)
def test_spikes_equal_a_loop_over_neighbours(values, missing):
    line = [None if hour in missing else float(value) for hour, value in enumerate(values)]
    pairs = [(a, b) for a, b in itertools.pairwise(line) if a is not None and b is not None]
    scale = 1.4826 * median(abs(b - a) for a, b in pairs) if len(pairs) >= 8 else 0
    limits = Thresholds(stuck_hours=24, spike_deviations=3)
    expected = []
    for hour, value in enumerate(line):
        if value is None:
            continue
        spike = False
        if 0 < hour < 23 and scale and line[hour - 1] is not None and line[hour + 1] is not None:
            ups = [value - line[hour - 1], value - line[hour + 1]]
            spike = min(ups) > 3 * scale or max(ups) < -3 * scale
        expected.append("spike" if spike else "ok")
    assert flags(line, thresholds=limits) == expected


def test_the_edges_of_a_day_and_hours_beside_a_gap_are_no_spikes():
    first, last = [500.0, *CALM[1:]], [*CALM[:23], 500.0]
    beside = [*CALM[:11], None, 500.0, *CALM[13:]]
    for values in (first, last, beside):
        assert set(flags(values)) == {"ok"}


def test_with_seven_changes_there_is_no_scale_and_with_eight_there_is():
    seven = [10.0, 11, 10, 11, 500, 10, 11, 10]
    assert set(flags(seven)) == {"ok"}
    assert flags([*seven, 11.0])[4] == "spike"


def test_causal_looks_for_no_spikes():
    values = [*CALM[:12], 500.0, *CALM[13:]]
    assert flags(values)[12] == "spike"
    assert set(flags(values, causal=True)) == {"ok"}


# --- precedence


def test_of_several_rules_the_worst_counts():
    assert FLAGS == ("ok", "spike", "stuck", "dead", "out_of_range", "absent")
    dead = Context(dead=frozenset({("1", "pm2_5")}))
    spiked = [*CALM[:12], 500.0, *CALM[13:]]
    assert flags(spiked)[12] == "spike"
    assert flags([1500.0] * 6) == ["out_of_range"] * 6  # stuck as well
    assert flags([20.0] * 6, before=dead) == ["dead"] * 6  # stuck as well
    assert flags(spiked, before=dead)[12] == "dead"
    assert flags([-1.0, NONE], before=dead) == ["out_of_range", "absent"]
    assert flags([*CALM[:12], 1500.0, *CALM[13:]])[12] == "out_of_range"  # a spike as well


# --- many days


readings = st.sampled_from([0.0, 0.0, 0.3, 0.3, 5.0, 7.5, 9.0, 400.0, -1.0, NONE, None, None])
spells = st.lists(st.tuples(readings, st.integers(1, 70)), min_size=1, max_size=10)


def series(spells_of, wanted=120):
    values = [value for value, length in spells_of for _ in range(length)][:wanted]
    return hours(values, "co", DAY - timedelta(days=7))


@given(spells, spells, st.booleans())
@settings(max_examples=12, deadline=None)
def test_a_history_equals_flagging_day_by_day(one, two, causal):
    table = pd.concat([series(one), series(two).assign(station="2")], ignore_index=True)
    got = flag_history(table, causal=causal)
    if table.empty:
        assert got.empty
        return
    days = sorted({at.floor("D") for at in table["observed_at"]})
    parts = []
    for start in days:
        of_day = table[table["observed_at"].dt.floor("D") == start]
        parts.append(of_day.join(flag(of_day, start, context(table, start), causal=causal)))
    expected = pd.concat(parts).sort_values(["observed_at", "station"], ignore_index=True)
    pd.testing.assert_frame_equal(got, expected)


@given(spells, st.integers(0, 4), st.integers(0, 23), st.sampled_from([0.0, 0.3, 999.0, -5.0]))
@settings(max_examples=12, deadline=None)
def test_the_flags_of_a_day_depend_on_that_day_and_its_context_alone(one, day, hour, value):
    table = series(one)
    at = DAY - timedelta(days=7) + timedelta(days=day, hours=hour)
    changed = table.assign(co=table["co"].where(table["observed_at"] != at, value))
    before, after = flag_history(table), flag_history(changed)
    for start in {t.floor("D") for t in table["observed_at"]}:
        there = (before["observed_at"] >= start) & (before["observed_at"] < start + timedelta(days=1))
        same_day = start == at.floor("D")
        if not same_day and context(table, start) == context(changed, start):
            assert list(before[there]["co_flag"]) == list(after[there]["co_flag"])
        if start < at.floor("D"):
            assert list(before[there]["co_flag"]) == list(after[there]["co_flag"])


def test_a_history_of_nothing_is_nothing():
    assert flag_history(hours([5])[:0]).empty
