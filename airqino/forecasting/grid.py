"""The readings of a network as arrays of hours × stations."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from airqino.forecasting.arrays import Floats, Ints
from airqino.quality.flags import COUNTED

__all__ = ["COVARIATES", "USABLE_FLAGS", "WEATHER", "Grid", "at", "change", "last_usable", "to_grid"]

COVARIATES = ("co", "pm2_5", "pm10", "no2", "o3")
WEATHER = ("t", "rh", "t_int")
#: Values that count, but for those of a sensor that stands at its floor for days: it measured nothing.
USABLE_FLAGS = tuple(flag for flag in COUNTED if flag != "at_floor")
_HOUR_US = 3_600_000_000


@dataclass(frozen=True)
class Grid:
    """Readings of a network as arrays of hours × stations.

    Attributes:
        start: first hour, in hours since 1970-01-01 UTC.
        stations: sorted station ids, one for each column.
        values: for each variable a (hours, stations) array in the variable's unit (CO mg/m³, others µg/m³, °C, %,
            counts); NaN where there is no reading or its flag says it is none.
        flags: for each pollutant a (hours, stations) array of flags, ``"absent"`` where there is no row.
    """

    start: int
    stations: tuple[str, ...]
    values: dict[str, Floats]
    flags: dict[str, npt.NDArray[np.object_]]

    @property
    def n_hours(self) -> int:
        """Return the number of hours (rows)."""
        return len(next(iter(self.values.values())))

    def index(self, hours: pd.DatetimeIndex) -> Ints:
        """Return the row numbers of UTC hours; below 0 or beyond the last row where the grid does not reach."""
        return _epoch_hours(pd.Series(hours)) - self.start


def to_grid(hourly: pd.DataFrame, first: pd.Timestamp | None = None, last: pd.Timestamp | None = None) -> Grid:
    """Spread a long table of readings over hours and stations.

    Args:
        hourly: one row per station and hour, in any order, with station, observed_at (UTC, beginning of the hour), the
            pollutants, the weather columns and ``<pollutant>_flag``. Missing columns count as absent; of two rows of
            the same station and hour the later one in the table counts.
        first: first hour of the grid (default: of the table).
        last: last hour of the grid (default: of the table). Later rows are ignored: nobody can look past it.

    Returns:
        The grid, each hour present whether or not anybody measured in it.
    """
    hours = _epoch_hours(hourly["observed_at"])
    low = _epoch_hours(pd.Series([first]))[0] if first is not None else (hours.min() if len(hours) else 0)
    high = _epoch_hours(pd.Series([last]))[0] if last is not None else (hours.max() if len(hours) else low)
    codes, names = pd.factorize(hourly["station"].astype(str), sort=True)
    keep = (hours >= low) & (hours <= high)
    row, column = hours[keep] - low, codes[keep]
    shape = (max(int(high - low) + 1, 1), len(names))
    values: dict[str, Floats] = {}
    flags: dict[str, npt.NDArray[np.object_]] = {}
    for name in COVARIATES + WEATHER:
        values[name] = np.full(shape, np.nan)
        if name in hourly:
            values[name][row, column] = hourly[name].to_numpy(dtype=float, na_value=np.nan)[keep]
    for name in COVARIATES:
        flags[name] = np.full(shape, "absent", dtype=object)
        flag = f"{name}_flag"
        if flag in hourly:
            of, found = pd.factorize(hourly[flag], use_na_sentinel=False)
            words = np.array(found, dtype=object)  # one of each: those of a year of 200 stations take half a gigabyte
            flags[name][row, column] = words[of[keep]]
            usable = np.zeros(shape, dtype=bool)
            usable[row, column] = np.isin(words.astype(str), USABLE_FLAGS)[of[keep]]
            values[name][~usable] = np.nan
    return Grid(int(low), tuple(str(name) for name in names), values, flags)


def last_usable(values: Floats, limit: int) -> Ints:
    """Return the row of the last reading at or before each hour.

    Args:
        values: (hours, stations), NaN where there is no usable reading.
        limit: how many hours a reading may be old.

    Returns:
        (hours, stations) row numbers; -1 where the last reading is older than the limit or there is none.
    """
    rows = np.arange(len(values))[:, None]
    last = np.maximum.accumulate(np.where(np.isnan(values), -1, rows), axis=0)
    return np.where((last >= 0) & (rows - last <= limit), last, -1)


def at(values: Floats, row: Ints, column: Ints) -> Floats:
    """Return the (n,) values of some hours and stations; NaN before and after the grid."""
    inside = (row >= 0) & (row < len(values))
    out = np.full(len(row), np.nan)
    out[inside] = values[row[inside], column[inside]]
    return out


def change(values: Floats, row: Ints, column: Ints, lead: int) -> Floats:
    """Return the change from the anchor to ``lead`` hours later, in the variable's unit; NaN if one is missing."""
    return at(values, row + lead, column) - at(values, row, column)


def _epoch_hours(moments: pd.Series) -> Ints:
    moments = pd.to_datetime(moments, utc=True).astype("datetime64[us, UTC]")
    return np.asarray(moments.astype("int64").to_numpy() // _HOUR_US, dtype=np.int64)
