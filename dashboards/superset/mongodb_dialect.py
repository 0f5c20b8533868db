"""SQLAlchemy's dialect of `mongodb_sql`: SQLite's SQL, with MongoDB's collections and views as tables."""

from datetime import datetime
from typing import Any

import mongodb_sql
from sqlalchemy import types
from sqlalchemy.dialects.sqlite.base import SQLiteDialect

__all__ = ["MongoDialect"]

#: Documents that tell the fields of a collection.
_SAMPLE = 100
_TYPES = {bool: types.Boolean, int: types.Integer, float: types.Float, datetime: types.DateTime}


class MongoDialect(SQLiteDialect):
    """For SQLAlchemy 1.4, which Superset has, and 2."""

    name = "mongodb"
    driver = "sqlite"
    supports_statement_cache = True

    @classmethod
    def dbapi(cls) -> Any:
        """Return the DB-API module, to SQLAlchemy 1.4."""
        return mongodb_sql

    @classmethod
    def import_dbapi(cls) -> Any:
        """Return the DB-API module, to SQLAlchemy 2."""
        return mongodb_sql

    def create_connect_args(self, url: Any) -> tuple[list[Any], dict[str, Any]]:
        """Return what `mongodb_sql.connect` takes."""
        host = url.set(drivername="mongodb", database="").render_as_string(hide_password=False)
        return [], {"host": host, "database": url.database}

    def initialize(self, connection: Any) -> None:
        """Ask nothing: there is neither a schema nor a version to know."""

    def do_ping(self, dbapi_connection: Any) -> bool:
        """Ask MongoDB whether it is there."""
        dbapi_connection.mongo.command("ping")
        return True

    def get_schema_names(self, connection: Any, **_: Any) -> list[str]:
        """Return none."""
        return []

    def get_table_names(self, connection: Any, schema: str | None = None, **_: Any) -> list[str]:
        """Return the collections."""
        return _names(connection, "collection")

    def get_view_names(self, connection: Any, schema: str | None = None, **_: Any) -> list[str]:
        """Return the views."""
        return _names(connection, "view")

    def has_table(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> bool:
        """Return whether there is a collection or view of that name."""
        return table_name in [*_names(connection, "collection"), *_names(connection, "view")]

    def get_columns(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> list[Any]:
        """Return the fields of some documents, with the types of their first values."""
        values: dict[str, Any] = {}
        for document in connection.connection.mongo[table_name].find(limit=_SAMPLE):
            for name, value in document.items():
                if values.get(name) is None:
                    values[name] = value
        return [
            {"name": name, "type": _TYPES.get(type(value), types.String)(), "nullable": True, "default": None}
            for name, value in values.items()
        ]

    def get_pk_constraint(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> Any:
        """Return none, as of all constraints and indexes: a dashboard needs none."""
        return {"constrained_columns": [], "name": None}

    def _none(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> list[Any]:
        return []

    get_foreign_keys = get_indexes = get_unique_constraints = get_check_constraints = _none


def _names(connection: Any, kind: str) -> list[str]:
    found = connection.connection.mongo.list_collections(filter={"type": kind})
    return sorted(one["name"] for one in found if not one["name"].startswith("system."))
