"""The quality flags, against runs, shares and medians worked out by hand or by a loop over lists."""

import itertools
from datetime import timedelta
from statistics import median

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airqino.quality.contexts import Context, Thresholds, contexts
from airqino.quality.flags import COUNTED, FLAGS, TESTS, flag_days, flag_history
from airqino.readings import NAMES, READINGS

try:
    from ioos_qc import qartod
except ImportError:
    qartod = None
needs_qartod = pytest.mark.skipif(qartod is None, reason="ioos_qc 3.0 is for Python up to 3.11")

#: The sensors' data sheets: CO mg/m³, PM and gases µg/m³, T °C, RH %.
RANGES = {
    "co": (-0.1, 30),
    "no2": (0, 5000),
    "o3": (0, 1000),
    "pm10": (0, 1000),
    "pm2_5": (0, 999.89),
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


def outcomes(test, values, reading="pm2_5", **options):
    """The digits of one test."""
    column = flag(hours(values, reading), DAY, **options)[f"{reading}_tests"]
    return [int(digits[TESTS.index(test)]) for digits in column]


def said(verdict, reading="pm2_5", station="1"):
    return Context(verdicts={(station, reading): verdict})


def verdict(table, reading="no2", start=DAY):
    return context(table, start).verdicts.get(("1", reading))


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
    assert list(nothing.columns) == [f"{name}_{part}" for part in ("flag", "tests") for name in NAMES]
    assert nothing.empty


# --- stuck


@pytest.mark.parametrize(("length", "expected"), [(5, "ok"), (6, "stuck"), (7, "stuck")])
def test_six_equal_hours_are_stuck_and_five_are_not(length, expected):
    values = [*CALM[:8], *[20.0] * length, *CALM[8:12]]
    assert flags(values) == ["ok"] * 8 + [expected] * length + ["ok"] * 4


def test_zeros_are_stuck_but_where_they_are_the_floor():
    for reading in ("pm2_5", "pm10", "no2", "o3"):
        assert flags([0.0] * 24, reading) == ["stuck"] * 24
    assert flags([*[0.0] * 5, *CALM[5:]], "no2") == ["ok"] * 24
    assert flags([0.0] * 24, "co") == ["floor"] * 24
    assert outcomes("stuck", [0.0] * 24, "co") == [2] * 24


def test_zeros_of_the_evening_before_are_counted():
    yesterday = context(hours([*CALM[:20], *[0.0] * 4], start=DAY - timedelta(days=1)), DAY)
    assert yesterday.runs == {("1", "pm2_5"): (0.0, 4, 0)}
    assert flags([0.0, 0.0, 20.0], before=yesterday) == ["stuck", "stuck", "ok"]


def test_a_dead_coarse_sensor_costs_the_fine_one_nothing():
    flagged = flag(hours(CALM).assign(pm10=0.0), DAY)
    assert set(flagged["pm10_flag"]) == {"stuck"}
    assert set(flagged["pm2_5_flag"]) == {"ok"}


def test_missing_hours_do_not_hide_a_stuck_sensor():
    assert flags([20.0, 20.0, 20.0, None, 20.0, 20.0, 20.0]) == ["stuck"] * 6
    assert flags([20.0, 20.0, 20.0, NONE, 20.0, 20.0, 20.0]) == ["stuck"] * 3 + ["absent"] + ["stuck"] * 3
    every_third = [None if hour % 3 == 2 else 20.0 for hour in range(24)]
    assert set(flags(every_third)) == {"stuck"}


@pytest.mark.parametrize(("gap", "expected"), [(6, "stuck"), (7, "ok")])
def test_a_gap_longer_than_six_hours_ends_a_run(gap, expected):
    assert flags([*[20.0] * 3, *[None] * gap, *[20.0] * 3]) == [expected] * 6


@pytest.mark.parametrize(("evening", "morning", "expected"), [(4, 2, "stuck"), (4, 1, "ok"), (9, 1, "stuck")])
def test_a_run_goes_on_across_midnight(evening, morning, expected):
    before = context(hours([*CALM[: 24 - evening], *[20.0] * evening], start=DAY - timedelta(days=1)), DAY)
    values = [*[20.0] * morning, *CALM[morning:]]
    assert flags(values, before=before)[: morning + 1] == [expected] * morning + ["ok"]


def test_a_run_of_another_value_or_station_or_reading_does_not_go_on():
    evening = hours([20.0] * 24, start=DAY - timedelta(days=1))
    before = context(evening, DAY)
    assert before.runs == {("1", "pm2_5"): (20.0, 6, 0)}
    assert flags([21.0, *CALM[1:]], before=before)[0] == "ok"
    assert flags([20.0], "pm10", before=before) == ["ok"]
    assert flag(hours([20.0], station="2"), DAY, before)["pm2_5_flag"].tolist() == ["ok"]


def test_a_run_that_ended_before_midnight_is_not_carried_over():
    yesterday = DAY - timedelta(days=1)
    assert context(hours([20.0] * 23 + [None], start=yesterday), DAY).runs == {("1", "pm2_5"): (20.0, 6, 1)}
    assert context(hours([20.0] * 17 + [None] * 7, start=yesterday), DAY).runs == {}
    assert context(hours([20.0] * 23 + [21.0], start=yesterday), DAY).runs == {}


def test_causal_flags_a_run_from_its_sixth_hour_on():
    values = [*CALM[:4], *[20.0] * 8, *CALM[4:8]]
    assert flags(values, causal=True) == ["ok"] * 9 + ["stuck"] * 3 + ["ok"] * 4
    before = Context(runs={("1", "pm2_5"): (20.0, 3, 0)})
    assert flags([20.0] * 5, before=before, causal=True) == ["ok", "ok", "stuck", "stuck", "stuck"]


@given(
    st.lists(st.sampled_from([0.0, 5.0, 6.0, NONE, None]), min_size=24, max_size=24),
    st.integers(2, 8),
    st.integers(0, 8),
    st.integers(0, 3),
    st.booleans(),
)
@settings(max_examples=60)
def test_stuck_equals_counting_equal_readings(values, length, evening, since, causal):
    # an evening of less than two equal hours is no run
    run = (5.0, min(evening, length), since)
    before = Context(runs={("1", "pm2_5"): run} if evening > 1 else {})
    line = [(5.0, -since - 1)] * run[1] * (evening > 1)
    line += [(value, hour) for hour, value in enumerate(values) if value is not None and not np.isnan(value)]
    runs = [[line[0]]] if line else []
    for (last, last_hour), (value, hour) in itertools.pairwise(line):
        if value == last and hour - last_hour - 1 <= length:
            runs[-1].append((value, hour))
        else:
            runs.append([(value, hour)])
    stuck = {}
    for run in runs:
        for place, (_, hour) in enumerate(run):
            stuck[hour] = (place + 1 if causal else len(run)) >= length
    there = [hour for hour, value in enumerate(values) if value is not None]
    expected = ["absent" if hour not in stuck else "stuck" if stuck[hour] else "ok" for hour in there]
    limits = Thresholds(stuck_hours=length, spike_deviations=1e9)
    assert flags(values, before=before, thresholds=limits, causal=causal) == expected


# --- dead


def test_a_sensor_that_was_zero_for_days_is_dead_and_so_is_the_whole_next_day():
    before = context(hours([0.0] * 96, "no2", DAY - timedelta(days=4)), DAY)
    assert before.verdicts == {("1", "no2"): "dead"}
    assert flags([0.0, 0.4, 0.5], "no2", before=before) == ["dead"] * 3


def test_a_live_sensor_with_45_percent_zeros_is_not_dead():
    rng = np.random.default_rng(7)
    values = np.where(rng.random(168) < 0.45, 0.0, np.round(rng.gamma(2, 0.2, 168) + 0.01, 2))
    assert 0.40 < (values == 0).mean() < 0.50
    assert verdict(hours(list(values), "no2", DAY - timedelta(days=7))) == "alive"


@pytest.mark.parametrize(("zeros", "dead"), [(90, False), (91, True)])
def test_94_percent_of_the_last_96_readings_is_the_limit(zeros, dead):
    # 0.94 × 96 = 90.24; the live readings stand apart, so that none equals the one before
    values = [0.0] * zeros + [0.1 + i / 10 for i in range(96 - zeros)]
    assert (verdict(hours(values, "no2", DAY - timedelta(days=4))) == "dead") is dead


def test_constant_values_are_as_dead_as_zeros_and_are_compared_across_gaps():
    values = [7.0 if hour % 2 else None for hour in range(168)]
    assert verdict(hours(values, "t", DAY - timedelta(days=7)), "t") == "dead"


def test_a_sensor_dead_before_a_gap_is_dead_after_it_as_long_as_readings_lie_within_the_days_before():
    for days_off, dead in ((3, True), (6, False)):
        values = [0.0] * 168
        off = days_off * 24
        rows = hours(values[: 168 - off], "no2", DAY - timedelta(days=7))
        assert (verdict(rows) == "dead") is dead  # 96 and 24 readings are left: 48 are needed


@pytest.mark.parametrize(("readings", "dead"), [(47, False), (48, True)])
def test_with_less_than_half_the_readings_nothing_is_said(readings, dead):
    assert (verdict(hours([0.0] * readings, "no2", DAY - timedelta(days=3))) == "dead") is dead


def test_older_readings_than_the_last_96_do_not_count():
    values = [0.0] * 72 + [0.1 + i / 100 for i in range(96)]
    assert verdict(hours(values, "no2", DAY - timedelta(days=7))) == "alive"
    assert verdict(hours(values[::-1], "no2", DAY - timedelta(days=7))) == "alive"  # 75 % of the last 96
    assert verdict(hours(CALM[:3] * 24 + [0.0] * 96, "no2", DAY - timedelta(days=7))) == "dead"


def test_the_96th_reading_back_is_the_last_that_counts():
    ending = [0.0] * 90 + [0.1, 0.2, 0.3, 0.4, 0.5]  # 95 readings: 94.7 % zero
    for oldest, dead in ((0.7, False), (0.0, True)):  # 90 or 91 of 96
        values = [*[0.0] * 20, oldest, *ending]
        assert (verdict(hours(values, "no2", DAY - timedelta(hours=len(values)))) == "dead") is dead


def test_rows_outside_the_days_before_are_ignored():
    rows = hours([0.0] * (24 * 10), "no2", DAY - timedelta(days=9))  # the last day is the day itself
    inside = rows[(rows["observed_at"] >= DAY - timedelta(days=7)) & (rows["observed_at"] < DAY)]
    assert context(rows, DAY) == context(inside, DAY)
    first = context(rows, DAY - timedelta(days=9))
    assert first == Context(following={("1", "no2"): 0.0})


def test_a_context_as_content_is_the_same_in_whatever_order_it_was_found():
    one = Context({("2", "no2"): "dead", ("1", "t"): "alive"}, {("2", "t"): (5.0, 3, 0), ("1", "t"): (4.0, 2, 1)})
    other = Context(dict(reversed(one.verdicts.items())), dict(reversed(one.runs.items())))
    assert one.content == other.content
    assert one.content[:2] == [
        [("1", "t", "alive"), ("2", "no2", "dead")],
        [("1", "t", (4.0, 2, 1)), ("2", "t", (5.0, 3, 0))],
    ]


def test_of_a_sensor_with_too_few_readings_the_test_was_not_run():
    assert outcomes("dead", [5.0]) == [2]
    assert outcomes("dead", [5.0], before=said("alive")) == [1]
    assert outcomes("dead", [5.0], before=said("dead")) == [4]


# --- the floor


def test_zero_of_a_clipped_sensor_is_its_floor_and_of_another_a_value():
    assert flags([0.0, 0.01, -0.05, -0.1, -0.11], "co") == ["floor", "ok", "ok", "ok", "out_of_range"]
    assert flags([0.0], "no2") == ["ok"]
    assert outcomes("floor", [0.0, 0.2, -0.05], "co") == [3, 1, 1]
    assert outcomes("floor", [0.0], "no2") == [2]


@pytest.mark.parametrize(("zeros", "expected"), [(90, "alive"), (91, "at_floor")])
def test_a_clipped_sensor_that_is_zero_for_days_is_at_its_floor_not_dead(zeros, expected):
    values = [0.0] * zeros + [0.1 + i / 10 for i in range(96 - zeros)]
    rows = hours(values, "co", DAY - timedelta(days=4))
    assert verdict(rows, "co") == expected
    word = {"alive": "floor", "at_floor": "at_floor"}[expected]
    assert flags([0.0, 0.4], "co", before=context(rows, DAY)) == [word, "ok" if expected == "alive" else "at_floor"]


def test_a_clipped_sensor_that_does_not_move_above_its_floor_is_dead():
    assert verdict(hours([0.42] * 96, "co", DAY - timedelta(days=4)), "co") == "dead"


@pytest.mark.parametrize(("below", "expected"), [(47, "alive"), (48, "offset")])
def test_a_sensor_whose_unclipped_values_lie_below_its_noise_has_an_offset(below, expected):
    values = [-0.2 - i / 100 for i in range(below)] + [0.1 + i / 100 for i in range(96 - below)]
    rows = hours(values, "co", DAY - timedelta(days=4))
    assert verdict(rows, "co") == expected
    if expected == "offset":
        assert flags([-0.4, 0.3, -0.05], "co", before=context(rows, DAY)) == ["offset"] * 3
        assert outcomes("floor", [0.3], "co", before=context(rows, DAY)) == [4]


def test_a_sensor_that_is_frozen_below_zero_is_dead_not_offset():
    assert verdict(hours([-0.5] * 96, "co", DAY - timedelta(days=4)), "co") == "dead"


def test_small_negatives_within_the_noise_say_nothing_of_the_zero():
    assert verdict(hours([-0.09, -0.02, 0.03] * 32, "co", DAY - timedelta(days=4)), "co") == "alive"


# --- humid air


def test_dust_is_humid_from_the_threshold_on_and_gases_never():
    table = hours([12.0] * 5).assign(rh=[69.9, 70.0, NONE, 101.0, 111.0], no2=20.0)
    flagged = flag(table, DAY)
    digit = TESTS.index("humid")
    assert list(flagged["pm2_5_tests"].str[digit]) == ["1", "3", "2", "3", "2"]
    assert list(flagged["pm2_5_flag"]) == ["ok", "humid", "ok", "humid", "ok"]
    frozen = flag(table, DAY, said("dead", "rh"))
    assert set(frozen["pm2_5_tests"].str[digit]) == {"2"}
    fog = flag(hours([12.0] * 8).assign(rh=100.0), DAY)
    assert set(fog["rh_flag"]) == {"stuck"}
    assert set(fog["pm2_5_tests"].str[digit]) == {"3"}
    assert set(flagged["no2_tests"].str[digit]) == {"2"}
    assert flag(table, DAY, thresholds=Thresholds(humid_above=60))["pm2_5_flag"].tolist()[:2] == ["humid"] * 2


# --- PM2.5 is a part of PM10


def test_both_are_flagged_where_the_part_is_more_than_the_whole():
    flagged = flag(hours([12.0, 12.0, 12.1, 12.0]).assign(pm10=[12.0, 30.0, 12.0, NONE]), DAY)
    assert list(flagged["pm2_5_flag"]) == ["ok", "ok", "order", "ok"]
    assert list(flagged["pm10_flag"]) == ["ok", "ok", "order", "absent"]
    digit = TESTS.index("order")
    assert list(flagged["pm2_5_tests"].str[digit]) == ["1", "1", "4", "2"]


def test_a_whole_that_is_wrong_itself_says_nothing_of_the_part():
    wrong = flag(hours([12.0] * 3).assign(pm10=[-999.0, 0.0, 11.0]), DAY)
    assert list(wrong["pm2_5_flag"]) == ["ok", "order", "order"]
    assert list(flag(hours([12.0]).assign(pm10=[0.0]), DAY, said("dead", "pm10"))["pm2_5_flag"]) == ["ok"]


# --- the level of the days before


def test_the_level_is_the_median_of_the_last_days_to_the_next_power_of_two():
    assert context(hours(CALM, start=DAY - timedelta(days=1)), DAY).levels == {("1", "pm2_5"): 16.0}
    assert median(CALM) == 12.5  # 2 ** 3.5 = 11.3 is half way
    assert context(hours(CALM[:23], start=DAY - timedelta(days=1)), DAY).levels == {}
    # what the floor hides is no level, nor is what cannot be
    zeros = hours([0.0] * 30 + [0.25] * 24 + [99.0] * 30, "co", DAY - timedelta(days=4))
    assert context(zeros, DAY).levels == {("1", "co"): 0.25}


@pytest.mark.parametrize(
    ("value", "expected"), [(316, "ok"), (320, "level"), (999, "level"), (0.16, "unit"), (0.17, "ok"), (0.0, "ok")]
)
def test_three_readings_at_another_level(value, expected):
    before = Context(levels={("1", "pm2_5"): 16.0})
    assert flags([value, value + 0.001 * (value < 1 and value > 0.165), value], before=before) == [expected] * 3


def test_co_in_micrograms_from_noon_on_fails_from_its_first_hour():
    before = Context(levels={("1", "co"): 0.25})
    day = [0.02 + (hour * 7 % 11) / 100 for hour in range(12)]
    flagged = flags([*day, *(1000 * value for value in day)], "co", before=before)
    assert flagged[:12] == ["ok"] * 12
    assert set(flagged[12:]) <= {"unit", "out_of_range"}


def test_a_dust_storm_of_hours_is_told_and_counts():
    before = Context(levels={("1", "pm10"): 16.0})
    storm = [400.0, 700.0, 701.0, 650.0, 500.0]
    assert flags([*CALM[:10], *storm, *CALM[15:]], "pm10", before=before)[10:15] == ["level"] * 5


def test_a_week_in_another_unit_does_not_become_the_level():
    week = hours([value / 1000 for value in CALM] * 7, start=DAY - timedelta(days=7))
    assert set(flags([value / 1000 for value in CALM], before=context(week, DAY))) == {"unit"}
    assert set(flags(CALM, before=context(week, DAY))) == {"unit"}  # until the level is believed again


def test_a_week_of_co_in_micrograms_does_not_become_the_level():
    week = hours([18 + value / 10 for value in CALM] * 7, "co", start=DAY - timedelta(days=7))
    assert set(flags([18 + value / 10 for value in CALM], "co", before=context(week, DAY))) == {"unit"}


def test_two_low_readings_may_be_rain_and_a_third_says_it_is_another_unit():
    before = Context(levels={("1", "pm2_5"): 16.0})
    low = [0.011, 0.012, 0.013]
    assert flags([*CALM[:9], *low[:2], *CALM[11:]], before=before) == ["ok"] * 24
    assert (
        flags([*CALM[:9], low[0], None, *low[1:], *CALM[13:]], before=before) == ["ok"] * 9 + ["unit"] * 3 + ["ok"] * 11
    )
    assert flags(low, before=before, causal=True) == ["ok", "ok", "unit"]


def test_without_a_level_nothing_is_said_of_it():
    assert outcomes("level", [5.0]) == [2]
    assert outcomes("level", [5.0], before=Context(levels={("1", "pm2_5"): 8.0})) == [1]


# --- the ends of scales and codes for nothing


@pytest.mark.parametrize(
    ("reading", "value"),
    [("co", -999.0), ("pm2_5", -9999.0), ("pm2_5", 999.9), ("pm10", 1999.9), ("rh", 65535.0), ("t", -127.0)],
)
def test_one_impossible_value_fails_and_its_neighbours_do_not(reading, value):
    assert flags([5.0, value, 6.0], reading) == ["ok", "out_of_range", "ok"]
    assert outcomes("range", [5.0, value, 6.0], reading) == [1, 4, 1]


# --- spike


def test_a_spike_stands_out_from_both_neighbours():
    values = list(CALM)
    scale = 1.4826 * median(abs(b - a) for a, b in itertools.pairwise(CALM))
    values[12] = max(values[11], values[13]) + 13 * scale
    assert [hour for hour, f in enumerate(flags(values)) if f == "spike"] == [12]
    values[12] = min(values[11], values[13]) - 0.01  # no jump at all
    assert set(flags(values)) == {"ok"}


@given(
    st.lists(st.integers(0, 900), min_size=26, max_size=26),
    st.sets(st.integers(0, 25), max_size=16),
    st.sampled_from(["pm2_5", "t_int"]),
)
@settings(max_examples=60)
def test_spikes_equal_a_loop_over_neighbours(values, missing, name):
    line = [None if hour in missing else float(value) for hour, value in enumerate(values)]
    own = line[1:-1]
    pairs = [(a, b) for a, b in itertools.pairwise(own) if a is not None and b is not None]
    noise = next(r.noise for r in READINGS if r.name == name)
    limit = 3 * max(1.4826 * median(abs(b - a) for a, b in pairs), noise) if len(pairs) >= 8 else None
    ends = {"last": line[0], "following": line[-1]}
    around = Context(**{end: {("1", name): value} for end, value in ends.items() if value is not None})
    expected = []
    for before, value, after in zip(line, own, line[2:], strict=False):
        if value is None:
            continue
        if limit is None or before is None or after is None:
            expected.append(2)
        else:
            ups = [value - before, value - after]
            expected.append(4 if min(ups) > limit or max(ups) < -limit else 1)
    limits = Thresholds(stuck_hours=24, spike_deviations=3)
    assert outcomes("spike", own, name, before=around, thresholds=limits) == expected


@needs_qartod
@given(
    st.lists(st.one_of(st.none(), st.floats(0.5, 900)), min_size=24, max_size=24),
    st.lists(st.sampled_from([None, 3.0, 7.0, 1500.0, -2.0]), min_size=24, max_size=24),
)
@settings(max_examples=60)
def test_range_and_spikes_equal_those_of_another_implementation_of_qartod(air, odd):
    """ioos_qc is the reference implementation by U.S. IOOS."""
    values = [NONE if a is None else a if o is None else o for a, o in zip(air, odd, strict=True)]
    gross = np.ma.filled(qartod.gross_range_test(values, fail_span=(0, 1000)), 9)
    assert outcomes("range", values, "pm10") == gross.tolist()
    ours = outcomes("spike", values, "pm10")
    values = [value if 0 <= value <= 1000 else NONE for value in values]  # what is no reading is no neighbour either
    changes = [abs(b - a) for a, b in itertools.pairwise(values) if not np.isnan(b - a)]
    if len(changes) < 8:
        return
    limit = 12 * max(1.4826 * median(changes), 2.0)
    theirs = qartod.spike_test(values, suspect_threshold=limit, fail_threshold=limit, method="differential")
    for hour, (value, before, after) in enumerate(zip(values[1:-1], values, values[2:], strict=False), start=1):
        if not np.isnan(value + before + after):
            assert ours[hour] == theirs[hour], hour


@needs_qartod
@given(st.lists(st.sampled_from([5.0, 6.0, 7.0]), min_size=24, max_size=24), st.integers(3, 8))
@settings(max_examples=60)
def test_stuck_readings_are_those_of_another_implementation_once_it_sees_the_run(values, length):
    at = pd.date_range(DAY, periods=24, freq="h").tz_localize(None).to_numpy()
    seconds = (length - 1) * 3600  # it flags a run from the reading on that makes it so long
    theirs = qartod.flat_line_test(values, at, suspect_threshold=seconds, fail_threshold=seconds, tolerance=0.001)
    limits = Thresholds(stuck_hours=length, spike_deviations=1e9)
    assert outcomes("stuck", values, thresholds=limits, causal=True) == np.ma.filled(theirs, 9).tolist()


def test_the_ends_of_a_day_are_compared_with_the_hours_around_it():
    first, last = [500.0, *CALM[1:]], [*CALM[:23], 500.0]
    around = Context(last={("1", "pm2_5"): 11.0}, following={("1", "pm2_5"): 11.0})
    assert flags(first, before=around) == ["spike"] + ["ok"] * 23
    assert flags(last, before=around) == ["ok"] * 23 + ["spike"]
    assert outcomes("spike", first) == [2, *[1] * 22, 2]  # of what is not known nothing is said
    evening = context(pd.concat([hours([11.0], start=DAY - HOUR), hours([12.0], start=DAY + 24 * HOUR)]), DAY)
    assert (evening.last, evening.following) == ({("1", "pm2_5"): 11.0}, {("1", "pm2_5"): 12.0})


def test_an_hour_beside_an_impossible_value_is_not_evaluated():
    values = [*CALM[:10], -999.0, 20.0, -999.0, *CALM[13:]]
    assert flags(values)[10:13] == ["out_of_range", "ok", "out_of_range"]
    assert outcomes("spike", values)[9:14] == [2, 2, 2, 2, 2]
    around = context(pd.concat([hours([-999.0], start=DAY - HOUR), hours([999.9], start=DAY + 24 * HOUR)]), DAY)
    assert (around.last, around.following) == ({}, {})


def test_an_hour_beside_a_gap_is_not_evaluated():
    beside = [*CALM[:11], None, 500.0, *CALM[13:]]
    assert set(flags(beside)) == {"ok"}
    assert outcomes("spike", beside)[10:12] == [2, 2]


def test_a_flat_day_has_the_noise_of_its_sensor_for_a_scale():
    assert flags([*[0.0] * 10, 25.0, *[0.0] * 13], "co") == ["floor"] * 10 + ["spike"] + ["floor"] * 13
    for value, expected in ((1.2, "ok"), (1.21, "spike")):  # 12 × 0.1 mg/m³
        assert flags([*[0.0] * 10, value, *[0.0] * 13], "co")[10] == expected
    assert outcomes("spike", [7.0] * 24)[1:-1] == [1] * 22


def test_with_seven_changes_there_is_no_scale_and_with_eight_there_is():
    seven = [10.0, 11, 10, 11, 500, 10, 11, 10]
    assert set(flags(seven)) == {"ok"}
    assert flags([*seven, 11.0])[4] == "spike"


def test_causal_looks_for_no_spikes():
    values = [*CALM[:12], 500.0, *CALM[13:]]
    assert flags(values)[12] == "spike"
    assert set(flags(values, causal=True)) == {"ok"}
    assert outcomes("spike", values, causal=True) == [2] * 24


# --- precedence


def test_of_several_tests_the_worst_gives_the_word_and_each_keeps_its_code():
    dead = said("dead")
    spiked = [*CALM[:12], 500.0, *CALM[13:]]
    assert flags(spiked)[12] == "spike"
    assert flags([1500.0] * 6) == ["out_of_range"] * 6
    assert outcomes("stuck", [1500.0] * 6) == [4] * 6
    assert flags([20.0] * 6, before=dead) == ["dead"] * 6  # stuck as well
    assert flags(spiked, before=dead)[12] == "dead"
    assert flags([-1.0, NONE], before=dead) == ["out_of_range", "absent"]
    assert flags([*CALM[:12], 1500.0, *CALM[13:]])[12] == "out_of_range"  # a spike as well
    assert FLAGS[0] == "ok"
    assert FLAGS[-1] == "absent"
    assert len({*FLAGS}) == len(FLAGS)


def test_what_counts_is_what_failed_no_test():
    table = hours([*CALM[:12], 500.0, *CALM[13:]]).assign(co=0.0, rh=90.0, pm10=[*CALM[:20], 900.0, *CALM[21:]])
    flagged = flag(table, DAY, said("at_floor", "co"))
    for name in NAMES:
        for word, digits in zip(flagged[f"{name}_flag"], flagged[f"{name}_tests"], strict=True):
            assert len(digits) == len(TESTS)
            assert (word in COUNTED) == (not {"4", "9"} & {*digits})
    assert set(flagged["co_flag"]) == {"at_floor"}


# --- many days


readings = st.sampled_from([0.0, 0.0, 0.3, 0.3, 5.0, 7.5, 9.0, 400.0, -1.0, NONE, None, None])
spells = st.lists(st.tuples(readings, st.integers(1, 70)), min_size=1, max_size=10)


def series(spells_of, wanted=120):
    values = [value for value, length in spells_of for _ in range(length)][:wanted]
    return hours(values, "co", DAY - timedelta(days=7))


@given(spells, spells, st.booleans())
@settings(max_examples=12)
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
@settings(max_examples=12)
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
