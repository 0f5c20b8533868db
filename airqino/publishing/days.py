"""The days before today: which are measured, how many exceed the guideline, and how far to trust them."""

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd

from airqino.publishing.facts import Day, Pair, Score, Year
from airqino.publishing.stations import Station
from airqino.publishing.tables import YEAR_DAYS
from airqino.quality.means import QUALITIES
from airqino.readings import reading
from airqino.source.identity import Place, distance
from airqino.times import day_range

__all__ = ["SHOWN", "day_level", "humid_share", "missing_hours", "pairs", "scores_of", "year_of"]

#: The pollutant whose levels the page shows.
SHOWN = reading("pm2_5")
#: What a daily mean is called that can be vouched for.
_VOUCHED = QUALITIES[2:]
#: Share of a year's days that its mean needs to be compared with the annual guideline: the 75 % rule of the days
#: (40 CFR 50 App. N 3.0), taken over the year.
_WHOLE_SHARE = 0.75
#: Stations nearer than this breathe much the same air: a difference between them tells of the sensors.
_NEAR_METRES = 1000.0
#: Common days that a ratio of two stations needs.
_PAIR_DAYS = 30
_LEFT_OUT = re.compile(r"(\d+) h ")


def day_level(mean: float) -> int:
    """Return the level whose band a daily mean lies in, 1 to 6.

    The index is one of hours; its second band ends at the WHO's 24-hour guideline. The mean is not rounded, so that
    exactly the days above the guideline lie above that band.
    """
    return bisect_left(SHOWN.index_bands, mean) + 1


def year_of(rows: pd.DataFrame, today: date) -> Year:
    """Return a station's days before today, from the first that has a row, a year at most.

    Args:
        rows: ``daily.parquet`` of the station.
        today: Its local day under way.
    """
    first = today - timedelta(days=YEAR_DAYS)
    names = [f"{SHOWN.name}_{part}" for part in ("checked_mean", "quality", "above_who", "hours")]
    columns = [rows[name].tolist() for name in ("day", *names)] if len(rows) else []
    known = {row[0]: row[1:] for row in zip(*columns, strict=True) if first <= row[0] < today}
    days = tuple(_day(day, known.get(day)) for day in day_range(min(known), today - timedelta(days=1))) if known else ()
    means = [day.mean for day in days if day.mean is not None]
    over = sum(day.above is True for day in days)
    mean = float(np.mean(means)) if means else None
    return Year(days, len(means), over, mean, len(means) >= _WHOLE_SHARE * YEAR_DAYS)


def _day(day: date, row: Sequence[Any] | None) -> Day:
    if row is None or not row[3]:
        return Day(day, None, None, None, "none")
    mean, quality, above, _ = row
    if quality in _VOUCHED and not np.isnan(mean):
        return Day(day, float(mean), day_level(mean), None if above is None else bool(above), "measured")
    return Day(day, None, None, None, "doubtful" if quality == "suspect" else "incomplete")


def missing_hours(rows: pd.DataFrame, days: Sequence[Day]) -> dict[str, int]:
    """Return why hours of a station's days have no value that counts: ``absent``, ``failed`` or ``left_out``."""
    if not len(rows) or not days:
        return {"absent": 0, "failed": 0, "left_out": 0}
    rows = rows[rows["day"].between(days[0].day, days[-1].day)]
    left_out = sum(int(number) for text in rows[f"{SHOWN.name}_left_out"] for number in _LEFT_OUT.findall(text or ""))
    return {"absent": int(rows["absent_hours"].sum()), "failed": int(rows["failed_hours"].sum()), "left_out": left_out}


def humid_share(rows: pd.DataFrame) -> float | None:
    """Return the share of a station's hours that count which lay in humid air; None without any."""
    hours = int(rows[f"{SHOWN.name}_checked_hours"].sum()) if len(rows) else 0
    return int(rows[f"{SHOWN.name}_humid_hours"].sum()) / hours if hours else None


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
