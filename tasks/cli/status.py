"""airqino status: what is there, what is missing, and why."""

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from airqino.errors import MongoError
from airqino.readings import POLLUTANTS, reading
from airqino.source.raw import NO_ROW
from airqino.stores import mongo
from airqino.times import DAY, HOUR, format_hour, hour_range, runs_of
from tasks import targets
from tasks.cli.disk import database_use, staging_use
from tasks.missing import missing_hours
from tasks.served import served
from tasks.settings.reading import settings
from tasks.stations import station_name
from tasks.versions import older_days, what_is_left

#: Why an hour has no reading, from the pipeline outwards.
REASONS = ("pipeline down", "API down", "station off", "sensor absent")
#: How far back to look.
DAYS = 7


def status() -> dict[str, Any]:
    """Collect what `airqino status` shows.

    Returns:
        ``last_hour`` (the last one published), ``stations`` (id, name, newest hour with a reading, its age in hours,
        gaps), ``last_load``, ``last_forecast`` and ``database`` (None without MongoDB, whose error is in ``mongodb``),
        ``late``, ``open`` (station-hours since the first staged one that were never asked for, failed or had no row;
        see `tasks.missing`), ``older_version_days`` (how many days an older version has loaded; None without
        MongoDB), ``sensor_faults`` (station → sensor → flag; None without MongoDB), ``published`` (the hour of the
        public page; None without one), and ``disk``; see `tasks.cli.disk`.
    """
    config = settings()
    configured = {station: config.station(station) for station in config.airqino.stations}
    stations = [_station(station) for station in configured]
    newest = max((s["newest_hour"] for s in stations if s["newest_hour"]), default=None)
    age = (config.last_hour - newest) / HOUR if newest else None
    return {
        "last_hour": config.last_hour,
        "project": config.airqino.project,
        "stations": stations,
        "age_hours": age,
        "late": age is None or age > config.status.max_age_hours,
        "open": missing_hours(targets.paths(), configured, config.last_hour)._asdict(),
        **_database(),
        "published": of.hour if (of := served()) else None,
        "disk": staging_use(),
    }


def _station(station: str) -> dict[str, Any]:
    config = settings()
    hours = hour_range(config.last_hour - DAYS * DAY + HOUR, config.last_hour)
    gaps: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    newest = None
    for hour in hours:
        row = targets.raw_day(hour.date()).rows.get(hour, {}).get(station)
        if not config.station(station).active(hour):
            continue
        if row is None:
            gaps["pipeline down", ""].append(hour)
        elif row["status"] == "failed":
            gaps["API down", row["reason"]].append(hour)
        elif row["status"] == "absent":
            gaps["station off", "" if row["reason"] == NO_ROW else row["reason"]].append(hour)
        else:
            newest = hour
            for sensor in POLLUTANTS:
                if row[sensor] is None:
                    gaps["sensor absent", sensor].append(hour)
    return {
        "station": station,
        "name": station_name(station, config),
        "newest_hour": newest,
        "gaps": [
            {"reason": reason, "detail": detail, "first": first, "last": last, "hours": int((last - first) / HOUR) + 1}
            for (reason, detail), of in gaps.items()
            for first, last in runs_of(of)
        ],
    }


def _database() -> dict[str, Any]:
    try:
        database = targets.database()
        return {
            "mongodb": "ok",
            "last_load": mongo.newest(database, "loads", "loaded_at", {"kind": "day"}),
            "last_forecast": mongo.newest(database, "forecasts", "issued_at"),
            "database": database_use(database),
            "older_version_days": len(older_days()),
            "sensor_faults": _sensor_faults(database),
        }
    except MongoError as error:
        nothing = dict.fromkeys(("last_load", "last_forecast", "database", "older_version_days", "sensor_faults"))
        return {"mongodb": str(error), **nothing}


def _sensor_faults(database: mongo.Database) -> dict[str, dict[str, str]]:
    """Return station → sensor → flag, of the sensors that say nothing of the air."""
    stations = mongo.find(database, "stations", {"_id": {"$in": list(settings().airqino.stations)}})
    found = {of["_id"]: of.get("sensor_faults") for of in stations}
    faults = {
        station: {sensor: of[sensor] for sensor in POLLUTANTS if isinstance(of.get(sensor), str)}
        for station, of in found.items()
        if isinstance(of, dict)
    }
    return {station: of for station, of in faults.items() if of}


