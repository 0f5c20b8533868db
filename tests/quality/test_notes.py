"""The operator's word: which note holds for which value, computed again value by value."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airqino.quality import notes
from airqino.quality.contexts import Context, contexts
from airqino.quality.flags import COUNTED, FLAGS, TESTS, flag_days, flag_history
from airqino.quality.means import daily_means
from airqino.quality.notes import Note
from airqino.readings import NAMES, POLLUTANTS

START = datetime(2026, 3, 10, tzinfo=UTC)
HOURS = 24
STATIONS = ("a", "b")


def table(hours: int = HOURS, start: datetime = START, **values: Any) -> pd.DataFrame:
    """Readings without a fault of each station, and some of station a's as given."""
    moves = np.arange(hours) % 7
    plain = {
        "co": 1 + 0.1 * moves,
        "no2": 20.0 + moves,
        "o3": 40.0 + moves,
        "pm10": 40.0 + moves,
        "pm2_5": 20.0 + moves,
    }
    plain |= {"t": 25.0 + moves / 10, "rh": 50.0 + moves, "t_int": 300.0 + moves}
    at = pd.date_range(start, periods=hours, freq="h", unit="us")
    ours, others = (
        pd.DataFrame({"station": s, "observed_at": at, "status": "ok", "final": True, **plain}) for s in STATIONS
    )
    return pd.concat([ours.assign(**values), others], ignore_index=True)


def named(number: int) -> str:
    return f"{START:%Y-%m-%d}-{number}"


def note(kind: str, first: int = 0, last: int | None = 0, **of: Any) -> Note:
    hour = timedelta(hours=1)
    said = {
        "id": named(1 + notes.KINDS.index(kind)),
        "station": "a",
        "who": "Awa",
        "why": "because",
        "noted_at": START,
        "reading": "pm2_5",
    }
    return Note(
        kind=kind, first=START + first * hour, last=None if last is None else START + last * hour, **(said | of)
    )


def revoke(of: Note, number: int = 99) -> Note:
    return Note(id=named(number), kind="revoke", station=of.station, who="Awa", why="no", noted_at=START, revokes=of.id)


def flagged(rows: pd.DataFrame, *said: Note, around: Context = Context(), causal: bool = False) -> pd.DataFrame:
    rows = notes.apply(rows, notes.active(said))
    flags = flag_days(rows, {pd.Timestamp(START): around}, causal=causal)
    return pd.concat([rows.drop(columns=[c for c in rows if c.endswith("_tests")]), flags], axis=1)


def of_a(flags: pd.DataFrame, column: str = "pm2_5_flag") -> list[Any]:
    return flags.loc[flags["station"] == "a", column].tolist()


@st.composite
def notebooks(draw: st.DrawFn) -> list[Note]:
    """Notes in any order, some of which take an earlier one back."""
    said: list[Note] = []
    for number in range(draw(st.integers(0, 8))):
        kind = draw(st.sampled_from(notes.KINDS))
        holding = notes.active(said)
        if kind == "revoke":
            if holding:
                said.append(revoke(draw(st.sampled_from(holding)), 100 + number))
            continue
        first = draw(st.integers(-3, HOURS + 2))
        last: int | None = draw(st.integers(first, HOURS + 3))
        of: dict[str, Any] = {
            "reading": draw(st.sampled_from(("", "pm2_5", "co", "rh"))),
            "station": draw(st.sampled_from(STATIONS)),
        }
        if kind == "calibrate":
            of |= {
                "reading": draw(st.sampled_from(POLLUTANTS)),
                "slope": draw(st.sampled_from((0.5, 1.5))),
                "offset": draw(st.sampled_from((-1.0, 2.0))),
            }
            last = draw(st.sampled_from((last, None)))
        said.append(note(kind, first, last, id=named(100 + number), **of))
    return said


