"""The life of a raw row: when it is asked for again, and what an answer makes of it."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from airqino.errors import ServerError, UnexpectedShapeError
from airqino.source.client import Answer, Exchange
from airqino.source.raw import BOOKKEEPING, REVISION_SCHEMA, SCHEMA, Policy, fault, is_due, is_over, merge, readings
from airqino.source.response import VALUES, parse

HOUR = timedelta(hours=1)
OBSERVED = datetime(2024, 9, 9, 10, tzinfo=UTC)
END = OBSERVED + HOUR
POLICY = Policy()
FAULT = ServerError("HTTP 503: the API has a fault")
NOTHING = dict.fromkeys(VALUES)
VALUE = NOTHING | {"co": 0.4, "pm2_5": 21.5}


def seen(values=None, error=None, after=0.05, old=None, policy=POLICY):
    """The row that an answer makes, `after` hours after the hour's end, and its revisions."""
    return merge(old, "1", OBSERVED, values, error, END + after * HOUR, policy)


def row(*args, **options):
    return seen(*args, **options)[0]


def due_hours(of, until=80, step=0.25, policy=POLICY):
    """The first time, in hours after the hour's end, at which a row is due."""
    return next((i * step for i in range(int(until / step)) if is_due(of, END + i * step * HOUR, policy)), None)


# --- an hour with a reading


def test_a_first_reading_is_provisional_and_read_again_at_47_hours():
    first = row(VALUE)
    assert (first["status"], first["final"], first["reason"], first["attempts"]) == ("ok", False, "", 0)
    assert {name: first[name] for name in VALUES} == VALUE
    assert first["read_at"] == first["checked_at"] == END + 0.05 * HOUR
    assert due_hours(first) == 47
    assert not is_due(first, END + 47 * HOUR - timedelta(seconds=1), POLICY)


def test_read_again_unchanged_it_is_final_and_never_due():
    first = row(VALUE)
    again, revisions = seen(VALUE, after=47, old=first)
    assert revisions == []
    assert again == first | {"final": True, "checked_at": END + 47 * HOUR}
    assert due_hours(again, until=2000, step=1) is None


def test_read_late_it_is_read_again_only_24_hours_after_it_was_first_seen():
    late = row(VALUE, after=30)
    assert late["final"] is False
    assert due_hours(late) == 54


def test_a_past_hour_is_final_at_once():
    assert row(VALUE, after=46.9)["final"] is False
    assert row(VALUE, after=47)["final"] is True


def test_a_revision_is_recorded_keeps_the_row_provisional_and_is_read_again_a_day_later():
    first = row(VALUE)
    again, revisions = seen(VALUE | {"co": 0.0, "rh": 84.0}, after=47, old=first)
    seen_at = END + 47 * HOUR
    common = {"station": "1", "observed_at": OBSERVED, "seen_at": seen_at}
    assert sorted(revisions, key=lambda r: r["reading"]) == [
        common | {"reading": "co", "old": 0.4, "new": 0.0},
        common | {"reading": "rh", "old": None, "new": 84.0},
    ]
    assert (again["co"], again["rh"], again["pm2_5"], again["final"]) == (0.0, 84.0, 21.5, False)
    assert due_hours(again) == 71
    final, none = seen(VALUE | {"co": 0.0, "rh": 84.0}, after=71, old=again)
    assert (final["final"], none) == (True, [])
    pa.Table.from_pylist(revisions, schema=REVISION_SCHEMA).validate(full=True)


def test_a_reading_that_the_source_takes_back_is_a_revision_to_nothing():
    again, revisions = seen(VALUE | {"co": None}, after=47, old=row(VALUE))
    assert [(r["reading"], r["old"], r["new"]) for r in revisions] == [("co", 0.4, None)]
    assert again["co"] is None


def test_a_row_that_the_source_withdraws_keeps_what_was_read_and_leaves_a_trace():
    first = row(VALUE)
    again, revisions = seen(None, after=47, old=first)
    assert again == first | {"final": True, "checked_at": END + 47 * HOUR}
    assert sorted((r["reading"], r["old"], r["new"]) for r in revisions) == [("co", 0.4, None), ("pm2_5", 21.5, None)]


def test_a_reread_that_fails_changes_nothing_and_is_tried_again():
    first = row(VALUE)
    again, revisions = seen(None, FAULT, after=47, old=first)
    assert again == first | {"checked_at": END + 47 * HOUR}
    assert revisions == []
    assert is_due(again, END + 48 * HOUR, POLICY)


# --- an hour without one


