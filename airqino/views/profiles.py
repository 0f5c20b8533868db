"""Diurnal profiles by month and weekday, computed inside MongoDB."""

from collections.abc import Iterable
from datetime import date, timedelta

from pymongo.database import Database

from airqino.readings import LABELS, reading
from airqino.times import DAY, day_start, local_day, runs_of
from airqino.views.terms import Document, Pipeline, at_floor, averaged

__all__ = ["ALL_STATIONS", "SUMS", "refresh_profiles"]

#: What the profile of the whole network is called, beside those of its stations.
ALL_STATIONS = "All stations"
#: What a profile has for each hour: sum and number of the readings of each pollutant, and how many stood at a floor.
SUMS = (
    *(f"{name}_{kind}" for name in LABELS for kind in ("sum", "hours")),
    *(f"{name}_floor_hours" for name in LABELS if reading(name).floor is not None),
)
_MERGE = {"$merge": {"into": "profiles", "whenMatched": "replace"}}


def refresh_profiles(db: Database[Document], days: Iterable[date], kept_since: date = date.min) -> None:
    """Compute anew, inside MongoDB, the profiles that some days belong to: those of their month and weekday.

    A profile holds, by local hour, `SUMS` of the readings of a station that go into means, on one weekday of one
    month, and of all stations in the one that has no station. Sums and numbers, so that profiles can be put together.

    Args:
        db: The database, with the days' documents loaded.
        days: Local days that were loaded.
        kept_since: Hourly documents of this day and before may have expired: what goes back to them stays as it is.
    """
    days = [day for day in days if min(_same_weekday(day)) > kept_since]
    zones: dict[str, list[str]] = {}
    for station in db.stations.find({}, {"time_zone": 1}):
        zones.setdefault(station.get("time_zone") or "UTC", []).append(station["_id"])
    kinds = {(day.year, day.month, day.isoweekday()) for day in days}
    alike = sorted({other for day in days for other in _same_weekday(day)})
    for zone, stations in zones.items() if kinds else ():
        db.hourly_measurements.aggregate(_profiles(alike, zone, stations))
    for kind in sorted(kinds):
        db.profiles.aggregate(_network_profile(*kind))


def _same_weekday(day: date) -> list[date]:
    """Return the days of the month on the same weekday."""
    around = (day + timedelta(weeks=weeks) for weeks in range(-4, 5))
    return [other for other in around if (other.year, other.month) == (day.year, day.month)]


def _profiles(days: list[date], zone: str, stations: list[str]) -> Pipeline:
    """Compute the profiles of the months and weekdays of some days, which must be all that these have."""
    runs = runs_of(map(day_start, days), DAY)
    spans = [(local_day(first.date(), zone).start, local_day(last.date(), zone).stop) for first, last in runs]
    in_spans = [{"observed_at": {"$gte": start, "$lt": stop}} for start, stop in spans]
    amounts: Document = {}
    for p in LABELS:
        amounts[f"{p}_sum"] = averaged(p)
        amounts[f"{p}_hours"] = {"$cond": [{"$ne": [averaged(p), None]}, 1, 0]}
        amounts[f"{p}_floor_hours"] = {"$toInt": at_floor(p, for_days=False)}
    sums = {name: {"$sum": amounts[name]} for name in SUMS}
    local = {"date": "$observed_at", "timezone": zone}
    of = {
        "station": "$station",
        "month": {"$dateToString": local | {"format": "%Y-%m"}},
        "weekday": {"$isoDayOfWeek": local},
    }
    return [
        {"$match": {"$or": in_spans, "station": {"$in": stations}, "observed_at": {"$not": {"$type": "array"}}}},
        {"$group": {"_id": of | {"hour": {"$hour": local}}, **sums}},
        {"$sort": {"_id.hour": 1}},
        {
            "$group": {
                "_id": {name: f"$_id.{name}" for name in of},
                "cells": {"$push": {"hour": "$_id.hour"} | {name: f"${name}" for name in sums}},
            }
        },
        {
            "$project": {
                "_id": {"$concat": ["$_id.station", "|", "$_id.month", "|", {"$toString": "$_id.weekday"}]},
                "station": "$_id.station",
                "month": {"$concat": ["$_id.month", "-01"]},
                "weekday": "$_id.weekday",
                "cells": 1,
            }
        },
        _MERGE,
    ]


def _network_profile(year: int, month: int, weekday: int) -> Pipeline:
    of = {"month": f"{year}-{month:02}-01", "weekday": weekday}
    return [
        {"$match": of | {"station": {"$ne": None}}},
        {"$unwind": "$cells"},
        {"$group": {"_id": "$cells.hour", **{name: {"$sum": f"$cells.{name}"} for name in SUMS}}},
        {"$sort": {"_id": 1}},
        {"$group": {"_id": None, "cells": {"$push": {"hour": "$_id"} | {name: f"${name}" for name in SUMS}}}},
        {
            "$project": {
                "_id": {"$literal": f"*|{year}-{month:02}|{weekday}"},
                "station": {"$literal": None},
                "cells": 1,
                **{name: {"$literal": what} for name, what in of.items()},
            }
        },
        _MERGE,
    ]
