"""Damaged staged files, in process; tests/drills/test_damage.py has all kinds, with MongoDB and the commands."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow.parquet as pq
import pytest
from support.damage import DAMAGES
from support.inprocess import Stages, configured

from airqino.sandbox.server import Sandbox

STATIONS = ("283181971", "283164601")
DAYS = (date(2026, 3, 10), date(2026, 3, 11))
HOURS = tuple(datetime(2026, 3, 10, 20, tzinfo=UTC) + timedelta(hours=h) for h in range(8))
SERVICE = {"valid_from": f"{HOURS[0]:%Y-%m-%dT%H}", "valid_to": f"{HOURS[-1]:%Y-%m-%dT%H}", "time_zone": "UTC"}
OPTIONS = {f"stations.{s}": SERVICE for s in STATIONS} | {"airqino": {"retries": "0", "requests_per_second": "1000"}}
NOW = datetime(2026, 4, 1, 0, 5, tzinfo=UTC)
KINDS = {
    "raw": "2026-03-10/raw/21.parquet",
    "hourly": "2026-03-10/hourly.parquet",
    "daily": "2026-03-11/daily.parquet",
    "station": f"stations/{STATIONS[0]}.parquet",
}


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stages, dict[str, Any]]]:
    """Two days, all of whose hours are final."""
    folder, options = tmp_path_factory.mktemp("damaged"), {"AIRQINO_STATIONS": ",".join(STATIONS)}
    with Sandbox(now=NOW) as api, configured(folder, OPTIONS, **options):
        for number, station in enumerate(STATIONS):
            for hour in HOURS:
                values = {"CO": 0.1 * hour.hour, "PM2.5": 5.0 + number + hour.hour, "PM10": 90.0}
                api.override(station, hour, values)
        stages = Stages(folder / "staging", api.url)
        assert stages.run(NOW, DAYS, HOURS)
        yield stages, stages.state()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_one_more_run_ends_as_if_nothing_had_been_damaged(
    staged: tuple[Stages, dict[str, Any]], kind: str, damage: str
) -> None:
    stages, before = staged
    path, station = stages.root / KINDS[kind], pq.read_table(stages.root / KINDS["station"]).to_pylist()
    whole = path.read_bytes()
    DAMAGES[damage](path)
    damaged = path.read_bytes()
    assert damaged != whole
    if kind == "station":  # it is read, and written, where the station is asked
        (stages.root / KINDS["raw"]).unlink()
    assert stages.run(NOW + timedelta(hours=1), DAYS, HOURS)
    assert stages.state() == before
    assert pq.read_table(stages.root / KINDS["station"]).to_pylist() == station
    (kept,) = (p for p in (stages.root / "quarantine").rglob("*") if p.is_file() and p.read_bytes() == damaged)
    kept.unlink()


def test_the_means_are_those_of_the_source(staged: tuple[Stages, dict[str, Any]]) -> None:
    """What the damaged files are compared with is right: the hours of each day, averaged by hand."""
    _, state = staged
    for day, hours in zip(DAYS, (HOURS[:4], HOURS[4:]), strict=True):
        means = {row["station"]: row["pm2_5_mean"] for row in state[f"{day}/daily.parquet"]}
        expected = 5.0 + sum(hour.hour for hour in hours) / 4
        assert means == {STATIONS[0]: pytest.approx(expected), STATIONS[1]: pytest.approx(expected + 1)}
