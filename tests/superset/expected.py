"""What each chart must show, computed in pandas.

Readings, means and flags follow from the sandbox's raw answers. What the pipeline alone knows (loads, forecasts,
scores, coverage) is taken from MongoDB's collections, not from the views made for the charts.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from tests.superset import expected_days as of_days
from tests.superset import expected_readings as of_readings
from tests.superset.raw import BANDS, DOUBTED, FAILED, LABELS, TEST_TEXTS, TESTS, ZONES, Data
from tests.superset.tables import (
    Ordered,
    Table,
    at_hour,
    clock,
    label,
    millis,
    number,
    on_date,
    read,
    say,
    weekday,
    wide_table,
)

Expected = Callable[[Data, str], list[Table]]


def state(data: Data, lang: str) -> list[Table]:
    loads = read(data, "loads").query("kind == 'day'")
    written, newest = loads["loaded_at"].max(), loads["through"].max()
    assert datetime.now(UTC) - newest < timedelta(hours=4), "the test's data are to be fresh"
    text = say(lang, "Readings up to %s UTC, updated at %s.")
    text %= at_hour(lang, newest + pd.Timedelta(hours=1)), clock(lang, written)
    return [[{"sentence": f"{text} {say(lang, 'All readings are provisional for eight days.')}"}]]


def ages(data: Data, lang: str) -> list[Table]:
    loads = read(data, "loads")
    now, rows = pd.Timestamp.now("UTC"), Ordered()
    for kind, what, newest in (
        ("day", "Readings: newest hour fetched", "through"),
        ("forecast", "Forecast: newest hour it was made from", "issued_at"),
    ):
        mine = loads[loads["kind"] == kind]
        hour, written = mine[newest].max(), mine["loaded_at"].max()
        hour = data.hourly["observed_at"].max() if kind == "day" else hour
        rows.append(
            {
                "what": say(lang, what),
                "newest_hour": _moment(lang, hour),
                "hours_old": (now - hour) / pd.Timedelta(hours=1) - 1,
                "written": _moment(lang, written),
            }
        )
    return [rows]


def completeness(data: Data, lang: str) -> list[Table]:
    name = say(lang, "Hours received, %")
    return [
        [
            {
                **{"on_day": row["day"], "station_name": row["station_name"]},
                name: 100 * row["ok_hours"] / (_asked(row) if row["day"] == f"{datetime.now(UTC):%Y-%m-%d}" else 24),
            }
            for _, row in read(data, "coverage").iterrows()
        ]
    ]


def _asked(row: Any) -> int:
    return int(row["ok_hours"] + row["absent_hours"] + row["failed_hours"])


def hours(data: Data, lang: str) -> list[Table]:
    sums = read(data, "coverage").groupby("day")[["ok_hours", "absent_hours", "failed_hours"]].sum().astype(float)
    sums = sums.reset_index()
    sums["day"] = millis(sums["day"])
    names = [say(lang, text) for text in ("Received", "No row at the source", "Request failed")]
    return [sums.set_axis(["day", *names], axis=1).to_dict("records")]


#: What a reason begins with → what it is called.
REASONS = {
    "no row": "no row at the source",
    "ServerError": "an error at the source",
    "SourceTimeoutError": "no answer in time",
    "NotAskedError": "no answer in time",
    "UnreachableError": "the source cannot be reached",
    "CredentialsError": "the source refuses our credentials",
    "RateLimitedError": "too many requests for the source",
    "UnknownStationError": "the source does not know the station",
    "WrongStationError": "the answer is another station’s",
    "NotJSONError": "the answer cannot be read",
    "UnexpectedShapeError": "the answer cannot be read",
    "AnswerTooLargeError": "the answer cannot be read",
    "RequestRefusedError": "the source refuses the request",
    "ReportedError": "the source refuses the request",
    "NotOverError": "the answer came before the hour was over",
}


def reasons(data: Data, lang: str) -> list[Table]:
    rows = read(data, "coverage")
    rows = rows[rows["reason"] != ""].assign(missing=rows["absent_hours"] + rows["failed_hours"])
    classes = rows["reason"].map(lambda reason: say(lang, REASONS.get(reason.split(":")[0], "another reason")))
    sums = rows.groupby(classes)["missing"].sum()
    assert len(sums) > 3, "the site has several reasons"
    return [[{"why": why, say(lang, "Missing hours"): count} for why, count in sums.items()]]


def when_missing(data: Data, lang: str) -> list[Table]:
    """The hours for which `coverage` counts, in which no row came; by the station's time."""
    there = set(zip(data.hourly["station"], data.hourly["observed_at"], strict=True))
    counts: dict[tuple[int, int], int] = {}
    for _, row in read(data, "coverage").iterrows():
        asked = int(row["ok_hours"] + row["absent_hours"] + row["failed_hours"])
        for at in pd.date_range(row["day"], periods=asked, freq="h", tz="UTC"):
            if (row["station"], at) not in there:
                local = at.tz_convert(ZONES[row["station"]])
                counts[local.hour, local.day_of_week] = counts.get((local.hour, local.day_of_week), 0) + 1
    name = say(lang, "Missing hours")
    return [
        [
            {"hour_name": f"{hour:02d}", "weekday_name": weekday(lang, day), name: count}
            for (hour, day), count in counts.items()
        ]
    ]


def tests(data: Data, lang: str) -> list[Table]:
    """Hours by the digits of `<reading>_tests`, of all readings."""
    codes = {DOUBTED: say(lang, "suspect (3): counts"), FAILED: say(lang, "failed (4): left out")}
    columns = [column for column in data.hourly.columns if column.endswith("_tests")]
    assert len(columns) == 8
    counts: dict[str, dict[str, float]] = {}
    for digits in data.hourly[columns].to_numpy().ravel():
        for test, digit in zip(TESTS, digits, strict=True):
            if digit in codes:
                row = counts.setdefault(say(lang, TEST_TEXTS[test]), {})
                row[codes[digit]] = row.get(codes[digit], 0) + 1
    return [[{"test_name": test} | dict.fromkeys(codes.values()) | row for test, row in counts.items()]]


