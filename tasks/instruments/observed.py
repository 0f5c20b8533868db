"""Observed: the state of stations, sensors, forecasts, disk and runs, as the staged files and MongoDB tell it."""

import contextlib
import json
import os
import shutil
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from airqino.errors import MongoError
from airqino.stores import mongo
from airqino.times import DAY, HOUR, hour_range
from tasks import targets
from tasks.score import scored
from tasks.settings.reading import Settings, settings
from tasks.stations import station_name

__all__ = ["SENSORS", "Observed", "Revised", "Seen", "Success", "last_success", "observe"]

#: The sensors that are watched: those that are published and forecast.
SENSORS = ("co", "pm2_5")
#: How far back the staged hours are looked through; older, MongoDB remembers when a station was last seen.
_DAYS = 7


@dataclass(frozen=True)
class Seen:
    """A station.

    Attributes:
        newest: The newest hour with a reading; None: never.
        asked: Whether the API was asked for it in the last hours; if not, its silence says nothing of the station.
        reason: Why the last hour asked for has no reading.
        completeness: Share of the last 24 published hours with a reading.
        flags: Sensor → quality flag of its newest reading in two days; no key where there is none.
        in_service: Whether it should report by now.
    """

    station: str
    name: str
    newest: datetime | None
    asked: bool
    reason: str
    completeness: float
    flags: dict[str, str]
    in_service: bool


@dataclass(frozen=True)
class Revised:
    """Readings of a station that the source changed, all found by one run."""

    seen_at: datetime
    station: str
    readings: int
    first: datetime
    last: datetime


class Success(msgspec.Struct):
    """The last hourly run that succeeded."""

    hour: str
    at: datetime


@dataclass(frozen=True)
class Observed:
    """Everything that alerts and metrics are made from; `revised` is None where MongoDB does not answer."""

    now: datetime
    last_hour: datetime
    stations: list[Seen]
    scores: list[dict[str, Any]]
    revised: list[Revised] | None
    disk_free: float | None
    success: Success | None


def observe(root: Path) -> Observed:
    """Look at everything once."""
    config = settings()
    seen_before, revised = {}, None
    with contextlib.suppress(MongoError):  # who runs into it tells it
        seen_before, revised = _last_seen(), _revised(config.now)
    return Observed(
        now=config.now,
        last_hour=config.last_hour,
        stations=_stations(config, seen_before),
        scores=_scores(config.last_hour.date()),
        revised=revised,
        disk_free=_disk_free(root),
        success=last_success(root),
    )


def last_success(root: Path) -> Success | None:
    """When an hourly run last succeeded; None where none is known to have."""
    try:
        return msgspec.json.decode((root / "last_success.json").read_bytes(), type=Success)
    except (OSError, msgspec.MsgspecError):
        return None


def note_success(root: Path, hour: str, at: datetime) -> None:
    """Write down that an hourly run has succeeded."""
    fresh = root / f".last_success.json.{os.getpid()}.tmp"
    fresh.write_text(json.dumps({"hour": hour, "at": at.isoformat(timespec="seconds")}))
    fresh.replace(root / "last_success.json")


def _stations(config: Settings, seen_before: dict[str, datetime]) -> list[Seen]:
    hours = hour_range(config.last_hour - _DAYS * DAY + HOUR, config.last_hour)
    staged = [(hour, targets.raw_day(hour.date()).rows.get(hour, {})) for hour in hours]
    flags = _flags(config.last_hour.date())
    return [
        _station(station, staged, flags.get(station, {}), seen_before, config) for station in config.airqino.stations
    ]


def _station(
    station: str,
    staged: list[tuple[datetime, Any]],
    flags: dict[str, str],
    seen_before: dict[str, datetime],
    config: Settings,
) -> Seen:
    rows = [(hour, of[station]) for hour, of in staged if station in of]
    newest = max((hour for hour, row in rows if row["status"] == "ok"), default=seen_before.get(station))
    silent = config.alerts.silent_hours
    recent = [row for hour, row in rows if hour > config.last_hour - silent * HOUR]
    service = config.station(station)
    return Seen(
        station=station,
        name=station_name(station, config),
        newest=newest,
        asked=bool(recent),
        reason=recent[-1]["reason"] if recent else "",
        completeness=sum(row["status"] == "ok" for hour, row in rows if hour > config.last_hour - DAY) / 24,
        flags=flags,
        in_service=service.active(config.last_hour) and service.active(config.last_hour - (silent - 1) * HOUR),
    )


def _flags(day: date) -> dict[str, dict[str, str]]:
    """Station → sensor → flag of the newest reading of a day and the one before."""
    found: dict[str, dict[str, str]] = {}
    for of in (day - DAY, day):
        table = sorted(targets.hourly(of).rows(), key=lambda row: row["observed_at"])
        for row in table:
            for sensor in SENSORS:
                if row[f"{sensor}_flag"] != "absent":
                    found.setdefault(row["station"], {})[sensor] = row[f"{sensor}_flag"]
    return found


def _scores(day: date) -> list[dict[str, Any]]:
    """The 7-day scores of the newest day that has some."""
    for back in range(3):
        if rows := [row for row in scored(day - back * DAY).rows() if row["window_days"] == 7]:
            return rows
    return []


def _last_seen() -> dict[str, datetime]:
    found = mongo.ask(targets.database(), lambda db: list(db["stations"].find({}, {"last_seen_at": 1})))
    return {document["_id"]: document["last_seen_at"] for document in found if document.get("last_seen_at")}


def _revised(now: datetime) -> list[Revised]:
    """The revisions of the last day, by the run that found them and the station."""
    by = {"seen_at": "$seen_at", "station": "$station"}
    span = {"first": {"$min": "$observed_at"}, "last": {"$max": "$observed_at"}}
    pipeline: list[dict[str, Any]] = [
        {"$match": {"seen_at": {"$gt": now - DAY}}},
        {"$group": {"_id": by, "readings": {"$sum": 1}, **span}},
    ]
    groups = mongo.ask(targets.database(), lambda db: list(db["revisions"].aggregate(pipeline)))
    return [
        Revised(**group["_id"], readings=group["readings"], first=group["first"], last=group["last"])
        for group in groups
    ]


def revised_now(seen: Observed) -> int:
    """How many changed readings this very run found; MongoDB keeps milliseconds."""
    return sum(r.readings for r in seen.revised or () if abs(r.seen_at - seen.now) < timedelta(milliseconds=1))


def _disk_free(root: Path) -> float | None:
    try:
        usage = shutil.disk_usage(root)
    except OSError:
        return None
    return usage.free / usage.total
