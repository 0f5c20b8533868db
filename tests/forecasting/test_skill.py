import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airqino.forecasting import skill


def test_errors_against_naive_sums():
    target, forecast = [1.0, 4.0, math.nan, 2.5], [2.0, 2.0, 7.0, 2.5]
    pairs = [(1.0, 2.0), (4.0, 2.0), (2.5, 2.5)]
    assert skill.mae(target, forecast) == pytest.approx(sum(abs(f - t) for t, f in pairs) / 3)
    assert skill.rmse(target, forecast) == pytest.approx(math.sqrt(sum((f - t) ** 2 for t, f in pairs) / 3))
    assert skill.bias(target, forecast) == pytest.approx(sum(f - t for t, f in pairs) / 3)


def test_nothing_to_compare_is_nan():
    assert math.isnan(skill.mae([], []))
    assert math.isnan(skill.rmse([math.nan], [1.0]))
    assert math.isnan(skill.coverage([1.0], [math.nan], [2.0]))
    assert math.isnan(skill.skill(math.nan, 1.0))


def test_coverage_counts_the_ends_in():
    assert skill.coverage([1.0, 2.0, 3.0, 4.0], [1.0, 0.0, 3.5, math.nan], [1.5, 2.0, 4.0, 9.0]) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("error", "reference", "expected"), [(0.5, 1.0, 0.5), (2.0, 1.0, -1.0), (0.0, 0.0, 0.0), (1.0, 0.0, -math.inf)]
)
def test_skill(error, reference, expected):
    assert skill.skill(error, reference) == expected


def test_seasonal24_ignores_missing_days():
    assert skill.seasonal24_mae([1.0, 5.0, 2.0], [2.0, math.nan, 5.0]) == pytest.approx(2.0)


def test_bootstrap_knows_better_from_worse_and_is_even_for_equals():
    random = np.random.default_rng(3)
    day = np.repeat(np.arange(40), 24)
    worse = random.normal(0, 1.0, len(day))
    assert skill.improvement_confidence(0.7 * worse, worse, day) == 1.0
    assert skill.improvement_confidence(worse, 0.7 * worse, day) == 0.0
    assert skill.improvement_confidence(worse, worse, day) == 0.5
    assert skill.improvement_confidence([], [], []) == 0.5


def test_bootstrap_against_a_naive_loop():
    random = np.random.default_rng(5)
    day = np.repeat(np.arange(12), 10)
    a, b = random.normal(0, 1.0, 120), random.normal(0, 1.05, 120)
    wins = 0
    for _ in range(4000):
        drawn = random.integers(0, 12, 12)
        wins += sum(np.abs(b[day == d]).sum() - np.abs(a[day == d]).sum() for d in drawn) > 0
    assert skill.improvement_confidence(a, b, day, draws=4000) == pytest.approx(wins / 4000, abs=0.03)


def test_bootstrap_draws_days_not_hours():
    # One day decides everything: it is missing in (1 - 1/20)^20 = 36 % of the draws.
    day = np.repeat(np.arange(20), 24)
    a, b = np.full(480, 1.0), np.full(480, 0.99)
    a[:24] = 0.0
    assert skill.improvement_confidence(a, b, day, draws=5000) == pytest.approx(1 - 0.95**20, abs=0.03)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=30))
def test_a_perfect_forecast_has_no_error(values):
    assert skill.mae(values, values) == skill.rmse(values, values) == skill.bias(values, values) == 0
    assert skill.coverage(values, values, values) == 1
