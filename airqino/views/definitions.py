"""All views.

A chart asks for columns of one collection and groups them itself. Where that would be wrong or slow, MongoDB keeps a
shape made for it: a view holds no data, what it shows is what the collections hold at that moment.
"""

from collections.abc import Mapping
from functools import lru_cache

from pymongo.database import Database
from pymongo.errors import OperationFailure

from airqino.quality.notes import KINDS
from airqino.views.daily import daily_pollutants, day_reliability, sensor_hours
from airqino.views.guideline import guideline_months, guideline_year
from airqino.views.maps import station_map
from airqino.views.names import named, station_names
from airqino.views.now import present, station_index, station_now
from airqino.views.profiles import ALL_STATIONS, SUMS
from airqino.views.recent import hourly_levels
from airqino.views.terms import Document, Pipeline, age_hours, is_stale, reading_label, unwound

__all__ = ["VIEWS", "ensure_views"]

_NAMESPACE_EXISTS = 48
#: Hours of a UTC day.
_DAY_HOURS = 24


def _pipeline_state() -> Pipeline:
    """Return the newest reading and the newest hour that was forecast from: their age, and when they were loaded."""
    newest = {"newest_at": {"$max": {"$ifNull": ["$through", "$issued_at"]}}, "loaded_at": {"$max": "$loaded_at"}}
    seen: Pipeline = [{"$group": {"_id": None, "at": {"$max": "$last_seen_at"}}}]
    # a day's load reaches as far as was asked: that something came of its last hours only the stations tell
    reading_at = {"$ifNull": [{"$first": "$seen.at"}, "$newest_at"]}
    return [
        {"$match": {"kind": {"$in": ["day", "forecast"]}}},
        {"$group": {"_id": "$kind", **newest}},
        {"$lookup": {"from": "stations", "pipeline": seen, "as": "seen"}},
        {"$set": {"newest_at": {"$cond": [{"$eq": ["$_id", "day"]}, reading_at, "$newest_at"]}}},
        {"$set": {"age_h": age_hours("$newest_at")}},
        {
            "$project": {
                **{"_id": 0, "kind": "$_id", "newest_at": 1, "loaded_at": 1, "age_h": 1},
                "stale": is_stale("$age_h"),
            }
        },
    ]


def _revision_log() -> Pipeline:
    """Return the revisions with the station's name."""
    return [
        *named(),
        {
            "$project": {
                "_id": 0,
                "station": 1,
                "station_name": 1,
                "pollutant": reading_label("$reading"),
                "observed_at": 1,
                "seen_at": 1,
                "change": {"$subtract": ["$new_reading", "$old_reading"]},
            }
        },
    ]


#: What a document of `notes` is like that the pipeline has written.
_OURS: Document = {
    "_id": {"$regex": r"^\d{4}-\d{2}-\d{2}-\d+$"},
    "kind": {"$in": [kind for kind in KINDS if kind != "revoke"]},
    "last_hour": {"$type": ["date", "null"]},
    **{name: {"$type": "date"} for name in ("first_hour", "noted_at")},
    **{name: {"$type": "string"} for name in ("station", "reading", "who", "why")},
}


def _errata() -> Pipeline:
    """Return the operator's notes that hold, with the station's name and the reading's label; "all" of all readings."""
    fields = ("first_hour", "last_hour", "kind", "slope", "zero_offset", "why", "who", "noted_at")
    return [
        {"$match": _OURS | {"active": True}},
        *named(),
        {
            "$project": {
                "_id": 0,
                "note": "$_id",
                "station": 1,
                "station_name": 1,
                "reading": reading_label("$reading", "all"),
                **dict.fromkeys(fields, 1),
            }
        },
    ]


def _test_codes() -> Pipeline:
    """Return of how many hours of a day a test found a reading suspect (3) or wrong (4)."""
    parts = ("reading", "test", "code", "hours")
    return [*named(), *unwound("tests", ("day",), parts, reading=reading_label("$tests.reading"))]


def _completeness_days() -> Pipeline:
    """Return how much of each UTC day a station reported, and the most frequent reason why not all."""
    kept = ("station", "station_name", "day", "ok_hours", "absent_hours", "failed_hours", "reason")
    today = {"$eq": ["$day", {"$dateToString": {"date": "$$NOW", "format": "%Y-%m-%d"}}]}
    asked = {"$add": ["$ok_hours", "$absent_hours", "$failed_hours"]}
    share = {"$cond": [{"$gt": ["$expected_hours", 0]}, {"$divide": ["$ok_hours", "$expected_hours"]}, None]}
    return [
        *named(),
        # of the day under way only hours that are over can have come
        {"$set": {"expected_hours": {"$cond": [today, asked, _DAY_HOURS]}}},
        {"$project": {"_id": 0, **dict.fromkeys((*kept, "expected_hours"), 1), "share": share}},
    ]


#: The profile of all stations has no station.
_NETWORK: Document = {"$set": {"station_name": {"$ifNull": ["$station_name", ALL_STATIONS]}}}

#: Collections that have a view with the stations' names, such as `coverage_named`.
_NAMED = ("hourly_measurements", "daily_averages", "coverage", "forecasts", "forecast_scores")

#: Name of each view → the collection it reads and its pipeline.
VIEWS: Mapping[str, tuple[str, Pipeline]] = {
    "station_names": ("stations", station_names()),
    **{f"{name}_named": (name, named()) for name in _NAMED},
    "station_now": ("stations", station_now()),
    "station_map": ("stations", station_map()),
    "hourly_levels": ("hourly_measurements", hourly_levels()),
    "station_index": ("stations", station_index()),
    "daily_pollutants": ("daily_averages", daily_pollutants()),
    "day_reliability": ("stations", day_reliability()),
    "sensor_hours": ("daily_averages", sensor_hours()),
    "guideline_year": ("stations", guideline_year()),
    "guideline_months": ("stations", guideline_months()),
    "hourly_profiles": ("profiles", [*named(), _NETWORK, *unwound("cells", ("month", "weekday"), ("hour", *SUMS))]),
    "pipeline_state": ("loads", _pipeline_state()),
    "flag_hours": ("coverage", [*named(), *unwound("flags", ("day",), ("reading", "flag", "hours"))]),
    "missing_hours": ("coverage", [*named(), *unwound("missing", ("day",), ("weekday", "hour"))]),
    "test_codes": ("coverage", _test_codes()),
    "completeness_days": ("coverage", _completeness_days()),
    "present": ("loads", present()),
    "revision_log": ("revisions", _revision_log()),
    "errata": ("notes", _errata()),
}


@lru_cache(maxsize=8)
def ensure_views(db: Database[Document]) -> None:
    """Make the views, or bring them up to date; asked once per process and database."""
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
