"""Read what the API lists beside hourly means: a project's stations, the sensors, and the raw rows of a station.

Public clients show that these addresses exist, and of a station its name, description and coordinates. The rest of
their shapes is not known, so a field is found under any usual name, and one that is not there is not said.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airqino.errors import ReportedError, UnexpectedShapeError
from airqino.source.decoding import check_size, content_of, reported_failure, text_of
from airqino.source.response import API_NAMES, LONGEST_NAME, VALUES, coordinate, parse, short_text
from airqino.source.rows import spelling
from airqino.source.timestamps import moment_of
from airqino.source.values import number, tidy

__all__ = ["Listed", "Listing", "Named", "raw_rows", "rows_as_named", "sensors", "stations"]

_MOST_STATIONS = 10_000
_MOST_SENSORS = 50
_LONGEST_ID = 18  # digits, as in the settings
_READINGS = {spelling(theirs): ours for ours, theirs in API_NAMES.items() if ours in VALUES}
#: The usual names, which need not be spelled out again for each of a year's rows.
_SPELLED = {name: spelling(name) for name in (*API_NAMES.values(), "utc_timestamp")}

_ID = ("stationid", "idstation", "id")
_NAME = ("stationname", "name")
_PLACE = ("description", "place", "address", "location", "city")
_LATITUDE = ("latitude", "lat", "stationlat")
_LONGITUDE = ("longitude", "lon", "lng", "stationlon")
_SENSORS = ("sensors", "sensorlist")
_SENSOR = ("sensorname", "sensor", "name")
_FIRST = ("firstreading", "firsttimestamp", "firstdata", "startdate")
_LAST = ("lastreading", "lasttimestamp", "lastdata", "lastupdate", "enddate")
_MOMENT = ("utctimestamp", "timestamp")

#: The rows of an answer: the moment that each one names → its readings, by the pipeline's names.
Moments = Mapping[datetime, Mapping[str, float]]


@dataclass(frozen=True)
class Listed:
    """A station of a project's listing; what the API does not say is empty or None.

    Attributes:
        station: Its numeric id.
        name: Its name.
        place: Where it stands, in words.
        latitude: In degrees.
        longitude: In degrees.
        sensors: Names of its sensors.
        first: Its first reading, UTC.
        last: Its last reading, UTC.
    """

    station: str = ""
    name: str = ""
    place: str = ""
    latitude: float | None = None
    longitude: float | None = None
    sensors: tuple[str, ...] = ()
    first: datetime | None = None
    last: datetime | None = None


@dataclass(frozen=True)
class Listing:
    """A project's stations, and how many rows of the listing name none."""

    stations: tuple[Listed, ...] = ()
    unread: int = 0


@dataclass(frozen=True)
class Named:
    """An answer of hourly means as it names its hours, whatever that means.

    Attributes:
        name: The station's name in the header.
        rows: Each timestamp, taken for UTC, with the readings of its row.
        remarks: What was not read as documented.
    """

    name: str = ""
    rows: Moments = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def stations(body: bytes, charset: str | None = None) -> Listing:
    """Read the answer of ``getStations/{project}``.

    Args:
        body: The body as it came.
        charset: The character set that the answer declares, if any.

    Raises:
        SourceError: It cannot be read, or is an error message.
    """
    rows = _rows(body, charset, "stations", "data")
    listed = [_station(row) for row in rows[:_MOST_STATIONS] if isinstance(row, dict)]
    named = tuple(station for station in listed if station.station or station.name)
    return Listing(named, len(rows) - len(named))


def sensors(body: bytes, charset: str | None = None) -> tuple[str, ...]:
    """Read the answer of ``getSensors``: the names of the sensors that the API knows.

    Raises:
        SourceError: It cannot be read, or is an error message.
    """
    return _sensors(_rows(body, charset, "sensors", "data"))


