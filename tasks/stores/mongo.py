"""MongoDB: replace-upserts by a deterministic ``_id``, acknowledged by a majority.

Clients do not survive a fork, so each process opens its own.
"""

import contextlib
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from pymongo import ASCENDING, MongoClient, ReplaceOne, UpdateOne
from pymongo.database import Database as _Database
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    InvalidURI,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from tasks.errors import MongoError

__all__ = [
    "Database",
    "count",
    "count_by_day",
    "database",
    "distinct",
    "ensure_indexes",
    "find_many",
    "find_one",
    "ping",
    "redact",
    "replace",
    "reported",
    "update",
]

Document = dict[str, Any]

#: After a server could not be found, this many seconds pass before it is looked for again in the same process.
_PATIENCE = 30
_unreachable: dict[str, float] = {}
Database = _Database[Document]

#: The indexes of each collection, for the queries of the loads, the scripts and the dashboards.
INDEXES: Mapping[str, tuple[tuple[tuple[str, int], ...], ...]] = {
    "hourly_measurements": (
        (("observed_at", ASCENDING), ("station", ASCENDING)),
        (("station", ASCENDING), ("observed_at", ASCENDING)),
    ),
    "daily_averages": (
        (("day", ASCENDING), ("station", ASCENDING)),
        (("station", ASCENDING), ("day", ASCENDING)),
    ),
    "coverage": ((("day", ASCENDING), ("station", ASCENDING)),),
    "forecasts": (
        (("issued_at", ASCENDING), ("station", ASCENDING)),
        (("target_at", ASCENDING), ("station", ASCENDING)),
    ),
    "forecast_scores": (
        (("day", ASCENDING), ("station", ASCENDING)),
        (("station", ASCENDING), ("day", ASCENDING)),
    ),
    "revisions": ((("observed_at", ASCENDING), ("station", ASCENDING)), (("seen_at", ASCENDING),)),
    "loads": ((("kind", ASCENDING), ("loaded_at", ASCENDING)),),
}


def database(uri: str, name: str, timeout: float = 5.0) -> Database:
    """Return the database, connected by this process's own client.

    Args:
        uri: Connection string.
        name: The database.
        timeout: Seconds to look for a server.

    Returns:
        The database; nothing was sent yet.

    Raises:
        MongoError: The connection string is wrong.
    """
    return _client(os.getpid(), uri, timeout)[name]


@lru_cache(maxsize=4)
def _client(_pid: int, uri: str, timeout: float) -> MongoClient[Document]:
    with _errors(uri):
        return MongoClient(
            uri,
            serverSelectionTimeoutMS=int(timeout * 1000),
            connectTimeoutMS=int(timeout * 1000),
            w="majority",
            retryWrites=True,
            tz_aware=True,
            appname="airqino-pipeline",
        )


def redact(uri: str) -> str:
    """Return a connection string without user, password and options, however wrong it is."""
    return re.sub(r"^([\w+]*://)?(.*@)?([^?]*).*$", r"\1\3", uri, flags=re.DOTALL)


@contextlib.contextmanager
def _errors(uri: str) -> Iterator[None]:
    """Turn pymongo's errors into one clear line."""
    where = f"MongoDB at {redact(uri)}"
    if time.monotonic() - _unreachable.get(where, -_PATIENCE) < _PATIENCE:
        raise MongoError(f"{where} cannot be reached")  # said in full a moment ago: do not wait again
    try:
        yield
    except (ConfigurationError, InvalidURI, ValueError) as error:
        # pymongo's own text may hold a part of the password
        raise MongoError(
            f"{where}: the connection string is wrong ({type(error).__name__}); check MONGODB_URI, and write / ? # @ : "
            "and % in user and password as %2F and so on (RFC 3986)"
        ) from None
    except ServerSelectionTimeoutError as error:
        _unreachable[where] = time.monotonic()
        raise MongoError(f"{where} cannot be reached; is it running, and is MONGODB_URI right?") from error
    except OperationFailure as error:
        reason = (error.details or {}).get("errmsg", "") if not isinstance(error, BulkWriteError) else "a write failed"
        raise MongoError(f"{where} refused: {reason or 'operation failed'} (code {error.code})") from error
    except PyMongoError as error:
        raise MongoError(f"{where}: {type(error).__name__}; what is staged is loaded by the next run") from error


