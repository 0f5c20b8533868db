"""What the charts of days and the year must show, computed in pandas from the sandbox's raw answers."""

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from tests.superset.raw import ANNUAL, CORRECTED, FLAG_TEXTS, GUIDELINES, LABELS, UNITS, ZONES, Data
from tests.superset.tables import (
    Ordered,
    Table,
    digits,
    label,
    millis,
    nothing,
    number,
    on_date,
    read,
    say,
    shown,
    wide_table,
)


def _today(station: str) -> pd.Timestamp:
    return pd.Timestamp.now(ZONES[station]).tz_localize(None).normalize()


def _is_floor_day(days: pd.DataFrame) -> pd.Series:
    return (days["hours"] > 0) & (2 * days["floor_hours"] >= days["hours"]) & (days["pollutant"] == "co")


def days(pollutant: str) -> Callable[[Data, str], list[Table]]:
    """A line through the valid days, and dots of those of which something is to be said."""

    def expected(data: Data, lang: str) -> list[Table]:
        frame = data.days(pollutant)
        low = (frame["pollutant"] == "co") & (frame["level"] < 0.005)
        frame = frame[frame["level"].notna() & ~low & ~_is_floor_day(frame)].copy()
        lines = wide_table(frame[frame["valid"]], "day", "station_name", "level", "D")
        frame["mark"] = [_mark(lang, day) for _, day in frame.iterrows()]
        marked = frame[frame["mark"] != ""].assign(series=frame["station_name"] + frame["mark"])
        return [lines, wide_table(marked, "day", "series", "level", None)]

    return expected


def _mark(lang: str, day: Any) -> str:
    """What a dot beside the line says of a day."""
    if day["quality"] in ("insufficient", "suspect"):
        return say(lang, ", fewer than 18 h" if day["quality"] == "insufficient" else ", suspect")
    text = (", provisional" if day["provisional"] else "") + (
        ", some hours too low to measure" if day["floor_hours"] else ""
    )
    return say(lang, text) if text else ""


def calendar(pollutant: str) -> Callable[[Data, str], list[Table]]:
    """The valid days of each station."""

    def expected(data: Data, lang: str) -> list[Table]:
        frame = data.days(pollutant)
        return [
            [
                {
                    "day_of_month": row["day"][8:],
                    "month": f"{row['station_name']} {row['day'][:7]}",
                    say(lang, "Mean"): _rounded_up(row["level"]),
                }
                for _, row in frame[frame["valid"]].iterrows()
            ]
        ]

    return expected


def _rounded_up(level: float) -> tuple[float, ...]:
    """A mean to a tenth, up: 15.01 lies above 15. Of one that is a tenth but for rounding, the next one as well."""
    return (math.ceil(10 * level - 1e-9) / 10, math.ceil(10 * level + 1e-9) / 10)


def months(pollutant: str) -> Callable[[Data, str], list[Table]]:
    """Days over the guideline before today; months before the last twelve are none of the site's."""

    def expected(data: Data, lang: str) -> list[Table]:
        frame = _before_today(data.days(pollutant), 10_000)
        sums = frame.groupby([frame["day"].str[:7] + "-01", "station_name"])["over"].sum().astype(float)
        long = sums.rename("n").rename_axis(["calendar_month", "name"]).reset_index()
        return [wide_table(long, "calendar_month", "name", "n", None)]

    return expected


def _before_today(frame: pd.DataFrame, most: int) -> pd.DataFrame:
    today = frame["station"].map(_today)
    at = pd.to_datetime(frame["day"])
    return frame[(at < today) & (at >= today - timedelta(days=most))]


def _years(data: Data) -> list[tuple[str, str, pd.DataFrame, int]]:
    """Station, pollutant, its days of the last 365 before today, and how many there are since the first."""
    frame = _before_today(data.daily, 365)
    return [
        (f"{station}", f"{name}", mine, (_today(f"{station}") - pd.Timestamp(mine["day"].min())).days)
        for (station, name), mine in frame.groupby(["station", "pollutant"])
    ]


def guideline_year(data: Data, lang: str) -> list[Table]:
    rows = []
    for station, name, mine, total in _years(data):
        valid, over, floor = int(mine["valid"].sum()), int(mine["over"].sum()), int(_is_floor_day(mine).sum())
        mean = mine.loc[mine["valid"], "level"].mean()
        judged = judgement(total, valid, floor)
        notes = {
            "floor": say(lang, "cannot be judged: %d days at the sensor’s floor") % floor,
            "few": say(lang, "fewer than 75 % of the days: does not stand for the year"),
            "none": say(lang, "no valid day"),
        }
        year, annual = "–", ""
        if judged != "floor" and valid:
            year = f"{number(lang, mean, digits(name))} {UNITS[name]}"
        if name in ANNUAL:
            times = number(lang, mean / ANNUAL[name], 1)
            annual = f"{times} × {ANNUAL[name]} {UNITS[name]}" if judged == "yes" else "–"
        rows.append(
            {
                "station_name": data.names[station],
                "pollutant": label(lang, name),
                "over": say(lang, "%d of %d") % (over, valid) if valid and judged != "floor" else "–",
                "limit": f"{GUIDELINES[name]} {UNITS[name]}",
                "valid": 100 * valid // total,
                "year": year,
                "annual": annual,
                "note": notes.get(judged, ""),
            }
        )
    rows.sort(key=lambda row: row["pollutant"], reverse=True)
    return [Ordered(sorted(rows, key=lambda row: row["station_name"]))]


