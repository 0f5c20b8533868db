"""From staged tables to what is to be said at an hour. Pure functions; no words, no HTML."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from airqino.publishing import days
from airqino.publishing.days import SHOWN
from airqino.publishing.facts import Ahead, Carbon, Chance, Hour, Network, Now, Snapshot, SoFar, StationFacts, Trust
from airqino.publishing.stations import Station, labels
from airqino.publishing.tables import RECENT_DAYS, Tables
from airqino.quality import index
from airqino.quality.flags import COUNTED, fault
from airqino.quality.notes import Note, active
from airqino.readings import NAMES, reading
from airqino.times import HOUR, hour_range, local_date, local_day

__all__ = ["LIKELY", "take"]

#: From this probability on, the guideline is said to be likely exceeded.
LIKELY = 0.5
_CO = reading("co")
#: Flags of a sensor that cannot be used.
_FAULTY = ("offset", "dead", "at_floor", "stuck", "unit")
#: Hours at night, local time.
_NIGHT = (20, 7)
#: Fewer missing hours do not tell when they are missing.
_FEWEST_MISSING = 24
#: Stations among which those near each other are sought: a page that shows them all.
_FEW_STATIONS = 10


def take(tables: Tables, stations: Sequence[Station], hour: datetime) -> Snapshot:
    """Say how the air is at an hour, what comes, and how far to trust it.

    Args:
        tables: The staged tables; rows after the hour are left out.
        stations: The stations to show; others are left out. One without a single row is shown as silent.
        hour: The last hour that is over (UTC).

    Returns:
        The snapshot: worst station first, by the level of the hour, then by days above the guideline; those whose hour
        is not measured last. No level comes from a value that does not count, nor from CO.
    """
    names = labels(stations)
    hourly = _before(tables.hourly, "observed_at", hour)
    rows, daily = _by_station(hourly), _by_station(tables.daily)
    forecasts = _by_station(_before(tables.forecasts, "issued_at", hour))
    scores = days.scores_of(tables.scores)
    facts = [
        _facts(
            station,
            names[station.id],
            hour,
            rows.get(station.id, hourly.iloc[:0]),
            daily.get(station.id, tables.daily.iloc[:0]),
            forecasts.get(station.id, tables.forecasts.iloc[:0]),
            scores,
        )
        for station in stations
    ]
    facts.sort(key=lambda of: (-of.level, -of.year.over, of.label))
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
    rows: pd.DataFrame,
    daily: pd.DataFrame,
    forecasts: pd.DataFrame,
    scores: Mapping[str, Any],
) -> StationFacts:
    zone, end = station.time_zone, hour + HOUR
    today = local_date(end, zone)
    at = dict(zip(rows["observed_at"], range(len(rows)), strict=True)) if len(rows) else {}
    values, flags = _columns(rows, SHOWN.name)
    known = {moment: (values[row], flags[row]) for moment, row in at.items()}
    recent = tuple(_hour(moment, *known.get(moment, (None, "absent"))) for moment in _last(hour, 48))
    now = _now(recent[-1], known)
    measured = now.state == "measured"
    ahead, why_not = _ahead(forecasts, hour) if measured else ((), "no_reading")
    year = days.year_of(daily, today)
    return StationFacts(
        station=station,
        label=label,
        now=now,
        co=_carbon(rows, hour),
        ahead=ahead,
        no_forecast=why_not,
        chances=_chances(forecasts, hour, today) if measured else (),
        likely_since=_likely_since(forecasts, today) if measured else None,
        so_far=_so_far(known, end, zone),
        recent=recent,
        year=year,
        trust=Trust(
            faults=_faults(rows, hour),
            co_floor=_co_floor(daily, today),
            humid=days.humid_share(daily),
            missing=days.missing_hours(daily, year.days),
            night=_night(known, hour, zone),
            score=scores.get(station.id),
        ),
    )


def _before(rows: pd.DataFrame, column: str, hour: datetime) -> pd.DataFrame:
    return rows[rows[column] <= pd.Timestamp(hour)] if len(rows) else rows


def _by_station(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {str(id): of for id, of in rows.groupby("station", sort=False)} if len(rows) else {}


def _columns(rows: pd.DataFrame, name: str) -> tuple[list[float], list[str]]:
    if not len(rows):
        return [], []
    return rows[name].to_numpy(dtype=float, na_value=np.nan).tolist(), rows[f"{name}_flag"].tolist()


def _last(hour: datetime, number: int) -> list[pd.Timestamp]:
    return [pd.Timestamp(moment) for moment in hour_range(hour - (number - 1) * HOUR, hour)]


def _hour(moment: pd.Timestamp, value: float | None, flag: str) -> Hour:
    at = moment.to_pydatetime()
    if value is None or np.isnan(value):
        return Hour(at, None, None, "absent")
    if (level := index.level(SHOWN.name, value, flag)) is not None:
        return Hour(at, value, level, "measured")
    return Hour(at, value, None, "unusual") if flag in COUNTED else Hour(at, None, None, "left_out")


def _now(last: Hour, known: Mapping[pd.Timestamp, tuple[float, str]]) -> Now:
    flag = known.get(pd.Timestamp(last.at), (None, "absent"))[1]
    before = None
    if last.state != "measured":
        earlier = sorted((at for at in known if at < last.at), reverse=True)
        hours = (_hour(at, *known[at]) for at in earlier)
        before = next((hour for hour in hours if hour.state == "measured"), None)
    return Now(last.at, last.value, last.level, last.state, flag, before)


def _carbon(rows: pd.DataFrame, hour: datetime) -> Carbon:
    of_hour = rows[rows["observed_at"] == pd.Timestamp(hour)] if len(rows) else rows
    values, flags = _columns(of_hour, _CO.name)
    if not values or np.isnan(values[0]):
        return Carbon(None, "absent", _faults(rows, hour).get(_CO.name, ""))
    value, flag = values[0], flags[0]
    if flag in _FAULTY:
        return Carbon(None, "faulty", flag)
    if flag not in COUNTED:
        return Carbon(None, "left_out")
    # what rounds to 0.00 is no measurement of clean air
    return Carbon(None, "low") if flag == "floor" or round(value, _CO.digits) <= 0 else Carbon(value, "measured")


def _ahead(forecasts: pd.DataFrame, hour: datetime) -> tuple[tuple[Ahead, ...], str]:
    issued = _issued(forecasts, hour)
    if not issued:
        return (), "not_made"
    found = tuple(
        Ahead(
            at=row["target_at"].to_pydatetime(),
            low=row["p10"],
            mid=row["p50"],
            high=row["p90"],
            level=level,
            likeliest=row["level"] if isinstance(row["level"], str) else None,
            probability=None if pd.isna(row["level_probability"]) else row["level_probability"],
            method=row["method"],
        )
        for row in issued
        if (level := index.level(SHOWN.name, row["p50"]))
    )
    if found:
        return found, ""
    why = str(issued[0]["reason"] or "")
    return (), "no_reading" if why.startswith("no reading") else "sensor" if _is_of_sensor(why) else "model"


def _is_of_sensor(reason: str) -> bool:
    """Tell by the words of `airqino.forecasting.model` whether a reason is the sensor's."""
    return "sensor" in reason or reason.startswith("readings ")


