"""The figures of a month's report as numbers: daily means as columns, hours as parts of a bar; and amounts in words."""

import math
from dataclasses import dataclass

from airqino.publishing import parts
from airqino.publishing.days import SHOWN
from airqino.publishing.month_facts import COUNTS, FLOOR, LEFT_OUT, MISSING, Month, Pollution, StationMonth
from airqino.publishing.words import Words
from airqino.readings import reading
from airqino.times import last_day

__all__ = [
    "PARTS", "Column", "Figure", "Line", "Segment", "amount", "charts", "figure", "hours_of", "segments", "short",
]  # fmt: skip

#: The parts of a bar of hours, in its order.
PARTS = (COUNTS, FLOOR, LEFT_OUT, *MISSING)
#: Width of a segment, in percent, from which its number of hours has room in it.
_ROOM = 4.5
#: A chart's highest value is at least so many times the highest mean, so that the number above it has room.
_HEADROOM = 1.15
#: Lines of a scale nearer than this, in percent of the height, would cover each other.
_LINE_GAP = 9
#: Highest value of a chart of CO, in mg/m³, at least.
_LEAST_TOP = 0.1


@dataclass(frozen=True)
class Column:
    """A day of a chart, in percent of its width and height.

    Attributes:
        number: Day of the month.
        left: Where it begins.
        height: Of its bar; None of a day without a mean, which is hatched.
        kind: Class of its level; "" where the pollutant has no levels.
        text: The mean, or why there is none (as in a calendar).
    """

    number: int
    left: float
    height: float | None
    kind: str
    text: str


@dataclass(frozen=True)
class Line:
    """A line of the scale: what it says, its height in percent, and whether it is the guideline."""

    text: str
    height: float
    guideline: bool


@dataclass(frozen=True)
class Figure:
    """Daily means of a pollutant at a station: a column for each day of the month, each `width` percent wide."""

    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    width: float


@dataclass(frozen=True)
class Segment:
    """A part of a bar of hours, in percent: what they are, where it begins, its width; and its number where it fits."""

    kind: str
    left: float
    width: float
    hours: int
    text: str


def amount(value: float, name: str, words: Words) -> str:
    """Write an amount of a reading with its unit; of one that rounds to nothing, that it is less than the smallest."""
    of = reading(name)
    least = 10.0**-of.digits
    number = words.number(value, of.digits)
    if of.floor is not None and value < least / 2:
        number = words.say("report_less", value=words.number(least, of.digits))
    return f"{number}\u00a0{of.unit}"


def short(value: float, name: str, words: Words) -> str:
    """Write an amount without its unit; never as nothing."""
    digits = reading(name).digits
    return words.number(value, digits) if value >= 10.0**-digits / 2 else f"<{words.number(10.0**-digits, digits)}"


def figure(pollution: Pollution, top: float, days: int, words: Words) -> Figure:
    """Return the chart of a station's days.

    Args:
        pollution: Its pollutant.
        top: The value at the chart's upper end, in the pollutant's unit.
        days: Days of the month: those that are not told are left blank.
        words: The words.
    """
    name, width = pollution.name, 100 / days
    columns = []
    for day in pollution.days:
        shown = parts.cell(day)
        text, kind = shown.text, shown.kind
        if day.mean is not None and name != SHOWN.name:
            text, kind = short(day.mean, name, words), ""
        height = None if day.mean is None else day.mean / top * 100
        columns.append(Column(day.day.day, (day.day.day - 1) * width, height, kind, text))
    guideline = reading(name).guideline or math.inf
    step = _step(top)
    lines = [Line(f"{words.number(guideline, 0)}", guideline / top * 100, True)] if guideline <= top else []
    for count in range(int(top / step) + 1):
        value = count * step
        if all(abs(value / top * 100 - line.height) > _LINE_GAP for line in lines):
            digits = max(0, -math.floor(math.log10(step))) if value else 0
            lines.append(Line(words.number(value, digits), value / top * 100, False))
    return Figure(tuple(columns), tuple(lines), width)


def _step(top: float) -> float:
    """Return what the lines of a scale are apart: 1, 2 or 5 times a power of ten, three to six lines."""
    power = 10.0 ** math.floor(math.log10(top))
    return next(power * of for of in (0.1, 0.2, 0.5, 1.0, 2.0) if top / (power * of) <= 5)


def charts(month: Month, name: str, words: Words) -> list[tuple[StationMonth, Figure | None]]:
    """Return each station's chart of a pollutant, all under one scale; None of a station without a valid day."""
    means = [day.mean for of in month.stations for day in of.pollutants[name].days if day.mean is not None]
    if not means:
        return [(of, None) for of in month.stations]
    top = max(max(means) * _HEADROOM, parts.LIMIT * _HEADROOM if name == SHOWN.name else _LEAST_TOP)
    days = last_day(month.first).day
    return [
        (of, figure(of.pollutants[name], top, days, words) if of.pollutants[name].valid else None)
        for of in month.stations
    ]


def hours_of(of: Pollution, kind: str) -> int:
    """Return the hours of a part of a bar; those left out are one part, whatever the flag."""
    return sum(of.left_out.values()) if kind == LEFT_OUT else of.hours.get(kind, 0)


def segments(of: Pollution) -> list[Segment]:
    """Return the bar of a pollutant's hours: those that count, then why the others do not; together 100 %."""
    found, left = [], 0.0
    for kind in PARTS:
        if hours := hours_of(of, kind):
            width = hours / of.total * 100
            found.append(Segment(kind, left, width, hours, f"{hours}" if width >= _ROOM else ""))
            left += width
    return found
