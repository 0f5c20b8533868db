"""The views of the public dashboard's present: each station now, on the map, and its last week."""

from airqino.readings import CORE_HOURS, FORECAST, INDEX_LEVELS, LABELS, reading
from airqino.views.names import named, named_stations
from airqino.views.terms import Document, Pipeline, at_floor, documents_of_station, label, smallest, usable, vouched

__all__ = ["hourly_levels", "station_index", "station_map", "station_now"]

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
    """Return one row for each station and pollutant: the last hour, the three before it, the newest forecast.

    An hour below what the sensor can tell (`at_floor`) has no concentration, and there is no change from or to one.
    """

    def row(pollutant: str) -> Document:
        of = reading(pollutant)
        before = {"$slice": [f"$hours.{pollutant}_at_floor", 1, 3]}
        return {
            "pollutant": of.label,
            "unit": of.unit,
            "digits": of.digits,
            "smallest": smallest(of),
            "is_forecast": of.forecast,
            "concentration": {"$first": f"$hours.{pollutant}"},
            "at_floor": {"$first": f"$hours.{pollutant}_at_floor"},
            "before": {"$cond": [{"$in": [True, before]}, None, {"$avg": {"$slice": [f"$hours.{pollutant}", 1, 3]}}]},
            "fault": f"$sensor_faults.{pollutant}",
            "forecasts": _where("$forecasts", "pollutant", pollutant),
        }

    def level(pollutant: str) -> Document:
        return {pollutant: usable(pollutant), f"{pollutant}_at_floor": at_floor(pollutant)}

    def horizon(hours: int) -> Document:
        forecast = {"$first": _where("$rows.forecasts", "horizon_h", hours)}
        fields = {"p10": "p10", "p50": "p50", "p90": "p90", "at": "target_at", "method": "method"}
        names = {f"next_{hours}h_{name}": f"$$forecast.{field}" for name, field in fields.items()}
        return {"$let": {"vars": {"forecast": forecast}, "in": names}}

    hours: Pipeline = [
        {"$match": {"$expr": {"$gt": ["$observed_at", _before("$$last", "hour", 4)]}}},
        {"$sort": {"observed_at": -1}},
        {
            "$project": {p: usable(p) for p in LABELS}
            | {f"{p}_at_floor": at_floor(p) for p in LABELS}
            | {"observed_at": 1}
        },
    ]
    since_last = {"$match": {"$expr": {"$gte": ["$issued_at", "$$last"]}, "horizon_h": {"$lte": CORE_HOURS}}}
    forecasts: Pipeline = [since_last, {"$sort": {"issued_at": -1}}, {"$limit": len(FORECAST) * CORE_HOURS}]
    newest = _where("$forecasts", "issued_at", {"$first": "$forecasts.issued_at"})
    shown = ("pollutant", "unit", "digits", "smallest", "is_forecast", "concentration", "at_floor", "fault")
    kept = {name: f"$rows.{name}" for name in shown}
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
                    },
                    *(horizon(hours) for hours in range(1, CORE_HOURS + 1)),
                ]
            }
        },
    ]


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
            }
        },
    ]


def station_map() -> Pipeline:
    """Return where each station is, and its newest day with a PM2.5 mean that can be vouched for.

    Two more rows for each station, of the kinds ``south-west`` and ``north-east``, stand beside it: without them a
    chart of a single station, or of stations on one meridian, has no extent.
    """

    def place(kind: str, away: float) -> Document:
        return {"kind": kind, "latitude": {"$add": ["$latitude", away]}, "longitude": {"$add": ["$longitude", away]}}

    newest: Pipeline = [{"$match": {"$expr": vouched("pm2_5")}}, {"$sort": {"day": -1}}, {"$limit": 1}]
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
                    {name: f"$newest.{name}" for name in ("day", "pm2_5_checked_mean", "provisional")},
                ]
            }
        },
    ]


def hourly_levels() -> Pipeline:
    """Return the last week's readings and what was forecast for them, one to a row.

    The names of forecast series end as Superset's charts expect of a forecast with a band. A past hour shows the
    forecast made an hour before it; an hour to come the newest one there is; neither shows one that is too low for the
    sensor to measure.
    """
    levels = [{"pollutant": label, "concentration": usable(name)} for name, label in LABELS.items()]
    bands = [
        {"suffix": f"__yhat{end}", "concentration": f"${p}"}
        for end, p in (("", "p50"), ("_lower", "p10"), ("_upper", "p90"))
    ]
    over, to_come = ({"$expr": {of: ["$target_at", "$$NOW"]}} for of in ("$lte", "$gt"))
    hour_before: Pipeline = [{"$match": {"$and": [_last_week("target_at"), over, {"horizon_h": 1}]}}]
    newest: Pipeline = [  # an hour to come has been forecast from several hours
        {"$match": to_come},
        {"$sort": {"horizon_h": 1}},
        {"$group": {"_id": ["$station", "$pollutant", "$target_at"], "newest": {"$first": "$$ROOT"}}},
        {"$replaceWith": "$newest"},
    ]
    # what is written as less than the smallest amount is none: a line at 0 would say that the air will be clean
    told = [
        {"$or": [{"pollutant": {"$ne": name}}, {"p50": {"$gte": least / 2}}]}
        for name in LABELS
        if (least := smallest(reading(name))) is not None
    ]
    shown: Pipeline = [
        {"$match": {"$and": told}},
        *named(),
        {"$project": {"station": 1, "station_name": 1, "target_at": 1, "pollutant": label("pollutant"), "rows": bands}},
        *_rows("$target_at", 1, {"$concat": ["$station_name", "$rows.suffix"]}),
    ]
    return [
        {"$match": _last_week("observed_at")},
        *named(),
        {"$project": {"station": 1, "station_name": 1, "observed_at": 1, "rows": levels}},
        *_rows(1, "$rows.pollutant", "$station_name"),
        *({"$unionWith": {"coll": "forecasts", "pipeline": [*chosen, *shown]}} for chosen in (hour_before, newest)),
    ]


def _rows(observed_at: object, pollutant: object, series: object) -> Pipeline:
    """Make a row of each element of `rows` that has a concentration."""
    columns = {"station": 1, "station_name": 1, "observed_at": observed_at, "pollutant": pollutant, "series": series}
    return [
        {"$unwind": "$rows"},
        {"$match": {"rows.concentration": {"$ne": None}}},
        {"$project": {"_id": 0, **columns, "concentration": "$rows.concentration"}},
    ]
