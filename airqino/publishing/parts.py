"""The drawn parts of a page, as numbers: bars of 48 hours, the year's strip, the months of a calendar."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import NamedTuple

from airqino.publishing.days import SHOWN, day_level
from airqino.publishing.facts import Day, Snapshot, StationFacts, Year
from airqino.publishing.words import Words
from airqino.times import HOUR, local_date

__all__ = [
    "ANNUAL", "LIMIT", "Bar", "Cell", "Chart", "Month", "Tick", "Week", "band_edges", "cell", "chart", "levels_of",
    "months", "range_of", "ruler", "ruler_top", "span", "strip", "today", "told_today", "top_of", "whole", "whole_mean",
]  # fmt: skip

#: The guidelines as they are written: of a day, and of a year.
LIMIT, ANNUAL = round(SHOWN.guideline or 0), round(SHOWN.annual_guideline or 0)
#: The ruler of the years' means ends at so many times the annual guideline, or further.
_RULER = 4

#: Levels in the order that a strip shows them: what is not measured last.
_ORDER = (1, 2, 3, 4, 5, 6, 0)
#: Ticks of the bars' scale: those of low values, and those of high ones.
_LOW_TICKS, _HIGH_TICKS = (5, 30, 50), (50, 90, 140, 300, 500, 1000)
_LOW_TOP = 60
#: Ticks nearer than this, in percent of the height, would cover each other.
_TICK_GAP = 7.0
#: Gaps of fewer hours are too narrow for words.
_NAMED_GAP = 9
#: A forecast's bar is never lower than this, in percent: it would not be seen.
_LEAST = 1


@dataclass(frozen=True)
class Bar:
    """One hour: ``bar``, ``gap`` (not measured), ``ahead`` (forecast) or ``blank`` (not forecast).

    Heights are in percent: of the bar, and of its band's lower end and span.
    """

    kind: str
    level: int = 0
    height: int = 0
    low: int = 0
    span: int = 0


@dataclass(frozen=True)
class Tick:
    """A line of the scale: its value and height in percent; whether it is the guideline."""

    value: int
    bottom: float
    guideline: bool


@dataclass(frozen=True)
class Chart:
    """The bars of a station; places are in percent from the left.

    Attributes:
        bars: The last 48 hours, then those to come as far as they are forecast.
        ticks: Lines of the scale.
        gaps: Place and width of long gaps.
        now: Place of the line between what was measured and what is forecast.
        axis: (place, what, clock, day): ``d`` at midnight, with the day; ``o`` where a narrow screen leaves it out; "".
    """

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    gaps: tuple[tuple[float, float], ...]
    now: float
    axis: tuple[tuple[float, str, str, str], ...]


class Cell(NamedTuple):
    """A day of a calendar: its class in the style sheet, "" of another month's, its text, and whether that is long."""

    kind: str
    text: str
    long: bool


class Week(NamedTuple):
    """A row of a calendar: the day of the month that it begins with, and seven cells."""

    first: int
    cells: list[Cell]


class Month(NamedTuple):
    """A month of a calendar: its first day, and its weeks."""

    first: date
    weeks: list[Week]


_NO_CELL = Cell("", "", False)
#: What stands in the cell of a day that is not measured.
_MARKS = {"incomplete": "–", "doubtful": "?", "none": ""}


def band_edges(level: int) -> tuple[int, int | None]:
    """Return the whole numbers that a level's band goes from and to; None where it is open."""
    bands = [int(edge) for edge in SHOWN.index_bands]
    low = bands[level - 2] + 1 if level > 1 else 0
    return low, bands[level - 1] if level <= len(bands) else None


def top_of(stations: Sequence[StationFacts]) -> float:
    """Return the highest value that the bars of some stations share, in µg/m³."""
    values = [
        hour.value for of in stations for hour in of.recent if hour.state == "measured" and hour.value is not None
    ]
    values += [ahead.high for of in stations for ahead in of.ahead]
    return math.ceil(max([*values, LIMIT]) / 5) * 5 + 1


def levels_of(stations: Sequence[StationFacts]) -> list[int]:
    """Return the levels that the bars of some stations show."""
    measured = {hour.level for of in stations for hour in of.recent if hour.level}
    return sorted(measured | {ahead.level for of in stations for ahead in of.ahead})


