"""The questions and the verdicts: each habit of the sandbox is told apart, alone and with others."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airqino.errors import RateLimitedError, ServerError, SourceError, SourceTimeoutError
from airqino.sandbox import series
from airqino.sandbox.habits import Habits
from airqino.sandbox.server import Sandbox
from airqino.source.client import Client
from airqino.source.probe import verdicts
from airqino.source.questions import ask
from airqino.source.seen import Asked, Seen
from airqino.times import DAY, HOUR

A = "283181971"
NOW = datetime(2024, 9, 9, 10, 30, tzinfo=UTC)

#: The whole verdict on the sandbox without habits, and on each habit what is different.
ORDINARY = {
    "answers": "holds: as documented: # rows read",
    "dates": "holds: honoured",
    "start_date": "holds: inclusive: the hour of start_date comes",
    "end_date": "holds: inclusive: the hour of end_date comes",
    "time zone": "holds: UTC",
    "hour": "holds: named by its beginning",
    "running hour": "holds: shown: runs leave it out",
    "longest span": "holds: a year comes whole: # rows",
    "empty window": "holds: 200 without rows",
    "unknown station": "holds: HTTP 404",
    "rate limit": "holds: # requests in # s, none refused",
    "clock": "holds: agrees with ours within 1 s",
}
UNTRIED = "not known: could not be tried"
AHEAD = {
    "time zone": "not known: UTC, or UTC+1 with hours named by their beginning",
    "hour": "does not hold: named by its end, or in UTC+1",
}
EITHER = "not known: its beginning or its end, as the time zone is"
HABITS: dict[str, dict[str, str]] = {
    "": {},
    "end_exclusive": {"end_date": "holds: exclusive: runs ask for 59 minutes more"},
    "start_exclusive": {"start_date": "holds: exclusive: runs ask for a minute more"},
    "dates_ignored": {
        "dates": "does not hold: ignored: the same # rows come for any dates",
        **dict.fromkeys(("start_date", "end_date", "longest span", "empty window"), UNTRIED),
    },
    "oldest:500": {
        "longest span": "does not hold: at most 500 rows come, fewer than 31 days have",
        "running hour": "not known: newest row: 2024-09-03 17:00",
    },
    "newest:500": {"longest span": "does not hold: at most 500 rows come, fewer than 31 days have"},
    "oldest:1000": {"longest span": "holds: 31 days come whole; at most 1000 rows"},
    "newest:1000": {"longest span": "holds: 31 days come whole; at most 1000 rows"},
    "longest:100": {"longest span": "holds: 31 days come; a year: HTTP 400"},
    "longest:10": {"longest span": "does not hold: 31 days: HTTP 400; 7 come"},
    "zone:2": {"time zone": "does not hold: UTC+2 (named by its end: UTC+1)", "hour": EITHER},
    "zone:-3": {"time zone": "does not hold: UTC-3 (named by its end: UTC-4)", "hour": EITHER},
    "zone:5.5": {
        "answers": "does not hold: no timestamp names an hour: 2024-08-10 10:30:00",
        "time zone": "does not hold: UTC+5.5 (named by its end: UTC+4.5)",
        "hour": EITHER,
    },
    "zone:1": AHEAD,
    "hour_by_end": AHEAD,
    "no_running_hour": {"running hour": "holds: no row of it came"},
    "no_future": {},
    "no_rows:204": {"empty window": "holds: 204 without rows"},
    "no_rows:404": {"empty window": "does not hold: HTTP 404"},
    "no_rows:400": {"empty window": "does not hold: HTTP 400"},
    "unknown_station:200": {"unknown station": "does not hold: 200 without rows"},
    "unknown_station:400": {"unknown station": "does not hold: HTTP 400"},
    # several at once
    "end_exclusive zone:2 no_running_hour": {
        "end_date": "holds: exclusive: runs ask for 59 minutes more",
        "time zone": "does not hold: UTC+2 (named by its end: UTC+1)",
        "hour": EITHER,
        "running hour": "holds: no row of it came",
    },
    "start_exclusive end_exclusive newest:500 hour_by_end unknown_station:200": {
        "start_date": "holds: exclusive: runs ask for a minute more",
        "end_date": "holds: exclusive: runs ask for 59 minutes more",
        "longest span": "does not hold: at most 500 rows come, fewer than 31 days have",
        "unknown station": "does not hold: 200 without rows",
        **AHEAD,
    },
    "dates_ignored newest:1000 zone:-3": {
        "dates": "does not hold: ignored: the same 1000 rows come for any dates",
        **dict.fromkeys(("start_date", "end_date", "longest span", "empty window"), UNTRIED),
        "time zone": "does not hold: UTC-3 (named by its end: UTC-4)",
        "hour": EITHER,
    },
}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A year of the sandbox's own series, thinned out before the last 40 days, for the tests' time."""
    folder = tmp_path_factory.mktemp("replay")
    rows = [
        {name: row[name] for name in ("timestamp", "PM2.5", "T")} for row in series.rows(A, NOW - 400 * DAY, NOW, NOW)
    ]
    (folder / f"{A}.json").write_text(json.dumps({"header": series.header(A), "data": rows}))
    (folder / "7.json").write_text(json.dumps({"header": {"station_name": "silent"}, "data": []}))
    with Sandbox(folder, now=NOW) as running:
        yield running


