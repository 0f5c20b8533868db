"""What a query needs of MongoDB: which collections, which of their fields, and which documents at least.

The filter given to MongoDB only saves reading: SQLite evaluates the query again. So it may let too much through and
never too little; a condition that is not sure to be safe is left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import sql_conditions
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import Scope, traverse_scope

__all__ = ["Plan", "Reading", "SqlError", "is_plain", "plan"]

Filter = dict[str, Any]


class SqlError(ValueError):
    """The text is not one SELECT."""


@dataclass
class Reading:
    """What to read of one collection or view."""

    #: Fields by name; True: a column in any case, False: a column only if a document has the field.
    fields: dict[str, bool] = field(default_factory=dict)
    #: All fields of the documents.
    everything: bool = False
    #: For each place the query reads it, what the documents must fulfil; a document may be needed by any of them.
    conditions: list[list[Filter]] = field(default_factory=list)

    @property
    def filter(self) -> Filter:
        """MongoDB's filter."""
        places = [
            {} if not all_of else all_of[0] if len(all_of) == 1 else {"$and": all_of} for all_of in self.conditions
        ]
        return {} if {} in places or not places else places[0] if len(places) == 1 else {"$or": places}


@dataclass
class Plan:
    """What a query needs."""

    #: By name of the collection or view.
    readings: dict[str, Reading] = field(default_factory=dict)
    #: A column that no table is sure to have → the collections it may come from, the likeliest first.
    loose: dict[str, list[str]] = field(default_factory=dict)


def is_plain(name: str) -> bool:
    """Return whether MongoDB takes a name for a field's, not for a path or a variable."""
    return bool(name) and "." not in name and not name.startswith("$")


@lru_cache(maxsize=256)
def plan(sql: str) -> Plan:
    """Find out what a query needs.

    Args:
        sql: One SELECT (WITH, UNION, …), in SQLite's words.

    Raises:
        SqlError: It is something else, cannot be read, or asks for a collection of the server's own.
    """
    try:
        statements = [tree for tree in sqlglot.parse(sql, read="sqlite") if tree is not None]
        if len(statements) != 1 or not isinstance(statements[0], exp.Query):
            raise SqlError("only one SELECT can be run here; nothing is written to MongoDB from a dashboard")
        scopes = traverse_scope(statements[0])
    except (SqlglotError, RecursionError) as error:
        raise SqlError(f"this SELECT cannot be read: {error}") from None
    made = Plan()
    for scope in scopes:
        for table in _tables(scope).values():
            if table.name.lower().startswith("system."):
                raise SqlError(f"{table.name} is a collection of the server's own")
            made.readings.setdefault(table.name, Reading()).conditions.append([])
    for scope in scopes:
        _add_columns(made, scope)
    numbers = _places(scopes)
    for scope in scopes:
        for condition in _conjuncts(scope):
            for table, pushed in _pushed(condition, scope):
                made.readings[table.name].conditions[numbers[id(table)]].append(pushed)
    return made


def _places(scopes: list[Scope]) -> dict[int, int]:
    """Return which place each table of the query is among those that read the same collection."""
    seen: dict[str, int] = {}
    numbers = {}
    for scope in scopes:
        for table in _tables(scope).values():
            numbers[id(table)] = seen[table.name] = seen.get(table.name, -1) + 1
    return numbers


def _sources(scope: Scope) -> dict[str, exp.Table | Scope]:
    return {alias.lower(): source for alias, (_, source) in scope.selected_sources.items()}


def _tables(scope: Scope) -> dict[str, exp.Table]:
    """Return the collections in a SELECT's FROM, by alias; names of a WITH are none, nor functions."""
    return {
        alias: source
        for alias, source in _sources(scope).items()
        if isinstance(source, exp.Table) and isinstance(source.this, exp.Identifier)
    }


def _around(scope: Scope) -> Iterator[Scope]:
    """Yield a SELECT and those around it: a column may be theirs if it is within a subquery."""
    inside: Scope | None = scope
    while inside is not None:
        yield inside
        inside = inside.parent


def _correlated(scope: Scope) -> bool:
    return any(around.is_subquery for around in _around(scope))


def _select(scope: Scope) -> exp.Select | None:
    return scope.expression if isinstance(scope.expression, exp.Select) else None


def _aliases(scope: Scope) -> set[str]:
    """Return the names that a SELECT gives to something else than a column of that name."""
    select = _select(scope)
    named = [one for one in select.selects if isinstance(one, exp.Alias)] if select else []
    return {n.alias.lower() for n in named if not isinstance(n.this, exp.Column) or n.this.name != n.alias}


