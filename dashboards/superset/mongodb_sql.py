"""SQL over MongoDB, for Superset: documents go into a SQLite database in memory, which runs the query.

A DB-API 2 module; `mongodb_dialect` is SQLAlchemy's side of it. For each SELECT it reads from MongoDB the fields that
the query names (`sql_plan`), makes a table of each collection or view and runs the SQL there, unchanged. So the SQL is
SQLite's, with the functions of `sql_functions`; joins, GROUP BY, WITH and windows work as SQLite has them. Times are
texts such as ``2026-11-26 14:00:00`` (UTC), booleans 1 and 0; a missing field is NULL; lists and the like are shown as
text. A collection that does not exist is empty.

Limits: only SELECT; all that a query needs is held in memory; names of collections and fields are MongoDB's, in upper
and lower case as there.
"""

import os
import re
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from sqlite3 import (
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    Warning,
    sqlite_version_info,
)
from typing import Any

import sql_functions
import sql_plan
from bson.decimal128 import Decimal128
from pymongo import MongoClient
from pymongo.errors import PyMongoError
from sqlalchemy.dialects import registry

__all__ = [
    "Connection", "Cursor", "DataError", "DatabaseError", "Error", "IntegrityError", "InterfaceError", "InternalError",
    "NotSupportedError", "OperationalError", "ProgrammingError", "Warning", "apilevel", "connect",
    "paramstyle", "register", "sqlite_version_info", "threadsafety",
]  # fmt: skip

apilevel = "2.0"
threadsafety = 2
#: No percent sign is doubled in SQL made for this style.
paramstyle = "qmark"

#: Documents in the first answer: the default of 101 costs a round trip per chart.
_BATCH = 20_000
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
#: Types that SQLite has, too.
_AS_IS = frozenset({str, int, float, bool, type(None)})
_lock = threading.Lock()


def connect(host: str, database: str, **options: Any) -> "Connection":
    """Return a connection; nothing is sent yet.

    Args:
        host: The URI of MongoDB.
        database: The database.
        options: More for pymongo's `MongoClient`.
    """
    return Connection(host, database, options)


@lru_cache(maxsize=8)
def _client(_pid: int, host: str, options: tuple[tuple[str, Any], ...]) -> MongoClient[dict[str, Any]]:
    lenient = {"datetime_conversion": "DATETIME_AUTO", "unicode_decode_error_handler": "replace"}
    return MongoClient(host, **{**lenient, **dict(options)})


class Connection:
    """A DB-API connection; all those of a process to one server share a client, made when first needed."""

    def __init__(self, host: str, database: str, options: dict[str, Any]) -> None:
        self._server = host, tuple(sorted(options.items()))
        self._database = database

    @property
    def mongo(self) -> Any:
        """The database, as pymongo has it; a client does not survive a fork."""
        try:
            with _lock:
                return _client(os.getpid(), *self._server)[self._database]
        except (PyMongoError, ValueError) as error:
            raise OperationalError(f"MongoDB cannot be reached: {error}") from error

    def cursor(self) -> "Cursor":
        """Return a new cursor."""
        return Cursor(self)

    def commit(self) -> None:
        """Do nothing: nothing is written."""

    def rollback(self) -> None:
        """Do nothing: nothing is written."""

    def close(self) -> None:
        """Do nothing: the client serves other connections."""


