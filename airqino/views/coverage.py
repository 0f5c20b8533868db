"""Details of a day's coverage: when hours are missing, and what was flagged."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

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
    stations = hourly["station"].to_pylist()
    found: dict[str, Document] = {station: _nothing() for station in sorted({*stations})}
    zone_of = {station: ZoneInfo(zones.get(station, "UTC")) for station in found}
    for station, moment, status in zip(stations, *_lists(hourly, "observed_at", "status"), strict=True):
        local, of = _local(moment, zone_of[station]), found[station]
        of["night_hours"] += local["hour"] in NIGHT
        if status != "ok":
            of["night_missing_hours"] += local["hour"] in NIGHT
            of["missing"].append({**local})
    ok = hourly.filter(pc.equal(hourly["status"], "ok"))
    for reading in sorted(readings):
        for station, flag, hours in _counted(ok, f"{reading}_flag"):
            if flag != "ok":
                found[station]["flags"].append({"reading": reading, "flag": flag, "hours": hours})
        tests = Counter[tuple[str, str, int]]()
        for station, codes, hours in _counted(ok, f"{reading}_tests"):
            tests.update({(station, test, code): hours for test, code in _found(codes)})
        for (station, test, code), hours in sorted(tests.items()):
            found[station]["tests"].append({"reading": reading, "test": test, "code": code, "hours": hours})
    return found


def _nothing() -> Document:
    return {"night_hours": 0, "night_missing_hours": 0, "missing": [], "flags": [], "tests": []}


@lru_cache(maxsize=4096)  # a day's hours in a few zones
def _local(moment: datetime, zone: ZoneInfo) -> dict[str, int]:
    local = moment.astimezone(zone)
    return {"weekday": local.isoweekday(), "hour": local.hour}


def _counted(table: pa.Table, column: str) -> list[tuple[str, str, int]]:
    """Return how many rows each station has of each text in a column, in order."""
    counts = table.group_by(["station", column]).aggregate([([], "count_all")])
    found = zip(*_lists(counts, "station", column, "count_all"), strict=True)
    return sorted(found, key=lambda of: (of[0], of[1] or ""))


def _lists(table: pa.Table, *names: str) -> list[list[Any]]:
    return [table[name].to_pylist() for name in names]


@lru_cache(maxsize=4096)  # of a network's values few differ
def _found(codes: str | None) -> tuple[tuple[str, int], ...]:
    """Return the tests of a value that found something, with their code."""
    return tuple((test, int(code)) for test, code in zip(TESTS, codes or "", strict=False) if code in _FOUND)
