"""Targets: the dated Parquet files under the staging root and the loads recorded in MongoDB.

Every derived output records the fingerprints of its inputs. It is up to date when they still are what they were
(`docs/architecture.md`, "Freshness").
"""

import base64
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import luigi
import pyarrow as pa

from airqino.errors import DamagedFileError
from airqino.readings import NAMES
from airqino.source.raw import SCHEMA
from airqino.stores import files, leases, locks, mongo, parquet, writes
from airqino.stores.remembered import Remembered
from airqino.times import HOUR, day_range, day_start, local_day
from tasks.environment import check_database
from tasks.settings.reading import settings
from tasks.staged import ParquetTarget as ParquetTarget
from tasks.staged import paths as paths
from tasks.staged import set_aside


class HourRows(Mapping[datetime, Mapping[str, dict[str, Any]]]):
    """Each hour's rows by station, made of the hour's table when they are asked for: most are not.

    Attributes:
        tables: The tables.
    """

    def __init__(self, tables: Mapping[datetime, pa.Table]) -> None:
        """Take the tables of some hours."""
        self.tables = tables
        self._made: dict[datetime, dict[str, dict[str, Any]]] = {}

    def __getitem__(self, hour: datetime) -> dict[str, dict[str, Any]]:
        """Return the rows of an hour."""
        if hour not in self._made:
            self._made[hour] = {row["station"]: row for row in self.tables[hour].to_pylist()}
        return self._made[hour]

    def __contains__(self, hour: object) -> bool:
        """Tell whether an hour has a file, without making its rows."""
        return hour in self.tables

    def __iter__(self) -> Iterator[datetime]:
        """Go over the hours that have a file."""
        return iter(self.tables)

    def __len__(self) -> int:
        """Return how many hours have a file."""
        return len(self.tables)


class RawFingerprints(NamedTuple):
    """What tells whether a day's raw hours have changed.

    Attributes:
        hours: Each hour that has a file, with its fingerprint.
        readings: Of all hours' readings alone, whatever else is said of them; empty where no hour has a file.
        first_readings: The same of the day's first hour.
    """

    hours: tuple[str, ...] = ()
    readings: str = ""
    first_readings: str = ""


@dataclass(frozen=True)
class RawDay:
    """All that is staged of a day's raw hours.

    Attributes:
        fingerprints: What tells whether they have changed.
        rows: Each hour's rows, by station.
        table: All rows together; None where no hour has a file. Their bookkeeping may be an older one.
        remembered: What was found out about these rows, by whoever did.
    """

    fingerprints: RawFingerprints
    rows: HourRows
    table: pa.Table | None
    remembered: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)


_HOUR_NAME = re.compile(r"([01]\d|2[0-3])\.parquet")
#: Days in memory; their size is in bytes: a day of 10,000 stations has 40 MB.
_raw_days = Remembered[date, RawDay](most=64, most_size=150_000_000)
#: Of more days what tells whether one has changed: that of the days around it is asked for more often than their rows.
_raw_fingerprints = Remembered[date, RawFingerprints](most=1000, most_size=1000)


class LoadTarget(luigi.Target):
    """A row in the ``loads`` collection: what was loaded, from which inputs."""

    def __init__(self, load: str) -> None:
        """Name the load, such as ``day|2024-09-09``."""
        self.load = load

    def __str__(self) -> str:
        return f"loads/{self.load}"

    def exists(self) -> bool:
        """Tell whether it is recorded."""
        return self.record() is not None

    def record(self) -> dict[str, Any] | None:
        """Return the row, or None."""
        return mongo.find_one(database(), "loads", self.load)

    def write(self, inputs: str, content: Mapping[str, Any]) -> None:
        """Record the load."""
        record_loads({self: (inputs, content)})


locks.keep_with(leases.Leases(lambda: database()))


def record_loads(loads: Mapping[LoadTarget, tuple[str, Mapping[str, Any]]]) -> None:
    """Record loads, each with the fingerprint of its inputs and what else there is to say of it."""
    now = settings().now
    documents = [
        {"_id": target.load, **content, "inputs": inputs, "loaded_at": now}
        for target, (inputs, content) in loads.items()
    ]
    writes.replace(database(), "loads", documents)


def fingerprint(*content: Any) -> str:
    """Return a fingerprint of inputs: of other fingerprints, settings, names."""
    return parquet.digest(content)


def database(seconds: float | None = None) -> mongo.Database:
    """Return the pipeline's database; the connection is opened once in each process.

    Args:
        seconds: For somebody who waits at a screen: the most to wait for a server, for a new primary, and for an
            answer. None takes the settings' limits.

    Raises:
        ConfigError: It belongs to another environment.
    """
    found = database_at(settings().mongo.uri, seconds)
    check_database(found)
    return found


def database_at(uri: str, seconds: float | None = None) -> mongo.Database:
    """Return the pipeline's database at a connection string, with the other settings as they are."""
    config = settings().mongo
    limits = config.timeout_seconds, config.failover_seconds
    if seconds is not None:
        limits = min(config.timeout_seconds, seconds), min(config.failover_seconds, seconds)
    return mongo.database(
        uri,
        config.database,
        *limits,
        tls_ca_file=config.tls_ca_file,
        tls_certificate_key_file=config.tls_certificate_key_file,
        longest=seconds,
    )


def lies_in(days: Iterable[date]) -> dict[date, list[date]]:
    """Return the UTC days, begun by now, that each day lies in for some station."""
    last, zones = settings().last_hour, {*settings().zones.values()} - {"UTC"}
    return {day: [d for d in _touched(day, frozenset(zones)) if day_start(d) <= last] for day in days}


