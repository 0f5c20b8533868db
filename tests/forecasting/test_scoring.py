import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airqino.forecasting.grid import USABLE_FLAGS
from airqino.forecasting.scoring import (
    KEY,
    episode_starts,
    improvement_confidence,
    match,
    null_if_undefined,
    score_groups,
    skill,
    with_errors,
)

Numbers = Sequence[float]


def score(
    error: Numbers, inside: Sequence[bool], references: Mapping[str, Numbers], losses: Mapping[str, Numbers]
) -> dict[str, float]:
    """The scores of one group, each as its formula says: what `score_groups` must equal to the bit."""
    at = [position for position, value in enumerate(error) if not math.isnan(value)]

    def mean(values: Sequence[float]) -> float:
        known = np.array([values[position] for position in at if not math.isnan(values[position])])
        return float(known.mean()) if len(known) else math.nan

    def gain(name: str) -> float:
        mine, theirs = (mae, maes["persistence"]) if name == "" else (maes[name], maes["persistence"])
        return 1.0 - mine / theirs if theirs > 0 else math.nan

    mae, maes = mean(np.abs(error)), {name: mean(np.abs(values)) for name, values in references.items()}
    return {
        "n": len(at),
        "mae": mae,
        "rmse": math.sqrt(mean(np.array(error) ** 2)),
        "bias": mean(error),
        "coverage80": mean([float(is_inside) for is_inside in inside]),
        "skill": gain(""),
        **{f"mae_{name}": number for name, number in maes.items()},
        **{f"skill_{name}": gain(name) for name in maes if name != "persistence"},
        **{name: mean(values) for name, values in losses.items()},
    }


#: Numbers with every kind of hole, and of sizes that do not add up exactly.
_NUMBER = st.one_of(st.just(math.nan), st.just(0.0), st.floats(-1e4, 1e4))
_ROW = st.tuples(
    st.sampled_from(["2", "10", "300"]), st.sampled_from(["co", "pm2_5"]), st.sampled_from([1, 12]),
    _NUMBER, st.booleans(), _NUMBER, _NUMBER, _NUMBER, _NUMBER,
)  # fmt: skip
_NAMES = [*KEY, "error", "inside", "error_persistence", "error_other", "winkler", "pinball"]


@given(st.lists(_ROW, max_size=60), st.integers(1, 300))
def test_groups_equal_each_group_by_itself_to_the_bit(found: list[tuple[Any, ...]], times: int) -> None:
    rows = pd.DataFrame(found, columns=_NAMES)
    if found:  # a group that is much larger than the others: sums are made in another order than one by one
        rows = pd.concat([rows, *[rows.iloc[:1].assign(error=rows["error"].iloc[0] / k) for k in range(1, times)]])
    expected = []
    for key, own in rows.groupby(KEY):
        parts = [{name: own[f"{of}{name}"].tolist() for name in names} for of, names in _PARTS]
        expected.append(dict(zip(KEY, key, strict=True)) | score(own["error"].tolist(), own["inside"].tolist(), *parts))
    table = score_groups(rows)
    assert table["n"].sum() == rows["error"].notna().sum()
    if expected:
        pd.testing.assert_frame_equal(table, pd.DataFrame(expected), check_exact=True)


_PARTS = (("error_", ("persistence", "other")), ("", ("winkler", "pinball")))


def test_errors_against_naive_sums() -> None:
    error, persistence, other = [1.0, -2.0, math.nan, 0.5], [3.0, 1.0, 9.0, math.nan], [1.0, -1.0, 5.0, 4.0]
    rows = pd.DataFrame({"error": error, "inside": [True, False, True, True], "error_persistence": persistence})
    (numbers,) = score_groups(rows.assign(error_other=other, station="1", pollutant="co", horizon_h=1)).to_dict(
        "records"
    )
    assert numbers["n"] == 3
    assert numbers["mae"] == pytest.approx((1.0 + 2.0 + 0.5) / 3)
    assert numbers["rmse"] == pytest.approx(math.sqrt((1.0 + 4.0 + 0.25) / 3))
    assert numbers["bias"] == pytest.approx((1.0 - 2.0 + 0.5) / 3)
    assert numbers["coverage80"] == pytest.approx(2 / 3)
    assert numbers["mae_persistence"] == pytest.approx((3.0 + 1.0) / 2)  # on the rows that count and have one
    assert numbers["mae_other"] == pytest.approx((1.0 + 1.0 + 4.0) / 3)
    assert numbers["skill"] == pytest.approx(1 - (3.5 / 3) / 2)
    assert numbers["skill_other"] == pytest.approx(1 - 2 / 2)


