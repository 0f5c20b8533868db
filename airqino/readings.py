"""The one table of readings: what each is called, measured in, and may be.

Whatever lists readings or pollutants is derived from it: the columns of the staged tables, the quality flags, the daily
means, the documents, the views, the forecasts and every label a person sees. Beside it only the shape of an answer
(`airqino.source.response.Row`) names the API's keys, and a test holds it to this table.
"""

from dataclasses import dataclass
from math import inf

__all__ = [
    "CORE_HOURS",
    "FORECAST",
    "HORIZONS",
    "INDEX_LEVELS",
    "INDEX_VERSION",
    "LABELS",
    "LONGEST_HORIZON",
    "NAMES",
    "POLLUTANTS",
    "READINGS",
    "STALE_HOURS",
    "UNITS",
    "Reading",
    "reading",
    "unit_of",
]  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """One quantity that a station reports each hour.

    Attributes:
        key: Its key in the API's rows.
        name: Its name in tables, documents and settings.
        label: What people call it.
        unit: Of its values. The API does not tell units: they are those of the AirQino documentation and the sensors'
            data sheets.
        digits: Decimals that the sensor can tell.
        plausible: Lowest and highest value that the sensor can report of real air.
        full_scale: Value at which the sensor's scale ends, which says "this or more"; None where it is not known.
        floor: What the source writes for whatever lies below it, so that it bounds the reading from above and says
            nothing of the air; None where it clips nothing.
        weeks: Lowest and highest median of a week that there is outdoors, in `unit`: beyond, it is another unit.
        noise: Scatter from hour to hour that is the sensor's own, in `unit`: a series that moves less counts as flat.
        humid: Whether the sensor reads high in humid air.
        guideline: WHO level in `unit`, of the 24-hour mean or, with `eight_hours`, of the day's highest 8-hour mean;
            None where there is none.
        annual_guideline: WHO level of the year's mean, in `unit`; None where there is none.
        eight_hours: Whether the guideline is one of 8-hour means.
        index_bands: Upper ends of the first five of the index's six levels, of hourly values in `unit`; () without one.
        smallest_band: Smallest half width of a raw forecast band, in `unit`: a share of nothing would correct nothing.
        averaged: Whether it has a daily mean, which is loaded, shown and watched.
        forecast: Whether it is forecast.
    """

    key: str
    name: str
    label: str
    unit: str
    digits: int
    plausible: tuple[float, float] = (-inf, inf)
    full_scale: float | None = None
    floor: float | None = None
    weeks: tuple[float, float] = (0.0, inf)
    noise: float = 0.0
    humid: bool = False
    guideline: float | None = None
    annual_guideline: float | None = None
    eight_hours: bool = False
    index_bands: tuple[float, ...] = ()
    smallest_band: float = 0.1
    averaged: bool = False
    forecast: bool = False


#: Version of the European Air Quality Index whose bands `READINGS` hold. Averaging time: one hour, for each pollutant.
INDEX_VERSION = "EAQI 2024"
#: What the index's levels are called, from 1 (good) to 6.
INDEX_LEVELS = ("good", "fair", "moderate", "poor", "very poor", "extremely poor")

