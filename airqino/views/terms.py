"""Expressions that the views share: a pollutant's label, and when a reading may be shown."""

from typing import Any

from airqino.readings import LABELS

Document = dict[str, Any]
Pipeline = list[Document]


def usable(pollutant: str, document: str = "") -> Document:
    """The reading where its flag is ok, else null: a dead sensor is no zero."""
    return {"$cond": [{"$eq": [f"${document}{pollutant}_flag", "ok"]}, f"${document}{pollutant}", None]}


def label(field: str) -> Document:
    """The pollutant that a field names, as people write it."""
    cases = [{"case": {"$eq": [f"${field}", name]}, "then": text} for name, text in LABELS.items()]
    return {"$switch": {"branches": cases, "default": {"$toUpper": f"${field}"}}}
