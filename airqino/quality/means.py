"""Daily means of each station, and how far to trust them."""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from airqino.quality.contexts import SATURATED
from airqino.quality.flags import COUNTED, FLAGS, TESTS
from airqino.quality.outcomes import SUSPECT
from airqino.readings import POLLUTANTS, Reading, reading
from airqino.times import local_day

__all__ = ["QUALITIES", "VOUCHED", "WHOLE_SHARE", "daily_means", "dried"]

Floats = npt.NDArray[np.float64]

#: What a daily mean may be called, worst first.
QUALITIES = ("insufficient", "suspect", "checked", "ok")
#: What a mean is called that can be vouched for.
VOUCHED = QUALITIES[2:]

#: Share of a year's days that must be valid before its mean is compared with the annual guideline: the 75 % rule of the
#: days (40 CFR 50 App. N 3.0), taken over the year. Directive 2008/50/EC, Annex XI, asks for 90 % of the hours or days.
WHOLE_SHARE = 0.75

#: Tests that concern the day: it is suspect where half of the hours that count are suspect by one of them.
_OF_THE_DAY = ("floor", "dead", "level")
_TOLD = (*_OF_THE_DAY, "humid")

#: Growth of particles in humid air: κ of the aerosol and density of dry particles over that of water (Crilley et al.,
#: Atmos. Meas. Tech. 11, 709–720, 2018, equations 4 and 5: κ-Köhler theory, ρ = 1.65 g/cm³). It was made for another
#: sensor (OPC-N2) and other cities; for the sensors here nothing was validated. κ = 0.4 lies in the paper's range of
#: 0.38 to 0.41.
_KAPPA, _DENSITY = 0.4, 1.65
#: At 100 % the formula divides by nothing; more than this is taken for this.
_HIGHEST_RH = 99.0

#: Hours with a value that an 8-hour mean needs: 75 % (Directive 2008/50/EC, Annex VII A). There a mean belongs to the
#: day it ends on; here it lies in the day as a whole, so that all of it was judged with that day. Those left out begin
#: in the evening before, and ozone is highest in the afternoon.
_EIGHT_HOURS_NEEDED = 6
#: Hours of the day on which clocks are put back.
_LONGEST_DAY = 25


def dried(values: Floats, rh: Floats) -> Floats:
    """Return what an optical sensor would have read of the same particles, had they been dry.

    Args:
        values: PM2.5, any unit.
        rh: Relative humidity, %; where there is none or an impossible one (above 110), the value stays as it is.

    Returns:
        The values divided by 1 + (κ / 1.65) / (100 / rh − 1).
    """
    told = (rh > 0) & (rh <= SATURATED)
    activity = np.where(told, np.minimum(rh, _HIGHEST_RH), 1.0) / 100
    growth = 1 + (_KAPPA / _DENSITY) * activity / (1 - activity)
    return np.where(told, values / growth, values)


def daily_means(
    hourly: pd.DataFrame, days: Sequence[date], zones: Mapping[str, str], valid_share: float = 0.75
) -> pd.DataFrame:
    """Compute the daily mean of each pollutant at each station, as reported and as far as it can be vouched for.

    The mean is the plain one over all values as they were reported, whatever their flags and calibrations: the sum
    divided by the hours present (40 CFR 50 App. N 3.0(c)). The checked mean is that of the values that count, as an
    operator calibrated them. It needs `valid_share` of the day's hours (18 of 24, ibid.; Directive 2008/50/EC Annex XI
    asks for 75 % as well).

    Args:
        hourly: Rows of the UTC days that cover `days` in each station's zone; columns station, observed_at (UTC),
            status, final, rh with its flag, and each averaged pollutant with its ``<pollutant>_flag`` and
            ``<pollutant>_tests``; ``<pollutant>_raw``, where there is one, is what was reported before a calibration.
        days: The days, sorted.
        zones: Time zone of each station; UTC where not named.
        valid_share: Share of the day's hours that must be there.

    Returns:
        One row for each day and station with at least one reading on it, sorted by day and station:

        - ``<pollutant>_mean``, ``<pollutant>_hours``: mean of all values, NaN where there is none, and their number;
        - ``<pollutant>_checked_mean``, ``<pollutant>_checked_hours``: the same of the values that count;
        - ``<pollutant>_left_out``: what does not count and why, such as ``2 h spike, 1 h out_of_range``;
        - ``<pollutant>_quality``, worst first: ``insufficient`` where too few hours count, ``suspect`` where half or
          more of those stand at the sensor's floor or far from the level of the days before, ``checked`` where
          something was left out, ``ok``;
        - ``<pollutant>_above_who``: checked mean (or highest 8-hour mean) above the WHO's guideline; None where the
          mean is insufficient or suspect;
        - ``<pollutant>_floor_hours``, of readings with a floor: hours that count at it;
        - ``<pollutant>_humid_hours``, of sensors that read high in humid air: hours that count in it;
        - ``<pollutant>_8h_max``, of readings with 8-hour means: the highest of the values that count, NaN without one;
        - ``pm2_5_dry_mean``, ``pm2_5_dry_above_who``: the checked mean of the values as `dried` gives them; NaN and
          None where too few of the hours that count have a humidity;
        - ``hours``, ``absent_hours``, ``failed_hours``: hours with a row, without one, and not known because the
          request failed; ``expected_hours`` of the day; ``completeness`` = hours / expected_hours; ``valid``;
        - ``provisional``: some hour of the day may still change or come.
    """
    stations = sorted(hourly["station"].unique())
    place, hour, expected, begun = _lay_out(hourly, days, [zones.get(station, "UTC") for station in stations], stations)
    rows, totals = hourly[place >= 0], _Totals(place[place >= 0], hour[place >= 0], expected)
    needed = np.ceil(valid_share * expected)
    status = _Coded(rows["status"], totals)
    hours = status.number("ok".__eq__)
    table: dict[str, object] = {
        "station": stations * len(days),
        "day": np.repeat(np.array(days, dtype=object), len(stations)),
    }
    for pollutant in POLLUTANTS:
        table |= _of_pollutant(reading(pollutant), rows, totals, needed)
    table |= {
        "hours": hours,
        "absent_hours": status.number("absent".__eq__),
        "failed_hours": status.number("failed".__eq__),
        "expected_hours": expected,
        "completeness": hours / expected,
        "valid": hours >= needed,
        "provisional": (totals.number(~rows["final"].to_numpy(dtype=bool)) > 0) | (begun < expected),
    }
    return pd.DataFrame(table)[hours > 0].reset_index(drop=True)


