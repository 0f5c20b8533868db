"""Targets: the dated Parquet files under the staging root and the loads recorded in MongoDB.

Every derived output records the fingerprints of its inputs. It is up to date when they still are what they were
(`docs/architecture.md`, "Freshness").
"""

import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import luigi
import pandas as pd
import pyarrow as pa

from airqino.errors import StagingError
from airqino.stores import mongo, parquet
from airqino.stores.paths import Paths
from airqino.times import HOUR, day_range, day_start
from tasks.settings.reading import settings


class ParquetTarget(luigi.Target):
    """One Parquet file, with a fingerprint of its rows and those of its inputs in its metadata."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def exists(self) -> bool:
        """Tell whether the file is there."""
        return self.path.exists()

    @property
    def fingerprint(self) -> str | None:
        """Return the fingerprint of the rows; None where there is no file."""
        return parquet.metadata(self.path).get("fingerprint")

    @property
    def inputs(self) -> str | None:
        """Return the fingerprint of the inputs it was built from; None where there is no file."""
        return parquet.metadata(self.path).get("inputs")

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows as plain dicts; empty where there is no file."""
        table = parquet.read(self.path)
        return [] if table is None else table.to_pylist()

    def write(self, table: pa.Table | pd.DataFrame, inputs: str | None = None, **extra: str) -> bool:
        """Write the file atomically, unless it holds exactly this already.

        Args:
            table: The rows.
            inputs: Fingerprint of what they were built from.
            extra: More text for the metadata.

        Returns:
            Whether the file was written.
        """
        if isinstance(table, pd.DataFrame):
            table = pa.Table.from_pandas(table, preserve_index=False)
        return parquet.write(self.path, table, extra=extra | ({"inputs": inputs} if inputs else {}))


@dataclass(frozen=True)
class RawDay:
    """All that is staged of a day's raw hours.

    Attributes:
        fingerprints: Each hour that has a file, with its fingerprint.
        rows: Each hour's rows, by station.
        table: All rows together; None where no hour has a file.
    """

    fingerprints: tuple[str, ...]
    rows: Mapping[datetime, Mapping[str, dict[str, Any]]]
    table: pa.Table | None


#: A folder's time of change moves with the kernel's tick (up to 10 ms): one that is younger than this may change
#: again without showing it, so its files are looked at one by one.
_TICK_NS = 100_000_000
_REMEMBERED_DAYS = 64
_HOUR_NAME = re.compile(r"([01]\d|2[0-3])\.parquet")
_raw_days: dict[date, tuple[Path, int, RawDay]] = {}


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


def record_loads(loads: Mapping[LoadTarget, tuple[str, Mapping[str, Any]]]) -> None:
    """Record loads, each with the fingerprint of its inputs and what else there is to say of it."""
    now = settings().now
    documents = [
        {"_id": target.load, **content, "inputs": inputs, "loaded_at": now}
        for target, (inputs, content) in loads.items()
    ]
    mongo.replace(database(), "loads", documents)


def frame(targets: list[ParquetTarget]) -> pd.DataFrame:
    """Return the rows of several files as one data frame; empty where none exists."""
    tables = [table for target in targets if (table := parquet.read(target.path)) is not None]
    return parquet.concat(tables).to_pandas() if tables else pd.DataFrame()


def fingerprint(*content: Any) -> str:
    """Return a fingerprint of inputs: of other fingerprints, settings, names."""
    return parquet.digest(content)


def database() -> mongo.Database:
    """Return the pipeline's database; the connection is opened once in each process."""
    return database_at(settings().mongo.uri)


def database_at(uri: str) -> mongo.Database:
    """Return the pipeline's database at a connection string, with the other settings as they are."""
    config = settings().mongo
    tls = {"tls_ca_file": config.tls_ca_file, "tls_certificate_key_file": config.tls_certificate_key_file}
    return mongo.database(uri, config.database, config.timeout_seconds, config.failover_seconds, **tls)


