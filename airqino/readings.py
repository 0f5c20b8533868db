"""The one table of readings: what each is called, measured in, and may be.

Whatever lists readings or pollutants is derived from it: the columns of the staged tables, the quality flags, the daily
means, the documents, the views, the forecasts and every label a person sees. Beside it only the shape of an answer
(`airqino.source.response.Row`) names the API's keys, and a test holds it to this table.
"""

from dataclasses import dataclass
from math import inf

__all__ = ["FORECAST", "LABELS", "NAMES", "POLLUTANTS", "READINGS", "Reading", "reading"]


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
        guideline: WHO level of the 24-hour mean, in `unit`; None where there is none in use here.
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
    guideline: float | None = None
    smallest_band: float = 0.1
    averaged: bool = False
    forecast: bool = False


#: Every reading, in the order of the staged tables' columns. Their fingerprints depend on this order.
#:
#: Sources. Plausible ranges: sensor data sheets (Plantower/Honeywell PM 0–1000 µg/m³, Alphasense/SGX gas cells), the
#: physical limits of RH, the instrument's operating range for T. Guidelines: WHO global air quality guidelines, 2021,
#: table 0.1. ``t_int`` is raw counts of the board's thermistor, not a temperature: no range is known.
READINGS = (
    Reading("CO", "co", "CO", "mg/m³", 2, (0, 30), 4.0, 0.005, averaged=True, forecast=True),
    Reading("NO2", "no2", "NO2", "µg/m³", 1, (0, 5000)),
    Reading("O3", "o3", "O3", "µg/m³", 1, (0, 1000)),
    Reading("PM10", "pm10", "PM10", "µg/m³", 1, (0, 1000)),
    Reading("PM2.5", "pm2_5", "PM2.5", "µg/m³", 1, (0, 1000), 15.0, 0.3, averaged=True, forecast=True),
    Reading("T", "t", "T", "°C", 1, (-40, 80)),
    Reading("RH", "rh", "RH", "%", 0, (0, 100)),
    Reading("T. int.", "t_int", "T int", "counts", 0),
)

#: Names of the readings.
NAMES = tuple(r.name for r in READINGS)
#: Names of the pollutants with a daily mean.
POLLUTANTS = tuple(r.name for r in READINGS if r.averaged)
#: Names of the pollutants that are forecast.
FORECAST = tuple(r.name for r in READINGS if r.forecast)
#: Labels of the pollutants with a daily mean, by name, in the order people are shown them: particles first.
LABELS = {r.name: r.label for r in sorted(READINGS, key=lambda r: r.label, reverse=True) if r.averaged}

_BY_NAME = {r.name: r for r in READINGS}


def reading(name: str) -> Reading:
    """Return a reading by its name.

    Raises:
        KeyError: There is none of that name.
    """
    return _BY_NAME[name]