#: What readings without a daily mean are called.
_LABELS = {"t": "T", "rh": "RH", "t_int": "T int"}


def _moment(lang: str, at: Any) -> str:
    return f"{on_date(lang, at)}, {clock(lang, at)}"


def errata(data: Data, lang: str) -> list[Table]:
    texts = {"invalidate": "does not count", "restore": "counts after all", "comment": "comment"}
    rows = []
    for note in data.db["notes"].find({"active": True, "_id": {"$regex": "^20"}}):  # others are none of ours
        noted = say(lang, texts.get(note["kind"], "calibrated"))
        if note["kind"] == "calibrate":
            noted += say(lang, ": %s × reported %s %s") % (number(lang, 1.25, 2), "−", number(lang, 0.5, 2))
        last = note["last_hour"]
        rows.append(
            {
                "noted_at_text": on_date(lang, note["noted_at"]),
                "station_name": data.names[note["station"]],
                "of_reading": label(lang, note["reading"]) if note["reading"] in LABELS else say(lang, "all readings"),
                "noted": noted,
                "first_hour_text": _moment(lang, note["first_hour"]),
                "last_hour_text": _moment(lang, last) if last else say(lang, "until further notice"),
                **{column: note[column] for column in ("why", "who")},
            }
        )
    return [rows]


def revisions(data: Data, lang: str) -> list[Table]:
    rows = read(data, "revisions")
    names = rows["reading"].map(lambda name: label(lang, name) if name in LABELS else _LABELS[name])
    counts = rows.groupby([rows["seen_at"].dt.strftime("%Y-%m-%d").rename("seen_at"), names.rename("series")]).size()
    return [wide_table(counts.rename("n").astype(float).reset_index(), "seen_at", "series", "n", None)]


def score(compute: Callable[[pd.DataFrame], float]) -> Expected:
    """A line for each pollutant and horizon, of the windows of seven days."""

    def expected(data: Data, lang: str) -> list[Table]:
        rows = read(data, "forecast_scores").query("window_days == 7")
        ahead = say(lang, ", %d h ahead")
        series = [label(lang, p) + ahead % h for p, h in zip(rows["pollutant"], rows["horizon_h"], strict=True)]
        points = [(*key, compute(of)) for key, of in rows.groupby(["day", pd.Series(series, rows.index)])]
        return [wide_table(pd.DataFrame(points, columns=["day", "series", "y"]), "day", "series", "y", "D")]

    return expected


def _skill(of: pd.DataFrame) -> float:
    return float(100 * (1 - (of["n"] * of["mae"]).sum() / (of["n"] * of["mae_persistence"]).sum()))


def _inside(of: pd.DataFrame) -> float:
    return float(100 * (of["n"] * of["coverage80"]).sum() / of["n"].sum())


def skill_by_horizon(data: Data, lang: str) -> list[Table]:
    rows = read(data, "forecast_scores").query("window_days == 1")
    wide: dict[int, dict[str, Any]] = {}
    for (horizon, pollutant), of in rows.groupby(["horizon_h", "pollutant"]):
        wide.setdefault(horizon, {"horizon": f"{horizon:2d} h"})[label(lang, pollutant)] = _skill(of)
    assert len(wide) > 1, "the site has several horizons"
    every = {column: None for row in wide.values() for column in row}
    return [[every | row for row in wide.values()]]


def models(data: Data, lang: str) -> list[Table]:
    rows = Ordered()
    for model in data.db.models.find(sort=[("_id", -1)]):
        outcome = say(lang, "kept back: the one in use stays")
        if model["promoted"]:
            outcome = say(lang, "promoted on %s") % on_date(lang, model["promoted_at"])
        skill = "–" if model["skill"] is None else number(lang, 100 * model["skill"], 1)
        row = {"_id": model["_id"], "trained": _moment(lang, model["trained_at"]), "rows": model["rows"]}
        rows.append(row | {"skill_percent": skill, "outcome": outcome})
    return [rows]


#: Every chart of the dashboards → what its API answer must hold: a table for each of its queries.
EXPECTED: dict[str, Expected] = {
    "state": state,
    "now": of_readings.now,
    "others_now": of_readings.others_now,
    "index_now": of_readings.index_now,
    **{f"last_48_hours_{name}": of_readings.last_48_hours(name) for name in LABELS},
    **{f"days_{name}": of_days.days(name) for name in LABELS},
    **{f"months_{name}": of_days.months(name) for name in BANDS},
    **{f"calendar_{name}": of_days.calendar(name) for name in BANDS},
    **{f"profile_{name}": of_readings.profile(name) for name in LABELS},
    "guideline_year": of_days.guideline_year,
    "map": of_readings.where,
    "ages": ages,
    "sensors": of_readings.sensors,
    "days_and_basis": of_days.days_and_basis,
    "corrected_to_raw": of_days.corrected_to_raw,
    "completeness": completeness,
    "hours": hours,
    "reasons": reasons,
    "when_missing": when_missing,
    "tests": tests,
    "floor_and_humid": of_days.floor_and_humid,
    "errata": errata,
    "revisions": revisions,
    "skill": score(_skill),
    "skill_by_horizon": skill_by_horizon,
    "coverage": score(_inside),
    "reliability": of_days.reliability,
    "models": models,
}
#: Columns that tell an age: they grow while the test runs (hours, rounded to a tenth by the chart).
AGES = {"hours_old"}
