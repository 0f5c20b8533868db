"""The contest on synthetic series: whom a challenger meets, when it wins, and where persistence takes over."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from support.series import cyclic

from airqino.forecasting import contest
from airqino.forecasting.contest import Opponent, Policy, compare, hold_contest
from airqino.forecasting.model import Recipe, train

DAYS = 35
DAY = date(2024, 2, 5)  # the day after them
POLICY = Policy(horizons=(1, 2), recipe=Recipe.of_rounds(60))


HOURLY = cyclic(DAYS)


@pytest.fixture(scope="module")
def bad():
    """A model that learnt noise."""
    random = np.random.default_rng(1)
    noise = HOURLY.assign(co=random.uniform(0, 90, len(HOURLY)), pm2_5=random.uniform(0, 90, len(HOURLY)))
    recipe = Recipe(rounds=15, medians=1, band_rounds=15, floor_rounds=10)
    model = train(noise, pd.Timestamp(DAY - timedelta(days=9), tz="UTC"), recipe=recipe)
    return replace(model, scores=tuple(replace(score, beats=True) for score in model.scores))


def test_without_a_champion_persistence_is_to_be_beaten():
    outcome = hold_contest(DAY, HOURLY, DAYS, None, replace(POLICY, promote_confidence=1.1))
    assert (outcome.against, outcome.promoted, outcome.fallback) == ("persistence", False, frozenset())
    assert outcome.comparison.days == 8  # a quarter of the 35 days staged
    assert outcome.comparison.skill > 0.1
    assert np.isnan(outcome.comparison.skill_champion)
    assert outcome.comparison.scores["mae_champion"].isna().all()
    assert outcome.reason.startswith("not better than persistence (confidence 1.00 over 8 days, skill 0.")


def test_a_better_challenger_takes_the_place_of_a_champion(bad):
    outcome = hold_contest(DAY, HOURLY, DAYS, Opponent("2024-01-27", bad), POLICY)
    assert (outcome.against, outcome.promoted) == ("2024-01-27", True)
    assert outcome.comparison.days == 8
    assert outcome.comparison.skill > 0.1 > 0 > outcome.comparison.skill_champion
    assert outcome.reason.startswith("better than 2024-01-27 (confidence 1.00 over 8 days, skill 0.")
    assert outcome.fallback == frozenset()  # nowhere was it worse than persistence


def test_a_young_champion_stays_with_persistence_where_it_is_beyond_the_limits(bad):
    pairs = frozenset({("elsewhere", "co")})
    outcome = hold_contest(DAY, HOURLY, DAYS, Opponent("2024-01-30", bad, pairs), POLICY)
    assert (outcome.comparison, outcome.promoted) == (None, False)
    assert outcome.reason == "champion 2024-01-30 is younger than 7 days: it stays"
    drifted = {("a", "co"), ("b", "co"), ("a", "pm2_5"), ("b", "pm2_5")}
    assert outcome.fallback == drifted | pairs  # elsewhere there are too few hours to say


def test_too_short_a_history_to_compare():
    start = pd.Timestamp(DAY - timedelta(days=8), tz="UTC")
    outcome = hold_contest(DAY, HOURLY[HOURLY["observed_at"] >= start], 8, None, POLICY)
    assert (outcome.comparison, outcome.promoted, outcome.fallback) == (None, False, frozenset())
    assert outcome.reason == "history too short to judge it"


def forecasts(n=240, seed=0, error=1.0):
    """Forecasts of one pair with errors of a given size, and what was measured; persistence errs by 2 on average."""
    random = np.random.default_rng(seed)
    target = np.random.default_rng(9).gamma(5, 4, n)
    p50 = target + error * random.normal(0, 1, n)
    at = pd.date_range("2024-09-01", periods=n, freq="h", tz="UTC")
    table = pd.DataFrame({"station": "a", "pollutant": "co", "horizon_h": 1, "target_at": at, "method": "lightgbm"})
    last = target + np.random.default_rng(8).normal(0, 2.5, n)
    return table.assign(last_value=last, p10=p50 - 1.2816 * error, p50=p50, p90=p50 + 1.2816 * error, target=target)


def test_comparison_against_naive_sums():
    new, old = forecasts(), forecasts(seed=1, error=2.0)
    new.loc[3, "target"] = np.nan
    old.loc[5, "p50"] = np.nan
    result = compare(new, old)
    used = [i for i in range(240) if i not in (3, 5)]
    mine, theirs, naive = (
        np.mean([abs(table[name][i] - new["target"][i]) for i in used])
        for table, name in ((new, "p50"), (old, "p50"), (new, "last_value"))
    )
    assert (result.rows, result.days) == (238, 10)
    assert result.skill == pytest.approx(1 - mine / naive)
    assert result.skill_champion == pytest.approx(1 - theirs / naive)
    assert result.confidence > 0.99
    (row,) = result.scores.to_dict("records")
    assert (row["mae"], row["mae_champion"]) == (pytest.approx(mine), pytest.approx(theirs))
    assert compare(old, new).confidence < 0.01


def test_where_persistence_is_published_it_is_what_has_to_be_beaten():
    new, old = forecasts(), forecasts(seed=1, error=9.0)
    replaced = compare(new, old, {("a", "co")})
    assert replaced.skill_champion == pytest.approx(0.0)
    assert compare(new, old, {("b", "co")}).skill_champion < -1


def test_a_pair_that_holds_again_gets_its_model_back():
    table, pairs = forecasts(), frozenset({("a", "co"), ("b", "co")})
    day, limits = date(2024, 9, 11), POLICY.drift
    assert contest._fallback(table, day, limits, pairs) == {("b", "co")}  # of b there is nothing new to say
    bad = table.assign(p50=table["p50"] + 20)
    assert contest._fallback(bad, day, limits) == {("a", "co")}
    bad.loc[bad["target_at"] >= pd.Timestamp("2024-09-04", tz="UTC"), "p50"] -= (
        20  # a week ago and before does not count
    )
    assert contest._fallback(bad, day, limits) == set()


def test_nothing_to_compare():
    new = forecasts()
    perfect = compare(new.assign(last_value=new["target"]), None)
    assert (perfect.rows, perfect.confidence) == (0, 0.5)
    assert np.isnan(perfect.skill)
