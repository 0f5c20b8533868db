"""The documents that a day's staged tables become."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from typing import Any, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.compute as pc
from bson.raw_bson import RawBSONDocument

from airqino import views
from airqino.quality import index
from airqino.quality.flags import fault
from airqino.readings import NAMES, POLLUTANTS, UNITS
from airqino.stores.encoded import encoded
from airqino.times import format_hour, local_date
from tasks import notes, targets
from tasks.settings.reading import Settings
from tasks.staged import runs
from tasks.stations import identity

__all__ = ["COLLECTIONS", "Document", "Seen", "local_days", "of_day", "reasons", "revision_document"]

Document = dict[str, Any]


class Documents(Protocol):
    """Documents of a day: a list, or what makes them one by one."""

    def __len__(self) -> int:
        """Return how many there are."""

    def __iter__(self) -> Iterator[Document]:
        """Make them, or yield them."""


#: Of each hour's document, put into BSON once.
_UNITS = RawBSONDocument(encoded(UNITS))
#: Rows that become documents at a time.
_BLOCK = 20_000

#: The collections that a day is loaded into, beside `stations`.
COLLECTIONS = ("hourly_measurements", "daily_averages", "coverage", "revisions")


def of_day(day: date, config: Settings) -> dict[str, Documents]:
    """Return a day's documents by collection."""
    noted = notes.of_local_day(day, config)
    return {
        "hourly_measurements": _HourlyDocuments(day, config),
        "daily_averages": [
            _daily_document(row, config, noted.get(row["station"], [])) for row in targets.daily(day).rows()
        ],
        "coverage": _coverage_documents(day, config),
        "revisions": [revision_document(row) for row in targets.revisions(day).rows()],
    }


class _HourlyDocuments:
    """The stations' readings of a UTC day's hours, made a block of rows at a time: of 10,000 stations they are a GB.

    `day` of a document is the station's local day.
    """

    def __init__(self, day: date, config: Settings) -> None:
        """Take a day."""
        table = targets.hourly(day).table()
        self._rows = None if table is None else table.filter(pc.equal(table["status"], "ok"))
        self._config = config

    def __len__(self) -> int:
        """Return how many there are."""
        return 0 if self._rows is None else len(self._rows)

    def __iter__(self) -> Iterator[Document]:
        """Make them."""
        for begin in range(0, len(self), _BLOCK):
            assert self._rows is not None
            yield from self._made(self._rows.slice(begin, _BLOCK))

    def _made(self, rows: pa.Table) -> Iterator[Document]:
        columns = {name: rows[name].to_pylist() for name in rows.column_names}
        stations, hours = columns["station"], columns["observed_at"]
        zones = {station: self._config.zone(station) for station in {*stations}}
        texts = {hour: format_hour(hour) for hour in {*hours}}
        local = {(hour, zone): f"{local_date(hour, zone)}" for hour in texts for zone in {*zones.values()}}
        made = {
            "_id": [f"{station}|{texts[hour]}" for station, hour in zip(stations, hours, strict=True)],
            "station": stations,
            "observed_at": hours,
            "day": [local[hour, zones[station]] for station, hour in zip(stations, hours, strict=True)],
            "provisional": [not final for final in columns["final"]],
            "units": [_UNITS] * len(stations),
            **{reading: columns[reading] for reading in NAMES},
            **{f"{reading}_{part}": columns[f"{reading}_{part}"] for reading in NAMES for part in ("flag", "tests")},
            **{f"{pollutant}_raw": columns[f"{pollutant}_raw"] for pollutant in POLLUTANTS},
            **index.levels(columns),
        }
        return (dict(zip(made, values, strict=True)) for values in zip(*made.values(), strict=True))


def local_days(hourly: pa.Table, config: Settings) -> set[date]:
    """Return the days, in the stations' own time, that the readings of an hourly table lie in."""
    ok = hourly.filter(pc.equal(hourly["status"], "ok"))
    zones = {config.zone(station) for station in pc.unique(ok["station"]).to_pylist()}
    return {local_date(hour, zone) for hour in pc.unique(ok["observed_at"]).to_pylist() for zone in zones}


def _daily_document(row: Document, config: Settings, noted: list[str]) -> Document:
    """Return a station's means of one day, corrected only where the operator chose how, and the notes about it."""
    correction = config.station(row["station"]).correction
    return {
        "_id": f"{row['station']}|{row['day']}",
        **row,
        "day": f"{row['day']}",
        "units": UNITS,
        "pm2_5_corrected_mean": row["pm2_5_dry_mean"] if correction == "kappa" else None,
        "pm2_5_correction": correction,
        "notes": noted,
    }


