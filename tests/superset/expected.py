"""What each chart must show, computed in pandas.

Readings, means and flags follow from the sandbox's raw answers. What the pipeline alone knows (loads, forecasts,
scores, coverage) is taken from MongoDB's collections, not from the views made for the charts.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pandas as pd

from tests.superset import expected_readings as of_readings
from tests.superset.raw import LABELS, Data
from tests.superset.tables import Table, millis, period, read, weekday, wide_table


def state_of_the_data(data: Data) -> list[Table]:
    loads = read(data, "loads").query("kind == 'day'")
    written, newest = loads["loaded_at"].max(), loads["through"].max()
    assert datetime.now(UTC) - newest < timedelta(hours=4), "the test's data are to be fresh"
    text = f"Last updated on {written:%d.%m.%Y at %H:%M UTC}. The newest readings are those of the hour from "
    text += f"{newest:%H:00 UTC on %d.%m.%Y}. All readings are provisional for eight days."
    return [[{"sentence": text}]]


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
    return period(read(data, "coverage"), 3)


def completeness(data: Data) -> list[Table]:
    rows = _coverage(data)
    asked = rows["ok_hours"] + rows["absent_hours"] + rows["failed_hours"]
    shares = zip(millis(rows["day"]), rows["station_name"], 100 * rows["ok_hours"] / asked, strict=True)
    return [[{"day": day, "station_name": name, "Received (%)": share} for day, name, share in shares]]


def received_and_missing(data: Data) -> list[Table]:
    sums = (
        _coverage(data).groupby("day")[["ok_hours", "absent_hours", "failed_hours"]].sum().astype(float).reset_index()
    )
    sums["day"] = millis(sums["day"])
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
            {"hour_name": f"{hour:02d}", "weekday_name": weekday(day), "Missing hours": count}
            for (hour, day), count in counts.items()
        ]
    ]


def flags_by_kind(data: Data) -> list[Table]:
    hourly = period(data.hourly, 3)
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
    counts = period(rows, 3).groupby(["day", "pollutant"]).size().rename("n").reset_index()
    wide = counts.pivot(index="day", columns="pollutant", values="n").astype(float).reset_index()
    return [wide.assign(seen_at=millis(wide["day"])).drop(columns="day").to_dict("records")]


def score(column: str, compute: Callable[[pd.DataFrame], float]) -> Callable[[Data], list[Table]]:
    def expected(data: Data) -> list[Table]:
        rows = period(read(data, "forecast_scores"), 3).query("window_days == 7")
        series = rows["pollutant"].map(LABELS) + ", " + rows["horizon_h"].astype(str) + " h ahead"
        points = [(day, name, compute(of)) for (day, name), of in rows.groupby([rows["day"], series])]
        return [wide_table(pd.DataFrame(points, columns=["day", "series", column]), "day", "series", column, "D")]

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
    "Now and the next two hours": of_readings.now_and_the_next_two_hours,
    "European Air Quality Index": of_readings.air_quality_index,
    **{
        f"Daily mean {label}" if name != "o3" else "Daily O3: highest 8-hour mean": of_readings.daily_mean(name)
        for name, label in LABELS.items()
    },
    **{
        f"Last 7 days{' and forecast' if name in ('pm2_5', 'co') else ''}: {label}": of_readings.last_seven_days(name)
        for name, label in LABELS.items()
    },
    "Calendar of daily PM2.5": of_readings.calendar,
    **{f"Day and week: {label}": of_readings.profile(name) for name, label in LABELS.items()},
    "Days over the WHO guideline this year": of_readings.days_over,
    "Where the stations are": of_readings.where_the_stations_are,
    "Sensors to have checked": of_readings.sensors_to_have_checked,
    "Daily means and what they rest on": of_readings.daily_basis,
    "Days over the PM2.5 guideline, corrected to raw": of_readings.days_over_corrected_to_raw,
    "Errata": of_readings.errata,
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
