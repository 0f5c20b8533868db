"""The API's answer to ``/v3/getStationHourlyAvg/{station}``: its shape, and reading it.

Units are not in the answer (source: the AirQino documentation and the sensors' data sheets): CO mg/m³; PM2.5, PM10,
NO2, O3 µg/m³; T °C; RH %; ``T. int.`` is raw counts of the board's thermistor, not a temperature.

An answer as documented is read straight into its shape. Any other is read value by value: what cannot be read costs
itself, is counted, and an example of it is kept (see `Response.remarks`).
"""

from datetime import UTC, datetime
from typing import Any

import msgspec

from airqino.errors import ReportedError, UnexpectedShapeError
from airqino.source.decoding import check_size, content_of, reported_failure, said, text_of
from airqino.source.rows import Rows, read_rows, spelling
from airqino.source.values import number, tidy

__all__ = [
    "API_NAMES", "LONGEST_NAME", "VALUES", "Header", "Response", "Row", "coordinate", "parse", "short_text",
]  # fmt: skip

#: The most characters of a station's name.
LONGEST_NAME = 100


class Header(msgspec.Struct, frozen=True):
    """What the API says of the station; its coordinates are unreliable, and any of it may be missing.

    Latitude and longitude are in degrees. A name or coordinate that cannot be read is as if it were missing.
    """

    station_name: str = ""
    station_lat: float | None = None
    station_lon: float | None = None


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The mean of one hour. A sensor without data has no key, so it is None here; one at least has data."""

    timestamp: datetime  #: beginning of the hour, UTC; without zone, as the API writes it
    co: float | None = msgspec.field(default=None, name="CO")
    no2: float | None = msgspec.field(default=None, name="NO2")
    o3: float | None = msgspec.field(default=None, name="O3")
    pm10: float | None = msgspec.field(default=None, name="PM10")
    pm2_5: float | None = msgspec.field(default=None, name="PM2.5")
    t: float | None = msgspec.field(default=None, name="T")
    rh: float | None = msgspec.field(default=None, name="RH")
    t_int: float | None = msgspec.field(default=None, name="T. int.")

    @property
    def hour(self) -> datetime:
        """The beginning of the hour, UTC."""
        return self.timestamp.replace(tzinfo=UTC)

    def values(self) -> dict[str, float | None]:
        """Return the readings by the pipeline's names for them."""
        return dict(zip(VALUES, msgspec.structs.astuple(self)[1:], strict=True))


#: The readings of a row, by the pipeline's names for them.
VALUES = tuple(name for name in Row.__struct_fields__ if name != "timestamp")
#: The API's name of each reading, by the pipeline's.
API_NAMES = dict(zip(Row.__struct_fields__, Row.__struct_encode_fields__, strict=True))


class Response(msgspec.Struct, frozen=True):
    """One whole answer: a row for each hour, in the order they came, and what of the answer is in no row.

    Two rows of one hour are one here: of each reading the last value counts. A row without any reading is none.
    """

    header: Header
    data: list[Row]
    found: Rows = msgspec.field(default_factory=Rows)  #: what of the rows is not in `data`
    missing_fields: tuple[str, ...] = ()  #: documented readings, by the API's names, that no row has a field for
    notice: str = ""  #: what the API says beside the data

    def may_hold(self, hour: datetime) -> bool:
        """Tell whether the answer may say something of an hour that is not in `data`, but could not be read."""
        return bool(self.found.no_objects.count or self.found.nowhere) or hour in self.found.unread

    def joined(self, other: "Response") -> "Response":
        """Return this answer with another's rows for the hours that it lacks: parts of one span."""
        stamps = {row.timestamp for row in self.data}
        data = [*self.data, *(row for row in other.data if row.timestamp not in stamps)]
        missing = tuple(name for name in self.missing_fields if name in other.missing_fields)
        return Response(self.header, data, self.found.joined(other.found), missing, self.notice or other.notice)

    def remarks(self) -> list[str]:
        """Say in a line each what was not read as it is documented; empty for an ordinary answer."""
        found = self.found
        counts = [("rows that are no objects", found.no_objects), ("rows that name no hour", found.unplaced)]
        counts += [(f"values of {API_NAMES[name]} that are no numbers", n) for name, n in found.unreadable.items()]
        counts += [("rows for an hour that had one, where the last value of each reading counts", found.doubled)]
        lines = [f"{what}: {many.count}, such as {many.example!r}" for what, many in counts if many.count]
        if found.unknown:
            lines.append(f"unknown fields: {', '.join(map(repr, found.unknown))}")
            if self.missing_fields:
                lines.append(f"missing fields: {', '.join(map(repr, self.missing_fields))}")
        if self.notice:
            lines.append(f"the API says: {self.notice}")
        return lines


