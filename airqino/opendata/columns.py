"""Columns that several tables of the open data have: places, times as text, notes; and how rows are put in order."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from airqino.opendata.about import Location
from airqino.opendata.fields import PARAMETERS, TABLES
from airqino.quality.notes import Note
from airqino.readings import UNITS

__all__ = [
    "interleaved", "local_texts", "noted", "optional", "per_station", "places", "plain", "repeated", "station_names",
    "table", "utc_texts", "zones",
]  # fmt: skip

Moments = npt.NDArray[np.datetime64]
_SECOND = np.dtype("datetime64[s]")
#: What a spreadsheet takes for a formula, where a text begins with it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def plain(text: str) -> str:
    """Return what a person, or the API, wrote as one line that is no formula (OWASP, CSV injection)."""
    text = " ".join(text.split())
    return f"'{text}" if text.startswith(_FORMULA) else text


def optional(table: pa.Table, name: str, kind: pa.DataType) -> pa.ChunkedArray:
    """Return a column; nothing in each row where the table was written by a version that did not have it."""
    if name in table.column_names:
        return table.column(name).cast(kind)
    return pa.chunked_array([pa.nulls(len(table), kind)])


def repeated(values: pa.ChunkedArray, times: int) -> pa.Array:
    """Return each value several times in a row."""
    return _whole(values).take(np.repeat(np.arange(len(values)), times))


def interleaved(parts: Sequence[Mapping[str, pa.ChunkedArray]]) -> pa.Table:
    """Put the rows of several tables of the same length together: all first rows, all second rows, and so on."""
    tables = [pa.table(dict(part)) for part in parts]
    together = pa.concat_tables(tables).combine_chunks()
    size = len(tables[0])
    return together.take(np.arange(size * len(tables)).reshape(len(tables), size).T.ravel())


def per_station(stations: pa.ChunkedArray, of: Callable[[str], Any], kind: pa.DataType) -> pa.Array:
    """Return for each row what is known of its station."""
    coded = _whole(stations).dictionary_encode()
    known = pa.array([of(station) for station in coded.dictionary.to_pylist()], kind)
    return known.take(coded.indices)


def station_names(stations: pa.ChunkedArray, locations: Mapping[str, Location]) -> pa.Array:
    """Return for each row what its station is called."""
    return per_station(stations, lambda station: plain(locations[station].name), pa.string())


def zones(stations: pa.ChunkedArray, locations: Mapping[str, Location]) -> pa.Array:
    """Return for each row the name of its station's time zone."""
    return per_station(stations, lambda station: locations[station].time_zone, pa.string())


def places(stations: pa.Array, readings: Sequence[str], locations: Mapping[str, Location]) -> dict[str, pa.Array]:
    """Return location_id, location, parameter and unit of rows that `interleaved` made, one table for each reading.

    Args:
        stations: The station of each row.
        readings: The readings, in the order of the tables.
        locations: The stations.
    """
    reading = np.tile(np.arange(len(readings)), len(stations) // len(readings))
    return {
        "location_id": stations,
        "location": station_names(stations, locations),
        "parameter": pa.array([PARAMETERS[name] for name in readings], pa.string()).take(reading),
        "unit": pa.array([UNITS[name] for name in readings], pa.string()).take(reading),
    }


def utc_texts(moments: pa.ChunkedArray) -> pa.Array:
    """Write moments as ``2024-03-01T10:00:00Z``."""
    values = _whole(moments).to_numpy(zero_copy_only=False).astype(_SECOND)
    different, place = np.unique(values, return_inverse=True)
    texts = np.char.add(np.datetime_as_string(different, unit="s"), "Z")
    return pc.if_else(pa.array(np.isnat(different)), None, pa.array(texts, pa.string())).take(place)


def local_texts(moments: pa.ChunkedArray, zones: pa.Array) -> pa.Array:
    """Write moments as ``2024-03-01T10:00:00+00:00``, each in its time zone.

    Args:
        moments: Times, UTC.
        zones: The name of each one's zone.
    """
    values = _whole(moments).to_numpy(zero_copy_only=False).astype(_SECOND)
    coded = zones.dictionary_encode()
    names, codes = coded.dictionary.to_pylist(), coded.indices.to_numpy(zero_copy_only=False)
    different, place = np.unique(values, return_inverse=True)
    keys, key_of_row = np.unique(place * max(len(names), 1) + codes, return_inverse=True)
    known = [ZoneInfo(name) for name in names]
    texts = []
    for key in keys:
        moment, zone = divmod(int(key), len(names))
        texts.append(different[moment].item().replace(tzinfo=UTC).astimezone(known[zone]).isoformat(timespec="seconds"))
    return pa.array(texts, pa.string()).take(key_of_row)


def noted(
    notes: Iterable[Note], stations: pa.Array, parameters: pa.Array, first: pa.ChunkedArray, last: pa.ChunkedArray
) -> pa.Array:
    """Return what active notes say of each row: id, kind and reason of each, in their order; nothing where none does.

    Args:
        notes: The notes.
        stations: The station of each row.
        parameters: The parameter of each row.
        first: First hour of each row.
        last: Last hour of each row.
    """
    station, parameter = (_whole(column).dictionary_encode() for column in (stations, parameters))
    found: list[str | None] = [None] * len(stations)
    begins, ends = (_whole(column).to_numpy(zero_copy_only=False).astype(_SECOND) for column in (first, last))
    for note in notes:
        if note.first is None or note.station not in (names := station.dictionary.to_pylist()):
            continue
        told = {PARAMETERS[name] for name in note.readings if name in PARAMETERS}
        of = [place for place, name in enumerate(parameter.dictionary.to_pylist()) if name in told]
        about = station.indices.to_numpy(zero_copy_only=False) == names.index(note.station)
        about &= np.isin(parameter.indices.to_numpy(zero_copy_only=False), of)
        about &= ends >= _naive(note.first)
        if note.last is not None:
            about &= begins <= _naive(note.last)
        text = f"{note.id} {note.kind}: {plain(note.why)}"
        for row in np.flatnonzero(about):
            found[row] = f"{found[row]}; {text}" if found[row] else text
    return pa.array(found, pa.string())


def table(name: str, columns: Mapping[str, Any]) -> pa.Table:
    """Return a table of the open data, its columns in order and typed; NaN is nothing."""
    schema = TABLES[name].schema
    arrays = []
    for field in schema:
        column = columns[field.name]
        values = _whole(column).cast(field.type)
        if pa.types.is_floating(field.type):
            values = pc.if_else(pc.is_nan(values), None, values)
        elif pa.types.is_string(field.type):
            values = pc.if_else(pc.equal(values, ""), None, values)
        arrays.append(values)
    return pa.Table.from_arrays(arrays, schema=schema)


def _naive(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "s")


def _whole(column: Any) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        return column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    return column