def test_nothing_to_score_is_not_a_number() -> None:
    rows = pd.DataFrame({"station": "1", "pollutant": "co", "horizon_h": 1, "error": [math.nan], "inside": [True]})
    rows["error_persistence"] = 1.0
    (numbers,) = score_groups(rows).drop(columns=KEY).to_dict("records")
    assert numbers.pop("n") == 0
    assert all(math.isnan(number) for number in numbers.values())
    assert len(score_groups(rows.iloc[:0])) == 0


@pytest.mark.parametrize(
    ("error", "reference", "expected"),
    [(0.5, 1.0, 0.5), (2.0, 1.0, -1.0), (0.0, 0.0, math.nan), (1.0, 0.0, math.nan), (math.nan, 1.0, math.nan)],
)
def test_skill(error: float, reference: float, expected: float) -> None:
    assert skill(error, reference) == pytest.approx(expected, nan_ok=True)


def test_what_is_not_defined_is_null() -> None:
    assert [null_if_undefined(number) for number in (0.5, math.nan, -math.inf, None)] == [0.5, None, None, None]


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=30))
def test_a_perfect_forecast_has_no_error(values: list[float]) -> None:
    table = pd.DataFrame({"target": values, "last_value": 0.0} | dict.fromkeys(("p10", "p50", "p90"), values))
    rows = with_errors(table.assign(station="1", pollutant="co", horizon_h=1))
    (numbers,) = score_groups(rows).to_dict("records")
    assert numbers["mae"] == numbers["rmse"] == numbers["bias"] == 0
    assert numbers["coverage80"] == 1  # the ends of a band belong to it


def test_groups_against_a_naive_loop() -> None:
    random = np.random.default_rng(0)
    keys = [(s, p, h) for s in ("2", "10") for p in ("co", "pm2_5") for h in (1, 2)]
    table = pd.DataFrame([keys[i] for i in random.integers(0, 7, 300)], columns=["station", "pollutant", "horizon_h"])
    for name in ("target", "p50", "last_value", "day_before"):
        table[name] = np.where(random.random(300) < 0.1, np.nan, random.gamma(2, 5, 300))
    table["p10"], table["p90"] = table["p50"] - 3, table["p50"] + 4
    scores = score_groups(with_errors(table, seasonal24="day_before"))
    assert [tuple(row) for row in scores[["station", "pollutant", "horizon_h"]].to_numpy()] == sorted(keys[:7])
    for row in scores.itertuples():
        own = [
            r
            for r in table.itertuples()
            if (r.station, r.pollutant, r.horizon_h) == (row.station, row.pollutant, row.horizon_h)
            and not math.isnan(r.target + r.p50)
        ]
        mae = sum(abs(r.p50 - r.target) for r in own) / len(own)
        naive = [abs(r.last_value - r.target) for r in own if not math.isnan(r.last_value)]
        seasonal = [abs(r.day_before - r.target) for r in own if not math.isnan(r.day_before)]
        assert row.n == len(own)
        assert row.mae == pytest.approx(mae)
        assert row.coverage80 == pytest.approx(sum(r.p50 - 3 <= r.target <= r.p50 + 4 for r in own) / len(own))
        assert row.mae_persistence == pytest.approx(sum(naive) / len(naive))
        assert row.mae_seasonal24 == pytest.approx(sum(seasonal) / len(seasonal))
        assert row.skill == pytest.approx(1 - mae / (sum(naive) / len(naive)))


