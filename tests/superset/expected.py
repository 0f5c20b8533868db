"""What each chart must show, computed in pandas: readings, means and flags from the sandbox's raw answers.

What the pipeline alone knows (loads, forecasts, scores, coverage) is taken from MongoDB's collections, not from the
views made for the charts.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from tests.superset.raw import BANDS, CORRECTED, COUNTED, LABELS, LEVELS, UNITS, Data, index_level, number

Table = list[dict[str, Any]]

#: Flags of an hour that is no number: it lies below the sensor's zero.
_AT_FLOOR = ("floor", "at_floor")
WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]


def read(data: Data, collection: str) -> pd.DataFrame:
    """A collection as a data frame, each document with the present name of its station."""
    frame = pd.DataFrame(list(data.db[collection].find()))
    if "station" in frame:
        frame["station_name"] = frame["station"].map(data.names)
    return frame


def _days(frame: pd.DataFrame, months: int, column: str = "day") -> pd.DataFrame:
    """The rows of the period that the dashboard opens with."""
    today = pd.Timestamp.now("UTC").normalize().tz_localize(None)
    start = f"{today - pd.DateOffset(months=months):%Y-%m-%d}"
    return frame[(frame[column] >= start) & (frame[column] <= f"{today:%Y-%m-%d}")]


def _millis(moments: pd.Series) -> pd.Series:
    return pd.to_datetime(moments, utc=True).map(lambda moment: moment.timestamp() * 1000)


def _wide(frame: pd.DataFrame, x: str, series: str, y: str, step: str | None) -> Table:
    """Rows by x, a column for each series, gaps filled up with empty rows."""
    wide = frame.pivot(index=x, columns=series, values=y).sort_index()
    if step:
        wide = wide.set_index(pd.to_datetime(wide.index, utc=True)).asfreq(step)
    wide.index = pd.Index(_millis(pd.Series(wide.index)), name=x)
    return wide.reset_index().to_dict("records")


def state_of_the_data(data: Data) -> list[Table]:
    loads = read(data, "loads").query("kind == 'day'")
    written, newest = loads["loaded_at"].max(), loads["through"].max()
    assert datetime.now(UTC) - newest < timedelta(hours=4), "the test's data are to be fresh"
    text = f"Last updated on {written:%d.%m.%Y at %H:%M UTC}. The newest readings are those of the hour from "
    text += f"{newest:%H:00 UTC on %d.%m.%Y}. Those of the last eight days are provisional: the source may still "
    return [[{"sentence": f"{text}change them."}]]


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
                "last_hour": missing if level is None else f"{number(level, pollutant)} {UNITS[pollutant]}",
                "trend": _trend(hours, pollutant),
                "measured": _measured(last),
            }
            of = forecasts[(forecasts["station"] == station) & (forecasts["pollutant"] == pollutant)]
            of = of[of["issued_at"] == of["issued_at"].max()]
            for ahead in (1, 2):
                next_ = _next(of[of["horizon_h"] == ahead], pollutant, last, now)
                row[f"next_{ahead}h"] = next_ if pollutant in ("pm2_5", "co") else "–"
            rows.append(row)
    return [rows]


def _next(forecast: pd.DataFrame, pollutant: str, last: pd.Timestamp, now: pd.Timestamp) -> str:
    if forecast.empty or pd.isna(forecast["p50"].iloc[0]) or forecast["target_at"].iloc[0] <= last:
        return "no forecast"
    if forecast["target_at"].iloc[0] < now - pd.Timedelta(hours=2):
        return "none yet"
    p10, p50, p90 = (number(forecast[p].iloc[0], pollutant) for p in ("p10", "p50", "p90"))
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
            if not found and flags and flags[-1] == "stuck":
                found = "stuck: the same reading for hours"
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
        days = _days(data.days(pollutant), 12).copy()
        days["line"] = days["level"].where(days["valid"])
        lines = _wide(days, "day", "station_name", "line", "D")
        days["mark"] = days["station_name"] + days.apply(_mark, axis=1)
        marked = days[(days["mark"] != days["station_name"]) & days["level"].notna()]
        return [lines, _wide(marked, "day", "mark", "level", None)]

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
    days = _days(data.daily, 3).assign(label=data.daily["pollutant"].map(LABELS))
    days = days.sort_values(["day", "station_name", "label"], ascending=[False, True, True])
    for _, day in days.head(200).iterrows():
        name, floor, n = day["pollutant"], day["floor_hours"], day["hours"]

        def text(amount: float, sign: str, name: str = name) -> str:
            return "–" if np.isnan(amount) else f"{sign}{number(amount, name)} {UNITS[name]}"

        vouched = text(day["checked_mean"], "≤ " if floor else "")
        if floor:
            below = f"{floor} h below the sensor’s zero"
            vouched = f"none: all {below}" if floor == n else f"{vouched}, {below}"
        corrected = day["station"] == CORRECTED and name == "pm2_5" and n
        rows.append(
            {
                "on_day": day["day"],
                "station_name": day["station_name"],
                "pollutant": LABELS[name],
                "reported": text(day["mean"], "≤ " if floor or (name == "co" and day["mean"] == 0) else ""),
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
    return [
        [
            {
                "station_name": data.names[note["station"]],
                "pollutant": LABELS[note["reading"]],
                **{column: note[column] for column in ("kind", "why", "who")},
                **{f"{at}_text": f"{note[at]:%Y-%m-%d %H:00}" for at in ("first_at", "last_at", "noted_at")},
            }
            for note in data.db["notes"].find()
        ]
    ]


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
        made = made[((made["horizon_h"] == 1) | (made["target_at"] > now)) & made["p50"].notna()]
        for quantile, ending in (("p50", "__yhat"), ("p10", "__yhat_lower"), ("p90", "__yhat_upper")):
            part = made[["target_at", "station_name", quantile]].set_axis(["observed_at", "series", "level"], axis=1)
            parts.append(part.assign(series=part["series"] + ending))
        return [_wide(pd.concat(parts), "observed_at", "series", "level", "h")]

    return expected


def calendar(data: Data) -> list[Table]:
    days = _days(data.days("pm2_5"), 12)
    mean = days[days["valid"]].groupby("day")["level"].mean()
    return [[{"day_of_month": d[8:], "month": d[:7], "Mean PM25 (µg/m³)": level} for d, level in mean.items()]]


def _weekday(number: int) -> str:
    """Monday is 0; the blanks before the name make the chart's order."""
    return " " * number + WEEKDAYS[number]


