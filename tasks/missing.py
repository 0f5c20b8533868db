"""What is missing since the first staged hour: hours that were never asked for, failed, or had no row at the source."""

import contextlib
from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, NamedTuple

from airqino.errors import DamagedFileError
from airqino.stores import mongo, parquet
from airqino.stores.paths import Paths
from airqino.times import DAY, HOUR, day_range, day_start, hour_range
from tasks import targets
from tasks.settings.reading import settings
from tasks.settings.sections import Station

__all__ = ["MissingHours", "missing_hours", "overdue_hours"]

#: Days whose raw hours are read: today's hourly table may be an hour old. Of older ones the tables say it.
_RAW_DAYS = 7

#: Station and hour → status; ``settled`` is an absent hour that is not asked for again.
_Known = Mapping[tuple[str, datetime], str]


class MissingHours(NamedTuple):
    """Station-hours in service without a reading.

    Attributes:
        never_asked: The API was not asked for them.
        failed: It was, and gave no usable answer.
        absent: It has no row; that is no fault of the pipeline's.
        settled: Of the absent ones those that are not asked for again, unless one tells it to.
        first_day: The first day that has some that were never asked for or failed.
        last_day: The last such day.
    """

    never_asked: int = 0
    failed: int = 0
    absent: int = 0
    settled: int = 0
    first_day: date | None = None
    last_day: date | None = None


def missing_hours(
    paths: Paths, stations: Mapping[str, Station], last_hour: datetime, tables_only: bool = False
) -> MissingHours:
    """Count what is missing by the staged files.

    Args:
        paths: The staging root.
        stations: The configured stations.
        last_hour: The last hour that is published.
        tables_only: Look at the hourly tables of the days before yesterday alone, and move no damaged file away.
    """
    first_day = _first_day(paths)
    last_day = last_hour.date() - 2 * DAY if tables_only else last_hour.date()
    days = day_range(first_day, last_day) if first_day else []
    rereadable = last_hour.date() - _RAW_DAYS * DAY
    known = {d: _known(paths, d, by_raw=not tables_only, at_once=not tables_only and d >= rereadable) for d in days}
    return _counted({day: _statuses_of(day, stations, last_hour, of_day) for day, of_day in known.items()})


def _counted(by_day: Mapping[date, Counter[str]]) -> MissingHours:
    counts = sum(by_day.values(), Counter[str]())
    open_days = [day for day, found in sorted(by_day.items()) if found["never asked"] or found["failed"]]
    first, last = (open_days[0], open_days[-1]) if open_days else (None, None)
    absent = counts["absent"] + counts["settled"]
    return MissingHours(counts["never asked"], counts["failed"], absent, counts["settled"], first, last)


def _statuses_of(day: date, stations: Mapping[str, Station], last_hour: datetime, known: _Known) -> Counter[str]:
    """Count a day's hours in service by their status."""
    hours = hour_range(day_start(day), min(day_start(day) + DAY - HOUR, last_hour))
    keys = ((id_, hour) for id_, station in stations.items() for hour in hours if station.active(hour))
    return Counter(known.get(key, "never asked") for key in keys)


def _first_day(paths: Paths) -> date | None:
    return next((day for day in paths.days() if any(paths.raw_hours(day).glob("*.parquet"))), None)


def _known(paths: Paths, day: date, by_raw: bool, at_once: bool = False) -> _Known:
    """Return the status of each hour of a day by its table; by its raw hours where that is wished, or there is none."""
    if not at_once:
        with contextlib.suppress(DamagedFileError, KeyError):  # KeyError: a table of another kind
            if (table := parquet.read(paths.hourly(day), targets.hourly(day).check)) is not None:
                columns = (table.column(n).to_pylist() for n in ("station", "observed_at", "status", "final"))
                return {(id_, hour): _status(status, final) for id_, hour, status, final in zip(*columns, strict=True)}
    rows = targets.raw_day(day).rows if by_raw else {}
    return {(id_, hour): _status(row["status"], row["final"]) for hour, of in rows.items() for id_, row in of.items()}


def _status(status: str, final: bool) -> str:
    return "settled" if status == "absent" and final else status


def overdue_hours() -> MissingHours:
    """Count what is missing of the days that hourly runs do not look after any more.

    MongoDB tells which days may lack something; only their files are read.

    Raises:
        MongoError: It does not answer.
    """
    config, paths = settings(), targets.paths()
    first_day, end = _first_day(paths), (config.last_hour - config.airqino.late_window_hours * HOUR).date()
    if first_day is None or first_day >= end:
        return MissingHours()
    stations = {station: config.station(station) for station in config.airqino.stations}
    pipeline: list[dict[str, Any]] = [
        {"$match": {"day": {"$gte": f"{first_day}", "$lt": f"{end}"}, "station": {"$in": list(stations)}}},
        {"$group": {"_id": "$day", "ok": {"$sum": "$ok_hours"}, "absent": {"$sum": "$absent_hours"}}},
    ]
    found = mongo.ask(targets.database(), lambda db: list(db["coverage"].aggregate(pipeline)))
    hours = {row["_id"]: row["ok"] + row["absent"] for row in found if isinstance(row["_id"], str)}
    days = [d for d in day_range(first_day, end - DAY) if hours.get(f"{d}", 0) < _in_service(d, stations)]
    last_hour = config.last_hour
    return _counted({d: _statuses_of(d, stations, last_hour, _known(paths, d, by_raw=True)) for d in days})


def _in_service(day: date, stations: Mapping[str, Station]) -> int:
    """Return the station-hours of a day in which stations are in service."""
    begin, end = day_start(day), day_start(day) + DAY - HOUR
    spans = (station.service for station in stations.values())
    hours = ((min(last or end, end) - max(first or begin, begin)) // HOUR + 1 for first, last in spans)
    return sum(max(0, count) for count in hours)
