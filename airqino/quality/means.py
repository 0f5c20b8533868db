"""Daily means of each station, and how far to trust them."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from airqino.readings import POLLUTANTS, reading
from airqino.times import local_day

__all__ = ["daily_means"]


def daily_means(
    hourly: pd.DataFrame, days: Sequence[date], zones: Mapping[str, str], valid_share: float = 0.75
) -> pd.DataFrame:
    """Compute the daily mean of each pollutant at each station.

    The mean is the plain one over all reported values, whatever their flags: the sum divided by the hours present
    (40 CFR 50 App. N 3.0(c)). The day counts as ``valid`` with at least `valid_share` of its hours (18 of 24, ibid.;
    Directive 2008/50/EC Annex XI asks for 75 % as well).

    Args:
        hourly: Rows of the UTC days that cover `days` in each station's zone; columns station, observed_at (UTC),
            status, final, and each averaged pollutant with its ``<pollutant>_flag``.
        days: The days, sorted.
        zones: Time zone of each station; UTC where not named.
        valid_share: Share of the day's hours that must be there.

    Returns:
        One row for each day and station with at least one reading on it, sorted by day and station:

        - ``<pollutant>_mean``: mean, NaN where the sensor gave no value;
        - ``<pollutant>_hours``: hours with a value; ``<pollutant>_ok_hours``: with a value flagged ok;
        - ``<pollutant>_quality``: ``insufficient`` with too few hours, ``suspect`` where too few are flagged ok,
          else ``ok``;
        - ``<pollutant>_above_who``: mean above the WHO's 24-hour guideline; None unless the quality is ok, or
          where there is no guideline;
        - ``hours``, ``absent_hours``, ``failed_hours``: hours with a row, without one, and not known because the
          request failed; ``expected_hours`` of the day; ``completeness`` = hours / expected_hours; ``valid``;
        - ``provisional``: some hour of the day may still change or come.
    """
    stations = sorted(hourly["station"].unique())
    shape = len(days), len(stations)
    place, expected, begun = _lay_out(hourly, days, [zones.get(station, "UTC") for station in stations], stations)
    rows, code = hourly[place >= 0], place[place >= 0]

    def total(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
        sums = np.bincount(code, weights=np.asarray(values, dtype=float), minlength=shape[0] * shape[1])
        return sums.astype(float)

    needed = np.ceil(valid_share * expected)
    status = rows["status"].to_numpy()
    hours = total(status == "ok")
    table: dict[str, object] = {
        "station": stations * len(days),
        "day": np.repeat(np.array(days, dtype=object), len(stations)),
    }
    for pollutant in POLLUTANTS:
        values = rows[pollutant].to_numpy(dtype=float, na_value=np.nan)
        count = total(~np.isnan(values))
        fine = total(rows[f"{pollutant}_flag"].to_numpy() == "ok")
        with np.errstate(invalid="ignore"):
            mean = total(np.nan_to_num(values)) / count
        quality = np.where(count < needed, "insufficient", np.where(fine < needed, "suspect", "ok"))
        guideline = reading(pollutant).guideline
        above = [
            bool(average > guideline) if guideline and grade == "ok" else None
            for average, grade in zip(mean, quality, strict=True)
        ]
        table |= {
            f"{pollutant}_mean": mean,
            f"{pollutant}_hours": count.astype(int),
            f"{pollutant}_ok_hours": fine.astype(int),
            f"{pollutant}_quality": quality,
            f"{pollutant}_above_who": above,
        }
    table |= {
        "hours": hours.astype(int),
        "absent_hours": total(status == "absent").astype(int),
        "failed_hours": total(status == "failed").astype(int),
        "expected_hours": expected,
        "completeness": hours / expected,
        "valid": hours >= needed,
        "provisional": (total(~rows["final"].to_numpy(dtype=bool)) > 0) | (begun < expected),
    }
    return pd.DataFrame(table)[hours > 0].reset_index(drop=True)


def _lay_out(
    hourly: pd.DataFrame, days: Sequence[date], zones: list[str], stations: list[str]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Find each row's place among days × stations.

    Returns:
        Each row's place (-1 outside the days); of each place the hours of the local day, and how many of those have a
        row for some station: those that have come.
    """
    at = pd.DatetimeIndex(hourly["observed_at"])
    station = np.asarray(pd.Categorical(hourly["station"], categories=stations).codes, dtype=np.intp)
    place = np.full(len(hourly), -1, dtype=np.intp)
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
        place = np.where(here[station] & (day >= 0), day * len(stations) + station, place)
        seen = day_of(at.unique())
        expected[:, here] = np.array([day.hours for day in local])[:, None]
        begun[:, here] = np.bincount(seen[seen >= 0], minlength=len(days))[:, None]
    return place, expected.ravel(), begun.ravel()
