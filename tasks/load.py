"""LoadDay and LoadStations: from staged tables to documents in MongoDB."""

import contextlib
import logging
from collections.abc import Collection, Iterable, Mapping
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from airqino import views
from airqino.stores import indexes, mongo, writes
from airqino.stores.encoded import Content
from airqino.times import DAY, day_range, day_start
from tasks import documents, notes, targets
from tasks.asked import asked_once, look_again
from tasks.clean import DayTask
from tasks.daily import DailyMeans
from tasks.documents import Document
from tasks.ledgers import restore_ledgers
from tasks.settings.reading import Settings, settings
from tasks.stage import Stage, exclusive
from tasks.staged import refuse_damaged
from tasks.stations import identity, restore_history, shore_around
from tasks.stored import Lost, differences, is_as_recorded, kept, lost, stored_of, tell
from tasks.versions import VERSION

log = logging.getLogger("airqino.load")

#: How long a day left provisional is looked after; what is older is a backfill's.
PROVISIONAL_DAYS = 31


class LoadDay(DayTask):
    """The day's documents in ``hourly_measurements`` and ``daily_averages``, its revisions, and its stations.

    Unit: a day. Complete: the staged tables are, they were loaded as they are now, by this version, and the documents
    are there: as many as were loaded, and of today and yesterday exactly those. `VerifyDocuments` looks at the others.
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
        return self.requires().unfinished() | self._stale()

    @exclusive
    def run(self) -> None:
        """Upsert the documents of the days that are not loaded, then record the loads."""
        if not (stale := self._stale()):
            return
        restore_ledgers(stale)
        look_again()
        stale = self._stale()
        for day in sorted(loaded_days(stale)):
            tell(day, differences(day, settings()))
        load_days(stale, self.is_forced)

    @asked_once
    def _stale(self) -> set[date]:
        """Return the days that are not loaded as they are staged."""
        return {*self.day} if self.is_forced else {*self.day} - _there(_loads(self.day))


def load_days(days: Collection[date], is_forced: bool = False) -> None:
    """Write the documents that the staged tables of some days make, then record the loads.

    Means that rest on more readings than are staged any more stay as they are, unless `is_forced`.

    Raises:
        MongoError: MongoDB cannot be reached or refuses.
    """
    if not days:
        return
    config, kept_since = settings(), targets.kept_since()
    database = _prepared_database(config)
    for document in mongo.find(database, "stations", {"_id": {"$in": list(config.airqino.stations)}}):
        restore_history(document)
    refuse_damaged(of(day) for day in sorted(days) for of in (targets.hourly, targets.daily))
    inputs = _inputs(days)
    gone = Lost({}, set()) if is_forced else lost(days)
    for day in sorted(gone.means & {*days}):
        cure = f"scripts/rerun LoadDay --day {day} --force replaces them"
        log.warning("%s: its means rest on readings that are not staged any more, and stay as they are; %s", day, cure)
    records, seen, local = dict[date, Document](), documents.Seen(), set[date]()
    for day in sorted(days):
        table = targets.hourly(day).table()
        records[day] = _load(day, table, database, gone, config)
        if table is not None:
            seen.add(table)
            local |= documents.local_days(table, config)  # two where a station is not on UTC
    writes.update(database, "stations", seen.updates(config))
    mongo.build(database, lambda db: views.refresh_profiles(db, local, kept_since.date()))
    targets.record_loads({_target(day): (inputs[day], record) for day, record in records.items()})


def _load(day: date, hourly: pa.Table | None, database: mongo.Database, gone: Lost, config: Settings) -> Document:
    """Write a day's documents; return what is to be recorded of them."""
    counts, contents = dict[str, int](), dict[str, int]()
    for name, of in documents.of_day(day, config).items():
        counts[name] = len(of)
        if not gone.leaves(name, day):
            total = Content()
            writes.replace(database, name, kept(name, of), stored_of(name, day), total)
            contents[name] = total.sum
    return {
        "kind": "day",
        "day": f"{day}",
        "version": VERSION,
        "through": None if hourly is None else pc.max(hourly["observed_at"]).as_py(),
        "hourly_documents": counts["hourly_measurements"],
        "readings": gone.readings.get(day, counts["hourly_measurements"]),  # that the means rest on
        "daily_documents": counts["daily_averages"],
        "coverage_documents": counts["coverage"],
        "contents": contents,
    }


def loaded_days(days: Iterable[date]) -> set[date]:
    """Return which of some days are recorded as loaded, by this version, from the staged tables as they are now."""
    return {*_loads(days)}


class LoadStations(Stage):
    """What the configured stations are called and where they are, in ``stations``. A change loads nothing else.

    Beside it the shore around them, on the public page's map, in ``outlines``. Unit: all stations. Complete: what the
    operator, the API and the map say is in MongoDB as it is now. A station's document is made by `LoadDay`, with its
    first readings.
    """

    def output(self) -> targets.LoadTarget:
        """Return the row in ``loads``."""
        return targets.LoadTarget("stations")

    @asked_once
    def complete(self) -> bool:
        """Tell whether MongoDB holds names and places as they are now."""
        record = {} if self.is_forced else self.output().record() or {}
        return record.get("inputs") == _stations_fingerprint(_identities(settings()), settings())

    @exclusive
    def run(self) -> None:
        """Write what is known of the stations that have answered, then record it."""
        config = settings()
        identities, database = _identities(config), _prepared_database(config)
        updates = [({"_id": station}, {"$set": known}, False) for station, known in identities.items()]
        writes.update(database, "stations", updates)
        writes.replace(
            database, views.OUTLINES, [{"_id": "shore", "points": shore_around(identities.values(), config)}]
        )
        content = {"kind": "stations", "documents": len(identities)}
        self.output().write(_stations_fingerprint(identities, config), content)