def profile(pollutant: str) -> Callable[[Data], list[Table]]:
    def expected(data: Data) -> list[Table]:
        hourly = data.hourly  # all stations of the sandbox keep UTC; the test's period is all of it
        counted = hourly[hourly[f"{pollutant}_flag"].isin([flag for flag in COUNTED if flag != "at_floor"])]
        at = counted["observed_at"].dt
        cells = counted.groupby([at.hour.rename("h"), at.day_of_week.rename("w")])
        mean, floor = cells[pollutant].mean(), cells[f"{pollutant}_flag"].agg(lambda flags: (flags == "floor").mean())
        return [
            [
                {"hour_name": f"{hour:02d}", "weekday_name": _weekday(day), f"Mean ({UNITS[pollutant]})": level}
                for (hour, day), level in mean.where(floor < 0.5).items()
            ]
        ]

    return expected


def age_of_the_data(data: Data) -> list[Table]:
    loads = read(data, "loads")
    now, rows = pd.Timestamp.now("UTC"), []
    for kind, what, newest in (
        ("day", "Readings: newest hour fetched", "through"),
        ("forecast", "Forecast: newest hour it was made from", "issued_at"),
    ):
        mine = loads[loads["kind"] == kind]
        hour, written = mine[newest].max(), mine["loaded_at"].max()
        rows.append(
            {
                "what": what,
                "newest_hour": f"{hour:%Y-%m-%d %H:00}",
                "hours_old": (now - hour) / pd.Timedelta(hours=1) - 1,
                "written": f"{written:%Y-%m-%d %H:%M}",
                "hours_since_load": (now - written) / pd.Timedelta(hours=1),
            }
        )
    return [rows]


