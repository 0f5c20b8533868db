"""Details of a day's coverage: when hours are missing, and what was flagged."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from airqino.quality.flags import TESTS
from airqino.quality.outcomes import FAIL, SUSPECT
from airqino.views.terms import Document

__all__ = ["NIGHT", "coverage_details"]

#: Codes of `<reading>_tests` that say that something was found.
_FOUND = (f"{SUSPECT}", f"{FAIL}")
#: Local hours that count as night where gaps are looked for.
NIGHT = frozenset({22, 23, 0, 1, 2, 3, 4, 5})


def coverage_details(
    hourly: Iterable[Mapping[str, Any]], zones: Mapping[str, str], readings: Sequence[str]
) -> dict[str, Document]:
    """Tell when each station's hours of a day are missing, and what was flagged, for its document in `coverage`.

    Args:
        hourly: The day's hourly table: station, observed_at (aware), status (``ok``, ``absent``, ``failed``) and the
            flag and the tests' codes of each reading as ``<reading>_flag`` and ``<reading>_tests``.
        zones: Time zone of each station; UTC where not named. It decides which hours are night.
        readings: Names of the readings.

    Returns:
        For each station: ``night_hours`` and ``night_missing_hours``; ``missing``, the hours without a row, each with
        its local hour and weekday (1 is Monday); ``flags``, hours by reading and flag (``ok`` left out); ``tests``,
        hours by reading, test and code, of the codes 3 (suspect) and 4 (fail).
    """
    by_station: dict[str, list[Mapping[str, Any]]] = {}
    for row in hourly:
        by_station.setdefault(row["station"], []).append(row)
    return {
        station: _coverage_detail(rows, ZoneInfo(zones.get(station, "UTC")), readings)
        for station, rows in sorted(by_station.items())
    }


def _coverage_detail(rows: list[Mapping[str, Any]], zone: ZoneInfo, readings: Sequence[str]) -> Document:
    missing = [row["observed_at"].astimezone(zone) for row in rows if row["status"] != "ok"]
    flags = Counter(
        (reading, flag)
        for row in rows
        if row["status"] == "ok"
        for reading in readings
        if (flag := row[f"{reading}_flag"]) != "ok"
    )
    tests = Counter(
        (reading, test, code)
        for row in rows
        if row["status"] == "ok"
        for reading in readings
        for test, code in _found(row[f"{reading}_tests"])
    )
    return {
        "night_hours": sum(row["observed_at"].astimezone(zone).hour in NIGHT for row in rows),
        "night_missing_hours": sum(moment.hour in NIGHT for moment in missing),
        "missing": [{"weekday": moment.isoweekday(), "hour": moment.hour} for moment in missing],
        "flags": [{"reading": r, "flag": f, "hours": n} for (r, f), n in sorted(flags.items())],
        "tests": [{"reading": r, "test": t, "code": c, "hours": n} for (r, t, c), n in sorted(tests.items())],
    }


@lru_cache(maxsize=4096)  # of a network's values few differ
def _found(codes: str | None) -> tuple[tuple[str, int], ...]:
    """Return the tests of a value that found something, with their code."""
    return tuple((test, int(code)) for test, code in zip(TESTS, codes or "", strict=False) if code in _FOUND)
