"""Which rows are due, of a whole table at once, against `is_due`, which looks at one row after the other."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from airqino.source.due import due_rows
from airqino.source.raw import SCHEMA, Policy, is_due
from airqino.source.response import VALUES

HOUR = timedelta(hours=1)
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
#: Moments that meet often, and some odd ones.
MOMENTS = st.one_of(
    st.integers(0, 24 * 25 * 4).map(lambda n: BEGIN + n * HOUR / 4),
    st.datetimes(datetime(2026, 2, 1), datetime(2026, 4, 1), timezones=st.just(UTC)),
)
POLICIES = st.builds(Policy, backfill=st.booleans(), again=st.booleans())


@st.composite
def rows(draw: st.DrawFn) -> dict[str, object]:
    status = draw(st.sampled_from(["ok", "absent", "failed"]))
    read_at = draw(MOMENTS) if status == "ok" else draw(st.none() | MOMENTS)
    return {
        "station": draw(st.sampled_from("abc")),
        "observed_at": BEGIN + draw(st.integers(-48, 24 * 12)) * HOUR,
        "status": status,
        "reason": "",
        "final": draw(st.booleans()) and draw(st.booleans()),
        **dict.fromkeys(VALUES),
        "read_at": read_at,
        "seen_at": draw(MOMENTS if status == "ok" else st.none() | MOMENTS) if draw(st.booleans()) else read_at,
        "checked_at": draw(MOMENTS),
        "attempts": draw(st.integers(0, 9)),
    }


@given(st.lists(rows(), max_size=20), MOMENTS, POLICIES)
def test_the_same_rows_are_due(found: list[dict[str, object]], now: datetime, policy: Policy) -> None:
    table = pa.Table.from_pylist(found, schema=SCHEMA)
    assert due_rows(table, now, policy).tolist() == [is_due(row, now, policy) for row in found]


@given(st.lists(rows().filter(lambda row: row["status"] == "ok"), max_size=9), MOMENTS, POLICIES)
def test_in_files_of_version_0_1_it_was_seen_when_it_was_read(
    found: list[dict[str, object]], now: datetime, policy: Policy
) -> None:
    table = pa.Table.from_pylist(found, schema=SCHEMA).drop_columns(["seen_at"])
    before = [{name: value for name, value in row.items() if name != "seen_at"} for row in found]
    assert due_rows(table, now, policy).tolist() == [is_due(row, now, policy) for row in before]