def _issued(forecasts: pd.DataFrame, hour: datetime) -> list[dict[Any, Any]]:
    if not len(forecasts):
        return []
    mine = (forecasts["pollutant"] == SHOWN.name) & (forecasts["issued_at"] == pd.Timestamp(hour))
    return forecasts[mine].sort_values("horizon_h").to_dict("records")


def _chances(forecasts: pd.DataFrame, hour: datetime, today: date) -> tuple[Chance, ...]:
    told: dict[date, float] = {}
    for row in _issued(forecasts, hour):
        if isinstance(row.get("day"), str) and not pd.isna(row["day_exceedance"]):
            told.setdefault(date.fromisoformat(row["day"]), float(row["day_exceedance"]))
    return tuple(Chance(day, told[day]) for day in sorted(told) if day >= today)


def _likely_since(forecasts: pd.DataFrame, today: date) -> datetime | None:
    """Return when a forecast first said that today will more likely than not exceed the guideline."""
    if not len(forecasts):
        return None
    likely = (forecasts["day"] == f"{today}") & (forecasts["day_exceedance"] >= LIKELY)
    issued = forecasts.loc[likely & (forecasts["pollutant"] == SHOWN.name), "issued_at"]
    return issued.min().to_pydatetime() + HOUR if len(issued) else None


def _so_far(known: Mapping[pd.Timestamp, tuple[float, str]], end: datetime, zone: str) -> SoFar | None:
    start = local_day(local_date(end, zone), zone).start
    hours = [known.get(pd.Timestamp(at), (np.nan, "absent")) for at in hour_range(start, end - HOUR)]
    values = [value for value, flag in hours if flag in COUNTED and not np.isnan(value)]
    return SoFar(float(np.mean(values)), len(values), len(hours)) if values else None


def _faults(rows: pd.DataFrame, hour: datetime) -> dict[str, str]:
    """Return the sensors that cannot be used, by the flags of the last 24 hours that the station sent."""
    if not len(rows):
        return {}
    sent = rows[(rows["status"] == "ok") & (rows["observed_at"] > pd.Timestamp(hour - timedelta(days=RECENT_DAYS)))]
    last = sent.sort_values("observed_at").tail(24)
    return {name: why for name in NAMES if (why := fault(last[f"{name}_flag"].tolist()))}


def _co_floor(daily: pd.DataFrame, today: date) -> float | None:
    """Return the share of the last 30 days' CO hours that the source wrote as its floor."""
    if not len(daily):
        return None
    month = daily[(daily["day"] >= today - timedelta(days=30)) & (daily["day"] < today)]
    hours = int(month[f"{_CO.name}_checked_hours"].sum())
    return int(month[f"{_CO.name}_floor_hours"].sum()) / hours if hours else None


def _night(known: Mapping[pd.Timestamp, tuple[float, str]], hour: datetime, zone: str) -> float | None:
    """Return the share of missing hours that lie at night, of the last 30 days or since the station began."""
    if not known:
        return None
    first = max(min(known).to_pydatetime(), hour - timedelta(days=RECENT_DAYS))
    missing = [at for at in map(pd.Timestamp, hour_range(first, hour)) if np.isnan(known.get(at, (np.nan, ""))[0])]
    if len(missing) < _FEWEST_MISSING:
        return None
    local = pd.DatetimeIndex(missing).tz_convert(zone).hour
    return float(((local >= _NIGHT[0]) | (local < _NIGHT[1])).mean())


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
