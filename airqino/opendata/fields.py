"""The one table of the open data's fields: what each is called, of which type it is, and what it means.

From it come the columns of the CSV and Parquet files and the schemas of the Data Package; a test holds
`docs/open-data.md` to it. ``location``, ``parameter``, ``value``, ``unit``, ``datetimeUtc`` and ``datetimeLocal`` are
the names in OpenAQ's downloads (docs.openaq.org), as are the names of the parameters.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from airqino.quality.flags import FLAGS
from airqino.quality.means import QUALITIES
from airqino.quality.notes import KINDS
from airqino.readings import POLLUTANTS, READINGS

__all__ = ["PARAMETERS", "PUBLISHED", "TABLES", "Field", "Table"]

#: The readings that are published: all but the raw counts of the board's thermistor.
PUBLISHED = (*POLLUTANTS, *(r.name for r in READINGS if not r.averaged and r.unit != "counts"))
_OPENAQ = {"pm2_5": "pm25", "t": "temperature", "rh": "relativehumidity"}
#: Reading → what it is called in the open data.
PARAMETERS: Mapping[str, str] = MappingProxyType({name: _OPENAQ.get(name, name) for name in PUBLISHED})

_ARROW = {
    "string": pa.string(),
    "number": pa.float64(),
    "integer": pa.int32(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "datetime": pa.timestamp("us", tz="UTC"),
    "local": pa.string(),
}
#: The types of a Table Schema (Frictionless Data), where they are called otherwise, and how a local time is written.
_SCHEMA_TYPES: Mapping[str, Mapping[str, str]] = {"local": {"type": "datetime", "format": "%Y-%m-%dT%H:%M:%S%z"}}


@dataclass(frozen=True)
class Field:
    """One column.

    Attributes:
        name: Its name.
        kind: string, number, integer, boolean, date, datetime (UTC), or local: a time with its offset from UTC.
        about: What it holds.
        values: All that it may hold; () where that is not a list.
        required: Whether each row has one.
    """

    name: str
    kind: str
    about: str
    values: tuple[str, ...] = ()
    required: bool = False

    def described(self) -> dict[str, Any]:
        """Return the field as a Table Schema has it."""
        constraints: dict[str, Any] = {"required": True} if self.required else {}
        constraints |= {"enum": list(self.values)} if self.values else {}
        return {
            "name": self.name,
            **_SCHEMA_TYPES.get(self.kind, {"type": self.kind}),
            "description": self.about,
            **({"constraints": constraints} if constraints else {}),
        }


@dataclass(frozen=True)
class Table:
    """A table of the open data.

    Attributes:
        name: ``daily``, ``hourly``, ``forecasts``, ``changes`` or ``stations``.
        about: What a row is.
        key: The fields that tell rows apart; () where two rows may be alike.
        fields: Its columns, in order.
    """

    name: str
    about: str
    key: tuple[str, ...]
    fields: tuple[Field, ...]

    @property
    def schema(self) -> pa.Schema:
        """Return the columns of the Parquet files."""
        return pa.schema([(field.name, _ARROW[field.kind]) for field in self.fields])

    def described(self) -> dict[str, Any]:
        """Return the table's Table Schema; nothing stands for what is not there."""
        fields = [field.described() for field in self.fields]
        return {"fields": fields, "missingValues": [""], **({"primaryKey": list(self.key)} if self.key else {})}


def _place(of: str) -> tuple[Field, ...]:
    return (
        Field("location_id", "string", "the station's id; it never changes", required=True),
        Field("location", "string", "what the station is called now", required=True),
        Field("parameter", "string", f"what {of}", tuple(PARAMETERS.values()), required=True),
    )


_UNIT = Field("unit", "string", "unit of the values of this row", required=True)
_NOTES = Field("notes", "string", "what the operator said of it: id, kind and reason of each note")
_PROVISIONAL = Field("provisional", "boolean", "whether it may still change: the source computes its last days anew")

