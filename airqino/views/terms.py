"""Parts of pipelines that the views share."""

from typing import Any

from airqino.readings import LABELS

Document = dict[str, Any]
Pipeline = list[Document]


def usable(pollutant: str) -> Document:
    """Return the reading where its flag is ok, else null: a dead sensor is no zero."""
    return {"$cond": [{"$eq": [f"${pollutant}_flag", "ok"]}, f"${pollutant}", None]}


def label(field: str) -> Document:
    """Return the pollutant that a field names, as people write it."""
    cases = [{"case": {"$eq": [f"${field}", name]}, "then": text} for name, text in LABELS.items()]
    return {"$switch": {"branches": cases, "default": {"$toUpper": f"${field}"}}}


def documents_of_station(source: str, pipeline: Pipeline, name: str, **variables: str) -> Document:
    """Return the stage that gives a station its documents of another collection, as the array `name`."""
    lookup = {"from": source, "localField": "_id", "foreignField": "station", "pipeline": pipeline, "as": name}
    return {"$lookup": lookup | ({"let": variables} if variables else {})}
