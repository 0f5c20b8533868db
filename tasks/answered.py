"""Answers become raw hours: what they change of what is staged, the ledger of revisions, the records of requests."""

import logging
from collections import defaultdict
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from airqino.errors import NotAskedError
from airqino.source import raw
from airqino.source.client import Answer
from airqino.source.merged import merge_rows
from airqino.stores import parquet
from airqino.times import format_hour
from tasks import targets
from tasks.settings.reading import Settings
from tasks.staged import runs
from tasks.stations import note_place

__all__ = ["StationHour", "none_answered", "policy", "stage_answers"]

log = logging.getLogger("airqino.fetch")

StationHour = tuple[str, datetime]

_NO_ROWS = raw.SCHEMA.empty_table()


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
    rules, silent = policy(config), none_answered(answers)
    exchanges = targets.packed(exchange.asdict() for answer in answers.values() for exchange in answer.exchanges)
    by_day: dict[date, list[StationHour]] = defaultdict(list)
    for station, hour in wanted:
        if not only_changes or hour in answers[station].readings:
            by_day[hour.date()].append((station, hour))
    changed: list[datetime] = []
    for day, of_day in sorted(by_day.items()):
        tables = targets.raw_day(day).rows.tables
        if silent:
            of_day = [(station, hour) for station, hour in of_day if hour in tables]
        staged = parquet.concat([tables[hour] for hour in sorted({h for _, h in of_day} & tables.keys())] or [_NO_ROWS])
        merged = merge_rows(staged, of_day, answers, config.now, rules)
        if merged.revisions:  # the ledger first: a run that is killed in between finds the same revisions again
            _record(day, merged.revisions)
        rows = merged.rows.filter(pa.array(merged.is_new)) if only_changes else merged.rows
        changed += _write(rows, tables, exchanges)
    for station, answer in answers.items():
        for remark in (remark for exchange in answer.exchanges for remark in exchange.remarks):
            log.warning("station %s: %s", station, remark, extra={"station": station})
        # what it says of itself it says of now, whatever hours were asked for
        if answer.readings and not only_changes:
            note_place(station, answer, config.last_hour)
    if changed:
        came = sum(hour in answers[station].readings for station, hour in wanted)
        span = f"{format_hour(min(changed))}…{format_hour(max(changed))}"
        log.info("%s: asked for %d rows, %d came", span, len(wanted), came)
    return {hour.date() for hour in changed}


def _write(rows: pa.Table, tables: Mapping[datetime, pa.Table], exchanges: str) -> list[datetime]:
    """Write the hours of some rows, with what else is staged of them; return the hours."""
    rows = rows.sort_by([("observed_at", "ascending"), ("station", "ascending")])
    written = []
    for begin, end in runs(rows["observed_at"]):
        table = rows.slice(begin, end - begin)
        hour = table["observed_at"][0].as_py()
        if (old := tables.get(hour)) is not None:
            rest = old.filter(pc.invert(pc.is_in(old["station"], value_set=table["station"].combine_chunks())))
            table = parquet.concat([table, rest]).select(raw.SCHEMA.names).sort_by("station") if len(rest) else table
        parquet.write(targets.raw(hour).path, table, extra={"exchanges": exchanges}, bookkeeping=raw.BOOKKEEPING)
        written.append(hour)
    return written


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