@lru_cache(maxsize=1024)
def _touched(day: date, zones: frozenset[str]) -> list[date]:
    days = {day}
    for zone in zones:
        local = local_day(day, zone)
        days.update(day_range(local.start.date(), (local.stop - HOUR / 60).date()))
    return sorted(days)


def kept_since() -> datetime:
    """Return the moment from which on MongoDB keeps hourly documents (`retention_days`), with a day of margin.

    The server drops them by its clock, so this one's counts, whatever AIRQINO_NOW pretends.
    """
    days = settings().mongo.retention_days
    return datetime.now(UTC) - timedelta(days=days - 1) if days else datetime.min.replace(tzinfo=UTC)


def raw(hour: datetime) -> ParquetTarget:
    """Return the raw hour: a row for each station: its readings of the hour, or why there are none."""
    return ParquetTarget(paths().raw(hour), "observed_at", hour)


def raw_day(day: date) -> RawDay:
    """Return everything staged of a day's raw hours, remembered while the folder's files stay as they are.

    Completeness is asked many times a run; one look at the folder answers for all 24 hours.
    """
    folder = paths().raw_hours(day)
    if (state := files.state(folder)) is None:
        return RawDay(RawFingerprints(), HourRows({}), None)
    found = _raw_days.get(day, (folder, state.value))
    if found is None:
        # judged before it is read: files of a folder that may change without showing it are looked at one by one
        signature, found = (folder, state.value if state.is_settled else None), _raw_day(folder, day)
        _raw_days.keep(day, signature, found, 0 if found.table is None else parquet.size_of(found.table))
        _raw_fingerprints.keep(day, signature, found.fingerprints, size=1)
    return found


def raw_fingerprints(day: date) -> RawFingerprints:
    """Return what tells whether a day's raw hours have changed, as `raw_day` does."""
    folder = paths().raw_hours(day)
    state = files.state(folder)
    found = None if state is None else _raw_fingerprints.get(day, (folder, state.value))
    return raw_day(day).fingerprints if found is None else found


def _raw_day(folder: Path, day: date) -> RawDay:
    tables = {}
    found = {folder / name: of for name, of in sorted(files.signatures(folder).items()) if _HOUR_NAME.fullmatch(name)}
    hours = {path: day_start(day) + int(path.name[:2]) * HOUR for path in found}
    parquet.read_ahead(found, lambda path: raw(hours[path]).check)
    for path, signature in found.items():
        try:
            tables[hours[path]] = parquet.read_as(path, signature, raw(hours[path]).check)
        except DamagedFileError as error:
            set_aside(path, error)
    fingerprints = tuple(f"{hour} {parquet.fingerprint_in(table)}" for hour, table in tables.items())
    before = _raw_days.before(day)
    if before and before.fingerprints.hours == fingerprints:  # only bookkeeping changed, or nothing did
        return replace(before, rows=HourRows(tables), remembered={})
    table = parquet.concat(tables.values()) if tables else None
    readings = _of_readings(table), _of_readings(tables.get(day_start(day)))
    return RawDay(RawFingerprints(fingerprints, *readings), HourRows(tables), table)


def _of_readings(table: pa.Table | None) -> str:
    if table is None:
        return ""
    others = {*SCHEMA.names} - {"station", "observed_at", *NAMES}
    return parquet.fingerprint(table, ignore=others)


def revisions(day: date) -> ParquetTarget:
    """Return the ledger of readings of that day that the source changed later."""
    return ParquetTarget(paths().revisions(day), "observed_at", day)


def hourly(day: date) -> ParquetTarget:
    """Return the typed and flagged hours of a UTC day."""
    return ParquetTarget(paths().hourly(day), "observed_at", day)


def daily(day: date) -> ParquetTarget:
    """Return each station's daily means."""
    return ParquetTarget(paths().daily(day), "day", day)


def forecast(hour: datetime) -> ParquetTarget:
    """Return what was forecast when the hour was over."""
    return ParquetTarget(paths().forecast(hour), "issued_at", hour)


def forecast_hours(first: datetime, last: datetime) -> list[datetime]:
    """Return the hours from `first` to `last`, both included, that have a forecast."""
    staged = (hour for day in day_range(first.date(), last.date()) for hour in _forecast_hours(day))
    return [hour for hour in staged if first <= hour <= last]


def _forecast_hours(day: date) -> list[datetime]:
    names = sorted(filter(_HOUR_NAME.fullmatch, files.names(paths().forecasts(day))))
    return [day_start(day) + int(name[:2]) * HOUR for name in names]


def scores(day: date) -> ParquetTarget:
    """Return the scores of the forecasts for a day."""
    return ParquetTarget(paths().scores(day), "day", f"{day}")


def score_sums(day: date) -> ParquetTarget:
    """Return what the forecasts for a day add up to."""
    return ParquetTarget(paths().score_sums(day), "day", f"{day}")


def station(station_id: str) -> ParquetTarget:
    """Return what the API says of a station: name and coordinates."""
    return ParquetTarget(paths().station(station_id), "station", station_id)


def exchanges(target: ParquetTarget) -> list[dict[str, Any]]:
    """Return what is kept of the requests that a raw hour came from."""
    if target.table() is None:
        return []
    text = parquet.texts(target.path).get("exchanges", "[]")
    return list(json.loads(text if text.startswith("[") else zlib.decompress(base64.b85decode(text))))


def packed(exchanges: Iterable[Mapping[str, Any]]) -> str:
    """Return what is kept of requests as text for a raw hour's metadata, which holds it twice: a long one is packed."""
    text = json.dumps(list(exchanges))
    return text if len(text) <= parquet.LONG else base64.b85encode(zlib.compress(text.encode())).decode()
