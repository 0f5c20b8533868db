"""What is to be said of a month, as plain values; how they are worded is the report's own. No words, no HTML.

Amounts are in the reading's unit (PM2.5 in µg/m³, CO in mg/m³). Days are the station's local ones; a month under way
has those that are over, and every number is of the same days.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property

from airqino.publishing.facts import Day
from airqino.publishing.stations import Station
from airqino.quality.notes import Note

__all__ = [
    "COUNTS",
    "FLOOR",
    "LEFT_OUT",
    "MISSING",
    "Fault",
    "Month",
    "MonthScore",
    "Pollution",
    "Revised",
    "StationMonth",
]

#: What an hour is: it counts; it counts, but stands at the sensor's floor; it failed a test; or why there is no value.
COUNTS, FLOOR, LEFT_OUT = "counts", "floor", "left_out"
#: Why there is no value: the station sent the hour without this reading; it sent no hour; the source gave no answer;
#: the hour was never asked for.
MISSING = ("no_value", "absent", "failed", "unknown")


@dataclass(frozen=True)
class Pollution:
    """One pollutant at one station.

    Attributes:
        name: The reading's name.
        days: Each day of the month that is over and in which the station was in service.
        hours: What the hours of these days are → their number: `COUNTS`, `FLOOR`, one of `MISSING`, or the flag for
            which a value was left out. Each hour is one of them.
        over_dry: Of PM2.5: days over the guideline if the particles were dry; None where no day tells.
        fault: Why its sensor cannot be used at the end of the month; "" where it can.
    """

    name: str
    days: tuple[Day, ...]
    hours: Mapping[str, int]
    over_dry: int | None = None
    fault: str = ""

    @cached_property
    def states(self) -> Mapping[str, int]:
        """State → number of days in it."""
        return Counter(day.state for day in self.days)

    @property
    def valid(self) -> int:
        """Days with a mean that can be vouched for."""
        return self.states["measured"]

    @property
    def over(self) -> int:
        """Valid days above the guideline."""
        return sum(day.above is True for day in self.days)

    @property
    def mean(self) -> float | None:
        """Mean of the valid days' means; None without one."""
        means = [day.mean for day in self.days if day.mean is not None]
        return sum(means) / len(means) if means else None

    @property
    def total(self) -> int:
        """Hours of the days."""
        return sum(self.hours.values())

    @property
    def counting(self) -> int:
        """Hours with a value that counts."""
        return self.hours.get(COUNTS, 0) + self.hours.get(FLOOR, 0)

    @property
    def completeness(self) -> float:
        """Share of the hours with a value that counts, 0 to 1."""
        return self.counting / self.total if self.total else 0.0

    @property
    def left_out(self) -> Mapping[str, int]:
        """Flag → hours with a value that was left out for it, most first."""
        told = {why: n for why, n in self.hours.items() if why not in (COUNTS, FLOOR, *MISSING)}
        return dict(sorted(told.items(), key=lambda item: (-item[1], item[0])))


@dataclass(frozen=True)
class Fault:
    """A sensor that could not be used.

    Attributes:
        reading: The reading's name.
        why: As `airqino.quality.flags.fault` tells it, or ``no_value``: the station sent hours, none with this reading.
        days: On how many days of the month it could not be used, for this reason or another.
        lasts: Whether it is so at the end of the month.
    """

    reading: str
    why: str
    days: int
    lasts: bool


@dataclass(frozen=True)
class Revised:
    """What the source changed of a reading's hours in the month: how many values, and when last (UTC)."""

    reading: str
    n: int
    last: datetime


@dataclass(frozen=True)
class MonthScore:
    """How good a month's forecasts of a pollutant were, so many hours ahead.

    Attributes:
        pollutant: Its name.
        horizon: Hours ahead.
        n: Hours with a forecast and a measurement.
        mae: Mean error, in the pollutant's unit.
        skill: 1 − mae / that of "no change"; None where "no change" had no error.
        coverage: Share of the hours inside the 80 % band.
        modelled: Share of the hours that a model forecast; the others are "no change" itself.
    """

    pollutant: str
    horizon: int
    n: int
    mae: float
    skill: float | None
    coverage: float
    modelled: float


@dataclass(frozen=True)
class StationMonth:
    """All that is said of one station's month.

    Attributes:
        station: The station.
        label: What it is called in public.
        pollutants: PM2.5 and CO, by name.
        faults: Sensors to service first, then those that were at fault earlier in the month.
        silent_since: From when on it sent nothing (UTC), where that was so for the last 24 hours; None else.
        silent: Whether it sent nothing in all of the month.
        revised: What the source changed.
        scores: How good the forecasts were.
        provisional: Days that may still change.
    """

    station: Station
    label: str
    pollutants: Mapping[str, Pollution]
    faults: tuple[Fault, ...]
    silent_since: datetime | None
    silent: bool
    revised: tuple[Revised, ...]
    scores: tuple[MonthScore, ...]
    provisional: int


@dataclass(frozen=True)
class Month:
    """A month of all stations.

    Attributes:
        first: Its first day.
        last: Its last day that is over.
        under_way: Whether days are still to come.
        stations: The stations, in the order that they were given.
        notes: The operator's notes that hold and are about these days, newest first.
    """

    first: date
    last: date
    under_way: bool
    stations: tuple[StationMonth, ...]
    notes: tuple[Note, ...]