def test_each_forecast_is_matched_with_what_its_own_station_measured() -> None:
    random = np.random.default_rng(7)
    at = pd.date_range("2024-09-01", periods=30, freq="h", tz="UTC")
    hourly = pd.DataFrame([(s, t) for s in ("2", "10", "3") for t in at], columns=["station", "observed_at"])
    for name in ("co", "pm2_5"):
        hourly[name] = random.gamma(2, 5, len(hourly))
        hourly[f"{name}_flag"] = random.choice(["ok", "humid", "stuck", "at_floor", "spike"], len(hourly))
    hourly = hourly.sample(frac=0.8, random_state=1)
    asked = pd.DataFrame({"station": random.choice(["2", "10", "new"], 500), "target_at": random.choice(at, 500)})
    asked["target_at"] = pd.to_datetime(asked["target_at"], utc=True) + pd.Timedelta(hours=5)
    asked["pollutant"] = random.choice(["co", "pm2_5"], 500)
    known = {
        (row.station, name, row.observed_at): getattr(row, name)
        for row in hourly.itertuples()
        for name in ("co", "pm2_5")
        if getattr(row, f"{name}_flag") in USABLE_FLAGS
    }
    expected = [known.get((r.station, r.pollutant, r.target_at), math.nan) for r in asked.itertuples()]
    np.testing.assert_array_equal(match(asked, hourly)["target"], expected)
    assert 100 < np.isnan(expected).sum() < 450


@given(st.dictionaries(st.integers(0, 99), st.sets(st.sampled_from(["a", "b"]))), st.integers(60, 99))
def test_episodes_begin_where_a_walk_back_says(found: dict[int, set[str]], today: int) -> None:
    origin, pairs = date(2024, 1, 1), {("a", "co"), ("b", "co")}
    asked = []

    def drifted_on(day: date) -> set[tuple[str, str]]:
        asked.append(day)
        return {(name, "co") for name in found.get((day - origin).days, ())}

    starts = episode_starts(origin + timedelta(days=today), pairs, drifted_on, 60)
    for name in "ab":
        start, quiet = today, 0
        for day in range(today - 1, today - 61, -1):
            start, quiet = (day, 0) if name in found.get(day, ()) else (start, quiet + 1)
            if quiet >= 7:
                break
        assert starts[name, "co"] == origin + timedelta(days=start)
    assert min(asked) >= min(starts.values()) - timedelta(days=7)  # who is not asked, need not be read
    assert len(asked) == len({*asked})


def test_bootstrap_knows_better_from_worse_and_is_even_for_equals() -> None:
    random = np.random.default_rng(3)
    day = np.repeat(np.arange(40), 24)
    worse = random.normal(0, 1.0, len(day))
    assert improvement_confidence(0.7 * worse, worse, day) == 1.0
    assert improvement_confidence(worse, 0.7 * worse, day) == 0.0
    assert improvement_confidence(worse, worse, day) == 0.5
    assert improvement_confidence([], [], []) == 0.5


def test_bootstrap_against_a_naive_loop() -> None:
    random = np.random.default_rng(5)
    day = np.repeat(np.arange(12), 10)
    a, b = random.normal(0, 1.0, 120), random.normal(0, 1.05, 120)
    wins = 0
    for _ in range(4000):
        drawn = random.integers(0, 12, 12)
        wins += sum(np.abs(b[day == d]).sum() - np.abs(a[day == d]).sum() for d in drawn) > 0
    assert improvement_confidence(a, b, day, draws=4000) == pytest.approx(wins / 4000, abs=0.03)


def test_bootstrap_draws_days_not_hours() -> None:
    # One day decides everything: it is missing in (1 - 1/20)^20 = 36 % of the draws.
    day = np.repeat(np.arange(20), 24)
    a, b = np.full(480, 1.0), np.full(480, 0.99)
    a[:24] = 0.0
    assert improvement_confidence(a, b, day, draws=5000) == pytest.approx(1 - 0.95**20, abs=0.03)
