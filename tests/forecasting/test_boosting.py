import numpy as np
import pandas as pd
from support.series import START, cyclic

from airqino.forecasting.model import Recipe, predict, train
from airqino.readings import reading

HOURS = 40 * 24


def test_co_that_will_be_at_the_floor_is_forecast_there():
    """It is there from midnight to noon, so both turns are known from the hour; then high or low, by the day."""
    hourly, random = cyclic(HOURS // 24), np.random.default_rng(1)
    of_day = random.uniform(1, 4, HOURS // 24)[(hourly["observed_at"] - START).dt.days]
    measured = of_day + random.normal(0, 0.2, len(hourly))
    hourly["co"] = np.where(hourly["observed_at"].dt.hour < 12, reading("co").floor, measured)
    recipe = Recipe(rounds=60, medians=1, band_rounds=15, floor_rounds=60, validation_days=9)
    model = train(hourly, START + pd.Timedelta(hours=HOURS - 48), ("co",), (1, 2), recipe=recipe)
    issued = [START + pd.Timedelta(hours=hour) for hour in range(HOURS - 47, HOURS - 2)]
    table = predict(model, hourly, issued, pollutants=("co",), horizons=(1, 2))
    assert set(table["reason"]) == {""}
    at_floor = table["target_at"].dt.hour < 12
    assert (table.loc[at_floor, "p50"] == reading("co").floor).all()
    assert table.loc[~at_floor, "p50"].min() > 0.5