@settings(deadline=None, max_examples=60)
@given(said=notebooks())
def test_each_value_is_as_the_last_note_about_it_has_it(said: list[Note]) -> None:
    before: list[Note] = []
    for one in said:
        assert notes.problem(one, before) == ""
        before.append(one)
    rows = table()
    got = flagged(rows, *said)
    gone = {n.revokes for n in said}
    for position, row in rows.iterrows():
        for name in NAMES:
            word, value, raw = notes.NO_WORD, row[name], np.nan
            for n in said:  # oldest first: the later one wins
                begun = n.first is not None and n.first <= row["observed_at"]
                holds = begun and (n.last is None or row["observed_at"] <= n.last) and n.id not in gone
                if not holds or n.station != row["station"] or n.reading not in ("", name):
                    continue
                if n.kind == "calibrate":
                    value, raw = n.slope * row[name] + n.offset, row[name]
                word = {"invalidate": notes.INVALIDATED, "restore": notes.RESTORED}.get(n.kind, word)
            assert got.at[position, f"{name}_tests"][-1] == f"{word}"
            assert (got.at[position, f"{name}_flag"] == "invalidated") == (word == notes.INVALIDATED)
            assert got.at[position, name] == value
            if name in POLLUTANTS:
                np.testing.assert_equal(got.at[position, f"{name}_raw"], raw)


@settings(deadline=None)
@given(said=notebooks())
def test_what_is_taken_back_is_as_if_it_had_never_been_said(said: list[Note]) -> None:
    everything = said + [revoke(n, 200 + place) for place, n in enumerate(notes.active(said))]
    pd.testing.assert_frame_equal(flagged(table(), *everything), flagged(table()))
    assert notes.active(everything) == []


@settings(deadline=None)
@given(said=notebooks(), split=st.integers(0, HOURS - 1))
def test_the_effects_of_a_span_are_those_that_change_it(said: list[Note], split: int) -> None:
    """No effect, no change; and a note's reach beyond the span is no part of it."""
    first, last = START + split * timedelta(hours=1), START + timedelta(hours=HOURS - 1)
    holding = notes.active(said)
    inside = table()[lambda t: t["observed_at"] >= first]
    columns = [*NAMES, *(f"{name}_raw" for name in POLLUTANTS)]
    changed = not notes.apply(inside, holding)[columns].equals(notes.apply(inside, [])[columns])
    has_word = bool((notes.words(notes.apply(inside, holding)) != notes.NO_WORD).any())
    assert bool(notes.effects(holding, first, last)) >= (changed or has_word)
    if not notes.effects(holding, first, last):
        assert (changed, has_word) == (False, False)
    cut = [
        replace(n, first=max(n.first, first), last=min(n.last or last, last))
        for n in holding
        if n.touches(first, last) and n.first
    ]
    assert notes.effects(cut, first, last) == notes.effects(holding, first, last)


def test_an_invalidated_value_is_as_if_it_were_not_there() -> None:
    """Neither its neighbours nor the other readings are judged by it; its own tests did not run."""
    spike = np.where(np.arange(HOURS) == 9, 900.0, table()["pm2_5"][:HOURS])
    rows = table(pm2_5=spike)
    assert [of_a(flagged(rows), f"{name}_flag")[9] for name in ("pm2_5", "pm10")] == ["spike", "ok"]
    got = flagged(rows, note("invalidate", 9, 9))
    assert of_a(got) == ["invalidated" if hour == 9 else "ok" for hour in range(HOURS)]
    assert of_a(got, "pm10_flag") == ["ok"] * HOURS
    assert of_a(got, "pm2_5_tests")[9] == "2" * (len(TESTS) - 1) + "4"
    assert of_a(got, "pm2_5")[9] == 900.0
    gone = table(pm2_5=np.where(np.arange(HOURS) == 9, np.nan, spike))
    for hour in (8, 10):
        assert of_a(got, "pm2_5_tests")[hour] == of_a(flagged(gone), "pm2_5_tests")[hour]
    assert of_a(flagged(gone, note("invalidate", 9, 9)))[9] == "absent"


