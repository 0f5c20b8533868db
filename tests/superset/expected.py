"""What each chart must show, computed in pandas from MongoDB's collections (not from the views made for the charts)."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

Table = list[dict[str, Any]]

LABELS = {"pm2_5": "PM2.5", "co": "CO"}
WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]


def read(db: Any, collection: str) -> pd.DataFrame:
    """A collection as a data frame, each document with the present name of its station."""
    frame = pd.DataFrame(list(db[collection].find()))
    if "station" in frame:
        names = {station["_id"]: station["name"] for station in db["stations"].find()}
        frame["station_name"] = frame["station"].map(names)
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


def state_of_the_data(db: Any) -> list[Table]:
    loads = read(db, "loads").query("kind == 'day'")
    written, newest = loads["loaded_at"].max(), loads["through"].max()
    assert datetime.now(UTC) - newest < timedelta(hours=4), "the test's data are to be fresh"
    text = f"Last updated on {written:%d.%m.%Y at %H:%M UTC}. The newest readings are those of the hour from "
    return [[{"sentence": text + f"{newest:%H:00 UTC on %d.%m.%Y}."}]]


def _number(number: float, pollutant: str) -> str:
    return f"{number:.{1 if pollutant == 'pm2_5' else 2}f}"


def _trend(hours: pd.DataFrame, pollutant: str) -> str:
    levels = [row[pollutant] if row[f"{pollutant}_flag"] == "ok" else None for _, row in hours.iterrows()]
    before = [level for level in levels[1:4] if level is not None]
    if levels[0] is None or not before:
        return "–"
    change = levels[0] - sum(before) / len(before)
    if abs(change) <= 0.1 * sum(before) / len(before):
        return "→ steady"
    return f"{'↗ +' if change > 0 else '↘ −'}{_number(abs(change), pollutant)}"


def now_and_the_next_two_hours(db: Any) -> list[Table]:
    rows = []
    hourly, forecasts, now = read(db, "hourly_measurements"), read(db, "forecasts"), pd.Timestamp.now("UTC")
    for _, station in read(db, "stations").sort_values("name").iterrows():
        mine = hourly[hourly["station"] == station["_id"]].sort_values("observed_at", ascending=False)
        last = mine["observed_at"].iloc[0]
        recent = mine[mine["observed_at"] > last - pd.Timedelta(hours=4)]
        stale = "⚠ " if now - last > pd.Timedelta(hours=4) else ""
        for pollutant in ("co", "pm2_5"):
            dead = pollutant in station["dead_sensors"]
            unit = "mg/m³" if pollutant == "co" else "µg/m³"
            usable = not dead and recent[f"{pollutant}_flag"].iloc[0] == "ok"
            row = {
                "station_name": station["name"],
                "pollutant": LABELS[pollutant],
                "last_hour": f"{_number(recent[pollutant].iloc[0], pollutant)} {unit}"
                if usable
                else f"no usable {LABELS[pollutant]}",
                "trend": "–" if dead else _trend(recent, pollutant),
                "measured": f"{stale}{last:%d.%m. %H:00}",
            }
            of = forecasts[(forecasts["station"] == station["_id"]) & (forecasts["pollutant"] == pollutant)]
            of = of[of["issued_at"] == of["issued_at"].max()]
            for hours in (1, 2):
                row[f"next_{hours}h"] = _next(of[of["horizon_h"] == hours], pollutant, last, now)
            rows.append(row)
    return [rows]


def _next(forecast: pd.DataFrame, pollutant: str, last: pd.Timestamp, now: pd.Timestamp) -> str:
    if forecast.empty or pd.isna(forecast["p50"].iloc[0]) or forecast["target_at"].iloc[0] <= last:
        return "no forecast"
    if forecast["target_at"].iloc[0] < now - pd.Timedelta(hours=2):
        return "none yet"
    p10, p50, p90 = (_number(forecast[p].iloc[0], pollutant) for p in ("p10", "p50", "p90"))
    return f"{p50}  ({p10} – {p90})"


def days_over(db: Any) -> list[Table]:
    daily = read(db, "daily_averages")
    daily = daily[daily["day"].str[:4] == f"{datetime.now(UTC):%Y}"]
    rows = []
    for name, mine in daily.groupby("station_name"):
        for pollutant, limit in (("co", 4), ("pm2_5", 15)):
            valid = mine[mine[f"{pollutant}_quality"] == "ok"]
            over = int((valid[f"{pollutant}_mean"] > limit).sum())
            rows.append(
                {
                    "station_name": name,
                    "pollutant": LABELS[pollutant],
                    "Days over": over,
                    "Valid days": len(valid),
                    "Share over (%)": round(100 * over / len(valid), 1) if len(valid) else None,
                    "Note": "" if len(valid) else f"no usable {LABELS[pollutant]}",
                }
            )
    return [rows]


def where_the_stations_are(db: Any) -> list[Table]:
    daily, stations, rows = read(db, "daily_averages"), read(db, "stations"), []
    for _, station in stations.iterrows():
        valid = daily[(daily["station"] == station["_id"]) & (daily["pm2_5_quality"] == "ok")].sort_values("day")
        level, day = valid[["pm2_5_mean", "day"]].iloc[-1]
        classes = {15: "up to 15 µg/m³ (guideline)", 25: "15–25 µg/m³", 50: "25–50 µg/m³", 75: "50–75 µg/m³"}
        rows.append(
            {
                "station_label": f"{station['name']}: {level:.1f} µg/m³ on {day}",
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


def daily_mean(pollutant: str) -> Callable[[Any], list[Table]]:
    def expected(db: Any) -> list[Table]:
        daily = _days(read(db, "daily_averages"), 12).copy()
        ok = daily[f"{pollutant}_quality"] == "ok"
        daily["level"] = daily[f"{pollutant}_mean"].where(ok)
        lines = _wide(daily, "day", "station_name", "level", "D")
        insufficient = daily[f"{pollutant}_quality"] == "insufficient"
        daily["mark"] = np.select(
            [insufficient, ok & daily["provisional"].astype(bool)],
            [daily["station_name"] + ", not valid (< 18 h)", daily["station_name"] + ", provisional"],
            "",
        )
        return [lines, _wide(daily[daily["mark"] != ""], "day", "mark", f"{pollutant}_mean", None)]

    return expected


def last_seven_days(pollutant: str) -> Callable[[Any], list[Table]]:
    def expected(db: Any) -> list[Table]:
        now = pd.Timestamp.now("UTC")
        hourly, forecasts = read(db, "hourly_measurements"), read(db, "forecasts")
        hourly = hourly[(hourly["observed_at"] >= now - pd.Timedelta(days=7)) & (hourly[f"{pollutant}_flag"] == "ok")]
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


def calendar(db: Any) -> list[Table]:
    daily = _days(read(db, "daily_averages"), 12)
    mean = daily[daily["pm2_5_quality"] == "ok"].groupby("day")["pm2_5_mean"].mean()
    return [[{"day_of_month": d[8:], "month": d[:7], "Mean PM25 (µg/m³)": level} for d, level in mean.items()]]


def _weekday(number: int) -> str:
    """Monday is 0; the blanks before the name make the chart's order."""
    return " " * number + WEEKDAYS[number]


