"""Conditions: what is wrong now, and what is not known; pure, from the observed state and the settings."""

import logging
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from airqino.times import DAY, HOUR
from tasks.instruments import texts
from tasks.instruments.incidents import KINDS, Book, Incident
from tasks.instruments.observed import SENSORS, PipelineState, StationRevisions
from tasks.settings.sections import Alerts

__all__ = ["CONDITIONS", "Evaluation", "evaluate", "update"]

log = logging.getLogger("instruments.conditions")

#: The kinds of incidents that are evaluated here; a failed task is an event.
CONDITIONS = tuple(kind for kind in KINDS if kind != "task_failed")
#: Those that are about a station, whose id their subject begins with.
_OF_STATIONS = ("station_silent", "sensor_silent", "sensor_dead", "drift")
#: This much of the disk beyond the limit must be free for `disk_low` to end; at the limit it would come and go.
_DISK_MARGIN = 0.02


@dataclass(frozen=True)
class Evaluation:
    """Which conditions hold.

    Attributes:
        holding: An incident for each condition that holds.
        unknown: Kinds or keys of incidents about which nothing is known: they stay as they are.
        failed: Of these the kinds that could not be evaluated because of a fault in the state, or in the code.
        watched: The stations that are configured and not retired: what is open of another ends.
    """

    holding: list[Incident]
    unknown: frozenset[str]
    failed: tuple[str, ...]
    watched: frozenset[str]


def evaluate(state: PipelineState, limits: Alerts, at: datetime, watching_since: datetime) -> Evaluation:
    """Evaluate every condition once.

    Args:
        state: What was observed.
        limits: ``[alerts]``.
        at: The moment by the clock, which ``AIRQINO_NOW`` does not move: runs are real even in a replay of the past.
        watching_since: When the pipeline was first watched: before, no run can be missed.
    """
    rules = {
        "no_success": _no_success(state, limits, at, watching_since),
        "station_silent": _silent(state, limits),
        "sensor_silent": _sensor_silent(state),
        "sensor_dead": _dead(state),
        "shape_changed": _shape(state),
        "drift": _drift(state),
        "mass_revision": _mass_revision(state, limits),
        "damaged_file": _damaged(state),
        "hours_missing": _missing(state),
        "disk_low": _disk(state, limits, at),
    }
    holding: list[Incident] = []
    failed: list[str] = []
    for kind, incidents in rules.items():
        try:
            holding += list(incidents)
        except Exception:  # one bad row must not silence the other kinds
            log.exception("%s", f"evaluating {kind}")
            failed.append(kind)
    watched = state.watched
    ours = [incident for incident in holding if not _is_of_another(incident, watched)]
    return Evaluation(ours, frozenset({*_unknown(state, limits), *failed}), tuple(failed), watched)


def update(book: Book, evaluation: Evaluation) -> None:
    """Open an incident for each condition that holds, and end those whose condition does not hold any more."""
    holding = {incident.key for incident in evaluation.holding}
    for incident in evaluation.holding:
        book.begin(incident)
    for incident in book.open():
        is_known = not {incident.kind, incident.key} & evaluation.unknown
        is_known = is_known or _is_of_another(incident, evaluation.watched)
        if incident.kind in CONDITIONS and incident.key not in holding and is_known:
            book.end(incident.key)


def _is_of_another(incident: Incident, watched: frozenset[str]) -> bool:
    """Tell whether an incident is about a station that was taken out, or whose service has ended."""
    return incident.kind in _OF_STATIONS and incident.subject.split(" ")[0] not in watched


def _unknown(state: PipelineState, limits: Alerts) -> Iterator[str]:
    if state.revisions is None:
        yield "mass_revision"
    if state.overdue is None:
        yield "hours_missing"
    if state.disk_free is None or state.disk_free <= limits.disk_free_share + _DISK_MARGIN:
        yield "disk_low"
    if not state.scores:
        yield "drift"
    for name in state.shape.not_seen:
        yield f"shape_changed|{name}"
    if not state.shape.is_read:
        yield "shape_changed|"
    for station in state.stations:
        if not station.asked:
            yield f"station_silent|{station.station}"
        for sensor in station.sensors_not_seen | {field.reading for field in state.shape.missing}:
            yield f"sensor_silent|{station.station} {sensor}"
        for sensor in SENSORS:
            if sensor not in station.flags:
                yield f"sensor_dead|{station.station} {sensor}"


