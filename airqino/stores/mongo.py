"""MongoDB: clients, how long they are waited for, and what is read; a majority acknowledges what is written.

No call waits for ever: for the members to confirm a write as long as a failover may take, for any request ten times as
long. Clients do not survive a fork, so each process opens its own.
"""

import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar

import pymongo
from bson.errors import BSONError
from pymongo import MongoClient, ReadPreference
from pymongo.database import Database as _Database
from pymongo.errors import AutoReconnect, PyMongoError, ServerSelectionTimeoutError

from airqino.errors import MongoError
from airqino.stores import refusals

__all__ = [
    "Database", "ask", "build", "collections", "count", "count_by_day", "database", "distinct", "existing", "find",
    "find_many", "find_one", "newest", "ping",
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


def newest(db: Database, collection: str, field: str, where: Document | None = None) -> datetime | None:
    """Return the greatest value of an indexed time field among the documents that fit, or None."""
    moment = {"$lte": datetime.max.replace(tzinfo=UTC), "$not": {"$type": "array"}}  # what else stands there is others'
    where = {**(where or {}), field: moment}
    document = ask(db, lambda db: db[collection].find_one(where, {field: 1}, sort=[(field, -1)]))
    return document[field] if document else None
