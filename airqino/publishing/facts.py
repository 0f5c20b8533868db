"""What is to be said at an hour, as plain values: numbers, states and names; how they are worded is the pages' own.

Amounts are in the reading's unit (PM2.5 in µg/m³, CO in mg/m³). A level is one of the European Air Quality Index, from
1 to 6. Hours are named by their beginning, UTC; days are the station's local days.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property

from airqino.publishing.stations import Station
from airqino.quality.notes import Note
from airqino.times import HOUR

__all__ = [
    "Ahead", "Carbon", "Chance", "Day", "Hour", "Network", "Now", "Pair", "Score", "Snapshot", "SoFar", "StationFacts",
    "Trust", "Year",
]  # fmt: skip


@dataclass(frozen=True)
class Hour:
    """PM2.5 of one hour.

    Attributes:
        at: The hour.
        value: The value; None where there is none to show.
        level: Its level; None unless the state is ``measured``.
        state: ``measured``; ``unusual``, a value far from the days before, which nobody has confirmed; ``left_out``, a
            value that failed a test or that the operator took back; ``absent``.
    """

    at: datetime
    value: float | None
    level: int | None
    state: str


@dataclass(frozen=True)
class Now(Hour):
    """PM2.5 of the page's hour.

    Attributes:
        flag: The value's flag; ``unasked`` where the source did not answer for the hour, or was not asked.
        last: The last hour with a measured value before, where this one has none.
    """

    flag: str = "ok"
    last: Hour | None = None


@dataclass(frozen=True)
class Carbon:
    """CO of the page's hour. It has no level: the index has none for it.

    Attributes:
        value: Its value; None unless the state is ``measured``.
        state: ``measured``; ``low``, below what the sensor can tell; ``faulty``, of a sensor that cannot be used;
            ``left_out``; ``absent``.
        fault: Why the sensor cannot be used; "" where it can.
    """

    value: float | None
    state: str
    fault: str = ""


@dataclass(frozen=True)
class Ahead:
    """What is forecast of PM2.5.

    Attributes:
        at: The hour that is forecast.
        low: Lower end of the 80 % band.
        mid: The forecast.
        high: Upper end of the band.
        level: Level of the forecast.
        likeliest: The most likely level by its English name, and `probability` how likely it is; None where not told.
        probability: From 0 to 1.
        method: How it was made.
    """

    at: datetime
    low: float
    mid: float
    high: float
    level: int
    likeliest: str | None
    probability: float | None
    method: str


@dataclass(frozen=True)
class Chance:
    """The probability, 0 to 1, that a day's mean PM2.5 exceeds the guideline."""

    day: date
    probability: float


@dataclass(frozen=True)
class SoFar:
    """Mean PM2.5 of the day under way: over `hours` hours that count, of `elapsed`."""

    mean: float
    hours: int
    elapsed: int


@dataclass(frozen=True)
class Day:
    """PM2.5 of one day.

    Attributes:
        day: The day.
        mean: Checked mean; None unless the state is ``measured``.
        level: The level whose band the mean lies in, unrounded, so that a day above the guideline has a level above it.
        above: Whether the mean exceeds the guideline; None where that cannot be told.
        state: ``measured``; ``doubtful``, half or more of its hours are; ``incomplete``, too few hours count; ``none``.
    """

    day: date
    mean: float | None
    level: int | None
    above: bool | None
    state: str


@dataclass(frozen=True)
class Year:
    """PM2.5 of the days before today, a year at most.

    Attributes:
        days: Each day from the first that the station could have measured.
        measured: Days with a mean that can be vouched for.
        over: Those above the guideline.
        mean: Mean of their means; None without one.
        whole: Whether the year has enough measured days (75 %) for its mean to stand beside the annual guideline.
    """

    days: tuple[Day, ...]
    measured: int
    over: int
    mean: float | None
    whole: bool

    @cached_property
    def states(self) -> Mapping[str, int]:
        """State → number of days in it."""
        return Counter(day.state for day in self.days)

    @cached_property
    def levels(self) -> Mapping[int, int]:
        """Level → number of measured days at it; 0 → days not measured."""
        return Counter(day.level or 0 for day in self.days)


