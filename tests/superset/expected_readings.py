"""What the charts of hourly readings must show, computed in pandas from the sandbox's raw answers."""

from collections.abc import Callable
from typing import Any

import pandas as pd

from tests.superset.raw import BANDS, COUNTED, LABELS, LEVELS, UNITS, Data, index_level
from tests.superset.tables import (
    Ordered,
    Table,
    at_hour,
    clock,
    digits,
    label,
    nothing,
    number,
    on_date,
    read,
    say,
    shown,
    weekday,
    wide_table,
)

#: Flags of an hour that is no number: it lies below the sensor's zero.
_AT_FLOOR = ("floor", "at_floor")
_HOUR = pd.Timedelta(hours=1)


def state(row: Any, pollutant: str) -> str:
    """What an hour has of a pollutant."""
    flag, amount = row[f"{pollutant}_flag"], row[pollutant]
    if flag in _AT_FLOOR or (flag in COUNTED and pollutant == "co" and amount < 0.005):
        return "too low to measure"
    return "measured" if flag in COUNTED else "no reading" if nothing(amount) else "reading left out"


def concentration(row: Any, pollutant: str) -> float | None:
    """An hour's concentration; none where it does not count or is too low for the sensor."""
    return float(row[pollutant]) if state(row, pollutant) == "measured" else None


def recent(data: Data) -> dict[str, list[Any]]:
    """Each station's rows of the four hours up to its last one, newest first."""
    found = {}
    for station, mine in data.hourly.groupby("station"):
        mine = mine.sort_values("observed_at", ascending=False)
        last = mine[mine["observed_at"] > mine["observed_at"].max() - 4 * _HOUR]
        found[str(station)] = [row for _, row in last.iterrows()]
    return found


def _age(last: pd.Timestamp) -> float:
    """Hours since an hour ended."""
    return float((pd.Timestamp.now("UTC") - last) / _HOUR) - 1


def _trend(lang: str, hours: list[Any], pollutant: str) -> str:
    now, *before = (concentration(row, pollutant) for row in hours)
    known = [amount for amount in before if amount is not None]
    low = any(state(row, pollutant) == "too low to measure" for row in hours[1:])
    if now is None or not known or low:
        return "–"
    change = now - sum(known) / len(known)
    if abs(change) <= 0.1 * sum(known) / len(known):
        return say(lang, "→ steady")
    return f"{'↗ +' if change > 0 else '↘ −'}{number(lang, abs(change), digits(pollutant))}"


def _ended(lang: str, hours: float) -> tuple[str, ...]:
    """How long ago it was that an hour ended: now, or a moment ago."""

    def text(hours: float) -> str:
        amount = f"{int(60 * hours)} min" if hours < 2 else f"{int(hours)} h"
        return ("⚠ " if hours > 3 else "") + say(lang, "%s ago") % amount

    return text(hours), text(hours - 1 / 60)


def _next(lang: str, forecast: pd.DataFrame, pollutant: str) -> str:
    if pollutant not in ("pm2_5", "co"):
        return ""
    if forecast.empty or nothing(forecast["p50"].iloc[0]):
        return say(lang, "no forecast")
    at = forecast["target_at"].iloc[0]
    if at + _HOUR <= pd.Timestamp.now("UTC"):
        return say(lang, "none yet")
    if pollutant == "co" and forecast["p50"].iloc[0] < 0.005:
        return say(lang, "too low to measure")
    p10, p50, p90 = (shown(lang, forecast[p].iloc[0], pollutant) for p in ("p10", "p50", "p90"))
    return f"{p50} ({p10} – {p90}), {clock(lang, at)}"


