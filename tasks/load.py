"""LoadDay: from staged tables to documents in MongoDB."""

from collections import Counter
from datetime import date
from typing import Any

import luigi

from tasks import dashboard, targets
from tasks.clean import DayTask
from tasks.config import Settings, settings
from tasks.daily import DailyMeans
from tasks.hours import DAY, day_start, format_hour
from tasks.science.means import local_date
from tasks.science.quality import READINGS
from tasks.stores import mongo

Document = dict[str, Any]

#: How long a day left provisional is looked after; what is older is a backfill's.
PROVISIONAL_DAYS = 31

#: Raise when the shape of the documents changes.
_VERSION = 2


class LoadDay(DayTask):
    """The day's documents in ``hourly_measurements`` and ``daily_averages``, its revisions, and its stations.

    Unit: a day. Complete: the staged tables are, they were loaded as they are now, and as many documents are there
    as were loaded.
    """

    def requires(self) -> luigi.Task:
        """The daily means, and through them the hourly table."""
        return DailyMeans(day=self.day, through=self.through)

    def output(self) -> targets.LoadTarget:
        """The row in ``loads``."""
        return targets.LoadTarget(f"day|{self.day}")

    def complete(self) -> bool:
        """Whether the staged tables are complete and MongoDB holds them."""
        return self.requires().complete() and self._is_loaded()

    def run(self) -> None:
        """Upsert the documents, then record the load."""
        config, database = settings(), targets.database()
        hourly, daily = targets.hourly(self.day).rows(), targets.daily(self.day).rows()
        measured = [_hourly_document(row, config) for row in hourly if row["status"] == "ok"]
        mongo.ensure_indexes(database, config.mongo.retention_days)
        mongo.ask(database, dashboard.ensure_views)
        kept = targets.kept_since()
        mongo.replace(database, "hourly_measurements", [d for d in measured if d["observed_at"] >= kept])
        mongo.replace(database, "daily_averages", [_daily_document(row, config) for row in daily])
        coverage = _coverage_documents(self.day, hourly, config)
        mongo.replace(database, "coverage", coverage)
        mongo.replace(database, "revisions", [_revision_document(r) for r in targets.revisions(self.day).rows()])
        mongo.update(database, "stations", _station_updates(measured, config))
        # a UTC day touches two local days where a station is not on UTC
        days = {date.fromisoformat(document["day"]) for document in measured}
        mongo.ask(database, lambda db: dashboard.refresh_profiles(db, days, kept.date()))
        self.output().write(self._inputs(), self._record(hourly, len(measured), len(daily), len(coverage)))

    def _inputs(self) -> str:
        config = settings()
        staged = [targets.hourly(self.day), targets.daily(self.day), targets.revisions(self.day)]
        stations = [(s, config.station(s)) for s in config.airqino.stations]
        return targets.fingerprint([t.fingerprint for t in staged], repr(stations), _VERSION)

    def _is_loaded(self) -> bool:
        record, database, start = self.output().record(), targets.database(), day_start(self.day)
        return (
            record is not None
            and record["inputs"] == self._inputs()
            # a document more than we loaded (of a station-day that is gone from the staged files) stays
            and (
                start < targets.kept_since()
                or mongo.count(database, "hourly_measurements", "observed_at", start, start + DAY)
                >= record["hourly_documents"]
            )
            and mongo.count(database, "daily_averages", "day", f"{self.day}", f"{self.day}~")
            >= record["daily_documents"]
            and mongo.count(database, "coverage", "day", f"{self.day}", f"{self.day}~") >= record["coverage_documents"]
        )

    def _record(self, hourly: list[Document], measured: int, means: int, coverage: int) -> Document:
        return {
            "kind": "day",
            "day": f"{self.day}",
            "through": max((row["observed_at"] for row in hourly), default=None),
            "hourly_documents": measured,
            "daily_documents": means,
            "coverage_documents": coverage,
        }


