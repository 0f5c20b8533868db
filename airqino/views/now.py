"""The views of the public dashboard's present: each station now, and its index."""

from airqino.readings import CORE_HOURS, FORECAST, INDEX_LEVELS, LABELS, reading
from airqino.views.names import named_stations
from airqino.views.terms import (
    Document,
    Pipeline,
    age_hours,
    before,
    documents_of_station,
    is_low,
    is_stale,
    smallest,
    too_low,
    usable,
)

__all__ = ["SHOWN", "last_hour", "present", "station_index", "station_now"]

#: The pollutant by which stations are ordered and drawn on the map.
SHOWN = "pm2_5"
#: A change of the mean of the hours before by no more than this share of it is none.
_STEADY = 0.1
#: Hours before the last one that it is compared with.
_COMPARED = 3
#: What a forecast's reason begins with or holds, and the word for it; any other is the model's.
_REASONS = {"^no reading": "no_reading", "sensor|^readings ": "sensor"}


def _where(array: str, **fields: object) -> Document:
    """Return the elements of an array in which fields have some values."""
    equal = [{"$eq": [f"$$this.{field}", value]} for field, value in fields.items()]
    return {"$filter": {"input": array, "cond": {"$and": equal}}}


def last_hour(pollutant: str) -> Document:
    """Return what an hourly document says of a pollutant: its `concentration`, `state` and `hour_level`.

    The state is ``measured``; ``at_floor``, too low for the sensor; ``left_out``, a value that does not count; or
    ``none``. Only what is measured has a concentration. Documents of version 0.3.0 and before have no level.
    """
    states = [
        {"case": too_low(pollutant), "then": "at_floor"},
        {"case": {"$ne": [usable(pollutant), None]}, "then": "measured"},
        {"case": {"$isNumber": f"${pollutant}"}, "then": "left_out"},
    ]
    level = {"$ifNull": [f"${pollutant}_index", None]} if reading(pollutant).index_bands else None
    return {
        "concentration": usable(pollutant),
        "state": {"$switch": {"branches": states, "default": "none"}},
        "hour_level": {"$literal": None} if level is None else level,
    }


def station_now() -> Pipeline:
    """Return one row for each station and pollutant: the last hour, the three before it, the newest forecast.

    An hour below what the sensor can tell has no concentration, and there is no change from or to one.
    """
    earlier = {pollutant: {"$slice": [f"$hours.{pollutant}", 1, _COMPARED]} for pollutant in LABELS}

    def row(pollutant: str) -> Document:
        of, hours = reading(pollutant), earlier[pollutant]
        floored = {"$in": ["at_floor", {"$map": {"input": hours, "in": "$$this.state"}}]}
        mean = {"$avg": {"$map": {"input": hours, "in": "$$this.concentration"}}}
        return {
            **{"pollutant": of.label, "unit": of.unit, "digits": of.digits, "smallest": smallest(of)},
            **{part: {"$ifNull": [{"$first": f"$hours.{pollutant}.{part}"}, None]} for part in last_hour(pollutant)},
            "state": {"$ifNull": [{"$first": f"$hours.{pollutant}.state"}, "none"]},
            "before": {"$cond": [floored, None, mean]},
            "fault": {"$ifNull": [f"$sensor_faults.{pollutant}", None]},
            "ahead": [_ahead(pollutant, hours) for hours in range(1, CORE_HOURS + 1)],
        }

    hours: Pipeline = [
        {"$match": {"$expr": {"$gt": ["$observed_at", before("$$last", "hour", _COMPARED + 1)]}}},
        {"$sort": {"observed_at": -1}},
        {"$project": {pollutant: last_hour(pollutant) for pollutant in LABELS} | {"observed_at": 1}},
    ]
    since_last = {"$match": {"$expr": {"$gte": ["$issued_at", "$$last"]}, "horizon_h": {"$lte": CORE_HOURS}}}
    forecasts: Pipeline = [since_last, {"$sort": {"issued_at": -1}}, {"$limit": len(FORECAST) * CORE_HOURS}]
    shown = {"$first": f"$hours.{SHOWN}.concentration"}
    parts = ("pollutant", "unit", "digits", "smallest", "state", "concentration", "hour_level", "fault")
    ahead = ("state", "p10", "p50", "p90", "at", "reason")
    return [
        *named_stations(),
        documents_of_station("hourly_measurements", hours, "hours", last="$last_seen_at"),
        documents_of_station("forecasts", forecasts, "forecasts", last="$last_seen_at"),
        {"$set": {"forecasts": _where("$forecasts", issued_at={"$first": "$forecasts.issued_at"})}},
        {"$set": {"last_at": {"$ifNull": [{"$first": "$hours.observed_at"}, "$last_seen_at"]}}},
        {"$set": {"age_h": age_hours("$last_at")}},
        {"$set": {"stale": is_stale("$age_h"), "rows": [row(pollutant) for pollutant in LABELS]}},
        {"$set": {"worst": {"$cond": [{"$eq": ["$stale", False]}, {"$ifNull": [shown, -1]}, -1]}}},
        {"$unwind": "$rows"},
        {"$set": {"change": {"$subtract": ["$rows.concentration", "$rows.before"]}}},
        {
            "$project": {
                **{"_id": 0, "station": 1, "station_name": 1, **{part: f"$rows.{part}" for part in parts}},
                **dict.fromkeys(("last_at", "age_h", "stale", "worst", "change"), 1),
                "trend": _trend("$change", "$rows.before"),
                **{
                    f"next_{hours}h_{part}": {"$arrayElemAt": [f"$rows.ahead.{part}", hours - 1]}
                    for hours in range(1, CORE_HOURS + 1)
                    for part in ahead
                },
            }
        },
    ]


