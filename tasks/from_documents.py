"""Raw hours made from their documents, where their files are gone: the source may not have them any more."""

import json
import logging
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import pyarrow as pa

from airqino.readings import NAMES, POLLUTANTS
from airqino.source import raw
from airqino.stores import mongo, parquet
from airqino.times import DAY, day_start, floor_hour, format_hour, runs_of
from tasks import targets
from tasks.answered import row_content
from tasks.settings.reading import settings
from tasks.versions import loads_by_day

__all__ = ["Unstaged", "restore_hours", "unstaged_days"]

log = logging.getLogger("airqino.staging")

#: Days whose documents are read at a time.
_CHUNK = 31


class Unstaged(NamedTuple):
    """Days that MongoDB has loaded and of which no raw hour is staged any more, oldest first.

    Attributes:
        whole: All their hourly documents are there: they can be staged again.
        expired: Some are not, as with ``[mongo] retention_days``: their daily means, which rest on all of them, are
            all that is left, and nothing may replace those.
    """

    whole: list[date]
    expired: list[date]


def unstaged_days() -> Unstaged:
    """Return the days that only MongoDB knows of.

    Raises:
        MongoError: The database cannot be reached, or refuses.
    """
    paths, database, found = targets.paths(), targets.database(), Unstaged([], [])
    loaded = loads_by_day(database)
    days = sorted(day for day in loaded if not any(paths.raw_hours(day).glob("*.parquet")))
    if not days:
        return found
    span, since = (day_start(days[0]), day_start(days[-1]) + DAY), targets.kept_since()
    counts = mongo.count_by_day(database, "hourly_measurements", "observed_at", *span)
    for day in days:
        recorded, count = loaded[day].get("hourly_documents"), counts.get(f"{day}", 0)
        if count < (recorded if isinstance(recorded, int) else 1) or (count and day_start(day) < since):
            found.expired.append(day)
        elif count:  # else its hours had no row at all
            found.whole.append(day)
    return found


def restore_hours(days: Collection[date]) -> None:
    """Write the raw hours of some days that have no file, from what MongoDB holds of them.

    Raises:
        StagingError: A file cannot be written.
        MongoError: The database cannot be reached, or refuses.
    """
    loaded = loads_by_day(targets.database())
    wanted, restored = sorted({*days} & loaded.keys()), list[date]()
    for begin in range(0, len(wanted), _CHUNK):
        restored += _restore_hours(wanted[begin : begin + _CHUNK], loaded)
    for first, last in runs_of(map(day_start, restored), DAY):
        span = f"{first:%Y-%m-%d}" + (f" … {last:%Y-%m-%d}" if last > first else "")
        log.warning("%s: raw hours were gone from the staging root: restored from MongoDB", span)


def _restore_hours(days: list[date], loaded: Mapping[date, Mapping[str, Any]]) -> list[date]:
    """Write the raw hours of some days that have no file; return the days of which some came back."""
    span = {"$gte": day_start(days[0]), "$lt": day_start(days[-1]) + DAY}
    hours: dict[datetime, list[dict[str, Any]]] = {}
    # those of other stations are another pipeline's
    where = {"observed_at": span, "station": {"$in": list(settings().airqino.stations)}}
    for document in mongo.find(targets.database(), "hourly_measurements", where):
        if (row := _row(document, loaded)) and row["observed_at"].date() in days:
            hours.setdefault(row["observed_at"], []).append(row)
    gone = {hour: rows for hour, rows in hours.items() if not targets.raw(hour).exists()}
    for hour, rows in sorted(gone.items()):
        rows.sort(key=lambda row: row["station"])
        content = parquet.digest([row_content(row) for row in rows])
        table = pa.Table.from_pylist(rows, schema=raw.SCHEMA)
        # no request brought them: what fields an answer had is not known
        parquet.write(targets.raw(hour).path, table, content=content, extra={"exchanges": json.dumps([])})
    return sorted({hour.date() for hour in gone})


def _row(document: Mapping[str, Any], loaded: Mapping[date, Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the raw row that a document was made of; None where no row of ours makes it."""
    station, at = document.get("station"), document.get("observed_at")
    if not (isinstance(station, str) and station.isdigit() and isinstance(at, datetime)) or at != floor_hour(at):
        return None
    if document["_id"] != f"{station}|{format_hour(at)}" or not isinstance(document.get("provisional"), bool):
        return None
    values = {name: _reported(document, name) for name in NAMES}
    if not all(value is None or isinstance(value, float) for value in values.values()):
        return None
    seen = loaded.get(at.date(), {}).get("loaded_at")
    if not isinstance(seen, datetime):
        seen = datetime.now(UTC)
    return {
        "station": station,
        "observed_at": at,
        "status": "ok",
        "reason": "",
        "final": not document["provisional"],
        **values,
        **dict.fromkeys(("read_at", "seen_at", "checked_at"), seen),
        "attempts": 0,
    }


def _reported(document: Mapping[str, Any], name: str) -> Any:
    """Return what the station reported: where the operator has calibrated it, not the reading itself."""
    reported = document.get(f"{name}_raw") if name in POLLUTANTS else None
    return document.get(name) if reported is None else reported