def _no_success(state: PipelineState, limits: Alerts, at: datetime, watching_since: datetime) -> Iterator[Incident]:
    last = state.success.at if state.success else watching_since
    if at - last > limits.no_success_hours * HOUR:
        title, text = texts.no_success(state.success.hour if state.success else "", last, limits.no_success_hours)
        yield Incident(kind="no_success", since=last, title=title, text=text)


def _silent(state: PipelineState, limits: Alerts) -> Iterator[Incident]:
    for station in state.stations:
        limit = state.last_hour - limits.silent_hours * HOUR
        if station.in_service and station.asked and (station.newest is None or station.newest <= limit):
            since = station.newest + HOUR if station.newest else state.now
            title, text = texts.station_silent(
                station.name,
                station.station,
                station.newest,
                station.reason,
                state.last_hour,
                is_known=state.revisions is not None,
            )
            yield Incident(kind="station_silent", subject=station.station, since=since, title=title, text=text)


def _sensor_silent(state: PipelineState) -> Iterator[Incident]:
    # a field that is gone everywhere has an incident of its own
    gone = {field.reading for field in state.shape.missing}
    for station in state.stations:
        for sensor, newest in station.silent_sensors.items():
            if station.in_service and sensor not in gone:
                title, text = texts.sensor_silent(station.name, station.station, sensor, newest)
                subject, since = f"{station.station} {sensor}", newest + HOUR
                yield Incident(kind="sensor_silent", subject=subject, since=since, title=title, text=text)


def _shape(state: PipelineState) -> Iterator[Incident]:
    for field in state.shape.missing:
        title, text = texts.field_missing(field.reading, field.newest, field.unknown, state.last_hour)
        since = field.newest + HOUR
        yield Incident(kind="shape_changed", subject=field.reading, since=since, title=title, text=text)


def _dead(state: PipelineState) -> Iterator[Incident]:
    for station in state.stations:
        for sensor, flag in station.broken.items():
            title, text = texts.sensor_dead(station.name, station.station, sensor, flag, state.last_hour)
            subject = f"{station.station} {sensor}"
            yield Incident(kind="sensor_dead", subject=subject, since=state.now, title=title, text=text)


def _drift(state: PipelineState) -> Iterator[Incident]:
    drifted = defaultdict(list)
    for row in state.scores:
        if row["drift"]:
            drifted[row["station"], row["pollutant"]].append(row)
    for (station, pollutant), rows in sorted(drifted.items()):
        title, text = texts.drift(state.name(station), station, pollutant, rows)
        yield Incident(kind="drift", subject=f"{station} {pollutant}", since=state.now, title=title, text=text)


def _mass_revision(state: PipelineState, limits: Alerts) -> Iterator[Incident]:
    by_run: dict[datetime, list[StationRevisions]] = defaultdict(list)
    for revisions in state.revisions or ():
        by_run[revisions.seen_at].append(revisions)
    mass = [at for at, run in by_run.items() if sum(r.readings for r in run) >= limits.revised_readings]
    if mass:
        spans = [(state.name(r.station), r.station, r.readings, r.first, r.last) for r in by_run[max(mass)]]
        title, text = texts.mass_revision(sorted(spans))
        yield Incident(kind="mass_revision", since=min(mass), title=title, text=text)


def _damaged(state: PipelineState) -> Iterator[Incident]:
    gone = [f"{path}" for path in state.gone]
    if state.damaged or (gone and not _has_run(state)):
        title, text = texts.damaged_file([path for path, _ in state.damaged] or state.gone, state.gone)
        since = min((at for _, at in state.damaged), default=state.now)
        yield Incident(kind="damaged_file", since=since, title=title, text=text, units=gone)
    elif gone:
        title, text = texts.lost_files(state.gone)
        yield Incident(kind="damaged_file", subject="lost", since=state.now, title=title, text=text, units=gone)


def _has_run(state: PipelineState) -> bool:
    """Tell whether an hourly run has succeeded since the last file was set aside that is not told of any more."""
    return state.success is not None and state.success.at > state.now - DAY


def _missing(state: PipelineState) -> Iterator[Incident]:
    overdue = state.overdue
    if overdue and overdue.first_day and overdue.last_day:
        title, text = texts.hours_missing(overdue.never_asked, overdue.failed, overdue.first_day, overdue.last_day)
        yield Incident(kind="hours_missing", since=state.now, title=title, text=text)


def _disk(state: PipelineState, limits: Alerts, at: datetime) -> Iterator[Incident]:
    if state.disk_free is not None and state.disk_free < limits.disk_free_share:
        title, text = texts.disk_low(state.disk_free, limits.disk_free_share)
        yield Incident(kind="disk_low", since=at, title=title, text=text)