def _show(found: dict[str, Any], console: Console) -> None:
    table = Table(title=f"Project {found['project']}, stations over the last {DAYS} days", title_justify="left")
    for column in ("station", "newest hour (UTC)", "hours missing", *REASONS):
        table.add_column(column, justify="left" if column in ("station", "newest hour (UTC)") else "right")
    for station in found["stations"]:
        hours = Counter[str]()
        for gap in station["gaps"]:
            hours[gap["reason"]] += gap["hours"]
        newest = format_hour(station["newest_hour"]) if station["newest_hour"] else f"none in {DAYS} days"
        missing = sum(hours[reason] for reason in REASONS[:3])
        name = f"{station['name']} ({station['station']})"
        table.add_row(name, newest, f"{missing}", *(f"{hours[reason] or '–'}" for reason in REASONS))
    console.print(table)
    for station in found["stations"]:
        for gap in station["gaps"][-8:]:
            span = format_hour(gap["first"]) + (f"…{format_hour(gap['last'])}" if gap["hours"] > 1 else "")
            detail = f" ({gap['detail']})" if gap["detail"] else ""
            console.print(f"  {station['name']}: {span}, {gap['hours']} h: {gap['reason']}{detail}", highlight=False)
    for station in found["stations"]:
        for sensor, flag in ((found["sensor_faults"] or {}).get(station["station"]) or {}).items():
            told = f"{reading(sensor).label} says nothing of the air: {flag.replace('_', ' ')}"
            console.print(f"  {station['name']}: {told} (docs/alerts.md, section sensor_dead)", highlight=False)
    hours = found["open"]
    if hours["never_asked"] or hours["failed"]:
        counts = f"{hours['never_asked']} station-hours were never asked for, {hours['failed']} failed"
        span = f"{hours['first_day']} … {hours['last_day']}"
        console.print(f"since the first staged hour: {counts} ({span})", highlight=False)
        console.print("  to fetch what is missing: scripts/backfill")
    if hours["absent"]:
        counts = f"the source had no row for {hours['absent']} station-hours, {hours['settled']} of them settled"
        console.print(f"since the first staged hour: {counts}", highlight=False)
        console.print("  if they have come there since: scripts/backfill; for settled ones: scripts/backfill --again")
    console.print(f"MongoDB: {found['mongodb']}", highlight=False)
    if found["mongodb"] == "ok":
        console.print(f"last load: {_moment(found['last_load'])}; last forecast: {_moment(found['last_forecast'])}")
    if settings().publish.root:
        hour = format_hour(found["published"]) if found["published"] else "nothing is published yet: scripts/publish"
        console.print(f"public page: {hour}, in {settings().publish.root}", highlight=False, soft_wrap=True)
    if found["older_version_days"]:
        console.print(what_is_left(found["older_version_days"]), highlight=False)
        console.print("  to load them all at once: scripts/backfill")
    console.print(_room(found["disk"], found["database"]), highlight=False)
    if found["late"]:
        age = "there is none" if found["age_hours"] is None else f"it is {found['age_hours']:.0f} h old"
        limit = settings().status.max_age_hours
        console.print(f"[bold red]late[/]: the newest hour should be at most {limit} h old, {age}")


def _room(disk: dict[str, Any], database: dict[str, Any] | None) -> str:
    free = f"{disk['free_share']:.0%} of its disk ({decimal(disk['free_bytes'])}) free"
    growth = disk["growth_bytes_per_day"]
    pace = f", {decimal(int(growth))} a day: enough for {_span(disk['days_until_full'])}" if growth else ""
    ours = database["database_bytes"] if database else None
    documents = f"; database: {decimal(ours)}" if ours is not None else ""
    return f"staging root: {decimal(disk['staging_bytes'])}, {free}{pace}{documents}"


def _span(days: float) -> str:
    return f"{days:.0f} days" if days < 730 else f"{days / 365.25:.0f} years"


def _moment(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "never"


def main(argv: Sequence[str]) -> int:
    """Print the status; 1 when the newest hour is older than allowed, or MongoDB does not answer."""
    parser = argparse.ArgumentParser(
        "airqino status",
        description="Show the newest hour of each station, the gaps of the last 7 days and why they are there, what is "
        "missing since the first staged hour and the command that fetches it, the last load and the last forecast, and "
        "room on the disk. Exits 1 when the newest hour is older than [status] max_age_hours, or when "
        "MongoDB does not answer.",
    )
    parser.add_argument("--json", action="store_true", help="for machines")
    arguments = parser.parse_args(argv)
    found = status()
    if arguments.json:
        print(json.dumps(found, indent=1, default=lambda moment: moment.isoformat()))
    else:
        _show(found, Console())
    return 1 if found["late"] or found["mongodb"] != "ok" else 0
