"""The life of a raw row: when it is asked for again, and what an answer makes of it."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from airqino.errors import NotAskedError, NotOverError, ServerError, UnexpectedShapeError
from airqino.source.client import Answer, Exchange
from airqino.source.raw import BOOKKEEPING, REVISION_SCHEMA, SCHEMA, Finding, Policy, fault, finding, is_due, merge
from airqino.source.response import VALUES, parse

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
OBSERVED = datetime(2024, 9, 9, 10, tzinfo=UTC)
END = OBSERVED + HOUR
#: Hours from the end of the hour to the end of its day.
REST = 13
POLICY = Policy()
BACKFILL = Policy(backfill=True)
FAULT = ServerError("HTTP 503: the API has a fault")
NOTHING = dict.fromkeys(VALUES)
VALUE = NOTHING | {"co": 0.4, "pm2_5": 21.5}
EMPTY = object()


def seen(values=None, error=None, after=0.05, old=None, policy=POLICY, ahead=0.0):
    """The row that an answer makes, `after` hours after the hour's end, and its revisions.

    Our clock is `ahead` hours ahead of the API's, which is right; values may be EMPTY: the answer has no row at all.
    """
    real = END + after * HOUR
    confirms = values is not EMPTY
    answer = Finding(real + ahead * HOUR, real, values if confirms else None, error, confirms)
    return merge(old, "1", OBSERVED, answer, policy)


def row(*args, **options):
    return seen(*args, **options)[0]


def due_hours(of, until=300, step=0.25, policy=POLICY, start=0.0):
    """The first time, in hours after the hour's end, at which a row is due."""
    times = (start + i * step for i in range(int((until - start) / step)))
    return next((after for after in times if is_due(of, END + after * HOUR, policy)), None)


# --- an hour with a reading


def test_a_reading_is_read_again_47_hours_and_8_days_after_its_day_and_then_final():
    first = row(VALUE)
    assert (first["status"], first["final"], first["reason"], first["attempts"]) == ("ok", False, "", 0)
    assert first["read_at"] == first["seen_at"] == first["checked_at"] == END + 0.05 * HOUR
    assert due_hours(first) == REST + 47
    second = row(VALUE, after=REST + 47, old=first)
    assert (second["final"], second["read_at"]) == (False, first["read_at"])
    assert due_hours(second, start=REST + 47.25) == REST + 8 * 24
    last, revisions = seen(VALUE, after=REST + 8 * 24, old=second)
    assert (last["final"], revisions) == (True, [])
    assert due_hours(last, until=3000, step=1) is None


def test_all_hours_of_a_day_are_read_again_at_one_moment():
    """One request for each station and day, not one an hour."""
    moments = set()
    for hour in range(24):
        at = datetime(2024, 9, 9, hour, tzinfo=UTC)
        answer = Finding(at + 1.1 * HOUR, at + 1.1 * HOUR, VALUE)
        first, _ = merge(None, "1", at, answer, POLICY)
        midnight = datetime(2024, 9, 10, tzinfo=UTC)
        moments.add(next(i for i in range(500) if is_due(first, midnight + i * HOUR / 2, POLICY)))
    assert moments == {2 * 47}


def test_first_read_late_it_is_final_only_a_day_of_real_time_later():
    late = row(VALUE, after=7.9 * 24)
    assert late["final"] is False
    assert due_hours(late, start=7.9 * 24 + 0.05) == pytest.approx(max(REST + 8 * 24, 7.9 * 24 + 24), abs=0.25)
    assert row(VALUE, after=7.9 * 24 + 23.9, old=late)["final"] is False
    assert row(VALUE, after=7.9 * 24 + 24, old=late)["final"] is True


def test_first_read_eight_days_after_its_hour_it_is_final_at_once():
    assert row(VALUE, after=8 * 24 - 0.1)["final"] is False
    assert row(VALUE, after=8 * 24)["final"] is True


def test_a_second_run_at_the_same_moment_makes_nothing_final():
    first = row(VALUE, after=7.99 * 24)
    assert row(VALUE, after=8.01 * 24, old=first)["final"] is False


