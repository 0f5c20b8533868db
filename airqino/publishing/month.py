"""From a month's staged tables to what is to be said of it. Pure functions; no words, no HTML."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd

from airqino.errors import ConfigError
from airqino.forecasting.scoring import skill
from airqino.publishing import rows
from airqino.publishing.days import SHOWN, day_level, day_of
from airqino.publishing.facts import Day
from airqino.publishing.month_facts import COUNTS, FLOOR, Fault, Month, MonthScore, Pollution, Revised, StationMonth
from airqino.publishing.month_tables import MonthTables
from airqino.publishing.stations import Station, labels
from airqino.quality.flags import BOUNDS, COUNTED, fault
from airqino.quality.notes import Note, active
from airqino.readings import NAMES, reading
from airqino.times import DAY, HOUR, day_range, last_day, local_date, local_day

__all__ = ["POLLUTANTS", "Service", "take"]

#: The pollutants that the report tells of.
POLLUTANTS = (SHOWN.name, "co")
#: First and last hour (UTC) in which a station is in service; None is open.
Service = tuple[datetime | None, datetime | None]

#: A station that sent nothing for so long at the end of the month is silent.
_SILENT = 24 * HOUR


def take(
    tables: MonthTables, stations: Sequence[Station], until: datetime, service: Mapping[str, Service] | None = None
) -> Month:
    """Say what a month was like at each station, how complete it is, and how far to trust it.

    Args:
        tables: The month's staged tables; rows of other stations are left out.
        stations: The stations to tell of.
        until: The last hour that is over (UTC): days that it does not end are still to come.
        service: When each station is in service; one that is not named always is.

    Returns:
        The month. An hour is never both missing and measured: the hours of each pollutant add up to those of the days.

    Raises:
        ConfigError: No day of the month is over yet, or none of the stations has a reading in it.
    """
    names, found = labels(stations), []
    spans = {of.id: _days(tables.month, of, until, (service or {}).get(of.id, (None, None))) for of in stations}
    if not any(spans.values()):
        raise ConfigError(f"{tables.month:%Y-%m}: no day of the month is over, so there is nothing to report yet")
    for station in stations:
        if days := spans[station.id]:
            found.append(_station(tables, station, names[station.id], days))
    if not any(of.pollutants[name].days and not of.silent for of in found for name in POLLUTANTS):
        who = ", ".join(station.id for station in stations)
        raise ConfigError(f"{tables.month:%Y-%m}: none of the stations {who} has a reading in this month")
    last = max(days[-1] for days in spans.values() if days)
    ends = last_day(tables.month)
    over = min(local_date(until + HOUR, of.time_zone) for of in stations)
    return Month(tables.month, last, over <= ends, tuple(found), _notes(tables.notes, spans, stations))


def _days(month: date, station: Station, until: datetime, service: Service) -> list[date]:
    """Return the station's days of the month that are over and of which an hour lies in its service."""
    today = local_date(until + HOUR, station.time_zone)
    days = day_range(month, min(last_day(month), today - DAY)) if today > month else []
    first, last = (local_date(hour, station.time_zone) if hour else None for hour in service)
    return [day for day in days if (first is None or first <= day) and (last is None or day <= last)]


def _station(tables: MonthTables, station: Station, label: str, days: Sequence[date]) -> StationMonth:
    zone = station.time_zone
    hours = _hours(days, zone)
    own = tables.hourly[tables.hourly["station"] == station.id].set_index("observed_at")
    own = own[own.index.isin(hours)]
    sent = own[own["status"] == "ok"]
    daily = tables.daily[tables.daily["station"] == station.id]
    daily = daily.set_index(daily["day"].dt.date)
    faults = _faults(sent, zone)
    last = {of.reading: of.why for of in faults if of.lasts}
    silent = not len(sent)
    quiet = not silent and sent.index[-1] <= hours[-1] - _SILENT
    return StationMonth(
        station=station,
        label=label,
        pollutants={
            name: Pollution(
                name=name,
                days=tuple(_day(name, day, daily) for day in days),
                hours=_kinds(name, own.reindex(hours)),
                over_dry=_over_dry(daily.loc[daily.index.isin(days)]) if name == SHOWN.name else None,
                fault=last.get(name, ""),
            )
            for name in POLLUTANTS
        },
        faults=faults,
        silent_since=(sent.index[-1] + HOUR).to_pydatetime() if quiet else None,
        silent=silent,
        revised=_revised(tables.revisions, station.id, hours),
        scores=_scores(tables.scores, station.id, days[-1]),
        provisional=int(daily.loc[daily.index.isin(days), "provisional"].sum()),
    )


