"""LoadDay and LoadStations: from staged tables to documents in MongoDB."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

import pyarrow as pa

from airqino import views
from airqino.source import raw
from airqino.stores import mongo
from airqino.times import DAY, day_range, day_start
from tasks import documents, former, notes, targets
from tasks.clean import DayTask
from tasks.daily import DailyMeans
from tasks.documents import Document
from tasks.settings.reading import Settings, settings
from tasks.stage import Stage, exclusive
from tasks.stations import identity, restore_history

#: How long a day left provisional is looked after; what is older is a backfill's.
PROVISIONAL_DAYS = 31

#: Raise when the documents must be loaded anew because their shape changed.
_VERSION = 3


class LoadDay(DayTask):
    """The day's documents in ``hourly_measurements`` and ``daily_averages``, its revisions, and its stations.

    Unit: a day. Complete: the staged tables are, they were loaded as they are now, and as many documents are there
    as were loaded.
    """

    def requires(self) -> DailyMeans:
        """Return the daily means, and through them the hourly tables."""
        return DailyMeans(day=self.day, through=self.through)

    def output(self) -> list[targets.LoadTarget]:
        """Return each day's row in ``loads``."""
        return [_target(day) for day in self.day]

    def complete(self) -> bool:
        """Tell whether the staged tables are complete and MongoDB holds them."""
        return not self.unfinished()

    def unfinished(self) -> set[date]:
        """Return the days whose staged tables are not complete, or that MongoDB does not hold."""
        return self.requires().unfinished() | self._stale().keys()

    @exclusive
    def run(self) -> None:
        """Upsert the documents of the days that are not loaded, then record the loads."""
        if not (stale := self._stale()):
            return
        config, kept = settings(), targets.kept_since()
        database = _prepared_database(config)
        if _restore_ledgers(stale):
            stale = self._stale()
        for document in mongo.find(database, "stations", {"_id": {"$in": list(config.airqino.stations)}}):
            restore_history(document)
        days = {day: documents.of_day(day, config) for day in stale}
        for collection in documents.COLLECTIONS:
            loaded = [document for of_day in days.values() for document in of_day[collection]]
            if collection == "hourly_measurements":
                loaded = [document for document in loaded if document["observed_at"] >= kept]
            mongo.replace(database, collection, loaded)
        measured = [document for of_day in days.values() for document in of_day["hourly_measurements"]]
        mongo.update(database, "stations", documents.station_updates(measured, config))
        # a UTC day touches two local days where a station is not on UTC
        local = {date.fromisoformat(document["day"]) for document in measured}
        mongo.ask(database, lambda db: views.refresh_profiles(db, local, kept.date()))
        targets.record_loads({_target(day): (stale[day], _record(day, of_day)) for day, of_day in days.items()})

    def _stale(self) -> dict[date, str]:
        """Return the days that are not loaded as they are staged, and the fingerprint of what is to be loaded."""
        config, loaded = settings(), _loaded_inputs(self.day)
        stations = [(s, config.zone(s), config.station(s).correction) for s in config.airqino.stations]
        inputs = _inputs(self.day, repr(stations), _VERSION)
        stale = {day: fingerprint for day, fingerprint in inputs.items() if loaded.get(day) != fingerprint}
        if loaded_before := [day for day in stale if day in loaded]:
            then = _inputs(loaded_before, former.then(config)["stations"], former.VERSION)
            stale = {day: fingerprint for day, fingerprint in stale.items() if loaded.get(day) != then.get(day, "")}
        return stale


class LoadStations(Stage):
    """What the configured stations are called and where they are, in ``stations``. A change loads nothing else.

    Unit: all stations. Complete: what the operator and the API say of them is in MongoDB as it is now. A station's
    document is made by `LoadDay`, with its first readings.
    """

    def output(self) -> targets.LoadTarget:
        """Return the row in ``loads``."""
        return targets.LoadTarget("stations")

    def complete(self) -> bool:
        """Tell whether MongoDB holds names and places as they are now."""
        record = self.output().record()
        return record is not None and record["inputs"] == targets.fingerprint(_identities(settings()))

    @exclusive
    def run(self) -> None:
        """Write what is known of the stations that have answered, then record it."""
        config = settings()
        identities, database = _identities(config), _prepared_database(config)
        updates = [({"_id": station}, {"$set": known}, False) for station, known in identities.items()]
        mongo.update(database, "stations", updates)
        content = {"kind": "stations", "documents": len(identities), "former": former.then(config)}
        self.output().write(targets.fingerprint(identities), content)


