"""How status looks: 80 columns, nothing cut that matters, commands whole."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from airqino.times import format_hour
from tasks.cli.overview import show

NOW = datetime(2026, 5, 7, 3, 5, tzinfo=UTC)
HOUR = datetime(2026, 5, 7, 2, tzinfo=UTC)
LONG = "scripts/rerun FetchHour --hour 2026-05-06T02..2026-05-06T12,2026-05-06T20..2026-05-07T02 --backfill"


def station(number: int, age: float | None = 0.0, **missing: int) -> dict[str, Any]:
    counts = {"never_asked": 0, "failed": 0, "absent": 0, "settled": 0, "first_day": None, "last_day": None}
    return {
        "station": f"{283000000 + number}",
        "name": f"Station number {number} of the upper town",
        "newest_hour": HOUR - timedelta(hours=age) if age is not None else None,
        "age_hours": age,
        "missing": counts | missing,
        "gaps": [
            {
                "reason": "station off",
                "detail": "",
                "first": HOUR - timedelta(hours=n + 2),
                "last": HOUR,
                "hours": n + 3,
            }
            for n in range(number % 3)
        ],
    }


def found(stations: list[dict[str, Any]], **other: Any) -> dict[str, Any]:
    total = {
        "never_asked": 5,
        "failed": 1,
        "absent": 9,
        "settled": 4,
        "first_day": "2026-05-01",
        "last_day": "2026-05-06",
    }
    return {
        "now": NOW,
        "last_hour": HOUR,
        "project": "AQ54",
        "stations": stations,
        "open": total,
        "needs": [],
        "skill": {"pm2_5": 0.123, "co": -0.05},
        "champion": "2026-05-04",
        "runs": [
            {"command": "hourly", "began_at": NOW, "seconds": 4.0, "outcome": "exit 30", "reason": "[api] is away"}
        ],
        "mongodb": "ok",
        "last_load": NOW,
        "sensor_faults": {"283000001": {"co": "at_floor"}},
        "older_version_days": 3,
        "unstaged_days": 0,
        "published": None,
        "disk": {"free_share": 0.5, "free_bytes": 5e9, "growth_bytes_per_day": 1e3, "days_until_full": 5e6,
                 "staging_bytes": 7_000_000},
        "database": {"database_bytes": 900_000},
        **other,
    }  # fmt: skip


def screen(what: dict[str, Any], everything: bool = False) -> list[str]:
    out = io.StringIO()
    show(what, Console(file=out, width=80, highlight=False), everything)
    return out.getvalue().splitlines()


def test_on_eighty_columns_no_hour_and_no_command_is_cut() -> None:
    need = {"kind": "task_failed", "title": "FetchHour failed [twice] for 2026-05-06", "since": NOW, "command": LONG}
    lines = screen(
        found([station(1, 0.0), station(2, 14.0, never_asked=14)], needs=[need | {"urgent": True, "text": ""}])
    )
    assert f"    {LONG}" in lines
    assert [line for line in lines if len(line.rstrip()) > 80] == [f"    {LONG}"]
    text = "\n".join(lines)
    assert "1 thing to do now:" in text
    assert "FetchHour failed [twice]" in text  # no markup
    assert format_hour(HOUR) in text
    assert format_hour(HOUR - timedelta(hours=14)) in text
    assert "all of it comes with: scripts/backfill" in text
    assert "enough for more than 10 years" in " ".join(text.split())
    assert "PM2.5 +0.12" in text
    assert "CO -0.05" in text
    assert "exit 30 in 4 s: [api] is away" in text


def test_what_is_for_a_working_day_is_told_apart() -> None:
    need = {"kind": "sensor_dead", "title": "CO sensor is at its floor", "since": None, "command": "scripts/status"}
    lines = screen(found([station(1)], needs=[need | {"urgent": False, "text": ""}]))
    assert "nothing needs you now" in lines
    assert "for a working day: CO sensor is at its floor" in lines


@pytest.mark.parametrize("everything", [False, True])
def test_of_a_large_network_the_worst_stations_are_shown(everything: bool) -> None:
    stations = [station(n, 0.0) for n in range(200)] + [station(200, None), station(201, 30.0)]
    lines = screen(found(stations), everything)
    text = "\n".join(lines)
    assert ("and 190 more: scripts/status --all" in text) is not everything
    assert "(283000200)" in text
    assert "(283000201)" in text
    assert (len(lines) < 60) is not everything
