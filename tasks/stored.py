"""What MongoDB holds of a day, against what was meant: the documents that its staged tables make.

Documents are compared as they are stored, byte by byte, so that a value of another type, a field more or another order
counts. What was not written by this pipeline is left alone, but told where it poses as a document of ours.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from datetime import date
from typing import Literal, NamedTuple

from airqino.stores import mongo, writes
from airqino.stores.encoded import encoded, mark
from airqino.times import DAY, day_start
from tasks import documents, targets
from tasks.documents import Document
from tasks.settings.reading import Settings, settings

__all__ = [
    "Difference", "Lost", "compare", "counted", "differences", "is_as_recorded", "kept", "lost", "stored_of", "tell",
]  # fmt: skip

log = logging.getLogger("airqino.load")


class Lost(NamedTuple):
    """What was loaded of some days and is not staged any more; no load replaces what rests on it.

    Attributes:
        readings: UTC days of which fewer station-hours have a reading than were loaded, and how many those were.
        means: Days, in the stations' own time, whose means rest on such a day.
    """

    readings: dict[date, int]
    means: set[date]

    def leaves(self, collection: str, day: date) -> bool:
        """Tell whether a day's documents in a collection are to stay as they are."""
        return day in {"daily_averages": self.means, "coverage": self.readings}.get(collection, ())


class Difference(NamedTuple):
    """A document that is not what was meant.

    Attributes:
        collection: Where it is, or should be.
        kind: ``missing``, ``changed``, or ``foreign``: of a day and station of ours, but none that we wrote.
        key: Its ``_id``; of a foreign one of any type.
    """

    collection: str
    kind: Literal["missing", "changed", "foreign"]
    key: object


def differences(day: date, config: Settings) -> list[Difference]:
    """Compare a day's documents with what its staged tables make; those must be of this version.

    Hourly documents that may have expired are not asked for, nor those of the whole day where less is staged now.

    Raises:
        MongoError: MongoDB does not answer.
    """
    meant = documents.of_day(day, config)
    gone = lost([day])
    return [
        difference
        for name in documents.COLLECTIONS
        if not gone.leaves(name, day)
        for difference in compare(name, stored_of(name, day), kept(name, meant[name]), config.airqino.stations)
    ]


def is_as_recorded(day: date, record: Document) -> bool:
    """Tell whether MongoDB holds of a day just what its load wrote, by the sums in its record: no document is made.

    Raises:
        MongoError: MongoDB does not answer.
    """
    sums = record.get("contents")  # of a load of 0.8.0 or before there are none, nor of one that left something
    if not isinstance(sums, dict) or sums.keys() != {*documents.COLLECTIONS}:
        return False
    database = targets.database()
    return all(writes.content(database, name, stored_of(name, day)) == total for name, total in sums.items())


def stored_of(collection: str, day: date) -> Document:
    """Return the filter of a day's documents in a collection; of hours those that have not expired."""
    start, stop = day_start(day), day_start(day) + DAY
    if collection == "hourly_measurements":
        return {"observed_at": {"$gte": max(start, targets.kept_since()), "$lt": stop}}
    return {"observed_at": {"$gte": start, "$lt": stop}} if collection == "revisions" else {"day": f"{day}"}


def lost(days: Collection[date]) -> Lost:
    """Return what of some days is lost: the staging root was, and neither MongoDB nor the source has all of it.

    Raises:
        MongoError: MongoDB does not answer.
    """
    around = targets.lies_in(days)
    loads = {day: f"day|{day}" for day in sorted({d for of in around.values() for d in of})}
    records = mongo.find_many(targets.database(), "loads", [*loads.values()])
    found = {day: records.get(load, {}) for day, load in loads.items()}
    loaded = {day: of.get("readings", of.get("hourly_documents")) for day, of in found.items()}  # 0.7.0 wrote the other
    readings = {day: n for day, n in loaded.items() if isinstance(n, int) and n > _readings(day)}
    return Lost(readings, {day for day, of in around.items() if readings.keys() & {*of}})


def _readings(day: date) -> int:
    """Return how many station-hours of a UTC day have a reading, by its table."""
    table = targets.hourly(day).table()
    return 0 if table is None else table["status"].to_pylist().count("ok")


def kept(collection: str, of_day: Iterable[Document]) -> Iterable[Document]:
    """Return the documents that MongoDB keeps: with `retention_days` not the hours before them."""
    if collection != "hourly_measurements" or not settings().mongo.retention_days:
        return of_day
    since = targets.kept_since()
    return (document for document in of_day if document["observed_at"] >= since)


def compare(collection: str, where: Document, meant: Iterable[Document], stations: Collection[str]) -> list[Difference]:
    """Compare the documents that fit a filter with those that were meant.

    Args:
        collection: The collection.
        where: The filter, which all that are meant fit.
        meant: The documents.
        stations: Stations that are ours, beside those of `meant`. The documents of others are not foreign, but theirs.

    Returns:
        What differs; in no order.
    """
    database, ours = targets.database(), {*stations}
    awaited: dict[bytes, str] = {}
    for document in meant:
        awaited[mark(encoded(document))] = document["_id"]
        ours.add(document["station"])
    others, missing = writes.unlike(database, collection, where, awaited)
    keys = {*missing}
    changed = keys & {document["_id"] for document in others if isinstance(document["_id"], str)}
    changed |= mongo.existing(database, collection, sorted(keys - changed))  # which the filter does not find any more
    foreign = [
        document["_id"]
        for document in others
        if not (isinstance(document["_id"], str) and document["_id"] in keys)
        and (not isinstance(document.get("station"), str) or document["station"] in ours)
    ]
    return [
        *(Difference(collection, "missing", key) for key in keys - changed),
        *(Difference(collection, "changed", key) for key in changed),
        *(Difference(collection, "foreign", key) for key in foreign),
    ]


def counted(found: Iterable[Difference]) -> str:
    """Say what differs, by collection: ``daily_averages: 1 missing, 2 changed``."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for difference in found:
        counts[difference.collection][difference.kind] += 1
    of = (f"{name}: {', '.join(f'{n} {kind}' for kind, n in kinds.items())}" for name, kinds in sorted(counts.items()))
    return "; ".join(of)


def tell(day: date, found: Collection[Difference]) -> None:
    """Log what was found of a day, and what was done about it: all but foreign documents is loaded again."""
    own = [difference for difference in found if difference.kind != "foreign"]
    if own:
        log.warning("%s: not as it was loaded, and loaded again: %s", day, counted(own))
    if foreign := [difference for difference in found if difference.kind == "foreign"]:
        first, cure = foreign[0], 'see docs/on-call.md, "Documents that are not ours"'
        text = f"{counted(foreign)}, such as {first.key!r:.80}; {cure}"
        log.warning("%s: documents of our stations that we did not write: %s", day, text)
