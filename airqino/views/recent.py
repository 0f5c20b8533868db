"""The view of the last hours: readings, and what is forecast after them."""

from airqino.readings import LABELS, STALE_HOURS, reading
from airqino.views.names import named, named_stations
from airqino.views.terms import Document, Pipeline, before, reading_label, smallest, usable

__all__ = ["LEVEL_HOURS", "hourly_levels"]

#: Hours of readings that are shown.
LEVEL_HOURS = 48
#: Pollutants with a floor, and the smallest amount to write of each.
_SMALLEST = {name: least for name in LABELS if (least := smallest(reading(name))) is not None}


def hourly_levels() -> Pipeline:
    """Return the last 48 hours' readings, and after each station's newest one what was forecast last, one to a row.

    Beside them each hour has a row of the kind ``hour`` without a concentration: a line then has a gap where there is
    no reading, instead of a straight piece through hours that nobody measured.

    The names of forecast series end as Superset's charts expect of a forecast with a band. A forecast that is too low
    for the sensor to measure is not shown, nor one that was made from a stale hour. The end of a band that is too low
    is the smallest amount to write.
    """
    levels = [{"pollutant": text, "concentration": usable(name)} for name, text in LABELS.items()]
    bands = [
        {"suffix": f"__yhat{end}", "concentration": _at_least_smallest(p)}
        for end, p in (("", "p50"), ("_lower", "p10"), ("_upper", "p90"))
    ]
    # what is written as less than the smallest amount is none: a line at 0 would say that the air will be clean
    told = [{"$or": [{"pollutant": {"$ne": name}}, {"p50": {"$gte": least / 2}}]} for name, least in _SMALLEST.items()]
    newest = {"$setWindowFields": {"partitionBy": "$station", "output": {"newest": {"$max": "$issued_at"}}}}
    shown = {"station": 1, "station_name": 1, "target_at": 1, "pollutant": reading_label("$pollutant"), "rows": bands}
    forecasts: Pipeline = [
        {"$match": {"$expr": {"$gt": ["$issued_at", before("$$NOW", "hour", STALE_HOURS + 1)]}}},
        *named(last_at="last_seen_at"),
        newest,
        # a moment is more than none: of a station of which nothing is known all is shown
        {"$match": {"$and": told, "$expr": {"$and": [_equal("issued_at", "newest"), _later("target_at", "last_at")]}}},
        {"$project": shown},
        *_rows("forecast", "$target_at", 1, {"$concat": ["$station_name", "$rows.suffix"]}),
    ]
    hours: Pipeline = [
        *named_stations(),
        {"$set": {"hour": {"$range": [0, LEVEL_HOURS]}, "pollutant": [*LABELS.values()]}},
        {"$unwind": "$hour"},
        {"$unwind": "$pollutant"},
        {
            "$project": {
                **{"_id": 0, "station": 1, "station_name": 1, "pollutant": 1, "series": "$station_name"},
                **{"kind": {"$literal": "hour"}, "concentration": {"$literal": None}},
                "observed_at": {"$dateTrunc": {"date": before("$$NOW", "hour", "$hour"), "unit": "hour"}},
            }
        },
    ]
    return [
        {"$match": {"$expr": {"$gte": ["$observed_at", before("$$NOW", "hour", LEVEL_HOURS)]}}},
        *named(),
        {"$project": {"station": 1, "station_name": 1, "observed_at": 1, "rows": levels}},
        *_rows("reading", 1, "$rows.pollutant", "$station_name"),
        {"$unionWith": {"coll": "forecasts", "pipeline": forecasts}},
        {"$unionWith": {"coll": "stations", "pipeline": hours}},
    ]


def _at_least_smallest(quantile: str) -> Document:
    """Return the end of a band, or the smallest amount to write of a pollutant with a floor: "< 0.01" has no place."""
    cases = [
        {"case": {"$eq": ["$pollutant", name]}, "then": {"$max": [f"${quantile}", least]}}
        for name, least in _SMALLEST.items()
    ]
    return {"$switch": {"branches": cases, "default": f"${quantile}"}}


def _equal(one: str, other: str) -> Document:
    return {"$eq": [f"${one}", f"${other}"]}


def _later(one: str, other: str) -> Document:
    return {"$gt": [f"${one}", f"${other}"]}


def _rows(kind: str, observed_at: object, pollutant: object, series: object) -> Pipeline:
    """Make a row of each element of `rows` that has a concentration."""
    columns = {"station": 1, "station_name": 1, "observed_at": observed_at, "pollutant": pollutant, "series": series}
    return [
        {"$unwind": "$rows"},
        {"$match": {"rows.concentration": {"$ne": None}}},
        {"$project": {"_id": 0, **columns, "kind": {"$literal": kind}, "concentration": "$rows.concentration"}},
    ]
