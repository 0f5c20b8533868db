"""An answer that is another station's, from the source to the staged rows."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.inprocess import Stages, configured

from airqino.sandbox.server import Sandbox
from airqino.source.client import Answer, Exchange
from airqino.source.response import parse
from tasks.settings.reading import settings
from tasks.stations import identity, note_place, refuse_others

ONE, OTHER = "283181971", "283164601"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FIRST = datetime(2026, 3, 10, tzinfo=UTC)
PLACES = {ONE: ("Port", 5.36, -3.95), OTHER: ("Hill", 5.40, -3.99)}


@pytest.fixture
def stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stages]:
    """Two stations with a day of readings and a place each."""
    options = {f"stations.{station}": {"time_zone": "UTC"} for station in (ONE, OTHER)}
    options["airqino"] = {"retries": "0", "requests_per_second": "1000"}
    with Sandbox(now=FIRST + DAY + HOUR) as api, configured(tmp_path, options, AIRQINO_STATIONS=f"{ONE},{OTHER}"):
        for station in (ONE, OTHER):
            for n in range(25):
                api.override(station, FIRST + n * HOUR, {"CO": 0.4, "PM2.5": 5.0 + n + int(station) % 7})
        made = Stages(tmp_path / "staging", api.url)
        assert made.run(FIRST + DAY + HOUR / 10, (FIRST.date(),), tuple(FIRST + n * HOUR for n in range(24)))
        monkeypatch.setenv("STAGING_ROOT", f"{made.root}")
        monkeypatch.setenv("AIRQINO_NOW", "2026-03-12T02:05")
        settings.cache_clear()
        for station, place in PLACES.items():
            note_place(station, answer(station, *place, {}), FIRST)
        yield made


def answer(station: str, name: str, latitude: float, longitude: float, rows: dict[datetime, float]) -> Answer:
    """An answer that says so of itself, with PM2.5 by hour."""
    data = ", ".join(f'{{"timestamp": "{at:%Y-%m-%d %H:%M:%S}", "PM2.5": {value}}}' for at, value in rows.items())
    header = f'{{"station_name": "{name}", "station_lat": {latitude}, "station_lon": {longitude}}}'
    return Answer(Exchange(station, "", ""), parse(f'{{"header": {header}, "data": [{data}]}}'.encode()))


def test_an_answer_of_another_is_refused_and_the_other_is_not(stages: Stages) -> None:
    rows = {FIRST + DAY + n * HOUR: 30.0 + n for n in range(26)}
    mixed_up = {station: answer(station, *PLACES[OTHER], rows) for station in (ONE, OTHER)}
    judged = refuse_others(mixed_up, settings())
    assert "that of station" in f"{judged[ONE].error}" or "coordinates of station" in f"{judged[ONE].error}"
    assert judged[ONE].response is None
    assert (judged[OTHER].error, judged[OTHER].response) == (None, mixed_up[OTHER].response)


def test_a_place_is_told_of_now_whatever_hours_were_asked_for(stages: Stages) -> None:
    moved = answer(ONE, "Port", 5.50, -3.95, {})
    note_place(ONE, moved, settings().last_hour)
    history = identity(ONE, settings())["history"]
    assert [row["latitude"] for row in history][-2:] == [5.36, 5.50]
    assert history[-1]["since"] == datetime(2026, 3, 12, 1, tzinfo=UTC)
