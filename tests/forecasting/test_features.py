import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.series import START, readings, series

from airqino.forecasting.features import LOOKBACK_HOURS, feature_matrix, feature_names
from airqino.forecasting.grid import COVARIATES, WEATHER, to_grid

LEADS = (1, 2, 3)


def table_of(hourly, row, station, pollutant="pm2_5"):
    """Features of one anchor, by name."""
    grid = to_grid(hourly, START)
    column = grid.stations.index(station)
    matrix = feature_matrix(
        grid, pollutant, LEADS, np.array([row]), np.array([column]), np.arange(len(grid.stations), dtype=float)
    )
    return dict(zip(feature_names(pollutant, LEADS), matrix[0], strict=True))


@pytest.mark.parametrize("row", [880, 700, 300, 5])
def test_values_against_pandas(row):
    hourly = readings()
    station = "7"
    own, now = series(hourly, station), START + pd.Timedelta(hours=row)
    if pd.isna(own.get(now, np.nan)):
        now, row = own.dropna().index[own.dropna().index <= now][-1], None
        row = int((now - START) / pd.Timedelta(hours=1))
    found = table_of(hourly, row, station)
    last = own[now]

    def at(hours, of=own):
        return of.get(now + pd.Timedelta(hours=hours), np.nan)

    def window(hours, of=own):
        return of[(of.index <= now) & (of.index > now - pd.Timedelta(hours=hours))]

    assert found["last"] == pytest.approx(last, rel=1e-5)
    assert (found["hour"], found["weekday"]) == (now.hour, now.day_of_week)
    for lag in (1, 24, 168):
        np.testing.assert_allclose(found[f"lag_{lag}"], at(-lag) - last, rtol=1e-4, atol=1e-4)
    for hours in (3, 24, 168, 672):
        np.testing.assert_allclose(found[f"mean_{hours}"], window(hours).mean() - last, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(found["std_24"], window(24).std(ddof=0), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found["max_24"], window(24).max() - last, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found["min_24"], window(24).min() - last, rtol=1e-4, atol=1e-4)
    assert found["present_24"] == window(24).notna().sum()
    assert found["zero_share_24"] == pytest.approx((window(24).dropna() == 0).mean())
    for lead in LEADS:
        changes = [at(lead - 24 * day) - at(-24 * day) for day in range(1, 15)]
        expected = np.nanmean(changes) if not np.isnan(changes).all() else np.nan
        np.testing.assert_allclose(found[f"habit_14+{lead}"], expected, rtol=1e-3, atol=1e-3)
        levels = [at(lead - 24 * day) for day in range(1, 15)]
        expected = np.nanmean(levels) - last if not np.isnan(levels).all() else np.nan
        np.testing.assert_allclose(found[f"usual+{lead}"], expected, rtol=1e-3, atol=1e-3)
        sizes = np.abs(changes)[~np.isnan(changes)]
        for name, numbers, summary in (
            ("median_change", np.array(changes), np.median),
            ("mean_abs_change", sizes, np.mean),
            ("median_level", np.array(levels) - last, np.median),
            ("zero_share", np.array(levels)[~np.isnan(levels)] == 0, np.mean),
        ):
            numbers = numbers[~np.isnan(numbers)]
            expected = summary(numbers) if len(numbers) else np.nan
            np.testing.assert_allclose(found[f"{name}+{lead}"], expected, rtol=1e-3, atol=1e-3)
    others = pd.concat([series(hourly, s) for s in ("5", "11")], axis=1, sort=True).mean(axis=1)
    with_others = pd.concat({"own": own, "others": others}, axis=1, sort=True)
    difference = window(168, with_others["others"] - with_others["own"]).median()
    np.testing.assert_allclose(found["others_unusual"], at(0, others) - last - difference, rtol=1e-3, atol=1e-3)
    for name, of, half_life in (("others_ewma_4", others, 4), ("rh_ewma_24", series(hourly, station, "rh"), 24)):
        past = of[of.index <= now].dropna()
        weight = 0.5 ** np.asarray((now - past.index) / pd.Timedelta(hours=half_life))
        expected = (past * weight).sum() / weight.sum() - at(0, of) if len(past) else np.nan
        np.testing.assert_allclose(found[name], expected, rtol=1e-3, atol=1e-3)
    for name, of in (("own", own), ("others", others)):

        def anomaly(hours_back, of=of):
            usual = pd.Series([at(-hours_back - 24 * day, of) for day in range(1, 15)]).median()
            return at(-hours_back, of) - usual

        for back in (0, 3):
            np.testing.assert_allclose(found[f"{name}_anomaly_{back}"], anomaly(back), rtol=1e-3, atol=1e-3)
        expected = pd.Series([anomaly(back) for back in range(min(24, row + 1))]).mean()
        np.testing.assert_allclose(found[f"{name}_anomaly_mean_24"], expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found["others"], at(0, others) - last, rtol=1e-4, atol=1e-4)
    co = series(hourly, station, "co")
    np.testing.assert_allclose(found["co_change_3"], at(0, co) - at(-3, co), rtol=1e-4, atol=1e-4)


def test_a_single_station_has_no_others():
    hourly = readings(stations=("7",), missing=0)
    hourly["pm2_5_flag"] = "ok"
    found = table_of(hourly, 800, "7")
    assert np.isnan(found["others"])
    assert not np.isnan(found["habit_28+1"])


def test_a_gap_is_not_bridged():
    hourly = readings(missing=0)
    hourly["pm2_5_flag"] = "ok"
    at = (hourly["observed_at"] - START) // pd.Timedelta(hours=1)
    found = table_of(hourly[(at < 500) | (at > 540)], 541, "7")
    assert found["run"] == 1
    assert found["present_24"] == 1
    assert np.isnan(found["lag_1"])
    assert np.isnan(found["lag_24"])
    assert not np.isnan(found["lag_168"])


@settings(max_examples=15)
@given(row=st.integers(0, 850), seed=st.integers(0, 5))
def test_nothing_after_the_anchor_matters(row, seed):
    hourly = readings(seed=seed, stations=("1", "2"))
    grid = to_grid(hourly, START)
    changed = hourly.copy()
    later = changed["observed_at"] > START + pd.Timedelta(hours=row)
    changed.loc[later, list(COVARIATES + WEATHER)] = 999.0
    changed = changed[~later | (np.arange(len(changed)) % 3 > 0)]
    other = to_grid(changed, START, START + pd.Timedelta(hours=grid.n_hours - 1))
    for pollutant in ("co", "pm2_5"):
        anchor = np.array([row, row]), np.array([0, 1]), np.array([0.0, 1.0])
        np.testing.assert_array_equal(
            feature_matrix(grid, pollutant, LEADS, *anchor), feature_matrix(other, pollutant, LEADS, *anchor)
        )


def test_the_look_back_is_long_enough():
    hourly = readings(hours=LOOKBACK_HOURS + 200)
    row = LOOKBACK_HOURS + 150
    whole, part = to_grid(hourly, START), to_grid(hourly, START + pd.Timedelta(hours=150))
    anchor = np.array([0, 0]), np.array([0.0, 1.0, 2.0])
    np.testing.assert_allclose(
        feature_matrix(whole, "pm2_5", LEADS, np.array([row, row]), *anchor),
        feature_matrix(part, "pm2_5", LEADS, np.array([row - 150, row - 150]), *anchor),
        rtol=1e-4,
        atol=1e-4,
    )