def _trend(change: str, mean: str) -> Document:
    cases = [
        {"case": {"$not": [{"$isNumber": change}]}, "then": None},
        {"case": {"$lte": [{"$abs": change}, {"$multiply": [_STEADY, mean]}]}, "then": "steady"},
        {"case": {"$gt": [change, 0]}, "then": "rising"},
    ]
    return {"$switch": {"branches": cases, "default": "falling"}}


def _ahead(pollutant: str, hours: int) -> Document:
    """Return the newest forecast of a coming hour of a station, or why there is none."""
    nothing = dict.fromkeys(("p10", "p50", "p90", "at", "reason"), None)
    if pollutant not in FORECAST:
        return nothing | {"state": "not_forecast"}
    states = [
        {"case": {"$not": [{"$isNumber": "$$of.p50"}]}, "then": "none"},
        # an hour that is over is no forecast any more
        {"case": {"$lte": ["$$of.target_at", before("$$NOW", "hour", 1)]}, "then": "late"},
        {"case": is_low(reading(pollutant), "$$of.p50"), "then": "low"},
    ]
    reasons = [
        {"case": {"$eq": [{"$type": "$$of.reason"}, "missing"]}, "then": "not_made"},
        *(
            {"case": {"$regexMatch": {"input": {"$toString": "$$of.reason"}, "regex": pattern}}, "then": word}
            for pattern, word in _REASONS.items()
        ),
    ]
    told = {
        "state": "$$state",
        "at": {"$ifNull": ["$$of.target_at", None]},
        "reason": {
            "$cond": [{"$eq": ["$$state", "none"]}, {"$switch": {"branches": reasons, "default": "model"}}, None]
        },
        **{p: {"$cond": [{"$eq": ["$$state", "forecast"]}, f"$$of.{p}", None]} for p in ("p10", "p50", "p90")},
    }
    state = {"$switch": {"branches": states, "default": "forecast"}}
    of = {"$first": _where("$forecasts", pollutant=pollutant, horizon_h=hours)}
    return {"$let": {"vars": {"of": of}, "in": {"$let": {"vars": {"state": state}, "in": told}}}}


def station_index() -> Pipeline:
    """Return what the European Air Quality Index says of each station's last hour: of all, and of each pollutant.

    A level is written as its number and name, such as ``2 fair``; null where the hours that it needs are missing.
    """
    words = [f"{number} {name}" for number, name in enumerate(INDEX_LEVELS, 1)]
    names = [f"{name}_index" for name in LABELS if reading(name).index_bands]

    def level(name: str) -> Document:
        number = f"$hour.{name}"
        return {"$cond": [{"$gt": [number, 0]}, {"$arrayElemAt": [words, {"$subtract": [number, 1]}]}, None]}

    hours: Pipeline = [
        {"$match": {"$expr": {"$eq": ["$observed_at", "$$last"]}}},
        {"$project": dict.fromkeys(("index", *names, "observed_at"), 1)},
    ]
    return [
        *named_stations(),
        documents_of_station("hourly_measurements", hours, "hours", last="$last_seen_at"),
        {"$set": {"hour": {"$first": "$hours"}}},
        {
            "$project": {
                **{"_id": 0, "station": 1, "station_name": 1, "last_at": "$hour.observed_at"},
                **{"overall": level("index"), **{name: level(name) for name in names}},
                "stale": is_stale(age_hours("$last_seen_at")),
            }
        },
    ]


def present() -> Pipeline:
    """Return one row, whatever the database holds: the moment."""
    moment: Document = {"$project": {"_id": 0, "now_at": "$$NOW"}}
    return [{"$limit": 1}, moment, {"$unionWith": {"pipeline": [{"$documents": [{}]}, moment]}}, {"$limit": 1}]
