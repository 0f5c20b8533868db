"""What is missing since the first staged hour: hours that were never asked for, failed, or had no row at the source."""

import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, NamedTuple

from airqino.errors import DamagedFileError
from airqino.stores import mongo, parquet
from airqino.stores.paths import Paths
from airqino.times import DAY, HOUR, day_range, day_start, hour_range
from tasks import targets
from tasks.from_documents import unstaged_days
from tasks.settings.reading import settings
from tasks.settings.sections import Station

__all__ = ["MissingHours", "first_day", "in_all", "missing_hours", "overdue_hours"]

#: Days whose raw hours are read: today's hourly table may be an hour old. Of older ones the tables say it.
_RAW_DAYS = 7

#: Station and hour → status; ``settled`` is an absent hour that is not asked for again.
_Known = Mapping[tuple[str, datetime], str]
#: Station → how many of a day's hours have each status.
_Statuses = Mapping[str, Counter[str]]


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
    paths: Paths,
    stations: Mapping[str, Station],
    last_hour: datetime,
    tables_only: bool = False,
    since: date | None = None,
) -> dict[str, MissingHours]:
    """Count what is missing by the staged files, for each station.

    Args:
        paths: The staging root.
        stations: The configured stations.
        last_hour: The last hour that is published.
        tables_only: Look at the hourly tables of the days before yesterday alone, and move no damaged file away.
        since: The first day (`first_day`); default: the first that is staged.
    """
    begin = since or _first_staged(paths)
    last_day = last_hour.date() - 2 * DAY if tables_only else last_hour.date()
    days = day_range(begin, last_day) if begin else []
    rereadable = last_hour.date() - _RAW_DAYS * DAY
    known = {d: _known(paths, d, by_raw=not tables_only, at_once=not tables_only and d >= rereadable) for d in days}
    return _counted({day: _statuses_of(day, stations, last_hour, of_day) for day, of_day in known.items()}, stations)


def in_all(by_station: Mapping[str, MissingHours]) -> MissingHours:
    """Return the sum over stations."""
    of = by_station.values()
    return MissingHours(
        sum(found.never_asked for found in of),
        sum(found.failed for found in of),
        sum(found.absent for found in of),
        sum(found.settled for found in of),
        min((found.first_day for found in of if found.first_day), default=None),
        max((found.last_day for found in of if found.last_day), default=None),
    )


def _counted(by_day: Mapping[date, _Statuses], stations: Iterable[str]) -> dict[str, MissingHours]:
    return {station: _counted_of(station, by_day) for station in stations}


def _counted_of(station: str, by_day: Mapping[date, _Statuses]) -> MissingHours:
    counts, open_days = Counter[str](), []
    for day, statuses in sorted(by_day.items()):
        found = statuses.get(station, Counter[str]())
        counts += found
        if found["never asked"] or found["failed"]:
            open_days.append(day)
    first, last = (open_days[0], open_days[-1]) if open_days else (None, None)
    absent = counts["absent"] + counts["settled"]
    return MissingHours(counts["never asked"], counts["failed"], absent, counts["settled"], first, last)


def _statuses_of(day: date, stations: Mapping[str, Station], last_hour: datetime, known: _Known) -> _Statuses:
    """Count a day's hours in service by their status, for each station."""
    hours = hour_range(day_start(day), min(day_start(day) + DAY - HOUR, last_hour))
    return {
        id_: Counter(known.get((id_, hour), "never asked") for hour in hours if station.active(hour))
        for id_, station in stations.items()
    }


def first_day() -> date | None:
    """Return the first day that is staged, or, if the staging root was lost, comes back from MongoDB; None without any.

    Raises:
        MongoError: It does not answer.
    """
    return min(filter(None, (_first_staged(targets.paths()), *unstaged_days())), default=None)


def _first_staged(paths: Paths) -> date | None:
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
    begin, end = first_day(), (config.last_hour - config.airqino.late_window_hours * HOUR).date()
    if begin is None or begin >= end:
        return MissingHours()
    stations = {station: config.station(station) for station in config.airqino.stations}
    pipeline: list[dict[str, Any]] = [
        {"$match": {"day": {"$gte": f"{begin}", "$lt": f"{end}"}, "station": {"$in": list(stations)}}},
        {"$group": {"_id": "$day", "ok": {"$sum": "$ok_hours"}, "absent": {"$sum": "$absent_hours"}}},
    ]
    found = mongo.ask(targets.database(), lambda db: list(db["coverage"].aggregate(pipeline)))
    hours = {row["_id"]: row["ok"] + row["absent"] for row in found if isinstance(row["_id"], str)}
    days = [d for d in day_range(begin, end - DAY) if hours.get(f"{d}", 0) < _in_service(d, stations)]
    of_days = {d: _statuses_of(d, stations, config.last_hour, _known(paths, d, by_raw=True)) for d in days}
    return in_all(_counted(of_days, stations))


def _in_service(day: date, stations: Mapping[str, Station]) -> int:
    """Return the station-hours of a day in which stations are in service."""
    begin, end = day_start(day), day_start(day) + DAY - HOUR
    spans = (station.service for station in stations.values())
    hours = ((min(last or end, end) - max(first or begin, begin)) // HOUR + 1 for first, last in spans)
    return sum(max(0, count) for count in hours)
