"""Observed: the state of stations, sensors, forecasts, disk and runs, read from the staged files and MongoDB."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from airqino.errors import ConfigError, MongoError
from airqino.quality.flags import FAULTS
from airqino.readings import POLLUTANTS
from airqino.stores import files, mongo
from airqino.stores.paths import Paths
from airqino.times import DAY, HOUR, Moment, hour_range, parse_hour
from tasks import targets
from tasks.instruments.shape import Shape, Staged, observe_shape
from tasks.missing import MissingHours, overdue_hours
from tasks.settings.reading import Settings, settings
from tasks.staged import lost_files
from tasks.stations import station_name

__all__ = ["SENSORS", "PipelineState", "StationRevisions", "StationState", "Success", "last_success", "observe"]

#: The sensors that are watched: those that are published and forecast.
SENSORS = POLLUTANTS
#: Days of staged hours that are searched; of older ones MongoDB remembers when a station was last seen.
_DAYS = 7


@dataclass(frozen=True)
class StationState:
    """A station.

    Attributes:
        newest: The newest hour with a reading; None where there never was one; or none in the last days, and MongoDB,
            which knows of those before, does not answer.
        asked: Whether the API was asked for it in the last hours; if not, its silence says nothing about the station.
        reason: Why the last hour asked for has no reading.
        completeness: Share of the last 24 published hours with a reading.
        flags: Sensor → quality flag of its newest reading in two days; no key where there is no reading.
        in_service: Whether it should report by now.
        silent_sensors: Sensor → its newest hour with a value, of the sensors that had one in the last days, but none
            since in `silent_hours` rows or more. A station without rows adds none: its silence is another matter.
        sensors_not_seen: Sensors without a value in the last days: of these nothing is known.
        retired: Whether its service has ended (`valid_to`): nobody is to look after it any more.
    """

    station: str
    name: str
    newest: datetime | None
    asked: bool
    reason: str
    completeness: float
    flags: dict[str, str]
    in_service: bool
    silent_sensors: dict[str, datetime] = field(default_factory=dict)
    sensors_not_seen: frozenset[str] = frozenset()
    retired: bool = False

    @property
    def broken(self) -> dict[str, str]:
        """Return sensor → flag, of the sensors that say nothing of the air."""
        return {sensor: self.flags[sensor] for sensor in SENSORS if self.flags.get(sensor) in FAULTS}


@dataclass(frozen=True)
class StationRevisions:
    """How many readings of a station the source changed, as one run found; `first` and `last` are their hours."""

    seen_at: datetime
    station: str
    readings: int
    first: datetime
    last: datetime


class Success(msgspec.Struct):
    """The last hourly run that succeeded: the hour it was for, and when it ended."""

    hour: str
    at: Moment


@dataclass(frozen=True)
class PipelineState:
    """Everything that alerts and metrics are made from.

    Attributes:
        now: The moment of the run.
        last_hour: The last hour that is over and published.
        scores: Rows of the 7-day scores.
        revisions: Those of the last day; None where MongoDB does not answer.
        disk_free: Free share of the staging root's disk.
        damaged: The damaged files that were set aside in the last day, and when.
        gone: Of these, by their own names, those that are not there again.
        shape: Which documented readings no station sends any more.
        overdue: Hours that hourly runs do not fetch any more; None where MongoDB does not answer.
    """

    now: datetime
    last_hour: datetime
    stations: list[StationState]
    scores: list[dict[str, Any]]
    revisions: list[StationRevisions] | None
    disk_free: float | None
    success: Success | None
    damaged: tuple[tuple[Path, datetime], ...] = ()
    gone: tuple[Path, ...] = ()
    shape: Shape = field(default_factory=Shape)
    overdue: MissingHours | None = None

    @property
    def watched(self) -> frozenset[str]:
        """Return the stations that are configured and not retired."""
        return frozenset(s.station for s in self.stations if not s.retired)

    def name(self, station: str) -> str:
        """Return a station's name; its id where it is not configured."""
        return next((s.name for s in self.stations if s.station == station), station)

    @property
    def readings_revised_now(self) -> int:
        """Return how many changed readings this very run found; MongoDB keeps milliseconds."""
        millisecond = timedelta(milliseconds=1)
        return sum(r.readings for r in self.revisions or () if abs(r.seen_at - self.now) < millisecond)


def observe(root: Path, asks_database: bool = True) -> PipelineState:
    """Read the state once, from a staging root and, unless it is known not to answer, MongoDB."""
    config = settings()
    last_seen, revisions, overdue = {}, None, None
    with contextlib.suppress(MongoError):  # the task that needs MongoDB reports it
        if asks_database:
            last_seen, revisions, overdue = _last_seen(), _revisions(config.now), overdue_hours()
    hours = hour_range(config.last_hour - _DAYS * DAY + HOUR, config.last_hour)
    staged = [(hour, targets.raw_day(hour.date()).rows.get(hour, {})) for hour in hours]
    return PipelineState(
        now=config.now,
        last_hour=config.last_hour,
        stations=_stations(config, staged, last_seen),
        scores=_scores(config.last_hour.date()),
        revisions=revisions,
        disk_free=_disk_free(root),
        success=last_success(root),
        damaged=_damaged(root),
        gone=tuple(path for path in lost_files(Paths(root)) if Paths(root).models not in path.parents),
        shape=observe_shape(staged, config.last_hour),
        overdue=overdue,
    )