def _coverage_documents(day: date, config: Settings) -> list[Document]:
    """Say how much of a UTC day each station reported, and why not all, also for days without any reading."""
    counts, why = _of_raw_hours(day)
    hourly = targets.hourly(day).table()
    details = views.coverage_details(hourly, config.zones, NAMES) if hourly is not None else {}
    documents = []
    for station, hours in sorted(counts.items()):
        documents.append(
            {
                "_id": f"{station}|{day}",
                "station": station,
                "day": f"{day}",
                **{f"{status}_hours": hours[status] for status in ("ok", "absent", "failed")},
                "reason": why.get(station, ""),
                **details.get(station, {}),
            }
        )
    return documents


def reasons(day: date) -> dict[str, str]:
    """Return for each station that has no reading in some hours of a day the commonest reason."""
    return _of_raw_hours(day).reasons


class _RawHours(NamedTuple):
    """What the raw hours of a UTC day say of each station: its hours by status, and the commonest reason of a gap."""

    counts: dict[str, Counter[str]]
    reasons: dict[str, str]


def _of_raw_hours(day: date) -> _RawHours:
    staged = targets.raw_day(day)
    if "statuses" not in staged.remembered:
        staged.remembered["statuses"] = _count_raw_hours(staged.rows.tables.values())
    found: _RawHours = staged.remembered["statuses"]
    return found


def _count_raw_hours(tables: Iterable[pa.Table]) -> _RawHours:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    gaps: dict[str, Counter[str]] = defaultdict(Counter)
    for table in tables:
        stations, statuses = table["station"].to_pylist(), table["status"].to_pylist()
        for station, status in zip(stations, statuses, strict=True):
            counts[station][status] += 1
        absent = table.filter(pc.not_equal(table["status"], "ok"))
        for station, reason in zip(absent["station"].to_pylist(), absent["reason"].to_pylist(), strict=True):
            gaps[station][reason] += 1
    return _RawHours(dict(counts), {station: of.most_common(1)[0][0] for station, of in gaps.items()})


def revision_document(row: Document) -> Document:
    """Return a row of the ledger as a document."""
    seen = f"{row['seen_at']:%Y-%m-%dT%H:%M:%S}"
    return {
        "_id": f"{row['station']}|{format_hour(row['observed_at'])}|{row['reading']}|{seen}",
        "station": row["station"],
        "observed_at": row["observed_at"],
        "reading": row["reading"],
        "old_reading": row["old"],
        "new_reading": row["new"],
        "seen_at": row["seen_at"],
    }


class Seen:
    """What days say of the stations: of all of them when each was seen first, of its newest which sensors fail."""

    def __init__(self) -> None:
        """Begin without any day."""
        self._first: dict[str, datetime] = {}
        self._newest: pa.Table | None = None

    def add(self, hourly: pa.Table) -> None:
        """Add a day's hourly table, sorted by station and hour; days come in order of time."""
        ok = hourly.filter(pc.equal(hourly["status"], "ok")).select(_SEEN)
        begins = pa.array([begin for begin, _ in runs(ok["station"])], pa.int64())
        of_first = ok.select(["station", "observed_at"]).take(begins)
        for station, hour in zip(*(column.to_pylist() for column in of_first.columns), strict=True):
            self._first.setdefault(station, hour)
        if self._newest is not None:
            stations = of_first["station"].combine_chunks().cast(pa.string())
            rest = self._newest.filter(pc.invert(pc.is_in(self._newest["station"], stations)))
            ok = pa.concat_tables([rest, ok], promote_options="permissive")
        self._newest = ok

    def updates(self, config: Settings) -> list[tuple[Document, Document, bool]]:
        """Return updates by which first and last seen grow and the newest day says which sensors fail, and why.

        They give the same documents in whatever order days are loaded.
        """
        if self._newest is None:
            return []
        stations, hours = self._newest["station"], self._newest["observed_at"]
        flags = {name: self._newest[f"{name}_flag"].to_pylist() for name in NAMES}
        found = {}
        for begin, end in runs(stations):
            faults = {name: of for name, column in flags.items() if (of := fault(column[begin:end]))}
            station, last = stations[begin].as_py(), hours[end - 1].as_py()
            found[station] = _station_updates(station, self._first[station], last, faults, config)
        return [update for _, updates in sorted(found.items()) for update in updates]


_SEEN = ["station", "observed_at", *(f"{name}_flag" for name in NAMES)]


def _station_updates(
    station: str, first: datetime, last: datetime, faults: dict[str, str], config: Settings
) -> list[tuple[Document, Document, bool]]:
    dead = [name for name, fault in faults.items() if fault == "dead"]
    grow = {"$min": {"first_seen_at": first}, "$max": {"last_seen_at": last}}
    judged = {"sensor_faults": faults, "dead_sensors": dead, "dead_as_of": last}
    where = {"_id": station, "$or": [{"dead_as_of": None}, {"dead_as_of": {"$lte": last}}]}
    return [({"_id": station}, grow | {"$set": identity(station, config)}, True), (where, {"$set": judged}, False)]
