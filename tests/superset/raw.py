"""The sandbox's answers in pandas, and what follows from them, without the pipeline's means, documents or views.

Only the flag of each value is the library's (`flag_history`, held against another implementation in its own tests).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import requests

from airqino.quality.flags import flag_history

#: A station of the tests' site that has been silent for some hours, in another zone: local time is UTC + 1.
FAR = "283200001"
FAR_SECTION = f"[stations.{FAR}]\nplace = Plateau\ntime_zone = Africa/Lagos\n\n"
STATIONS = ("283181971", "283164601", FAR)
ZONES = {station: ZoneInfo("Africa/Lagos" if station == FAR else "UTC") for station in STATIONS}
#: The station for which the tests' site shows a corrected PM2.5.
CORRECTED = "283181971"
KEYS = {
    "CO": "co",
    "NO2": "no2",
    "O3": "o3",
    "PM10": "pm10",
    "PM2.5": "pm2_5",
    "T": "t",
    "RH": "rh",
    "T. int.": "t_int",
}
LABELS = {"pm2_5": "PM2.5", "pm10": "PM10", "no2": "NO2", "o3": "O3", "co": "CO"}
UNITS = {name: "mg/m³" if name == "co" else "µg/m³" for name in LABELS}
#: Flags of values that count, and of those that do not, the worst first.
COUNTED = ("ok", "restored", "humid", "floor", "at_floor", "level")
LEFT_OUT = ("invalidated", "offset", "out_of_range", "unit", "dead", "stuck", "spike", "order")
#: European Air Quality Index, 2024.
BANDS = {"pm2_5": (5, 15, 50, 90, 140), "pm10": (15, 45, 120, 195, 270)}
BANDS |= {"no2": (10, 25, 60, 100, 150), "o3": (60, 100, 120, 160, 180)}
LEVELS = ("good", "fair", "moderate", "poor", "very poor", "extremely poor")
#: WHO, 2021: of a day, and of a year.
GUIDELINES = {"pm2_5": 15, "pm10": 45, "no2": 25, "o3": 100, "co": 4}
ANNUAL = {"pm2_5": 5, "pm10": 15, "no2": 10}
#: Tests in the order of their digits, and the codes that say that something was found.
TESTS = ("range", "stuck", "dead", "spike", "floor", "humid", "order", "level", "operator")
FAILED, DOUBTED = "4", "3"
#: What tests, and the flags of what is left out, are called.
TEST_TEXTS = {test: test for test in TESTS} | {
    **{"range": "out of range", "humid": "humid air", "order": "PM2.5 above PM10", "level": "far from the days before"}
}
FLAG_TEXTS = {flag: flag for flag in LEFT_OUT} | {
    **{"offset": "zero off", "out_of_range": "out of range", "unit": "another unit", "order": "PM2.5 above PM10"}
}


#: Of which station and reading, on which day after the first, an operator says that the values do not count or count
#: after all, and from which day on that they are slope times what was reported plus offset.
INVALIDATED, RESTORED, CALIBRATED = ("283164601", "co", 61), ("283164601", "pm2_5", 40), ("283181971", "no2", 55)
SLOPE, OFFSET = 1.25, -0.5


def notes_of(first: datetime) -> list[tuple[str, ...]]:
    """The arguments of `airqino note` that say so; beside them a comment, and a note that is taken back."""

    def day(after: int) -> str:
        return f"{first + timedelta(days=after):%Y-%m-%d}"

    calibration = "--slope", f"{SLOPE}", "--offset", f"{OFFSET}"
    mistake = f"{hour_before_last():%Y-%m-%d}-5"
    return [
        ("invalidate", *INVALIDATED[:2], day(INVALIDATED[2]), "--why", "a lorry stood beside it"),
        ("restore", *RESTORED[:2], day(RESTORED[2]), "--why", "the dust was there"),
        ("comment", RESTORED[0], "all", day(RESTORED[2]), "--why", "building site next door"),
        ("calibrate", *CALIBRATED[:2], f"{day(CALIBRATED[2])}..", *calibration, "--why", "co-located for a month"),
        ("invalidate", INVALIDATED[0], "all", f"{day(20)}..{day(50)}", "--why", "a mistake"),
        ("revoke", mistake, "--why", "it was another station"),
    ]


def hour_before_last() -> datetime:
    """A moment one hour ago: what the site is filled up to."""
    return datetime.now(UTC) - timedelta(hours=1)


@dataclass
class Data:
    """The answers of the API for the hours that the pipeline has been through, and MongoDB for all else."""

    db: Any
    api: str
    first: datetime

    @cached_property
    def names(self) -> dict[str, str]:
        """What the stations are called: the place, then the device."""
        known = {station["_id"]: station for station in self.db["stations"].find()}
        return {id: f"{of['place']} ({of['name']})" if of["place"] else of["name"] for id, of in known.items()}

    @cached_property
    def last(self) -> datetime:
        """The last hour that the pipeline has been through."""
        found = [load["through"] for load in self.db["loads"].find({"kind": "day"})]
        return max(hour for hour in found if hour)

    @property
    def hourly(self) -> pd.DataFrame:
        """Every reading with its flag, the station's local time, and the day of that and of UTC."""
        return self._hours[self._hours["observed_at"] >= self.first]

    @cached_property
    def _hours(self) -> pd.DataFrame:
        """The same with the day before, into which a station's first local day may reach."""
        rows = []
        for station in STATIONS:
            before = self.first - timedelta(days=1)
            span = {"start_date": f"{before:%Y%m%d-%H%M}", "end_date": f"{self.last:%Y%m%d-%H%M}"}
            answer = requests.get(f"{self.api}/v3/getStationHourlyAvg/{station}", params=span).json()
            rows += [{"station": station, **row} for row in answer["data"]]
        frame = pd.DataFrame(rows).rename(columns=KEYS)
        frame["observed_at"] = pd.to_datetime(frame.pop("timestamp"), utc=True)
        assert frame["observed_at"].max() <= self.last
        frame = flag_history(self._with_notes(frame))
        local = [at.tz_convert(ZONES[of]) for at, of in zip(frame["observed_at"], frame["station"], strict=True)]
        return frame.assign(
            station_name=frame["station"].map(self.names),
            utc_day=frame["observed_at"].dt.strftime("%Y-%m-%d"),
            day=[f"{at:%Y-%m-%d}" for at in local],
            hour=[at.hour for at in local],
            weekday=[at.day_of_week for at in local],
        )

    def _with_notes(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The readings as the operator has them, and that word as the tables say it: the last digit of the tests."""

        def about(station: str, after: int, until: int) -> "pd.Series[bool]":
            days = (frame["observed_at"] - self.first) // pd.Timedelta(days=1)
            return (frame["station"] == station) & (days >= after) & (days < until)

        for (station, name, day), digit in ((INVALIDATED, "4"), (RESTORED, "1")):
            frame[f"{name}_tests"] = np.where(about(station, day, day + 1), digit, "2")
        station, name, day = CALIBRATED
        calibrated = about(station, day, 1000)
        frame[f"{name}_raw"] = frame[name].where(calibrated)
        frame[name] = frame[name].where(~calibrated, SLOPE * frame[name] + OFFSET)
        return frame

    @cached_property
    def daily(self) -> pd.DataFrame:
        """A row for each station, local day and pollutant; see `_of_a_day`."""
        parts = []
        local = self._hours[self._hours["day"] >= f"{self.first:%Y-%m-%d}"]
        for (station, day), hours in local.groupby(["station", "day"]):
            of = {"station": station, "station_name": self.names[str(station)], "day": day}
            parts += [of | _of_a_day(name, hours) for name in LABELS]
        frame = pd.DataFrame(parts)
        # whether an hour may still change is the pipeline's own bookkeeping
        books = {(d["station"], d["day"]): d["provisional"] for d in self.db["daily_averages"].find()}
        assert set(books) == set(zip(frame["station"], frame["day"], strict=True))
        frame["provisional"] = [books[key] for key in zip(frame["station"], frame["day"], strict=True)]
        return frame

    def days(self, pollutant: str) -> pd.DataFrame:
        """The days of one pollutant."""
        return self.daily[self.daily["pollutant"] == pollutant].copy()


def _highest_of_eight_hours(o3: "pd.Series[float]") -> float:
    """The highest mean of 8 hours on end within the day that have 6 values or more; of the values that count."""
    every_hour = o3.reindex(range(24))
    spans = (every_hour[first : first + 8].dropna() for first in range(24 - 8 + 1))
    return max((span.mean() for span in spans if len(span) >= 6), default=np.nan)


def _of_a_day(name: str, hours: pd.DataFrame) -> Mapping[str, Any]:
    """The mean of all values and of those that count, how that is called, and what it rests on."""
    values, flags = hours[name], hours[f"{name}_flag"]
    if f"{name}_raw" in hours:
        values = hours[f"{name}_raw"].fillna(values)
    values = values.dropna()
    counted = hours[flags.isin(COUNTED)]
    checked, n = counted[name], len(counted)
    floor = int((checked == 0).sum()) if name == "co" else 0
    left_out = ", ".join(f"{count} h {flag}" for flag in LEFT_OUT if (count := int((flags == flag).sum())))
    doubted = max(
        floor, int((counted[f"{name}_flag"] == "at_floor").sum()), int((counted[f"{name}_flag"] == "level").sum())
    )
    quality = "insufficient" if n < 18 else "suspect" if 2 * doubted >= n else "checked" if left_out else "ok"
    mean = checked.mean() if n else np.nan
    level = _highest_of_eight_hours(counted.set_index("hour")["o3"]) if name == "o3" else mean
    valid = quality in ("ok", "checked") and not np.isnan(level)
    fog = counted["rh_flag"].isin(["stuck", "out_of_range"]) & counted["rh"].between(99, 110)
    rh = counted["rh"].where(counted["rh_flag"].isin(COUNTED) | fog)
    humid = counted["rh"].between(70, 110) & (counted["rh_flag"] != "dead")
    growth = 1 + 0.4 / 1.65 / (100 / rh.clip(upper=99) - 1)
    dry = (checked / growth.fillna(1)).mean() if n and rh.notna().sum() >= 0.75 * n else np.nan
    return {
        **{"pollutant": name, "mean": values.mean() if len(values) else np.nan, "checked_mean": mean, "hours": n},
        **{"floor_hours": floor, "left_out": left_out, "quality": quality, "level": level, "valid": valid},
        "humid_hours": int(humid.sum()) if name.startswith("pm") else 0,
        "over": valid and level > GUIDELINES[name],
        "dry_mean": dry if name == "pm2_5" else np.nan,
        "dry_over": valid and name == "pm2_5" and dry > GUIDELINES[name],
    }


def index_level(pollutant: str, row: Mapping[str, Any]) -> int | None:
    """The level of an hour's value, from 1; none where it does not count or is far from the days before."""
    if row[f"{pollutant}_flag"] not in COUNTED or row[f"{pollutant}_flag"] == "level":
        return None
    return 1 + sum(np.floor(row[pollutant] + 0.5) > upper for upper in BANDS[pollutant])
