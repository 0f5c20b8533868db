"""The days before today: which are measured, how many exceed the guideline, and how far to trust them."""

import math
import re
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import NamedTuple

import pandas as pd

from airqino.publishing.facts import Day, Pair, Score, Year
from airqino.publishing.stations import Station
from airqino.publishing.tables import YEAR_DAYS
from airqino.quality.means import VOUCHED, WHOLE_SHARE
from airqino.readings import reading
from airqino.source.identity import Place, distance
from airqino.times import day_range

__all__ = [
    "SHOWN", "DayRow", "co_floor_share", "day_level", "day_of", "humid_share", "missing_hours", "pairs",
    "scores_of", "year_of",
]  # fmt: skip

#: The pollutant whose levels the page shows.
SHOWN = reading("pm2_5")
#: Stations nearer than this breathe much the same air: a difference between them tells of the sensors.
_NEAR_METRES = 1000.0
#: Common days that a ratio of two stations needs.
_PAIR_DAYS = 30
#: Days over which it is told how often CO is at its floor.
_CO_DAYS = 30
_LEFT_OUT = re.compile(r"(\d+) h ")


def day_level(mean: float) -> int:
    """Return the level whose band a daily mean lies in, 1 to 6.

    The index is one of hours; its second band ends at the WHO's 24-hour guideline. The mean is not rounded, so that
    exactly the days above the guideline lie above that band.
    """
    return bisect_left(SHOWN.index_bands, mean) + 1


class DayRow(NamedTuple):
    """A row of ``daily.parquet`` of a station, of PM2.5 and CO."""

    day: date
    checked_mean: float
    quality: str
    above: bool | None
    hours: int
    checked_hours: int
    humid_hours: int
    left_out: str | None
    absent_hours: int
    failed_hours: int
    co_hours: int
    co_floor_hours: int


def year_of(rows: Sequence[DayRow], today: date) -> Year:
    """Return a station's days before today, from the first that has a row, a year at most.

    Args:
        rows: The station's days.
        today: Its local day under way.
    """
    first = today - timedelta(days=YEAR_DAYS)
    known = {row.day: row for row in rows if first <= row.day < today}
    days = tuple(_day(day, known.get(day)) for day in day_range(min(known), today - timedelta(days=1))) if known else ()
    means = [day.mean for day in days if day.mean is not None]
    over = sum(day.above is True for day in days)
    mean = sum(means) / len(means) if means else None
    return Year(days, len(means), over, mean, len(means) >= WHOLE_SHARE * YEAR_DAYS)


def _day(day: date, row: DayRow | None) -> Day:
    if row is None:
        return day_of(day, 0, math.nan, "insufficient", None)
    return day_of(day, row.hours, row.checked_mean, row.quality, row.above)


def day_of(
    day: date,
    hours: int,
    checked_mean: float,
    quality: str,
    above: bool | None,
    level: Callable[[float], int | None] = day_level,
) -> Day:
    """Return what is said of a day.

    Args:
        day: The day.
        hours: Hours with a value.
        checked_mean: Mean of those that count.
        quality: What it may be called (`airqino.quality.means.QUALITIES`).
        above: Whether it exceeds the guideline; None where that cannot be told.
        level: Gives the level of a mean; of a pollutant without levels, None.
    """
    if not hours:
        return Day(day, None, None, None, "none")
    if quality in VOUCHED and not math.isnan(checked_mean):
        return Day(day, checked_mean, level(checked_mean), None if above is None else bool(above), "measured")
    return Day(day, None, None, None, "doubtful" if quality == "suspect" else "incomplete")


def missing_hours(rows: Sequence[DayRow], days: Sequence[Day]) -> dict[str, int]:
    """Return why hours of a station's days have no value that counts: ``absent``, ``failed`` or ``left_out``."""
    told = [row for row in rows if days and days[0].day <= row.day <= days[-1].day]
    return {
        "absent": sum(row.absent_hours for row in told),
        "failed": sum(row.failed_hours for row in told),
        "left_out": sum(int(number) for row in told for number in _LEFT_OUT.findall(row.left_out or "")),
    }


def humid_share(rows: Sequence[DayRow]) -> float | None:
    """Return the share of a station's hours that count which lay in humid air; None without any."""
    hours = sum(row.checked_hours for row in rows)
    return sum(row.humid_hours for row in rows) / hours if hours else None


def co_floor_share(rows: Sequence[DayRow], today: date) -> float | None:
    """Return the share of the last 30 days' CO hours that the source wrote as its floor; None without any."""
    month = [row for row in rows if today - timedelta(days=_CO_DAYS) <= row.day < today]
    hours = sum(row.co_hours for row in month)
    return sum(row.co_floor_hours for row in month) / hours if hours else None


def scores_of(scores: pd.DataFrame) -> dict[str, Score]:
    """Return how good a day's forecasts of the next hour were, by station."""
    if not len(scores):
        return {}
    rows = scores[(scores["pollutant"] == SHOWN.name) & (scores["horizon_h"] == 1) & (scores["window_days"] == 1)]
    return {
        row["station"]: Score(
            date.fromisoformat(f"{row['day']}"), float(row["mae"]), round(row["coverage80"] * row["n"]), int(row["n"])
        )
        for row in rows.to_dict("records")
        if row["n"] > 0
    }


def pairs(stations: Sequence[Station], names: Mapping[str, str], years: Mapping[str, Year]) -> tuple[Pair, ...]:
    """Compare stations near each other over the days that both measured, the higher one first.

    Args:
        stations: The stations.
        names: What each is called in public.
        years: The days of each.
    """
    means = {id: {day.day: day.mean for day in year.days if day.mean is not None} for id, year in years.items()}
    found = []
    for position, one in enumerate(stations):
        for other in stations[position + 1 :]:
            places = (Place("", of.latitude, of.longitude) for of in (one, other))
            metres = distance(*places)
            common = sorted(means[one.id].keys() & means[other.id].keys())
            if metres is None or metres > _NEAR_METRES or len(common) < _PAIR_DAYS:
                continue
            high, low = sorted((one.id, other.id), key=lambda id: -sum(means[id][day] for day in common))
            ratio = sum(means[high][day] for day in common) / sum(means[low][day] for day in common)
            found.append(Pair(names[high], names[low], metres, ratio, len(common)))
    return tuple(found)
