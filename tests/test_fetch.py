"""How due hours become requests."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from airqino.times import DAY, HOUR
from tasks.fetch import blocks, spans_of

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


@given(st.sets(st.integers(0, 24 * 40), min_size=1), st.integers(1, 31))
@example({*range(10, 106)}, 1)
def test_no_request_is_longer_than_the_block_and_none_asks_for_what_another_does(numbers: set[int], days: int) -> None:
    hours, newest = {BEGIN + number * HOUR for number in numbers}, BEGIN + 60 * DAY
    cut = blocks(hours, timedelta(days=days))
    assert [hour for block in cut for hour in block] == sorted(hours)
    spans = [spans_of({("1", hour) for hour in block}, newest)["1"] for block in cut]
    assert all(last - first < days * DAY for first, last in spans)
    assert all(last < first for (_, last), (first, _) in pairwise(spans))
