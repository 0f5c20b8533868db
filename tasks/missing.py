"""What is missing since the first staged hour: hours that were never asked for, failed, or had no row at the source."""

from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from airqino.errors import DamagedFileError
from airqino.stores import mongo, parquet
from airqino.stores.paths import Paths
from airqino.times import DAY, HOUR, day_range, day_start, hour_range
from tasks import targets
from tasks.settings.reading import Settings, settings
from tasks.settings.sections import Station

__all__ = ["MissingHours", "missing_hours", "overdue_hours"]

#: Days whose raw hours are read: today's hourly table may be an hour old. Of older ones the tables say it.
_RAW_DAYS = 7


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
    first_day, counts, open_days = _first_day(paths), Counter[str](), []
    last_day = last_hour.date() - 2 * DAY if tables_only else last_hour.date()
    for day in day_range(first_day, last_day) if first_day else ():
        known = _by_table(paths.hourly(day))
        if not tables_only and (known is None or day >= last_hour.date() - _RAW_DAYS * DAY):
            rows = targets.raw_day(day).rows
            known = {
                (s, hour): _status(row["status"], row["final"]) for hour, of in rows.items() for s, row in of.items()
            }
        hours = hour_range(day_start(day), min(day_start(day) + DAY - HOUR, last_hour))
        keys = ((id_, hour) for id_, station in stations.items() for hour in hours if station.active(hour))
        found = Counter((known or {}).get(key, "never asked") for key in keys)
        counts.update(found)
        if found["never asked"] or found["failed"]:
            open_days.append(day)
    first, last = (open_days[0], open_days[-1]) if open_days else (None, None)
    absent = counts["absent"] + counts["settled"]
    return MissingHours(counts["never asked"], counts["failed"], absent, counts["settled"], first, last)


def _first_day(paths: Paths) -> date | None:
    return next((day for day in paths.days() if any(paths.raw_hours(day).glob("*.parquet"))), None)


def _by_table(path: Path) -> dict[tuple[str, datetime], str] | None:
    try:
        table = parquet.read(path)
    except DamagedFileError:
        return None
    return None if table is None else _statuses(table)


def _statuses(table: pa.Table) -> dict[tuple[str, datetime], str]:
    columns = (table.column(name).to_pylist() for name in ("station", "observed_at", "status", "final"))
    return {(station, hour): _status(status, final) for station, hour, status, final in zip(*columns, strict=True)}


def _status(status: str, final: bool) -> str:
    return "settled" if status == "absent" and final else status


def overdue_hours() -> MissingHours:
    """Count by MongoDB what is missing of the days that hourly runs do not look after any more.

    Raises:
        MongoError: It does not answer.
    """
    config, first_day = settings(), _first_day(targets.paths())
    end = (config.last_hour - config.airqino.late_window_hours * HOUR).date()
    if first_day is None or first_day >= end:
        return MissingHours()
    asked: dict[str, Any] = {"$sum": {"$add": ["$ok_hours", "$absent_hours", "$failed_hours"]}}
    pipeline: list[dict[str, Any]] = [
        {
            "$match": {
                "day": {"$gte": f"{first_day}", "$lt": f"{end}"},
                "station": {"$in": list(config.airqino.stations)},
            }
        },
        {"$group": {"_id": "$day", "asked": asked, "failed": {"$sum": "$failed_hours"}}},
    ]
    by_day = {
        row["_id"]: row for row in mongo.ask(targets.database(), lambda db: list(db["coverage"].aggregate(pipeline)))
    }
    counts, open_days = Counter[str](), []
    for day in day_range(first_day, end - DAY):
        row = by_day.get(f"{day}", {"asked": 0, "failed": 0})
        never_asked = max(0, _in_service(day, config) - row["asked"])
        counts.update(never_asked=never_asked, failed=row["failed"])
        if never_asked or row["failed"]:
            open_days.append(day)
    first, last = (open_days[0], open_days[-1]) if open_days else (None, None)
    return MissingHours(counts["never_asked"], counts["failed"], first_day=first, last_day=last)


def _in_service(day: date, config: Settings) -> int:
    """Return the station-hours of a day in which stations are in service."""
    always = [s for s in config.airqino.stations if not (config.station(s).valid_from or config.station(s).valid_to)]
    limited = [s for s in config.airqino.stations if s not in always]
    hours = hour_range(day_start(day), day_start(day) + DAY - HOUR) if limited else []
    return 24 * len(always) + sum(config.station(station).active(hour) for station in limited for hour in hours)
