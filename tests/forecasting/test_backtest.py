import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from airqino.forecasting.backtest import SCORES, backtest, scores
from airqino.forecasting.model import Recipe
from tasks.cli.backtest import main, read_responses

START = pd.Timestamp("2024-01-01", tz="UTC")
TINY = Recipe(rounds=15, networks=1, validation_networks=1, validation_days=7)
REAL = Path(__file__).parents[2].parent / "shared" / "data"


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
    return backtest(HOURLY, hour(600), hour(790), recipe=TINY, num_threads=1)


def test_every_hour_is_forecast_once(forecasts):
    keys = ["issued_at", "station", "pollutant", "horizon_h"]
    assert not forecasts.duplicated(keys).any()
    assert len(forecasts) == 191 * 2 * 2 * 2
    assert (forecasts.issued_at.min(), forecasts.issued_at.max()) == (hour(600), hour(790))


def test_scores_against_a_naive_loop(forecasts):
    table = scores(forecasts, HOURLY)
    assert tuple(table.columns) == SCORES
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
    weekly = backtest(
        HOURLY, hour(600), hour(790), "weekly", lambda *step: steps.append(step), recipe=TINY, num_threads=1
    )
    first_week = weekly.issued_at < hour(600 + 168)
    pd.testing.assert_frame_equal(weekly[first_week], forecasts[first_week.to_numpy()])
    assert not np.allclose(weekly[~first_week].p50, forecasts[~first_week.to_numpy()].p50, equal_nan=True)
    assert [done for done, _, _ in steps] == sorted(done for done, _, _ in steps)
    assert steps[-1][:2] == (10, 10)


def test_changing_the_future_changes_no_forecast(forecasts):
    changed = HOURLY.copy()
    changed.loc[changed.observed_at > hour(700), ["co", "pm2_5", "t"]] = 77.0
    again = backtest(changed, hour(600), hour(790), recipe=TINY, num_threads=1)
    before = forecasts.issued_at <= hour(700)
    pd.testing.assert_frame_equal(again[before], forecasts[before])


def test_too_short_a_history_is_persistence():
    table = backtest(HOURLY, hour(100), hour(110), recipe=TINY)
    made = table[table.method != "none"]
    assert set(made.method) == {"persistence"}
    assert set(made.reason) == {"history too short"}
    assert (scores(table, HOURLY).skill == 0).all()


def test_wrong_arguments():
    with pytest.raises(ValueError, match="once or weekly"):
        backtest(HOURLY, hour(600), hour(700), "daily")
    with pytest.raises(ValueError, match="start before stop"):
        backtest(HOURLY, hour(700), hour(600))


@pytest.mark.skipif(not REAL.is_dir(), reason="the real answers are not there")
def test_acceptance_on_real_answers(tmp_path):
    """The two last months, trained once before them: the thresholds that the forecast must reach."""
    out = tmp_path / "scores.json"
    assert (
        main(["--responses", f"{REAL}", "--start", "2024-05-01T00", "--stop", "2024-06-30T23", "--json", f"{out}"]) == 0
    )
    rows = {(r["station"], r["pollutant"], r["horizon_h"]): r for r in json.loads(out.read_text())}
    least = {("pm2_5", 1): 0.115, ("pm2_5", 2): 0.185, ("co", 1): 0.15, ("co", 2): 0.22}
    for (station, pollutant, horizon), row in rows.items():
        dead = (station, pollutant) == ("283164601", "co")
        assert row["skill"] >= (-0.01 if dead else least[pollutant, horizon]), row
        assert dead or 0.72 <= row["coverage80"] <= 0.88, row
    total = sum(r["n"] for r in rows.values())
    assert 0.77 <= sum(r["coverage80"] * r["n"] for r in rows.values()) / total <= 0.83
    assert len(read_responses(REAL)) > len(read_responses(REAL, [])) > 13_000
