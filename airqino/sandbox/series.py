"""Hourly readings of stations that do not exist: what the sandbox serves when it replays no file.

Pure functions of station, hour and the time of asking. The series is drawn in blocks of eight weeks, each
from a random generator keyed by (station, block), so a value never depends on the window it is asked in.
Shapes and levels follow real answers for two stations in Abidjan (2023-09 to 2024-06): morning and evening
peaks, cleaner Sundays, twice the particles in the dry season, damp nights, stations that are off at night or
over a weekend, a CO sensor that reads 0.0 for half of the hours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["DEFAULT_STATIONS", "LATE_HOURS", "REVISED_AFTER_HOURS", "Row", "header", "rows"]

Row = dict[str, Any]
"""One row in the form of the API: `timestamp` as text, and a float for each sensor that reported."""

DEFAULT_STATIONS = ("283181971", "283164601")

LATE_HOURS = 20
"""A late row shows 1 to this many hours after its hour ended."""

REVISED_AFTER_HOURS = 30
"""A revised row takes its final values this long after its hour ended."""

_Array = NDArray[np.float64]
_BLOCK = 8 * 7 * 24  # hours; longer than the memory of any noise below and than any outage
_LATE_SHARE = 0.01
_REVISED_SHARE = 0.01

# (weekday or None for any, hour of day or None for any, hours off, probability), as observed in real answers
_OUTAGES = ((None, None, 1, 0.003), (None, 21, 10, 0.05), (5, 14, 41, 0.30), (5, 14, 65, 0.12), (None, 8, 134, 0.002))


@dataclass(frozen=True)
class _Station:
    """What is particular to a station.

    `pm2_5` is its usual level in µg/m³, `coarse` its PM10/PM2.5 ratio less one, `outages` scales how often it
    is off.
    """

    name: str
    latitude: float
    longitude: float
    pm2_5: float
    coarse: float
    outages: float
    co_dead: bool = False


# The coordinates are the API's own, faults included: SMART189's longitude lost its sign, SMART188's is far
# out at sea.
_KNOWN = {
    "283181971": _Station("SMART189", 5.365333557128906, 3.957688093185425, 8.2, 0.8, 1.0),
    "283164601": _Station("SMART188", 5.369345664978027, 0.05000000074505806, 4.1, 1.4, 0.15, co_dead=True),
}


@dataclass(frozen=True)
class _Block:
    """Eight weeks of a station, hour by hour: row or None, hours late, factor of the value shown first."""

    rows: Sequence[Row | None]
    late: Sequence[int]
    first_factor: Sequence[float]


def header(station_id: str) -> Row:
    """Return the header of an answer: name and coordinates in degrees, wrong where the API's are wrong."""
    station = _station(station_id)
    return {"station_name": station.name, "station_lat": station.latitude, "station_lon": station.longitude}


