import math

import numpy as np
import pandas as pd
import pytest

from airqino.forecasting.backtest import SCORES, backtest, score_backtest
from airqino.forecasting.model import Recipe
from airqino.readings import HORIZONS

START = pd.Timestamp("2024-01-01", tz="UTC")
TINY = Recipe(rounds=15, medians=1, band_rounds=15, floor_rounds=10, validation_days=7)


def hour(number):
    return START + pd.Timedelta(hours=number)


def readings(days=35, seed=0):
    random = np.random.default_rng(seed)
    hours = days * 24
    parts = []
    for station in ("1", "2"):
        table = pd.DataFrame(
            {"observed_at": pd.date_range(START, periods=hours, freq="h").astype("datetime64[us, UTC]")}
        )
        table.insert(0, "station", station)
        for name in ("co", "pm2_5", "pm10", "no2", "o3", "t", "rh", "t_int"):
            table[name] = 10 + 4 * np.sin(np.arange(hours) / 24 * 2 * np.pi) + random.normal(0, 2, hours)
            table[f"{name}_flag"] = "ok"
        table.loc[table.station == "2", "co_flag"] = "dead"
        parts.append(table[random.random(hours) > 0.05])
    return pd.concat(parts, ignore_index=True)


HOURLY = readings()


@pytest.fixture(scope="module")
def forecasts():
    return backtest(HOURLY, hour(600), hour(790), recipe=TINY)


def test_every_hour_is_forecast_once(forecasts):
    keys = ["issued_at", "station", "pollutant", "horizon_h"]
    assert not forecasts.duplicated(keys).any()
    assert len(forecasts) == 191 * 2 * 2 * len(HORIZONS)
    assert (forecasts.issued_at.min(), forecasts.issued_at.max()) == (hour(600), hour(790))


def test_scores_against_a_naive_loop(forecasts):
    table = score_backtest(forecasts, HOURLY)
    assert tuple(table.columns) == SCORES
    table = table[table.horizon_h <= 2]  # further ahead, what beats neither simple forecast is not published
    assert [tuple(key) for key in table[["station", "pollutant", "horizon_h"]].to_numpy()] == [
        ("1", "co", 1), ("1", "co", 2), ("1", "pm2_5", 1), ("1", "pm2_5", 2), ("2", "pm2_5", 1), ("2", "pm2_5", 2),
    ]  # fmt: skip
    value = {(row.station, row.observed_at): row.pm2_5 for row in HOURLY.itertuples()}
    errors, naive, seasonal, inside = [], [], [], []
    for row in forecasts[(forecasts.station == "2") & (forecasts.pollutant == "pm2_5")].itertuples():
        target, last = value.get(("2", row.target_at)), value.get(("2", row.issued_at))
        if row.horizon_h != 2 or target is None or last is None or math.isnan(row.p50):
            continue
        errors.append(row.p50 - target)
        naive.append(abs(last - target))
        inside.append(row.p10 <= target <= row.p90)
        before = value.get(("2", row.target_at - pd.Timedelta(hours=24)))
        if before is not None:
            seasonal.append(abs(before - target))
    found = table.iloc[-1]
    assert found.n == len(errors)
    assert found.mae == pytest.approx(np.mean(np.abs(errors)))
    assert found.rmse == pytest.approx(math.sqrt(np.mean(np.square(errors))))
    assert found.mae_persistence == pytest.approx(np.mean(naive))
    assert found.skill == pytest.approx(1 - np.mean(np.abs(errors)) / np.mean(naive))
    assert found.coverage80 == pytest.approx(np.mean(inside))
    assert found.mae_seasonal24 == pytest.approx(np.mean(seasonal))


def test_weekly_retraining_uses_what_came_and_nothing_later(forecasts):
    steps = []
    weekly = backtest(HOURLY, hour(600), hour(790), "weekly", lambda *step: steps.append(step), recipe=TINY)
    first_week = weekly.issued_at < hour(600 + 168)
    # float32 products of other numbers of rows differ in their last digits, which show where p10 is near zero
    pd.testing.assert_frame_equal(weekly[first_week], forecasts[first_week.to_numpy()], atol=1e-4)
    assert not np.allclose(weekly[~first_week].p50, forecasts[~first_week.to_numpy()].p50, equal_nan=True)
    assert [done for done, _, _ in steps] == sorted(done for done, _, _ in steps)
    assert steps[-1][:2] == (10, 10)


def test_changing_the_future_changes_no_forecast(forecasts):
    changed = HOURLY.copy()
    changed.loc[changed.observed_at > hour(700), ["co", "pm2_5", "t"]] = 77.0
    again = backtest(changed, hour(600), hour(790), recipe=TINY)
    before = forecasts.issued_at <= hour(700)
    pd.testing.assert_frame_equal(again[before], forecasts[before])


def test_too_short_a_history_is_persistence():
    table = backtest(HOURLY, hour(100), hour(110), recipe=TINY)
    made = table[table.method != "none"]
    assert set(made.method) == {"persistence"}
    assert set(made.reason) == {"history too short"}
    assert (score_backtest(table, HOURLY).skill == 0).all()
    assert tuple(score_backtest(table[:0], HOURLY).columns) == SCORES


def test_wrong_arguments():
    with pytest.raises(ValueError, match="once or weekly"):
        backtest(HOURLY, hour(600), hour(700), "daily")
    with pytest.raises(ValueError, match="start before stop"):
        backtest(HOURLY, hour(700), hour(600))
