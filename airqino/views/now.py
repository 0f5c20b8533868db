"""The views of the public dashboard's present: each station now, on the map, and its last week."""

from airqino.readings import LABELS, reading
from airqino.views.terms import Document, Pipeline, label, usable

__all__ = ["hourly_levels", "station_map", "station_now"]

#: Degrees around a station that the map shows at least.
_FRAME = 0.01


def _since(field: str, days: int) -> Document:
    start = {"$dateSubtract": {"startDate": "$$NOW", "unit": "day", "amount": days}}
    return {"$expr": {"$gte": [f"${field}", start]}}


def station_now() -> Pipeline:
    """One row for each station and pollutant: the last hour, the three before it, the newest forecast."""

    def row(pollutant: str) -> Document:
        forecasts = {"$filter": {"input": "$forecasts", "cond": {"$eq": ["$$this.pollutant", pollutant]}}}
        return {
            "pollutant": LABELS[pollutant],
            "unit": reading(pollutant).unit,
            "digits": reading(pollutant).digits,
            "concentration": {"$first": f"$hours.{pollutant}"},
            "before": {"$avg": {"$slice": [f"$hours.{pollutant}", 1, 3]}},
            "dead": {"$in": [pollutant, {"$ifNull": ["$dead_sensors", []]}]},
            "forecasts": forecasts,
        }

    def horizon(hours: int) -> Document:
        at = {"$first": {"$filter": {"input": "$rows.forecasts", "cond": {"$eq": ["$$this.horizon_h", hours]}}}}
        return {
            "$let": {
                "vars": {"forecast": at},
                "in": {f"next_{hours}h_{q}": f"$$forecast.{q}" for q in ("p10", "p50", "p90")}
                | {f"next_{hours}h_at": "$$forecast.target_at", f"next_{hours}h_method": "$$forecast.method"},
            }
        }

    return [
        {
            "$lookup": {
                "from": "hourly_measurements",
                "let": {"last": "$last_seen_at"},
                "localField": "_id",
                "foreignField": "station",
                "pipeline": [
                    {
                        "$match": {
                            "$expr": {
                                "$gt": [
                                    "$observed_at",
                                    {"$dateSubtract": {"startDate": "$$last", "unit": "hour", "amount": 4}},
                                ]
                            }
                        }
                    },
                    {"$sort": {"observed_at": -1}},
                    {"$project": {p: usable(p) for p in LABELS} | {"observed_at": 1}},
                ],
                "as": "hours",
            }
        },
        {
            "$lookup": {
                "from": "forecasts",
                "localField": "_id",
                "foreignField": "station",
                "let": {"last": "$last_seen_at"},
                "pipeline": [
                    {"$match": {"$expr": {"$gte": ["$issued_at", "$$last"]}}},
                    {"$sort": {"issued_at": -1}},
                    {"$limit": 4},
                ],
                "as": "forecasts",
            }
        },
        {
            "$set": {
                "forecasts": {
                    "$filter": {
                        "input": "$forecasts",
                        "cond": {"$eq": ["$$this.issued_at", {"$first": "$forecasts.issued_at"}]},
                    }
                },
                "last_at": {"$first": "$hours.observed_at"},
            }
        },
        {"$set": {"rows": [row(pollutant) for pollutant in LABELS]}},
        {"$unwind": "$rows"},
        {
            "$replaceWith": {
                "$mergeObjects": [
                    {
                        "station_name": "$name",
                        "pollutant": "$rows.pollutant",
                        "unit": "$rows.unit",
                        "digits": "$rows.digits",
                        "last_at": "$last_at",
                        "concentration": "$rows.concentration",
                        "change": {"$subtract": ["$rows.concentration", "$rows.before"]},
                        "dead": {"$toInt": "$rows.dead"},
                    },
                    horizon(1),
                    horizon(2),
                ]
            }
        },
    ]


def station_map() -> Pipeline:
    """Where each station is, and its newest day with a usable PM2.5 mean.

    Two more rows for each station, of the kinds ``south-west`` and ``north-east``, stand beside it: without them a
    chart of a single station, or of stations on one meridian, has no extent.
    """

    def place(kind: str, away: float) -> Document:
        return {"kind": kind, "latitude": {"$add": ["$latitude", away]}, "longitude": {"$add": ["$longitude", away]}}

    return [
        {
            "$lookup": {
                "from": "daily_averages",
                "localField": "_id",
                "foreignField": "station",
                "pipeline": [{"$match": {"pm2_5_quality": "ok"}}, {"$sort": {"day": -1}}, {"$limit": 1}],
                "as": "days",
            }
        },
        {"$set": {"newest": {"$first": "$days"}}},
        {"$set": {"places": [place("station", 0), place("south-west", -_FRAME), place("north-east", _FRAME)]}},
        {"$unwind": "$places"},
        {
            "$replaceWith": {
                "$mergeObjects": [
                    {"station_name": "$name"},
                    "$places",
                    {"day": "$newest.day", "pm2_5_mean": "$newest.pm2_5_mean"},
                ]
            }
        },
    ]


def hourly_levels() -> Pipeline:
    """The last week's readings and what was forecast for them, in one column each.

    The names of forecast series end as Superset's charts expect of a forecast with a band. A past hour shows the
    forecast made an hour before it; an hour to come the newest one there is.
    """
    levels = [{"pollutant": label, "concentration": usable(name)} for name, label in LABELS.items()]
    bands = [
        {"suffix": f"__yhat{end}", "concentration": f"${p}"}
        for end, p in (("", "p50"), ("_lower", "p10"), ("_upper", "p90"))
    ]
    newest = {"$or": [{"horizon_h": 1}, {"$expr": {"$gt": ["$target_at", "$$NOW"]}}]}
    forecasts: Pipeline = [
        {"$match": {"$and": [_since("target_at", 7), newest]}},
        {"$project": {"station_name": 1, "target_at": 1, "pollutant": label("pollutant"), "rows": bands}},
        {"$unwind": "$rows"},
        {"$match": {"rows.concentration": {"$ne": None}}},
        {
            "$project": {
                "_id": 0,
                "station_name": 1,
                "observed_at": "$target_at",
                "pollutant": 1,
                "series": {"$concat": ["$station_name", "$rows.suffix"]},
                "concentration": "$rows.concentration",
            }
        },
    ]
    return [
        {"$match": _since("observed_at", 7)},
        {"$project": {"station_name": 1, "observed_at": 1, "rows": levels}},
        {"$unwind": "$rows"},
        {"$match": {"rows.concentration": {"$ne": None}}},
        {
            "$project": {
                "_id": 0,
                "station_name": 1,
                "observed_at": 1,
                "pollutant": "$rows.pollutant",
                "series": "$station_name",
                "concentration": "$rows.concentration",
            }
        },
        {"$unionWith": {"coll": "forecasts", "pipeline": forecasts}},
    ]
