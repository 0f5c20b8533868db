"""Documents with a deterministic ``_id``: compared as they are stored with what was meant, and written."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from bson.raw_bson import RawBSONDocument
from pymongo import ReplaceOne, UpdateOne
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

from airqino.stores.encoded import Content, decoded, encoded, mark, split
from airqino.stores.mongo import Database, ask

__all__ = ["BLOCK", "content", "replace", "unlike", "update"]

T = TypeVar("T")
Document = dict[str, Any]

#: Documents that are written at a time: 10 MB of hours.
BLOCK = 5000
#: The server's code for an ``_id`` that there is.
_DUPLICATE = 11000


def unlike(db: Database, collection: str, where: Document, meant: Mapping[bytes, T]) -> tuple[list[Document], list[T]]:
    """Compare the documents that fit with those that were meant, as they are stored, whatever is in them.

    Equal bytes are equal documents, in values, types and order of fields.

    Args:
        db: The database.
        collection: The collection.
        where: The filter.
        meant: By `mark` of a document as it was meant, what stands for it.

    Returns:
        Of the documents that are stored and not meant ``_id`` and ``station``, and what stands for those that are
        meant and not stored.
    """

    def look(db: Database) -> tuple[list[Document], list[T]]:
        rest, others = dict(meant), list[Document]()
        for found in _raw(db, collection, where):
            if (key := mark(found)) in rest:
                del rest[key]
            else:
                others.append(_named(decoded(found)))
        return others, list(rest.values())

    return ask(db, look)


def _named(document: Document) -> Document:
    return {name: document[name] for name in ("_id", "station") if name in document}


def content(db: Database, collection: str, where: Document) -> int:
    """Return the `Content` of the documents that fit, as they are stored."""

    def look(db: Database) -> int:
        found = Content()
        for document in _raw(db, collection, where):
            found.add(document)
        return found.sum

    return ask(db, look)


def _raw(db: Database, collection: str, where: Document) -> Iterator[bytes]:
    """Yield the documents that fit, as they are stored."""
    batches: Iterable[Any] = db[collection].find_raw_batches(where)  # bytes, whatever its type says
    return itertools.chain.from_iterable(map(split, batches))


def replace(
    db: Database,
    collection: str,
    documents: Iterable[Document],
    where: Document | None = None,
    total: Content | None = None,
) -> int:
    """Write documents, each replacing the one with its ``_id`` or new; those that are stored so are left alone.

    Args:
        db: The database.
        collection: The collection.
        documents: The documents, each once; they are taken in blocks.
        where: A filter that those fit, as far as they are stored: where nothing fits it, none is looked for.
        total: What all of them are added to.

    Returns:
        How many are as they were meant now.

    Raises:
        MongoError: The server cannot be reached or refused.
    """
    count, rest = 0, iter(documents)
    block = list(itertools.islice(rest, BLOCK))
    all_new = bool(block) and where is not None and not ask(db, lambda db: db[collection].find_one(where, {"_id": 1}))
    while block:
        meant = {document["_id"]: encoded(document) for document in block}
        _write(db, collection, meant, all_new)
        if total is not None:
            for document in meant.values():
                total.add(document)
        count += len(block)
        block = list(itertools.islice(rest, BLOCK))
    return count


def _write(db: Database, collection: str, documents: dict[str, bytes], all_new: bool) -> None:
    """Write the documents that are not stored as they are meant."""
    changed = set[str]()
    if not all_new:
        meant = {mark(document): key for key, document in documents.items()}
        others, missing = unlike(db, collection, {"_id": {"$in": list(documents)}}, meant)
        changed = {document["_id"] for document in others}
        documents = {key: documents[key] for key in missing}
    new = [key for key in documents if key not in changed]
    replaced = [key for key in documents if key in changed]
    raw = {key: RawBSONDocument(document) for key, document in documents.items()}
    if new:
        replaced += ask(db, lambda db: _insert(db[collection], {key: raw[key] for key in new}))
    if replaced:
        replacements: list[Any] = [ReplaceOne({"_id": key}, raw[key], upsert=True) for key in replaced]
        ask(db, lambda db: db[collection].bulk_write(replacements, ordered=False))


def _insert(collection: Collection[Any], documents: Mapping[str, RawBSONDocument]) -> list[str]:
    """Insert documents; return the ``_id`` that there are, such as of a try that a failover broke off."""
    try:
        collection.insert_many(documents.values(), ordered=False)
    except BulkWriteError as error:
        keys, errors = list(documents), error.details.get("writeErrors", [])
        there = [keys[of["index"]] for of in errors if of["code"] == _DUPLICATE]
        if len(there) < len(errors) or error.details.get("writeConcernErrors"):
            raise
        return there
    return []


def update(db: Database, collection: str, updates: Sequence[tuple[Document, Document, bool]]) -> None:
    """Apply (filter, update, upsert) triples, in order; what they do must be harmless to do twice."""
    if updates:
        ask(db, lambda db: db[collection].bulk_write([UpdateOne(f, u, upsert=upsert) for f, u, upsert in updates]))
