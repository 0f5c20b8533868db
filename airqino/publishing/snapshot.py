"""From staged tables to what is to be said at an hour. Pure functions; no words, no HTML."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from math import isnan
from zoneinfo import ZoneInfo

import pandas as pd

from airqino.publishing import days, rows
from airqino.publishing.days import SHOWN, DayRow
from airqino.publishing.facts import (
    Ahead,
    Carbon,
    Chance,
    Hour,
    Network,
    Now,
    Score,
    Snapshot,
    SoFar,
    StationFacts,
    Trust,
)
from airqino.publishing.rows import NOTHING, Forecast, Hours, Told, missing
from airqino.publishing.stations import Station, labels
from airqino.publishing.tables import RECENT_DAYS, Tables
from airqino.quality import index
from airqino.quality.flags import COUNTED, FAULTS
from airqino.quality.notes import Note, active
from airqino.readings import reading
from airqino.times import HOUR, hour_range, local_date, local_day

__all__ = ["LIKELY", "take"]

#: From this probability on, the guideline is said to be likely exceeded.
LIKELY = 0.5
_CO = reading("co")
#: Hours at night, local time.
_NIGHT = (20, 7)
#: Fewer missing hours do not tell when they are missing.
_FEWEST_MISSING = 24
#: Stations among which those near each other are sought: a page that shows them all.
_FEW_STATIONS = 10
#: Hours that are shown one by one.
_RECENT_HOURS = 48


def take(tables: Tables, stations: Sequence[Station], hour: datetime) -> Snapshot:
    """Say how the air is at an hour, what comes, and how far to trust it.

    Args:
        tables: The staged tables; rows after the hour are left out.
        stations: The stations to show; others are left out. One without a single row is shown as silent.
        hour: The last hour that is over (UTC).

    Returns:
        The snapshot: worst station first, by the level of the hour, then by its value; those whose hour is not measured
        last. No level comes from a value that does not count, nor from CO.
    """
    names = labels(stations)
    hours = rows.hours_by_station(tables.hourly, hour)
    daily = rows.days_by_station(tables.daily)
    forecasts, likely = rows.forecasts_by_station(tables.forecasts, hour, LIKELY)
    scores = days.scores_of(tables.scores)
    facts = [
        _facts(
            station,
            names[station.id],
            hour,
            hours.get(station.id, Hours()),
            daily.get(station.id, []),
            forecasts.get(station.id, []),
            likely,
            scores.get(station.id),
        )
        for station in stations
    ]
    facts.sort(key=lambda of: (-of.level, -(of.now.value or 0.0) if of.level else 0.0, of.label))
    years = {of.station.id: of.year for of in facts}
    network = Network(
        days.pairs(stations, names, years) if len(stations) <= _FEW_STATIONS else (),
        _revisions(tables.revisions, names),
        _notes(tables.notes, names, hour),
    )
    return Snapshot(hour, tuple(facts), network)


def _facts(
    station: Station,
    label: str,
    hour: datetime,
    hours: Hours,
    daily: Sequence[DayRow],
    forecasts: Sequence[Forecast],
    likely: Mapping[tuple[str, date], datetime],
    score: Score | None,
) -> StationFacts:
    zone, end, known = station.time_zone, hour + HOUR, hours.shown
    today = local_date(end, zone)
    recent = tuple(_hour(at, *known.get(at, NOTHING)) for at in hour_range(hour - (_RECENT_HOURS - 1) * HOUR, hour))
    now = _now(recent[-1], known)
    measured = now.state == "measured"
    ahead, why_not = _ahead(forecasts) if measured else ((), "no_reading")
    year = days.year_of(daily, today)
    return StationFacts(
        station=station,
        label=label,
        now=now,
        co=_carbon(hours),
        ahead=ahead,
        no_forecast=why_not,
        chances=_chances(forecasts, today) if measured else (),
        likely_since=likely.get((station.id, today)) if measured else None,
        so_far=_so_far(known, end, zone),
        recent=recent,
        year=year,
        trust=Trust(
            faults=hours.faults,
            co_floor=days.co_floor_share(daily, today),
            humid=days.humid_share(daily),
            missing=days.missing_hours(daily, year.days),
            night=_night(known, hour, zone),
            score=score,
        ),
    )


def _hour(at: datetime, value: float, flag: str) -> Hour:
    if isnan(value):
        return Hour(at, None, None, "absent")
    if (level := index.level(SHOWN.name, value, flag)) is not None:
        return Hour(at, value, level, "measured")
    return Hour(at, value, None, "unusual") if flag in COUNTED else Hour(at, None, None, "left_out")


def _now(last: Hour, known: Mapping[datetime, Told]) -> Now:
    before = None
    if last.state != "measured":
        hours = (_hour(at, *known[at]) for at in sorted(known, reverse=True) if at < last.at)
        before = next((hour for hour in hours if hour.state == "measured"), None)
    return Now(last.at, last.value, last.level, last.state, known.get(last.at, NOTHING)[1], before)


def _carbon(hours: Hours) -> Carbon:
    value, flag = hours.co
    if isnan(value):
        return Carbon(None, "absent", hours.faults.get(_CO.name, ""))
    if flag in FAULTS:
        return Carbon(None, "faulty", flag)
    if flag not in COUNTED:
        return Carbon(None, "left_out")
    # what rounds to 0.00 is no measurement of clean air
    return Carbon(None, "low") if flag == "floor" or round(value, _CO.digits) <= 0 else Carbon(value, "measured")


def _ahead(forecasts: Sequence[Forecast]) -> tuple[tuple[Ahead, ...], str]:
    if not forecasts:
        return (), "not_made"
    found = tuple(
        Ahead(
            at=of.target_at,
            low=of.p10,
            mid=of.p50,
            high=of.p90,
            level=level,
            likeliest=of.level if isinstance(of.level, str) else None,
            probability=None if isnan(of.level_probability) else of.level_probability,
            method=of.method,
        )
        for of in forecasts
        if (level := index.level(SHOWN.name, of.p50))
    )
    if found:
        return found, ""
    why = f"{forecasts[0].reason}"
    return (), "no_reading" if why.startswith("no reading") else "sensor" if _is_of_sensor(why) else "model"


def _is_of_sensor(reason: str) -> bool:
    """Tell by the words of `airqino.forecasting.model` whether a reason is the sensor's."""
    return "sensor" in reason or reason.startswith("readings ")