_HOURLY = Table(
    "hourly",
    "One reading of one hour at one station. An hour without a reading has no row.",
    ("location_id", "parameter", "datetimeUtc"),
    (
        *_place("was measured"),
        Field(
            "value",
            "number",
            "the reading, calibrated where the operator says so; empty where it does not count by its flag, or stands "
            "at the sensor's floor",
        ),
        _UNIT,
        Field("datetimeUtc", "datetime", "beginning of the hour, UTC", required=True),
        Field("datetimeLocal", "local", "the same in the station's time zone", required=True),
        Field("flag", "string", "the worst outcome of the quality tests, as a word", FLAGS),
        Field(
            "tests",
            "string",
            "a digit for each test: range, stuck, dead, spike, floor, humid, order, level, operator; 1 pass, 2 not "
            "evaluated, 3 suspect, 4 fail, 9 missing (QARTOD)",
        ),
        Field("reported_value", "number", "what the station reported, whatever its flag; no measurement by itself"),
        _PROVISIONAL,
        _NOTES,
    ),
)
_DAILY = Table(
    "daily",
    "The mean of one pollutant over one local day at one station; days on which a station reported anything.",
    ("location_id", "parameter", "day"),
    (
        *_place("was measured"),
        Field(
            "value",
            "number",
            "the day's mean over the hours that count (checked mean); empty unless quality is ok or checked",
        ),
        _UNIT,
        Field("day", "date", "the day in the station's time zone", required=True),
        Field("datetimeUtc", "datetime", "beginning of the day, UTC", required=True),
        Field("datetimeLocal", "local", "beginning of the day in the station's time zone", required=True),
        Field(
            "quality",
            "string",
            "worst first: insufficient (fewer than 75 % of the hours count), suspect (half or more at the floor, "
            "or far from the days before), checked (some were left out), ok",
            QUALITIES,
        ),
        Field("valid_hours", "integer", "hours that count"),
        Field("reported_hours", "integer", "hours with a reading"),
        Field("expected_hours", "integer", "hours of the day: 24, or 23 or 25 when clocks change"),
        Field("absent_hours", "integer", "hours of which the source has nothing from the station"),
        Field("failed_hours", "integer", "hours that the source did not answer for"),
        Field("left_out", "string", "which hours do not count, and why, such as 2 h spike"),
        Field("reported_value", "number", "plain mean of all readings as reported; no measurement by itself"),
        Field("floor_hours", "integer", "of CO: hours that count, at the sensor's floor"),
        Field("humid_hours", "integer", "of PM: hours that count, in humid air, where the sensor reads high"),
        Field(
            "above_guideline",
            "boolean",
            "whether value (of O3: max_8h) is above the WHO's 24-hour guideline of 2021: CO 4 mg/m³, NO2 25, PM10 45, "
            "PM2.5 15 µg/m³, O3 100 µg/m³; empty where value is",
        ),
        Field("max_8h", "number", "of O3: highest mean of 8 hours that lie in the day; empty where value is"),
        Field(
            "dry_value",
            "number",
            "of PM2.5: value as if the particles were dry (κ-Köhler, κ = 0.4, not validated); empty where value is",
        ),
        Field("above_guideline_dry", "boolean", "of PM2.5: whether dry_value is above the guideline"),
        Field("corrected_value", "number", "of PM2.5: dry_value where the operator chose this correction, else empty"),
        Field("correction", "string", "of PM2.5: which correction the operator chose", ("none", "kappa")),
        _PROVISIONAL,
        _NOTES,
    ),
)
_FORECASTS = Table(
    "forecasts",
    "The forecast of one pollutant for one hour at one station, as it was published.",
    ("location_id", "parameter", "issuedUtc", "horizon_h"),
    (
        *_place("is forecast"),
        Field("value", "number", "the forecast (median); empty where there is none"),
        _UNIT,
        Field("datetimeUtc", "datetime", "beginning of the hour that is forecast, UTC", required=True),
        Field("datetimeLocal", "local", "the same in the station's time zone", required=True),
        Field("issuedUtc", "datetime", "the last hour that was over when it was made, UTC", required=True),
        Field("horizon_h", "integer", "hours from issuedUtc to datetimeUtc", required=True),
        Field("p10", "number", "lower end of the 80 % band"),
        Field("p90", "number", "upper end of the 80 % band"),
        Field("method", "string", "how it was made; none: there is no forecast", ("lightgbm", "persistence", "none")),
        Field("reason", "string", "why method is not lightgbm, or what the band lacks"),
        Field("model_version", "string", "day of the model; empty without one"),
        Field("hindcast", "boolean", "made later, from the hours before"),
        Field("day_exceedance", "number", "of PM2.5: probability that the day's mean exceeds the guideline, 0 to 1"),
    ),
)
_CHANGES = Table(
    "changes",
    "A change of what was published: the source wrote another value, or the operator said something of a reading.",
    (),
    (
        Field("changedUtc", "datetime", "when it was seen, or said, UTC", required=True),
        Field("kind", "string", "revision: by the source; else the kind of the operator's note", ("revision", *KINDS)),
        Field("location_id", "string", "the station's id", required=True),
        Field("location", "string", "what the station is called now", required=True),
        Field("parameter", "string", "which reading; empty: all of the station", tuple(PARAMETERS.values())),
        Field("unit", "string", "unit of the values"),
        Field("firstUtc", "datetime", "first hour that it is about, UTC"),
        Field("lastUtc", "datetime", "last hour that it is about, UTC; empty: until further notice"),
        Field("old_value", "number", "of a revision: what was reported before; empty: nothing"),
        Field(
            "new_value",
            "number",
            "of a revision: what is reported now; empty: nothing. Where the source withdrew the whole hour, the old "
            "values still count",
        ),
        Field("note", "string", "id of the operator's note"),
        Field("revokes", "string", "id of the note that is taken back"),
        Field("why", "string", "the operator's reason; empty of a note that was taken back"),
        Field("slope", "number", "of a calibration: value = slope · reported_value + offset"),
        Field("offset", "number", "of a calibration, in the parameter's unit"),
    ),
)
_STATIONS = Table(
    "stations",
    "One station.",
    ("location_id",),
    (
        *_place("is measured")[:2],
        Field("latitude", "number", "degrees, WGS 84"),
        Field("longitude", "number", "degrees, WGS 84"),
        Field("timezone", "string", "the zone in which its day begins at midnight", required=True),
    ),
)

#: Every table by name.
TABLES: Mapping[str, Table] = MappingProxyType(
    {of.name: of for of in (_DAILY, _HOURLY, _FORECASTS, _CHANGES, _STATIONS)}
)
