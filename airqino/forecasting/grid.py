"""The readings of a network as arrays of hours × stations."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from airqino.forecasting.arrays import Floats, Ints
from airqino.quality.flags import COUNTED
from airqino.readings import FORECAST

__all__ = [
    "COVARIATES", "USABLE_FLAGS", "WEATHER", "Grid", "Network", "at", "change", "grid_of_days", "last_usable",
    "network_sums", "to_grid",
]  # fmt: skip

COVARIATES = ("co", "pm2_5", "pm10", "no2", "o3")
WEATHER = ("t", "rh", "t_int")
#: Values that count, but for those of a sensor that stands at its floor for days: it measured nothing.
USABLE_FLAGS = tuple(flag for flag in COUNTED if flag != "at_floor")
_HOUR_US = 3_600_000_000


@dataclass(frozen=True)
class Network:
    """What the stations of a grid have in common with those that are in other grids of the same hours.

    Attributes:
        stations: how many there are.
        total: for each pollutant forecast the (hours,) sum of the stations' usable readings.
        count: how many these are.
    """

    stations: int
    total: dict[str, Floats]
    count: dict[str, Floats]

    @classmethod
    def of(cls, grids: Iterable["Grid"]) -> Self:
        """Add up grids of the same hours, each of other stations."""
        network = cls(0, {}, {})
        for grid in grids:
            parts = {name: network_sums(grid.values[name]) for name in FORECAST}
            total = {name: of[0] + network.total.get(name, 0.0) for name, of in parts.items()}
            count = {name: of[1] + network.count.get(name, 0.0) for name, of in parts.items()}
            network = cls(network.stations + len(grid.stations), total, count)
        return network


@dataclass(frozen=True)
class Grid:
    """Readings of a network as arrays of hours × stations.

    Attributes:
        start: first hour, in hours since 1970-01-01 UTC.
        stations: sorted station ids, one for each column.
        values: for each variable a (hours, stations) array in the variable's unit (CO mg/m³, others µg/m³, °C, %,
            counts); NaN where there is no reading or its flag says it is none.
        flags: for each pollutant that is forecast a (hours, stations) array of flags, ``"absent"`` where there is no
            row.
        network: where more stations belong together than these, what they have in common.
    """

    start: int
    stations: tuple[str, ...]
    values: dict[str, Floats]
    flags: dict[str, npt.NDArray[np.object_]]
    network: Network | None = None

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
    grid = _empty(int(low), int(high), sorted({*hourly["station"].astype(str).unique()}), COVARIATES + WEATHER)
    _fill(grid, hourly)
    return grid


def grid_of_days(
    tables: Iterable[pd.DataFrame],
    first: pd.Timestamp,
    last: pd.Timestamp,
    stations: Sequence[str],
    names: Sequence[str] = COVARIATES + WEATHER,
) -> Grid:
    """Spread the readings of some stations over the hours, a table after the other: only one of them is held.

    Args:
        tables: as for `to_grid`, of other hours each; rows of other stations are left out.
        first: first hour of the grid.
        last: last hour of the grid.
        stations: sorted station ids.
        names: the variables that are wanted.

    Returns:
        The grid.
    """
    low, high = _epoch_hours(pd.Series([first, last]))
    grid = _empty(int(low), int(high), stations, names)
    for table in tables:
        _fill(grid, table)
    return grid


def _empty(low: int, high: int, stations: Sequence[str], names: Sequence[str]) -> Grid:
    shape = (max(high - low + 1, 1), len(stations))
    values = {name: np.full(shape, np.nan) for name in names}
    flags = {name: np.full(shape, "absent", dtype=object) for name in FORECAST}
    return Grid(low, tuple(str(name) for name in stations), values, flags)


def _fill(grid: Grid, hourly: pd.DataFrame) -> None:
    if not len(hourly):
        return
    row = _epoch_hours(hourly["observed_at"]) - grid.start
    codes, found = pd.factorize(hourly["station"].astype(str))
    column = pd.Index(grid.stations, dtype=object).get_indexer(pd.Index(found, dtype=object))[codes]
    keep = np.flatnonzero((row >= 0) & (row < grid.n_hours) & (column >= 0))
    row, column = row[keep], column[keep]
    for name, values in grid.values.items():
        if name not in hourly:
            continue
        read = hourly[name].to_numpy(dtype=float, na_value=np.nan)[keep]
        if (flag := f"{name}_flag") in hourly and name in COVARIATES:
            of, words_found = pd.factorize(hourly[flag], use_na_sentinel=False)
            words = np.array(
                words_found, dtype=object
            )  # one of each: those of a year of 200 stations take half a gigabyte
            read = np.where(np.isin(words.astype(str), USABLE_FLAGS)[of[keep]], read, np.nan)
            if name in grid.flags:
                grid.flags[name][row, column] = words[of[keep]]
        values[row, column] = read


def network_sums(values: Floats) -> tuple[Floats, Floats]:
    """Return the (hours,) sum of the stations' readings, and how many they are."""
    seen = ~np.isnan(values)
    return np.where(seen, values, 0.0).sum(axis=1), seen.sum(axis=1).astype(float)


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