def test_an_hour_without_a_row_is_absent_and_says_so():
    absent = row(None)
    assert (absent["status"], absent["reason"], absent["attempts"]) == ("absent", "no row", 1)
    assert (absent["read_at"], absent["final"]) == (None, False)
    assert {absent[name] for name in VALUES} == {None}


def test_an_absent_hour_is_asked_again_with_growing_pauses_until_the_window_closes():
    at, asked, current = 0.0, [], row(None, after=0)
    while not current["final"]:
        at = next(h / 4 for h in range(int(at * 4) + 1, 1000) if is_due(current, END + h / 4 * HOUR, POLICY))
        asked.append(at)
        current = row(None, after=at, old=current)
    # pauses of 1, 2, 4, 8 and 24 h, then the end of the window, each a quarter of an hour early
    assert asked == [0.75, 2.5, 6.25, 14.0, 37.75, 71.75]
    assert current["attempts"] == 7


@pytest.mark.parametrize(("attempts", "pause"), [(0, 1), (1, 1), (2, 2), (3, 4), (4, 8), (5, 24), (6, 48), (60, 48)])
def test_the_pauses_grow_and_the_last_one_stays(attempts, pause):
    assert POLICY.pause(attempts) == timedelta(hours=pause)


@given(st.integers(1, 8), st.floats(0, 60), st.sampled_from(["absent", "failed"]))
def test_a_pause_is_over_a_quarter_of_an_hour_or_of_itself_early(attempts, minutes, status):
    policy = Policy(pauses=tuple(timedelta(minutes=m) for m in (20, 60, 240)))
    pause = [20, 60, 240][min(attempts, 3) - 1]
    checked = row(None) | {"status": status, "attempts": attempts, "checked_at": END}
    for early, due in ((min(pause / 4, 15), True), (min(pause / 4, 15) + 0.1 + minutes, False)):
        now = END + timedelta(minutes=pause - early)
        ahead = now < END  # checked by a clock that ran ahead
        assert is_due(checked, now, policy) is ((due and now > END) or ahead)


def test_an_absent_hour_is_final_with_the_try_at_the_end_of_the_window():
    assert row(None, after=71.74)["final"] is False
    assert row(None, after=71.75)["final"] is True
    assert row(None, after=24 * 365)["final"] is True


def test_a_late_row_makes_an_absent_hour_ok():
    late, revisions = seen(VALUE, after=6, old=row(None))
    assert (late["status"], late["reason"], late["attempts"], late["pm2_5"]) == ("ok", "", 0, 21.5)
    assert late["read_at"] == END + 6 * HOUR
    assert revisions == []


# --- an hour that failed


def test_a_failed_hour_says_why_and_is_never_final():
    failed = row(None, FAULT)
    assert (failed["status"], failed["reason"]) == ("failed", f"ServerError: {FAULT}")
    for after in (1, 71, 73, 10_000):
        assert row(None, FAULT, after=after, old=failed)["final"] is False


def test_a_failed_hour_waits_like_an_absent_one_within_the_window_and_after_it():
    failed = row(None, FAULT, after=0) | {"attempts": 6}
    assert not is_due(failed, END + 47.7 * HOUR, POLICY)
    assert is_due(failed, END + 47.75 * HOUR, POLICY)
    failed = row(None, FAULT, after=71.9, old=failed)
    assert not is_due(failed, END + (71.9 + 47.7) * HOUR, POLICY)
    assert is_due(failed, END + (71.9 + 47.75) * HOUR, POLICY)


def test_a_backfill_asks_what_failed_at_once_but_not_what_is_absent():
    at_once = Policy(retry_failed_at_once=True)
    failed, absent = row(None, FAULT), row(None)
    soon = END + 0.06 * HOUR
    assert (is_due(failed, soon, at_once), is_due(failed, soon, POLICY)) == (True, False)
    assert is_due(absent, soon, at_once) is False


def test_a_failed_hour_becomes_ok_or_absent_when_the_source_answers():
    failed = row(None, FAULT, old=row(None, FAULT))
    assert failed["attempts"] == 2
    assert row(VALUE, after=3, old=failed)["status"] == "ok"
    absent = row(None, after=3, old=failed)
    assert (absent["status"], absent["attempts"]) == ("absent", 3)


# --- whatever came before


values = st.one_of(
    st.none(), st.fixed_dictionaries({name: st.one_of(st.none(), st.sampled_from([0.0, 0.4, 21.5])) for name in VALUES})
)
answers = st.lists(
    st.tuples(values, st.sampled_from([None, FAULT]), st.floats(0.02, 30)).map(
        lambda a: (None if a[1] else a[0], a[1], a[2])
    ),
    min_size=1,
    max_size=8,
)
policies = st.builds(Policy, retry_failed_at_once=st.booleans())


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