def rows(station_id: str, start: datetime, stop: datetime, now: datetime) -> list[Row]:
    """Return the rows that the API would show at `now`.

    Args:
        station_id: Digits; any number is a station.
        start: Time-zone-aware; the first hour returned begins at or after it.
        stop: Time-zone-aware; the last hour returned begins at or before it.
        now: Time-zone-aware time of asking. The hour it lies in has a partial row; later hours have none.

    Returns:
        Rows in order of time, `timestamp` being the beginning of the hour in UTC. Hours without data have no
        row, sensors without data no key. CO in mg/m³; PM2.5, PM10, NO2, O3 in µg/m³; T in °C; RH in %;
        `T. int.` in counts.
    """
    asked_at = now.timestamp() / 3600
    first = int(-(-start.timestamp() // 3600))
    last = int(min(stop.timestamp() // 3600, asked_at // 1))
    found = []
    for hour in range(first, last + 1):
        number, index = divmod(hour, _BLOCK)
        block = _block(station_id, number)
        row = block.rows[index]
        since_end = asked_at - hour - 1
        late = block.late[index]
        if row is None or (late and since_end < late):
            continue
        if since_end < 0:
            found.append(_scaled(row, 0.95 + 0.1 * since_end))  # a mean over the first minutes only
        elif since_end < REVISED_AFTER_HOURS:
            found.append(_scaled(row, block.first_factor[index]))
        else:
            found.append(dict(row))
    return found


def _scaled(row: Row, factor: float) -> Row:
    """Return a copy with the pollutants that vary fastest multiplied by `factor`."""
    return row | {sensor: round(row[sensor] * factor, 6) for sensor in ("CO", "PM10", "PM2.5")}


@lru_cache(maxsize=4096)
def _station(station_id: str) -> _Station:
    if station_id in _KNOWN:
        return _KNOWN[station_id]
    draw = np.random.default_rng((2, int(station_id))).random(5).tolist()
    return _Station(
        name=f"SMART{station_id[-3:]}",
        latitude=round(5.25 + 0.2 * draw[0], 6),
        longitude=round(-4.10 + 0.2 * draw[1], 6),
        pm2_5=4.5 + 7 * draw[2],
        coarse=0.7 + 0.8 * draw[3],
        outages=0.2 + 0.6 * draw[4],
    )


@lru_cache(maxsize=256)
def _block(station_id: str, number: int) -> _Block:
    station = _station(station_id)
    normal, uniform = _draws((1, int(station_id)), number)
    hours = number * _BLOCK + np.arange(_BLOCK)
    readings = _readings(station, hours, normal, _draws((0,), number)[0], uniform[1])
    absent = {
        "RH": readings["RH"] > 99.8,  # the sensor saturates: real answers then have no RH
        "NO2": uniform[2, _BLOCK:] < 0.004,
        "O3": uniform[3, _BLOCK:] < 0.004,
    }
    stamps = np.datetime_as_string(hours.astype("datetime64[h]"), unit="s").tolist()
    columns = {sensor: np.round(values, 6).tolist() for sensor, values in readings.items()}
    found: list[Row | None] = []
    for index, off in enumerate(_off(uniform[0], hours, station.outages)):
        present = [sensor for sensor in columns if not (sensor in absent and absent[sensor][index])]
        row: Row = {"timestamp": stamps[index].replace("T", " ")}
        found.append(None if off else row | {sensor: columns[sensor][index] for sensor in present})
    # One draw decides both, so that no row is late and revised.
    fate, size = uniform[4, _BLOCK:], uniform[5, _BLOCK:]
    late = np.where(fate < _LATE_SHARE, 1 + (size * LATE_HOURS).astype(int), 0)
    revised = fate > 1 - _REVISED_SHARE
    return _Block(found, late.tolist(), np.where(revised, 0.7 + 0.2 * size, 1.0).tolist())


@lru_cache(maxsize=512)
def _draws(key: tuple[int, ...], number: int) -> tuple[_Array, _Array]:
    """Return normal and uniform draws, each (kinds, 2 blocks): noise remembers the block before."""
    normal, uniform = [], []
    for block in (number - 1, number):
        generator = np.random.default_rng((*key, block % 2**32))
        normal.append(generator.standard_normal((7, _BLOCK)))
        uniform.append(generator.random((6, _BLOCK)))
    return np.hstack(normal), np.hstack(uniform)


def _red(white: _Array, memory: float) -> _Array:
    """Return a block of unit-variance noise that correlates as exp(-lag / memory), memory in hours."""
    kernel = np.exp(-np.arange(min(int(6 * memory), _BLOCK)) / memory)
    kernel /= np.sqrt((kernel**2).sum())
    return np.convolve(white, kernel, mode="full")[_BLOCK : 2 * _BLOCK]


def _off(draw: _Array, hours: NDArray[np.int64], scale: float) -> list[bool]:
    """Return for each hour of the block whether the station gives no data."""
    all_hours = np.concatenate([hours - _BLOCK, hours])
    weekday = (all_hours // 24 + 3) % 7  # 1970-01-01 was a Thursday
    off = np.zeros(2 * _BLOCK, dtype=bool)
    for on_weekday, at_hour, length, probability in _OUTAGES:
        begins = draw < probability * scale
        if on_weekday is not None:
            begins &= weekday == on_weekday
        if at_hour is not None:
            begins &= all_hours % 24 == at_hour
        for begin in np.flatnonzero(begins):
            off[begin : begin + length] = True
    found: list[bool] = off[_BLOCK:].tolist()
    return found


def _bump(hour_of_day: _Array, centre: float, width: float) -> _Array:
    """Return a bell of height 1 around an hour of the day, round the clock."""
    distance = np.abs((hour_of_day - centre + 12) % 24 - 12)
    return np.asarray(np.exp(-0.5 * (distance / width) ** 2))


def _readings(
    station: _Station, hours: NDArray[np.int64], own: _Array, region: _Array, dead_draw: _Array
) -> dict[str, _Array]:
    """Return every sensor's hourly means over a block.

    Args:
        station: The station's levels.
        hours: Hours since 1970, UTC (the local time of Abidjan too).
        own: Normal draws of the station.
        region: Normal draws shared by all stations: weather and dust come over the whole city, and two real
            stations correlate by 0.86 in PM2.5 and by 0.96 in temperature.
        dead_draw: Uniform draws that decide when a dead CO sensor reads something after all.

    Returns:
        Sensor name as in the API → array over `hours`.
    """
    hour_of_day = (hours % 24).astype(float)
    weekday = (hours // 24 + 3) % 7
    year_phase = 2 * np.pi * (hours / 24 / 365.2425 - 30 / 365.2425)  # the harmattan peaks around 30 January
    dry = ((1 + np.cos(year_phase)) / 2) ** 2
    traffic = _bump(hour_of_day, 7, 1.4) + _bump(hour_of_day, 19.8, 2.2)
    traffic *= np.select([weekday == 6, weekday == 5], [0.6, 0.85], 1.0)
    daylight = _bump(hour_of_day, 12.2, 3.2)
    mixing = _red(region[2], 20) + 0.8 * _red(own[0], 4)

    log_pm = (
        np.log(station.pm2_5)
        + 0.75 * dry
        + 0.45 * traffic
        + 0.15 * daylight
        - 0.08 * (weekday == 6)
        + 0.30 * _red(region[0], 150)
        + 0.14 * _red(region[1], 8)
        + 0.12 * mixing
        + 0.20 * _red(own[1], 3)
        + 0.04 * own[2, _BLOCK:]
    )
    pm2_5 = np.maximum(np.exp(log_pm), 1.0)
    ratio = 1.1 + station.coarse * (1 + 0.5 * dry + 0.3 * daylight) * np.exp(0.3 * _red(region[3], 60))

    temperature = 26.9 + 1.9 * dry + 4.2 * daylight + 1.1 * _red(region[4], 40) + 0.5 * _red(own[3], 4)
    humidity = 91.5 - 3.9 * (temperature - 26.9) - 4 * dry + 3.0 * _red(region[5], 30) + 0.6 * _red(own[4], 3)
    ozone = 25.5 + 1.7 * (temperature - 28) - 3 * traffic + 3.5 * _red(own[5], 12)
    nitrogen = 19.4 - 0.17 * (ozone - 28) + 0.25 * own[6, _BLOCK:]

    if station.co_dead:
        co = np.where(dead_draw[_BLOCK:] < 0.005, 0.05 + 0.02 * np.abs(own[2, _BLOCK:]), 0.0)
    else:
        co = np.maximum(-0.13 + 0.30 * traffic + 0.09 * mixing + 0.08 * _red(own[1], 3), 0)
        co *= np.exp(0.4 * _red(region[2], 20))

    return {
        "CO": co,
        "T": np.round(temperature * 300) / 300,
        "T. int.": np.round((421 + 10.9 * (temperature - 29.5)) * 30) / 30,
        "NO2": nitrogen,
        "O3": np.maximum(ozone, 0),
        "PM10": np.round(pm2_5 * ratio * 30) / 30,  # means of whole counts over half-minutes, as in real answers
        "PM2.5": np.round(pm2_5 * 30) / 30,
        "RH": np.maximum(np.round(humidity * 300) / 300, 25.0),
    }
