"""Ledgers of revisions made from their documents, where they were lost."""

import contextlib
import logging
from collections import defaultdict
from collections.abc import Collection
from datetime import date, datetime
from typing import Any

import pyarrow as pa

from airqino.source import raw
from airqino.stores import mongo
from airqino.stores.encoded import encoded
from airqino.times import DAY, day_start
from tasks import documents, targets
from tasks.documents import Document
from tasks.fetch import FetchHour
from tasks.settings.reading import settings
from tasks.stage import alone

__all__ = ["restore_ledgers"]

log = logging.getLogger("airqino.staging")


def restore_ledgers(days: Collection[date]) -> None:
    """Add to the ledgers of revisions what MongoDB holds of theirs and they lack: one was lost.

    Another may be there in its place, begun by the next revision before anybody saw that it was gone.
    """
    if not days:
        return
    known = {day: {_key(row) for row in targets.revisions(day).rows()} for day in days}
    span = {"$gte": day_start(min(days)), "$lt": day_start(max(days)) + DAY}
    where = {"observed_at": span, "station": {"$in": list(settings().airqino.stations)}}
    there, gone = defaultdict[date, set[str]](set), defaultdict[date, list[Document]](list)
    for document in mongo.find(targets.database(), "revisions", where):
        key, at = document["_id"], document["observed_at"]  # of a document that is none of ours several, as a list
        if isinstance(key, str) and isinstance(at, datetime) and (day := at.date()) in known:
            there[day].add(key)
            if key not in known[day] and (row := _revision(document)):
                gone[day].append(row)
    if gone:
        with alone(FetchHour.__name__):  # which writes the same files
            for day, rows in sorted(gone.items()):
                _add_to_ledger(day, rows, there[day])


def _key(revision: Document) -> str:
    return str(documents.revision_document(revision)["_id"])


def _revision(document: Document) -> Document | None:
    """Return the row of a ledger that a document was made of; None where no row of ours makes it."""
    names = {"old": "old_reading", "new": "new_reading"}
    with contextlib.suppress(KeyError, TypeError, ValueError):
        row = {name: document[names.get(name, name)] for name in raw.REVISION_SCHEMA.names}
        if encoded(documents.revision_document(row)) == encoded(document):
            pa.Table.from_pylist([row], schema=raw.REVISION_SCHEMA)
            return row
    return None


def _add_to_ledger(day: date, revisions: list[Document], loaded: set[str]) -> None:
    """Add revisions to a day's ledger; one that tells of a change again, and is not `loaded` yet, goes."""
    staged = targets.revisions(day).rows()
    newest, rows = dict[tuple[Any, ...], float | None](), list[Document]()
    for row in sorted([*staged, *revisions], key=raw.revision_order):
        key = row["station"], row["observed_at"], row["reading"]
        if key not in newest or newest[key] != row["new"] or _key(row) in loaded:
            rows.append(row)
        newest[key] = row["new"]
    targets.revisions(day).write(pa.Table.from_pylist(rows, schema=raw.REVISION_SCHEMA))
    log.warning("%s: revisions were gone from the staging root: restored from MongoDB", day)