def asked(sandbox: Sandbox, habits: str, stations: tuple[str, ...] = (A,)) -> tuple[str, Seen]:
    sandbox.habits = Habits.parse(habits.split())
    sandbox.reset()
    with Client(sandbox.url, retries=0, concurrency=1, requests_per_second=1000) as client:
        return ask(client, stations, 31, lambda: NOW)


def told(seen: Seen) -> dict[str, str]:
    """The verdicts; counts of rows and requests that are no limits are left out."""
    lines = {verdict.name: f"{verdict.outcome}: {verdict.seen}" for verdict in verdicts(seen)}
    for name in ("answers", "rate limit"):
        lines[name] = re.sub(r"\d+ (rows|requests|s,)", r"# \1", lines[name])
    return {name: re.sub(r"\b(?!1000 )\d{4} rows", "# rows", line) for name, line in lines.items()}


@pytest.mark.parametrize("habits", HABITS)
def test_each_habit_is_told_apart(sandbox: Sandbox, habits: str) -> None:
    _, seen = asked(sandbox, habits)
    assert told(seen) == ORDINARY | HABITS[habits]
    assert seen.requests <= 10


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sets(
        st.sampled_from(["start_exclusive", "end_exclusive", "no_running_hour", "unknown_station:200", "no_rows:404"])
    ),
    st.sampled_from(["", "oldest:500", "newest:500", "newest:1000"]),
    st.sampled_from(["", "zone:2", "zone:-3", "hour_by_end"]),
)
def test_habits_together_are_told_as_each_alone(sandbox: Sandbox, some: set[str], span: str, name: str) -> None:
    expected = dict(ORDINARY)
    for habit in (*some, name, span):
        expected |= HABITS[habit]
    _, seen = asked(sandbox, " ".join((*some, name, span)))
    found = told(seen)
    if (
        span == "oldest:500"
    ):  # the running hour is beyond the rows that come, and the newest of them depends on the rest
        del expected["running hour"], found["running hour"]
    assert found == expected


def test_the_first_station_with_rows_is_asked(sandbox: Sandbox) -> None:
    assert asked(sandbox, "", ("9", "7", A))[0] == A
    station, seen = asked(sandbox, "", ("9", "7"))
    assert (station, seen.requests) == ("7", 2)
    (answers, *others) = told(seen).values()
    assert answers == "does not hold: no rows in 31 days"
    assert {line for line in others if not line.startswith("holds")} == {UNTRIED}
    with pytest.raises(SourceError, match="HTTP 404"):
        asked(sandbox, "", ("9",))


def test_an_api_that_has_a_fault_is_not_asked_for_every_station(sandbox: Sandbox) -> None:
    sandbox.add_fault("server_error")
    with pytest.raises(ServerError):
        asked(sandbox, "", ("9", "7", A))
    sandbox.clear_faults()
    assert sandbox.stats()["by_station"] == {"9": 4}


@pytest.mark.parametrize(
    ("header", "told_"),
    [
        ({}, "not known: no raw rows: the station has no name"),
        ({"station_name": "x/../y"}, "not known: raw rows do not tell"),
        ({"station_name": 7}, "not known: no raw rows: HTTP 404"),
    ],
)
def test_stations_whose_raw_rows_tell_nothing(tmp_path: Path, header: dict[str, object], told_: str) -> None:
    rows = [{"timestamp": f"2024-09-09 {hour:02}:00:00", "CO": 0.5} for hour in range(10)]
    (tmp_path / "5.json").write_text(json.dumps({"header": header, "data": rows}))
    with Sandbox(tmp_path, now=NOW) as server:
        assert verdict(asked(server, "", ("5",))[1], "hour") == told_


