"""Presence: which readings the staged hours have, as arrays of hours × stations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from airqino.readings import NAMES

__all__ = ["Presence", "presence"]

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Presence:
    """What is staged of some hours.

    Attributes:
        hours: The hours, in order of time.
        stations: The stations, sorted.
        asked: (hours, stations) Whether there is a row.
        ok: (hours, stations) Whether it has readings.
        readings: Reading → (hours, stations) whether an ``ok`` row has a value of it.
    """

    hours: Sequence[datetime]
    stations: Sequence[str]
    asked: Bools
    ok: Bools
    readings: Mapping[str, Bools]

    def newest(self, there: Bools) -> npt.NDArray[np.intp]:
        """Return each station's last hour with something, as an index; -1 where there is none.

        Args:
            there: (hours, stations) Whether it is there.
        """
        newest: npt.NDArray[np.intp] = (there * np.arange(1, len(self.hours) + 1)[:, None]).max(axis=0, initial=0) - 1
        return newest


def presence(hours: Sequence[datetime], tables: Mapping[datetime, pa.Table]) -> Presence:
    """Find it.

    Args:
        hours: The hours, in order of time.
        tables: The raw hours that are staged of them.
    """
    found = {hour: tables[hour] for hour in hours if hour in tables}
    stations = sorted(set().union(*(pc.unique(table["station"]).to_pylist() for table in found.values())))
    shape, known = (len(hours), len(stations)), pa.array(stations, pa.string())
    asked, ok = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    readings = {name: np.zeros(shape, dtype=bool) for name in NAMES}
    for number, hour in enumerate(hours):
        if hour not in found:
            continue
        table = found[hour]
        at = pc.index_in(table["station"], value_set=known).to_numpy()
        is_ok = pc.equal(table["status"], "ok").to_numpy()
        asked[number, at], ok[number, at] = True, is_ok
        for name, of in readings.items():
            of[number, at] = is_ok & pc.is_valid(table[name]).to_numpy()
    return Presence(hours, stations, asked, ok, readings)
