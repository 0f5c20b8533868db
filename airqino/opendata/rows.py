"""Staged tables become rows of the open data: one for each reading, in the long form that OpenAQ's users know.

What is not vouched for is never a `value`: a reading whose flag says that it does not count, one at the sensor's floor,
which bounds the reading and says nothing of the air, and a daily mean whose quality is neither ok nor checked have none
(docs/data-quality.md). What the station reported stands beside it.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from airqino.opendata.about import Location
from airqino.opendata.columns import (
    interleaved,
    local_texts,
    noted,
    optional,
    per_station,
    places,
    plain,
    repeated,
    station_names,
    table,
    zones,
)
from airqino.opendata.fields import PARAMETERS, PUBLISHED
from airqino.quality.flags import BOUNDS, COUNTED
from airqino.quality.means import VOUCHED
from airqino.quality.notes import Note
from airqino.readings import POLLUTANTS, UNITS, reading
from airqino.times import HOUR, local_day

__all__ = ["changed_readings", "daily_rows", "forecast_rows", "hourly_rows", "said"]

Locations = Mapping[str, Location]

#: Flags of values that count, and do not only bound the reading.
_VALUES = tuple(flag for flag in COUNTED if flag not in BOUNDS)
_MOMENT = pa.timestamp("us", tz="UTC")


def hourly_rows(staged: pa.Table, locations: Locations, notes: Sequence[Note] = ()) -> pa.Table:
    """Return the readings of staged hours.

    Args:
        staged: Rows of hourly.parquet, of any days.
        locations: The stations to take.
        notes: The operator's notes that hold.

    Returns:
        Rows as `TABLES` has them, by station, hour and reading; none for a reading that was not reported.
    """
    staged = (
        _of(staged, locations)
        .filter(pc.field("status") == "ok")
        .sort_by([("station", "ascending"), ("observed_at", "ascending")])
    )
    rows = interleaved([_reading(staged, name) for name in PUBLISHED])
    at = repeated(staged["observed_at"], len(PUBLISHED))
    where = places(repeated(staged["station"], len(PUBLISHED)), PUBLISHED, locations)
    there = pc.is_valid(rows["reported_value"])
    return table(
        "hourly",
        {name: rows[name] for name in rows.column_names}
        | where
        | {
            "datetimeUtc": at,
            "datetimeLocal": local_texts(at, zones(where["location_id"], locations)),
            "provisional": pc.invert(repeated(staged["final"], len(PUBLISHED))),
            "notes": noted(notes, where["location_id"], where["parameter"], at, at),
        },
    ).filter(there)


def _reading(staged: pa.Table, name: str) -> dict[str, pa.ChunkedArray]:
    values, flag = optional(staged, name, pa.float64()), optional(staged, f"{name}_flag", pa.string())
    reported = pc.coalesce(optional(staged, f"{name}_raw", pa.float64()), values)
    measured = pc.is_in(flag, pa.array(_VALUES))
    if (floor := reading(name).floor) is not None:  # whatever its flag, restored too
        measured = pc.and_(measured, pc.fill_null(pc.not_equal(reported, floor), False))
    return {
        "value": pc.if_else(measured, values, None),
        "flag": flag,
        "tests": optional(staged, f"{name}_tests", pa.string()),
        "reported_value": reported,
    }


def daily_rows(staged: pa.Table, locations: Locations, notes: Sequence[Note] = ()) -> pa.Table:
    """Return the daily means of staged days.

    Args:
        staged: Rows of daily.parquet, of any days.
        locations: The stations to take.
        notes: The operator's notes that hold.

    Returns:
        Rows as `TABLES` has them, by station, day and pollutant; one for each pollutant of a staged row.
    """
    staged = _of(staged, locations).sort_by([("station", "ascending"), ("day", "ascending")])
    rows = interleaved([_mean(staged, name, locations) for name in POLLUTANTS])
    many = len(POLLUTANTS)
    where = places(repeated(staged["station"], many), POLLUTANTS, locations)
    begins, ends = _ends(staged, locations)
    first = repeated(begins, many)
    return table(
        "daily",
        {name: rows[name] for name in rows.column_names}
        | where
        | {
            "day": repeated(staged["day"], many),
            "datetimeUtc": first,
            "datetimeLocal": local_texts(first, zones(where["location_id"], locations)),
            **{
                name: repeated(optional(staged, name, pa.int32()), many)
                for name in ("expected_hours", "absent_hours", "failed_hours")
            },
            "provisional": repeated(staged["provisional"], many),
            "notes": noted(notes, where["location_id"], where["parameter"], first, repeated(ends, many)),
        },
    )


def _ends(staged: pa.Table, locations: Locations) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Return the first and the last hour of each row's local day."""
    found: dict[tuple[date, str], tuple[datetime, datetime]] = {}
    begins, ends = [], []
    for station, day in zip(staged["station"].to_pylist(), staged["day"].to_pylist(), strict=True):
        key = day, locations[station].time_zone
        if key not in found:
            local = local_day(*key)
            found[key] = local.start, local.stop - HOUR
        begins.append(found[key][0])
        ends.append(found[key][1])
    return pa.chunked_array([pa.array(begins, _MOMENT)]), pa.chunked_array([pa.array(ends, _MOMENT)])


