"""The chance of a bad day: errors as they were, nothing of what came later."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.series import START, cyclic

from airqino.forecasting import exceedance
from airqino.forecasting.boosting import Recipe
from airqino.forecasting.exceedance import DayModel
from airqino.forecasting.grid import to_grid
from airqino.forecasting.model import predict, train
from airqino.forecasting.spans import Spans

DAYS = 60
TRAINED = START + pd.Timedelta(days=45)
RECIPE = Recipe(rounds=10, medians=1, band_rounds=10, floor_rounds=5, validation_days=10)


def episodes(seed=3):
    """Two stations around the guideline, whose air drifts away from it and comes back within a day or so."""
    random = np.random.default_rng(seed)
    table = cyclic(DAYS)
    level = np.zeros(len(table))
    for hour in range(1, len(level)):
        level[hour] = 0.96 * level[hour - 1] + random.normal(0, 0.15)
    return table.assign(pm2_5=15.0 * np.exp(level))


HOURLY = episodes()


@pytest.fixture(scope="module")
def model():
    return train(HOURLY, TRAINED, ("pm2_5",), recipe=RECIPE, zones={})


def told(model, hour, hourly=HOURLY, zones=None, station="a"):
    """The chance by day."""
    table = predict(model, hourly, [hour], pollutants=("pm2_5",), zones=zones)
    rows = table[table["station"] == station]
    assert (rows.groupby("day")["day_exceedance"].nunique(dropna=False) == 1).all()
    return dict(zip(rows["day"], rows["day_exceedance"], strict=True))


def test_a_chance_is_the_share_of_past_errors_that_would_pass_the_limit():
    errors = (tuple(np.linspace(-0.5, 0.5, 101).tolist()), ())
    day = DayModel(rest=None, errors=errors)
    mean = np.array([15.0, 10.0, 40.0, 3.0, np.nan, 15.0])
    got = day.chance(mean, np.array([0, 0, 0, 0, 0, 1]), 15.0)
    for chance, of in zip(got[:4], mean[:4], strict=True):
        passing = sum((1 + of) * np.exp(error) > 16.0 for error in errors[0])
        assert chance == pytest.approx((passing + 0.5) / 102)
    assert np.isnan(got[4:]).all()  # no forecast; no errors of such an hour
    assert 0 < got[3] < 0.01 < 0.99 < got[2] < 1  # never impossible, never certain


def test_what_was_measured_and_the_rest_make_the_mean_of_the_day():
    grid = to_grid(HOURLY)
    row, column = np.array([30 * 24 + 13]), np.array([0])
    anchors = exceedance._Anchors.of(Spans(grid, {}), 0, row, column, np.zeros(2))
    values = HOURLY[HOURLY.station == "a"].set_index("observed_at")["pm2_5"]
    day = values[START + pd.Timedelta(days=30) : START + pd.Timedelta(days=30, hours=23)]
    rest = day[14:].mean()
    assert anchors.mean(np.array([rest]))[0] == pytest.approx(day.mean())
    assert (anchors.left[0], anchors.n_so_far[0], anchors.hour[0]) == (10, 14, 13)


def test_it_knows_bad_days_from_good_ones_and_better_so_later(model):
    means = HOURLY.groupby(["station", HOURLY["observed_at"].dt.date])["pm2_5"].mean() > 15
    assert 0.2 < means.mean() < 0.8
    losses = {}
    for hour in (3, 20):
        loss = []
        for day in range(46, DAYS):
            issued = START + pd.Timedelta(days=day, hours=hour)
            loss.append((told(model, issued)[f"{issued.date()}"] - means["a", issued.date()]) ** 2)
        losses[hour] = np.mean(loss)
    assert losses[20] < losses[3] < means.mean() * (1 - means.mean())
    assert losses[20] < 0.02


def test_tomorrow_is_told_from_six_in_the_evening(model):
    day = START + pd.Timedelta(days=50)
    for hour, known in ((12, False), (16, False), (17, True), (22, True)):  # 17: it is 18:00 when that hour is over
        chances = told(model, day + pd.Timedelta(hours=hour))
        tomorrow = chances[f"{(day + pd.Timedelta(days=1)).date()}"]
        assert bool(np.isnan(tomorrow)) is not known
        assert np.isnan(chances.get(f"{day.date()}", 0.5)) == 0
    # the day that has begun when its first hour is not over yet
    begun = told(model, day + pd.Timedelta(hours=23))
    assert {*begun} == {f"{(day + pd.Timedelta(days=1)).date()}"}
    assert not np.isnan([*begun.values()]).any()


def test_of_a_station_elsewhere_it_is_its_own_day(model):
    issued = START + pd.Timedelta(days=50, hours=16)  # in Kolkata the next day begins at 18:30 UTC
    assert {*told(model, issued, zones={"a": "Asia/Kolkata"})} == {
        f"{(START + pd.Timedelta(days=days)).date()}" for days in (50, 51)
    }
    evening = told(model, issued, zones={"a": "Asia/Kolkata"})
    assert not np.isnan([*evening.values()]).any()
    assert np.isnan(told(model, issued)[f"{(START + pd.Timedelta(days=51)).date()}"])


@settings(max_examples=10)
@given(st.integers(46 * 24, 58 * 24), st.integers(0, 2**32 - 1))
def test_what_comes_later_changes_nothing(model, number, seed):
    issued = START + pd.Timedelta(hours=number)
    random = np.random.default_rng(seed)
    later = HOURLY["observed_at"] > issued
    other = HOURLY.assign(pm2_5=np.where(later, random.gamma(2, 20, len(HOURLY)), HOURLY["pm2_5"]))
    columns = ["day", "day_exceedance", "level", "level_probability"]
    for changed in (other, HOURLY[~later]):
        ours, theirs = (predict(model, table, [issued], pollutants=("pm2_5",))[columns] for table in (HOURLY, changed))
        pd.testing.assert_frame_equal(ours, theirs)


def test_without_a_usable_reading_or_a_model_nothing_is_told(model):
    issued = START + pd.Timedelta(days=50, hours=12)
    silent = HOURLY[(HOURLY.station != "a") | (HOURLY.observed_at <= issued - pd.Timedelta(hours=3))]
    stuck = HOURLY.assign(pm2_5_flag=np.where(HOURLY.station == "a", "stuck", HOURLY.pm2_5_flag))
    for hourly in (silent, stuck):
        assert np.isnan([*told(model, issued, hourly).values()]).all()
    assert not np.isnan(next(iter(told(model, issued, silent, station="b").values())))
    assert np.isnan([*told(replace(model, days={}), issued).values()]).all()
    assert np.isnan([*told(None, issued).values()]).all()


def test_a_reading_of_before_midnight_tells_of_the_day_after(model):
    day = START + pd.Timedelta(days=50)
    gone = HOURLY[(HOURLY.station != "a") | (HOURLY.observed_at < day)]
    chance = told(model, day, gone)[f"{day.date()}"]  # 00:00 is over, and the last reading is of 23:00
    assert 0 < chance < 1


def test_a_history_too_short_for_errors_tells_no_chance():
    short = HOURLY[HOURLY.observed_at < START + pd.Timedelta(days=16)]
    model = train(short, START + pd.Timedelta(days=16), ("pm2_5",), recipe=RECIPE, zones={})
    assert all(len(errors) in (0, 199) for day in model.days.values() for errors in day.errors)
    assert train(short, TRAINED, ("pm2_5",), recipe=RECIPE).days == {}