def _uri(db: Database) -> str:
    hosts = db.client.topology_description.server_descriptions()
    return "mongodb://" + ",".join(f"{host}:{port}" for host, port in hosts) + f"/{db.name}"


def reported(db: Database) -> contextlib.AbstractContextManager[None]:
    """Turn the errors of what is asked of a database directly into `MongoError`."""
    return _errors(_uri(db))


def ping(db: Database) -> None:
    """Check that a server answers.

    Raises:
        MongoError: None does, or it refuses us.
    """
    with _errors(_uri(db)):
        db.command("ping")


@lru_cache(maxsize=8)
def ensure_indexes(db: Database) -> None:
    """Make the indexes that are missing; asked once per process and database."""
    with _errors(_uri(db)):
        for collection, indexes in INDEXES.items():
            for keys in indexes:
                db[collection].create_index(list(keys))


def distinct(db: Database, collection: str, field: str, where: Document) -> list[Any]:
    """Return the sorted values of a field among the documents that fit."""
    with _errors(_uri(db)):
        return sorted(db[collection].distinct(field, where))


def find_one(db: Database, collection: str, key: str) -> Document | None:
    """Return one document by its ``_id``, or None."""
    with _errors(_uri(db)):
        return db[collection].find_one({"_id": key})


def count(db: Database, collection: str, field: str, start: object, stop: object) -> int:
    """Count documents with `start` <= field < `stop`."""
    with _errors(_uri(db)):
        return db[collection].count_documents({field: {"$gte": start, "$lt": stop}})


def find_many(db: Database, collection: str, keys: Sequence[str]) -> dict[str, Document]:
    """Return the documents with these ``_id``, by it."""
    with _errors(_uri(db)):
        return {document["_id"]: document for document in db[collection].find({"_id": {"$in": list(keys)}})}


def count_by_day(db: Database, collection: str, field: str, start: object, stop: object) -> dict[str, int]:
    """Count documents with `start` <= field < `stop` by day, written ``2024-09-09``.

    Args:
        db: The database.
        collection: The collection.
        field: An indexed field: a time, or a day as text.
        start: First value.
        stop: First value beyond.
    """
    day: object = f"${field}"
    if isinstance(start, datetime):
        day = {"$dateToString": {"date": day, "format": "%Y-%m-%d"}}
    pipeline: list[Document] = [
        {"$match": {field: {"$gte": start, "$lt": stop}}},
        {"$group": {"_id": day, "n": {"$sum": 1}}},
    ]
    with _errors(_uri(db)):
        return {found["_id"]: found["n"] for found in db[collection].aggregate(pipeline)}


def replace(db: Database, collection: str, documents: Sequence[Document]) -> int:
    """Write documents, each replacing the one with its ``_id`` or new.

    Returns:
        How many were written.

    Raises:
        MongoError: The server cannot be reached or refused.
    """
    if not documents:
        return 0
    with _errors(_uri(db)):
        db[collection].bulk_write([ReplaceOne({"_id": d["_id"]}, d, upsert=True) for d in documents], ordered=False)
    return len(documents)


def update(db: Database, collection: str, updates: Sequence[tuple[Document, Document, bool]]) -> None:
    """Apply (filter, update, upsert) triples, in order."""
    if updates:
        with _errors(_uri(db)):
            db[collection].bulk_write([UpdateOne(f, u, upsert=upsert) for f, u, upsert in updates])


def newest(db: Database, collection: str, field: str, where: Document | None = None) -> datetime | None:
    """Return the greatest value of an indexed time field among the documents that fit, or None."""
    with _errors(_uri(db)):
        document = db[collection].find_one(where or {}, {field: 1}, sort=[(field, -1)])
    return document.get(field) if document else None