def _now(data: Data, lang: str) -> list[dict[str, Any]]:
    """A row for each station and pollutant, with what it is ordered by."""
    rows, forecasts = [], read(data, "forecasts")
    for station, hours in recent(data).items():
        last, age = hours[0], _age(hours[0]["observed_at"])
        stale = age >= 3
        worst = None if stale else concentration(last, "pm2_5")
        made = forecasts[(forecasts["station"] == station) & (forecasts["issued_at"] >= last["observed_at"])]
        made = made[made["issued_at"] == made["issued_at"].max()]
        for pollutant in LABELS:
            of, level = state(last, pollutant), index_level(pollutant, last) if pollutant in BANDS else None
            told = (
                f"{shown(lang, last[pollutant], pollutant)} {UNITS[pollutant]}" if of == "measured" else say(lang, of)
            )
            row = {
                "station_name": data.names[station],
                "pollutant": label(lang, pollutant),
                "now": say(lang, "no recent reading") if stale else told,
                "level": "" if stale else say(lang, LEVELS[level - 1]) if level else "–",
                "age": _ended(lang, age),
                "course": "–" if stale else _trend(lang, hours, pollutant),
                "order": -1 if worst is None else worst,
                "rank": (stale, -(level or 0)),
            }
            for ahead in (1, 2):
                next_ = made[(made["pollutant"] == pollutant) & (made["horizon_h"] == ahead)]
                row[f"in_{ahead}h"] = _next(lang, next_, pollutant)
            rows.append(row)
    return sorted(rows, key=lambda row: (-row["order"], row["station_name"], row["pollutant"]))


def now(data: Data, lang: str) -> list[Table]:
    rows = [row for row in _now(data, lang) if row["pollutant"] == label(lang, "pm2_5")]
    return [Ordered({k: v for k, v in row.items() if k not in ("order", "rank", "pollutant")} for row in rows)]


def others_now(data: Data, lang: str) -> list[Table]:
    rows = [row for row in _now(data, lang) if row["pollutant"] != label(lang, "pm2_5")]
    rows.sort(key=lambda row: (*row["rank"], row["station_name"], row["pollutant"]))
    return [Ordered({k: v for k, v in row.items() if k not in ("order", "rank")} for row in rows)]


def index_now(data: Data, lang: str) -> list[Table]:
    rows = []
    for station, (last, *_) in recent(data).items():
        levels = {pollutant: index_level(pollutant, last) for pollutant in BANDS}
        particles, gases = ([levels[p] for p in pair] for pair in (("pm2_5", "pm10"), ("no2", "o3")))
        known = [level for level in levels.values() if level is not None]
        whole = max(known) if None not in gases and particles != [None, None] else None
        at = last["observed_at"]
        row = {"station_name": data.names[station]}
        row |= {
            f"{name}_level": "" if _age(at) >= 3 else say(lang, LEVELS[level - 1]) if level else "–"
            for name, level in {**levels, "overall": whole}.items()
        }
        old = f"⚠ {on_date(lang, at)}, {clock(lang, at)}"
        rows.append(row | {"measured": old if _age(at) >= 3 else at_hour(lang, at)})
    return [Ordered(sorted(rows, key=lambda row: row["station_name"]))]


def sensors(data: Data, lang: str) -> list[Table]:
    """By the flags of the newest day."""
    texts = {
        "offset": "zero off: below zero for days",
        "dead": "dead: unchanged for days",
        "at_floor": "at the floor: zero off, or dead; have it checked",
        "stuck": "stuck: the same reading for hours",
        "unit": "another unit: far more or less than in the days before",
    }
    rows = []
    for station, mine in data.hourly.groupby("station"):
        newest = mine[mine["utc_day"] == mine["utc_day"].max()].sort_values("observed_at")
        for pollutant in LABELS:
            flags = [flag for flag in newest[f"{pollutant}_flag"] if flag != "absent"]
            of_days = [flag for flag in ("offset", "dead", "at_floor") if flag in flags]
            of_last = [flag for flag in ("stuck", "unit") if flags and flags[-1] == flag]
            for found in [*of_days, *of_last][:1]:
                row = {"station_name": data.names[str(station)], "pollutant": label(lang, pollutant)}
                rows.append(row | {"finding": say(lang, texts[found])})
    return [Ordered(sorted(rows, key=lambda row: (row["station_name"], row["pollutant"])))]


