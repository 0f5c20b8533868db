"""What the source says at the end, against what a deployment holds: computed here, not by the pipeline.

Two deployments of the same code that lose the same thing are equal; this finds it.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq

from airqino.sandbox import series
from airqino.times import HOUR, as_utc
from support.chaos.life import Life
from support.chaos.plan import ADDED, STATIONS

__all__ = ["is_mean", "untruths"]

_NAMES = {"CO": "co", "NO2": "no2", "O3": "o3", "PM10": "pm10", "PM2.5": "pm2_5", "T": "t", "RH": "rh"}

Values = dict[str, float | None]


def untruths(life: Life) -> Iterator[str]:
    """Yield a line for each reading, mean, name or place that is not what the source or the operator says."""
    said = {station: _said(life, station) for station in life.zones}
    yield from _readings(life, said)
    for station, zone in life.zones.items():
        yield from _means(life, station, zone, said[station])
    yield from _identities(life)


def _said(life: Life, station: str) -> dict[datetime, Values]:
    """Return what the source now says of a station's hours in service."""
    reply = life.sandbox.records.reply(station, *life.service(station), life.now)
    return {
        as_utc(datetime.fromisoformat(row["timestamp"])): {ours: row.get(theirs) for theirs, ours in _NAMES.items()}
        for row in json.loads(reply.body)["data"]
    }


def _readings(life: Life, said: dict[str, dict[datetime, Values]]) -> Iterator[str]:
    found: dict[tuple[str, datetime], dict[str, Any]] = {}
    last = life.plan.begin + (life.plan.days * 24 - 1) * HOUR
    for path in sorted(life.pipeline.root.glob("*-*-*/raw/*.parquet")):
        for row in pq.ParquetFile(path).read().to_pylist():
            if row["observed_at"] > last:  # later hours are not final yet
                continue
            if (key := (row["station"], row["observed_at"])) in found:
                yield f"raw {row['station']}|{row['observed_at']}: is there twice"
            found[key] = row
    of_days = {"observed_at": {"$lte": last}}
    documents = {d["_id"]: d for d in life.pipeline.database["hourly_measurements"].find(of_days)}
    for station, hours in said.items():
        for hour, values in hours.items():
            row = found.get((station, hour), {})
            document = documents.pop(f"{station}|{hour:%Y-%m-%dT%H}", {})
            for name, value in values.items():
                # of the operator's calibrations there are none here, so a document holds what was reported
                for where, of in (("raw", row), ("hourly_measurements", document)):
                    if of.get(name) != value:
                        yield f"{where} {station}|{hour} {name}: {of.get(name)!r}, the source says {value!r}"
    for (station, hour), row in found.items():
        if row["status"] == "ok" and hour not in said.get(station, {}):
            yield f"raw {station}|{hour}: has readings, the source has none"
        if row["status"] == "failed":
            yield f"raw {station}|{hour} status: failed, {row['reason']}"
    for key in documents:
        yield f"hourly_measurements {key}: is there, the source has no such hour"


def _means(life: Life, station: str, zone: str, hours: dict[datetime, Values]) -> Iterator[str]:
    of_day: dict[str, list[Values]] = defaultdict(list)
    for hour, values in hours.items():
        of_day[f"{hour.astimezone(ZoneInfo(zone)):%Y-%m-%d}"].append(values)
    for day, rows in sorted(of_day.items())[:-1]:  # of the last one hours of later days may be missing here
        document = life.pipeline.database["daily_averages"].find_one({"_id": f"{station}|{day}"}) or {}
        for name in ("co", "pm2_5"):
            values = [row[name] for row in rows if row[name] is not None]
            mean = document.get(f"{name}_mean")
            if document.get(f"{name}_hours") != len(values):
                hours_told = document.get(f"{name}_hours")
                yield f"daily_averages {station}|{day} {name}_hours: {hours_told}, the source has {len(values)}"
            elif values and not is_mean(mean, values):
                yield f"daily_averages {station}|{day} {name}_mean: {mean}, not {math.fsum(values) / len(values)}"


def is_mean(mean: Any, values: list[float]) -> bool:
    """Tell whether a mean is that of some values; of none there is none."""
    if not values or mean is None:
        return mean is None and not values
    return math.isclose(mean, math.fsum(values) / len(values), rel_tol=1e-9)


def _identities(life: Life) -> Iterator[str]:
    wanted: dict[str, dict[str, Any]] = {station: {} for station in (*STATIONS, ADDED)}
    names = {"station_name": "name", "station_lat": "latitude", "station_lon": "longitude"}
    for station, known in wanted.items():
        known |= {names[name]: value for name, value in series.header(station).items()}
    for by in ("at the source", "by the operator"):  # whose word counts
        for step in life.plan.history:
            if step.kind.endswith(by):
                wanted[step.about["station"]] |= {n: v for n, v in step.about.items() if n != "station"}
    for station, known in wanted.items():
        document = life.pipeline.database["stations"].find_one({"_id": station}) or {}
        for name, value in known.items():
            if document.get(name) != value:
                yield f"stations {station} {name}: {document.get(name)!r} in place of {value!r}"
