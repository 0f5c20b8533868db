"""Conditions: what is wrong now, and what cannot be told; pure, from what was observed and the settings."""

import logging
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from airqino.times import HOUR
from tasks.instruments import texts
from tasks.instruments.incidents import Book, Incident
from tasks.instruments.observed import SENSORS, Observed, Revised
from tasks.settings.sections import Alerts

__all__ = ["CONDITIONS", "Verdict", "judge", "settle"]

log = logging.getLogger("instruments.conditions")

#: The kinds that are judged here; a failed task is an event.
CONDITIONS = ("no_success", "station_silent", "sensor_dead", "drift", "mass_revision", "disk_low")
#: Flags of a sensor that tells nothing of the air.
_BAD = ("dead", "stuck")
#: This much of the disk beyond the limit must be free for `disk_low` to end, or it would come and go.
_DISK_MARGIN = 0.02


@dataclass(frozen=True)
class Verdict:
    """What holds.

    Attributes:
        unknown: Kinds or keys of incidents that nothing can be said of: they stay as they are.
        failed: Of these the kinds that could not be judged for a fault in what was observed, or in the code.
    """

    holding: list[Incident]
    unknown: frozenset[str]
    failed: tuple[str, ...] = ()


def judge(seen: Observed, limits: Alerts, at: datetime, watching_since: datetime) -> Verdict:
    """Judge everything once.

    Args:
        seen: What was observed.
        limits: ``[alerts]``.
        at: The moment by the clock, which ``AIRQINO_NOW`` does not move: runs are real even in a replay of the past.
        watching_since: When alerts were first looked after: before, no run can be missed.
    """
    rules = {
        "no_success": _no_success(seen, limits, at, watching_since),
        "station_silent": _silent(seen, limits),
        "sensor_dead": _dead(seen),
        "drift": _drift(seen),
        "mass_revision": _mass_revision(seen, limits),
        "disk_low": _disk(seen, limits, at),
    }
    holding: list[Incident] = []
    failed: list[str] = []
    for kind, found in rules.items():
        try:
            holding += list(found)
        except Exception:  # one bad row must not silence the other kinds
            log.exception("%s", f"judging {kind}")
            failed.append(kind)
    return Verdict(holding, frozenset({*_unknown(seen, limits), *failed}), tuple(failed))


def settle(book: Book, verdict: Verdict) -> None:
    """Open what holds, end what does not."""
    holding = {incident.key for incident in verdict.holding}
    for incident in verdict.holding:
        book.begin(incident)
    for incident in book.open():
        known = incident.kind not in verdict.unknown and incident.key not in verdict.unknown
        if incident.kind in CONDITIONS and incident.key not in holding and known:
            book.end(incident.key)


def _unknown(seen: Observed, limits: Alerts) -> Iterator[str]:
    if seen.revised is None:
        yield "mass_revision"
    if seen.disk_free is None or seen.disk_free <= limits.disk_free_share + _DISK_MARGIN:
        yield "disk_low"
    if not seen.scores:
        yield "drift"
    for station in seen.stations:
        if not station.asked:
            yield f"station_silent|{station.station}"
        for sensor in SENSORS:
            if sensor not in station.flags:
                yield f"sensor_dead|{station.station} {sensor}"


def _no_success(seen: Observed, limits: Alerts, at: datetime, watching_since: datetime) -> Iterator[Incident]:
    last = seen.success.at if seen.success else watching_since
    if at - last > limits.no_success_hours * HOUR:
        title, text = texts.no_success(seen.success.hour if seen.success else "", last, limits.no_success_hours)
        yield Incident(kind="no_success", since=last, title=title, text=text)


def _silent(seen: Observed, limits: Alerts) -> Iterator[Incident]:
    for station in seen.stations:
        limit = seen.last_hour - limits.silent_hours * HOUR
        if station.in_service and station.asked and (station.newest is None or station.newest <= limit):
            since = station.newest + HOUR if station.newest else seen.now
            title, text = texts.station_silent(station.name, station.station, station.newest, station.reason)
            yield Incident(kind="station_silent", what=station.station, since=since, title=title, text=text)


def _dead(seen: Observed) -> Iterator[Incident]:
    for station in seen.stations:
        for sensor in SENSORS:
            if (flag := station.flags.get(sensor)) in _BAD:
                title, text = texts.sensor_dead(station.name, station.station, sensor, f"{flag}", seen.last_hour)
                what = f"{station.station} {sensor}"
                yield Incident(kind="sensor_dead", what=what, since=seen.now, title=title, text=text)


def _drift(seen: Observed) -> Iterator[Incident]:
    drifted = defaultdict(list)
    for row in seen.scores:
        if row["drift"]:
            drifted[row["station"], row["pollutant"]].append(row)
    names = {station.station: station.name for station in seen.stations}
    for (station, pollutant), rows in sorted(drifted.items()):
        title, text = texts.drift(names.get(station, station), station, pollutant, rows)
        yield Incident(kind="drift", what=f"{station} {pollutant}", since=seen.now, title=title, text=text)


def _mass_revision(seen: Observed, limits: Alerts) -> Iterator[Incident]:
    runs: dict[datetime, list[Revised]] = defaultdict(list)
    for revised in seen.revised or ():
        runs[revised.seen_at].append(revised)
    mass = {at: found for at, found in runs.items() if sum(r.readings for r in found) >= limits.revised_readings}
    if mass:
        newest = max(mass)
        names = {station.station: station.name for station in seen.stations}
        told = [(names.get(r.station, r.station), r.station, r.readings, r.first, r.last) for r in mass[newest]]
        title, text = texts.mass_revision(sorted(told))
        yield Incident(kind="mass_revision", since=min(mass), title=title, text=text)


def _disk(seen: Observed, limits: Alerts, at: datetime) -> Iterator[Incident]:
    if seen.disk_free is not None and seen.disk_free < limits.disk_free_share:
        title, text = texts.disk_low(seen.disk_free, limits.disk_free_share)
        yield Incident(kind="disk_low", since=at, title=title, text=text)
