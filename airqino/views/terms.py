"""Parts of pipelines that the views share."""

from collections.abc import Iterable, Sequence
from typing import Any

from airqino.quality.flags import COUNTED
from airqino.quality.means import VOUCHED
from airqino.readings import READINGS, STALE_HOURS, Reading, reading

Document = dict[str, Any]
Pipeline = list[Document]

#: Flags of an hour of which the sensor can only tell that it lies below its zero: this hour, and for days.
_FLOOR, _FLOOR_FOR_DAYS = "floor", "at_floor"


def usable(pollutant: str) -> Document:
    """Return the reading where it counts and is a number, else null: what stands at the floor is no clean air."""
    flags = [flag for flag in COUNTED if flag not in (_FLOOR, _FLOOR_FOR_DAYS)]
    sure = {"$and": [_flagged(pollutant, flags), {"$not": [is_low(reading(pollutant), f"${pollutant}")]}]}
    return {"$cond": [sure, f"${pollutant}", None]}


def averaged(pollutant: str) -> Document:
    """Return the reading where it goes into a mean of many days, else null.

    Single hours at the floor do: without them the mean would be too high. A sensor that stands there for days says
    nothing.
    """
    flags = [flag for flag in COUNTED if flag != _FLOOR_FOR_DAYS]
    return {"$cond": [_flagged(pollutant, flags), f"${pollutant}", None]}


def at_floor(pollutant: str, for_days: bool = True) -> Document:
    """Tell whether the reading stands at the sensor's floor, in single hours or also `for_days`."""
    return _flagged(pollutant, [_FLOOR, *([_FLOOR_FOR_DAYS] if for_days else [])])


def too_low(pollutant: str) -> Document:
    """Tell whether the reading is too low for the sensor to measure: it counts, and is at the floor or written as 0."""
    counted = _flagged(pollutant, COUNTED)
    return {"$or": [at_floor(pollutant), {"$and": [counted, is_low(reading(pollutant), f"${pollutant}")]}]}


def _flagged(pollutant: str, flags: Iterable[str]) -> Document:
    return {"$in": [f"${pollutant}_flag", [*flags]]}


def vouched(pollutant: str) -> Document:
    """Tell whether a day has a checked mean that can be vouched for.

    A day that version 0.3.0 wrote has none until it is taken over: what it is called there says less.
    """
    return {"$and": [_called_well(pollutant), {"$isNumber": f"${pollutant}_checked_mean"}]}


def quality(pollutant: str) -> Document:
    """Return what a day's mean is called; null where it is called well without a checked mean, as in version 0.3.0."""
    return {"$cond": [{"$eq": [_called_well(pollutant), vouched(pollutant)]}, f"${pollutant}_quality", None]}


def _called_well(pollutant: str) -> Document:
    return {"$in": [f"${pollutant}_quality", [*VOUCHED]]}


def smallest(of: Reading) -> float | None:
    """Return the smallest amount to write of a reading with a floor, in its unit; None of the others.

    Less is written as less than this: a 0.00 would say that the air is clean.
    """
    return None if of.floor is None else round(10.0**-of.digits, of.digits)


def is_low(of: Reading, amount: object) -> object:
    """Tell whether an amount of a reading with a floor rounds to less than the smallest that is written; never of null.

    Amounts below zero do: nothing is written with a minus.
    """
    least = smallest(of)
    return False if least is None else {"$and": [{"$isNumber": amount}, {"$lt": [amount, least / 2]}]}


def age_hours(hour: object) -> Document:
    """Return how many hours ago an hour ended; null where there is none."""
    return {"$subtract": [{"$divide": [{"$subtract": ["$$NOW", hour]}, 3_600_000]}, 1]}


def is_stale(age: object) -> Document:
    """Tell by a station's `age_h` whether its last hour says nothing of the air now, as the public page does."""
    return {"$cond": [{"$isNumber": age}, {"$gte": [age, STALE_HOURS]}, None]}


def before(moment: object, unit: str, amount: object) -> Document:
    """Return the moment some time before another."""
    return {"$dateSubtract": {"startDate": moment, "unit": unit, "amount": amount}}


def zone(field: str) -> Document:
    """Return a station's time zone; UTC where it has none."""
    return {"$cond": [{"$eq": [{"$type": field}, "string"]}, field, "UTC"]}


def reading_label(field: str, other: str | None = None) -> Document:
    """Return the reading that a field names, as people write it; of what is none `other`, or what the field holds."""
    cases = [{"case": {"$eq": [field, of.name]}, "then": of.label} for of in READINGS]
    return {"$switch": {"branches": cases, "default": field if other is None else other}}


def unwound(field: str, kept: Sequence[str], parts: Sequence[str], **computed: object) -> Pipeline:
    """Return the elements of an array, each as a row with the station and some other fields of its document.

    Named one by one: a chart's filter on a field of the document then reaches the collection's index.

    Args:
        field: The array.
        kept: Fields of the document.
        parts: Fields of the elements.
        computed: More fields, or others in place of these.
    """
    rows = dict.fromkeys(("station", "station_name", *kept), 1) | {part: f"${field}.{part}" for part in parts}
    return [{"$unwind": f"${field}"}, {"$project": {"_id": 0, **rows, **computed}}]


def documents_of_station(source: str, pipeline: Pipeline, name: str, **variables: str) -> Document:
    """Return the stage that gives a station its documents of another collection, as the array `name`."""
    lookup = {"from": source, "localField": "_id", "foreignField": "station", "pipeline": pipeline, "as": name}
    return {"$lookup": lookup | ({"let": variables} if variables else {})}