#: Every reading, in the order of the staged tables' columns. Their fingerprints depend on this order.
#:
#: Sources. Plausible ranges: sensor data sheets (Plantower/Honeywell PM 0–1000 µg/m³, Alphasense/SGX gas cells), the
#: physical limits of RH, the instrument's operating range for T; CO may read 0.1 mg/m³ below zero by its noise. Full
#: scale: Nova SDS011 data sheet, 999.9 µg/m³ (PM10: 1999.9, beyond what is plausible). Floor: between 2023-12 and
#: 2024-09 the source replaced each of 3,173 negative CO values by 0.0. Weeks: our own choice, wide of what cities
#: report. Noise: median hourly changes of two stations in 2022–2024, rounded. Guidelines: WHO global air quality
#: guidelines, 2021, table 0.1. Index bands: European Environment Agency, ETC HE Report 2024/17, the revision of 2024.
#: ``t_int`` is raw counts of the board's thermistor, not a temperature: no range is known.
READINGS = (
    Reading(
        "CO", "co", "CO", "mg/m³", 2, (-0.1, 30), floor=0.0, weeks=(0, 10), noise=0.1, guideline=4.0,
        smallest_band=0.005, averaged=True, forecast=True,
    ),
    Reading(
        "NO2", "no2", "NO2", "µg/m³", 1, (0, 5000), weeks=(0.05, 500), noise=0.3, guideline=25.0, annual_guideline=10.0,
        index_bands=(10, 25, 60, 100, 150), averaged=True,
    ),
    Reading(
        "O3", "o3", "O3", "µg/m³", 1, (0, 1000), weeks=(0.1, 300), noise=1.5, guideline=100.0, eight_hours=True,
        index_bands=(60, 100, 120, 160, 180), averaged=True,
    ),
    Reading(
        "PM10", "pm10", "PM10", "µg/m³", 1, (0, 1000), full_scale=1999.9, weeks=(0.2, 800), noise=2.0, humid=True,
        guideline=45.0, annual_guideline=15.0, index_bands=(15, 45, 120, 195, 270), averaged=True,
    ),
    Reading(
        "PM2.5", "pm2_5", "PM2.5", "µg/m³", 1, (0, 1000), full_scale=999.9, weeks=(0.1, 500), noise=1.0, humid=True,
        guideline=15.0, annual_guideline=5.0, index_bands=(5, 15, 50, 90, 140), smallest_band=0.3, averaged=True,
        forecast=True,
    ),
    Reading("T", "t", "T", "°C", 1, (-40, 80), noise=0.3),
    Reading("RH", "rh", "RH", "%", 0, (0, 100), noise=2.0),
    Reading("T. int.", "t_int", "T int", "counts", 0, noise=4.0),
)  # fmt: skip

#: Names of the readings.
NAMES = tuple(r.name for r in READINGS)
#: Unit of each reading, by name.
UNITS = {r.name: r.unit for r in READINGS}
#: Names of the pollutants with a daily mean.
POLLUTANTS = tuple(r.name for r in READINGS if r.averaged)
#: Hours ahead that are forecast, unless a setting says otherwise.
HORIZONS = (1, 2, 3, 6, 9, 12)
#: Up to this horizon something is always published: persistence, where no model is better.
CORE_HOURS = 2
#: What is usual at the target's hour is known of the day before it, so no lead is longer than a day; from a reading
#: that is an hour old, the lead is one more than the horizon.
LONGEST_HORIZON = 23
#: A last hour that ended so many hours ago, or more, says nothing of the air now.
STALE_HOURS = 3
#: Readings that are forecast.
FORECAST = tuple(r.name for r in READINGS if r.forecast)
#: Labels of the pollutants with a daily mean, by name, in the order people are shown them: particles first.
LABELS = {r.name: r.label for r in sorted(READINGS, key=lambda r: r.label, reverse=True) if r.averaged}

_BY_NAME = {r.name: r for r in READINGS}


#: What the name of a column adds to that of the reading whose unit it is in.
_IN_ITS_UNIT = ("", "_raw", "_reported", "_mean", "_checked_mean", "_8h_max", "_dry_mean", "_corrected_mean")


def unit_of(column: str) -> str | None:
    """Return the unit of a column of the staged tables; None of one that holds no amount of a reading."""
    names = (r.name for r in READINGS if column.removeprefix(r.name) in _IN_ITS_UNIT and column.startswith(r.name))
    return next((UNITS[name] for name in names), None)


def reading(name: str) -> Reading:
    """Return a reading by its name.

    Raises:
        KeyError: There is none of that name.
    """
    return _BY_NAME[name]