def last_success(root: Path) -> Success | None:
    """Return the last hourly run that succeeded; None where none is known.

    One that is still to come is none: a clock that was ahead wrote it, and no missing run would be told until then.
    """
    try:
        success = msgspec.json.decode(Paths(root).last_success.read_bytes(), type=Success)
        parse_hour(success.hour)
    except (OSError, ValueError, ConfigError):
        return None
    return success if success.at < datetime.now(UTC) + HOUR else None


def note_success(root: Path, hour: str, at: datetime) -> None:
    """Write down that the hourly run of `hour` succeeded, and that it ended at `at`."""
    content = {"hour": hour, "at": at.isoformat(timespec="seconds")}
    files.write(Paths(root).last_success, json.dumps(content).encode())


def _stations(config: Settings, staged: Staged, last_seen: dict[str, datetime]) -> list[StationState]:
    flags, silent_hours = _flags(config.last_hour.date()), config.alerts.silent_hours
    states = []
    for station in config.airqino.stations:
        rows = [(hour, row_of[station]) for hour, row_of in staged if station in row_of]
        recent = [row for hour, row in rows if hour > config.last_hour - silent_hours * HOUR]
        first_hour = config.last_hour - (silent_hours - 1) * HOUR
        newest = _newest_values([(hour, row) for hour, row in rows if row["status"] == "ok"])
        state = StationState(
            station=station,
            name=station_name(station, config),
            newest=max((hour for hour, row in rows if row["status"] == "ok"), default=last_seen.get(station)),
            asked=bool(recent),
            reason=recent[-1]["reason"] if recent else "",
            completeness=sum(row["status"] == "ok" for hour, row in rows if hour > config.last_hour - DAY) / 24,
            flags=flags.get(station, {}),
            in_service=all(map(config.station(station).active, (first_hour, config.last_hour))),
            silent_sensors={
                sensor: hour for sensor, (hour, rows_since) in newest.items() if rows_since >= silent_hours
            },
            sensors_not_seen=frozenset(SENSORS) - newest.keys(),
            retired=(end := config.station(station).service[1]) is not None and end < config.last_hour,
        )
        states.append(state)
    return states


def _newest_values(rows: Sequence[tuple[datetime, Mapping[str, Any]]]) -> dict[str, tuple[datetime, int]]:
    """Return sensor → its newest hour with a value, and how many of a station's rows came after it without one."""
    newest = {}
    for sensor in SENSORS:
        if hours := [hour for hour, row in rows if row[sensor] is not None]:
            newest[sensor] = max(hours), sum(hour > max(hours) for hour, _ in rows)
    return newest


def _flags(day: date) -> dict[str, dict[str, str]]:
    """Return station → sensor → flag of the newest reading of a day and the one before."""
    flags: dict[str, dict[str, str]] = {}
    for each in (day - DAY, day):
        for row in sorted(targets.hourly(each).rows(), key=lambda row: row["observed_at"]):
            for sensor in SENSORS:
                if row[f"{sensor}_flag"] != "absent":
                    flags.setdefault(row["station"], {})[sensor] = row[f"{sensor}_flag"]
    return flags


def _scores(day: date) -> list[dict[str, Any]]:
    """Return the 7-day scores of the newest of three days that has some."""
    for back in range(3):
        if rows := [row for row in targets.scores(day - back * DAY).rows() if row["window_days"] == 7]:
            return rows
    return []


def _last_seen() -> dict[str, datetime]:
    documents = mongo.ask(targets.database(), lambda db: list(db["stations"].find({}, {"last_seen_at": 1})))
    seen = {document["_id"]: document.get("last_seen_at") for document in documents if isinstance(document["_id"], str)}
    return {station: moment for station, moment in seen.items() if isinstance(moment, datetime)}


def _revisions(now: datetime) -> list[StationRevisions]:
    """Return the revisions of the last day, by the run that found them and the station."""
    run_and_station = {"seen_at": "$seen_at", "station": "$station"}
    span = {"first": {"$min": "$observed_at"}, "last": {"$max": "$observed_at"}}
    pipeline: list[dict[str, Any]] = [
        {"$match": {"seen_at": {"$gt": now - DAY}}},
        {"$group": {"_id": run_and_station, "readings": {"$sum": 1}, **span}},
    ]
    groups = mongo.ask(targets.database(), lambda db: list(db["revisions"].aggregate(pipeline)))
    found = [StationRevisions(**{"seen_at": None, "station": None} | group.pop("_id"), **group) for group in groups]
    return [r for r in found if isinstance(r.station, str) and all(map(_is_moment, (r.seen_at, r.first, r.last)))]


def _is_moment(value: object) -> bool:
    return isinstance(value, datetime)


def _damaged(root: Path) -> tuple[tuple[Path, datetime], ...]:
    paths = sorted(Paths(root).quarantine.rglob(files.SET_ASIDE))
    found = [(path, datetime.fromtimestamp(path.stat().st_mtime, UTC)) for path in paths]
    return tuple((path, at) for path, at in found if at > datetime.now(UTC) - DAY)


def _disk_free(root: Path) -> float | None:
    with contextlib.suppress(OSError):
        return room[1] if (room := files.free_room(root)) else None
    return None
