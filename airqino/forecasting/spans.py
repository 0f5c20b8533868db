"""The days of each station on a grid of readings, as its clock counts them, and means over spans of hours."""

from collections.abc import Iterator, Mapping
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from airqino.forecasting.arrays import Floats, Ints
from airqino.forecasting.grid import Grid

__all__ = ["POLLUTANT", "VALID_SHARE", "Spans"]

#: The pollutant whose days are forecast.
POLLUTANT = "pm2_5"
#: A day has a mean where this share of its hours counts (40 CFR 50 App. N).
VALID_SHARE = 0.75


class Spans:
    """Where the days of each station begin and end on a grid, and means over spans of hours."""

    def __init__(self, grid: Grid, zones: Mapping[str, str]) -> None:
        """Lay the days out.

        Args:
            grid: the readings.
            zones: time zone of each station; UTC where not named.
        """
        self.grid, self._values = grid, grid.values[POLLUTANT]
        names = [zones.get(name, "UTC") for name in grid.stations]
        used = sorted({*names})
        self._days = [_midnights(grid, zone) for zone in used]
        self._zone = np.array([used.index(zone) for zone in names], dtype=np.int64)

    def day(self, row: Ints, column: Ints) -> npt.NDArray[np.object_]:
        """Return the (n,) days, such as 2024-09-09, that some hours lie in."""
        out = np.empty(len(row), dtype=object)
        for at, midnights, days in self._by_zone(column):
            out[at] = days[np.searchsorted(midnights, row[at], side="right") - 1]
        return out

    def _by_zone(self, column: Ints) -> Iterator[tuple[Ints, Ints, npt.NDArray[np.object_]]]:
        zone = self._zone[column]
        for number, (midnights, days) in enumerate(self._days):
            yield np.flatnonzero(zone == number), midnights, days

    @cached_property
    def _sums(self) -> tuple[Floats, Ints]:
        start = np.zeros((1, self._values.shape[1]))
        total = np.vstack([start, np.cumsum(np.nan_to_num(self._values), axis=0)])
        return total, np.vstack([start, np.cumsum(~np.isnan(self._values), axis=0)]).astype(np.int64)

    def bounds(self, row: Ints, column: Ints, day: int) -> tuple[Ints, Ints]:
        """Return the first row of a day, and the row after its last one; `day` counts from that of each row."""
        begin, end = np.empty(len(row), dtype=np.int64), np.empty(len(row), dtype=np.int64)
        for at, midnights, _ in self._by_zone(column):
            place = np.searchsorted(midnights, row[at], side="right") - 1 + day
            begin[at], end[at] = midnights[place], midnights[place + 1]
        return begin, end

    def mean(self, begin: Ints, end: Ints, column: Ints) -> tuple[Floats, Ints]:
        """Return the mean of the hours from one row to before another (NaN without a reading), and how many count."""
        total, number = self._sums
        begin, end = (np.clip(rows, 0, len(self._values)) for rows in (begin, end))
        n = number[end, column] - number[begin, column]
        sums = total[end, column] - total[begin, column]
        return np.divide(sums, n, out=np.full(len(n), np.nan), where=n > 0), n


def _midnights(grid: Grid, zone: str) -> tuple[Ints, npt.NDArray[np.object_]]:
    """Return the rows at which a zone's days begin, from three weeks before the grid to a week after, and the days."""
    rows = np.arange(-21 * 24, grid.n_hours + 7 * 24)
    moments = pd.DatetimeIndex((grid.start + rows).astype("datetime64[h]").astype("datetime64[us]"), tz="UTC")
    days = moments.tz_convert(zone).tz_localize(None).to_numpy().astype("datetime64[D]")
    begins = np.flatnonzero(days[1:] != days[:-1]) + 1
    return rows[begins], days[begins].astype(str).astype(object)
