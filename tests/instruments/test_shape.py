"""Which fields are missing everywhere, from real raw hours with the records of their requests."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from airqino.source import raw
from airqino.stores import parquet
from airqino.stores.paths import Paths
from airqino.times import hour_range
from tasks import targets
from tasks.instruments.presence import presence
from tasks.instruments.shape import MissingField, Shape, observe_shape
from tasks.settings import reading

FIRST = datetime(2024, 9, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
KEYS = {"co": "CO", "pm2_5": "PM2.5"}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STAGING_ROOT", str(tmp_path))
    reading.settings.cache_clear()
    yield tmp_path
    reading.settings.cache_clear()


def shape_of(last: datetime) -> Shape:
    """Read back what is staged up to an hour."""
    hours = hour_range(FIRST, last)
    return observe_shape(
        presence(hours, {hour: targets.raw_day(hour.date()).rows.tables[hour] for hour in hours}), last
    )


def stage(
    root: Path, *hours: dict[str, tuple[str, ...] | None], unknown: dict[int, tuple[str, ...]], old: bool = False
):
    """Write raw hours: for each, station → the readings that its row has, None for a failed one; and read them back."""
    for i, stations in enumerate(hours):
        at = FIRST + i * HOUR
        rows, exchanges = [], []
        for station, names in stations.items():
            values = dict.fromkeys(names or (), 1.0 + i)
            about = {"station": station, "observed_at": at, "status": "failed" if names is None else "ok"}
            rows.append(dict.fromkeys(raw.SCHEMA.names) | about | {"final": False, "attempts": 0} | values)
            missing = [key for name, key in KEYS.items() if name not in (names or ())]
            fields = {} if old else {"missing_fields": missing, "unknown_fields": unknown.get(i, ())}
            exchanges.append({"station": station} | fields)
        table = pa.Table.from_pylist(rows, schema=raw.SCHEMA)
        parquet.write(Paths(root).raw(at), table, extra={"exchanges": json.dumps(exchanges)})
    return shape_of(FIRST + (len(hours) - 1) * HOUR)


BOTH, NO_PM, NO_CO = ("co", "pm2_5"), ("co",), ("pm2_5",)


def test_a_field_is_missing_where_an_unknown_one_came_in_its_place(root):
    shape = stage(root, {"1": BOTH, "2": BOTH}, {"1": NO_PM, "2": NO_PM}, unknown={1: ("PM25",)})
    assert shape.missing == (MissingField("pm2_5", FIRST, ("PM25",)),)
    assert shape.is_read
    assert {"o3", "rh"} <= shape.not_seen
    assert not {"co", "pm2_5"} & shape.not_seen


def test_a_field_that_one_station_has_is_not_missing(root):
    shape = stage(root, {"1": BOTH, "2": BOTH}, {"1": NO_PM, "2": BOTH}, unknown={1: ("PM25",)})
    assert shape.missing == ()


def test_a_field_that_was_always_unknown_has_not_come_in_the_place_of_another(root):
    shape = stage(root, {"1": BOTH}, {"1": NO_PM}, unknown={0: ("VOC",), 1: ("VOC",)})
    assert shape.missing == ()


def test_one_answer_that_holds_the_last_hour_with_the_old_name_hides_nothing(root):
    hours = [{"1": BOTH}] * 25 + [{"1": NO_PM}]
    shape = stage(root, *hours, unknown={24: ("PM25",), 25: ("PM25",)})
    assert shape.missing == (MissingField("pm2_5", FIRST + 24 * HOUR, ("PM25",)),)


@pytest.mark.parametrize(("stations", "hours", "holds"), [("12", 24, True), ("12", 23, False), ("1", 30, False)])
def test_without_an_unknown_field_it_takes_several_stations_and_a_day_of_rows(root, stations, hours, holds):
    had, has = dict.fromkeys(stations, BOTH), dict.fromkeys(stations, NO_CO)
    shape = stage(root, had, *[has] * hours, unknown={})
    assert shape.missing == ((MissingField("co", FIRST, ()),) if holds else ())


def test_a_station_that_never_had_a_sensor_says_nothing_of_its_field(root):
    shape = stage(root, {"1": BOTH, "2": NO_PM}, *[{"1": NO_PM, "2": NO_PM}] * 30, unknown={})
    assert shape.missing == ()  # one sensor of one station


def test_records_of_the_version_before_know_no_unknown_fields(root):
    stage(root, {"1": BOTH}, unknown={}, old=True)
    at = FIRST + HOUR
    row = dict.fromkeys(raw.SCHEMA.names) | {"station": "1", "observed_at": at, "status": "ok", "co": 1.0}
    extra = {"exchanges": json.dumps([{"station": "1", "missing_fields": ["PM2.5"], "unknown_fields": ["VOC"]}])}
    parquet.write(Paths(root).raw(at), pa.Table.from_pylist([row], schema=raw.SCHEMA), extra=extra)
    assert shape_of(at).missing == ()


def test_nothing_staged_is_nothing_known():
    shape = observe_shape(presence([FIRST], {}), FIRST)
    assert shape == Shape((), shape.not_seen, is_read=False)
    assert len(shape.not_seen) == 8