def _mean(staged: pa.Table, name: str, locations: Locations) -> dict[str, pa.ChunkedArray]:
    quality = optional(staged, f"{name}_quality", pa.string())
    vouched = pc.is_in(quality, pa.array(VOUCHED))

    def number(column: str) -> pa.ChunkedArray:
        return optional(staged, f"{name}_{column}", pa.float64())

    def count(column: str) -> pa.ChunkedArray:
        return optional(staged, f"{name}_{column}", pa.int32())

    dry = pc.if_else(vouched, number("dry_mean"), None)
    chosen = pa.chunked_array([pa.nulls(len(staged), pa.string())])
    if name == "pm2_5":
        chosen = pa.chunked_array(
            [per_station(staged["station"], lambda station: locations[station].correction, pa.string())]
        )
    return {
        "value": pc.if_else(vouched, number("checked_mean"), None),
        "quality": quality,
        "valid_hours": count("checked_hours"),
        "reported_hours": count("hours"),
        "left_out": optional(staged, f"{name}_left_out", pa.string()),
        "reported_value": number("mean"),
        "floor_hours": count("floor_hours"),
        "humid_hours": count("humid_hours"),
        "above_guideline": optional(staged, f"{name}_above_who", pa.bool_()),
        "max_8h": pc.if_else(vouched, number("8h_max"), None),
        "dry_value": dry,
        "above_guideline_dry": optional(staged, f"{name}_dry_above_who", pa.bool_()),
        "corrected_value": pc.if_else(pc.fill_null(pc.equal(chosen, "kappa"), False), dry, None),
        "correction": chosen,
    }


def forecast_rows(staged: pa.Table, locations: Locations, notes: Sequence[Note] = ()) -> pa.Table:
    """Return staged forecasts, by station, hour of issue, pollutant and horizon.

    Args:
        staged: Rows of forecast/HH.parquet, of any hours.
        locations: The stations to take.
        notes: The operator's notes; they change no forecast that was published.
    """
    staged = _of(staged, locations).sort_by(
        [(name, "ascending") for name in ("station", "issued_at", "pollutant", "horizon_h")]
    )
    pollutants = staged["pollutant"].combine_chunks().dictionary_encode()
    names = pollutants.dictionary.to_pylist() if len(staged) else []
    columns: dict[str, Any] = {
        "location_id": staged["station"],
        "location": station_names(staged["station"], locations),
        "parameter": pa.array([PARAMETERS[name] for name in names], pa.string()).take(pollutants.indices),
        "unit": pa.array([UNITS[name] for name in names], pa.string()).take(pollutants.indices),
        "value": staged["p50"],
        "datetimeUtc": staged["target_at"],
        "datetimeLocal": local_texts(staged["target_at"], zones(staged["station"], locations)),
        "issuedUtc": staged["issued_at"],
    }
    for name in ("horizon_h", "p10", "p90", "method"):
        columns[name] = staged[name]
    kinds = {
        "reason": pa.string(),
        "model_version": pa.string(),
        "hindcast": pa.bool_(),
        "day_exceedance": pa.float64(),
    }
    return table("forecasts", columns | {name: optional(staged, name, kind) for name, kind in kinds.items()})