def last_48_hours(pollutant: str) -> Callable[[Data, str], list[Table]]:
    """Readings, and of each station the newest forecast of the hours after its last one."""

    def expected(data: Data, lang: str) -> list[Table]:
        now, hourly = pd.Timestamp.now("UTC"), data.hourly
        last = hourly.groupby("station")["observed_at"].max()
        hourly = hourly[hourly["observed_at"] >= now - 48 * _HOUR]
        points = [
            (row["observed_at"], row["station_name"], amount)
            for _, row in hourly.iterrows()
            if (amount := concentration(row, pollutant)) is not None
        ]
        made = read(data, "forecasts")
        made = made[made["issued_at"] > now - 4 * _HOUR]
        made = made[made["issued_at"] == made.groupby("station")["issued_at"].transform("max")]
        made = made[(made["pollutant"] == pollutant) & made["p50"].notna()]
        for _, row in made[made["target_at"] > made["station"].map(last)].iterrows():
            if pollutant == "co" and row["p50"] < 0.005:
                continue
            for quantile, ending in (("p50", "__yhat"), ("p10", "__yhat_lower"), ("p90", "__yhat_upper")):
                told = max(row[quantile], 0.01) if pollutant == "co" else row[quantile]
                points.append((row["target_at"], row["station_name"] + ending, told))
        frame = pd.DataFrame(points, columns=["observed_at", "series", "level"])
        none = dict.fromkeys(data.names.values())  # each station has a line, if an empty one
        return [[none | row for row in wide_table(frame, "observed_at", "series", "level", "h")]]

    return expected


def profile(pollutant: str) -> Callable[[Data, str], list[Table]]:
    """By local hour and weekday, of the network; the test's period is all there is."""

    def expected(data: Data, lang: str) -> list[Table]:
        hourly = data.hourly
        counted = hourly[hourly[f"{pollutant}_flag"].isin([flag for flag in COUNTED if flag != "at_floor"])]
        rows = []
        for (hour, day), cell in counted.groupby(["hour", "weekday"]):
            mean, floor = cell[pollutant].mean(), (cell[f"{pollutant}_flag"] == "floor").mean()
            hidden = pollutant == "co" and (floor >= 0.5 or mean < 0.005)
            at = {"hour_name": f"{hour:02d}", "weekday_name": weekday(lang, int(day))}
            rows.append(at | {say(lang, "Mean"): None if hidden else mean})
        return [rows]

    return expected


def where(data: Data, lang: str) -> list[Table]:
    """The stations, the corners around each, and the coast, whose points another test holds against the map."""
    rows = []
    for station in data.db["stations"].find():
        (last, *_), at = recent(data)[station["_id"]], (station["longitude"], station["latitude"])
        level, amount = index_level("pm2_5", last), concentration(last, "pm2_5")
        stale = _age(last["observed_at"]) >= 3
        of = say(lang, "no recent reading" if stale else LEVELS[level - 1] if level else "no reading")
        text = say(lang, "no reading") if amount is None else f"{number(lang, amount, 1)} µg/m³"
        hour = last["observed_at"]
        place = f"{data.names[station['_id']]} – {text}, {on_date(lang, hour)}, {clock(lang, hour)} UTC"
        rows.append(_point(lang, place, of, *at, 1))
        for corner, away in (("south-west", -0.01), ("north-east", 0.01)):
            rows.append(_point(lang, corner, " ", at[0] + away, at[1] + away, 0))
    (outline,) = data.db["outlines"].find()
    for point in outline["points"]:
        rows.append(_point(lang, "coast", say(lang, "coast and lagoon"), point["longitude"], point["latitude"], 0))
    return [rows]


def _point(lang: str, place: str, of: str, longitude: float, latitude: float, station: int) -> dict[str, Any]:
    name = place if station else f"{place} {latitude:.15g} {longitude:.15g}"
    metrics = {"Longitude (°E)": longitude, "Latitude (°N)": latitude, "Station": station}
    return {"place": name, "class": of} | {say(lang, key): amount for key, amount in metrics.items()}
