import hashlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.series import START, cyclic

from airqino.compute import Pool
from airqino.errors import InsufficientHistoryError
from airqino.forecasting.grid import COVARIATES, WEATHER, Network, grid_of_days
from airqino.forecasting.model import (
    COLUMNS,
    HISTORY_HOURS,
    OLDEST_HOURS,
    ForecastModel,
    Recipe,
    predict,
    span_of,
    train,
)
from airqino.readings import FORECAST, HORIZONS

DAYS = 50
TINY = Recipe(rounds=15, medians=1, band_rounds=15, floor_rounds=10, validation_days=10)

#: Forecasts of many rows at once differ by the rounding of 32 bits from those of few; a µg/m³ has a million of these.
ROUNDING = {"rtol": 1e-5, "atol": 1e-6}


def hour(number):
    return START + pd.Timedelta(hours=number)


HOURLY = cyclic(DAYS)


@pytest.fixture(scope="module")
def model():
    return train(HOURLY, hour(DAYS * 24 - 100), recipe=TINY, zones={})


def one(table, station="a", pollutant="pm2_5", horizon=1):
    rows = table[(table.station == station) & (table.pollutant == pollutant) & (table.horizon_h == horizon)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_a_row_for_everything(model):
    issued = [hour(1150), hour(1149), hour(1149)]
    table = predict(model, HOURLY.sample(frac=1, random_state=1), issued)
    assert list(table.columns) == list(COLUMNS)
    assert len(table) == 2 * 2 * 2 * len(HORIZONS)
    assert (table["target_at"] == table["issued_at"] + pd.to_timedelta(table["horizon_h"], unit="h")).all()
    assert (table["last_observed_at"] == table["issued_at"]).all()
    near = table["horizon_h"] <= 2
    assert set(table.loc[near, "method"]) == {"lightgbm"}
    assert ((table["reason"] == "") == (table["method"] == "lightgbm")).all()
    assert set(table.loc[~near, "method"]) <= {"lightgbm", "none"}
    pd.testing.assert_frame_equal(
        table[table.issued_at == hour(1149)].reset_index(drop=True), predict(model, HOURLY, [hour(1149)])
    )


@pytest.mark.parametrize("with_model", [True, False])
def test_forecasts_of_blocks_of_stations_are_those_of_the_network(model, with_model):
    random, parts = np.random.default_rng(3), []
    for station in "abcde":
        part = HOURLY[HOURLY["station"] == random.choice(["a", "b"])].assign(station=station)
        part[["co", "pm2_5"]] *= random.uniform(0.5, 2)
        parts.append(part[random.random(len(part)) > 0.05])
    hourly, issued = pd.concat(parts, ignore_index=True), [hour(1150), hour(1151)]
    used, span = model if with_model else None, span_of([hour(1150), hour(1151)])
    whole = predict(used, hourly, issued)

    def grid_of(block, *names):
        days = [rows for _, rows in hourly.groupby(hourly["observed_at"].dt.floor("D"))]
        return grid_of_days(days, *span, block, *names)

    blocks = [["a", "b"], ["c"], ["d", "e"]]
    network = Network.of(grid_of(block, FORECAST) for block in blocks)
    parts = [predict(used, replace(grid_of(block), network=network), issued) for block in blocks]
    order = ["issued_at", "station", "pollutant", "horizon_h"]
    together = pd.concat(parts).sort_values(order, ignore_index=True)
    pd.testing.assert_frame_equal(together, whole, **ROUNDING)
    assert with_model == ("lightgbm" in set(whole["method"]))
    if with_model:  # a block that knows nothing of the others forecasts something else
        alone = pd.concat([predict(used, grid_of(block), issued) for block in blocks])
        assert not np.allclose(alone.sort_values(order)["p50"], whole["p50"], equal_nan=True)


def test_it_beats_persistence_where_there_is_something_to_learn(model):
    table = predict(model, HOURLY, list(pd.date_range(hour(1105), hour(1190), freq="h")))
    actual = HOURLY.set_index(["station", "observed_at"])["pm2_5"]
    rows = table[table.pollutant == "pm2_5"]
    target = actual.reindex(pd.MultiIndex.from_frame(rows[["station", "target_at"]])).to_numpy()
    assert np.abs(target - rows["p50"]).mean() < 0.85 * np.abs(target - rows["last_value"]).mean()
    assert 0.7 < ((rows["p10"] <= target) & (target <= rows["p90"])).mean() < 0.92


def test_same_data_and_seed_give_the_same_bytes(model):
    mixed = HOURLY.sample(frac=1, random_state=2)
    with Pool(threads=2) as pool:
        again = train(mixed, hour(DAYS * 24 - 100), recipe=TINY, pool=pool, zones={})
    assert digest(again) == digest(model)
    for seed, same in ((1, True), (2, False)):
        one_lead = train(HOURLY, hour(DAYS * 24 - 100), ("pm2_5",), (1,), seed, recipe=TINY)
        assert (one_lead.models["pm2_5/1"] == model.models["pm2_5/1"]) is same


def digest(model):
    return {name: hashlib.sha256(content).hexdigest() for name, content in model.to_files().items()}


def test_files_there_and_back(model):
    files = model.to_files()
    assert ForecastModel.from_files(files) == model
    with pytest.raises(ValueError, match="not a readable forecast model"):
        ForecastModel.from_files({**files, "model.json": files["model.json"][:100]})
    with pytest.raises(ValueError, match="not a readable forecast model"):
        ForecastModel.from_files({name: content for name, content in files.items() if not name.endswith("p10.txt.gz")})
    with pytest.raises(ValueError, match="not a readable forecast model"):
        ForecastModel.from_files(
            {name: content[:-9] for name, content in files.items()} | {"model.json": files["model.json"]}
        )


def test_training_does_not_see_the_future(model):
    changed = HOURLY.copy()
    changed.loc[changed.observed_at >= hour(DAYS * 24 - 100), list(COVARIATES)] = 500.0
    again = train(changed, hour(DAYS * 24 - 100), recipe=TINY, zones={})
    assert digest(again) == digest(model)


@settings(max_examples=12)
@given(issued=st.integers(1100, 1190), seed=st.integers(0, 99))
def test_a_forecast_does_not_see_the_future(model, issued, seed):
    random = np.random.default_rng(seed)
    changed = HOURLY.copy()
    later = (changed.observed_at > hour(issued)).to_numpy()
    for name in COVARIATES + WEATHER:
        changed.loc[later, name] = random.permutation(changed.loc[later, name].to_numpy()) * random.choice([1.0, 50.0])
    changed = changed[~later | (random.random(len(changed)) < 0.8)]
    hours = [hour(issued - 3), hour(issued)]
    expected = predict(model, HOURLY, hours)
    pd.testing.assert_frame_equal(predict(model, changed, hours), expected, **ROUNDING)
    together = predict(model, changed, [*hours, hour(issued + 2)])
    pd.testing.assert_frame_equal(
        together[together.issued_at <= hour(issued)].reset_index(drop=True), expected, **ROUNDING
    )


@settings(max_examples=25)
@given(
    seed=st.integers(0, 999),
    scale=st.sampled_from([0.0, 1e-3, 1.0, 1e4]),
    missing=st.floats(0, 0.95),
    with_model=st.booleans(),
)
def test_quantiles_are_ordered_and_not_negative_on_random_input(model, seed, scale, missing, with_model):
    random = np.random.default_rng(seed)
    hourly = cyclic(12, ("a", "stranger"), seed)
    for name in COVARIATES + WEATHER:
        hourly[name] = random.exponential(1.0, len(hourly)) * scale
        hourly.loc[random.random(len(hourly)) < missing / 2, name] = np.nan
    for name in COVARIATES:
        hourly[f"{name}_flag"] = random.choice(
            ["ok", "ok", "ok", "spike", "stuck", "dead", "out_of_range"], len(hourly)
        )
    hourly = hourly[random.random(len(hourly)) > missing]
    table = predict(model if with_model else None, hourly, [hour(280), hour(281)])
    made = table[table.method != "none"]
    assert not made[["p10", "p50", "p90", "last_value"]].isna().any().any()
    assert (made.p10 >= 0).all()
    assert (made.p10 <= made.p50).all()
    assert (made.p50 <= made.p90).all()
    assert (made.issued_at - made.last_observed_at <= pd.Timedelta(hours=OLDEST_HOURS)).all()
    none = table[table.method == "none"]
    assert none[["p10", "p50", "p90"]].isna().all().all()
    assert (none.reason != "").all()


def test_without_a_model_persistence_with_the_spread_of_recent_changes():
    row = one(predict(None, HOURLY, [hour(1000)], no_model_reason="history too short"), horizon=2)
    own = HOURLY[HOURLY.station == "a"].set_index("observed_at")["pm2_5"]
    past = own[own.index <= hour(1000)]
    sizes = np.sort((past - past.shift(2)).abs().dropna().iloc[-672:])
    half = sizes[int(np.ceil(673 * 0.8)) - 1]
    assert (row.method, row.reason) == ("persistence", "history too short")
    assert row.p50 == row.last_value == past.iloc[-1]
    assert row.p90 == pytest.approx(row.p50 + half)
    assert row.p10 == pytest.approx(max(row.p50 - half, 0))


@pytest.mark.parametrize(
    ("flag", "reason"),
    [
        ("dead", "sensor dead"),
        ("stuck", "sensor stuck"),
        ("at_floor", "sensor at its floor: mis-zeroed or dead"),
        ("offset", "zero of the sensor off"),
    ],
)
def test_no_forecast_for_a_broken_sensor(model, flag, reason):
    hourly = HOURLY.copy()
    broken = (hourly.station == "a") & (hourly.observed_at >= hour(1100))
    hourly.loc[broken, "co_flag"] = flag
    table = predict(model, hourly, [hour(1100), hour(1150)])
    for _, row in table[(table.station == "a") & (table.pollutant == "co")].iterrows():
        assert (row.method, row.reason) == ("none", reason)
        assert np.isnan(row.p50)
    assert (table[table.pollutant == "pm2_5"].method == "lightgbm").all()


@pytest.mark.parametrize(
    ("age", "horizon", "method"),
    [(0, 2, "lightgbm"), (1, 2, "lightgbm"), (2, 1, "persistence"), (2, 12, "none"), (3, 1, "none")],
)
def test_older_readings_are_forecast_to_stay_and_those_of_three_hours_ago_not_at_all(model, age, horizon, method):
    hourly = HOURLY[(HOURLY.station == "b") | (HOURLY.observed_at <= hour(1150 - age))]
    row = one(predict(model, hourly, [hour(1150)]), horizon=horizon)
    assert row.method == method
    assert row.last_observed_at == hour(1150 - age)
    assert row.reason == {2: "the last reading is 2 h old", 3: "no reading for 3 h"}.get(age, "")


def test_the_band_widens_when_readings_are_old_or_missing(model):
    issued = [hour(number) for number in range(1120, 1160)]
    width = []
    for drop in ((), (2, 4), (1, 2)):
        widths = []
        for moment in issued[::4]:
            gone = [moment - pd.Timedelta(hours=d - 1) for d in drop]
            row = one(predict(model, HOURLY[~HOURLY.observed_at.isin(gone)], [moment]))
            widths.append(row.p90 - row.p10)
        width.append(np.mean(widths))
    assert width[0] < width[1]
    assert width[0] < width[2]


def test_persistence_where_the_model_did_not_win(model):
    worse = [replace(s, beats=False) if s.station == "a" and s.pollutant == "co" else s for s in model.scores]
    table = predict(replace(model, scores=tuple(worse)), HOURLY, [hour(1150)])
    row = one(table, pollutant="co")
    assert (row.method, row.reason) == ("persistence", "at 1 h the model does not beat the simple forecasts here")
    assert row.p50 == row.last_value
    further = one(table, pollutant="co", horizon=6)  # it is left out instead: "no change" is no forecast of the evening
    assert (further.method, further.reason) == ("none", "at 6 h the model does not beat the simple forecasts here")
    assert one(table, station="b", pollutant="co").method == "lightgbm"


@pytest.mark.parametrize("known_hours", [0, 20, 168])  # in the training
def test_a_new_station_is_forecast_by_what_the_others_taught(known_hours):
    end = 1000
    new, old = cyclic(DAYS, ("new",), 9), HOURLY[HOURLY.station != "a"]
    new = new[new.observed_at >= hour(end - known_hours)]
    fitted = train(pd.concat([old, new]), hour(end), ("pm2_5",), recipe=TINY)
    table = predict(fitted, pd.concat([old, new]), [hour(end + 10)], pollutants=("pm2_5",))
    row, other = one(table, "new"), one(table, "b")
    assert (row.method, other.method) == ("lightgbm", "lightgbm")
    assert (row.reason.startswith("little was known of this station"), other.reason) == (True, "")


@pytest.mark.parametrize("age", [0, 1])
def test_horizons_that_the_model_was_not_trained_for_leave_the_others_alone(model, age):
    moment = hour(1150)
    known = HOURLY[HOURLY.observed_at <= moment - pd.Timedelta(hours=age)]
    asked = predict(model, known, [moment], horizons=(1, 2, 4, 23))
    np.testing.assert_array_equal(
        asked.loc[asked.horizon_h <= 2, "p50"], predict(model, known, [moment], horizons=(1, 2))["p50"]
    )
    assert set(asked.loc[asked.horizon_h <= 2, "method"]) == {"lightgbm"}
    assert one(asked, horizon=23).reason == f"the model was not trained {23 + age} h ahead"


def test_one_station_with_few_hours_has_nobody_to_learn_from(model):
    few = tuple(replace(score, n=47) for score in model.scores)
    row = one(predict(replace(model, scores=few), HOURLY, [hour(1150)]))
    assert (row.method, row.reason) == ("persistence", "too few recent hours to judge the model")


def test_too_short_a_history():
    with pytest.raises(InsufficientHistoryError, match="history too short: 200 usable hours"):
        train(HOURLY[HOURLY.station == "a"], hour(200), recipe=TINY)
    dead = HOURLY.assign(co_flag="dead")
    partly = train(dead, hour(600), recipe=TINY)
    assert partly.pollutants == ("pm2_5",)
    row = one(predict(partly, HOURLY, [hour(700)]), pollutant="co")
    assert (row.method, row.reason) == ("persistence", "history too short")


def test_44_days_are_enough(model):
    part = HOURLY[HOURLY.observed_at >= hour(1190 - HISTORY_HOURS)]
    columns = ["p10", "p50", "p90"]
    whole = predict(model, HOURLY, [hour(1190)])
    np.testing.assert_allclose(predict(model, part, [hour(1190)])[columns], whole[columns], rtol=1e-6)


def test_nothing_in_nothing_out(model):
    assert len(predict(model, HOURLY[:0], [hour(1)])) == 0
    assert len(predict(model, HOURLY, [])) == 0


def test_the_band_is_corrected_only_by_hours_the_model_had_not_seen(model):
    """The misses of hours that were trained on are too small: there the training's own calibration counts."""
    wide = replace(model, bands=tuple(replace(band, below=9.0, above=9.0) for band in model.bands))
    end = DAYS * 24 - 100  # the model has seen every hour before
    for number, same in ((end - 1, False), (end + 50, False), (end + 99, True)):
        ours, theirs = (one(predict(m, HOURLY, [hour(number)])) for m in (model, wide))
        assert bool(theirs.p90 - theirs.p10 == pytest.approx(ours.p90 - ours.p10)) is same
    assert one(predict(wide, HOURLY, [hour(end - 1)])).p90 > one(predict(model, HOURLY, [hour(end - 1)])).p90 + 5


def test_asking_for_hours_that_were_trained_on_does_not_correct_the_band_by_them(model):
    end = DAYS * 24 - 100
    together = predict(model, HOURLY, [hour(number) for number in range(end - 200, end)])
    for horizon in (1, 2):
        alone = one(predict(model, HOURLY, [hour(end - 1)]), horizon=horizon)
        row = one(together[together.issued_at == hour(end - 1)], horizon=horizon)
        assert (row.p10, row.p90) == (pytest.approx(alone.p10, rel=1e-5), pytest.approx(alone.p90, rel=1e-5))
