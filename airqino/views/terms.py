"""What the shapes of the dashboards have in common: labels, units, and when a reading may be shown."""

from typing import Any

Document = dict[str, Any]
Pipeline = list[Document]

LABELS = {"pm2_5": "PM2.5", "co": "CO"}
UNITS = {"pm2_5": "µg/m³", "co": "mg/m³"}
#: Numbers of digits that the sensors can tell.
DIGITS = {"pm2_5": 1, "co": 2}


def usable(pollutant: str, document: str = "") -> Document:
    """The reading where its flag is ok, else null: a dead sensor is no zero."""
    return {"$cond": [{"$eq": [f"${document}{pollutant}_flag", "ok"]}, f"${document}{pollutant}", None]}


def label(field: str) -> Document:
    """The pollutant that a field names, as people write it."""
    cases = [{"case": {"$eq": [f"${field}", name]}, "then": text} for name, text in LABELS.items()]
    return {"$switch": {"branches": cases, "default": {"$toUpper": f"${field}"}}}
