"""What the dashboards read beside the loads' own documents: coverage, hourly profiles, and views.

A chart asks for columns of one collection and groups them itself. Where that would be wrong or slow, MongoDB keeps a
shape made for it: details in `coverage` (each station's day of hours), `profiles` (each station's month and weekday,
by hour) and the views below. A view holds no data: what it shows is what the collections hold at that moment.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from pymongo.database import Database
from pymongo.errors import OperationFailure

from tasks.science.means import local_day

__all__ = ["ALL_STATIONS", "INDEXES", "NIGHT", "VIEWS", "coverage_details", "ensure_views", "refresh_profiles"]

_NAMESPACE_EXISTS = 48

Document = dict[str, Any]
Pipeline = list[Document]

#: The profile of the whole network, beside those of its stations.
ALL_STATIONS = "All stations"

#: Local hours that count as night where gaps are looked for.
NIGHT = frozenset({22, 23, 0, 1, 2, 3, 4, 5})

#: Indexes for the charts' queries; the load makes them with its own.
INDEXES: Mapping[str, tuple[tuple[tuple[str, int], ...], ...]] = {
    "coverage": ((("day", 1), ("station", 1)),),
    "forecasts": ((("station", 1), ("issued_at", 1)),),
    "forecast_scores": ((("day", 1), ("station", 1)),),
    "profiles": ((("station_name", 1), ("month", 1)), (("month", 1), ("weekday", 1))),
}

_LABELS = {"pm2_5": "PM2.5", "co": "CO"}
_UNITS = {"pm2_5": "µg/m³", "co": "mg/m³"}
#: Numbers of digits that the sensors can tell.
_DIGITS = {"pm2_5": 1, "co": 2}


#: Degrees around a station that the map shows at least.
_FRAME = 0.01


def _usable(pollutant: str, document: str = "") -> Document:
    """The reading where its flag is ok, else null: a dead sensor is no zero."""
    return {"$cond": [{"$eq": [f"${document}{pollutant}_flag", "ok"]}, f"${document}{pollutant}", None]}


def _since(field: str, days: int) -> Document:
    start = {"$dateSubtract": {"startDate": "$$NOW", "unit": "day", "amount": days}}
    return {"$expr": {"$gte": [f"${field}", start]}}


def _label(field: str) -> Document:
    cases = [{"case": {"$eq": [f"${field}", name]}, "then": label} for name, label in _LABELS.items()]
    return {"$switch": {"branches": cases, "default": {"$toUpper": f"${field}"}}}


def _station_now() -> Pipeline:
    """One row for each station and pollutant: the last hour, the three before it, the newest forecast."""

    def row(pollutant: str) -> Document:
        forecasts = {
            "$filter": {"input": "$forecasts", "cond": {"$eq": ["$$this.pollutant", pollutant]}},
        }
        return {
            "pollutant": _LABELS[pollutant],
            "unit": _UNITS[pollutant],
            "digits": _DIGITS[pollutant],
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
                    {"$project": {p: _usable(p) for p in _LABELS} | {"observed_at": 1}},
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
        {"$set": {"rows": [row(pollutant) for pollutant in _LABELS]}},
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


def _station_map() -> Pipeline:
    """Where each station is, and its newest day with a usable PM2.5 mean.

    Two more rows for each station, of the kinds ``south-west`` and ``north-east``, stand beside it: without them a
    chart of a single station, or of stations on one meridian, has no extent.
    """

    def place(kind: str, away: float) -> Document:
        return {
            "kind": kind,
            "latitude": {"$add": ["$latitude", away]},
            "longitude": {"$add": ["$longitude", away]},
        }

    return [
        {
            "$lookup": {
                "from": "daily_averages",
                "localField": "_id",
                "foreignField": "station",
                "pipeline": [
                    {"$match": {"pm2_5_quality": "ok"}},
                    {"$sort": {"day": -1}},
                    {"$limit": 1},
                ],
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


def _hourly_levels() -> Pipeline:
    """The last week's readings and what was forecast for them, in one column each.

    The names of forecast series end as Superset's charts expect of a forecast with a band. A past hour shows the
    forecast made an hour before it; an hour to come the newest one there is.
    """
    levels = [{"pollutant": label, "concentration": _usable(name)} for name, label in _LABELS.items()]
    bands = [
        {"suffix": f"__yhat{end}", "concentration": f"${p}"}
        for end, p in (("", "p50"), ("_lower", "p10"), ("_upper", "p90"))
    ]
    newest = {"$or": [{"horizon_h": 1}, {"$expr": {"$gt": ["$target_at", "$$NOW"]}}]}
    forecasts: Pipeline = [
        {"$match": {"$and": [_since("target_at", 7), newest]}},
        {"$project": {"station_name": 1, "target_at": 1, "pollutant": _label("pollutant"), "rows": bands}},
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


def _guideline_days() -> Pipeline:
    """Days over the WHO 24-hour guideline and valid days, by station, year and pollutant."""
    rows = [
        {"pollutant": label, "valid": {"$eq": [f"${name}_quality", "ok"]}, "above": f"${name}_above_who"}
        for name, label in _LABELS.items()
    ]
    return [
        {"$set": {"rows": rows, "year": {"$substrBytes": ["$day", 0, 4]}}},
        {"$unwind": "$rows"},
        {
            "$group": {
                "_id": {"name": "$station_name", "year": "$year", "pollutant": "$rows.pollutant"},
                "days": {"$sum": 1},
                "valid_days": {"$sum": {"$toInt": "$rows.valid"}},
                "days_above": {"$sum": {"$cond": [{"$and": ["$rows.valid", "$rows.above"]}, 1, 0]}},
            }
        },
        {
            "$project": {
                "_id": 0,
                "station_name": "$_id.name",
                "calendar_year": "$_id.year",
                "pollutant": "$_id.pollutant",
                "days": 1,
                "valid_days": 1,
                "days_above": 1,
            }
        },
    ]


def _pipeline_state() -> Pipeline:
    """The newest load of readings and of forecasts: what it reached, and when it was written."""
    return [
        {"$match": {"kind": {"$in": ["day", "forecast"]}}},
        {
            "$group": {
                "_id": "$kind",
                "newest_at": {"$max": {"$ifNull": ["$through", "$issued_at"]}},
                "loaded_at": {"$max": "$loaded_at"},
            }
        },
        {"$project": {"_id": 0, "kind": "$_id", "newest_at": 1, "loaded_at": 1}},
    ]


def _revision_log() -> Pipeline:
    """The revisions with the station's name."""
    return [
        {"$lookup": {"from": "stations", "localField": "station", "foreignField": "_id", "as": "known"}},
        {
            "$project": {
                "_id": 0,
                "station_name": {"$ifNull": [{"$first": "$known.name"}, "$station"]},
                "pollutant": _label("reading"),
                "observed_at": 1,
                "seen_at": 1,
                "change": {"$subtract": ["$new_reading", "$old_reading"]},
            }
        },
    ]


