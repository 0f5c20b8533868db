"""MongoDB: documents with a deterministic ``_id``, written where they differ, acknowledged by a majority.

No call waits for ever: for the members to confirm a write as long as a failover may take, for any request ten times as
long. Clients do not survive a fork, so each process opens its own.
"""

import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar

import pymongo
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient, ReadPreference, ReplaceOne, UpdateOne
from pymongo.collection import Collection
from pymongo.database import Database as _Database
from pymongo.errors import AutoReconnect, BulkWriteError, PyMongoError, ServerSelectionTimeoutError

from airqino.errors import MongoError
from airqino.stores import refusals
from airqino.stores.encoded import Content, decoded, encoded, mark, split

__all__ = [
    "BLOCK", "Database", "ask", "build", "collections", "content", "count", "count_by_day", "database", "distinct",
    "existing", "find", "find_many", "find_one", "newest", "ping", "replace", "unlike", "update",
]  # fmt: skip

T = TypeVar("T")
Document = dict[str, Any]

#: After a server could not be found, this many seconds pass before it is looked for again in the same process.
_PATIENCE = 30
_unreachable: dict[int, tuple[float, str]] = {}
#: Clients (by id) that have found a server.
_met: set[int] = set()
#: How many times as long as a failover one request may take, unless something else is said.
_LONGEST = 10
#: Documents that are written at a time: 10 MB of hours.
BLOCK = 5000
#: The server's code for an ``_id`` that there is.
_DUPLICATE = 11000
#: Seconds between two tries during a failover.
_BREATH = 0.2
Database = _Database[Document]


def database(
    uri: str,
    name: str,
    timeout: float = 5.0,
    failover: float = 30.0,
    *,
    tls_ca_file: str = "",
    tls_certificate_key_file: str = "",
    longest: float | None = None,
) -> Database:
    """Return the database, connected by this process's own client.

    Args:
        uri: Connection string.
        name: The database.
        timeout: Seconds to look for a server at first.
        failover: Seconds to wait, once a server has answered, for a new primary or for the server to be back; and for
            a majority of the members to confirm a write.
        tls_ca_file: PEM file of the CA that signed the servers' certificates; given, TLS is on.
        tls_certificate_key_file: PEM file of our own certificate and its key; given, TLS is on.
        longest: Seconds that one request may take; None is ten times as long as a failover: an index of years of hours
            takes minutes.

    Returns:
        The database; nothing was sent yet.

    Raises:
        MongoError: The connection string or a TLS file is wrong.
    """
    limits = timeout, failover, _LONGEST * failover if longest is None else longest
    return _client(os.getpid(), uri, limits, tls_ca_file, tls_certificate_key_file)[name]


@lru_cache(maxsize=4)
def _client(
    _pid: int, uri: str, limits: tuple[float, float, float], ca_file: str, certificate_key_file: str
) -> MongoClient[Document]:
    timeout, failover, longest = limits
    files: dict[str, Any] = {"tlsCAFile": ca_file, "tlsCertificateKeyFile": certificate_key_file}
    try:
        client: MongoClient[Document] = MongoClient(
            uri,
            serverSelectionTimeoutMS=int(failover * 1000),
            connectTimeoutMS=int(timeout * 1000),
            socketTimeoutMS=int(longest * 1000),  # of a server that is gone without a word
            w="majority",
            wTimeoutMS=int(failover * 1000),  # else a set whose members do not follow makes us wait for ever
            retryWrites=True,
            tz_aware=True,
            # in documents of others a moment beyond Python's and bytes that are no text are no error
            datetime_conversion="DATETIME_AUTO",
            unicode_decode_error_handler="replace",
            appname="airqino-pipeline",
            **{option: path for option, path in files.items() if path},
        )
    except (PyMongoError, ValueError, OSError) as error:
        raise MongoError(refusals.explain_settings(error)) from None
    _met.discard(id(client))  # of a client that is gone
    _unreachable.pop(id(client), None)
    return client


def ask(db: Database, work: Callable[[Database], T]) -> T:
    """Ask something of a database, again when a failover breaks it off: so it must be harmless to do it twice.

    Args:
        db: The database.
        work: What to do with it.

    Returns:
        What `work` does.

    Raises:
        MongoError: No server can be reached, or it refuses.
    """
    client = id(db.client)
    missing_since, reason = _unreachable.get(client, (-_PATIENCE, ""))
    if time.monotonic() - missing_since < _PATIENCE:
        raise MongoError(reason)  # found out a moment ago: do not wait again
    try:
        if client not in _met:
            _meet(db)
            _met.add(client)
        return _through_a_failover(db, work)
    except (PyMongoError, BSONError) as error:
        servers = db.client.topology_description.server_descriptions()
        hosts = ",".join(f"{host}:{port}" for host, port in servers)
        where = refusals.without_credentials(f"mongodb://{hosts}/{db.name}")
        reason = refusals.explain(f"MongoDB at {where}", error, refusals.server_errors(servers.values()))
        if isinstance(error, ServerSelectionTimeoutError) or refusals.is_unconfirmed(error):
            _unreachable[client] = time.monotonic(), reason
            _met.discard(client)
        raise MongoError(reason) from error


