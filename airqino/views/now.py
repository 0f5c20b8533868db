"""The views of the public dashboard's present: each station now, on the map, and its last week."""

from airqino.readings import LABELS, reading
from airqino.views.names import named, named_stations
from airqino.views.terms import Document, Pipeline, documents_of_station, label, usable

__all__ = ["hourly_levels", "station_map", "station_now"]

#: Degrees around a station that the map shows at least.
_FRAME = 0.01


def _before(moment: str, unit: str, amount: int) -> Document:
    return {"$dateSubtract": {"startDate": moment, "unit": unit, "amount": amount}}


def _where(array: str, field: str, value: object) -> Document:
    """Return the elements of an array in which a field has a value."""
    return {"$filter": {"input": array, "cond": {"$eq": [f"$$this.{field}", value]}}}


def _last_week(field: str) -> Document:
    return {"$expr": {"$gte": [f"${field}", _before("$$NOW", "day", 7)]}}


def station_now() -> Pipeline:
    """Return one row for each station and pollutant: the last hour, the three before it, the newest forecast."""

    def row(pollutant: str) -> Document:
        return {
            "pollutant": LABELS[pollutant],
            "unit": reading(pollutant).unit,
            "digits": reading(pollutant).digits,
            "concentration": {"$first": f"$hours.{pollutant}"},
            "before": {"$avg": {"$slice": [f"$hours.{pollutant}", 1, 3]}},
            "dead": {"$in": [pollutant, {"$ifNull": ["$dead_sensors", []]}]},
            "forecasts": _where("$forecasts", "pollutant", pollutant),
        }

    def horizon(hours: int) -> Document:
        forecast = {"$first": _where("$rows.forecasts", "horizon_h", hours)}
        fields = {"p10": "p10", "p50": "p50", "p90": "p90", "at": "target_at", "method": "method"}
        names = {f"next_{hours}h_{name}": f"$$forecast.{field}" for name, field in fields.items()}
        return {"$let": {"vars": {"forecast": forecast}, "in": names}}

    hours: Pipeline = [
        {"$match": {"$expr": {"$gt": ["$observed_at", _before("$$last", "hour", 4)]}}},
        {"$sort": {"observed_at": -1}},
        {"$project": {p: usable(p) for p in LABELS} | {"observed_at": 1}},
    ]
    since_last = {"$match": {"$expr": {"$gte": ["$issued_at", "$$last"]}}}
    forecasts: Pipeline = [since_last, {"$sort": {"issued_at": -1}}, {"$limit": 4}]
    newest = _where("$forecasts", "issued_at", {"$first": "$forecasts.issued_at"})
    kept = {name: f"$rows.{name}" for name in ("pollutant", "unit", "digits", "concentration")}
    return [
        *named_stations(),
        documents_of_station("hourly_measurements", hours, "hours", last="$last_seen_at"),
        documents_of_station("forecasts", forecasts, "forecasts", last="$last_seen_at"),
        {"$set": {"forecasts": newest, "last_at": {"$first": "$hours.observed_at"}}},
        {"$set": {"rows": [row(pollutant) for pollutant in LABELS]}},
        {"$unwind": "$rows"},
        {
            "$replaceWith": {
                "$mergeObjects": [
                    {
                        "station": "$station",
                        "station_name": "$station_name",
                        **kept,
                        "last_at": "$last_at",
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
    """Return where each station is, and its newest day with a usable PM2.5 mean.

    Two more rows for each station, of the kinds ``south-west`` and ``north-east``, stand beside it: without them a
    chart of a single station, or of stations on one meridian, has no extent.
    """

    def place(kind: str, away: float) -> Document:
        return {"kind": kind, "latitude": {"$add": ["$latitude", away]}, "longitude": {"$add": ["$longitude", away]}}

    newest: Pipeline = [{"$match": {"pm2_5_quality": "ok"}}, {"$sort": {"day": -1}}, {"$limit": 1}]
    return [
        *named_stations(),
        documents_of_station("daily_averages", newest, "days"),
        {"$set": {"newest": {"$first": "$days"}}},
        {"$set": {"places": [place("station", 0), place("south-west", -_FRAME), place("north-east", _FRAME)]}},
        {"$unwind": "$places"},
        {
            "$replaceWith": {
                "$mergeObjects": [
                    {"station": "$station", "station_name": "$station_name"},
                    "$places",
                    {"day": "$newest.day", "pm2_5_mean": "$newest.pm2_5_mean"},
                ]
            }
        },
    ]


def hourly_levels() -> Pipeline:
    """Return the last week's readings and what was forecast for them, one to a row.

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
        {"$match": {"$and": [_last_week("target_at"), newest]}},
        *named(),
        {"$project": {"station": 1, "station_name": 1, "target_at": 1, "pollutant": label("pollutant"), "rows": bands}},
        *_rows("$target_at", 1, {"$concat": ["$station_name", "$rows.suffix"]}),
    ]
    return [
        {"$match": _last_week("observed_at")},
        *named(),
        {"$project": {"station": 1, "station_name": 1, "observed_at": 1, "rows": levels}},
        *_rows(1, "$rows.pollutant", "$station_name"),
        {"$unionWith": {"coll": "forecasts", "pipeline": forecasts}},
    ]


def _rows(observed_at: object, pollutant: object, series: object) -> Pipeline:
    """Make a row of each element of `rows` that has a concentration."""
    columns = {"station": 1, "station_name": 1, "observed_at": observed_at, "pollutant": pollutant, "series": series}
    return [
        {"$unwind": "$rows"},
        {"$match": {"rows.concentration": {"$ne": None}}},
        {"$project": {"_id": 0, **columns, "concentration": "$rows.concentration"}},
    ]