@pytest.mark.parametrize("ahead", [48, 24 * 30])
def test_a_clock_that_is_ahead_once_makes_nothing_final_too_early(ahead):
    """Our clock says that the hour is long over; the API's, which is the smaller one, counts."""
    first = row(VALUE)
    assert row(VALUE, after=1, old=first, ahead=ahead)["final"] is False
    assert row(VALUE, after=1, ahead=ahead)["final"] is False
    assert row(None, after=1, ahead=ahead)["final"] is False


def test_a_revision_is_recorded_and_the_new_value_counts():
    first = row(VALUE)
    after = REST + 8 * 24
    again, revisions = seen(VALUE | {"co": 0.0, "rh": 84.0}, after=after, old=first)
    common = {"station": "1", "observed_at": OBSERVED, "seen_at": END + after * HOUR}
    assert sorted(revisions, key=lambda r: r["reading"]) == [
        common | {"reading": "co", "old": 0.4, "new": 0.0},
        common | {"reading": "rh", "old": None, "new": 84.0},
    ]
    assert (again["co"], again["rh"], again["pm2_5"], again["final"]) == (0.0, 84.0, 21.5, True)
    pa.Table.from_pylist(revisions, schema=REVISION_SCHEMA).validate(full=True)


def test_a_final_hour_changes_by_a_later_reading_and_stays_final():
    final = row(VALUE, after=9 * 24)
    again, revisions = seen(VALUE | {"co": 0.0}, after=400 * 24, old=final)
    assert [(r["reading"], r["old"], r["new"]) for r in revisions] == [("co", 0.4, 0.0)]
    assert (again["final"], again["co"]) == (True, 0.0)


def test_a_row_that_the_source_withdraws_keeps_what_was_read_and_leaves_a_trace():
    first = row(VALUE)
    again, revisions = seen(None, after=REST + 47, old=first)
    assert {name: again[name] for name in VALUES} == VALUE
    assert sorted((r["reading"], r["old"], r["new"]) for r in revisions) == [("co", 0.4, None), ("pm2_5", 21.5, None)]


@pytest.mark.parametrize(("values", "error"), [(None, FAULT), (EMPTY, None)])
def test_a_reading_again_that_brings_nothing_changes_nothing_and_is_tried_again_after_a_pause(values, error):
    first = row(VALUE)
    after = REST + 47
    again, revisions = seen(values, error, after=after, old=first)
    assert again == first | {"checked_at": END + after * HOUR, "attempts": 1}
    assert revisions == []
    assert due_hours(again, start=after + 0.25) == after + 0.75
    third = row(values, error, after=after + 1, old=again)
    assert due_hours(third, start=after + 1.25) == after + 1 + 1.75
    assert row(VALUE, after=after + 3, old=third)["attempts"] == 0


# --- an hour without one


def test_an_hour_without_a_row_is_absent_and_says_so():
    absent = row(None)
    assert (absent["status"], absent["reason"], absent["attempts"]) == ("absent", "no row", 1)
    assert (absent["read_at"], absent["final"]) == (END + 0.05 * HOUR, False)
    assert {absent[name] for name in VALUES} == {None}


def test_an_absent_hour_is_asked_again_with_growing_pauses_until_the_window_closes():
    at, asked, current = 0.0, [], row(None, after=0)
    while (again := due_hours(current, until=2000, start=at + 0.25)) is not None:
        at = again
        asked.append(at)
        current = row(None, after=at, old=current)
    # pauses of 1, 2, 4, 8, 24 and 48 h, each a quarter of an hour early, then the end of the window
    assert asked == [0.75, 2.5, 6.25, 14.0, 37.75, 85.5, 133.25, 181.0, 216.0]
    assert current["final"] is True


