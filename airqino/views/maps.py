"""The view of the map: where stations stand, their last hour, and the shore around them."""

from airqino.views.names import named_stations
from airqino.views.now import SHOWN, last_hour
from airqino.views.terms import Document, Pipeline, age_hours, documents_of_station, is_stale

__all__ = ["OUTLINES", "station_map"]

#: The collection that holds the shore's points; see `tasks.load.LoadStations`.
OUTLINES = "outlines"
#: Degrees around a station that the map shows at least.
_FRAME = 0.01


def station_map() -> Pipeline:
    """Return where each station is and its PM2.5 of the last hour, and the points of the shore, of the kind ``coast``.

    Two more rows for each station, of the kinds ``south-west`` and ``north-east``, stand beside it: without them a
    chart of a single station, or of stations on one meridian, has no extent. The points of the shore have no station.
    """

    def place(kind: str, away: float) -> Document:
        return {"kind": kind, "latitude": {"$add": ["$latitude", away]}, "longitude": {"$add": ["$longitude", away]}}

    told = last_hour(SHOWN)
    hours: Pipeline = [
        {"$match": {"$expr": {"$eq": ["$observed_at", "$$last"]}}},
        {"$project": told | {"observed_at": 1}},
    ]
    coast: Pipeline = [
        {"$unwind": "$points"},
        {
            "$project": {
                **{"_id": 0, "station": {"$literal": None}, "kind": {"$literal": "coast"}},
                **{name: f"$points.{name}" for name in ("latitude", "longitude")},
            }
        },
    ]
    return [
        *named_stations(),
        documents_of_station("hourly_measurements", hours, "hours", last="$last_seen_at"),
        {"$set": {"hour": {"$first": "$hours"}}},
        {"$set": {"last_at": {"$ifNull": ["$hour.observed_at", "$last_seen_at"]}}},
        {"$set": {"age_h": age_hours("$last_at")}},
        {"$set": {"places": [place("station", 0), place("south-west", -_FRAME), place("north-east", _FRAME)]}},
        {"$unwind": "$places"},
        {
            "$project": {
                **{"_id": 0, "station": 1, "station_name": 1, "last_at": 1, "age_h": 1},
                **{part: f"$places.{part}" for part in ("kind", "latitude", "longitude")},
                **{part: {"$ifNull": [f"$hour.{part}", None]} for part in ("concentration", "hour_level")},
                "state": {"$ifNull": ["$hour.state", "none"]},
                "stale": is_stale("$age_h"),
            }
        },
        {"$unionWith": {"coll": OUTLINES, "pipeline": coast}},
    ]
