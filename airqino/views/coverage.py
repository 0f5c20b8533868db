"""Details of a day's coverage: when hours are missing, and what was flagged."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from airqino.quality.flags import TESTS
from airqino.quality.outcomes import FAIL, SUSPECT
from airqino.views.terms import Document

__all__ = ["NIGHT", "coverage_details"]

#: Codes of `<reading>_tests` that say that something was found.
_FOUND = (f"{SUSPECT}", f"{FAIL}")
#: Local hours that count as night where gaps are looked for.
NIGHT = frozenset({22, 23, 0, 1, 2, 3, 4, 5})


def coverage_details(hourly: pa.Table, zones: Mapping[str, str], readings: Sequence[str]) -> dict[str, Document]:
    """Tell when each station's hours of a day are missing, and what was flagged, for its document in `coverage`.

    Args:
        hourly: The day's hourly table, sorted by station and hour: station, observed_at (UTC), status (``ok``,
            ``absent``, ``failed``) and the flag and the tests' codes of each reading as ``<reading>_flag`` and
            ``<reading>_tests``.
        zones: Time zone of each station; UTC where not named. It decides which hours are night.
        readings: Names of the readings.

    Returns:
        For each station: ``night_hours`` and ``night_missing_hours``; ``missing``, the hours without a row, each with
        its local hour and weekday (1 is Monday); ``flags``, hours by reading and flag (``ok`` left out); ``tests``,
        hours by reading, test and code, of the codes 3 (suspect) and 4 (fail).
    """
    names, station = _coded(hourly["station"])
    moments, hour = _coded(hourly["observed_at"])
    found: dict[str, Document] = {name: _nothing() for name in sorted(names)}
    zone_of = {name: ZoneInfo(zones.get(name, "UTC")) for name in names}
    at_night = {zone: [_local(m, zone)["hour"] in NIGHT for m in moments] for zone in {*zone_of.values()}}
    of_hours = np.array([at_night[zone_of[name]] for name in names], dtype=bool).reshape(len(names), len(moments))
    night = of_hours[station, hour]
    is_ok = np.asarray(pc.equal(hourly["status"], "ok"), dtype=bool)
    for name, hours, missing in zip(
        names, _sums(station, night, names), _sums(station, night & ~is_ok, names), strict=True
    ):
        found[name].update(night_hours=hours, night_missing_hours=missing)
    for row in np.flatnonzero(~is_ok):
        name = names[station[row]]
        found[name]["missing"].append({**_local(moments[hour[row]], zone_of[name])})
    ok = hourly.filter(pa.array(is_ok))
    for reading in sorted(readings):
        for name, flag, count in _counted(ok, f"{reading}_flag", pc.not_equal(ok[f"{reading}_flag"], "ok")):
            found[name]["flags"].append({"reading": reading, "flag": flag, "hours": count})
        tests = Counter[tuple[str, str, int]]()
        is_found = pc.match_substring_regex(ok[f"{reading}_tests"], f"[{''.join(_FOUND)}]")
        for name, codes, count in _counted(ok, f"{reading}_tests", is_found):
            tests.update({(name, test, code): count for test, code in _found(codes)})
        for (name, test, code), count in sorted(tests.items()):
            found[name]["tests"].append({"reading": reading, "test": test, "code": code, "hours": count})
    return found


def _nothing() -> Document:
    return {"night_hours": 0, "night_missing_hours": 0, "missing": [], "flags": [], "tests": []}


@lru_cache(maxsize=4096)  # a day's hours in a few zones
def _local(moment: datetime, zone: ZoneInfo) -> dict[str, int]:
    local = moment.astimezone(zone)
    return {"weekday": local.isoweekday(), "hour": local.hour}


def _coded(column: pa.ChunkedArray) -> tuple[list[Any], npt.NDArray[np.int32]]:
    """Return a column's values, each once, and for each row which of them it has."""
    coded = column.combine_chunks().dictionary_encode()
    return coded.dictionary.to_pylist(), coded.indices.to_numpy()


def _sums(of: npt.NDArray[np.int32], is_counted: npt.NDArray[np.bool_], names: Sequence[str]) -> list[int]:
    """Return how many rows of each name count."""
    return [int(n) for n in np.bincount(of[is_counted], minlength=len(names))]


def _counted(table: pa.Table, column: str, which: pa.ChunkedArray) -> list[tuple[str, str, int]]:
    """Return how many of some rows each station has of each text in a column, in order."""
    rows = table.select(["station", column]).filter(which)
    counts = rows.group_by(["station", column]).aggregate([([], "count_all")])
    return sorted(zip(*(counts[name].to_pylist() for name in ("station", column, "count_all")), strict=True))


@lru_cache(maxsize=4096)  # of a network's values few differ
def _found(codes: str | None) -> tuple[tuple[str, int], ...]:
    """Return the tests of a value that found something, with their code."""
    return tuple((test, int(code)) for test, code in zip(TESTS, codes or "", strict=False) if code in _FOUND)
