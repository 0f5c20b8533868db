"""Raw hours made from their documents, where their files are gone: the source may not have them any more."""

import json
import logging
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from airqino.readings import NAMES, POLLUTANTS
from airqino.source import raw
from airqino.stores import files, mongo, parquet
from airqino.times import DAY, day_start, floor_hour, format_hour, runs_of
from tasks import targets
from tasks.settings.reading import settings
from tasks.versions import loads_by_day

__all__ = ["restore_hours", "unstaged_days"]

log = logging.getLogger("airqino.staging")

#: Days whose documents are read at a time.
_CHUNK = 31


def unstaged_days() -> list[date]:
    """Return the days of which MongoDB has loaded hours of our stations and none is staged any more, oldest first.

    Raises:
        MongoError: The database cannot be reached, or refuses.
    """
    paths, database = targets.paths(), targets.database()
    days = sorted(day for day in loads_by_day(database) if not any(paths.raw_hours(day).glob("*.parquet")))
    if not days:
        return []
    span = day_start(days[0]), day_start(days[-1]) + DAY
    counts = mongo.count_by_day(database, "hourly_measurements", "observed_at", *span, where=_ours())
    return [day for day in days if counts.get(f"{day}")]


def _ours() -> dict[str, Any]:
    """Return what the documents of our stations fit; others are another pipeline's."""
    return {"station": {"$in": list(settings().airqino.stations)}}


def restore_hours(days: Collection[date]) -> None:
    """Write the raw hours of some days that have no file, from what MongoDB holds of them.

    Of a day that has none, all of them appear at once: it is never taken for one of which the source had less. The
    caller keeps other writers of raw hours away (`FetchHour`'s lock).

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
    where = {"observed_at": span, **_ours()}
    for document in mongo.find(targets.database(), "hourly_measurements", where):
        if (row := _row(document, loaded)) and row["observed_at"].date() in days:
            hours.setdefault(row["observed_at"], []).append(row)
    gone = {hour: rows for hour, rows in hours.items() if not targets.raw(hour).exists()}
    for day, of_day in groupby(sorted(gone), key=datetime.date):
        folder = targets.paths().raw_hours(day)
        if any(folder.glob("*.parquet")):
            _write(folder, {hour: gone[hour] for hour in of_day})
            continue
        with files.new_folder(folder) as made:
            _write(made, {hour: gone[hour] for hour in of_day})
    return sorted({hour.date() for hour in gone})


def _write(folder: Path, hours: Mapping[datetime, list[dict[str, Any]]]) -> None:
    for hour, of_hour in hours.items():
        rows = sorted(of_hour, key=lambda row: row["station"])
        table = pa.Table.from_pylist(rows, schema=raw.SCHEMA)
        # no request brought them: what fields an answer had is not known
        extra = {"exchanges": json.dumps([])}
        parquet.write(folder / targets.raw(hour).path.name, table, extra, raw.BOOKKEEPING)


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