def chart(of: StationFacts, top: float, words: Words) -> Chart:
    """Return the bars of a station, under a common highest value."""

    def percent(value: float) -> int:
        return max(_LEAST, round(value / top * 100))

    bars = [
        Bar("bar", hour.level or 0, percent(hour.value or 0.0)) if hour.state == "measured" else Bar("gap")
        for hour in of.recent
    ]
    last = of.recent[-1].at
    ahead = {forecast.at: forecast for forecast in of.ahead}
    slots = max((round((at - last) / HOUR) for at in ahead), default=0)
    for slot in range(1, slots + 1):
        if (known := ahead.get(last + slot * HOUR)) is None:
            bars.append(Bar("blank"))
            continue
        low, high = percent(known.low), percent(known.high)
        bars.append(Bar("ahead", known.level, percent(known.mid), low, high - low))
    count = len(bars)
    return Chart(tuple(bars), _ticks(top), _gaps(bars), len(of.recent) / count * 100, _axis(of, count, words))


def _ticks(top: float) -> tuple[Tick, ...]:
    found = [Tick(LIMIT, LIMIT / top * 100, True)]
    for value in (0, *(_LOW_TICKS if top < _LOW_TOP else _HIGH_TICKS)):
        bottom = value / top * 100
        if value < top and all(abs(bottom - tick.bottom) >= _TICK_GAP for tick in found):
            found.append(Tick(value, bottom, False))
    return tuple(found)


def _gaps(bars: Sequence[Bar]) -> tuple[tuple[float, float], ...]:
    found, position = [], 0
    for kind, run in groupby(bars, key=lambda bar: bar.kind):
        length = len(list(run))
        if kind == "gap" and length >= _NAMED_GAP:
            found.append((position / len(bars) * 100, length / len(bars) * 100))
        position += length
    return tuple(found)


def _axis(of: StationFacts, count: int, words: Words) -> tuple[tuple[float, str, str, str], ...]:
    marks = []
    for slot in range(1, count - 1):
        at = of.recent[0].at + slot * HOUR
        local = at.astimezone(words.zone)
        if local.hour % 6:
            continue
        day = f"{words.days[local.weekday()]} {local.day}" if local.hour == 0 and slot < count - 6 else ""
        what = "d" if local.hour == 0 else "" if local.hour == 12 else "o"
        marks.append((slot / count * 100, what, words.clock(at), day))
    return tuple(marks)


def strip(year: Year) -> list[tuple[int, int]]:
    """Return (level, days) of the levels that the year has, those not measured last as level 0."""
    return [(level, year.levels[level]) for level in _ORDER if year.levels[level]]


def months(year: Year) -> list[Month]:
    """Return the calendar's months, weeks from Monday to Sunday; weeks without a day of the year are left out."""
    found = []
    for (of_year, of_month), days in groupby(year.days, key=lambda day: (day.day.year, day.day.month)):
        weeks: list[Week] = []
        for day in days:
            weekday = day.day.weekday()
            if not weeks or not weekday:
                weeks.append(Week(max(1, day.day.day - weekday), [_NO_CELL] * 7))
            weeks[-1].cells[weekday] = cell(day)
        found.append(Month(date(of_year, of_month, 1), weeks))
    return found


def cell(day: Day) -> Cell:
    """Return how a day stands in a calendar: the class of its level and its mean, or hatched and why."""
    if day.mean is None:
        return Cell("x", _MARKS[day.state], False)
    text = whole_mean(day.mean)
    return Cell(f"l{day.level}", text, text[0] == ">")


def whole_mean(mean: float) -> str:
    """Write a daily mean as a whole number that never seems to lie in another level: 15.2 is ``>15``."""
    whole = math.floor(mean + 0.5)
    return f"{whole}" if day_level(whole) == day_level(mean) else f">{math.floor(mean)}"


def range_of(of: StationFacts) -> tuple[float, float, int] | None:
    """Return the lowest and the highest of the last 48 hours, and how many are measured."""
    values = [hour.value for hour in of.recent if hour.state == "measured" and hour.value is not None]
    return (min(values), max(values), len(values)) if values else None


def ruler_top(stations: Sequence[StationFacts]) -> float:
    """Return where the ruler of the years' means ends, in µg/m³."""
    return max([_RULER * ANNUAL, *(math.ceil(of.year.mean / ANNUAL) * ANNUAL for of in stations if of.year.mean)])


def ruler(value: float, top: float) -> int:
    """Return a place on the ruler, in percent."""
    return round(value / top * 100)


def span(stations: Sequence[StationFacts]) -> tuple[date, date] | None:
    """Return the first and the last day of some stations' years."""
    days = [day.day for of in stations for day in of.year.days]
    return (min(days), max(days)) if days else None


def whole(stations: Sequence[StationFacts]) -> bool:
    """Tell whether a station has a whole year."""
    return any(of.year.whole for of in stations)


def today(of: StationFacts, snapshot: Snapshot) -> date:
    """Return the station's day under way."""
    return local_date(snapshot.end, of.station.time_zone)


def told_today(of: StationFacts, snapshot: Snapshot) -> bool:
    """Tell whether there is a chance for today."""
    return any(chance.day == today(of, snapshot) for chance in of.chances)
