"""Scores made of sums of days: as those of all the forecasts together."""

import math
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scores import summarised

from airqino.forecasting.scoring import KEY, DriftLimits, drifted_pairs, match, score_groups, with_errors
from airqino.forecasting.windows import COLUMNS, SUMS, add, day_sums, scores_of, summarise

DAY = date(2024, 9, 1)


def scored(table: pd.DataFrame, hourly: pd.DataFrame, day: date = DAY, **limits: Any) -> pd.DataFrame:
    return summarised(table, hourly, [day], pollutants=["pm2_5"], **limits)[day]


def forecasts(n: int, seed: int = 0, method: str = "lightgbm") -> tuple[pd.DataFrame, pd.DataFrame]:
    random = np.random.default_rng(seed)
    at = pd.date_range("2024-09-01", periods=n, freq="h", tz="UTC")
    value = random.gamma(2, 5, n)
    hourly = pd.DataFrame({"station": "1", "observed_at": at, "pm2_5": value, "pm2_5_flag": "ok"})
    p50 = value + random.normal(0, 1, n)
    table = pd.DataFrame(
        {"station": "1", "pollutant": "pm2_5", "horizon_h": 1, "target_at": at, "method": method}
        | {"p10": p50 - 1.2816, "p50": p50, "p90": p50 + 1.2816, "last_value": value + random.normal(0, 3, n)}
    )
    return table, hourly


def test_flagged_and_missing_targets_are_not_scored() -> None:
    table, hourly = forecasts(24)
    hourly.loc[0, "pm2_5_flag"] = "stuck"
    hourly.loc[1, "pm2_5"] = np.nan
    scores = scored(table, hourly.drop(index=2))
    assert scores["n"].tolist() == [21, 21, 21]


def test_a_forecast_without_rows_adds_nothing_whatever_its_types() -> None:
    """Such as one of an hour before the first reading: pandas calls each of its columns a number."""
    table, hourly = forecasts(24)
    empty = pd.DataFrame({name: np.array([], dtype=float) for name in table})
    pd.testing.assert_frame_equal(
        day_sums([empty, table, empty], hourly, DAY, ["pm2_5"]), day_sums([table], hourly, DAY, ["pm2_5"])
    )


def test_nothing_measured_yet() -> None:
    table, hourly = forecasts(24)
    scores = scored(table, hourly.iloc[:0])
    assert scores["n"].tolist() == [0, 0, 0]
    assert scores["skill"].isna().all()
    assert not scores["drift"].any()
    assert len(scored(table.iloc[:0], hourly)) == 0


@pytest.mark.parametrize(
    ("hours", "change", "method", "drifts"),
    [
        (168, {}, "lightgbm", False),
        (168, {"p50": 300.0, "horizon_h": 1}, "lightgbm", True),  # 2 h ahead
        (168, {"p50": 300.0, "horizon_h": 2}, "lightgbm", False),  # 3 h: its errors overlap
        (168, {"p50": 300.0}, "lightgbm", True),  # skill below 0
        (168, {"p10": -50.0, "p90": 50.0}, "lightgbm", True),  # all inside the band
        (168, {"p50": 300.0}, "persistence", False),  # which cannot drift
        (71, {"p50": 300.0}, "lightgbm", False),  # too few to say
        (72, {"p50": 300.0}, "lightgbm", True),
    ],
)
def test_drift(hours: int, change: dict[str, float], method: str, drifts: bool) -> None:
    table, hourly = forecasts(hours, method=method)
    for name, by in change.items():
        table[name] += by
    matched = match(table, hourly, ["pm2_5"])
    last = matched["target_at"].max().date()
    scores = scored(table, hourly, last).set_index("window_days")
    assert scores["drift"].to_dict() == {1: False, 7: drifts, 30: False}
    assert drifted_pairs(matched, DriftLimits())[0] == ({("1", "pm2_5")} if drifts else set())


def test_skill_against_a_perfect_persistence_is_not_defined() -> None:
    table, hourly = forecasts(24)
    table["last_value"] = hourly["pm2_5"]
    assert scored(table, hourly)["skill"].isna().all()