def _identities(config: Settings) -> dict[str, Document]:
    """Return the identity of each configured station; of one without a history, MongoDB may know more."""
    return {s: identity(s, config) for s in config.airqino.stations if targets.station(s).exists()}


def _stations_fingerprint(identities: dict[str, Document], config: Settings) -> str:
    """Return the fingerprint of what `LoadStations` writes: an edited map counts as another, and so does a move."""
    return targets.fingerprint(identities, shore_around(identities.values(), config))


def _prepared_database(config: Settings) -> mongo.Database:
    """Return the database, with its indexes and views."""
    database = targets.database()
    indexes.ensure_indexes(database, config.mongo.retention_days)
    mongo.build(database, views.ensure_views)
    return database


def _target(day: date) -> targets.LoadTarget:
    return targets.LoadTarget(f"day|{day}")


def _inputs(days: Iterable[date]) -> dict[date, str]:
    """Return the fingerprint of all that each day's documents are made from."""
    config = settings()
    stations = [(s, config.zone(s), config.station(s).correction) for s in config.airqino.stations]
    tables = (targets.hourly, targets.daily, targets.revisions)
    return {
        day: targets.fingerprint(
            [of(day).fingerprint for of in tables],
            documents.reasons(day),
            stations,
            VERSION,
            *([noted] if (noted := notes.of_local_day(day, config)) else []),
        )
        for day in days
    }


def _loads(days: Iterable[date]) -> dict[date, Document]:
    """Return the rows in ``loads`` of the days that were loaded from the staged tables as they are now."""
    inputs = _inputs(days)
    records = mongo.find_many(targets.database(), "loads", [_target(day).load for day in inputs])
    found = {day: records.get(_target(day).load, {}) for day in inputs}
    return {day: record for day, record in found.items() if record.get("inputs") == inputs[day]}


def _there(loads: Mapping[date, Document]) -> set[date]:
    """Return the days, of those that are recorded as loaded, whose documents are there.

    Those of today and yesterday are compared, once in a run, of others counted. A document that was not loaded with
    the day (of a station-day that is gone from the staged files) stays.
    """
    config, since, database = settings(), targets.kept_since(), targets.database()
    compared = {day for day in loads if day >= config.last_hour.date() - DAY}
    there = {day for day in compared if _is_there(day, loads[day], config)}
    if not (others := sorted(loads.keys() - compared)):
        return there
    span, texts = (day_start(others[0]), day_start(others[-1]) + DAY), (f"{others[0]}", f"{others[-1]}~")
    counts = {
        "hourly_documents": mongo.count_by_day(database, "hourly_measurements", "observed_at", *span),
        "daily_documents": mongo.count_by_day(database, "daily_averages", "day", *texts),
        "coverage_documents": mongo.count_by_day(database, "coverage", "day", *texts),
    }
    return there | {
        day
        for day in others
        if all(
            _at_least(by_day.get(f"{day}", 0), loads[day].get(name))
            for name, by_day in counts.items()
            if name != "hourly_documents" or day_start(day) >= since
        )
    }


#: Days whose documents this run has found to be as they were meant, and the inputs that these were made from.
_found_there: dict[date, tuple[Settings, str]] = {}


def _is_there(day: date, record: Document, config: Settings) -> bool:
    """Tell whether a day's documents are as they were meant; once that was found, a run does not look again."""
    inputs = record["inputs"]
    if (known := _found_there.get(day)) and known[0] is config and known[1] == inputs:
        return True
    found = is_as_recorded(day, record) or all(of.kind == "foreign" for of in differences(day, config))
    if found:
        _found_there[day] = config, inputs
    return found


def _at_least(count: int, recorded: Any) -> bool:
    """Tell whether as many documents are there as the record says; one that somebody made illegible says nothing."""
    return isinstance(recorded, int) and count >= recorded


def neighbours_of(first: date, last: date) -> list[date]:
    """Return the days around a range whose flags may depend on it, of those that have been through the pipeline.

    They are the day before, whose last hour is compared with the next one, and the days whose past it is.
    """
    after = day_range(last + DAY, last + settings().quality.dead_days * DAY)
    return [day for day in (first - DAY, *after) if targets.daily(day).exists()]


def provisional_days(before: date) -> list[date]:
    """Return the loaded days of the month before a day that may still change: a pause of the pipeline left them so."""
    first = before - PROVISIONAL_DAYS * DAY
    where = {"provisional": True, "day": {"$gte": f"{first}", "$lt": f"{before}"}}
    found = mongo.ask(targets.database(), lambda db: db["daily_averages"].distinct("day", where))
    days = (day for text in found if (day := _day(text)) is not None)
    return sorted(day for day in days if first <= day < before)


def _day(text: object) -> date | None:
    """Return a day as our documents name it; None of what else stands in its place."""
    with contextlib.suppress(ValueError):
        day = date.fromisoformat(f"{text}")
        return day if text == f"{day}" else None
    return None
