"""Tables for people with Python: `read` brings a span of hours, days, forecasts or changes into a data frame.

It reads a staging root, or the Parquet files of a published folder, with the same result where both hold the same.
"""

import os
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from airqino.errors import ConfigError, DamagedFileError
from airqino.opendata import rows
from airqino.opendata.about import Location
from airqino.opendata.fields import PARAMETERS, PUBLISHED, TABLES
from airqino.opendata.formats import read_published
from airqino.opendata.layout import FOLDER, DataFolder, period_of
from airqino.opendata.staged import read_days
from airqino.readings import POLLUTANTS, reading, unit_of
from airqino.stores import notebook
from airqino.stores.files import place
from airqino.stores.paths import Paths
from airqino.times import Span, day_range, floor_hour, parse_span

__all__ = ["long_rows", "published", "read", "span_of"]

_MAKE = {
    "daily": rows.daily_rows,
    "hourly": rows.hourly_rows,
    "forecasts": rows.forecast_rows,
    "changes": rows.changed_readings,
}
#: The column that says whether a row lies in the span, and that of its day.
_AT = {"daily": "day", "hourly": "datetimeUtc", "forecasts": "issuedUtc"}
_READINGS = {parameter: name for name, parameter in PARAMETERS.items()}

#: Column of a published reading of an hour → what it adds to the reading's name in the frame.
_HOURLY = {"value": "", "reported_value": "_reported", "flag": "_flag", "tests": "_tests"}
#: The same of a daily mean.
_DAILY = {
    "reported_value": "_mean",
    "reported_hours": "_hours",
    "value": "_checked_mean",
    "valid_hours": "_checked_hours",
    "left_out": "_left_out",
    "quality": "_quality",
    "above_guideline": "_above_who",
}
#: Columns that only some readings have.
_SOME = {
    "floor_hours": ("_floor_hours", lambda name: reading(name).floor is not None),
    "humid_hours": ("_humid_hours", lambda name: reading(name).humid),
    "max_8h": ("_8h_max", lambda name: reading(name).eight_hours),
    "dry_value": ("_dry_mean", lambda name: name == "pm2_5"),
    "above_guideline_dry": ("_dry_above_who", lambda name: name == "pm2_5"),
}


