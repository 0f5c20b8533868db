"""Staged tables as plain rows by station: with many stations, a data frame for each would take seconds."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from math import isnan
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from airqino.publishing.days import SHOWN, DayRow
from airqino.quality.flags import COUNTED, fault
from airqino.readings import NAMES, reading
from airqino.times import HOUR

__all__ = [
    "NOTHING",
    "Forecast",
    "Hours",
    "Told",
    "days_by_station",
    "faults",
    "forecasts_by_station",
    "hours_by_station",
    "missing",
]

#: A value and its flag.
Told = tuple[float, str]
#: Where there is no row: nobody has asked yet.
NOTHING: Told = (np.nan, "unasked")

_CO = reading("co")
_DAY_COLUMNS = (
    "day",
    *(f"{SHOWN.name}_{part}" for part in ("checked_mean", "quality", "above_who", "hours", "checked_hours")),
    *(f"{SHOWN.name}_{part}" for part in ("humid_hours", "left_out")),
    *("absent_hours", "failed_hours", "co_checked_hours", "co_floor_hours"),
)
_FORECAST_COLUMNS = (
    "target_at", "p10", "p50", "p90", "level", "level_probability", "day", "day_exceedance", "method", "reason",
)  # fmt: skip


@dataclass(frozen=True)
class Hours:
    """A station's hours up to one.

    Attributes:
        shown: Hour (UTC) → PM2.5.
        co: CO of the last hour.
        faults: Reading → why its sensor cannot be used, by the flags of the last 24 hours that the station sent.
    """

    shown: Mapping[datetime, Told] = field(default_factory=dict)
    co: Told = NOTHING
    faults: Mapping[str, str] = field(default_factory=dict)


class Forecast(NamedTuple):
    """A row of ``forecast/HH.parquet`` of PM2.5."""

    target_at: datetime
    p10: float
    p50: float
    p90: float
    level: Any
    level_probability: float
    day: Any
    day_exceedance: float
    method: str
    reason: str


def hours_by_station(hourly: pd.DataFrame, hour: datetime) -> dict[str, Hours]:
    """Return each station's hours up to an hour, from ``hourly.parquet``."""
    if not len(hourly):
        return {}
    columns = ["station", "observed_at", "status", SHOWN.name, "co", "co_raw", *(f"{name}_flag" for name in NAMES)]
    hourly = hourly.loc[hourly["observed_at"] <= pd.Timestamp(hour)].reindex(columns=columns)
    if not hourly["observed_at"].is_monotonic_increasing:
        hourly = hourly.sort_values("observed_at")
    at = _moments(hourly["observed_at"])
    station, values, flags = (
        hourly["station"].tolist(),
        _floats(hourly[SHOWN.name]),
        hourly[f"{SHOWN.name}_flag"].where(hourly["status"] != "failed", "unasked").tolist(),
    )
    shown: dict[str, dict[datetime, Told]] = defaultdict(dict)
    for id, moment, value, flag in zip(station, at, values, flags, strict=True):
        shown[id][moment] = (value, flag)
    newest = hourly[hourly["observed_at"] == pd.Timestamp(hour)]
    # what was reported at the floor is no measurement, whatever the operator makes of it
    reported = newest["co_raw"].astype(float).fillna(newest["co"].astype(float))
    bound = (reported == _CO.floor) & newest["co_flag"].isin({*COUNTED} - {"at_floor"})
    flag = newest["co_flag"].mask(bound, "floor")
    co = dict(zip(newest["station"], zip(_floats(newest["co"]), flag, strict=True), strict=True))
    faulty = faults(hourly)
    return {id: Hours(of, co.get(id, NOTHING), faulty.get(id, {})) for id, of in shown.items()}


def faults(hourly: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Return why sensors cannot be used, by station and reading: by the flags of the last 24 hours that a station sent.

    Args:
        hourly: ``hourly.parquet`` of some days, in time order: station, status and the readings' flags.
    """
    last = hourly[hourly["status"] == "ok"].groupby("station").tail(24)
    flags: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name in NAMES:
        for id, flag in zip(last["station"], last[f"{name}_flag"], strict=True):
            flags[id][name].append(flag)
    return {id: {name: why for name in NAMES if (why := fault(of[name]))} for id, of in flags.items()}


def days_by_station(daily: pd.DataFrame) -> dict[str, list[DayRow]]:
    """Return the rows of ``daily.parquet`` by station."""
    found: dict[str, list[DayRow]] = defaultdict(list)
    if len(daily):
        columns = [_whole(daily[name]) if name.endswith("_hours") else daily[name].tolist() for name in _DAY_COLUMNS]
        for id, *row in zip(daily["station"].tolist(), *columns, strict=True):
            found[id].append(DayRow(*row))
    return found


def _whole(numbers: pd.Series) -> list[int]:
    """Return whole numbers; 0 where a file of an older version has none."""
    return [int(number) for number in np.nan_to_num(numbers.to_numpy(dtype=float, na_value=np.nan))]


def forecasts_by_station(
    forecasts: pd.DataFrame, hour: datetime, likely: float
) -> tuple[dict[str, list[Forecast]], dict[tuple[str, date], datetime]]:
    """Return the forecasts of PM2.5 issued in an hour by station, nearest first; and when a bad day was first likely.

    Args:
        forecasts: ``forecast/HH.parquet`` of some hours.
        hour: The hour.
        likely: From this probability on a day is likely to exceed the guideline.

    Returns:
        The forecasts; (station, day) → the end of the first hour in which the day was likely to.
    """
    found: dict[str, list[Forecast]] = defaultdict(list)
    since: dict[tuple[str, date], datetime] = {}
    if not len(forecasts):
        return found, since
    known = forecasts[(forecasts["pollutant"] == SHOWN.name) & (forecasts["issued_at"] <= pd.Timestamp(hour))]
    known = known.reindex(columns=[*{*forecasts.columns, *_FORECAST_COLUMNS}]).sort_values(["issued_at", "horizon_h"])
    now = known[known["issued_at"] == pd.Timestamp(hour)]
    columns = [_moments(now[name]) if name == "target_at" else now[name].tolist() for name in _FORECAST_COLUMNS]
    for id, *row in zip(now["station"].tolist(), *columns, strict=True):
        found[id].append(Forecast(*row))
    bad = known[known["day_exceedance"].to_numpy(dtype=float, na_value=np.nan) >= likely]
    for id, day, issued in zip(bad["station"], bad["day"], _moments(bad["issued_at"]), strict=True):
        since.setdefault((id, date.fromisoformat(day)), issued + HOUR)
    return found, since


def _moments(column: pd.Series) -> list[datetime]:
    return list(pd.DatetimeIndex(column).to_pydatetime())


def _floats(column: pd.Series) -> list[float]:
    return column.to_numpy(dtype=float, na_value=np.nan).tolist()


def missing(of: Mapping[datetime, Told], first: datetime, last: datetime) -> Sequence[datetime]:
    """Return the hours from `first` to `last`, both included, without a value."""
    known = {at for at, (value, _) in of.items() if not isnan(value)}
    number = int((last - first) / HOUR) + 1
    return [at for at in (first + position * HOUR for position in range(number)) if at not in known]