def _identities(config: Settings) -> dict[str, Document]:
    """Return the identity of each configured station; of one without a history, MongoDB may know more."""
    return {s: identity(s, config) for s in config.airqino.stations if targets.station(s).exists()}


def _prepared_database(config: Settings) -> mongo.Database:
    """Return the database, with its indexes and views."""
    database = targets.database()
    mongo.ensure_indexes(database, config.mongo.retention_days)
    mongo.ask(database, views.ensure_views)
    return database


def _restore_ledgers(days: Iterable[date]) -> bool:
    """Write the ledgers of revisions that were lost from what MongoDB holds; tell whether there were any."""
    lost = sorted(day for day in days if not targets.revisions(day).exists())
    if not lost:
        return False
    span = {"$gte": day_start(lost[0]), "$lt": day_start(lost[-1]) + DAY}
    names = {"old": "old_reading", "new": "new_reading"}
    by_day: dict[date, list[dict[str, Any]]] = defaultdict(list)
    for document in mongo.find(targets.database(), "revisions", {"observed_at": span}):
        row = {name: document[names.get(name, name)] for name in raw.REVISION_SCHEMA.names}
        by_day[row["observed_at"].date()].append(row)
    for day in lost:
        if rows := sorted(by_day[day], key=raw.revision_order):
            targets.revisions(day).write(pa.Table.from_pylist(rows, schema=raw.REVISION_SCHEMA))
    return bool(by_day)


def _target(day: date) -> targets.LoadTarget:
    return targets.LoadTarget(f"day|{day}")


def _inputs(days: Iterable[date], stations: str, version: int) -> dict[date, str]:
    """Return the fingerprint of all that each day's documents are made from."""
    return {
        day: targets.fingerprint(
            [t.fingerprint for t in (targets.hourly(day), targets.daily(day), targets.revisions(day))],
            stations,
            version,
            *([noted] if (noted := notes.of_local_day(day, settings())) else []),
        )
        for day in days
    }


def _loaded_inputs(days: Sequence[date]) -> dict[date, str]:
    """Return what the days were loaded from, of those whose documents are still there.

    A document that was not loaded with the day (of a station-day that is gone from the staged files) stays.
    """
    database, kept = targets.database(), targets.kept_since()
    records = mongo.find_many(database, "loads", [_target(day).load for day in days])
    span, texts = (day_start(days[0]), day_start(days[-1]) + DAY), (f"{days[0]}", f"{days[-1]}~")
    counts = {
        "hourly_documents": mongo.count_by_day(database, "hourly_measurements", "observed_at", *span),
        "daily_documents": mongo.count_by_day(database, "daily_averages", "day", *texts),
        "coverage_documents": mongo.count_by_day(database, "coverage", "day", *texts),
    }
    return {
        day: record["inputs"]
        for day in days
        if (record := records.get(_target(day).load))
        and all(
            by_day.get(f"{day}", 0) >= record[name]
            for name, by_day in counts.items()
            if name != "hourly_documents" or day_start(day) >= kept
        )
    }


def _record(day: date, loaded: dict[str, list[Document]]) -> Document:
    return {
        "kind": "day",
        "day": f"{day}",
        "through": max((row["observed_at"] for row in targets.hourly(day).rows()), default=None),
        "hourly_documents": len(loaded["hourly_measurements"]),
        "daily_documents": len(loaded["daily_averages"]),
        "coverage_documents": len(loaded["coverage"]),
    }


def followers_of(day: date) -> list[date]:
    """Return the days after a day whose flags may depend on it, of those that have been through the pipeline."""
    days = day_range(day + DAY, day + settings().quality.dead_days * DAY)
    return [day for day in days if targets.daily(day).exists()]


def provisional_days(before: date) -> list[date]:
    """Return the loaded days of the month before a day that may still change: a pause of the pipeline left them so."""
    first = before - PROVISIONAL_DAYS * DAY
    where = {"provisional": True, "day": {"$gte": f"{first}", "$lt": f"{before}"}}
    return [date.fromisoformat(day) for day in mongo.distinct(targets.database(), "daily_averages", "day", where)]