def _unwound(field: str, kept: Sequence[str], parts: Sequence[str]) -> Pipeline:
    """The elements of an array, each as a row with some fields of its document.

    Named one by one: a chart's filter on a field of the document then reaches the collection's index.
    """
    rows = dict.fromkeys(kept, 1) | {part: f"${field}.{part}" for part in parts}
    return [{"$unwind": f"${field}"}, {"$project": {"_id": 0, **rows}}]


_CELL = ("hour", *(f"{pollutant}_{kind}" for pollutant in _LABELS for kind in ("sum", "hours")))

#: Name of each view → the collection it reads and its pipeline.
VIEWS: Mapping[str, tuple[str, Pipeline]] = {
    "station_now": ("stations", _station_now()),
    "station_map": ("stations", _station_map()),
    "hourly_levels": ("hourly_measurements", _hourly_levels()),
    "guideline_days": ("daily_averages", _guideline_days()),
    "hourly_profiles": ("profiles", _unwound("cells", ("station_name", "month", "weekday"), _CELL)),
    "pipeline_state": ("loads", _pipeline_state()),
    "flag_hours": ("coverage", _unwound("flags", ("station_name", "day"), ("reading", "flag", "hours"))),
    "missing_hours": ("coverage", _unwound("missing", ("station_name", "day"), ("weekday", "hour"))),
    "revision_log": ("revisions", _revision_log()),
}


@lru_cache(maxsize=8)
def ensure_views(db: Database[Document]) -> None:
    """Make the indexes and views of the dashboards, or bring them up to date; asked once per process and database."""
    for collection, indexes in INDEXES.items():
        for keys in indexes:
            db[collection].create_index(list(keys))
    there = {view["name"]: view["options"] for view in db.list_collections(filter={"type": "view"})}
    for name, (source, pipeline) in VIEWS.items():
        wanted: Document = {"viewOn": source, "pipeline": pipeline}
        if name not in there:
            try:
                db.command({"create": name, **wanted})
            except OperationFailure as error:
                if error.code != _NAMESPACE_EXISTS:  # another worker made it meanwhile
                    raise
        elif there[name] != wanted:
            db.command({"collMod": name, **wanted})


def coverage_details(
    hourly: Iterable[Mapping[str, Any]], zones: Mapping[str, str], readings: Sequence[str]
) -> dict[str, Document]:
    """Tell when each station's hours of a day are missing, and what was flagged, for its document in `coverage`.

    Args:
        hourly: The day's hourly table: station, observed_at (aware), status (``ok``, ``absent``, ``failed``) and the
            flag of each reading as ``<reading>_flag``.
        zones: Time zone of each station; UTC where not named. It decides which hours are night.
        readings: Names of the readings.

    Returns:
        For each station: ``night_hours`` and ``night_missing_hours``; ``missing``, the hours without a row, each with
        its local hour and weekday (1 is Monday); ``flags``, hours by reading and flag (``ok`` left out).
    """
    by_station: dict[str, list[Mapping[str, Any]]] = {}
    for row in hourly:
        by_station.setdefault(row["station"], []).append(row)
    return {
        station: _coverage_detail(rows, ZoneInfo(zones.get(station, "UTC")), readings)
        for station, rows in sorted(by_station.items())
    }


