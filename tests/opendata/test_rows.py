"""Rows of tables that an older version staged: what it did not know is not there, nothing looks better than it is."""

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from airqino.opendata.about import Location
from airqino.opendata.columns import plain
from airqino.opendata.fields import PUBLISHED, TABLES
from airqino.opendata.rows import changed_readings, daily_rows, forecast_rows, hourly_rows, said
from airqino.source.raw import REVISION_SCHEMA

AT = datetime(2024, 3, 1, 12, tzinfo=UTC)
HERE = {"1": Location("Port")}


def test_hours_without_tests_and_without_what_was_reported() -> None:
    row = {"station": "1", "observed_at": AT, "status": "ok", "final": False, "co": 0.0, "co_flag": "ok", "pm2_5": 8.5}
    table = pa.Table.from_pylist([row | {"pm2_5_flag": "ok", "no2": 3.0}, row | {"station": "2"}])
    found = {row["parameter"]: row for row in hourly_rows(table, HERE).to_pylist()}
    assert set(found) == {"co", "pm25", "no2"}
    assert (found["pm25"]["value"], found["pm25"]["reported_value"], found["pm25"]["tests"]) == (8.5, 8.5, None)
    assert (found["co"]["value"], found["co"]["reported_value"]) == (None, 0.0)
    assert (found["no2"]["value"], found["no2"]["flag"]) == (None, None)  # no flag says that it counts
    assert found["pm25"]["provisional"] is True


def test_daily_means_without_a_checked_mean() -> None:
    row = {"station": "1", "day": date(2024, 3, 1), "pm2_5_mean": 9.0, "pm2_5_hours": 24, "pm2_5_quality": "ok"}
    table = pa.Table.from_pylist([row | {"provisional": False}])
    (pm,) = (row for row in daily_rows(table, HERE).to_pylist() if row["parameter"] == "pm25")
    assert (pm["value"], pm["reported_value"], pm["quality"], pm["expected_hours"]) == (None, 9.0, "ok", None)


def test_no_rows_are_a_table_all_the_same() -> None:
    schemas = {
        "hourly": (hourly_rows, {"station": "", "observed_at": AT, "status": "", "final": True}),
        "daily": (daily_rows, {"station": "", "day": AT.date(), "provisional": True}),
        "forecasts": (
            forecast_rows,
            {"station": "", "pollutant": "", "issued_at": AT, "target_at": AT, "horizon_h": 1, "method": ""}
            | dict.fromkeys(("p10", "p50", "p90"), 1.0),
        ),
    }
    for name, (make, row) in schemas.items():
        made = make(pa.Table.from_pylist([row]), HERE)
        assert (len(made), made.schema) == (0, TABLES[name].schema)
    assert len(changed_readings(REVISION_SCHEMA.empty_table(), HERE)) == len(said([], HERE)) == 0


def test_a_revision_of_raw_counts_is_not_published_and_a_withdrawn_value_is_empty() -> None:
    rows = [
        {"station": "1", "observed_at": AT, "reading": name, "old": 2.0, "new": None, "seen_at": AT}
        for name in (*PUBLISHED, "t_int")
    ]
    found = changed_readings(pa.Table.from_pylist(rows, schema=REVISION_SCHEMA), HERE).to_pylist()
    assert len(found) == len(PUBLISHED)
    assert {(row["old_value"], row["new_value"], row["kind"], row["location"]) for row in found} == {
        (2.0, None, "revision", "Port")
    }


@pytest.mark.parametrize(
    ("text", "meant"),
    [("=1+1", "'=1+1"), ("@x", "'@x"), (" a\nb ", "a b"), ("3 - 2", "3 - 2"), ("\t-2", "'-2"), ("", "")],
)
def test_no_text_is_a_formula(text: str, meant: str) -> None:
    assert plain(text) == meant
