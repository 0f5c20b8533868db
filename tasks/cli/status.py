"""airqino status: the one screen of who is on call: how things are, what needs a person, and the command that heals."""

import json
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from airqino.errors import MongoError, StagingError
from airqino.readings import POLLUTANTS
from airqino.source.raw import NO_ROW
from airqino.stores import models, mongo
from airqino.times import DAY, HOUR, hour_range, runs_of
from tasks import targets
from tasks.cli.main import Parser
from tasks.settings.reading import settings

#: How far back gaps are told.
DAYS = 7
#: Runs that are told.
_RUNS = 3
#: Seconds that somebody who looks at a screen waits for MongoDB.
_PATIENCE = 1.5
#: Collected from MongoDB; None where it does not answer.
_FROM_MONGODB = ("last_load", "last_forecast", "database", "older_version_days", "unstaged_days", "sensor_faults")


def status() -> dict[str, Any]:
    """Collect what `airqino status` shows.

    Returns:
        ``now``, ``last_hour`` (the last one published), ``environment``, ``stations`` (id, name, newest hour with a
        reading, its age in hours, station-hours missing since the first one, gaps of the last days), ``open`` (the
        same in all stations; see `tasks.missing`), ``late``, ``needs`` (see `tasks.instruments.needs`), ``alerts``
        (the open incidents as they are written down), ``champion`` (its version; None without one), ``skill``
        (pollutant → mean 7-day skill an hour ahead), ``runs`` (the last ones), ``mongodb`` (ok, or why not), what is
        collected from it (None where it does not answer), ``published`` (the hour of the public page; None without
        one), and ``disk``; see `tasks.cli.disk`.
    """
    config, root = settings(), targets.paths().root
    with ThreadPoolExecutor(1) as aside:
        answer = aside.submit(_answers)  # while what reads tables is loaded
        from tasks.cli.disk import staging_use
        from tasks.instruments import incidents, needs, runs
        from tasks.instruments.observed import observe
        from tasks.missing import in_all, missing_hours
        from tasks.served import served
    database, begin = _database(answer.result())
    configured = {station: config.station(station) for station in config.airqino.stations}
    missing = missing_hours(targets.paths(), configured, config.last_hour, since=begin)
    stations = [_station(station) | {"missing": missing[station]._asdict()} for station in configured]
    newest = max((s["newest_hour"] for s in stations if s["newest_hour"]), default=None)
    age = (config.last_hour - newest) / HOUR if newest else None
    state = observe(root, asks_database=database["mongodb"] == "ok")
    return {
        "now": config.now,
        "last_hour": config.last_hour,
        "project": config.airqino.project,
        "stations": stations,
        "age_hours": age,
        "late": age is None or age > config.status.max_age_hours,
        "needs": needs.all_needs(state, in_all(missing), database["mongodb"], newest),
        "open": in_all(missing)._asdict(),
        "alerts": [{"key": i.key, "since": i.since, "title": i.title} for i in incidents.read(root).open()],
        "champion": _champion(),
        "skill": _skill(state.scores),
        "runs": [
            {"command": of.command, "began_at": of.began_at, "outcome": of.outcome, "reason": of.reason}
            | {"seconds": of.duration.total_seconds() if of.duration is not None else None}
            for of in runs.read(root)[-_RUNS:]
        ],
        **database,
        "published": of.hour if (of := served()) else None,
        "disk": staging_use(),
    }


def _station(station: str) -> dict[str, Any]:
    from tasks.stations import station_name

    config = settings()
    hours = hour_range(config.last_hour - DAYS * DAY + HOUR, config.last_hour)
    gaps: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    newest = None
    for hour in hours:
        row = targets.raw_day(hour.date()).rows.get(hour, {}).get(station)
        if not config.station(station).active(hour):
            continue
        if row is None:
            gaps["not asked", ""].append(hour)
        elif row["status"] == "failed":
            gaps["API failed", row["reason"]].append(hour)
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
        "age_hours": (config.last_hour - newest) / HOUR if newest else None,
        "gaps": [
            {"reason": reason, "detail": detail, "first": first, "last": last, "hours": int((last - first) / HOUR) + 1}
            for (reason, detail), of in gaps.items()
            for first, last in runs_of(of)
        ],
    }


def _answers() -> str:
    """Tell whether MongoDB answers: ok, or why not."""
    try:
        mongo.ping(targets.database(seconds=_PATIENCE))
    except MongoError as error:
        return f"{error}"
    return "ok"


def _database(answer: str) -> tuple[dict[str, Any], Any]:
    """Return what MongoDB says, and the first day of which anything is known; None where it does not answer."""
    from tasks.cli.disk import database_use
    from tasks.from_documents import unstaged_days
    from tasks.missing import first_day
    from tasks.versions import older_days

    if answer != "ok":
        return {"mongodb": answer, **dict.fromkeys(_FROM_MONGODB)}, None
    try:
        database = targets.database()
        return {
            "mongodb": "ok",
            "last_load": mongo.newest(database, "loads", "loaded_at", {"kind": "day"}),
            "last_forecast": mongo.newest(database, "forecasts", "issued_at"),
            "database": database_use(database),
            "older_version_days": len(older_days()),
            "unstaged_days": len(unstaged_days()),
            "sensor_faults": _sensor_faults(database),
        }, first_day()
    except MongoError as error:
        return {"mongodb": str(error), **dict.fromkeys(_FROM_MONGODB)}, None


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


def _champion() -> str | None:
    try:
        champion = models.read_champion(targets.paths().champion)
    except StagingError as error:
        return f"cannot be read: {error}"
    return champion.version if champion else None


def _skill(scores: list[dict[str, Any]]) -> dict[str, float]:
    """Return the mean skill over the stations, an hour ahead, of each pollutant that has any."""
    skills: dict[str, list[float]] = defaultdict(list)
    for row in scores:
        if row["horizon_h"] == 1 and row["skill"] is not None and row["skill"] == row["skill"]:
            skills[row["pollutant"]].append(row["skill"])
    return {pollutant: sum(of) / len(of) for pollutant, of in skills.items()}


def main(argv: Sequence[str]) -> int:
    """Print the status; 1 when something needs a person."""
    parser = Parser(
        "airqino status",
        description="Show on one screen how things are: what needs a person, and the command that heals it; each "
        "station's newest hour and what is missing since the first one; sensors to service, the forecast, the last "
        "runs, and room on the disk. Changes nothing.",
        epilog="exit codes: 0 nothing needs a person now; 1 something does: do what the screen says; 2 a setting or "
        "an argument is wrong. Sensors to service and drifting forecasts can wait for a working day",
    )
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.add_argument("--all", action="store_true", help="all stations, and all gaps of the last 7 days")
    arguments = parser.parse_args(argv)
    found = status()
    from rich.console import Console

    from tasks.cli.overview import show

    if arguments.json:
        print(json.dumps(found, indent=1, default=lambda moment: moment.isoformat()))
    else:
        show(found, Console(highlight=False), everything=arguments.all)
    return 1 if any(need["urgent"] for need in found["needs"]) else 0