def profile(pollutant: str, unit: str) -> Callable[[Any], list[Table]]:
    def expected(db: Any) -> list[Table]:
        hourly = read(db, "hourly_measurements")  # all stations of the sandbox keep UTC; the test's period is all of it
        usable = hourly[hourly[f"{pollutant}_flag"] == "ok"]
        at = usable["observed_at"].dt
        mean = usable.groupby([at.hour.rename("h"), at.day_of_week.rename("w")])[pollutant].mean()
        return [
            [
                {"hour_name": f"{hour:02d}", "weekday_name": _weekday(day), f"Mean ({unit})": level}
                for (hour, day), level in mean.items()
            ]
        ]

    return expected


def age_of_the_data(db: Any) -> list[Table]:
    loads = read(db, "loads")
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


def _coverage(db: Any) -> pd.DataFrame:
    return _days(read(db, "coverage"), 3)


def completeness(db: Any) -> list[Table]:
    rows = _coverage(db)
    asked = rows["ok_hours"] + rows["absent_hours"] + rows["failed_hours"]
    shares = zip(_millis(rows["day"]), rows["station_name"], 100 * rows["ok_hours"] / asked, strict=True)
    return [[{"day": day, "station_name": name, "Received (%)": share} for day, name, share in shares]]


def received_and_missing(db: Any) -> list[Table]:
    sums = _coverage(db).groupby("day")[["ok_hours", "absent_hours", "failed_hours"]].sum().astype(float).reset_index()
    sums["day"] = _millis(sums["day"])
    return [sums.set_axis(["day", "Received", "No row at the source", "Request failed"], axis=1).to_dict("records")]


def why_missing(db: Any) -> list[Table]:
    rows = _coverage(db)
    rows = rows[rows["reason"].fillna("") != ""].assign(missing=rows["absent_hours"] + rows["failed_hours"])
    grouped = rows.groupby(["station_name", "reason"])["missing"].agg(["size", "sum"]).reset_index()
    return [grouped.set_axis(["station_name", "why", "Days", "Missing hours"], axis=1).to_dict("records")]