def test_absent_settles_after_two_answers_a_day_apart_the_later_eight_days_after_the_hour():
    first = row(None, after=7.5 * 24)
    assert row(None, after=8.4 * 24, old=first)["final"] is False
    assert row(None, after=8.5 * 24, old=first)["final"] is True
    assert row(None, after=1000 * 24)["final"] is False
    assert row(None, after=1001 * 24, old=row(None, after=1000 * 24))["final"] is True


def test_an_answer_without_any_row_confirms_nothing():
    current = row(EMPTY)
    for after in (48, 9 * 24, 20 * 24, 21.5 * 24):
        current = row(EMPTY, after=after, old=current)
        assert (current["status"], current["final"], current["read_at"]) == ("absent", False, None)
    first = row(None, after=22 * 24, old=current)
    assert first["final"] is False
    assert row(EMPTY, after=24 * 24, old=first)["final"] is False
    assert row(None, after=25 * 24, old=row(EMPTY, after=24 * 24, old=first))["final"] is True


def test_a_backfill_asks_at_once_what_failed_and_what_is_not_settled():
    soon = END + 0.06 * HOUR
    for open_row in (row(None, FAULT), row(None), row(EMPTY)):
        assert (is_due(open_row, soon, BACKFILL), is_due(open_row, soon, POLICY)) == (True, False)
    settled = row(None, after=1001 * 24, old=row(None, after=1000 * 24))
    assert not is_due(settled, END + 2000 * DAY, BACKFILL)


def test_a_backfill_asks_a_provisional_reading_again_after_20_hours():
    first = row(VALUE)
    assert due_hours(first, policy=BACKFILL) == pytest.approx(20.05, abs=0.25)


def test_what_is_settled_is_asked_again_only_where_that_is_wished():
    for settled in (row(VALUE, after=9 * 24), row(None, after=1001 * 24, old=row(None, after=1000 * 24))):
        later = END + 2000 * DAY
        assert not is_due(settled, later, POLICY)
        assert is_due(settled, later, Policy(again=True))
        assert not is_due(settled | {"checked_at": later}, later, Policy(again=True))


@pytest.mark.parametrize(("attempts", "pause"), [(0, 1), (1, 1), (2, 2), (3, 4), (4, 8), (5, 24), (6, 48), (60, 48)])
def test_the_pauses_grow_and_the_last_one_stays(attempts, pause):
    assert POLICY.pause(attempts) == timedelta(hours=pause)


def test_a_late_row_makes_an_absent_hour_ok():
    late, revisions = seen(VALUE, after=6, old=row(None))
    assert (late["status"], late["reason"], late["attempts"], late["pm2_5"]) == ("ok", "", 0, 21.5)
    assert late["read_at"] == END + 6 * HOUR
    assert revisions == []


def test_an_hour_that_was_given_up_and_comes_after_all_is_a_revision():
    settled = row(None, after=1001 * 24, old=row(None, after=1000 * 24))
    late, revisions = seen(VALUE, after=1100 * 24, old=settled)
    assert (late["status"], late["final"], late["pm2_5"]) == ("ok", True, 21.5)
    assert {(r["reading"], r["old"], r["new"]) for r in revisions} == {("co", None, 0.4), ("pm2_5", None, 21.5)}


# --- an hour that failed


def test_a_failed_hour_says_why_and_is_never_final():
    failed = row(None, FAULT)
    assert (failed["status"], failed["reason"]) == ("failed", f"ServerError: {FAULT}")
    for after in (1, 71, 300, 10_000):
        assert row(None, FAULT, after=after, old=failed)["final"] is False


def test_a_failed_hour_waits_like_an_absent_one_within_the_window_and_after_it():
    for after in (0, 500):
        failed = row(None, FAULT, after=after) | {"attempts": 6}
        assert not is_due(failed, END + (after + 47.7) * HOUR, POLICY)
        assert is_due(failed, END + (after + 47.75) * HOUR, POLICY)


def test_a_failed_hour_becomes_ok_or_absent_when_the_source_answers():
    failed = row(None, FAULT, old=row(None, FAULT))
    assert failed["attempts"] == 2
    assert row(VALUE, after=3, old=failed)["status"] == "ok"
    absent = row(None, after=3, old=failed)
    assert (absent["status"], absent["attempts"]) == ("absent", 3)