def _add_columns(made: Plan, scope: Scope) -> None:
    """Add the columns that a SELECT names."""
    tables, select = _tables(scope), _select(scope)
    for star in select.selects if select else ():
        if star.is_star:
            of = star.table.lower() if isinstance(star, exp.Column) else ""
            for alias, table in tables.items():
                made.readings[table.name].everything |= of in ("", alias)
    for join in select.args.get("joins") or () if select else ():
        for table in tables.values():
            made.readings[table.name].everything |= join.args.get("method") == "NATURAL"
            made.readings[table.name].fields |= {column.name: True for column in join.args.get("using") or ()}
    for column in scope.find_all(exp.Column):
        if isinstance(column.this, exp.Star):
            continue
        if column.table:
            owner = _named(column.table, scope)
            if owner is not None:
                made.readings[owner.name].fields[column.name] = True
        elif isinstance(column.parent, exp.Ordered) and column.name.lower() in _aliases(scope):
            continue  # ORDER BY takes an alias before a column
        elif _certain(column, scope):
            made.readings[next(iter(tables.values())).name].fields[column.name] = True
        else:
            _add_loose(made, scope, column.name)


def _named(alias: str, scope: Scope) -> exp.Table | None:
    """Return the collection that an alias names, in a SELECT or around it."""
    for around in _around(scope):
        if alias.lower() in _sources(around):
            return _tables(around).get(alias.lower())
    return None


def _certain(column: exp.Column, scope: Scope) -> bool:
    """Return whether a column without a table's name is sure to be of the one table of its SELECT."""
    if len(_sources(scope)) != 1 or not _tables(scope) or _correlated(scope):
        return False
    return column.name.lower() not in _aliases(scope) or _is_selected(column)


def _is_selected(column: exp.Column) -> bool:
    """Return whether a column stands in the list after SELECT, where an alias cannot be meant."""
    node: exp.Expression = column
    while node.parent is not None and not isinstance(node.parent, exp.Select):
        node = node.parent
    return node.arg_key == "expressions"


def _add_loose(made: Plan, scope: Scope, name: str) -> None:
    """Add a column that may be of any table in sight, or an alias: the documents will tell."""
    candidates = []
    for around in _around(scope):
        candidates += [table.name for table in _tables(around).values()]
        if not _correlated(around):
            break
    for candidate in candidates:
        made.readings[candidate].fields.setdefault(name, False)
    derived = [source for source in _sources(scope).values() if isinstance(source, Scope)]
    given = {output.lower() for source in derived for output in source.expression.named_selects}
    if candidates and name.lower() not in given | _aliases(scope):
        made.loose.setdefault(name, candidates)


def _conjuncts(scope: Scope) -> Iterator[exp.Expression]:
    select = _select(scope)
    where = select.args.get("where") if select else None
    if where is not None:
        top = where.this.unnest()
        yield from (part.unnest() for part in (top.flatten() if isinstance(top, exp.And) else (top,)))


def _pushed(condition: exp.Expression, scope: Scope) -> Iterator[tuple[exp.Table, Filter]]:
    """Yield the collection whose documents a condition of a WHERE thins out, and MongoDB's form of it."""
    inner = condition.this if isinstance(condition, exp.Not) else condition
    column = inner.this
    if isinstance(column, exp.Column):
        table, name = _origin(column, scope) or (None, "")
        pushed = sql_conditions.for_mongodb(condition, name) if table is not None else None
        if table is not None and pushed is not None:
            yield table, pushed


def _origin(column: exp.Column, scope: Scope) -> tuple[exp.Table, str] | None:
    """Return the collection and field that a column is, through inner SELECTs, where it may leave documents out."""
    sources = _sources(scope)
    alias = column.table.lower() or (next(iter(sources)) if len(sources) == 1 and not _correlated(scope) else "")
    source, name = sources.get(alias), column.name
    if source is None or not _thins(scope, alias):
        return None
    if isinstance(source, exp.Table):
        an_alias = not column.table and name.lower() in _aliases(scope)
        return None if an_alias or alias not in _tables(scope) or not is_plain(name) else (source, name)
    select = _select(source)
    if select is None or not source.is_derived_table or any(select.args.get(part) for part in _WHOLE):
        return None
    if any(True for _ in source.find_all(exp.AggFunc, exp.Window)):
        return None
    inner = [chosen.unalias() for chosen in select.selects if chosen.alias_or_name.lower() == name.lower()]
    return _origin(inner[0], source) if len(inner) == 1 and isinstance(inner[0], exp.Column) else None


#: Of a SELECT with one of these all rows are needed, whatever is chosen from its result.
_WHOLE = ("group", "having", "limit", "offset", "distinct", "windows", "qualify")


def _thins(scope: Scope, alias: str) -> bool:
    """Return whether a row that the WHERE refuses is of no use: not so where an outer join would put NULL for it."""
    select = _select(scope)
    if select is None:
        return False
    outer = [join for join in select.args.get("joins") or () if join.side or join.method == "NATURAL"]
    first = select.args.get("from_") or select.args.get("from")
    is_first = first is not None and first.this.alias_or_name.lower() == alias
    return not outer or (is_first and all(join.side == "LEFT" for join in outer))