@pytest.mark.parametrize("days", [20, 31, 60])
def test_a_young_station_is_no_limit(tmp_path: Path, days: int) -> None:
    rows = [{"timestamp": f"{(NOW - n * HOUR):%Y-%m-%d %H}:00:00", "CO": 0.5} for n in reversed(range(days * 24))]
    (tmp_path / "5.json").write_text(json.dumps({"header": {"station_name": "young"}, "data": rows}))
    with Sandbox(tmp_path, now=NOW) as server:
        _, seen = asked(server, "", ("5",))
    assert seen.before is not None
    assert verdict(seen, "longest span") in {f"holds: a year comes whole: {n} rows" for n in (days * 24, "#")}


def test_a_request_that_is_refused_for_its_rate_waits_and_is_told(sandbox: Sandbox) -> None:
    sandbox.add_fault("rate_limited", times=1, seconds=0)
    _, seen = asked(sandbox, "")
    assert told(seen) == ORDINARY | {"rate limit": "does not hold: 429 at request 1, Retry-After 0 s"}


def test_clocks_that_differ(sandbox: Sandbox) -> None:
    """What is running is told by the API's clock."""
    sandbox.habits = None
    with Client(sandbox.url, retries=0, requests_per_second=1000) as client:
        _, seen = ask(client, (A,), 31, lambda: NOW + timedelta(minutes=90))
    assert told(seen) == ORDINARY | {"clock": "does not hold: the API's is 90 min behind ours"}


# --- verdicts on what no sandbox does

HOURS = [datetime(2024, 9, 9, tzinfo=UTC) + n * HOUR for n in range(11)]
SEEN = Seen(NOW, 31, Asked(NOW - 31 * DAY, NOW, {hour: {} for hour in HOURS}), 31)


def verdict(seen: Seen, name: str) -> str:
    return told(seen)[name]


def test_a_time_zone_without_raw_rows() -> None:
    assert verdict(SEEN, "time zone") == "not known: newest row +0 h from the running hour"
    ahead = replace(SEEN, now=NOW - 3 * HOUR)
    assert verdict(ahead, "time zone") == "does not hold: newest row 3 h after the running hour"
    assert verdict(ahead, "running hour") == verdict(ahead, "hour") == "not known: no raw rows: none came"
    few = replace(SEEN, raw={NOW: {"t": 1.0}})
    assert verdict(few, "hour") == "not known: raw rows do not tell"


def test_dates_in_another_zone_than_timestamps() -> None:
    bounds = Asked(HOURS[1], HOURS[3], {hour: {} for hour in HOURS[3:6]})
    seen = replace(SEEN, bounds=bounds)
    assert verdict(seen, "dates") == "does not hold: asked for 09 01:00–09 03:00, got 09 03:00–09 05:00"
    assert verdict(seen, "end_date") == UNTRIED
    nothing = replace(SEEN, bounds=Asked(HOURS[1], HOURS[3]))
    assert verdict(nothing, "dates") == "does not hold: no rows for three hours that have some"


def test_an_answer_that_says_nothing_about_the_question_is_no_verdict() -> None:
    late = Asked(HOURS[0], HOURS[1], status=None, error=SourceTimeoutError("no answer within 30 s"))
    limited = replace(late, status=429, error=RateLimitedError("HTTP 429: too many requests"))
    seen = replace(SEEN, gap=late, nowhere=limited, year=late, bounds=late)
    silence = "not known: no answer within 30 s"
    assert [verdict(seen, name) for name in ("empty window", "longest span", "dates", "start_date")] == [silence] * 4
    assert verdict(seen, "unknown station") == "not known: HTTP 429"
    broken = replace(late, status=500, error=ServerError("HTTP 500"))
    assert verdict(replace(SEEN, nowhere=broken), "unknown station") == "does not hold: HTTP 500"


def test_clocks_and_caches() -> None:
    seen = replace(SEEN, offset=timedelta(seconds=-70), age=40.0)
    assert verdict(seen, "clock") == "holds: agrees with ours within 70 s; answers up to 40 s old (Age)"
    seen = replace(SEEN, offset=timedelta(minutes=-3))
    assert verdict(seen, "clock") == "does not hold: the API's is 3 min ahead of ours"
    assert verdict(SEEN, "clock") == "not known: the API does not say the time"