def _missing(db: Any) -> pd.DataFrame:
    """Hours of the period for which `coverage` counts, in which no document came."""
    hourly = read(db, "hourly_measurements")
    there = set(zip(hourly["station_name"], hourly["observed_at"], strict=True))
    rows = []
    for _, row in _coverage(db).iterrows():
        hours = pd.date_range(
            row["day"], periods=row["ok_hours"] + row["absent_hours"] + row["failed_hours"], freq="h", tz="UTC"
        )
        rows += [(row["station_name"], hour, (row["station_name"], hour) not in there) for hour in hours]
    return pd.DataFrame(rows, columns=["name", "at", "missing"])


def missing_by_pattern(db: Any) -> list[Table]:
    hours, rows = _missing(db), []
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


def when_missing(db: Any) -> list[Table]:
    hours = _missing(db)
    at = hours[hours["missing"]]["at"].dt
    counts = pd.Series(1, index=[at.hour, at.day_of_week]).groupby(level=[0, 1]).size()
    return [
        [
            {"hour_name": f"{hour:02d}", "weekday_name": _weekday(day), "Missing hours": count}
            for (hour, day), count in counts.items()
        ]
    ]


def flags_by_kind(db: Any) -> list[Table]:
    hourly = read(db, "hourly_measurements")
    hourly = _days(hourly.assign(utc_day=hourly["observed_at"].dt.strftime("%Y-%m-%d")), 3, "utc_day")
    names = {"t_int": "T int.", "pm2_5": "PM2.5"}
    flags = [column for column in hourly.columns if column.endswith("_flag")]
    long = hourly.melt(value_vars=flags, var_name="reading", value_name="flag").query("flag != 'ok'")
    long["pollutant"] = long["reading"].str.removesuffix("_flag").map(lambda name: names.get(name, name.upper()))
    wide = long.assign(flag=long["flag"].str.replace("_", " ")).pivot_table(
        index="pollutant", columns="flag", values="reading", aggfunc="size"
    )
    return [wide.astype(float).reset_index().to_dict("records")]


def revisions(db: Any) -> list[Table]:
    rows = read(db, "revisions")
    rows["day"] = rows["seen_at"].dt.strftime("%Y-%m-%d")
    rows["pollutant"] = rows["reading"].map(lambda name: LABELS.get(name, name.upper()))
    counts = _days(rows, 3).groupby(["day", "pollutant"]).size().rename("n").reset_index()
    wide = counts.pivot(index="day", columns="pollutant", values="n").astype(float).reset_index()
    return [wide.assign(seen_at=_millis(wide["day"])).drop(columns="day").to_dict("records")]


def score(column: str, compute: Callable[[pd.DataFrame], float]) -> Callable[[Any], list[Table]]:
    def expected(db: Any) -> list[Table]:
        rows = _days(read(db, "forecast_scores"), 3).query("window_days == 7")
        series = rows["pollutant"].map(LABELS) + ", " + rows["horizon_h"].astype(str) + " h ahead"
        points = [(day, name, compute(of)) for (day, name), of in rows.groupby([rows["day"], series])]
        return [_wide(pd.DataFrame(points, columns=["day", "series", column]), "day", "series", column, "D")]

    return expected


def _skill(of: pd.DataFrame) -> float:
    return float(100 * (1 - (of["n"] * of["mae"]).sum() / (of["n"] * of["mae_persistence"]).sum()))


def _inside(of: pd.DataFrame) -> float:
    return float(100 * (of["n"] * of["coverage80"]).sum() / of["n"].sum())


def model_versions(db: Any) -> list[Table]:
    rows = []
    for model in db.models.find(sort=[("_id", -1)]):
        kept = f"kept back: {model['reason'] or 'not better'}"
        outcome = f"promoted {model['promoted_at']:%Y-%m-%d %H:%M}" if model["promoted"] else kept
        trained = f"{model['trained_at']:%Y-%m-%d %H:%M}"
        skill = None if model["skill"] is None else round(100 * model["skill"], 1)
        rows.append(
            {"_id": model["_id"], "trained": trained, "rows": model["rows"], "skill_percent": skill, "outcome": outcome}
        )
    return [rows]


#: Every chart of both dashboards → what its API answer must hold: a table for each of its queries.
EXPECTED: dict[str, Callable[[Any], list[Table]]] = {
    "State of the data": state_of_the_data,
    "Now and the next two hours": now_and_the_next_two_hours,
    "Daily mean PM2.5": daily_mean("pm2_5"),
    "Daily mean CO": daily_mean("co"),
    "Last 7 days and forecast: PM2.5": last_seven_days("pm2_5"),
    "Last 7 days and forecast: CO": last_seven_days("co"),
    "Calendar of daily PM2.5": calendar,
    "Day and week: PM2.5": profile("pm2_5", "µg/m³"),
    "Day and week: CO": profile("co", "mg/m³"),
    "Days over the WHO guideline this year": days_over,
    "Where the stations are": where_the_stations_are,
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