def _hours(days: Sequence[date], zone: str) -> pd.DatetimeIndex:
    """Return the hours (UTC) that begin in some days of a time zone."""
    spans = [local_day(day, zone) for day in days]
    hours = [pd.date_range(pd.Timestamp(of.start).ceil("h"), periods=of.hours, freq="h") for of in spans]
    return pd.DatetimeIndex([hour for of_day in hours for hour in of_day]).tz_convert("UTC").as_unit("us")


def _day(name: str, day: date, daily: pd.DataFrame) -> Day:
    if day not in daily.index:
        return day_of(day, 0, math.nan, "insufficient", None)
    row: Any = daily.loc[day]
    hours, above = row[f"{name}_hours"], row[f"{name}_above_who"]
    return day_of(
        day,
        0 if pd.isna(hours) else int(hours),
        float(row[f"{name}_checked_mean"]),
        f"{row[f'{name}_quality']}",
        None if pd.isna(above) else bool(above),
        day_level if name == SHOWN.name else lambda _: None,
    )


def _kinds(name: str, rows: pd.DataFrame) -> dict[str, int]:
    """Return what some hours are, and how many; NaN rows were never asked for."""
    clips = reading(name).floor is not None
    found: Counter[str] = Counter()
    for status, flag in zip(rows["status"], rows[f"{name}_flag"], strict=True):
        if status != "ok":
            found[status if isinstance(status, str) else "unknown"] += 1
        elif flag in COUNTED:
            found[FLOOR if clips and flag in BOUNDS else COUNTS] += 1
        else:
            found["no_value" if flag == "absent" else flag] += 1
    return dict(found)


def _over_dry(daily: pd.DataFrame) -> int | None:
    told = daily["pm2_5_dry_above_who"].dropna()
    return int(told.astype(bool).sum()) if len(told) else None


def _faults(sent: pd.DataFrame, zone: str) -> tuple[Fault, ...]:
    """Return the sensors that could not be used, of a station's hours of the month that it sent."""
    if not len(sent):
        return ()
    last = rows.faults(sent).get(sent["station"].iloc[0], {})
    by_day = [of for _, of in sent.groupby(pd.DatetimeIndex(sent.index).tz_convert(zone).date)]
    found = []
    for name in NAMES:
        column = f"{name}_flag"
        if (sent[column] == "absent").all():
            found.append(Fault(name, "no_value", len(by_day), True))
            continue
        told = [why for of in by_day if (why := fault(of[column].tolist()))]
        if name in last:
            found.append(Fault(name, last[name], len(told), True))
        elif told:
            found.append(Fault(name, Counter(told).most_common(1)[0][0], len(told), False))
    return tuple(sorted(found, key=lambda of: not of.lasts))


def _revised(revisions: pd.DataFrame, station: str, hours: pd.DatetimeIndex) -> tuple[Revised, ...]:
    if not len(revisions):
        return ()
    own = revisions[(revisions["station"] == station) & revisions["observed_at"].isin(hours)]
    found = {
        f"{name}": Revised(f"{name}", of["observed_at"].nunique(), of["seen_at"].max().to_pydatetime())
        for name, of in own.groupby("reading")
    }
    return tuple(found[name] for name in NAMES if name in found)


def _scores(scores: pd.DataFrame, station: str, last: date) -> tuple[MonthScore, ...]:
    """Join the scores of the days, each with the weight of its hours: then they are those of all hours together."""
    if not len(scores):
        return ()
    own = scores[(scores["station"] == station) & (scores["window_days"] == 1) & (scores["n"] > 0)]
    own = own[own["day"] <= f"{last}"]
    found = []
    for name in POLLUTANTS:
        for horizon, of in own[own["pollutant"] == name].groupby("horizon_h"):
            n = of["n"].to_numpy(dtype=float)
            total = float(n.sum())
            mae, reference, inside = (
                float((of[column].to_numpy(dtype=float) * n).sum()) / total
                for column in ("mae", "mae_persistence", "coverage80")
            )
            gain = float(skill(mae, reference))
            modelled = float(of["modelled"].sum()) / total
            known = None if math.isnan(gain) else gain
            found.append(MonthScore(name, int(str(horizon)), int(total), mae, known, inside, modelled))
    return tuple(found)


def _notes(notes: Sequence[Note], spans: Mapping[str, Sequence[date]], stations: Sequence[Station]) -> tuple[Note, ...]:
    """Return the notes that hold and are about the days of one of the stations, newest first."""
    zones = {of.id: of.time_zone for of in stations}
    found = []
    for note in active(notes):
        if days := spans.get(note.station):
            begin, end = local_day(days[0], zones[note.station]).start, local_day(days[-1], zones[note.station]).stop
            if note.touches(begin, end - timedelta(microseconds=1)):
                found.append(note)
    return tuple(sorted(found, key=lambda note: note.noted_at, reverse=True))