def test_a_restored_value_counts_and_keeps_what_the_tests_said() -> None:
    rows = table(pm2_5=np.where(np.arange(HOURS) == 9, -5.0, table()["pm2_5"][:HOURS]))
    plain, got = flagged(rows), flagged(rows, note("restore", 8, 9))
    assert of_a(plain)[9] == "out_of_range"
    assert of_a(got)[8:11] == ["ok", "restored", "ok"]  # a value that no test failed has nothing to be restored
    assert {"restored"} == {"restored", "invalidated"} & {*COUNTED}
    assert {*COUNTED} < {*FLAGS}
    assert of_a(got, "pm2_5_tests")[9] == of_a(plain, "pm2_5_tests")[9][:-1] + "1"
    day = daily_means(got, [START.date()], {}).set_index("station").loc["a"]
    assert (day["pm2_5_checked_hours"], day["pm2_5_quality"]) == (24, "ok")
    assert day["pm2_5_checked_mean"] == pytest.approx(rows["pm2_5"][:HOURS].mean())


def test_whether_a_sensor_is_at_its_floor_is_said_of_what_it_reported() -> None:
    zeros = table(co=0.0)
    calibrated = flagged(zeros, note("calibrate", 0, None, reading="co", offset=0.3))
    assert set(of_a(calibrated, "co")) == {0.3}
    assert set(of_a(calibrated, "co_flag")) == {"floor"}, "a constant calibrated zero is not stuck"
    below = flagged(table(co=0.3), note("calibrate", 0, None, reading="co", offset=-0.3))
    assert set(of_a(below, "co_flag")) == {"stuck"}, "a calibrated zero is no zero of the sensor"
    past = table(24 * 7, START - timedelta(days=7), co=0.0)
    said = [note("calibrate", -24 * 7, None, reading="co", offset=0.3)]
    (context,) = contexts(notes.apply(past, said), [pd.Timestamp(START)])
    assert context.verdicts["a", "co"] == "at_floor"
    assert context.last["a", "co"] == 0.3
    assert ("a", "co") not in context.runs


def test_a_sensor_at_the_end_of_its_scale_stays_there_when_it_is_calibrated() -> None:
    got = flagged(table(pm2_5=999.9, pm10=999.9), note("calibrate", 0, None, slope=0.5))
    assert {*of_a(got)} == {"out_of_range"}


def test_an_offset_that_a_calibration_mends_is_none_any_more() -> None:
    past = table(24 * 7, START - timedelta(days=7))
    past.loc[past["station"] == "a", "co"] -= 2.0
    said = [note("calibrate", -24 * 7, None, reading="co", offset=2.0)]
    for rows, verdict in ((past, "offset"), (notes.apply(past, said), "alive")):
        (context,) = contexts(rows, [pd.Timestamp(START)])
        assert context.verdicts["a", "co"] == verdict


def test_the_days_around_are_seen_without_what_was_invalidated() -> None:
    week = table(24 * 8, START - timedelta(days=7))
    said = [note("invalidate", -5, -1, reading=""), note("invalidate", 24, 24, reading="")]
    rows = pd.concat([week, table(1, START + timedelta(days=1))], ignore_index=True)
    (got,) = contexts(notes.apply(rows, said), [pd.Timestamp(START)])
    is_gone = (rows["station"] == "a") & (
        rows["observed_at"].between(START - timedelta(hours=5), START - timedelta(hours=1))
        | (rows["observed_at"] == START + timedelta(days=1))
    )
    bare = rows.copy()
    bare.loc[is_gone, list(NAMES)] = np.nan
    (expected,) = contexts(bare, [pd.Timestamp(START)])
    assert repr(got) == repr(expected), "where there is nothing stands NaN, which equals nothing"
    (without,) = contexts(rows, [pd.Timestamp(START)])
    assert repr(got) != repr(without)


@pytest.mark.parametrize("causal", [False, True])
def test_a_history_that_is_flagged_again_keeps_the_operators_word(causal: bool) -> None:
    said = [
        note("invalidate", 3, 5),
        note("restore", 8, 9, reading="co"),
        note("calibrate", 0, None, reading="co", slope=2.0),
    ]
    rows = table(co=np.where(np.arange(HOURS) == 9, -5.0, 1.0 + np.arange(HOURS) % 5))
    staged = flagged(rows, *said)
    again = flag_history(staged, causal=causal)
    assert sorted(again.columns) == sorted(staged.columns)
    one = flag_history(notes.apply(rows, said), causal=causal)
    pd.testing.assert_frame_equal(again[sorted(again)], one[sorted(one)])
    assert of_a(again)[2:7] == ["ok", "invalidated", "invalidated", "invalidated", "ok"]
    assert of_a(again, "co_flag")[9] == "restored"


