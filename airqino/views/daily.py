"""The views of days: each pollutant's, what its mean rests on, and the chances that were told of them."""

from airqino.readings import LABELS, reading
from airqino.views.names import named, named_stations
from airqino.views.terms import (
    Document,
    Pipeline,
    before,
    documents_of_station,
    is_low,
    quality,
    smallest,
    unwound,
    vouched,
    zone,
)

__all__ = ["concentration", "daily_pollutants", "day_reliability", "is_compared", "is_floor_day", "sensor_hours"]

#: What a day's document says of each pollutant or of some; see the data dictionary.
_OF_A_DAY = (
    *("mean", "hours", "checked_mean", "checked_hours", "left_out", "above_who", "floor_hours"),
    *("humid_hours", "dry_mean", "corrected_mean", "correction"),
)
#: Days whose chances are compared with what came; the local hour at which they were told; and how many bins they have.
_TOLD_DAYS, _TOLD_HOUR, _BINS = 90, 6, 5
#: The pollutant whose days are forecast.
_TOLD = "pm2_5"


def concentration(name: str) -> str:
    """Return the field of a day that is compared with the guideline."""
    return f"${name}_8h_max" if reading(name).eight_hours else f"${name}_checked_mean"


def is_compared(name: str) -> Document:
    """Tell whether a day's mean can be vouched for and was compared with the guideline: whether the day is valid."""
    return {"$and": [vouched(name), {"$gt": [f"${name}_above_who", None]}]}


def is_floor_day(name: str) -> object:
    """Tell whether the sensor stood at its floor in half or more of the hours of a day that count."""
    floor, counted = f"${name}_floor_hours", f"${name}_checked_hours"
    if reading(name).floor is None:
        return False
    return {"$and": [{"$gt": [counted, 0]}, {"$gte": [{"$multiply": [2, {"$ifNull": [floor, 0]}]}, counted]}]}


def daily_pollutants() -> Pipeline:
    """Return each station's days, one row for each pollutant: the mean, all that it rests on, and how to draw it.

    `concentration` is what is compared with the guideline: the checked mean or the highest 8-hour mean. `drawn` has it
    where a line may go through it; `dot`, with what is to be said of it in `mark`, where it is a point of its own.
    Neither has what is too low for the sensor to measure.
    """

    def row(name: str) -> Document:
        of, field = reading(name), concentration(name)
        shown = {"$isNumber": field}
        hidden = {"$or": [{"$not": [shown]}, is_floor_day(name), is_low(of, field)]}
        known = {"vouched": vouched(name), "hidden": hidden, "mark": _mark(name)}
        drawn = {"$and": ["$$vouched", {"$not": ["$$hidden"]}]}
        fields = {part: f"${name}_{part}" for part in _OF_A_DAY} | {
            **{"pollutant": of.label, "unit": of.unit, "digits": of.digits, "smallest": smallest(of)},
            "quality": quality(name),
            "concentration": field,
            "drawn": {"$cond": [drawn, field, None]},
            "mark": {"$cond": ["$$hidden", None, "$$mark"]},
            "dot": {"$cond": [{"$or": ["$$hidden", {"$eq": ["$$mark", None]}]}, None, field]},
            "day_level": _day_level(name, {"$and": ["$$vouched", shown]}, field),
            "above_guideline": {"$cond": [is_compared(name), f"${name}_above_who", None]},
        }
        parts.update(dict.fromkeys(fields))
        return {"$let": {"vars": known, "in": fields}}

    parts: dict[str, None] = {}
    rows = [row(name) for name in LABELS]
    return [
        *named(),
        {"$project": {"station": 1, "station_name": 1, "day": 1, "provisional": 1, "rows": rows}},
        *unwound("rows", ("day", "provisional"), tuple(parts)),
    ]


def _mark(name: str) -> Document:
    """Return what is to be said of a day's mean beside its number."""
    floored: object = False if reading(name).floor is None else {"$gt": [f"${name}_floor_hours", 0]}
    provisional = {"$eq": ["$provisional", True]}
    marks = {
        "insufficient": {"$eq": [f"${name}_quality", "insufficient"]},
        "suspect": {"$eq": [f"${name}_quality", "suspect"]},
        "provisional_floor_hours": {"$and": [provisional, floored]},
        "provisional": provisional,
        "floor_hours": floored,
    }
    return {"$switch": {"branches": [{"case": of, "then": mark} for mark, of in marks.items()], "default": None}}


def _day_level(name: str, known: Document, field: str) -> Document:
    """Return the level whose band a day that can be vouched for lies in; see `airqino.publishing.days.day_level`."""
    above = [{"$toInt": {"$gt": [field, band]}} for band in reading(name).index_bands]
    return {"$cond": [known, {"$add": [1, *above]}, None]} if above else {"$literal": None}


def sensor_hours() -> Pipeline:
    """Return of how many hours that count a sensor was at its floor, or in humid air: by station, day and pollutant."""
    parts = ("checked_hours", "floor_hours", "humid_hours")
    rows = [{"pollutant": text} | {part: f"${name}_{part}" for part in parts} for name, text in LABELS.items()]
    return [
        *named(),
        {"$project": {"station": 1, "station_name": 1, "day": 1, "rows": rows}},
        *unwound("rows", ("day",), ("pollutant", *parts)),
    ]


def day_reliability() -> Pipeline:
    """Return the chance told at 6:00 local time that a day exceeds the guideline, and whether it did.

    A row for each station and valid day of the last 90 that is settled and of which a chance was told then: by the
    forecast issued of the hour before 6:00, when that was over. `bin` is its fifth, from 0 (up to 20 %) to 4.
    """
    since = {"$dateToString": {"date": before("$$NOW", "day", _TOLD_DAYS), "format": "%Y-%m-%d"}}
    settled = {"$and": [{"$gte": ["$day", since]}, is_compared(_TOLD), {"$ne": ["$provisional", True]}]}
    issued = {
        "$dateFromString": {
            "dateString": {"$concat": ["$day", f"T{_TOLD_HOUR - 1:02}:00:00"]},
            "timezone": "$$zone",
            "onError": None,
        }
    }
    hour = {"$dateToString": {"date": issued, "format": "%Y-%m-%dT%H"}}
    forecast = {"$concat": ["$station", "|", _TOLD, "|", hour, "|1"]}
    days: Pipeline = [
        {"$match": {"$expr": settled}},
        {"$project": {"_id": 0, "day": 1, "exceeded": f"${_TOLD}_above_who", "forecast": forecast}},
    ]
    chances: Pipeline = [
        {"$match": {"day_exceedance": {"$type": "number"}}},
        {"$project": {"_id": 1, "chance": "$day_exceedance"}},
    ]
    told = {
        "from": "forecasts",
        "localField": "days.forecast",
        "foreignField": "_id",
        "pipeline": chances,
        "as": "told",
    }
    fifth = {"$min": [{"$toInt": {"$floor": {"$multiply": ["$chance", _BINS]}}}, _BINS - 1]}
    place = {"$indexOfArray": ["$days.forecast", "$told._id"]}
    return [
        *named_stations(),
        {"$set": {"zone": zone("$time_zone")}},
        documents_of_station("daily_averages", days, "days", zone="$zone"),
        {"$lookup": told},  # of all days at once: one by one would take four times as long
        {"$unwind": "$told"},
        {"$set": {"of": {"$arrayElemAt": ["$days", place]}, "chance": "$told.chance"}},
        {
            "$project": {
                **{"_id": 0, "station": 1, "station_name": 1, "chance": 1, "bin": fifth},
                **{"day": "$of.day", "exceeded": "$of.exceeded"},
            }
        },
    ]
