"""What the expectations of all charts share: MongoDB's collections as frames, and the shapes of Superset's answers."""

from typing import Any

import pandas as pd

from tests.superset.raw import Data

Table = list[dict[str, Any]]

WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]


def read(data: Data, collection: str) -> pd.DataFrame:
    """A collection as a data frame, each document with the present name of its station."""
    frame = pd.DataFrame(list(data.db[collection].find()))
    if "station" in frame:
        frame["station_name"] = frame["station"].map(data.names)
    return frame


def period(frame: pd.DataFrame, months: int, column: str = "day") -> pd.DataFrame:
    """The rows of the period that the dashboard opens with."""
    today = pd.Timestamp.now("UTC").normalize().tz_localize(None)
    start = f"{today - pd.DateOffset(months=months):%Y-%m-%d}"
    return frame[(frame[column] >= start) & (frame[column] <= f"{today:%Y-%m-%d}")]


def millis(moments: pd.Series) -> pd.Series:
    return pd.to_datetime(moments, utc=True).map(lambda moment: moment.timestamp() * 1000)


def wide_table(frame: pd.DataFrame, x: str, series: str, y: str, step: str | None) -> Table:
    """Rows by x, a column for each series, gaps filled up with empty rows."""
    wide = frame.pivot(index=x, columns=series, values=y).sort_index()
    if step:
        wide = wide.set_index(pd.to_datetime(wide.index, utc=True)).asfreq(step)
    wide.index = pd.Index(millis(pd.Series(wide.index)), name=x)
    return wide.reset_index().to_dict("records")


def weekday(number: int) -> str:
    """Monday is 0; the blanks before the name make the chart's order."""
    return " " * number + WEEKDAYS[number]
