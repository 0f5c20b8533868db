"""Documents as the loads write them, with no more than a test is about."""

from datetime import UTC, datetime, timedelta
from typing import Any

from airqino.readings import POLLUTANTS

__all__ = ["DAY", "HOUR", "NOW", "day", "forecast", "reading", "station"]

Document = dict[str, Any]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
#: The hour under way; the views go by the server's clock.
NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


def reading(
    station: str, at: datetime, pm2_5: float | None, co: float | None = 0.0, flag: str = "ok", co_flag: str = "dead"
) -> Document:
    return {
        **{"_id": f"{station}|{at:%Y-%m-%dT%H}", "station": station, "station_name": station.upper()},
        **{"observed_at": at, "pm2_5": pm2_5, "pm2_5_flag": flag, "co": co, "co_flag": co_flag},
    }


def station(name: str, seen: datetime, **other: Any) -> Document:
    of = {"time_zone": "UTC", "latitude": 5.0, "longitude": -4.0, "sensor_faults": {"co": "dead"}, "last_seen_at": seen}
    return {"_id": name, "name": name.upper(), **of, **other}


def forecast(station: str, issued: datetime, horizon: int, level: float | None, **other: Any) -> Document:
    of = {"station": station, "pollutant": "pm2_5", "issued_at": issued, "horizon_h": horizon, "reason": ""}
    of |= {"target_at": issued + horizon * HOUR} | dict.fromkeys(("p10", "p50", "p90"), level) | other
    return {"_id": f"{station}|{of['pollutant']}|{issued:%Y-%m-%dT%H}|{horizon}"} | of


def day(station: str, of: str, **fields: Any) -> Document:
    """A day whose every mean can be vouched for and is below the guideline, but for what `fields` say."""
    document: Document = {"_id": f"{station}|{of}", "station": station, "day": of, "provisional": False}
    for name in POLLUTANTS:
        document |= {f"{name}_checked_mean": 3.0, f"{name}_checked_hours": 24, f"{name}_quality": "ok"}
        document |= {f"{name}_above_who": False}
    return document | {"co_floor_hours": 0, "o3_8h_max": 3.0} | fields
