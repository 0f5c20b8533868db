"""The last hour as JSON, for other programs; docs/public-page.md describes the keys, which stay as they are."""

import json
from datetime import datetime
from typing import Any

from airqino.publishing.days import SHOWN
from airqino.publishing.facts import Hour, Snapshot, StationFacts
from airqino.publishing.page import Site
from airqino.publishing.stations import plain
from airqino.publishing.words import LANGUAGES, Words
from airqino.readings import INDEX_LEVELS, INDEX_VERSION, reading

__all__ = ["VERSION", "now_json"]

#: Raised when a key changes its meaning or goes.
VERSION = 1
#: Decimals: more than the sensors can tell, so that nobody rounds twice.
_DIGITS = 3


def now_json(snapshot: Snapshot, site: Site) -> str:
    """Return the last hour as JSON: what the page says of it, in numbers."""
    content = {
        "version": VERSION,
        "hour": _moment(snapshot.hour),
        "hour_end": _moment(snapshot.end),
        "city": site.city,
        "time_zone": site.time_zone,
        "caveat": {language: Words(language, site.time_zone).caveat for language in LANGUAGES},
        "units": {of.name: of.unit for of in (SHOWN, reading("co"))},
        "index": {"name": INDEX_VERSION, "levels": list(INDEX_LEVELS), "bands": list(SHOWN.index_bands)},
        "guideline": {"source": "WHO 2021", "day": SHOWN.guideline, "year": SHOWN.annual_guideline},
        "stations": [_station(of) for of in snapshot.stations],
    }
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def _station(of: StationFacts) -> dict[str, Any]:
    station = of.station
    return {
        "station": station.id,
        "name": of.label,
        "device": plain(station.name),
        "latitude": station.latitude,
        "longitude": station.longitude,
        "time_zone": station.time_zone,
        "state": of.now.state,
        "flag": of.now.flag,
        "pm2_5": _amount(of.now.value),
        "level": of.now.level,
        "level_name": _level(of.now.level),
        "last_measured": _hour(of.newest),
        "co": {"state": of.co.state, "value": _amount(of.co.value)},
        "forecasts": [
            {
                "hour": _moment(ahead.at),
                "p10": _amount(ahead.low),
                "p50": _amount(ahead.mid),
                "p90": _amount(ahead.high),
                "level": ahead.level,
                "level_name": _level(ahead.level),
                "likeliest_level_name": ahead.likeliest,
                "likeliest_level_probability": _amount(ahead.probability),
                "method": ahead.method,
            }
            for ahead in of.ahead
        ],
        "no_forecast": of.no_forecast or None,
        "exceedance": [{"day": f"{chance.day}", "probability": _amount(chance.probability)} for chance in of.chances],
        "today": {"mean": _amount(of.so_far.mean), "hours": of.so_far.hours, "elapsed_hours": of.so_far.elapsed}
        if of.so_far
        else None,
        "sensor_faults": dict(of.trust.faults),
    }


def _hour(hour: Hour | None) -> dict[str, Any] | None:
    if hour is None:
        return None
    return {
        "hour": _moment(hour.at),
        "pm2_5": _amount(hour.value),
        "level": hour.level,
        "level_name": _level(hour.level),
    }


def _level(level: int | None) -> str | None:
    return INDEX_LEVELS[level - 1] if level else None


def _amount(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