def kept_since() -> datetime:
    """Return the moment from which on MongoDB keeps hourly documents (`retention_days`), with a day of margin.

    The server drops them by its clock, so this one's counts, whatever AIRQINO_NOW pretends.
    """
    days = settings().mongo.retention_days
    return datetime.now(UTC) - timedelta(days=days - 1) if days else datetime.min.replace(tzinfo=UTC)


def paths() -> Paths:
    """Return the layout of the staging root."""
    return Paths(Path(settings().staging.root))


def raw(hour: datetime) -> ParquetTarget:
    """Return the raw hour: a row for each station, its readings or why there are none."""
    return ParquetTarget(paths().raw(hour))


def raw_day(day: date) -> RawDay:
    """Return everything staged of a day's raw hours, remembered while the folder's files stay as they are.

    Completeness is asked many times a run; one look at the folder answers for all 24 hours.
    """
    folder = paths().raw_hours(day)
    try:
        changed = folder.stat().st_mtime_ns
    except FileNotFoundError:
        return RawDay((), {}, None)
    except OSError as error:
        raise StagingError(f"{folder} cannot be read: {error.strerror}") from error
    known = _raw_days.get(day)
    if known is None or known[:2] != (folder, changed):
        settled = changed < time.time_ns() - _TICK_NS  # judged before it is read
        _raw_days[day] = known = folder, changed if settled else -1, _raw_day(folder, day)
        if len(_raw_days) > _REMEMBERED_DAYS:
            del _raw_days[next(iter(_raw_days))]
    return known[2]


def _raw_day(folder: Path, day: date) -> RawDay:
    tables = {}
    with os.scandir(folder) as entries:
        for entry in sorted((e for e in entries if _HOUR_NAME.fullmatch(e.name)), key=lambda e: e.name):
            hour = day_start(day) + int(entry.name[:2]) * HOUR
            tables[hour] = parquet.read_as(folder / entry.name, parquet.sign(entry.stat()))
    fingerprints = tuple(f"{hour} {parquet.fingerprint_in(table)}" for hour, table in tables.items())
    known = _raw_days.get(day)
    if known and known[2].fingerprints == fingerprints:  # only bookkeeping changed, or nothing did
        return replace(known[2], rows=_rows(tables))
    return RawDay(fingerprints, _rows(tables), parquet.concat(tables.values()) if tables else None)


def _rows(tables: Mapping[datetime, pa.Table]) -> dict[datetime, dict[str, dict[str, Any]]]:
    return {hour: {row["station"]: row for row in table.to_pylist()} for hour, table in tables.items()}


def revisions(day: date) -> ParquetTarget:
    """Return the ledger of readings of that day that the source changed later."""
    return ParquetTarget(paths().revisions(day))


def hourly(day: date) -> ParquetTarget:
    """Return the typed and flagged hours of a UTC day."""
    return ParquetTarget(paths().hourly(day))


def daily(day: date) -> ParquetTarget:
    """Return each station's daily means."""
    return ParquetTarget(paths().daily(day))


def forecast(hour: datetime) -> ParquetTarget:
    """Return what was forecast when the hour was over."""
    return ParquetTarget(paths().forecast(hour))


def forecast_hours(first: datetime, last: datetime) -> list[datetime]:
    """Return the hours from `first` to `last`, both included, that have a forecast."""
    staged = (hour for day in day_range(first.date(), last.date()) for hour in _forecast_hours(day))
    return [hour for hour in staged if first <= hour <= last]


def _forecast_hours(day: date) -> list[datetime]:
    try:
        with os.scandir(paths().forecasts(day)) as entries:
            names = sorted(entry.name for entry in entries if _HOUR_NAME.fullmatch(entry.name))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [day_start(day) + int(name[:2]) * HOUR for name in names]


def scores(day: date) -> ParquetTarget:
    """Return the scores of the forecasts for a day."""
    return ParquetTarget(paths().scores(day))


def station(station_id: str) -> ParquetTarget:
    """Return what the API says of a station: name and coordinates."""
    return ParquetTarget(paths().station(station_id))


def exchanges(target: ParquetTarget) -> list[dict[str, Any]]:
    """Return what is kept of the requests that a raw hour came from."""
    return list(json.loads(parquet.metadata(target.path).get("exchanges", "[]")))