def test_a_request_that_fails_takes_nothing_from_what_is_settled():
    settled = row(None, after=1001 * 24, old=row(None, after=1000 * 24))
    assert row(None, FAULT, after=2000 * 24, old=settled)["final"] is True


def test_a_row_of_the_version_before_has_no_time_of_its_last_answer():
    old = {name: value for name, value in row(VALUE).items() if name != "seen_at"}
    assert due_hours(old) == REST + 47
    assert row(VALUE, after=REST + 8 * 24, old=old)["final"] is True
    absent = {name: value for name, value in row(None).items() if name != "seen_at"} | {"read_at": None}
    assert row(None, after=9 * 24, old=absent)["final"] is False


# --- whatever came before


values = st.one_of(
    st.none(), st.fixed_dictionaries({name: st.one_of(st.none(), st.sampled_from([0.0, 0.4, 21.5])) for name in VALUES})
)
answers = st.lists(
    st.tuples(values, st.sampled_from([None, FAULT]), st.floats(0.02, 100)).map(
        lambda a: (None if a[1] else a[0], a[1], a[2])
    ),
    min_size=1,
    max_size=8,
)
policies = st.builds(Policy, backfill=st.booleans(), again=st.booleans())


def life(of, policy=POLICY):
    """The row after several answers, when it was last asked for, and all revisions."""
    current, at, found = None, 0.0, []
    for value, error, pause in of:
        at += pause
        current, revisions = seen(value, error, at, current, policy)
        found += revisions
    return current, at, found


@given(answers, policies)
def test_a_row_checked_in_this_run_is_never_due(of, policy):
    current, at, _ = life(of, policy)
    assert not is_due(current, END + at * HOUR, policy)


@given(answers)
def test_a_row_checked_by_a_clock_that_ran_ahead_is_asked_again_where_there_is_no_reading(of):
    current, at, _ = life(of)
    assume(current["status"] != "ok")
    assert is_due(current, END + (at - 2) * HOUR, POLICY) is not current["final"]


@given(answers)
def test_a_row_becomes_final_only_with_real_time_between_two_answers_or_first_read_late(of):
    """Computed from the answers alone: the hours at which a row, or its absence, was seen."""
    current, _, _ = life(of)
    at, shown, absent = 0.0, [], []
    for value, error, pause in of:
        at += pause
        if error:  # what was not settled before begins anew
            absent = absent if len(absent) > 1 and absent[-1] >= max(8 * 24, absent[0] + 24) else []
        elif value is not None:
            shown.append(at)
        elif not shown:
            absent.append(at)
        else:
            shown.append(at)
    if shown:
        late = [moment for moment in shown if moment >= max(8 * 24, shown[0] + 24)]
        assert current["final"] is bool(late or shown[0] >= 8 * 24)
    elif current["status"] == "absent" and len(absent) < 2:
        assert current["final"] is False


@given(answers)
def test_every_change_of_a_reading_is_a_revision_and_no_reading_is_lost(of):
    current, _, revisions = life(of)
    known, expected, settled, at, first = None, [], False, 0.0, None
    for value, error, pause in of:
        at += pause
        if value is not None:
            old = known if known is not None else (NOTHING if settled else value)
            expected += [(n, old[n], value[n]) for n in VALUES if old[n] != value[n]]
            known = value
        elif error is None and known is not None:
            expected += [(n, known[n], None) for n in VALUES if known[n] is not None]
        elif error is None:
            first = at if first is None else first
            settled = settled or at >= max(8 * 24, first + 24)
        elif not settled:
            first = None
    assert [(r["reading"], r["old"], r["new"]) for r in revisions] == expected
    assert (current["status"] == "ok") is (known is not None)
    assert {name: current[name] for name in VALUES} == (known or NOTHING)


