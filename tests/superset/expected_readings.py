"""What the charts of readings must show, computed in pandas from the sandbox's raw answers."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from tests.superset.raw import BANDS, CORRECTED, COUNTED, LABELS, LEVELS, UNITS, Data, index_level, number, shown
from tests.superset.tables import Table, period, read, weekday, wide_table

#: Flags of an hour that is no number: it lies below the sensor's zero.
_AT_FLOOR = ("floor", "at_floor")


def _level(row: Any, pollutant: str) -> float | None:
    """An hour's concentration; none where it does not count or lies below the sensor's zero."""
    flag = row[f"{pollutant}_flag"]
    return row[pollutant] if flag in COUNTED and flag not in _AT_FLOOR else None


def _trend(hours: list[Any], pollutant: str) -> str:
    levels = [_level(row, pollutant) for row in hours]
    before = [level for level in levels[1:4] if level is not None]
    if levels[0] is None or not before or any(row[f"{pollutant}_flag"] in _AT_FLOOR for row in hours[1:4]):
        return "–"
    change = levels[0] - sum(before) / len(before)
    if abs(change) <= 0.1 * sum(before) / len(before):
        return "→ steady"
    return f"{'↗ +' if change > 0 else '↘ −'}{number(abs(change), pollutant)}"


def _recent(data: Data) -> dict[str, list[Any]]:
    """Each station's rows of the four hours up to its last one, newest first."""
    found = {}
    for station, mine in data.hourly.groupby("station"):
        mine = mine.sort_values("observed_at", ascending=False)
        recent = mine[mine["observed_at"] > mine["observed_at"].max() - pd.Timedelta(hours=4)]
        found[str(station)] = [row for _, row in recent.iterrows()]
    return found


def _measured(last: pd.Timestamp) -> str:
    stale = "⚠ " if pd.Timestamp.now("UTC") - last > pd.Timedelta(hours=4) else ""
    return f"{stale}{last:%d.%m. %H:00}"


def now_and_the_next_two_hours(data: Data) -> list[Table]:
    rows = []
    forecasts, now = read(data, "forecasts"), pd.Timestamp.now("UTC")
    for station, hours in _recent(data).items():
        last = hours[0]["observed_at"]
        for pollutant, label in LABELS.items():
            level = _level(hours[0], pollutant)
            missing = f"no usable {label}"
            if hours[0][f"{pollutant}_flag"] in _AT_FLOOR:
                missing = "too low for this sensor to measure"
            row = {
                "station_name": data.names[station],
                "pollutant": label,
                "last_hour": missing if level is None else f"{shown(level, pollutant)} {UNITS[pollutant]}",
                "trend": _trend(hours, pollutant),
                "measured": _measured(last),
            }
            of = forecasts[(forecasts["station"] == station) & (forecasts["pollutant"] == pollutant)]
            of = of[of["issued_at"] == of["issued_at"].max()]
            for ahead in (1, 2):
                next_ = _next(of[of["horizon_h"] == ahead], pollutant, last, now)
                row[f"next_{ahead}h"] = next_ if pollutant in ("pm2_5", "co") else ""
            rows.append(row)
    return [rows]


def _next(forecast: pd.DataFrame, pollutant: str, last: pd.Timestamp, now: pd.Timestamp) -> str:
    if forecast.empty or pd.isna(forecast["p50"].iloc[0]) or forecast["target_at"].iloc[0] <= last:
        return "no forecast"
    if forecast["target_at"].iloc[0] < now - pd.Timedelta(hours=2):
        return "none yet"
    if pollutant == "co" and forecast["p50"].iloc[0] < 0.005:
        return "too low for this sensor to measure"
    p10, p50, p90 = (shown(forecast[p].iloc[0], pollutant) for p in ("p10", "p50", "p90"))
    return f"{p50}  ({p10} – {p90})"


def air_quality_index(data: Data) -> list[Table]:
    rows = []
    for station, (last, *_) in _recent(data).items():
        levels = {pollutant: index_level(pollutant, last) for pollutant in BANDS}
        known = [level for level in levels.values() if level is not None]
        particles, gases = ([levels[p] for p in pair] for pair in (("pm2_5", "pm10"), ("no2", "o3")))
        whole = max(known) if None not in gases and particles != [None, None] else None
        texts = {
            pollutant: LEVELS[level - 1] if level else "–" for pollutant, level in {**levels, "overall": whole}.items()
        }
        row = {f"{pollutant}_level": text for pollutant, text in texts.items()}
        rows.append(row | {"station_name": data.names[station], "measured": _measured(last["observed_at"])})
    return [rows]