def judgement(total: int, valid: int, floor: int) -> str:
    """Whether a year can be judged, and if not, why."""
    enough = 0.75 * total
    if floor and (floor >= total - enough or valid < enough <= valid + floor):
        return "floor"
    return "none" if not valid else "few" if valid < enough else "yes"


def corrected_to_raw(data: Data, lang: str) -> list[Table]:
    rows = [
        {
            "station_name": data.names[station],
            "dry_to_raw": f"{mine['dry_over'].sum()} – {mine['over'].sum()}",
            "valid_days": int(mine["valid"].sum()),
        }
        for station, name, mine, _ in _years(data)
        if name == "pm2_5"
    ]
    return [Ordered(sorted(rows, key=lambda row: row["station_name"]))]


def days_and_basis(data: Data, lang: str) -> list[Table]:
    frame = data.daily.assign(label=data.daily["pollutant"].map(LABELS))
    frame = frame.sort_values(["day", "station_name", "label"], ascending=[False, True, False])
    return [Ordered(_basis(data, lang, day) for _, day in frame.head(500).iterrows())]


def _basis(data: Data, lang: str, day: Any) -> dict[str, Any]:
    name, floor, hours = day["pollutant"], day["floor_hours"], day["hours"]

    def text(amount: float, bound: bool) -> str:
        if nothing(amount):
            return "–"
        written = shown(lang, amount, name)
        sign = "≤ " if bound or written.startswith("<") else ""
        return f"{sign}{written.removeprefix('<').strip()} {UNITS[name]}"

    vouched = text(day["checked_mean"], floor > 0)
    if floor:
        vouched += say(lang, ", %d h below the sensor’s zero") % floor
        if 2 * floor >= hours:
            vouched = say(lang, "none: %d of %d h below the sensor’s zero") % (floor, hours)
    rests_on = f"{hours} h"
    if day["left_out"]:
        left_out = [part.split(" h ") for part in day["left_out"].split(", ")]
        rests_on += say(lang, "; left out:") + " "
        rests_on += ", ".join(f"{count} h {say(lang, FLAG_TEXTS[flag])}" for count, flag in left_out)
    if day["humid_hours"]:
        rests_on += say(lang, "; %d h in humid air") % day["humid_hours"]
    corrected = day["station"] == CORRECTED and not nothing(day["dry_mean"])
    return {
        "station_name": day["station_name"],
        "on_day": on_date(lang, datetime.fromisoformat(day["day"])),
        "pollutant": label(lang, name),
        "reported": text(day["mean"], floor > 0),
        "vouched": vouched,
        "called": say(lang, day["quality"]) + (say(lang, ", provisional") if day["provisional"] else ""),
        "rests_on": rests_on,
        "corrected": f"{number(lang, day['dry_mean'], 1)} µg/m³ (kappa)" if corrected else "",
    }


def floor_and_humid(data: Data, lang: str) -> list[Table]:
    """Hours of the day, of all stations."""
    frame = data.daily
    particles = frame["humid_hours"].where(frame["pollutant"] == "pm2_5", 0)
    sums = pd.DataFrame({"day": frame["day"], "floor": frame["floor_hours"], "humid": particles}).groupby("day").sum()
    sums = sums.astype(float).reset_index()
    sums["day"] = millis(sums["day"])
    names = [say(lang, "CO at the floor"), say(lang, "Fine particles in humid air")]
    return [sums.set_axis(["day", *names], axis=1).to_dict("records")]


def reliability(data: Data, lang: str) -> list[Table]:
    """The settled, valid days of the last 90 of which the forecast of the hour before 6:00 told a chance."""
    told = read(data, "forecasts").set_index("_id")["day_exceedance"].dropna()
    frame = data.days("pm2_5")
    frame = frame[frame["valid"] & ~frame["provisional"]]
    first = pd.Timestamp.now("UTC") - pd.Timedelta(days=90)
    rows = []
    for _, day in frame[frame["day"] >= f"{first:%Y-%m-%d}"].iterrows():
        issued = pd.Timestamp(f"{day['day']} 05:00", tz=ZONES[day["station"]]).tz_convert("UTC")
        chance = told.get(f"{day['station']}|pm2_5|{issued:%Y-%m-%dT%H}|1")
        if chance is not None:
            rows.append((min(int(5 * chance), 4), chance, bool(day["over"])))
    found = pd.DataFrame(rows, columns=["bin", "chance", "over"]).groupby("bin")
    names = [say(lang, text) for text in ("Mean chance told, %", "Days that exceeded, %", "Number of days")]
    return [
        [
            {"told": f"{20 * of}–{20 * of + 20} %"}
            | dict(zip(names, (100 * mine["chance"].mean(), 100 * mine["over"].mean(), len(mine)), strict=True))
            for of, mine in found
        ]
    ]