@settings(deadline=None)  # pyarrow imports pandas in the first
@given(answers)
def test_every_row_fits_the_schema_and_comes_back_from_it_as_it_was(of):
    current, _, _ = life(of)
    (back,) = pa.Table.from_pylist([current], schema=SCHEMA).to_pylist()
    times = ("read_at", "seen_at", "checked_at")
    assert back == current | {name: back[name] for name in times}
    assert all(back[name] is None or abs(back[name] - current[name]) < timedelta(milliseconds=1) for name in times)
    assert set(BOOKKEEPING) < set(back)


# --- what an answer says of an hour


def test_an_answer_made_before_the_hour_was_over_says_nothing_of_it():
    now = END + HOUR / 10
    made = answer("2024-09-09 09:00:00", "2024-09-09 10:00:00", served=END - HOUR / 4)
    early = finding(made, OBSERVED, now)
    assert (early.values, type(early.error), early.real) == (None, NotOverError, END - HOUR / 4)
    assert finding(made, OBSERVED - HOUR, now).values["co"] == 0.4


def test_real_time_is_the_smaller_clock():
    for served, now, real in ((END + HOUR, END + 3 * HOUR, END + HOUR), (END + 3 * HOUR, END + HOUR, END + HOUR)):
        at_noon = answer("2024-09-09 10:00:00", served=served)
        assert finding(at_noon, OBSERVED, now).real == real
    without = answer("2024-09-09 10:00:00")
    assert finding(without, OBSERVED, END + HOUR).real == END + HOUR


def test_only_an_answer_with_rows_confirms_that_one_is_missing():
    empty, other = answer(), answer("2024-09-09 09:00:00")
    assert [finding(a, OBSERVED, END + HOUR).confirms for a in (empty, other)] == [False, True]


def test_a_field_that_the_whole_answer_lacks_takes_nothing_from_what_was_read():
    both = parse(b'{"header": {}, "data": [{"timestamp": "2024-09-09 10:00:00", "CO": 0.5, "PM25_new": 9}]}')
    old = row(VALUE | {"rh": 80.0})
    said = finding(Answer(Exchange("1", "", ""), both), OBSERVED, END + 80 * HOUR)
    new, revisions = merge(old, "1", OBSERVED, said, POLICY)
    assert (new["co"], new["pm2_5"], new["rh"]) == (0.5, 21.5, 80.0)
    assert [(r["reading"], r["old"], r["new"]) for r in revisions] == [("co", 0.4, 0.5)]


def test_a_value_that_cannot_be_read_any_more_takes_nothing_from_what_was_read():
    body = b'{"header": {}, "data": [{"timestamp": "2024-09-09 10:00:00", "CO": "0.5 mg/m3", "PM2.5": 12.0}]}'
    answered = Answer(Exchange("1", "", ""), parse(body))
    said = finding(answered, OBSERVED, END + 80 * HOUR)
    new, revisions = merge(row(VALUE), "1", OBSERVED, said, POLICY)
    assert (new["co"], new["pm2_5"]) == (0.4, 12.0)
    assert [revision["reading"] for revision in revisions] == ["pm2_5"]


def test_a_sensor_that_one_row_lacks_and_another_has_is_a_revision():
    rows = b'[{"timestamp": "2024-09-09 10:00:00", "CO": 0.4}, {"timestamp": "2024-09-09 11:00:00", "PM2.5": 9}]'
    response = parse(b'{"header": {}, "data": ' + rows + b"}")
    answered = Answer(Exchange("1", "", ""), response)
    said = finding(answered, OBSERVED, END + 80 * HOUR)
    new, revisions = merge(row(VALUE), "1", OBSERVED, said, POLICY)
    assert (new["co"], new["pm2_5"]) == (0.4, None)
    assert [(r["reading"], r["old"], r["new"]) for r in revisions] == [("pm2_5", 21.5, None)]


NOT_ASKED = NotAskedError("not asked")


def test_an_hour_that_was_not_asked_is_due_in_the_next_run_and_not_in_this_one():
    new = row(error=NOT_ASKED)
    assert (new["status"], new["final"], new["attempts"]) == ("failed", False, 0)
    assert new["reason"] == "NotAskedError: not asked"
    assert not is_due(new, END + 0.05 * HOUR, POLICY)
    assert due_hours(new, start=0.1) <= 1.05