def sensors_to_have_checked(data: Data) -> list[Table]:
    """By the flags of the newest day."""
    texts = {
        "offset": "zero offset: below zero for days",
        "dead": "dead: unchanged for days",
        "at_floor": "at the floor: mis-zeroed or dead, have it checked",
    }
    rows = []
    for station, mine in data.hourly.groupby("station"):
        newest = mine[mine["day"] == mine["day"].max()].sort_values("observed_at")
        for pollutant, label in LABELS.items():
            flags = [flag for flag in newest[f"{pollutant}_flag"] if flag != "absent"]
            found = next((text for flag, text in texts.items() if flag in flags), None)
            last = {"stuck": "stuck: the same reading for hours"}
            last["unit"] = "another unit: far more or less than in the days before"
            found = found or (last.get(flags[-1]) if flags else None)
            if found:
                rows.append({"station_name": data.names[str(station)], "pollutant": label, "finding": found})
    return [rows]


def _this_year(data: Data) -> pd.DataFrame:
    return data.daily[data.daily["day"].str[:4] == f"{datetime.now(UTC):%Y}"]


def days_over(data: Data) -> list[Table]:
    rows = []
    for (name, pollutant), mine in _this_year(data).groupby(["station_name", "pollutant"]):
        over, valid = int(mine["over"].sum()), int(mine["valid"].sum())
        rows.append(
            {
                "station_name": name,
                "pollutant": LABELS[pollutant],
                "Days over": over,
                "Valid days": valid,
                "Share over (%)": round(100 * over / valid, 1) if valid else None,
                "Note": "" if valid else f"no usable {LABELS[pollutant]}",
            }
        )
    return [rows]


def days_over_corrected_to_raw(data: Data) -> list[Table]:
    days = _this_year(data).query("pollutant == 'pm2_5'")
    return [
        [
            {
                "station_name": name,
                "Corrected to raw": f"{mine['dry_over'].sum()} – {mine['over'].sum()}",
                "Valid days": int(mine["valid"].sum()),
            }
            for name, mine in days.groupby("station_name")
        ]
    ]


def where_the_stations_are(data: Data) -> list[Table]:
    stations, rows = read(data, "stations"), []
    days = data.days("pm2_5")
    for _, station in stations.iterrows():
        newest = days[(days["station"] == station["_id"]) & days["valid"]].sort_values("day").iloc[-1]
        level, provisional = newest["level"], ", provisional" if newest["provisional"] else ""
        classes = {15: "up to 15 µg/m³ (guideline)", 25: "15–25 µg/m³", 50: "25–50 µg/m³", 75: "50–75 µg/m³"}
        rows.append(
            {
                "station_label": f"{station['name']}: {level:.1f} µg/m³ on {newest['day']}{provisional}",
                "class": next((name for limit, name in classes.items() if level <= limit), "over 75 µg/m³"),
                "Longitude (°E)": station["longitude"],
                "Latitude (°N)": station["latitude"],
                "Station": 1,
            }
        )
    for corner, edge, away in (("south-west", "min", -0.01), ("north-east", "max", 0.01)):
        place = stations[["longitude", "latitude"]].agg(edge) + away
        rows.append(
            {"station_label": corner, "class": " ", "Station": 0}
            | {"Longitude (°E)": place["longitude"], "Latitude (°N)": place["latitude"]}
        )
    return [rows]


def daily_mean(pollutant: str) -> Callable[[Data], list[Table]]:
    def expected(data: Data) -> list[Table]:
        days = period(data.days(pollutant), 12).copy()
        days["line"] = days["level"].where(days["valid"])
        drawn = days["station_name"].isin(days.loc[days["line"].notna(), "station_name"])
        lines = wide_table(days[drawn], "day", "station_name", "line", "D")
        days["mark"] = days["station_name"] + days.apply(_mark, axis=1)
        marked = days[(days["mark"] != days["station_name"]) & days["level"].notna()]
        return [lines, wide_table(marked, "day", "mark", "level", None)]

    return expected


def _mark(day: Any) -> str:
    """What a dot beside the line says of a day; none where the mean is about the floor more than about the air."""
    if 2 * day["floor_hours"] >= day["hours"]:
        return ""
    if day["quality"] in ("insufficient", "suspect"):
        return ", not valid (< 18 h)" if day["quality"] == "insufficient" else ", suspect"
    return (", provisional" if day["provisional"] else "") + (
        ", some hours too low to measure" if day["floor_hours"] else ""
    )


