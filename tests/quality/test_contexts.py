"""What the flags of a day need to know of the days around it."""

import numpy as np
import pandas as pd
import pytest

from airqino.quality import contexts as module
from airqino.quality import notes
from airqino.quality.contexts import contexts
from airqino.readings import NAMES

START = pd.Timestamp("2024-09-09", tz="UTC")


@pytest.mark.parametrize("size", [1, 2, 3])
def test_stations_in_blocks_are_what_they_are_together(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    draw = np.random.default_rng(3)
    hours = pd.date_range(START - pd.Timedelta(days=3), periods=24 * 6, freq="h")
    rows = pd.DataFrame(
        [
            (station, hour, *draw.choice([0.0, 1.5, 20.0, 5000.0, np.nan], len(NAMES)))
            for station in "12345"
            for hour in hours
        ],
        columns=["station", "observed_at", *NAMES],
    )
    rows.loc[rows["station"] == "4", list(NAMES)] = 3.0  # stuck, and dead
    rows = notes.apply(rows, [])
    starts = [START, START + pd.Timedelta(days=1)]
    together = contexts(rows, starts)
    assert together[0].verdicts["4", "pm2_5"] == "dead"
    monkeypatch.setattr(module, "_BLOCK", size)
    assert contexts(rows, starts) == together
