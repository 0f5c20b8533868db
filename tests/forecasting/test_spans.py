import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airqino.forecasting.grid import to_grid
from airqino.forecasting.spans import Spans


@given(
    st.integers(0, 23 * 24), st.sampled_from(["UTC", "Africa/Abidjan", "Asia/Kolkata", "America/Denver", "Europe/Rome"])
)
def test_days_are_those_of_the_station(row, zone):
    start = pd.Timestamp("2024-03-20", tz="UTC")  # clocks change in Rome on the 31st
    hours = pd.date_range(start, periods=24 * 24, freq="h")
    values = np.random.default_rng(1).gamma(2, 5, len(hours))
    table = pd.DataFrame({"station": "a", "observed_at": hours, "pm2_5": values, "pm2_5_flag": "ok"})
    spans = Spans(to_grid(table), {"a": zone})
    at, column = np.array([row]), np.array([0])
    local = hours.tz_convert(zone).date
    for day in (-1, 0, 1):
        wanted = local[row] + pd.Timedelta(days=day)
        of_day = local == wanted
        begin, end = spans.bounds(at, column, day)
        mean, n = spans.mean(begin, end, column)
        assert n[0] == of_day.sum()
        if of_day.any():
            assert mean[0] == pytest.approx(values[of_day].mean())
            if np.flatnonzero(of_day)[0] > 0 and np.flatnonzero(of_day)[-1] < len(hours) - 1:
                assert begin[0] == np.flatnonzero(of_day)[0]
                assert end[0] == np.flatnonzero(of_day)[-1] + 1
    assert spans.day(at, column)[0] == f"{local[row]}"