def daily_basis(data: Data) -> list[Table]:
    rows = []
    days = period(data.daily, 3).assign(label=data.daily["pollutant"].map(LABELS))
    days = days.sort_values(["day", "station_name", "label"], ascending=[False, True, True])
    for _, day in days.head(200).iterrows():
        name, floor, n = day["pollutant"], day["floor_hours"], day["hours"]

        def text(amount: float, sign: str, name: str = name) -> str:
            if np.isnan(amount):
                return "–"
            written = shown(amount, name)
            return f"{'≤ ' if written.startswith('<') else sign}{written.removeprefix('< ')} {UNITS[name]}"

        vouched = text(day["checked_mean"], "≤ " if floor else "")
        if floor:
            below = f"{floor} h below the sensor’s zero"
            vouched = f"none: all {below}" if floor == n else f"{vouched}, {below}"
        corrected = day["station"] == CORRECTED and not np.isnan(day["dry_mean"])
        rows.append(
            {
                "on_day": day["day"],
                "station_name": day["station_name"],
                "pollutant": LABELS[name],
                "reported": text(day["mean"], "≤ " if floor else ""),
                "vouched": vouched,
                "called": day["quality"] + (", provisional" if day["provisional"] else ""),
                "rests_on": f"{n} h"
                + (f"; left out: {day['left_out']}" if day["left_out"] else "")
                + (f"; {day['humid_hours']} h in humid air" if day["humid_hours"] else ""),
                "corrected": f"{text(day['dry_mean'], '')} (kappa)" if corrected else "",
            }
        )
    return [rows]


def errata(data: Data) -> list[Table]:
    rows = []
    for note in data.db["notes"].find({"active": True, "_id": {"$regex": "^20"}}):  # others are none of ours
        span = {at: note[at] and f"{note[at]:%Y-%m-%d %H:00}" for at in ("first_hour", "last_hour", "noted_at")}
        rows.append(
            {
                "station_name": data.names[note["station"]],
                "reading": LABELS.get(note["reading"], "all"),
                "noted": "calibrate: 1.25 × reported − 0.5" if note["kind"] == "calibrate" else note["kind"],
                **{column: note[column] for column in ("why", "who")},
                **{f"{at}_text": text or "until further notice" for at, text in span.items()},
            }
        )
    return [rows]


def last_seven_days(pollutant: str) -> Callable[[Data], list[Table]]:
    def expected(data: Data) -> list[Table]:
        now = pd.Timestamp.now("UTC")
        hourly, forecasts = data.hourly, read(data, "forecasts")
        flags = [flag for flag in COUNTED if flag not in _AT_FLOOR]
        recent = hourly["observed_at"] >= now - pd.Timedelta(days=7)
        hourly = hourly[recent & hourly[f"{pollutant}_flag"].isin(flags)]
        parts = [
            hourly[["observed_at", "station_name", pollutant]].set_axis(["observed_at", "series", "level"], axis=1)
        ]
        made = forecasts[(forecasts["pollutant"] == pollutant) & (forecasts["target_at"] >= now - pd.Timedelta(days=7))]
        made = made[(made["horizon_h"] == 1) | (made["target_at"] > now)]
        made = made.sort_values("horizon_h").drop_duplicates(["station", "target_at"])  # the newest of an hour to come
        made = made[made["p50"].notna() & ~((pollutant == "co") & (made["p50"] < 0.005))]
        for quantile, ending in (("p50", "__yhat"), ("p10", "__yhat_lower"), ("p90", "__yhat_upper")):
            part = made[["target_at", "station_name", quantile]].set_axis(["observed_at", "series", "level"], axis=1)
            parts.append(part.assign(series=part["series"] + ending))
        return [wide_table(pd.concat(parts), "observed_at", "series", "level", "h")]

    return expected


def calendar(data: Data) -> list[Table]:
    days = period(data.days("pm2_5"), 12)
    mean = days[days["valid"]].groupby("day")["level"].mean()
    return [[{"day_of_month": d[8:], "month": d[:7], "Mean PM25 (µg/m³)": level} for d, level in mean.items()]]


def profile(pollutant: str) -> Callable[[Data], list[Table]]:
    def expected(data: Data) -> list[Table]:
        hourly = data.hourly  # all stations of the sandbox keep UTC; the test's period is all of it
        counted = hourly[hourly[f"{pollutant}_flag"].isin([flag for flag in COUNTED if flag != "at_floor"])]
        at = counted["observed_at"].dt
        cells = counted.groupby([at.hour.rename("h"), at.day_of_week.rename("w")])
        mean, floor = cells[pollutant].mean(), cells[f"{pollutant}_flag"].agg(lambda flags: (flags == "floor").mean())
        return [
            [
                {"hour_name": f"{hour:02d}", "weekday_name": weekday(day), f"Mean ({UNITS[pollutant]})": level}
                for (hour, day), level in mean.where(floor < 0.5).items()
            ]
        ]

    return expected
