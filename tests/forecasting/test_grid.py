import numpy as np
import pandas as pd
from support.series import START, readings, series

from airqino.forecasting.grid import change, last_usable, to_grid


def test_grid_has_every_hour_and_only_usable_values():
    hourly = readings()
    grid = to_grid(hourly)
    assert grid.stations == ("11", "5", "7")
    for station in grid.stations:
        expected = series(hourly, station).reindex(pd.date_range(START, periods=grid.n_hours, freq="h"))
        np.testing.assert_array_equal(grid.values["pm2_5"][:, grid.stations.index(station)], expected)
    assert set(np.unique(grid.flags["co"].astype(str))) == {"ok", "humid", "spike", "stuck", "absent"}


def test_grid_of_later_hours_only():
    hourly = readings(hours=60)
    grid = to_grid(hourly, START + pd.Timedelta(hours=10), START + pd.Timedelta(hours=20))
    assert grid.n_hours == 11
    assert grid.index(pd.DatetimeIndex([START]))[0] == -10


def test_last_usable_and_change():
    values = np.array([[1.0], [np.nan], [np.nan], [4.0], [np.nan]])
    np.testing.assert_array_equal(last_usable(values, 1)[:, 0], [0, 0, -1, 3, 3])
    row, column = np.array([0, 3]), np.array([0, 0])
    np.testing.assert_array_equal(change(values, row, column, 3), [3.0, np.nan])