@pytest.mark.parametrize(
    "old", [row(VALUE), row(), row(EMPTY), row(error=FAULT)], ids=["ok", "absent", "empty", "failed"]
)
def test_what_was_staged_of_an_hour_that_was_not_asked_stays_and_its_pause_is_not_begun_anew(old):
    old = old | {"attempts": 6 if old["status"] != "ok" else 0}  # a pause of 48 h
    kept = row(error=NOT_ASKED, after=80, old=old)
    assert kept == old | {"checked_at": END + 80 * HOUR, "attempts": 0}
    assert not is_due(kept, END + 80 * HOUR, POLICY)
    assert is_due(kept, END + 81 * HOUR, POLICY)


def test_the_last_try_of_an_absent_hour_is_made_up_for_where_there_was_no_time_for_it():
    window = POLICY.late_window / HOUR
    absent = row(after=window - 30)
    asked, not_asked = row(after=window + 1, old=absent), row(error=NOT_ASKED, after=window + 1, old=absent)
    assert due_hours(asked, start=window + 1.1) is None
    assert due_hours(not_asked, start=window + 1.1) <= window + 2


# --- the rows of an answer


def answer(*stamps, served=None, co=0.4):
    data = ", ".join(f'{{"timestamp": "{stamp}", "CO": {co + i}}}' for i, stamp in enumerate(stamps))
    response = parse(f'{{"header": {{"station_name": "S"}}, "data": [{data}]}}'.encode())
    return Answer(Exchange("1", "", ""), response, None, served)


def test_the_hour_still_running_by_the_sources_clock_is_left_out():
    served = datetime(2024, 9, 9, 11, 59, 59, tzinfo=UTC)
    stamps = [f"2024-09-09 {hour}:00:00" for hour in (10, 11, 12)]
    assert [at.hour for at in answer(*stamps, served=served).readings] == [10]
    assert [at.hour for at in answer(*stamps, served=served + timedelta(seconds=1)).readings] == [10, 11]


def test_without_a_clock_every_row_counts():
    assert len(answer("2024-09-09 10:00:00", "2099-09-09 10:00:00").readings) == 2


def test_rows_within_an_hour_are_left_out():
    stamps = ["2024-09-09 10:00:00", "2024-09-09 10:30:00", "2024-09-09 11:00:00"]
    assert [at.hour for at in answer(*stamps).readings] == [10, 11]


def test_an_hour_is_called_absent_only_if_the_answer_cannot_hold_it():
    nine, ten, eleven = (OBSERVED.replace(hour=hour) for hour in (9, 10, 11))
    clear = answer("2024-09-09 10:00:00")
    assert [fault(clear, hour) for hour in (nine, ten, eleven)] == [None, None, None]
    odd = answer("2024-09-09 10:00:00", "2024-09-09 11:30:00")
    assert [type(fault(odd, hour)) for hour in (nine, ten, eleven)] == [type(None), type(None), UnexpectedShapeError]
    assert "11:30:00" in str(fault(odd, eleven))
    anywhere = answer("2024-09-09 10:00:00", "yesterday")
    assert [type(fault(anywhere, hour)) for hour in (nine, eleven)] == [UnexpectedShapeError] * 2
    assert "'yesterday'" in str(fault(anywhere, nine))
    error = ServerError("HTTP 503")
    assert fault(Answer(Exchange("1", "", ""), None, error), ten) is error


def test_of_doubles_the_last_counts_and_the_order_does_not_matter():
    got = answer("2024-09-09 11:00:00", "2024-09-09 10:00:00", "2024-09-09 11:00:00").readings
    assert {at.hour: of.co for at, of in got.items()} == {10: 1.4, 11: 2.4}
    assert all(of.rh is None for of in got.values())


def test_no_answer_has_no_readings():
    assert Answer(Exchange("1", "", ""), None, FAULT).readings == {}