class _Documented(msgspec.Struct, forbid_unknown_fields=True):
    header: dict[str, str | int | float | None]  # coordinates come as text, too
    data: list[Row]


_documented = msgspec.json.Decoder(_Documented)
_FIELDS = {spelling(theirs): ours for ours, theirs in API_NAMES.items()}
_FIRST, _LAST = datetime(2000, 1, 1), datetime(2099, 12, 31, 23)


def parse(body: bytes, charset: str | None = None) -> Response:
    """Read an answer.

    Args:
        body: The body as it came.
        charset: The character set that the Content-Type header declares, if any.

    Returns:
        Header and rows. ``null``, an empty list and an object without data but with a header's fields have no rows.

    Raises:
        NotJSONError: The body is not JSON.
        UnexpectedShapeError: It is JSON, but nothing of the documented shape; the message says why.
        ReportedError: It is an error message of the API.
        AnswerTooLargeError: It has more rows than an answer can have.
    """
    check_size(body)
    if (response := _as_documented(body)) is not None:
        return response
    return _value_by_value(content_of(text_of(body, charset)))


def _as_documented(body: bytes) -> Response | None:
    """Read an answer straight into its shape; None if it is not, to the letter, as documented."""
    try:
        answer = _documented.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    rows = answer.data
    stamps = {row.timestamp for row in rows}
    if len(stamps) < len(rows) or not rows:
        return None
    if any(at.tzinfo or at.minute or at.second or at.microsecond or not _FIRST <= at <= _LAST for at in stamps):
        return None
    if any(row.pm2_5 is None and not any(value is not None for value in row.values().values()) for row in rows):
        return None
    silent = [name for name in VALUES if all(getattr(row, name) is None for row in rows)]
    missing = tuple(name for name in map(API_NAMES.__getitem__, silent) if f'"{name}"'.encode() not in body)
    return Response(_header(answer.header), rows, missing_fields=missing)


def _value_by_value(content: Any) -> Response:
    """Read the plain content of an answer."""
    if content is None:
        return Response(Header(), [])
    if isinstance(content, str):
        raise ReportedError(f"the answer is an error message: {tidy(content, 200) or 'no reason given'}")
    if isinstance(content, list):
        content = {"data": content}
    if not isinstance(content, dict):
        raise UnexpectedShapeError(f"the answer has another shape: {tidy(content)!r} in place of an object")
    fields = {spelling(name): value for name, value in content.items() if len(name) <= LONGEST_NAME}
    rows = _row_list(fields, content)
    found = read_rows(rows, _FIELDS)
    data = [Row(hour.replace(tzinfo=None), **values) for hour, values in found.hours.items()]
    missing = tuple(API_NAMES[name] for name in VALUES if name not in found.seen) if rows else ()
    return Response(_header(fields.get("header")), data, found, missing, said(content))


def _row_list(fields: dict[str, Any], content: dict[str, Any]) -> list[Any]:
    """Return the rows of an answer, also where they are in an object, by number or the only one.

    Raises:
        ReportedError: The answer is an error message.
        UnexpectedShapeError: It has no rows in any form.
    """
    rows = fields.get("data")
    if isinstance(rows, dict) and rows:
        rows = [rows] if "timestamp" in map(spelling, rows) else list(rows.values())
    if not rows and (failure := reported_failure(content)):
        raise ReportedError(f"the answer is an error message: {failure}")
    if isinstance(rows, list):
        return rows
    if "data" in fields:
        if not rows and not isinstance(rows, bool | int | float):
            return []
        raise UnexpectedShapeError(f"the answer has another shape: data is {tidy(rows)!r}, not a list of rows")
    names = ", ".join(tidy(name) for name in list(content)[:10])
    raise UnexpectedShapeError(f"the answer has another shape: it has no data, but {names or 'nothing'}")


def _header(header: Any) -> Header:
    """Read a header field by field."""
    fields = (
        {spelling(name[:LONGEST_NAME]): value for name, value in header.items()} if isinstance(header, dict) else {}
    )
    return Header(
        short_text(fields.get("stationname")),
        coordinate(fields.get("stationlat"), 90),
        coordinate(fields.get("stationlon"), 180),
    )


def short_text(value: Any) -> str:
    """Read a name or a few words; empty where the value is none."""
    return tidy(value, LONGEST_NAME) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def coordinate(value: Any, most: int) -> float | None:
    """Read a latitude or longitude in degrees; None where it is no number, or more than `most` from 0."""
    degrees = number(value, decimal_commas=True)
    return degrees if degrees is not None and abs(degrees) <= most else None
