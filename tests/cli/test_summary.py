"""What a run says of its means: of a few stations each, of a large network the first and how many more."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.inprocess import Stages, configured

from airqino.sandbox.server import Sandbox
from airqino.times import HOUR, hour_range
from tasks.cli.summary import summary

FIRST = datetime(2026, 3, 10, tzinfo=UTC)
DAYS = tuple((FIRST + timedelta(days=n)).date() for n in range(2))


@pytest.mark.parametrize(("stations", "silent"), [(3, 0), (3, 2), (40, 12)])
def test_a_screen_holds_what_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stations: int, silent: int
) -> None:
    names = [f"{900000000 + n}" for n in range(stations)]
    now = FIRST + timedelta(days=9)
    with Sandbox(now=now) as api, configured(tmp_path, {}, AIRQINO_STATIONS=",".join(names)):
        for n, station in enumerate(names):
            for hour in hour_range(FIRST, FIRST + 47 * HOUR):
                swing = 0.5 if hour.hour % 2 else -0.5
                api.override(station, hour, {"CO": 0.4 + swing / 5, "PM2.5": 5 + n + swing} if n >= silent else None)
        monkeypatch.setenv("STAGING_ROOT", f"{tmp_path / 'staging'}")
        assert Stages(tmp_path / "staging", api.url).run(now, DAYS, tuple(hour_range(FIRST, FIRST + 47 * HOUR)))
        counted, *lines = summary(DAYS)
    came = 48 * (stations - silent)
    assert f"of {48 * stations:,} station-hours {came:,} came, {48 * silent:,} had no row, 0 failed" in counted
    if silent:
        assert lines.pop(0).endswith("no reading")
    if stations == 3:
        assert [line[:10] for line in lines] == [f"{day}" for day in DAYS for _ in range(3 - silent)]
        assert all(f"PM2.5 {5 + silent + n % (3 - silent)}.0" in line for n, line in enumerate(lines)), lines
    else:
        assert len(lines) == 25
        assert "PM2.5 mean 17.0 µg/m³ (plain 17.0) on 2 valid of 2 days" in lines[0]
        assert lines[-1] == "and 4 more stations: the dashboards show them"
