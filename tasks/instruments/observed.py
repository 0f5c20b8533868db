"""Observed: the state of stations, sensors, forecasts, disk and runs, read from the staged files and MongoDB."""

import contextlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airqino.errors import ConfigError, MongoError
from airqino.quality.flags import FAULTS
from airqino.readings import POLLUTANTS
from airqino.stores import files, mongo
from airqino.stores.paths import Paths
from airqino.times import DAY, HOUR, Moment, day_range, hour_range, parse_hour
from tasks import targets
from tasks.instruments.presence import Presence, presence
from tasks.instruments.shape import Shape, observe_shape
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
    of_days = (targets.raw_day(day).rows.tables for day in day_range(hours[0].date(), hours[-1].date()))
    tables = {hour: table for of_day in of_days for hour, table in of_day.items()}
    staged = presence(hours, tables)
    return PipelineState(
        now=config.now,
        last_hour=config.last_hour,
        stations=_stations(config, staged, tables, last_seen),
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


def _stations(
    config: Settings, staged: Presence, tables: Mapping[datetime, pa.Table], last_seen: Mapping[str, datetime]
) -> list[StationState]:
    silent_hours = config.alerts.silent_hours
    first_hour = config.last_hour - (silent_hours - 1) * HOUR
    flags, reasons = _flags(config.last_hour.date()), _reasons(tables, hour_range(first_hour, config.last_hour))
    place = {station: number for number, station in enumerate(staged.stations)}
    newest_ok, day_before = staged.newest(staged.ok), staged.ok[-24:].sum(axis=0)
    newest = {sensor: staged.newest(staged.readings[sensor]) for sensor in SENSORS}
    rows_until = np.vstack([np.zeros_like(staged.ok[:1], dtype=int), staged.ok.cumsum(axis=0)])
    states = []
    for station in config.airqino.stations:
        at, silent, seen = place.get(station), dict[str, datetime](), set[str]()
        for sensor, last in newest.items() if at is not None else ():
            if (hour := int(last[at])) >= 0:
                seen.add(sensor)
                if rows_until[-1, at] - rows_until[hour + 1, at] >= silent_hours:
                    silent[sensor] = staged.hours[hour]
        is_known = at is not None and newest_ok[at] >= 0
        state = StationState(
            station=station,
            name=station_name(station, config),
            newest=staged.hours[int(newest_ok[at])] if is_known else last_seen.get(station),
            asked=station in reasons,
            reason=reasons.get(station, ""),
            completeness=float(day_before[at]) / 24 if at is not None else 0.0,
            flags=flags.get(station, {}),
            in_service=all(map(config.station(station).active, (first_hour, config.last_hour))),
            silent_sensors=silent,
            sensors_not_seen=frozenset(SENSORS) - seen,
            retired=(end := config.station(station).service[1]) is not None and end < config.last_hour,
        )
        states.append(state)
    return states


def _reasons(tables: Mapping[datetime, pa.Table], hours: Sequence[datetime]) -> dict[str, str]:
    """Return for each station with a row of some hours the reason of the newest one, empty where it has readings."""
    reasons: dict[str, str] = {}
    for table in (tables[hour] for hour in hours if hour in tables):
        reasons |= zip(table["station"].to_pylist(), table["reason"].to_pylist(), strict=True)
    return reasons


def _flags(day: date) -> dict[str, dict[str, str]]:
    """Return station → sensor → flag of the newest reading of a day and the one before."""
    flags: dict[str, dict[str, str]] = defaultdict(dict)
    found = [table for each in (day - DAY, day) if (table := targets.hourly(each).table()) is not None]
    for table in found:  # in order of station and hour
        for sensor in SENSORS:
            of = table.select(["station", f"{sensor}_flag"]).filter(pc.not_equal(table[f"{sensor}_flag"], "absent"))
            for station, flag in zip(*(column.to_pylist() for column in of.columns), strict=True):
                flags[station][sensor] = flag
    return flags


#: What of a score is told.
_SCORED = ["day", "station", "pollutant", "horizon_h", "skill", "coverage80", "drift"]


def _scores(day: date) -> list[dict[str, Any]]:
    """Return the 7-day scores of the newest of three days that has some."""
    for back in range(3):
        table = targets.scores(day - back * DAY).columns(["window_days", *_SCORED])
        if table is not None and len(rows := table.filter(pc.equal(table["window_days"], 7))):
            found: list[dict[str, Any]] = rows.select(_SCORED).to_pylist()  # all columns of thousands are half a GB
            return found
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
