"""What the flags say of the real answers of two stations; only where they lie beside the repository."""

import json

import pandas as pd
import pytest
from support.deployment import REAL

from airqino.quality.flags import flag_history
from airqino.readings import READINGS

SMART188, SMART189 = "283164601", "283181971"

pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason="the real answers are not beside the repository")


def flagged(station: str, suffix: str = "") -> pd.DataFrame:
    rows = json.loads((REAL / f"{station}{suffix}.json").read_text())["data"]
    table = pd.DataFrame({r.name: [row.get(r.key) for row in rows] for r in READINGS}, dtype=float)
    table["observed_at"] = pd.to_datetime([row["timestamp"] for row in rows], utc=True)
    return flag_history(table.assign(station=station).drop_duplicates("observed_at", keep="last"))


def test_an_unclipped_sensor_has_a_zero_offset_and_a_clipped_one_is_at_its_floor() -> None:
    older, newer = flagged(SMART188, ".as-of-2023-12-06"), flagged(SMART188)
    shares = older["co_flag"].value_counts(normalize=True)
    assert shares["offset"] > 0.75
    assert {"dead", "at_floor", "floor"}.isdisjoint(shares.index)
    negative = older[(older["observed_at"] >= "2023-03-15") & (older["co"] < 0)]
    assert (negative["co_flag"] == "offset").mean() > 0.95
    shares = newer["co_flag"].value_counts(normalize=True)
    assert shares["at_floor"] > 0.95
    assert {*shares.index} == {"at_floor", "floor"}


def test_the_live_sensor_is_neither_dead_nor_at_its_floor_for_days() -> None:
    newer = flagged(SMART189)
    assert {*newer["co_flag"]} == {"ok", "floor"}
    assert (newer["co_flag"] == "floor").sum() == (newer["co"] == 0).sum() > 3000


def test_the_same_sensor_frozen_above_its_floor_is_dead() -> None:
    rows = json.loads((REAL / f"{SMART189}.json").read_text())["data"][:600]
    table = pd.DataFrame({r.name: [row.get(r.key) for row in rows] for r in READINGS}, dtype=float)
    table["observed_at"] = pd.to_datetime([row["timestamp"] for row in rows], utc=True)
    table.loc[200:, "co"] = 0.42
    found = flag_history(table.assign(station=SMART189))["co_flag"]
    assert {*found[-200:]} == {"dead"}