def _coverage(data: Data) -> pd.DataFrame:
    return _days(read(data, "coverage"), 3)


def completeness(data: Data) -> list[Table]:
    rows = _coverage(data)
    asked = rows["ok_hours"] + rows["absent_hours"] + rows["failed_hours"]
    shares = zip(_millis(rows["day"]), rows["station_name"], 100 * rows["ok_hours"] / asked, strict=True)
    return [[{"day": day, "station_name": name, "Received (%)": share} for day, name, share in shares]]


def received_and_missing(data: Data) -> list[Table]:
    sums = (
        _coverage(data).groupby("day")[["ok_hours", "absent_hours", "failed_hours"]].sum().astype(float).reset_index()
    )
    sums["day"] = _millis(sums["day"])
    return [sums.set_axis(["day", "Received", "No row at the source", "Request failed"], axis=1).to_dict("records")]


def why_missing(data: Data) -> list[Table]:
    rows = _coverage(data)
    rows = rows[rows["reason"].fillna("") != ""].assign(missing=rows["absent_hours"] + rows["failed_hours"])
    grouped = rows.groupby(["station_name", "reason"])["missing"].agg(["size", "sum"]).reset_index()
    return [grouped.set_axis(["station_name", "why", "Days", "Missing hours"], axis=1).to_dict("records")]


def _missing(data: Data) -> pd.DataFrame:
    """Hours of the period for which `coverage` counts, in which no document came."""
    hourly = data.hourly
    there = set(zip(hourly["station_name"], hourly["observed_at"], strict=True))
    rows = []
    for _, row in _coverage(data).iterrows():
        hours = pd.date_range(
            row["day"], periods=row["ok_hours"] + row["absent_hours"] + row["failed_hours"], freq="h", tz="UTC"
        )
        rows += [(row["station_name"], hour, (row["station_name"], hour) not in there) for hour in hours]
    return pd.DataFrame(rows, columns=["name", "at", "missing"])


def missing_by_pattern(data: Data) -> list[Table]:
    hours, rows = _missing(data), []
    night, weekend = ~hours["at"].dt.hour.between(6, 21), hours["at"].dt.day_of_week >= 5
    for name, mine in hours.groupby("name"):
        shares = [mine[mask.loc[mine.index]]["missing"].mean() for mask in (night, ~night, weekend, ~weekend)]
        warning = ""
        if pattern := _worse(shares[0], shares[1], "nights are", "daytime is"):
            warning = f"⚠ {pattern} missing "
        if pattern := _worse(shares[2], shares[3], "weekends are", "weekdays are"):
            warning += f"⚠ {pattern} missing"
        columns = ("Night (%)", "Daytime (%)", "Weekend (%)", "Weekdays (%)")
        percent = {column: round(100 * share, 1) for column, share in zip(columns, shares, strict=True)}
        rows.append({"station_name": name, **percent, "Warning": warning})
    return [rows]


def _worse(one: float, other: float, name_one: str, name_other: str) -> str:
    if one >= 2 * other and one - other >= 0.05:
        return name_one
    return name_other if other >= 2 * one and other - one >= 0.05 else ""


def when_missing(data: Data) -> list[Table]:
    hours = _missing(data)
    at = hours[hours["missing"]]["at"].dt
    counts = pd.Series(1, index=[at.hour, at.day_of_week]).groupby(level=[0, 1]).size()
    return [
        [
            {"hour_name": f"{hour:02d}", "weekday_name": _weekday(day), "Missing hours": count}
            for (hour, day), count in counts.items()
        ]
    ]


def flags_by_kind(data: Data) -> list[Table]:
    hourly = _days(data.hourly, 3)
    names = {"t_int": "T int.", "pm2_5": "PM2.5"}
    flags = [column for column in hourly.columns if column.endswith("_flag")]
    long = hourly.melt(value_vars=flags, var_name="reading", value_name="flag").query("flag != 'ok'")
    long["pollutant"] = long["reading"].str.removesuffix("_flag").map(lambda name: names.get(name, name.upper()))
    wide = long.assign(flag=long["flag"].str.replace("_", " ")).pivot_table(
        index="pollutant", columns="flag", values="reading", aggfunc="size"
    )
    return [wide.astype(float).reset_index().to_dict("records")]