def changed_readings(ledger: pa.Table, locations: Locations, notes: Sequence[Note] = ()) -> pa.Table:
    """Return what the source changed, by when it was seen.

    Args:
        ledger: Rows of revisions.parquet, of any days.
        locations: The stations to take.
        notes: The operator's notes; they change no revision.
    """
    ledger = _of(ledger, locations)
    ledger = ledger.filter(pc.is_in(ledger["reading"], pa.array(PUBLISHED)))
    readings = ledger["reading"].to_pylist()
    return _in_order(
        {
            "changedUtc": ledger["seen_at"],
            "kind": pa.array(["revision"] * len(ledger), pa.string()),
            "location_id": ledger["station"],
            "location": station_names(ledger["station"], locations),
            "parameter": pa.array([PARAMETERS[name] for name in readings], pa.string()),
            "unit": pa.array([UNITS[name] for name in readings], pa.string()),
            "firstUtc": ledger["observed_at"],
            "lastUtc": ledger["observed_at"],
            "old_value": ledger["old"],
            "new_value": ledger["new"],
        }
    )


def said(everything: Sequence[Note], locations: Locations) -> pa.Table:
    """Return what the operator said, those notes too that were taken back; not who said it.

    Args:
        everything: All notes, oldest first.
        locations: The stations to take.
    """
    notes = [
        note for note in everything if note.station in locations and (not note.reading or note.reading in PARAMETERS)
    ]
    revoked = {note.revokes for note in everything if note.revokes}
    calibrations = [note if note.kind == "calibrate" else None for note in notes]
    return _in_order(
        {
            "changedUtc": pa.array([note.noted_at for note in notes], _MOMENT),
            "kind": pa.array([note.kind for note in notes], pa.string()),
            "location_id": pa.array([note.station for note in notes], pa.string()),
            "location": pa.array([plain(locations[note.station].name) for note in notes], pa.string()),
            "parameter": pa.array([PARAMETERS.get(note.reading) for note in notes], pa.string()),
            "unit": pa.array([UNITS.get(note.reading) for note in notes], pa.string()),
            "firstUtc": pa.array([note.first for note in notes], _MOMENT),
            "lastUtc": pa.array([note.last for note in notes], _MOMENT),
            "note": pa.array([note.id for note in notes], pa.string()),
            "revokes": pa.array([note.revokes for note in notes], pa.string()),
            "why": pa.array([None if note.id in revoked else plain(note.why) for note in notes], pa.string()),
            "slope": pa.array([of and of.slope for of in calibrations], pa.float64()),
            "offset": pa.array([of and of.offset for of in calibrations], pa.float64()),
        }
    )


def _in_order(columns: Mapping[str, Any]) -> pa.Table:
    length = len(columns["kind"])
    rest = {
        "note": pa.string(),
        "revokes": pa.string(),
        "why": pa.string(),
        **dict.fromkeys(("old_value", "new_value", "slope", "offset"), pa.float64()),
    }
    return table("changes", {name: pa.nulls(length, kind) for name, kind in rest.items()} | dict(columns))


def _of(staged: pa.Table, locations: Locations) -> pa.Table:
    """Return the rows of some stations."""
    return staged.filter(pc.is_in(staged["station"], pa.array(sorted(locations), pa.string()))).combine_chunks()