class Cursor:
    """A DB-API cursor, with the whole result in memory."""

    arraysize = 1
    rowcount = -1
    lastrowid = None

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.description: list[tuple[Any, ...]] | None = None
        self._rows: list[tuple[Any, ...]] = []
        self._next = 0

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> "Cursor":
        """Run a SELECT.

        Raises:
            ProgrammingError: It is no SELECT, or cannot be read.
            OperationalError: SQLite or MongoDB refuses it, or MongoDB cannot be reached.
        """
        try:
            needed = sql_plan.plan(sql)
        except sql_plan.SqlError as error:
            raise ProgrammingError(f"{error}") from None
        database = sqlite3.connect(":memory:")
        try:
            database.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
            sql_functions.create(database)
            _fill(database, self.connection.mongo, needed)
            found = database.execute(sql, parameters)
            self._rows, self._next = found.fetchall(), 0
            names = [column[0] for column in found.description]
        except PyMongoError as error:
            raise OperationalError(f"MongoDB did not answer: {error}") from error
        finally:
            database.close()
        self.rowcount = len(self._rows)
        self.description = [(name, _type(self._rows, i), *[None] * 5) for i, name in enumerate(names)]
        return self

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]]) -> None:
        """Refuse: this is for writing.

        Raises:
            NotSupportedError: Always.
        """
        raise NotSupportedError("nothing is written to MongoDB from a dashboard")

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the next row, or None."""
        return next(iter(self.fetchmany(1)), None)

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        """Return the next rows."""
        start, self._next = self._next, min(self._next + (size or self.arraysize), len(self._rows))
        return self._rows[start : self._next]

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows that are left."""
        start, self._next = self._next, len(self._rows)
        return self._rows[start:]

    def close(self) -> None:
        """Forget the rows."""
        self._rows = []

    def setinputsizes(self, sizes: Any) -> None:
        """Do nothing, as the DB-API allows."""

    def setoutputsize(self, size: int, column: int | None = None) -> None:
        """Do nothing, as the DB-API allows."""


def _fill(database: sqlite3.Connection, mongo: Any, needed: sql_plan.Plan) -> None:
    """Make a table of each collection; columns have no type, so that each value keeps its own."""
    documents = {name: _read(mongo, name, reading) for name, reading in needed.readings.items()}
    columns = {name: _columns(documents[name], reading) for name, reading in needed.readings.items()}
    for column, candidates in needed.loose.items():
        if not any(column in columns[name] for name in candidates):
            columns[candidates[0]].append(column)
    for name, fields in columns.items():
        fields = fields or ["_id"]
        database.execute(f"CREATE TABLE {_quoted(name)} ({', '.join(map(_quoted, fields))})")
        found = ([document.get(field) for field in fields] for document in documents.pop(name))
        rows = ([v if type(v) in _AS_IS else _plain(v) for v in values] for values in found)
        database.executemany(f"INSERT INTO {_quoted(name)} VALUES ({', '.join('?' * len(fields))})", rows)


def _read(mongo: Any, name: str, reading: sql_plan.Reading) -> list[dict[str, Any]]:
    wanted = None
    if not reading.everything and all(map(sql_plan.is_plain, reading.fields)):
        wanted = {"_id": 0} if reading.fields and "_id" not in reading.fields else {"_id": 1}
        wanted |= dict.fromkeys(reading.fields, 1)
    return list(mongo[name].find(reading.filter, wanted, batch_size=_BATCH))


def _columns(documents: list[dict[str, Any]], reading: sql_plan.Reading) -> list[str]:
    """Return a table's columns: those named, and of the others those that a document has."""
    maybe = not all(reading.fields.values())
    there = dict.fromkeys(key for document in documents for key in document) if reading.everything or maybe else {}
    named = [name for name, certain in reading.fields.items() if certain or name in there]
    # to SQLite, names that differ in upper and lower case only are one
    unlike = {name.lower(): name for name in reversed([*named, *(there if reading.everything else ())])}
    return list(reversed(unlike.values()))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _plain(value: Any) -> Any:
    """Return a value as SQLite holds it."""
    if isinstance(value, int | float):
        return value
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds")
    return float(value.to_decimal()) if isinstance(value, Decimal128) else str(value)


def _type(rows: list[tuple[Any, ...]], index: int) -> str | None:
    """Return a column's type by its first value; SQLite tells none, and Superset asks for it."""
    value = next((row[index] for row in rows if row[index] is not None), None)
    if isinstance(value, str):
        return "DATETIME" if _TIME.fullmatch(value) else "STRING"
    return None if value is None else "FLOAT" if isinstance(value, float) else "INTEGER"


def register() -> None:
    """Make ``mongodb://…`` known to SQLAlchemy."""
    registry.register("mongodb", "mongodb_dialect", "MongoDialect")
