"""The API's answer to ``/v3/getStationHourlyAvg/{station}``: its shape, and reading it.

Units are not in the answer (source: the AirQino documentation and the sensors' data sheets): CO mg/m³; PM2.5, PM10,
NO2, O3 µg/m³; T °C; RH %; ``T. int.`` is raw counts of the board's thermistor, not a temperature.
"""

import contextlib
from datetime import UTC, datetime

import msgspec

from airqino.errors import NotJSONError, UnexpectedShapeError

__all__ = ["VALUES", "Header", "Response", "Row", "parse"]


class Header(msgspec.Struct, frozen=True):
    """What the API says of the station; its coordinates are unreliable and may be missing.

    Latitude and longitude are in degrees.
    """

    station_name: str = ""
    station_lat: float | None = None
    station_lon: float | None = None


class Row(msgspec.Struct, frozen=True):
    """The mean of one hour. A sensor without data has no key, so it is None here."""

    timestamp: datetime
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
        return self.timestamp.astimezone(UTC) if self.timestamp.tzinfo else self.timestamp.replace(tzinfo=UTC)

    def values(self) -> dict[str, float | None]:
        """Return the readings by the pipeline's names for them."""
        return {name: getattr(self, name) for name in VALUES}


#: The readings of a row, by the pipeline's names for them.
VALUES = tuple(name for name in Row.__struct_fields__ if name != "timestamp")


class Response(msgspec.Struct, frozen=True):
    """One whole answer; rows in the order they came, doubles and all."""

    header: Header
    data: list[Row]
    unreadable: int = 0  #: rows left out because they are not of the documented shape


class _Loose(msgspec.Struct):
    header: Header
    data: list[msgspec.Raw]


_decoder = msgspec.json.Decoder(Response)
_loose = msgspec.json.Decoder(_Loose)


def parse(body: bytes) -> Response:
    """Read an answer.

    Args:
        body: The body as it came.

    Returns:
        Header and rows.

    Raises:
        NotJSONError: The body is not JSON.
        UnexpectedShapeError: It is JSON, but not of the documented shape; the message says where. A few bad rows do
            not make the others worthless: they are left out, and counted.
    """
    try:
        return _decoder.decode(body)
    except msgspec.ValidationError as error:
        if (rest := _without_bad_rows(body)) is not None:
            return rest
        raise UnexpectedShapeError(f"the answer has another shape: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotJSONError(f"the answer is not JSON: {error}") from error


def _without_bad_rows(body: bytes) -> Response | None:
    """Read an answer row by row; None where that does not help: half of the rows or more are bad."""
    try:
        loose = _loose.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    rows: list[Row] = []
    for raw in loose.data:
        with contextlib.suppress(msgspec.ValidationError):
            rows.append(msgspec.json.decode(raw, type=Row))
    bad = len(loose.data) - len(rows)
    return Response(loose.header, rows, bad) if bad * 2 < len(loose.data) else None