@given(answers, st.floats(0, 100))
def test_the_same_answer_twice_changes_nothing_but_that_the_row_may_be_final(of, pause):
    current, at, before = life(of)
    value, error, _ = of[-1]
    again, revisions = seen(value, error, at + pause, current)
    # a row withdrawn twice is told twice, of the same readings: the ledger keeps each once
    told = {(r["reading"], r["old"], r["new"]) for r in before if r["seen_at"] == END + at * HOUR}
    assert {(r["reading"], r["old"], r["new"]) for r in revisions} <= told
    assert not revisions or (value is None and error is None)
    asked = {"checked_at", "attempts", "final"}
    assert {k: v for k, v in again.items() if k not in asked} == {k: v for k, v in current.items() if k not in asked}
    assert again["final"] or not current["final"]


@given(answers)
def test_every_change_of_a_reading_is_a_revision_and_no_reading_is_lost(of):
    current, _, revisions = life(of)
    known, expected = None, []
    for value, error, _ in of:
        if value is not None:
            if known is not None:
                expected += [(n, known[n], value[n]) for n in VALUES if known[n] != value[n]]
            known = value
        elif error is None and known is not None:
            expected += [(n, known[n], None) for n in VALUES if known[n] is not None]
    assert [(r["reading"], r["old"], r["new"]) for r in revisions] == expected
    assert (current["status"] == "ok") is (known is not None)
    assert {name: current[name] for name in VALUES} == (known or NOTHING)


@settings(deadline=None)  # pyarrow imports pandas in the first
@given(answers)
def test_every_row_fits_the_schema_and_comes_back_from_it_as_it_was(of):
    current, _, _ = life(of)
    (back,) = pa.Table.from_pylist([current], schema=SCHEMA).to_pylist()
    assert back == current | {"read_at": back["read_at"], "checked_at": back["checked_at"]}
    assert back["checked_at"] == current["checked_at"]
    assert set(BOOKKEEPING) < set(back)


@given(answers)
def test_a_row_that_is_neither_final_nor_failed_is_due_within_the_longest_pause(of):
    current, at, _ = life(of)
    assume(not current["final"])
    longest = {"ok": 47 + 24, "absent": 48, "failed": 48}[current["status"]]
    assert is_due(current, END + (at + longest) * HOUR, POLICY)


# --- the rows of an answer


def answer(*stamps, served=None, co=0.4):
    data = ", ".join(f'{{"timestamp": "{stamp}", "CO": {co + i}}}' for i, stamp in enumerate(stamps))
    response = parse(f'{{"header": {{"station_name": "S"}}, "data": [{data}]}}'.encode())
    return Answer(Exchange("1", "", ""), response, None, served)


def test_the_hour_still_running_by_the_sources_clock_is_left_out():
    served = datetime(2024, 9, 9, 11, 59, 59, tzinfo=UTC)
    stamps = [f"2024-09-09 {hour}:00:00" for hour in (10, 11, 12)]
    assert [at.hour for at in readings(answer(*stamps, served=served))] == [10]
    assert [at.hour for at in readings(answer(*stamps, served=served + timedelta(seconds=1)))] == [10, 11]


def test_without_a_clock_every_row_counts():
    assert len(readings(answer("2024-09-09 10:00:00", "2099-09-09 10:00:00"))) == 2


def test_rows_within_an_hour_are_left_out():
    stamps = ["2024-09-09 10:00:00", "2024-09-09 10:30:00", "2024-09-09 11:00:00"]
    assert [at.hour for at in readings(answer(*stamps))] == [10, 11]


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
    got = readings(answer("2024-09-09 11:00:00", "2024-09-09 10:00:00", "2024-09-09 11:00:00"))
    assert {at.hour: of["co"] for at, of in got.items()} == {10: 1.4, 11: 2.4}
    assert all(of["rh"] is None for of in got.values())


def test_no_answer_has_no_readings():
    assert readings(Answer(Exchange("1", "", ""), None, FAULT)) == {}


def test_an_hour_is_over_by_the_sources_clock_unless_the_source_says_nothing():
    def over(of):
        return [is_over(OBSERVED + step * HOUR, of) for step in (-1, 0, 1)]

    assert over(answer(served=END)) == [True, True, False]
    assert over(answer(served=END - timedelta(seconds=1))) == [True, False, False]
    assert over(answer()) == over(Answer(Exchange("1", "", ""), None, FAULT, END)) == [True, True, True]
