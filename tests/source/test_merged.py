"""What answers make of many rows at once, against `merge`, which looks at one row after the other."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airqino.errors import NotAskedError, ServerError
from airqino.source.answers import Answer, Exchange
from airqino.source.merged import merge_rows
from airqino.source.raw import BOOKKEEPING, SCHEMA, Policy, finding, merge, revision_order
from airqino.source.response import API_NAMES, VALUES, Header, Response, Row
from airqino.source.rows import Rows

HOUR = timedelta(hours=1)
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
HOURS = [BEGIN + n * HOUR for n in range(3)]
MOMENTS = st.one_of(
    st.integers(0, 24 * 12).map(lambda n: BEGIN + n * HOUR),
    st.datetimes(datetime(2026, 3, 1), datetime(2026, 3, 20), timezones=st.just(UTC)),
)
#: Few values, so that many are as they were.
CELLS = st.sampled_from([None, 0.0, -0.0, 1.5])
VALUE_SETS = st.tuples(*[CELLS] * len(VALUES)).map(lambda cells: dict(zip(VALUES, cells, strict=True)))


@st.composite
def staged(draw: st.DrawFn, station: str, hour: datetime) -> dict[str, Any]:
    """A row as `merge` may have left it."""
    status = draw(st.sampled_from(["ok", "ok", "absent", "failed"]))
    read_at = draw(MOMENTS) if status == "ok" else draw(st.none() | MOMENTS) if status == "absent" else None
    return {
        "station": station,
        "observed_at": hour,
        "status": status,
        "reason": "" if status == "ok" else "why",
        "final": draw(st.booleans()) if status != "failed" else False,
        **(draw(VALUE_SETS) if status == "ok" else dict.fromkeys(VALUES)),
        "read_at": read_at,
        "seen_at": read_at,
        "checked_at": draw(MOMENTS),
        "attempts": draw(st.integers(0, 3)),
    }


@st.composite
def answers(draw: st.DrawFn, station: str) -> Answer:
    """An answer with rows of some hours, plain or not, or an error."""
    exchange, served = Exchange(station, "", ""), draw(st.none() | MOMENTS)
    if error := draw(st.sampled_from([None, None, None, ServerError("HTTP 503"), NotAskedError("no turn")])):
        return Answer(exchange, None, error, served)
    rows = [Row(h.replace(tzinfo=None), **draw(VALUE_SETS)) for h in HOURS if draw(st.booleans())]
    found = Rows()
    if odd := draw(st.sampled_from(["", "", "", "unread", "illegible", "nowhere"])):
        if odd == "unread":
            found.unread.add(HOURS[0])
        elif odd == "illegible":
            found.illegible[HOURS[0]] = {"co"}
        else:
            found.nowhere = 1
    missing = tuple(API_NAMES[name] for name in VALUES if draw(st.integers(0, 9)) == 0)
    return Answer(exchange, Response(Header(), rows, found, missing), None, served, draw(st.sampled_from([0, 30.0])))


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[tuple[str, datetime]], dict[str, Answer]]:
    cells = [(station, hour) for hour in HOURS for station in "12"]
    rows = [draw(staged(*cell)) for cell in cells if draw(st.booleans())]
    wanted = draw(st.lists(st.sampled_from(cells), unique=True))
    return rows, wanted, {station: draw(answers(station)) for station in "12"}


@given(situations(), MOMENTS)
def test_each_row_becomes_what_it_becomes_alone(of: Any, now: datetime) -> None:
    rows, wanted, answered = of
    merged = merge_rows(pa.Table.from_pylist(rows, schema=SCHEMA), wanted, answered, now, Policy())
    known = {(row["station"], row["observed_at"]): row for row in rows}
    expected, revisions, news = {}, [], {}
    for station, hour in wanted:
        said = finding(answered[station], hour, now)
        row, changes = merge(known.get((station, hour)), station, hour, said, Policy())
        expected[station, hour], old = row, known.get((station, hour))
        news[station, hour] = old is None or any(row[n] != old[n] for n in SCHEMA.names if n not in BOOKKEEPING)
        revisions += changes
    found = merged.rows.to_pylist()
    assert {(row["station"], row["observed_at"]): row for row in found} == expected
    assert len(found) == len(wanted)
    assert {(r["station"], r["observed_at"]): n for r, n in zip(found, merged.is_new.tolist(), strict=True)} == news
    assert sorted(merged.revisions, key=revision_order) == sorted(revisions, key=revision_order)


def test_rows_of_version_0_1_have_no_moment_when_they_were_last_seen() -> None:
    old = {"station": "1", "observed_at": BEGIN, "status": "ok", "reason": "", "final": False, "co": 1.0}
    old |= {"read_at": BEGIN + HOUR, "checked_at": BEGIN + HOUR, "attempts": 0}
    table = pa.Table.from_pylist([old], schema=pa.schema([field for field in SCHEMA if field.name != "seen_at"]))
    answer = Answer(Exchange("1", "", ""), Response(Header(), [Row(BEGIN.replace(tzinfo=None), co=1.0)]))
    merged = merge_rows(table, [("1", BEGIN)], {"1": answer}, BEGIN + 9 * HOUR, Policy())
    (row,) = merged.rows.to_pylist()
    assert (row["seen_at"], row["read_at"], row["co"]) == (BEGIN + 9 * HOUR, BEGIN + HOUR, pytest.approx(1.0))
    assert merged.is_new.tolist() == [False]