def _coverage_detail(rows: list[Mapping[str, Any]], zone: ZoneInfo, readings: Sequence[str]) -> Document:
    missing = [row["observed_at"].astimezone(zone) for row in rows if row["status"] != "ok"]
    flags = Counter(
        (reading, flag)
        for row in rows
        if row["status"] == "ok"
        for reading in readings
        if (flag := row[f"{reading}_flag"]) != "ok"
    )
    return {
        "night_hours": sum(row["observed_at"].astimezone(zone).hour in NIGHT for row in rows),
        "night_missing_hours": sum(moment.hour in NIGHT for moment in missing),
        "missing": [{"weekday": moment.isoweekday(), "hour": moment.hour} for moment in missing],
        "flags": [{"reading": r, "flag": f, "hours": n} for (r, f), n in sorted(flags.items())],
    }


def refresh_profiles(db: Database[Document], days: Iterable[date], kept_since: date = date.min) -> None:
    """Compute anew, inside MongoDB, the profiles that some days belong to: those of their month and weekday.

    A profile holds, by local hour, the sum and number of the usable (flag ``ok``) readings of a station on one
    weekday of one month, and of all stations in the one named `ALL_STATIONS`. Sums and numbers, so that profiles can
    be put together.

    Args:
        db: The database, with the days' documents loaded.
        days: Local days that were loaded.
        kept_since: Hourly documents of this day and before may have expired: what goes back to them stays as it is.
    """
    days = [day for day in days if min(_same_weekday(day)) > kept_since]
    zones: dict[str, list[str]] = {}
    for station in db.stations.find({}, {"time_zone": 1}):
        zones.setdefault(station.get("time_zone") or "UTC", []).append(station["_id"])
    for first in sorted({min(_same_weekday(day)) for day in days}):
        for zone, stations in zones.items():
            db.hourly_measurements.aggregate(_profiles(first, zone, stations))
        db.profiles.aggregate(_network_profile(first))


def _same_weekday(day: date) -> list[date]:
    """The days of the month on the same weekday."""
    around = (day + timedelta(weeks=weeks) for weeks in range(-4, 5))
    return [other for other in around if (other.year, other.month) == (day.year, day.month)]


def _key(station: str, first: date) -> str:
    return f"{station}|{first:%Y-%m}|{first.isoweekday()}"


def _profiles(first: date, zone: str, stations: list[str]) -> Pipeline:
    spans = [local_day(day, zone) for day in _same_weekday(first)]
    sums = {f"{p}_sum": {"$sum": _usable(p)} for p in _LABELS} | {
        f"{p}_hours": {"$sum": {"$cond": [{"$ne": [_usable(p), None]}, 1, 0]}} for p in _LABELS
    }
    return [
        {
            "$match": {
                "$or": [{"observed_at": {"$gte": span.start, "$lt": span.stop}} for span in spans],
                "station": {"$in": stations},
            }
        },
        {
            "$group": {
                "_id": {"station": "$station", "hour": {"$hour": {"date": "$observed_at", "timezone": zone}}},
                "station_name": {"$last": "$station_name"},
                **sums,
            }
        },
        {"$sort": {"_id": 1}},
        {
            "$group": {
                "_id": "$_id.station",
                "station_name": {"$last": "$station_name"},
                "cells": {"$push": {"hour": "$_id.hour"} | {name: f"${name}" for name in sums}},
            }
        },
        {
            "$project": {
                "_id": {"$concat": ["$_id", _key("", first)]},
                "station": "$_id",
                "station_name": 1,
                "month": f"{first:%Y-%m}-01",
                "weekday": {"$literal": first.isoweekday()},
                "cells": 1,
            }
        },
        {"$merge": {"into": "profiles", "whenMatched": "replace"}},
    ]


def _network_profile(first: date) -> Pipeline:
    sums = [f"{p}_{kind}" for p in _LABELS for kind in ("sum", "hours")]
    of = {"month": f"{first:%Y-%m}-01", "weekday": first.isoweekday()}
    return [
        {"$match": of | {"station_name": {"$ne": ALL_STATIONS}}},
        {"$unwind": "$cells"},
        {"$group": {"_id": "$cells.hour", **{name: {"$sum": f"$cells.{name}"} for name in sums}}},
        {"$sort": {"_id": 1}},
        {"$group": {"_id": None, "cells": {"$push": {"hour": "$_id"} | {name: f"${name}" for name in sums}}}},
        {
            "$project": {
                "_id": {"$literal": _key("*", first)},
                "station": {"$literal": None},
                "station_name": {"$literal": ALL_STATIONS},
                "cells": 1,
                **{name: {"$literal": what} for name, what in of.items()},
            }
        },
        {"$merge": {"into": "profiles", "whenMatched": "replace"}},
    ]