def test_means_over_eight_hours_and_of_dry_air_leave_out_what_was_invalidated() -> None:
    activity = np.where(np.arange(HOURS) % 2, 0.6, 0.5)
    rows = table(
        rh=np.where(np.arange(HOURS) < 6, 95.0, 100 * activity),
        o3=np.where(np.arange(HOURS) == 4, 700.0, 40.0 + np.arange(HOURS) % 2),
    )
    got = flagged(rows, note("invalidate", 4, 4, reading="o3"), note("invalidate", 0, 5, reading="rh"))
    day = daily_means(got, [START.date()], {}).set_index("station").loc["a"]
    assert day["o3_8h_max"] == pytest.approx(40 + 4 / 7)  # of hours 0 to 7 or 1 to 8 without the fourth
    fine = rows["pm2_5"][:HOURS].to_numpy()
    growth = 1 + 0.4 / 1.65 * activity / (1 - activity)
    assert day["pm2_5_dry_mean"] == pytest.approx(np.where(np.arange(HOURS) < 6, fine, fine / growth).mean())


GOOD = note("invalidate", 0, 5)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (replace(GOOD, kind="delete"), "no kind 'delete'"),
        (replace(GOOD, reading="pm1"), "no reading 'pm1'"),
        (replace(GOOD, why=" "), "must not be empty"),
        (replace(GOOD, who=""), "must not be empty"),
        (replace(GOOD, last=None), "only a calibration may be open"),
        (replace(GOOD, first=None), "must be given"),
        (replace(GOOD, first=START + timedelta(hours=6)), "swap them"),
        (replace(GOOD, first=START.replace(minute=30)), "whole hours"),
        (replace(GOOD, first=START.replace(tzinfo=None)), "offset from UTC"),
        (note("calibrate", reading="t"), "a calibration is of one of"),
        (note("calibrate", reading=""), "a calibration is of one of"),
        (note("calibrate", slope=0.0), "slope must be a number above 0"),
        (note("calibrate", slope=float("nan")), "slope must be"),
        (note("calibrate", offset=float("inf")), "offset a number"),
        (replace(GOOD, station=""), "must not be empty"),
        (replace(GOOD, noted_at=START.replace(tzinfo=None)), "noted_at must have its offset"),
        (replace(GOOD, id="x"), "id be its day and a number"),
        (replace(GOOD, id="2026-03-11-1"), "id be its day and a number"),
        (replace(GOOD, slope=2.0), "only a calibration has a slope"),
        (replace(revoke(replace(GOOD, id=named(50))), station="b"), "about another station"),
        (revoke(replace(GOOD, id=named(51))), "no note 2026-03-10-51"),
        (replace(GOOD, id=named(50)), "id 2026-03-10-50 is that of an earlier note"),
    ],
)
def test_what_is_no_note_is_refused(wrong: Note, told: str) -> None:
    assert notes.problem(GOOD, []) == ""
    assert told in notes.problem(wrong, [replace(GOOD, id=named(50))])


def test_a_note_is_taken_back_once_and_what_takes_it_back_stays() -> None:
    first, second = revoke(GOOD, 97), revoke(GOOD, 98)
    assert notes.problem(first, [GOOD]) == ""
    assert "revoked already" in notes.problem(second, [GOOD, first])
    assert "write that one again" in notes.problem(revoke(first, 99), [GOOD, first])


def test_no_notes_change_nothing() -> None:
    rows = table()
    applied = notes.apply(rows, [])
    pd.testing.assert_frame_equal(applied[rows.columns], rows)
    assert {*applied.columns} - {*rows.columns} == {f"{name}_raw" for name in POLLUTANTS}
    assert notes.effects([note("comment", 0, 5)], START, START + timedelta(hours=9)) == []