def read(
    table: str,
    first: str | date,
    last: str | date | None = None,
    station: str | int | Sequence[str] | None = None,
    root: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Read a span of days, hours, forecasts or changes.

    Args:
        table: ``daily``, ``hourly``, ``forecasts`` or ``changes``.
        first: Where the span begins: a year, month, day or hour, such as ``2024``, ``2024-03``, ``2024-03-09`` or
            ``2024-03-09T10``, or a whole span ``2024-03..2024-05``. Days are those of the station, hours are UTC.
        last: Where it ends, which is included: ``2024-05`` is all of May; None is what `first` names.
        station: Id of the station, or several; None is all.
        root: A staging root, or a published folder; None is the folder that STAGING_ROOT names, else ``staging``.

    Returns:
        A row for each station and day, hour or forecast, or each change, in time order, without those of which nothing
        is known; units by column in ``attrs["units"]``, the folder in ``attrs["source"]``.

        - ``daily``: station, day, and for each pollutant what daily.parquet has (docs/data-dictionary.md):
          ``pm2_5_mean`` is the plain mean as reported, ``pm2_5_checked_mean`` that of the values that count, NaN unless
          ``pm2_5_quality`` is ok or checked;
        - ``hourly``: station, observed_at, provisional, and for each reading its value, NaN unless it may be called a
          measurement (``pm2_5``), what was reported (``pm2_5_reported``), ``pm2_5_flag`` and ``pm2_5_tests``;
        - ``forecasts``: station, pollutant, issued_at, horizon_h, target_at, p50, p10, p90, method, reason,
          model_version, hindcast, day_exceedance, unit;
        - ``changes``: station, reading, kind, changed_at, first_at, last_at, old, new, unit, note, revokes, why, slope,
          offset. Of kind ``revision``: at `changed_at` it was seen that the source now has `new` instead of `old`, NaN
          is no value; of another kind: what the operator noted. All that are about an hour of the span; a note without
          a first or last hour has no bound there.

    Raises:
        ConfigError: An argument is wrong, there is no such station, or the folder holds no data of ours.
        DamagedFileError: A file of the span is damaged.
        StagingError: A file cannot be read.
    """
    folder = place(f"{root or os.environ.get('STAGING_ROOT') or 'staging'}")
    wanted = (
        None if station is None else [f"{station}"] if isinstance(station, str | int) else [f"{s}" for s in station]
    )
    found = long_rows(table, span_of(first, last), wanted, folder)
    listed = {"forecasts": _forecasts, "changes": _changes}
    frame = listed[table](found) if table in listed else _wide(table, found)
    frame.attrs["units"] = {name: unit for name in frame.columns if (unit := unit_of(name))}
    frame.attrs["source"] = f"{folder}"
    return frame


def span_of(first: str | date, last: str | date | None = None) -> Span:
    """Return the first and the last hour (UTC) of what is given as text or, from Python, as a date; see `read`.

    Raises:
        ConfigError: One of them is no time, or the first lies after the last.
    """
    texts = (of.isoformat()[:13] if isinstance(of, date) else of for of in (first, last) if of is not None)
    text = "..".join(texts)
    return parse_span(text, floor_hour(datetime.now(UTC)) if text.rstrip().endswith("..") else None)


def long_rows(
    table: str, span: Span, stations: Sequence[str] | None, folder: Path, locations: "dict[str, Location] | None" = None
) -> pa.Table:
    """Return the rows of a span in the long form of the open data, by station and time.

    Args:
        table: ``daily``, ``hourly``, ``forecasts`` or ``changes``.
        span: First and last hour.
        stations: Ids; None is all.
        folder: A staging root or a published folder; one that is both is read as a staging root.
        locations: What stations of a staging root are called, and their time zones; others are called by their id.

    Raises:
        ConfigError: See `read`.
        DamagedFileError: A file of the span is damaged.
    """
    if table not in _MAKE:
        raise ConfigError(f"there is no table {table!r}; there are {', '.join(_MAKE)}")
    days = span[0].date(), span[1].date()
    if folder.is_dir() and Paths(folder).days():
        found, known = _of_staging(Paths(folder), table, days, stations, locations or {})
    elif data := _published(folder):
        found, known = _of_published(data, table, days, stations)
    else:
        kinds = "neither a staging root (it has no folder such as 2024-03-09) nor a published one (no datapackage.json)"
        raise ConfigError(f"{folder} is {kinds}: say with root= where the data are, or set STAGING_ROOT")
    if missing := sorted({*(stations or ())} - known):
        raise ConfigError(
            f"there is no station {missing[0]} in {folder}; there are {', '.join(sorted(known)) or 'none'}"
        )
    if table == "daily":
        return found.filter(pc.and_(pc.greater_equal(found["day"], days[0]), pc.less_equal(found["day"], days[1])))
    begins, ends = (found[name] for name in (("firstUtc", "lastUtc") if table == "changes" else (_AT[table],) * 2))
    begins, ends = pc.fill_null(begins, _scalar(span[0])), pc.fill_null(ends, _scalar(span[1]))  # notes without a bound
    return found.filter(pc.and_(pc.greater_equal(ends, _scalar(span[0])), pc.less_equal(begins, _scalar(span[1]))))


def _scalar(moment: datetime) -> pa.Scalar:
    return pa.scalar(moment, pa.timestamp("us", tz="UTC"))


def _published(folder: Path) -> DataFolder | None:
    """Return the open data of a published folder, named by itself or by its folder of data."""
    found = (DataFolder(path) for path in (folder / FOLDER, folder))
    return next((data for data in found if data.package.is_file()), None)


def _of_published(
    data: DataFolder, table: str, days: tuple[date, date], stations: Sequence[str] | None
) -> tuple[pa.Table, set[str]]:
    if table != "changes":
        return published(data, table, days, stations or None), {*data.stations()}
    there = read_published(data.changes("parquet"), TABLES[table])
    found = TABLES[table].schema.empty_table() if there is None else there
    known = {*data.stations(), *pc.unique(found["location_id"]).to_pylist()}
    return found.filter(pc.is_in(found["location_id"], pa.array(stations or sorted(known), pa.string()))), known


def published(
    data: DataFolder, table: str, days: tuple[date, date], stations: Collection[str] | None = None
) -> pa.Table:
    """Return the rows of the published files that some days lie in, by station and time.

    Args:
        data: The open data.
        table: ``daily``, ``hourly`` or ``forecasts``.
        days: The first and the last day.
        stations: Ids; None is all.

    Raises:
        DamagedFileError: A file is damaged, or of another version.
    """
    parts = [TABLES[table].schema.empty_table()]
    for station in data.stations() if stations is None else sorted({*data.stations()} & {*stations}):
        for of, period, path in data.files(station):
            if of == table and period_of(table, days[0]) <= period <= period_of(table, days[1]):
                rows_there = read_published(path.with_suffix(".parquet"), TABLES[table])
                parts += [] if rows_there is None else [rows_there]
    return pa.concat_tables(parts)


def _of_staging(
    paths: Paths, table: str, days: tuple[date, date], stations: Sequence[str] | None, locations: dict[str, Location]
) -> tuple[pa.Table, set[str]]:
    staged = {*paths.days()}
    wanted = [day for day in day_range(*days) if day in staged]
    found, damaged = read_days(paths, table, wanted)
    for day, path in damaged.items():
        raise DamagedFileError(
            f"{path} is damaged: the next hourly run makes {day} again, or scripts/doctor says why not"
        )
    notes = notebook.read(paths.notes) if table == "changes" else []
    there = set(pc.unique(found["station"]).to_pylist()) if found is not None else set()
    there |= {note.station for note in notes if note.station}
    known = there | {path.stem for path in paths.stations.glob("*.parquet")}
    taken = {of: locations.get(of, Location(of)) for of in sorted(there & {*stations} if stations else there)}
    made = TABLES[table].schema.empty_table() if found is None else _MAKE[table](found, taken)
    return pa.concat_tables([made, rows.said(notes, taken)]) if notes else made, known


def _wide(table: str, found: pa.Table) -> pd.DataFrame:
    """Return one row for each station and hour or day, the readings beside each other."""
    at, names = _AT[table], (POLLUTANTS if table == "daily" else PUBLISHED)
    hours = ["expected_hours", "absent_hours", "failed_hours"]
    common = {"daily": [*hours, "provisional"], "hourly": ["provisional"]}[table]
    columns = _columns(table, found.to_pandas(), at, names)
    first = found.group_by(["location_id", at], use_threads=False).aggregate([(name, "first") for name in common])
    index: pd.DataFrame = first.to_pandas().rename(columns={f"{name}_first": name for name in common})
    frame = index.rename(columns={"location_id": "station", at: "day" if table == "daily" else "observed_at"})
    keys = pd.MultiIndex.from_frame(index[["location_id", at]])
    parts = [of.reindex(keys).reset_index(drop=True) for of in columns]
    frame = pd.concat([frame, *parts], axis=1)
    if table == "daily":
        frame["day"] = pd.to_datetime(frame["day"])
    else:
        for name in names:
            frame[f"{name}_flag"] = frame[f"{name}_flag"].fillna("absent")
    return frame.sort_values([frame.columns[1], "station"], ignore_index=True)


def _columns(table: str, long: pd.DataFrame, at: str, names: Iterable[str]) -> Iterable[pd.DataFrame]:
    """Yield the columns of each reading, by station and time."""
    for name in names:
        own = dict(_DAILY if table == "daily" else _HOURLY)
        if table == "daily":
            own |= {column: ending for column, (ending, has) in _SOME.items() if has(name)}
        part = long[long["parameter"] == PARAMETERS[name]].set_index(["location_id", at])[list(own)]
        yield part.rename(columns={column: f"{name}{ending}" for column, ending in own.items()})


def _forecasts(found: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = found.to_pandas()
    frame["pollutant"] = frame["parameter"].map(_READINGS)
    names = {"location_id": "station", "issuedUtc": "issued_at", "datetimeUtc": "target_at", "value": "p50"}
    frame = frame.rename(columns=names)
    columns = ["station", "pollutant", "issued_at", "horizon_h", "target_at", "p50", "p10", "p90", "method", "reason"]
    frame = frame[[*columns, "model_version", "hindcast", "day_exceedance", "unit"]]
    return frame.sort_values(["issued_at", "station", "pollutant", "horizon_h"], ignore_index=True)


def _changes(found: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = found.to_pandas()
    frame["reading"] = frame["parameter"].map(_READINGS)
    names = {"location_id": "station", "changedUtc": "changed_at", "firstUtc": "first_at", "lastUtc": "last_at"}
    frame = frame.rename(columns=names | {"old_value": "old", "new_value": "new"})
    columns = ["station", "reading", "kind", "changed_at", "first_at", "last_at", "old", "new", "unit"]
    frame = frame[[*columns, "note", "revokes", "why", "slope", "offset"]]
    return frame.sort_values(["changed_at", "kind", "station", "first_at", "reading", "note"], ignore_index=True)