def raw_rows(body: bytes, charset: str | None = None) -> Moments:
    """Read the answer of ``getRange/{name}/{from}/{to}``: what a station sent, at any time within an hour.

    Raises:
        SourceError: It cannot be read, or is an error message.
    """
    return _moments(_rows(body, charset, "rawdata", "data"))


def rows_as_named(body: bytes, charset: str | None = None) -> Named:
    """Read an answer of hourly means without taking its timestamps for hours.

    Raises:
        SourceError: It cannot be read, or is an error message.
    """
    try:
        response = parse(body, charset)
    except UnexpectedShapeError:
        if rows := _moments(_rows(body, charset, "data")):
            odd = f"no timestamp names an hour: {next(iter(rows)):%Y-%m-%d %H:%M:%S}"
            return Named(_header_name(body, charset), rows, (odd,))
        raise
    rows = _moments(_rows(body, charset, "data")) if response.data or response.found.unplaced.count else {}
    return Named(response.header.station_name, rows, tuple(response.remarks()))


def _header_name(body: bytes, charset: str | None) -> str:
    content = content_of(text_of(body, charset))
    header = _fields(content).get("header") if isinstance(content, dict) else None
    return short_text(_first(_fields(header), _NAME)) if isinstance(header, dict) else ""


def _rows(body: bytes, charset: str | None, *names: str) -> list[Any]:
    """Return the list that an answer is, or that it has under one of these names."""
    check_size(body)
    content = content_of(text_of(body, charset))
    if content is None:
        return []
    if isinstance(content, dict):
        fields = _fields(content)
        rows = next((fields[name] for name in names if isinstance(fields.get(name), list)), None)
        if rows is None and (failure := reported_failure(content)):
            raise ReportedError(f"the answer is an error message: {failure}")
        content = content if rows is None else rows
    if not isinstance(content, list):
        raise UnexpectedShapeError(f"the answer has another shape: {tidy(content)!r} in place of a list")
    return content


def _moments(rows: list[Any]) -> dict[datetime, dict[str, float]]:
    found: dict[datetime, dict[str, float]] = {}
    for fields in (_fields(row) for row in rows if isinstance(row, dict)):
        if moment := moment_of(_first(fields, _MOMENT)):
            named = ((_READINGS.get(name), number(value)) for name, value in fields.items())
            found[moment] = {ours: value for ours, value in named if ours and value is not None}
    return found


def _fields(row: dict[str, Any]) -> dict[str, Any]:
    return {_SPELLED.get(name) or spelling(name[:LONGEST_NAME]): value for name, value in row.items()}


def _first(fields: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((fields[name] for name in names if fields.get(name) is not None), None)


def _station(row: dict[str, Any]) -> Listed:
    fields = _fields(row)
    latitude, longitude = coordinate(_first(fields, _LATITUDE), 90), coordinate(_first(fields, _LONGITUDE), 180)
    on_earth = latitude is not None and longitude is not None
    return Listed(
        _id(_first(fields, _ID)),
        short_text(_first(fields, _NAME)),
        short_text(_first(fields, _PLACE)),
        latitude if on_earth else None,
        longitude if on_earth else None,
        _sensors(_first(fields, _SENSORS)),
        moment_of(_first(fields, _FIRST)),
        moment_of(_first(fields, _LAST)),
    )


def _id(value: Any) -> str:
    text = f"{value}" if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18 else value
    text = text.strip() if isinstance(text, str) and len(text) <= LONGEST_NAME else ""
    return text if text.isascii() and text.isdigit() and len(text) <= _LONGEST_ID else ""


def _sensors(value: Any) -> tuple[str, ...]:
    """Read names of sensors: a list of texts or of objects that bear a name, or one text with commas."""
    parts = value[:_MOST_STATIONS].split(",") if isinstance(value, str) else value
    named = (
        short_text(_first(_fields(part), _SENSOR) if isinstance(part, dict) else part)
        for part in (parts[:_MOST_SENSORS] if isinstance(parts, list) else ())
    )
    return tuple(dict.fromkeys(filter(None, named)))
