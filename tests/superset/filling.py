"""What the tests' site holds: the sandbox's answers of ten weeks, spoiled in places, and what comes only by itself."""

from datetime import UTC, datetime, timedelta
from typing import Any

from airqino.sandbox.server import Sandbox
from tests.superset.raw import FAR, STATIONS, ZONES, hour_before_last, notes_of


def spoil(sandbox: Sandbox, day: datetime) -> None:
    """Make the answers of some hours of a day and the week before such as must not count."""
    for hour in range(24):
        at = day + timedelta(hours=hour)
        sandbox.override("283164601", at, {"PM2.5": 30.0 + hour % 7, "PM10": 20.0 + hour % 5})
        sandbox.override("283164601", at - timedelta(days=3), {"PM10": 1999.9 if hour < 4 else 25.0 + hour % 5})
        sandbox.override("283164601", at - timedelta(days=6), {"CO": 400.0 + hour})  # in µg/m³
        sandbox.override("283181971", at - timedelta(days=3), {"O3": -999.0} if hour % 6 == 0 else {"NO2": 19.25})
    # of the last hour one value does not count and one is none; one station has been silent since before
    last = hour_before_last().replace(minute=0, second=0, microsecond=0)
    for ago in range(-1, 6):
        sandbox.override(FAR, last - timedelta(hours=ago), None)
        if ago < 3:
            # CO at its floor also where the station would be off, by the calendar
            sandbox.override("283164601", last - timedelta(hours=ago), {"CO": 0.0, "NO2": -999.0, "O3": None})


def fill(site: Any) -> None:
    """Backfill through the pipeline, and add what takes weeks or luck to come by itself, where it is missing."""
    now, hour = hour_before_last(), "%Y-%m-%dT%H"
    for note in notes_of(site.first):
        site.note(*note, now=now)
    last = now - timedelta(hours=1, minutes=5)
    site.luigi("Backfill", "--start", f"{site.first:{hour}}", "--stop", f"{last:{hour}}", now=now)
    recent = f"{last - timedelta(days=3):%Y-%m-%dT00}"
    site.luigi("Backfill", "--start", recent, "--stop", f"{last:{hour}}", "--hindcast", now=now)
    site.luigi("Hourly", now=now)
    days = [f"{last - timedelta(days=ago):%Y-%m-%d}" for ago in range(60)]
    if not site.db.revisions.find_one():
        site.db.revisions.insert_many(_revisions(site.db, last))
    for of in ((1, 7), (1, 1), (6, 1)):
        for number, day in enumerate(days[:40]):
            score = _score(day, number, *of)
            site.db.forecast_scores.replace_one({"_id": score["_id"]}, score, upsert=True)
    told = [_told(station, day, i) for i, day in enumerate(days[10:]) for station in STATIONS[::2]]
    site.db.forecasts.insert_many(told)
    _explain(site.db)
    for stray in ({"_id": "mine", "active": True, "kind": "invalidate"}, {"_id": 7, "active": True}):
        site.db.notes.insert_one(stray)
    if not site.db.models.find_one():
        site.db.models.insert_many(_model(day, i) for i, day in enumerate(days[::7]))


def _revisions(db: Any, seen: datetime) -> list[dict[str, Any]]:
    return [
        {
            "_id": f"{row['_id']}|pm2_5|{number}",
            "station": row["station"],
            "observed_at": row["observed_at"],
            "reading": "pm2_5",
            "old_reading": row["pm2_5"],
            "new_reading": row["pm2_5"] + 1,
            "seen_at": seen - timedelta(days=number % 5),
        }
        for number, row in enumerate(
            db.hourly_measurements.find({"pm2_5": {"$ne": None}}, sort=[("_id", -1)], limit=12)
        )
    ]


def _explain(db: Any) -> None:
    """Give some days' missing hours other reasons than that the source has no row."""
    days = db.coverage.find({"absent_hours": {"$gt": 0}}, sort=[("day", 1), ("_id", 1)])
    reasons = ("ServerError: HTTP 503", "NotAskedError: no time was left", "NotOverError: too early", "another one")
    for day, reason in zip(list(days), reasons, strict=False):
        failed = {"reason": reason, "failed_hours": day["absent_hours"], "absent_hours": 0}
        db.coverage.update_one({"_id": day["_id"]}, {"$set": failed})


def _told(station: str, day: str, number: int) -> dict[str, Any]:
    """Return a forecast made of the hour before 6:00 local time that tells the chance of a day over the guideline."""
    issued = datetime.fromisoformat(f"{day}T05:00").replace(tzinfo=ZONES[station]).astimezone(UTC)
    return {
        **{"_id": f"{station}|pm2_5|{issued:%Y-%m-%dT%H}|1", "station": station, "pollutant": "pm2_5", "horizon_h": 1},
        **{"issued_at": issued, "target_at": issued + timedelta(hours=1), "p10": 8.0, "p50": 11.0, "p90": 16.0},
        **{"day": day, "day_exceedance": (0.0, 0.15, 0.2, 0.37, 0.55, 0.61, 0.8, 0.93, 1.0)[number % 9]},
    }


def _score(day: str, number: int, horizon: int, window: int) -> dict[str, Any]:
    key = f"283181971|pm2_5|{horizon}|{day}|{window}"
    of = {"station": "283181971", "pollutant": "pm2_5", "horizon_h": horizon, "day": day}
    mae = 3 + number % 4 / 10 + horizon / 5
    inside = 0.75 + number % 9 / 100
    return {
        **{"_id": key, **of, "window_days": window, "n": 100 + number, "bias": 0.1, "coverage80": inside},
        **{"mae": mae, "mae_persistence": 4.0, "skill": 1 - mae / 4},
    }


def _model(day: str, number: int) -> dict[str, Any]:
    at = datetime.fromisoformat(day).replace(tzinfo=UTC)
    return {
        **{"_id": day, "trained_for": day, "trained_at": at, "promoted": number % 2 == 0, "rows": 1000 * number},
        **{"promoted_at": at if number % 2 == 0 else None, "skill": 0.1 + number / 100},
        "reason": ("champion 2024-09-02 is younger than 7 days: it stays", "better", None)[number % 3],
    }
