"""Answers of the API, whatever they are: rows or an error of ours, and no row that could be read is lost."""

import json
import math
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import strategies as st
from support.fuzzing import json_values, outcome, spoiled, tried

from airqino.errors import SourceError
from airqino.sandbox import series
from airqino.source import decoding, listing, raw
from airqino.source.answers import Answer, Exchange
from airqino.source.response import Response, parse

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(3600)]

STATION = "283181971"
BEGIN = datetime(2026, 3, 10, tzinfo=UTC)
NOW = BEGIN + timedelta(days=3)
ROWS = series.rows(STATION, BEGIN, BEGIN + timedelta(hours=5), NOW)
BODY = json.dumps({"header": series.header(STATION), "data": ROWS}).encode()
CHARSETS = st.sampled_from([None, "utf-8", "utf-16", "latin-1", "x" * 50, "rot13", "zlib", "idna", "utf-7", "\x00"])


def stage(response: Response) -> None:
    """Go on with an answer as `FetchHour` does: into a table of the raw hour's schema."""
    answer = Answer(Exchange(STATION, "", ""), response=response)
    rows = []
    for hour in [*answer.readings, BEGIN]:
        found = raw.finding(answer, hour, NOW)
        row, _ = raw.merge(None, STATION, hour, found, raw.Policy())
        again, changes = raw.merge(row, STATION, hour, found, raw.Policy())
        assert changes == []
        assert {name: again[name] for name in raw.SCHEMA.names if name not in raw.BOOKKEEPING} == {
            name: row[name] for name in raw.SCHEMA.names if name not in raw.BOOKKEEPING
        }
        rows.append(row)
    table = pa.Table.from_pylist(rows, schema=raw.SCHEMA)
    assert all(math.isfinite(v) for name in ("co", "pm2_5", "t_int") for v in table[name].to_pylist() if v is not None)
    assert all(len(line) < 5000 for line in response.remarks())


def read(given: tuple[bytes, str | None]) -> None:
    body, charset = given
    decoding.error_text(body, charset)
    for of in (parse, listing.stations, listing.sensors, listing.raw_rows, listing.rows_as_named):
        found, error = outcome(partial(of, body, charset), SourceError)
        assert len(error) < 2000
        if isinstance(found, Response):
            stage(found)


def test_spoiled_bytes() -> None:
    tried(read, st.tuples(spoiled(BODY), CHARSETS))


@st.composite
def one_row_is_bad(draw: st.DrawFn) -> tuple[dict[str, Any], int]:
    """An answer of which one row is anything, or has anything in place of a value."""
    rows, at = [dict(row) for row in ROWS], draw(st.integers(0, len(ROWS) - 1))
    for name in draw(st.lists(st.sampled_from(sorted(rows[at])), min_size=1, max_size=4)):
        rows[at][name] = draw(json_values)
    if draw(st.booleans()):
        rows[at] |= draw(st.dictionaries(st.text(max_size=12), json_values, max_size=3))
    whole = draw(json_values) if draw(st.integers(0, 4)) == 0 else rows[at]
    return {"header": series.header(STATION), "data": [*rows[:at], whole, *rows[at + 1 :]]}, at


def the_others_stay(given: tuple[dict[str, Any], int]) -> None:
    content, at = given
    response = parse(json.dumps(content).encode())
    found = {f"{row.timestamp}": row for row in response.data}
    bad = content["data"][at]
    named = f"{bad.get('timestamp')}" if isinstance(bad, dict) else ""
    for number, row in enumerate(ROWS):
        if number != at and row["timestamp"] not in named:  # which the bad one may say it is
            assert found[row["timestamp"]].pm2_5 == row["PM2.5"]
    stage(response)


def test_a_bad_row_costs_itself() -> None:
    tried(the_others_stay, one_row_is_bad())


def test_any_json() -> None:
    shaped = st.fixed_dictionaries({"header": json_values, "data": st.lists(json_values, max_size=4)})
    bodies = st.one_of(json_values, shaped, st.fixed_dictionaries({"data": json_values}))
    tried(read, st.tuples(bodies.map(lambda content: json.dumps(content).encode()), CHARSETS))
