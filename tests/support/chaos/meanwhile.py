"""What must hold each hour, not only when all is over: what an end heals, a reader has seen in between."""

import contextlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq

from airqino.stores.paths import Paths
from airqino.times import DAY, HOUR
from support.chaos.life import Life
from support.chaos.truth import is_mean

__all__ = ["too_early", "unkept"]

_POLLUTANTS = ("co", "no2", "o3", "pm10", "pm2_5")
_READINGS = (*_POLLUTANTS, "t", "rh")

Row = dict[str, Any]


def too_early(life: Life) -> Iterator[str]:
    """Yield a line for each hour of which a reading is staged or loaded before it is over, however a run ended."""
    over = life.now - HOUR
    for path in life.pipeline.root.glob("*-*-*/raw/*.parquet"):
        hour = datetime.fromisoformat(f"{path.parent.parent.name}T{path.stem}:00+00:00")
        with contextlib.suppress(OSError, pa.ArrowInvalid):  # damaged: the next run sees to it
            if hour > over and "ok" in pq.ParquetFile(path).read(["status"])["status"].to_pylist():
                yield f"raw {hour:%Y-%m-%dT%H}: is there, and the hour is not over"
    for document in life.pipeline.database["hourly_measurements"].find({"observed_at": {"$gt": over}}):
        yield f"hourly_measurements {document['_id']}: is there, and the hour is not over"


def unkept(life: Life) -> Iterator[str]:
    """Yield a line for each thing that a run which ended with 0 has promised and not kept.

    The last hour is staged for each station in service, and the documents of today and yesterday are those of the
    readings that are staged: their values, their number, and their means by local day, computed here.
    """
    last = life.now.replace(minute=0) - HOUR
    rows: dict[str, Row] = {}
    for day in (last.date() - n * DAY for n in range(3)):  # a local day begins on the one before
        for path in sorted(Paths(life.pipeline.root).raw_hours(day).glob("*.parquet")):
            try:
                found = pq.ParquetFile(path).read().to_pylist()
            except (OSError, pa.ArrowInvalid) as error:
                yield f"raw {day}T{path.stem}: is damaged: {error}"
                continue
            rows |= {f"{row['station']}|{row['observed_at']:%Y-%m-%dT%H}": row for row in found}
    for station in life.zones:
        first, stop = life.service(station)
        if first <= last <= stop and (key := f"{station}|{last:%Y-%m-%dT%H}") not in rows:
            yield f"raw {key}: is not there"
    measured = {key: row for key, row in rows.items() if row["status"] == "ok"}
    yield from _hours(life, measured, f"{last.date() - DAY}")
    yield from _coverage(life, measured, last.date())
    for station, zone in life.zones.items():
        yield from _means(life, station, ZoneInfo(zone), last, measured)


def _hours(life: Life, measured: dict[str, Row], since: str) -> Iterator[str]:
    ours = rf"^({'|'.join(life.zones)})\|[-0-9]{{10}}T\d\d$"  # spoiled bytes have made others, which are left alone
    found = life.pipeline.database["hourly_measurements"].find({"_id": {"$regex": ours}})
    documents = {document["_id"]: document for document in found}
    for key in sorted(measured.keys() | documents.keys()):
        if key.partition("|")[2] < since:
            continue
        row, document = measured.get(key), documents.get(key)
        if row is None or document is None:
            yield f"hourly_measurements {key}: {'is missing' if row else 'is there, and not staged'}"
            continue
        for name in _READINGS:
            if document.get(name) != row[name]:
                yield f"hourly_measurements {key} {name}: {document.get(name)!r}, staged is {row[name]!r}"


def _coverage(life: Life, measured: dict[str, Row], today: date) -> Iterator[str]:
    counts = Counter(f"{row['station']}|{row['observed_at']:%Y-%m-%d}" for row in measured.values())
    for key, count in counts.items():
        document = life.pipeline.database["coverage"].find_one({"_id": key}) or {}
        if key.partition("|")[2] >= f"{today - DAY}" and document.get("ok_hours") != count:
            yield f"coverage {key} ok_hours: {document.get('ok_hours')}, staged are {count}"


def _means(life: Life, station: str, zone: ZoneInfo, last: datetime, measured: dict[str, Row]) -> Iterator[str]:
    today, of_day = last.astimezone(zone).date(), defaultdict(list)
    for row in measured.values():
        if row["station"] == station:
            of_day[row["observed_at"].astimezone(zone).date()].append(row)
    for day in (today - DAY, today):
        if day < last.date() - DAY:  # west of UTC, before its midnight: compared once a day
            continue
        document = life.pipeline.database["daily_averages"].find_one({"_id": f"{station}|{day}"}) or {}
        for name in _POLLUTANTS:
            values = [row[name] for row in of_day[day] if row[name] is not None]
            if not is_mean(mean := document.get(f"{name}_mean"), values):
                yield f"daily_averages {station}|{day} {name}_mean: {mean}, staged are {values}"
