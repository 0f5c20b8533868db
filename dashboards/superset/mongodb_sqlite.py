"""How Superset's SQL reaches MongoDB: PyMongoSQL reads the inner SELECT, SQLite computes the outer one.

PyMongoSQL 0.7.4 ships such an execution mode (``mode=superset``). Four of its habits make charts wrong or break
them, so `superset_config.py` registers this one as ``mode=dashboard`` instead:

- it keeps the plan of the running query on one object for all threads: two charts at once may swap columns;
- a column whose first values are empty becomes text, so that ``MAX`` compares "9" with "10" as words;
- an empty result makes no table, and the chart shows an error instead of "no data";
- names with a dot ("PM2.5") are taken for paths and come back empty.
"""

import re
import sqlite3
import threading
from datetime import datetime
from typing import Any

from pymongosql.executor import ExecutionContext, ExecutionPlanFactory, StandardQueryExecution
from pymongosql.sql.query_builder import QueryExecutionPlan

__all__ = ["MODE", "DashboardExecution", "register"]

#: The mode in the connection string that selects this execution.
MODE = "dashboard"


class DashboardExecution(StandardQueryExecution):
    """Runs ``SELECT … FROM (SELECT … FROM collection) AS virtual_table …`` and nothing else."""

    def __init__(self) -> None:
        """Hold the plan of each thread's query apart."""
        self._local = threading.local()

    @property
    def execution_plan(self) -> QueryExecutionPlan:
        """The plan of this thread's last query: its columns, where the result has no row to tell them."""
        return self._local.plan

    def supports(self, context: ExecutionContext) -> bool:
        """Whether the query is a SELECT on a connection of this mode."""
        return context.execution_mode == MODE and context.query.lstrip().upper().startswith("SELECT")

    def execute(self, context: ExecutionContext, connection: Any, parameters: Any = None) -> dict[str, Any]:
        """Read the inner SELECT's documents into SQLite and run the outer SELECT there.

        Raises:
            ValueError: The query has no inner SELECT, that is, a dataset is not a virtual one.
        """
        inner, outer = _split(context.query)
        plan = self._parse_sql(inner)
        rows, columns = _compute(outer, _names(plan), _read(plan, connection))
        # A plan with columns would make PyMongoSQL look them up as paths; needed only where no row names them.
        self._local.plan = QueryExecutionPlan(
            collection=plan.collection, projection_stage={} if rows else dict.fromkeys(columns, 1)
        )
        return {"cursor": {"id": 0, "firstBatch": rows}}


_BRACKET = re.compile(r"'(?:[^']|'')*'|[()]")
_TABLE = "documents"


def _split(query: str) -> tuple[str, str]:
    """Return the inner SELECT, and the outer one with a table in its place."""
    start = re.search(r"\bFROM\s*(\()\s*SELECT\b", query, re.IGNORECASE)
    if start is None:
        raise ValueError("a dataset on MongoDB must be a virtual one: SELECT column, … FROM collection")
    depth = 0
    for bracket in _BRACKET.finditer(query, start.start(1)):
        depth += {"(": 1, ")": -1}.get(bracket[0], 0)
        if depth == 0:
            inner = query[start.end(1) : bracket.start()]
            return inner, f"{query[: start.start(1)]}{_TABLE}{query[bracket.end() :]}"
    raise ValueError("the inner SELECT does not end: a bracket is missing")


def _names(plan: QueryExecutionPlan) -> list[str]:
    return [plan.column_aliases.get(field, field).strip('"') for field in plan.projection_stage]


def _read(plan: QueryExecutionPlan, connection: Any) -> list[tuple[Any, ...]]:
    """Return the documents' fields, in the order of the SELECT."""
    fields = [field.strip('"') for field in plan.projection_stage]  # reserved words are quoted
    cursor = connection.database[plan.collection].find(
        plan.filter_stage or {},
        {**dict.fromkeys(fields, 1), **({} if "_id" in fields else {"_id": 0})},
        sort=[pair for sort in plan.sort_stage for pair in sort.items()] or None,
        limit=plan.limit_stage or 0,
        batch_size=20_000,  # the default first batch of 101 costs a round trip per chart
    )
    return [tuple(_plain(document.get(field)) for field in fields) for document in cursor]


def _plain(field: Any) -> Any:
    """Return a value that SQLite can hold: times as its own text form, in UTC."""
    if isinstance(field, datetime):
        return field.strftime("%Y-%m-%d %H:%M:%S")
    return field if field is None or isinstance(field, str | int | float | bytes) else str(field)


def _compute(query: str, columns: list[str], rows: list[tuple[Any, ...]]) -> tuple[list[dict[str, Any]], list[str]]:
    """Run the outer SELECT; its columns have no type, so that each value keeps its own."""
    with sqlite3.connect(":memory:") as database:
        quoted = ", ".join(f'"{name}"' for name in columns)
        database.execute(f"CREATE TABLE {_TABLE} ({quoted})")
        database.executemany(f"INSERT INTO {_TABLE} VALUES ({', '.join('?' * len(columns))})", rows)
        result = database.execute(query)
        names = [description[0] for description in result.description]
        return [dict(zip(names, row, strict=True)) for row in result], names


def register() -> None:
    """Make the mode known to PyMongoSQL, once."""
    if not any(isinstance(s, DashboardExecution) for s in ExecutionPlanFactory._strategies):
        ExecutionPlanFactory.register_strategy(DashboardExecution())