def revisions(data: Data) -> list[Table]:
    rows = read(data, "revisions")
    rows["day"] = rows["seen_at"].dt.strftime("%Y-%m-%d")
    rows["pollutant"] = rows["reading"].map(lambda name: LABELS.get(name, name.upper()))
    counts = _days(rows, 3).groupby(["day", "pollutant"]).size().rename("n").reset_index()
    wide = counts.pivot(index="day", columns="pollutant", values="n").astype(float).reset_index()
    return [wide.assign(seen_at=_millis(wide["day"])).drop(columns="day").to_dict("records")]


def score(column: str, compute: Callable[[pd.DataFrame], float]) -> Callable[[Data], list[Table]]:
    def expected(data: Data) -> list[Table]:
        rows = _days(read(data, "forecast_scores"), 3).query("window_days == 7")
        series = rows["pollutant"].map(LABELS) + ", " + rows["horizon_h"].astype(str) + " h ahead"
        points = [(day, name, compute(of)) for (day, name), of in rows.groupby([rows["day"], series])]
        return [_wide(pd.DataFrame(points, columns=["day", "series", column]), "day", "series", column, "D")]

    return expected


def _skill(of: pd.DataFrame) -> float:
    return float(100 * (1 - (of["n"] * of["mae"]).sum() / (of["n"] * of["mae_persistence"]).sum()))


def _inside(of: pd.DataFrame) -> float:
    return float(100 * (of["n"] * of["coverage80"]).sum() / of["n"].sum())


def model_versions(data: Data) -> list[Table]:
    rows = []
    for model in data.db.models.find(sort=[("_id", -1)]):
        kept = f"kept back: {model['reason'] or 'not better'}"
        outcome = f"promoted {model['promoted_at']:%Y-%m-%d %H:%M}" if model["promoted"] else kept
        trained = f"{model['trained_at']:%Y-%m-%d %H:%M}"
        skill = None if model["skill"] is None else round(100 * model["skill"], 1)
        rows.append(
            {"_id": model["_id"], "trained": trained, "rows": model["rows"], "skill_percent": skill, "outcome": outcome}
        )
    return [rows]


#: Every chart of both dashboards → what its API answer must hold: a table for each of its queries.
EXPECTED: dict[str, Callable[[Data], list[Table]]] = {
    "State of the data": state_of_the_data,
    "Now and the next two hours": now_and_the_next_two_hours,
    "European Air Quality Index": air_quality_index,
    **{
        f"Daily mean {label}" if name != "o3" else "Daily O3: highest 8-hour mean": daily_mean(name)
        for name, label in LABELS.items()
    },
    **{
        f"Last 7 days{' and forecast' if name in ('pm2_5', 'co') else ''}: {label}": last_seven_days(name)
        for name, label in LABELS.items()
    },
    "Calendar of daily PM2.5": calendar,
    **{f"Day and week: {label}": profile(name) for name, label in LABELS.items()},
    "Days over the WHO guideline this year": days_over,
    "Where the stations are": where_the_stations_are,
    "Sensors to have checked": sensors_to_have_checked,
    "Daily means and what they rest on": daily_basis,
    "Days over the PM2.5 guideline, corrected to raw": days_over_corrected_to_raw,
    "Errata": errata,
    "Age of the data": age_of_the_data,
    "Completeness by station and day": completeness,
    "Hours received and missing": received_and_missing,
    "Why hours are missing": why_missing,
    "Hours missing by pattern": missing_by_pattern,
    "When hours are missing": when_missing,
    "Flags by kind": flags_by_kind,
    "Revisions by day seen": revisions,
    "Forecast skill against persistence": score("skill", _skill),
    "Coverage of the 80 % band": score("coverage", _inside),
    "Model versions": model_versions,
}
#: Columns that tell an age: they grow while the test runs (hours, rounded to a tenth by the chart).
AGES = {"hours_old", "hours_since_load"}
