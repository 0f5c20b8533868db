"""Answers become raw hours: what they change of what is staged, the ledger of revisions, the records of requests."""

import json
import logging
from collections import defaultdict
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa

from airqino.errors import NotAskedError
from airqino.source import raw
from airqino.source.client import Answer
from airqino.stores import parquet
from airqino.times import format_hour
from tasks import targets
from tasks.settings.reading import Settings
from tasks.stations import note_place

__all__ = ["StationHour", "none_answered", "policy", "row_content", "stage_answers"]

log = logging.getLogger("airqino.fetch")

StationHour = tuple[str, datetime]


def policy(config: Settings, **changes: Any) -> raw.Policy:
    """Return when hours are asked for again, from the settings; `changes` are arguments of `raw.Policy`."""
    source = config.airqino
    return raw.Policy(
        late_window=timedelta(hours=source.late_window_hours),
        pauses=tuple(timedelta(hours=h) for h in source.retry_pauses_hours),
        reread_after=timedelta(hours=source.reread_after_hours),
        **changes,
    )


def none_answered(answers: dict[str, Answer]) -> bool:
    """Tell whether all stations were asked, and all failed."""
    failed = (a.error and not a.response and not isinstance(a.error, NotAskedError) for a in answers.values())
    return all(failed)


def stage_answers(
    wanted: set[StationHour], answers: dict[str, Answer], config: Settings, *, only_changes: bool = False
) -> set[date]:
    """Merge answers into the raw hours; where no station answered, hours that have no file yet get none.

    Args:
        wanted: The stations and hours that were asked for.
        answers: Station → its answer.
        config: The settings.
        only_changes: Write only what an answer changes of the rows, not when it was asked. For old hours: that the
            source lacks one now says nothing, because it keeps about a year; nor does what it calls the station now.

    Returns:
        The days of the hours that were written.
    """
    rules = policy(config)
    readings = {station: raw.readings(answer) for station, answer in answers.items()}
    exchanges = json.dumps([exchange.asdict() for answer in answers.values() for exchange in answer.exchanges])
    revisions: dict[date, list[dict[str, Any]]] = defaultdict(list)
    changed: dict[datetime, dict[str, dict[str, Any]]] = {}
    by_hour: dict[datetime, list[str]] = defaultdict(list)
    for station, hour in wanted:
        by_hour[hour].append(station)
    silent = none_answered(answers)
    for hour, stations in sorted(by_hour.items()):
        rows = dict(targets.raw_day(hour.date()).rows.get(hour, {}))
        if silent and not rows:
            continue
        for station in stations:
            if only_changes and hour not in readings[station]:
                continue
            finding = raw.finding(answers[station], hour, readings[station], config.now)
            row, changes = raw.merge(rows.get(station), station, hour, finding, rules)
            if only_changes and row_content(row) == row_content(rows[station]):
                continue
            rows[station], changed[hour] = row, rows
            revisions[hour.date()] += changes
    for station, answer in answers.items():
        for remark in (remark for exchange in answer.exchanges for remark in exchange.remarks):
            log.warning("station %s: %s", station, remark, extra={"station": station})
        # what it says of itself it says of now, whatever hours were asked for
        if readings[station] and not only_changes:
            note_place(station, answer, config.last_hour)
    for day, changes in revisions.items():
        if changes:  # the ledger first: a run that is killed in between finds the same revisions again
            _record(day, changes)
    _write(changed, exchanges)
    if changed:
        came = sum(hour in readings[station] for station, hour in wanted)
        span = f"{format_hour(min(changed))}…{format_hour(max(changed))}"
        log.info("%s: asked for %d rows, %d came", span, len(wanted), came)
    return {hour.date() for hour in changed}


def _write(changed: dict[datetime, dict[str, dict[str, Any]]], exchanges: str) -> None:
    rows = [row for _, by_station in sorted(changed.items()) for _, row in sorted(by_station.items())]
    table = pa.Table.from_pylist(rows, schema=raw.SCHEMA)
    begin = 0
    for hour, by_station in sorted(changed.items()):
        fingerprint = parquet.digest([row_content(row) for _, row in sorted(by_station.items())])
        hour_table = table.slice(begin, len(by_station))
        parquet.write(targets.raw(hour).path, hour_table, content=fingerprint, extra={"exchanges": exchanges})
        begin += len(by_station)


def row_content(row: dict[str, Any]) -> list[Any]:
    """Return what of a raw row counts in its hour's fingerprint."""
    return [row[name] for name in raw.SCHEMA.names if name not in raw.BOOKKEEPING]


def _record(day: date, changes: list[dict[str, Any]]) -> None:
    """Add revisions to the day's ledger; one that is there already stays as it was first seen."""
    ledger = targets.revisions(day)
    recorded = ledger.rows()
    newest = {(r["station"], r["observed_at"], r["reading"]): r for r in recorded}
    # seen again after a kill between ledger and raw file, a revision is there already
    for change in sorted(changes, key=raw.revision_order):
        last = newest.get((change["station"], change["observed_at"], change["reading"]))
        if last is None or last["new"] != change["new"]:
            recorded.append(change)
    ledger.write(pa.Table.from_pylist(recorded, schema=raw.REVISION_SCHEMA))