def _hourly_document(row: Document, config: Settings) -> Document:
    """A station's readings of one hour; `day` is the station's local day."""
    station, at = row["station"], row["observed_at"]
    return {
        "_id": f"{station}|{format_hour(at)}",
        "station": station,
        "station_name": station_name(station, config),
        "observed_at": at,
        "day": f"{local_date(at, config.zone(station))}",
        "provisional": not row["final"],
        **{name: row[name] for name in READINGS},
        **{f"{name}_flag": row[f"{name}_flag"] for name in READINGS},
    }


def _daily_document(row: Document, config: Settings) -> Document:
    key, name = f"{row['station']}|{row['day']}", station_name(row["station"], config)
    return {"_id": key, **row, "station_name": name, "day": f"{row['day']}"}


def _coverage_documents(day: date, hourly: list[Document], config: Settings) -> list[Document]:
    """How much of a UTC day each station reported, and why not all: also for days without any reading."""
    rows = [row for of_hour in targets.raw_day(day).rows.values() for row in of_hour.values()]
    details = dashboard.coverage_details(
        hourly, {row["station"]: config.zone(row["station"]) for row in hourly}, READINGS
    )
    documents = []
    for station in sorted({row["station"] for row in rows}):
        counts = Counter(row["status"] for row in rows if row["station"] == station)
        reasons = Counter(row["reason"] for row in rows if row["station"] == station and row["status"] != "ok")
        documents.append(
            {
                "_id": f"{station}|{day}",
                "station": station,
                "station_name": station_name(station, config),
                "day": f"{day}",
                **{f"{status}_hours": counts[status] for status in ("ok", "absent", "failed")},
                "reason": reasons.most_common(1)[0][0] if reasons else "",
                **details.get(station, {}),
            }
        )
    return documents


def station_name(station: str, config: Settings) -> str:
    """The operator's name for a station, else the API's, else its id."""
    return str(_identity(station, config)["name"])


def _revision_document(row: Document) -> Document:
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


def _station_updates(measured: list[Document], config: Settings) -> list[tuple[Document, Document, bool]]:
    """First and last seen grow; which sensors are dead is taken from the newest day, in whatever order days come."""
    updates: list[tuple[Document, Document, bool]] = []
    for station in sorted({document["station"] for document in measured}):
        rows = [document for document in measured if document["station"] == station]
        first, last = min(r["observed_at"] for r in rows), max(r["observed_at"] for r in rows)
        dead = [name for name in READINGS if any(r[f"{name}_flag"] == "dead" for r in rows)]
        grow = {"$min": {"first_seen_at": first}, "$max": {"last_seen_at": last}, "$set": _identity(station, config)}
        newest = {"_id": station, "$or": [{"dead_as_of": None}, {"dead_as_of": {"$lte": last}}]}
        updates.append(({"_id": station}, grow, True))
        updates.append((newest, {"$set": {"dead_sensors": dead, "dead_as_of": last}}, False))
    return updates


def _identity(station: str, config: Settings) -> Document:
    """Name, place and time zone: what the operator says, else what the API says."""
    told = next(iter(targets.station(station).rows()), {})
    ours = config.station(station)
    return {
        "name": ours.name or told.get("name") or station,
        "latitude": ours.latitude if ours.latitude is not None else told.get("latitude"),
        "longitude": ours.longitude if ours.longitude is not None else told.get("longitude"),
        "time_zone": ours.time_zone,
    }


def provisional_days(before: date) -> list[date]:
    """The loaded days of the month before a day that may still change: a pause of the pipeline left them behind."""
    first = before - PROVISIONAL_DAYS * DAY
    found = mongo.distinct(
        targets.database(),
        "daily_averages",
        "day",
        {"provisional": True, "day": {"$gte": f"{first}", "$lt": f"{before}"}},
    )
    return [date.fromisoformat(day) for day in found]