def build(db: Database, work: Callable[[Database], T]) -> T:
    """Ask for what the server itself may take long for, as `ask` does: indexes, views, ``$merge``.

    An index waits for every member that holds data, whatever the write concern says; the limit is the server's too.
    """

    def limited(db: Database) -> T:
        with pymongo.timeout(db.client.options.pool_options.socket_timeout):
            return work(db)

    return ask(db, limited)


def _meet(db: Database) -> None:
    """Find the server at first: where not even another member answers, nobody waits for the length of a failover."""
    try:
        with pymongo.timeout(db.client.options.pool_options.connect_timeout or 0):
            db.client.admin.command("ping")
    except ServerSelectionTimeoutError:
        if not db.client.topology_description.has_readable_server(ReadPreference.SECONDARY):
            raise


def _through_a_failover(db: Database, work: Callable[[Database], T]) -> T:
    """Do it again while it is broken off.

    pymongo does so once, for reads and single writes, but not for indexes, views and ``$merge``.
    """
    deadline = time.monotonic() + db.client.options.server_selection_timeout
    while True:
        try:
            return work(db)
        except ServerSelectionTimeoutError:
            raise
        except PyMongoError as error:
            broken_off = isinstance(error, AutoReconnect) or error.has_error_label("RetryableWriteError")
            if not broken_off or time.monotonic() > deadline:
                raise
        time.sleep(_BREATH)


def ping(db: Database) -> None:
    """Check that a server answers and can be written to.

    Raises:
        MongoError: None does, or it refuses us.
    """
    ask(db, lambda db: db.command("ping"))


def collections(db: Database) -> list[str]:
    """Return the sorted names of the collections that hold documents of ours: no views, none of the server's."""
    found = ask(db, lambda db: [c["name"] for c in db.list_collections(filter={"type": "collection"})])
    return sorted(name for name in found if not name.startswith("system."))


def distinct(db: Database, collection: str, field: str, where: Document) -> list[Any]:
    """Return the sorted values of a field among the documents that fit."""
    return ask(db, lambda db: sorted(db[collection].distinct(field, where)))


def find_one(db: Database, collection: str, key: str) -> Document | None:
    """Return one document by its ``_id``, or None."""
    return ask(db, lambda db: db[collection].find_one({"_id": key}))


def count(db: Database, collection: str, field: str, start: object, stop: object) -> int:
    """Count documents with `start` <= field < `stop`."""
    return ask(db, lambda db: db[collection].count_documents({field: {"$gte": start, "$lt": stop}}))


def find(db: Database, collection: str, where: Document) -> list[Document]:
    """Return the documents that fit, in the order of their ``_id``."""
    return ask(db, lambda db: list(db[collection].find(where, sort=[("_id", 1)])))


def find_many(db: Database, collection: str, keys: Sequence[str]) -> dict[str, Document]:
    """Return the documents with these ``_id``, by it."""
    return {document["_id"]: document for document in find(db, collection, {"_id": {"$in": list(keys)}})}


def existing(db: Database, collection: str, keys: Sequence[str]) -> set[str]:
    """Return which of these ``_id`` there are."""
    where = {"_id": {"$in": list(keys)}}
    return (
        {found["_id"] for found in ask(db, lambda db: list(db[collection].find(where, {"_id": 1})))} if keys else set()
    )


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


def count_by_day(
    db: Database, collection: str, field: str, start: object, stop: object, where: Document | None = None
) -> dict[str, int]:
    """Count documents with `start` <= field < `stop` by day, written ``2024-09-09``.

    Args:
        db: The database.
        collection: The collection.
        field: An indexed field: a time, or a day as text.
        start: First value.
        stop: First value beyond.
        where: What else the documents fit.
    """
    day: object = f"${field}"
    if isinstance(start, datetime):
        moment = {"$convert": {"input": day, "to": "date", "onError": None}}  # several in one field are no moment
        day = {"$dateToString": {"date": moment, "format": "%Y-%m-%d"}}
    pipeline: list[Document] = [
        {"$match": {field: {"$gte": start, "$lt": stop}} | (where or {})},
        {"$group": {"_id": day, "n": {"$sum": 1}}},
    ]
    groups = ask(db, lambda db: list(db[collection].aggregate(pipeline)))
    return {found["_id"]: found["n"] for found in groups if isinstance(found["_id"], str)}  # what else stands there


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
        meant = [encoded(document) for document in block]
        _write(db, collection, dict(zip((document["_id"] for document in block), meant, strict=True)), all_new)
        if total is not None:
            for document in meant:
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


def newest(db: Database, collection: str, field: str, where: Document | None = None) -> datetime | None:
    """Return the greatest value of an indexed time field among the documents that fit, or None."""
    moment = {"$lte": datetime.max.replace(tzinfo=UTC), "$not": {"$type": "array"}}  # what else stands there is others'
    where = {**(where or {}), field: moment}
    document = ask(db, lambda db: db[collection].find_one(where, {field: 1}, sort=[(field, -1)]))
    return document[field] if document else None