_ROW = st.tuples(
    st.sampled_from(["2", "10", "300"]), st.sampled_from(["co", "pm2_5"]), st.sampled_from([1, 12]),
    st.integers(-30, 60), st.sampled_from(["lightgbm", "persistence", "none"]),
    st.one_of(st.just(math.nan), st.floats(0, 500)), st.floats(0, 500), st.floats(0, 50),
)  # fmt: skip
_READING = st.tuples(
    st.sampled_from(["2", "10"]), st.integers(-24, 30), st.one_of(st.just(math.nan), st.floats(0, 500)),
    st.sampled_from(["ok", "stuck"]),
)  # fmt: skip


@given(st.lists(_ROW, max_size=40), st.lists(_READING, max_size=40, unique_by=lambda row: row[:2]), st.integers(1, 5))
def test_sums_of_days_give_the_scores_of_all_forecasts_together(found: list[Any], read: list[Any], files: int) -> None:
    midnight = pd.Timestamp(DAY, tz="UTC")
    table = pd.DataFrame(found, columns=[*KEY, "hour", "method", "last_value", "p50", "half"])
    table["target_at"] = midnight + pd.to_timedelta(table.pop("hour"), unit="h")
    table["p10"], table["p90"] = table["p50"] - table["half"], table["p50"] + table.pop("half")
    hourly = pd.DataFrame(read, columns=["station", "hour", "pm2_5", "pm2_5_flag"])
    hourly["observed_at"] = midnight + pd.to_timedelta(hourly.pop("hour"), unit="h")
    hourly["co"], hourly["co_flag"] = hourly["pm2_5"] / 9, "ok"
    parts = [table.iloc[number::files] for number in range(files)]
    sums = [day_sums(parts, hourly, DAY - timedelta(days=back)) for back in range(2)]
    limits = DriftLimits(hours=2)
    scores = summarise(sums, DAY, limits, (1, 2))
    for window in (1, 2):
        begin, end = midnight - pd.Timedelta(days=window - 1), midnight + pd.Timedelta(days=1)
        within = table[(table["target_at"] >= begin) & (table["target_at"] < end) & (table["method"] != "none")]
        matched = match(within, hourly)
        expected = score_groups(with_errors(matched))
        mine = scores[scores["window_days"] == window].reset_index(drop=True)
        assert mine[KEY].to_numpy().tolist() == expected[KEY].to_numpy().tolist()
        names = ["n", "mae", "bias", "coverage80", "mae_persistence", "skill"]
        np.testing.assert_allclose(mine[names].astype(float), expected[names].astype(float), rtol=1e-9, atol=1e-9)
        own = matched[(matched["method"] == "lightgbm") & matched["target"].notna()]
        counts = own.groupby(KEY).size().reindex(pd.MultiIndex.from_frame(expected[KEY]), fill_value=0)
        assert mine["modelled"].tolist() == counts.tolist()
        assert not mine["drift"].any()  # told of 7 days
    week = scores_of(add(*sums), DAY, 7, limits)
    drifted = {(row.station, row.pollutant) for row in week[week["drift"]].itertuples()}
    begin, end = midnight - pd.Timedelta(days=1), midnight + pd.Timedelta(days=1)
    both = table[(table["target_at"] >= begin) & (table["target_at"] < end)]
    assert drifted == drifted_pairs(match(both, hourly), limits)[0]


def test_sums_are_added_whichever_groups_they_have() -> None:
    table, hourly = forecasts(24)
    more = day_sums(
        [table.assign(station="0"), table.assign(horizon_h=2, method="persistence")], hourly, DAY, ["pm2_5"]
    )
    both = add(day_sums([table], hourly, DAY, ["pm2_5"]), more)
    assert both[KEY].to_numpy().tolist() == [["0", "pm2_5", 1], ["1", "pm2_5", 1], ["1", "pm2_5", 2]]
    assert both["n"].tolist() == [0, 24, 24]
    assert both["modelled_n"].tolist() == [0, 24, 0]
    twice = add(both, both)
    assert twice[list(SUMS)].equals(both[list(SUMS)] * 2)
    assert list(scores_of(both, DAY, 1).columns) == list(COLUMNS)
