"""Conditions of SQL as MongoDB filters that find at least the documents for which SQLite will find them true.

SQL sees a time as text and a boolean as 0 or 1; to MongoDB they are types of their own, and it compares values of one
type only. A condition on text is therefore written as what must not be, such as "no text before 2026-01-01", which
every time passes. Indexes serve such filters as well as the plain ones.

One limit: MongoDB compares the elements of a list, SQL the text of the whole list, so that a condition on a field with
lists may miss documents.
"""

from collections.abc import Callable
from typing import Any

from sqlglot import exp

__all__ = ["for_mongodb"]

Filter = dict[str, Any]


def for_mongodb(condition: exp.Expression, name: str) -> Filter | None:
    """Return MongoDB's form of a condition on a field.

    Args:
        condition: A comparison of a column with literals, IS NULL, IN or BETWEEN; of all else there is no safe form.
        name: The field that the column is.

    Returns:
        A filter, or None where there is no safe one.
    """
    if isinstance(condition, exp.Is) and isinstance(condition.expression, exp.Null):
        return {name: {"$in": [None, float("nan")]}}  # SQLite has no NaN: it is NULL
    if isinstance(condition, exp.Not):
        inner = condition.this
        is_null = isinstance(inner, exp.Is) and isinstance(inner.expression, exp.Null)
        return {name: {"$ne": None}} if is_null else None
    if isinstance(condition, exp.Between):
        low, high = _value(condition.args["low"]), _value(condition.args["high"])
        if low is None or high is None or condition.args.get("symmetric"):
            return None
        return {"$and": [_RANGES[exp.GTE](name, low), _RANGES[exp.LTE](name, high)]}
    if isinstance(condition, exp.In):
        values = [_value(one) for one in condition.expressions]
        return _in(name, values) if values and None not in values else None
    ranges = _RANGES.get(type(condition))
    value = _value(condition.expression) if ranges else None
    return ranges(name, value) if ranges and value is not None else None


def _value(literal: Any) -> str | int | None:
    """Return a text or a whole number; None: something else, such as 0.1, which SQLite may read a bit differently."""
    if isinstance(literal, exp.Neg):
        value = _value(literal.this)
        return -value if isinstance(value, int) else None
    if not isinstance(literal, exp.Literal):
        return None
    if literal.is_string:
        return str(literal.this)
    return int(literal.this) if literal.this.isdecimal() and len(literal.this) <= 15 else None


def _not(operator: str) -> Callable[[str, Any], Filter]:
    return lambda name, value: {name: {"$not": {operator: value}}}


def _in(name: str, values: list[Any]) -> Filter:
    numbers = [value for value in values if isinstance(value, int)]
    texts = [value for value in values if isinstance(value, str)]
    equal = {name: {"$in": [*values, *(bool(number) for number in numbers if number in (0, 1))]}}
    if not texts:
        return equal
    if len(values) == 1:  # no text before it and none after: one scan of an index
        return {"$and": [{name: {"$not": {"$lt": texts[0]}}}, {name: {"$not": {"$gt": texts[0]}}}]}
    return {"$or": [equal, {name: {"$not": {"$gte": ""}}}]}  # or no text at all: a time, an id


_RANGES: dict[type[exp.Expression], Callable[[str, Any], Filter]] = {
    exp.EQ: lambda name, value: _in(name, [value]),
    exp.NEQ: lambda name, value: {name: {"$ne": value}},
    exp.GT: _not("$lte"),
    exp.GTE: _not("$lt"),
    exp.LT: _not("$gte"),
    exp.LTE: _not("$gt"),
}
