"""All views.

A chart asks for columns of one collection and groups them itself. Where that would be wrong or slow, MongoDB keeps a
shape made for it: a view holds no data, what it shows is what the collections hold at that moment.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from pymongo.database import Database
from pymongo.errors import OperationFailure

from airqino.quality.notes import KINDS
from airqino.readings import LABELS, READINGS, reading
from airqino.views.names import named, station_names
from airqino.views.now import hourly_levels, station_index, station_map, station_now
from airqino.views.profiles import ALL_STATIONS, SUMS
from airqino.views.terms import Document, Pipeline, label, quality, smallest, vouched

__all__ = ["VIEWS", "ensure_views"]

_NAMESPACE_EXISTS = 48


def _guideline_days() -> Pipeline:
    """Return valid days and days over the WHO guideline, by station, year and pollutant.

    A day is valid if its mean can be vouched for and compared. Of PM2.5 beside it the days over it as dried values say.
    """
    rows = [
        {
            "pollutant": label,
            "valid": {"$and": [vouched(name), {"$gt": [f"${name}_above_who", None]}]},
            "above": f"${name}_above_who",
            "above_dry": f"${name}_dry_above_who",
        }
        for name, label in LABELS.items()
    ]

    def days(above: str) -> Document:
        return {"$sum": {"$cond": [{"$and": ["$rows.valid", f"$rows.{above}"]}, 1, 0]}}

    return [
        {"$set": {"rows": rows, "year": {"$substrBytes": ["$day", 0, 4]}}},
        {"$unwind": "$rows"},
        {
            "$group": {
                "_id": {"station": "$station", "year": "$year", "pollutant": "$rows.pollutant"},
                "days": {"$sum": 1},
                "valid_days": {"$sum": {"$toInt": "$rows.valid"}},
                "days_above": days("above"),
                "days_above_dry": days("above_dry"),
            }
        },
        {
            "$project": {
                "_id": 0,
                "station": "$_id.station",
                "calendar_year": "$_id.year",
                "pollutant": "$_id.pollutant",
                **dict.fromkeys(("days", "valid_days", "days_above"), 1),
                "days_above_dry": {"$cond": [{"$eq": ["$_id.pollutant", LABELS["pm2_5"]]}, "$days_above_dry", None]},
            }
        },
        *named(),
    ]


#: What a day's document says of each pollutant or of some; see the data dictionary.
_OF_A_DAY = (
    *("mean", "hours", "checked_mean", "checked_hours", "left_out", "above_who", "floor_hours"),
    *("humid_hours", "dry_mean", "corrected_mean", "correction"),
)


def _daily_pollutants() -> Pipeline:
    """Return each station's days, one row for each pollutant: the mean, and all that it rests on.

    `concentration` is what is compared with the guideline: the checked mean or the highest 8-hour mean.
    """

    def row(name: str) -> Document:
        of = reading(name)
        return {part: f"${name}_{part}" for part in _OF_A_DAY} | {
            **{"pollutant": of.label, "unit": of.unit, "digits": of.digits, "smallest": smallest(of)},
            "quality": quality(name),
            "concentration": f"${name}_8h_max" if of.eight_hours else f"${name}_checked_mean",
        }

    rows = [row(name) for name in LABELS]
    return [
        *named(),
        {"$project": {"station": 1, "station_name": 1, "day": 1, "provisional": 1, "rows": rows}},
        *_unwound("rows", ("day", "provisional"), tuple(rows[0])),
    ]


def _pipeline_state() -> Pipeline:
    """Return the newest load of readings and of forecasts: what it reached, and when it was written."""
    newest = {"newest_at": {"$max": {"$ifNull": ["$through", "$issued_at"]}}, "loaded_at": {"$max": "$loaded_at"}}
    return [
        {"$match": {"kind": {"$in": ["day", "forecast"]}}},
        {"$group": {"_id": "$kind", **newest}},
        {"$project": {"_id": 0, "kind": "$_id", "newest_at": 1, "loaded_at": 1}},
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
                "pollutant": label("reading"),
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
    cases = [{"case": {"$eq": ["$reading", of.name]}, "then": of.label} for of in READINGS]
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
                "reading": {"$switch": {"branches": cases, "default": "all"}},
                **dict.fromkeys(fields, 1),
            }
        },
    ]


def _unwound(field: str, kept: Sequence[str], parts: Sequence[str]) -> Pipeline:
    """Return the elements of an array, each as a row with the station and some other fields of its document.

    Named one by one: a chart's filter on a field of the document then reaches the collection's index.
    """
    rows = dict.fromkeys(("station", "station_name", *kept), 1) | {part: f"${field}.{part}" for part in parts}
    return [{"$unwind": f"${field}"}, {"$project": {"_id": 0, **rows}}]


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
    "daily_pollutants": ("daily_averages", _daily_pollutants()),
    "guideline_days": ("daily_averages", _guideline_days()),
    "hourly_profiles": ("profiles", [*named(), _NETWORK, *_unwound("cells", ("month", "weekday"), ("hour", *SUMS))]),
    "pipeline_state": ("loads", _pipeline_state()),
    "flag_hours": ("coverage", [*named(), *_unwound("flags", ("day",), ("reading", "flag", "hours"))]),
    "missing_hours": ("coverage", [*named(), *_unwound("missing", ("day",), ("weekday", "hour"))]),
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
