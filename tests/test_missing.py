"""What is missing since the first staged hour, by the files and by MongoDB, against counts by hand."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from pymongo import MongoClient
from support.inprocess import Stages, configured, forget

from airqino.sandbox.mongod import Mongod
from airqino.sandbox.server import Sandbox
from airqino.stores.paths import Paths
from tasks.missing import MissingHours, in_all, missing_hours, overdue_hours
from tasks.settings.sections import Station

ONE, OTHER = "283181971", "283164601"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FIRST = datetime(2026, 3, 10, tzinfo=UTC)
NOW = FIRST + 20 * DAY + HOUR / 10


@pytest.fixture
def api() -> Iterator[Sandbox]:
    with Sandbox(now=NOW) as server:
        yield server


@pytest.fixture
def stages(tmp_path: Path, api: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stages]:
    options = {f"stations.{station}": {"time_zone": "UTC"} for station in (ONE, OTHER)}
    options["airqino"] = {"retries": "0", "requests_per_second": "1000"}
    with configured(tmp_path, options, AIRQINO_STATIONS=f"{ONE},{OTHER}"):
        for station in (ONE, OTHER):
            for n in range(48):
                values = {"CO": 0.4, "PM2.5": 5.0 + n + int(station) % 3} if n not in (5, 6, 30) else None
                api.override(station, FIRST + n * HOUR, values)
        api.add_fault("server_error", station=OTHER)
        monkeypatch.setenv("STAGING_ROOT", f"{tmp_path / 'staging'}")
        yield Stages(tmp_path / "staging", api.url)


def hours(first: int, last: int) -> tuple[datetime, ...]:
    return tuple(FIRST + n * HOUR for n in range(first, last + 1))


def test_a_table_of_another_kind_under_the_name_of_the_hourly_one_stops_nothing(stages: Stages) -> None:
    assert stages.run(NOW, (FIRST.date(),), hours(0, 23))
    paths = Paths(stages.root)
    before = missing_hours(paths, {ONE: Station()}, FIRST + 23 * HOUR)
    paths.hourly(FIRST.date()).write_bytes(paths.daily(FIRST.date()).read_bytes())
    forget()
    assert missing_hours(paths, {ONE: Station()}, FIRST + 23 * HOUR) == before


@pytest.mark.parametrize("tables_only", [False, True])
def test_by_the_files(stages: Stages, api: Sandbox, tables_only: bool) -> None:
    """A day that was fetched, of one station in vain, one that was not, and one of which half is left."""
    days = (FIRST.date(),)
    assert stages.run(NOW, days, hours(0, 23))
    service = {ONE: Station(), OTHER: Station(valid_from="2026-03-10T12")}
    last = FIRST + 3 * DAY - HOUR if tables_only else FIRST + DAY + 11 * HOUR

    def found() -> MissingHours:
        return in_all(missing_hours(Paths(stages.root), service, last, tables_only))

    never = 0 if tables_only else 2 * 12  # with tables only, what is younger than two days is left out
    by_day = date(2026, 3, 10), date(2026, 3, 10) if tables_only else date(2026, 3, 11)
    assert found() == (never, 12, 2, 0, *by_day)
    api.now = NOW + 25 * HOUR
    assert stages.run(api.now, days, hours(0, 23))
    assert found() == (never, 12, 2, 2, *by_day)  # the absent ones are settled
    of = missing_hours(Paths(stages.root), service, last, tables_only)
    days = (None, None) if tables_only else (by_day[1], by_day[1])
    assert of == {ONE: (never // 2, 0, 2, 2, *days), OTHER: (never // 2, 12, 0, 0, *by_day)}


def test_nothing_is_missing_where_nothing_is_staged(tmp_path: Path) -> None:
    assert missing_hours(Paths(tmp_path), {ONE: Station()}, FIRST) == {ONE: MissingHours()}


def test_of_days_that_hourly_runs_do_not_look_after(
    stages: Stages, mongod: Mongod, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MongoDB tells which days may lack something, the files whether they do."""
    assert stages.run(NOW, (FIRST.date(),), hours(0, 23))
    assert stages.run(NOW, (FIRST.date() + DAY,), hours(24, 40))
    name = f"test_missing_{id(stages)}"
    moment = FIRST + 12 * DAY + HOUR / 10
    monkeypatch.setenv("MONGODB_URI", mongod.uri)
    monkeypatch.setenv("MONGODB_DATABASE", name)
    monkeypatch.setenv("AIRQINO_NOW", f"{moment:%Y-%m-%dT%H:%M}")

    def day(station: str, number: int, ok: int, absent: int, failed: int) -> dict[str, object]:
        counts = {"ok_hours": ok, "absent_hours": absent, "failed_hours": failed}
        return {"station": station, "day": f"{FIRST.date() + number * DAY}", **counts}

    with MongoClient(mongod.uri) as client:
        try:
            # its 9 days begin on the 12th at 23:00: the 10th and the 11th are older, and staged though not loaded.
            # A day that was averaged has asked for all its hours; one station failed for both days
            expected = (0, 48, 3, 0, date(2026, 3, 10), date(2026, 3, 11))
            assert overdue_hours() == expected
            client[name]["coverage"].insert_many(
                [day(ONE, 0, 22, 2, 0), day(OTHER, 0, 20, 4, 0), day(ONE, 1, 24, 0, 0)]
            )
            # what MongoDB calls whole is not read
            assert overdue_hours() == (0, 24, 1, 0, date(2026, 3, 11), date(2026, 3, 11))
        finally:
            client.drop_database(name)
