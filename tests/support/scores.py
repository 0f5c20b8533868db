"""Scores of some days, of forecasts and readings that are held as a whole."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

import pandas as pd

from airqino.forecasting import windows
from airqino.forecasting.scoring import DriftLimits
from airqino.readings import FORECAST


def summarised(
    forecasts: pd.DataFrame,
    hourly: pd.DataFrame,
    days: Iterable[date],
    lengths: Sequence[int] = windows.WINDOWS,
    pollutants: Sequence[str] = FORECAST,
    limits: DriftLimits | None = None,
) -> dict[date, pd.DataFrame]:
    """Return each day's scores, as `windows.summarise` makes them of the days before it."""
    known: dict[date, pd.DataFrame] = {}

    def sums(day: date) -> pd.DataFrame:
        if day not in known:
            known[day] = windows.day_sums([forecasts], hourly, day, pollutants)
        return known[day]

    back = [timedelta(days=number) for number in range(max(lengths))]
    return {day: windows.summarise((sums(day - by) for by in back), day, limits, lengths) for day in days}
