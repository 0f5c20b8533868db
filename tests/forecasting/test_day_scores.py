"""Scores of the chance of a bad day against naive computations."""

import numpy as np
import pandas as pd
import pytest
from support.series import START, cyclic

from airqino.forecasting.day_scores import judge_days, reliability, score_days

DAYS = 170
STATION = "a"


@pytest.fixture(scope="module")
def hourly():
    random = np.random.default_rng(5)
    table = cyclic(DAYS)
    level = np.repeat(random.gamma(8, 2, DAYS), 24)
    table = table.assign(pm2_5=np.tile(level, 2)[: len(table)] * random.uniform(0.7, 1.3, len(table)))
    return table[(table.station == "b") | (random.random(len(table)) > 0.1)].reset_index(drop=True)


@pytest.fixture(scope="module")
def forecasts():
    """A chance at each hour of the last fortnight."""
    issued = pd.date_range(START + pd.Timedelta(days=DAYS - 14), periods=13 * 24, freq="h")
    target = issued + pd.Timedelta(hours=1)
    chance = np.random.default_rng(6).random(len(issued))
    table = {"station": STATION, "pollutant": "pm2_5", "horizon_h": 1, "issued_at": issued, "target_at": target}
    return pd.DataFrame(table | {"day": [f"{moment.date()}" for moment in target], "day_exceedance": chance})


@pytest.fixture(scope="module")
def means(hourly):
    own = hourly[hourly.station == STATION].set_index("observed_at")["pm2_5"]
    days = own.groupby(own.index.date)
    return own, days.mean().where(days.size() >= 18)


def test_what_came_and_what_was_usual(forecasts, hourly, means):
    _own, mean = means
    judged = judge_days(forecasts, hourly)
    valid = mean.dropna()
    assert len(judged) == sum(not np.isnan(mean[pd.Timestamp(day).date()]) for day in forecasts["day"])
    for row in judged.to_dict("records")[::7]:
        day = pd.Timestamp(row["day"]).date()
        past = valid[valid.index < day][-30:]
        assert row["exceeded"] == (mean[day] > 15)
        assert row["recent"] == pytest.approx((past > 15).mean())


def test_the_linear_fit_is_least_squares_on_the_120_valid_days_before(forecasts, hourly, means):
    own, mean = means
    judged = judge_days(forecasts, hourly)
    assert judged.loc[judged.hour == 0, "linear"].isna().all()
    for row in judged[judged.hour.isin((1, 8, 21))].to_dict("records")[::5]:
        day, hour = pd.Timestamp(row["day"], tz="UTC"), row["hour"]
        given, got = [], []
        for of in pd.date_range(own.index[0].normalize(), day, freq="D"):
            now = of + pd.Timedelta(hours=hour - 1)
            so_far, three = own[of:now].mean(), own[now - pd.Timedelta(hours=2) : now].mean()
            before = mean.get((of - pd.Timedelta(days=1)).date(), np.nan)
            given.append([1.0, so_far, three, before])
            got.append(mean[of.date()])
        given, got = np.array(given), np.array(got)
        known = ~np.isnan(given).any(axis=1) & ~np.isnan(got)
        known[-1] = False
        past = np.flatnonzero(known)[-120:]
        weights = np.linalg.lstsq(given[past], got[past], rcond=None)[0]
        errors = got[past] - given[past] @ weights
        wanted = ((given[-1] @ weights + errors) > 15).mean() if not np.isnan(given[-1]).any() else np.nan
        assert row["linear"] == pytest.approx(wanted, nan_ok=True)


def test_brier_scores_and_skill():
    judged = pd.DataFrame(
        {
            "station": "a", "day": ["1", "1", "2", "2"], "hour": [5, 6, 5, 6],
            "forecast": [0.2, 0.1, 0.9, np.nan], "exceeded": [False, False, True, True],
            "recent": [0.5, 0.5, 0.5, 0.5], "linear": [0.3, 0.4, 0.6, 0.6],
        }
    )  # fmt: skip
    table = score_days(judged).set_index("hour")
    assert list(table.index) == [-1, 5, 6]
    assert table.loc[-1, "n"] == 3
    assert table.loc[-1, "brier"] == pytest.approx((0.04 + 0.01 + 0.01) / 3)
    assert table.loc[-1, "skill"] == pytest.approx(1 - (0.06 / 3) / 0.25)
    assert table.loc[5, "skill_linear"] == pytest.approx(1 - (0.09 + 0.16) / 2 / 0.25)
    assert table.loc[6, "frequency"] == 0
    assert len(score_days(judged[:0])) == 0


def test_reliable_chances_lie_in_the_band_and_others_do_not():
    random = np.random.default_rng(2)
    days = np.repeat(np.arange(900), 5)
    chance = np.repeat(random.random(900), 5)
    came = np.repeat(random.random(900), 5) < chance
    judged = pd.DataFrame({"station": "a", "day": days.astype(str), "forecast": chance, "exceeded": came})
    table = reliability(judged)
    assert table["n"].sum() == 4500
    assert (table["forecast"].between(table["low"], table["high"])).all()
    inside = table["forecast"].between(table["observed_low"], table["observed_high"])
    assert inside.sum() >= 4
    wrong = reliability(judged.assign(forecast=(chance + 0.3).clip(max=1)))
    assert not wrong["forecast"].between(wrong["observed_low"], wrong["observed_high"]).any()
    assert reliability(judged[:0]).empty
