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


def named() -> Pipeline:
    """Return the stages that add `station_name` to documents with a `station`: its name as it is now.

    The one place that makes names for people. Where several stations have one name, each shows its id too, such as
    ``SMART188 (283164601)``; a station of which nothing is known shows its id. These stages change no other field, so
    a filter on one still reaches the collection's index.
    """
    name = {"$first": "$known.name"}
    unlike = {"$cond": [{"$gt": [{"$size": "$namesakes"}, 1]}, {"$concat": [name, " (", "$station", ")"]}, name]}
    return [
        # plain equality: MongoDB answers these ten times faster than look-ups with a pipeline or in a view
        {"$lookup": {"from": "stations", "localField": "station", "foreignField": "_id", "as": "known"}},
        {"$lookup": {"from": "stations", "localField": "known.name", "foreignField": "name", "as": "namesakes"}},
        {"$set": {"station_name": {"$ifNull": [unlike, "$station"]}}},
        {"$unset": ["known", "namesakes"]},
    ]


def documents_of_station(source: str, pipeline: Pipeline, name: str, **variables: str) -> Document:
    """Return the stage that gives a station its documents of another collection, as the array `name`."""
    lookup = {"from": source, "localField": "_id", "foreignField": "station", "pipeline": pipeline, "as": name}
    return {"$lookup": lookup | ({"let": variables} if variables else {})}