class _Totals:
    """Sums, numbers and means of rows by their place among days × stations; `hour` is each row's within its day.

    A place's day has `expected` hours.
    """

    def __init__(
        self, place: npt.NDArray[np.intp], hour: npt.NDArray[np.intp], expected: npt.NDArray[np.int64]
    ) -> None:
        self.place, self.hour, self.expected, self.places = place, hour, expected, len(expected)

    def number(self, which: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        return np.bincount(self.place[which], minlength=self.places)

    def mean(self, values: Floats, which: npt.NDArray[np.bool_]) -> Floats:
        sums = np.bincount(self.place[which], weights=values[which], minlength=self.places)
        with np.errstate(invalid="ignore"):
            return np.asarray(sums / self.number(which), dtype=float)

    def highest_of_eight_hours(self, values: Floats, which: npt.NDArray[np.bool_]) -> Floats:
        """Return the highest mean of 8 hours on end that lie in the day, with 6 values or more; NaN without one."""
        hours = np.full((self.places, _LONGEST_DAY), np.nan)
        hours[self.place[which], self.hour[which]] = values[which]
        spans = np.lib.stride_tricks.sliding_window_view(hours, 8, axis=1)
        count = (~np.isnan(spans)).sum(axis=2)
        means = np.nansum(spans, axis=2) / np.maximum(count, 1)
        within = np.arange(8, _LONGEST_DAY + 1) <= self.expected[:, None]
        highest = np.where(within & (count >= _EIGHT_HOURS_NEEDED), means, -np.inf).max(axis=1)
        return np.where(np.isinf(highest), np.nan, highest)


def _of_pollutant(of: Reading, rows: pd.DataFrame, totals: _Totals, needed: Floats) -> dict[str, object]:
    values = rows[of.name].to_numpy(dtype=float, na_value=np.nan)
    reported = _reported(of.name, rows, values)
    flags = _Coded(rows[f"{of.name}_flag"], totals)
    counting, count = flags.which(COUNTED.__contains__), flags.number(COUNTED.__contains__)
    tests = _Coded(rows[f"{of.name}_tests"], totals, counting)
    checked = totals.mean(values, counting)
    told = {test: tests.number(partial(_is_suspect, test)) for test in _TOLD}
    left_out = _left_out(flags, totals.places)
    suspect = (2 * np.maximum.reduce([told[test] for test in _OF_THE_DAY]) >= count) & (count > 0)
    quality = np.select([count < needed, suspect, left_out != ""], QUALITIES[:-1], QUALITIES[-1])
    vouched = np.isin(quality, VOUCHED)
    level, known = checked, vouched
    table: dict[str, object] = {}
    if of.eight_hours:
        level = totals.highest_of_eight_hours(values, counting)
        known = vouched & ~np.isnan(level)
        table[f"{of.name}_8h_max"] = level
    table = {
        f"{of.name}_mean": totals.mean(reported, ~np.isnan(reported)),
        f"{of.name}_hours": totals.number(~np.isnan(values)),
        f"{of.name}_checked_mean": checked,
        f"{of.name}_checked_hours": count,
        f"{of.name}_left_out": left_out,
        f"{of.name}_quality": quality,
        f"{of.name}_above_who": _above(of, level, known),
    } | table
    if of.floor is not None:
        table[f"{of.name}_floor_hours"] = told["floor"]
    if of.humid:
        table[f"{of.name}_humid_hours"] = told["humid"]
    if of.name == "pm2_5":
        rh = _humidity(rows)
        known_rh = totals.number(counting & ~np.isnan(rh)) * totals.expected >= needed * count
        dry = np.where(known_rh, totals.mean(dried(values, rh), counting), np.nan)
        table |= {"pm2_5_dry_mean": dry, "pm2_5_dry_above_who": _above(of, dry, vouched & known_rh)}
    return table


def _reported(name: str, rows: pd.DataFrame, values: Floats) -> Floats:
    """Return the values as the station reported them: where one was calibrated, what it was before."""
    if f"{name}_raw" not in rows:
        return values
    raw = rows[f"{name}_raw"].to_numpy(dtype=float, na_value=np.nan)
    return np.where(np.isnan(raw), values, raw)


def _humidity(rows: pd.DataFrame) -> Floats:
    """Return the relative humidity, %; NaN where its value does not count, unless it says that the air is saturated."""
    rh = rows["rh"].to_numpy(dtype=float, na_value=np.nan)
    of_fog = rows["rh_flag"].isin(("stuck", "out_of_range")).to_numpy()
    saturated = (rh >= _HIGHEST_RH) & (rh <= SATURATED) & of_fog
    return np.where(rows["rh_flag"].isin(COUNTED).to_numpy() | saturated, rh, np.nan)


def _above(of: Reading, level: Floats, known: npt.NDArray[np.bool_]) -> list[bool | None]:
    limit = of.guideline or np.inf
    return [bool(mean > limit) if of.guideline and sure else None for mean, sure in zip(level, known, strict=True)]


class _Coded:
    """A column of few different texts, each of which is looked at once; `among` are the rows that are counted."""

    def __init__(self, column: "pd.Series[str]", totals: _Totals, among: npt.NDArray[np.bool_] | None = None) -> None:
        self._codes, self._texts = pd.factorize(column)  # -1 where there is none
        self._totals, self._among = totals, slice(None) if among is None else among

    def which(self, fits: Callable[[str], bool]) -> npt.NDArray[np.bool_]:
        """Tell of which rows the text fits; where there is none, no."""
        return np.asarray(self._fitting(fits)[self._codes])

    def number(self, fits: Callable[[str], bool]) -> npt.NDArray[np.int64]:
        """Return how many rows of each place have a text that fits."""
        return np.asarray(self._by_place[self._fitting(fits)].sum(axis=0), dtype=np.int64)

    def _fitting(self, fits: Callable[[str], bool]) -> npt.NDArray[np.bool_]:
        return np.array([*map(fits, self._texts), False], dtype=bool)

    @cached_property
    def _by_place(self) -> npt.NDArray[np.int64]:
        """(texts + 1, places) Rows with each text."""
        codes, places = self._codes[self._among], self._totals.places
        codes = np.where(codes < 0, len(self._texts), codes)
        at = codes * places + self._totals.place[self._among]
        size = len(self._texts) + 1, places
        return np.bincount(at, minlength=math.prod(size)).reshape(size)


def _is_suspect(test: str, codes: str) -> bool:
    place = TESTS.index(test)
    return codes[place : place + 1] == f"{SUSPECT}"


def _left_out(flags: _Coded, places: int) -> npt.NDArray[np.object_]:
    """Say of each place how many hours do not count, and why, the worst first."""
    told = np.full(places, "", dtype=object)
    for name in reversed([name for name in FLAGS if name not in COUNTED and name != "absent"]):
        for place in np.flatnonzero(number := flags.number(name.__eq__)):
            told[place] += f"{', ' if told[place] else ''}{number[place]} h {name}"
    return told


def _lay_out(
    hourly: pd.DataFrame, days: Sequence[date], zones: list[str], stations: list[str]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Find each row's place among days × stations.

    Returns:
        Each row's place (-1 outside the days) and its hour of the local day, from 0; of each place the hours of the
        local day, and how many of those have a row for some station: those that have come.
    """
    at = pd.DatetimeIndex(hourly["observed_at"])
    station = np.asarray(pd.Categorical(hourly["station"], categories=stations).codes, dtype=np.intp)
    place, hour = np.full(len(hourly), -1, dtype=np.intp), np.zeros(len(hourly), dtype=np.intp)
    expected = np.zeros((len(days), len(stations)), dtype=np.int64)
    begun = expected.copy()
    for zone in sorted({*zones}):
        here = np.array([of == zone for of in zones])
        local = [local_day(day, zone) for day in days]
        starts, stops = (pd.DatetimeIndex(ends) for ends in zip(*((day.start, day.stop) for day in local), strict=True))

        def day_of(moments: pd.DatetimeIndex, starts: Any = starts, stops: Any = stops) -> npt.NDArray[np.intp]:
            index = starts.searchsorted(moments, side="right") - 1
            return np.where((index >= 0) & (moments < stops[index]), index, -1)

        day = day_of(at)
        own = here[station] & (day >= 0)
        place = np.where(own, day * len(stations) + station, place)
        hour = np.where(own, (at - starts[day]) // pd.Timedelta(hours=1), hour).astype(np.intp)
        seen = day_of(at.unique())
        expected[:, here] = np.array([day.hours for day in local])[:, None]
        begun[:, here] = np.bincount(seen[seen >= 0], minlength=len(days))[:, None]
    return place, hour, expected.ravel(), begun.ravel()