def _chances(forecasts: Sequence[Forecast], today: date) -> tuple[Chance, ...]:
    told: dict[date, float] = {}
    for of in forecasts:
        if isinstance(of.day, str) and not isnan(of.day_exceedance):
            told.setdefault(date.fromisoformat(of.day), of.day_exceedance)
    return tuple(Chance(day, told[day]) for day in sorted(told) if day >= today)


def _so_far(known: Mapping[datetime, Told], end: datetime, zone: str) -> SoFar | None:
    start = local_day(local_date(end, zone), zone).start.astimezone(UTC)
    hours = [known.get(at, NOTHING) for at in hour_range(start, end - HOUR)]
    values = [value for value, flag in hours if flag in COUNTED and not isnan(value)]
    return SoFar(sum(values) / len(values), len(values), len(hours)) if values else None


def _night(known: Mapping[datetime, Told], hour: datetime, zone: str) -> float | None:
    """Return the share of missing hours that lie at night, of the last 30 days or since the station began."""
    if not known:
        return None
    absent = missing(known, max(min(known), hour - timedelta(days=RECENT_DAYS)), hour)
    if len(absent) < _FEWEST_MISSING:
        return None
    local = [at.astimezone(ZoneInfo(zone)).hour for at in absent]
    return sum(at >= _NIGHT[0] or at < _NIGHT[1] for at in local) / len(local)


def _revisions(revisions: pd.DataFrame, names: Mapping[str, str]) -> dict[str, int]:
    if not len(revisions):
        return {}
    numbers = revisions["station"].value_counts()
    return {id: int(numbers[id]) for id in names if id in numbers}


def _notes(notes: Iterable[Note], names: Mapping[str, str], hour: datetime) -> tuple[Note, ...]:
    first = hour - timedelta(days=RECENT_DAYS)
    told = [
        note for note in active(notes) if note.station in names and (note.touches(first, hour) or note.noted_at > first)
    ]
    return tuple(reversed(told))