@dataclass(frozen=True)
class Score:
    """How good a day's forecasts were, an hour ahead: mean error, and how many of `n` hours lay in the band."""

    day: date
    mae: float
    inside: int
    n: int


@dataclass(frozen=True)
class Trust:
    """How far to trust a station.

    Attributes:
        faults: Reading → why its sensor cannot be used now.
        co_floor: Share of the last 30 days' CO hours below the sensor's zero; None without any.
        humid: Share of the year's PM2.5 hours in humid air; None without any.
        missing: Why hours of the year's days have no value: ``absent`` (the station sent none), ``failed`` (the source
            gave no answer), ``left_out`` (it failed a test).
        night: Share of the last 30 days' missing hours that lie from 20:00 to 7:00 local time; None where few are
            missing.
        score: Yesterday's forecasts; None without any.
    """

    faults: Mapping[str, str]
    co_floor: float | None
    humid: float | None
    missing: Mapping[str, int]
    night: float | None
    score: Score | None


@dataclass(frozen=True)
class StationFacts:
    """All that is said of one station.

    Attributes:
        station: The station.
        label: What it is called in public.
        now: PM2.5 of the hour.
        co: CO of the hour.
        ahead: Forecasts, in time order; none of a station whose hour is not measured.
        no_forecast: Why there are none: ``no_reading``, ``sensor``, ``model``, ``not_made``; "" where there are.
        chances: Of today, and from the evening of tomorrow.
        likely_since: When it was first said that today more likely exceeds the guideline than not; None if never.
        so_far: The day under way; None before its first measured hour.
        recent: The last 48 hours, the page's last.
        year: The days before today.
        trust: How far to trust it.
    """

    station: Station
    label: str
    now: Now
    co: Carbon
    ahead: tuple[Ahead, ...]
    no_forecast: str
    chances: tuple[Chance, ...]
    likely_since: datetime | None
    so_far: SoFar | None
    recent: tuple[Hour, ...]
    year: Year
    trust: Trust

    @property
    def newest(self) -> Hour | None:
        """The newest hour that it measured; None where none is known."""
        return self.now if self.now.state == "measured" else self.now.last

    @property
    def level(self) -> int:
        """The level of the hour; 0 where it is not measured."""
        return self.now.level or 0


@dataclass(frozen=True)
class Pair:
    """Two stations near each other: `one` reads `ratio` times as much as `other` over their common `days`."""

    one: str
    other: str
    metres: float
    ratio: float
    days: int


@dataclass(frozen=True)
class Network:
    """What is said of all stations together.

    Attributes:
        pairs: Stations near each other.
        revisions: Station → how many values the source changed in the last 7 days.
        notes: The operator's notes that hold and concern the last 30 days, newest first.
    """

    pairs: tuple[Pair, ...]
    revisions: Mapping[str, int]
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class Snapshot:
    """All that is to be said at an hour; stations worst first, those without a measurement last."""

    hour: datetime
    stations: tuple[StationFacts, ...]
    network: Network

    @property
    def end(self) -> datetime:
        """When the hour was over: the page's present."""
        return self.hour + HOUR

    @property
    def measured(self) -> datetime:
        """The newest hour that a station measured; the page's hour where none is known."""
        return max((of.newest.at for of in self.stations if of.newest), default=self.hour)

    @property
    def worst(self) -> int:
        """The highest level measured in the hour; 0 where nothing was measured."""
        return max((of.level for of in self.stations), default=0)

    def silent_for(self, of: StationFacts) -> timedelta | None:
        """Return how long ago a station's last measured hour ended; None where none is known."""
        return self.end - (of.newest.at + HOUR) if of.newest else None
