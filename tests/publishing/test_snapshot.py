"""What is said at an hour, against the answers themselves; and what is not said of a sensor that says nothing."""

import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from support.public import HOUR, STATIONS, stage, tables_of

from airqino.opendata import writing
from airqino.opendata.about import About, Location
from airqino.opendata.layout import FOLDER, DataFolder
from airqino.publishing import snapshot, tables
from airqino.publishing.facts import Snapshot, StationFacts
from airqino.publishing.stations import Station, labels
from airqino.publishing.tables import Tables
from airqino.quality.notes import Note
from airqino.readings import reading
from airqino.stores.paths import Paths

GOOD, BAD = "283164601", "283181971"
PM = reading("pm2_5")
AT = pd.Timestamp(HOUR)


def of(shown: Snapshot, station: str) -> StationFacts:
    return next(of for of in shown.stations if of.station.id == station)


def level_by_hand(value: float) -> int:
    """The index's level, by counting: whole µg/m³, halves up, and each band passed is one level more."""
    return 1 + sum(math.floor(value + 0.5) > edge for edge in (5, 15, 50, 90, 140))


def test_the_hour_and_the_two_days_before_are_the_answers(shown: Snapshot, made: tuple[Tables, pd.DataFrame]) -> None:
    for facts in shown.stations:
        rows = made[1].query("station == @facts.station.id").set_index("observed_at")["pm2_5"]
        wanted = rows.loc[AT - pd.Timedelta(hours=47) :]
        assert len(wanted) == len(facts.recent) == 48
        flags = made[0].hourly.query("station == @facts.station.id").set_index("observed_at")["pm2_5_flag"]
        for hour, (at, value) in zip(facts.recent, wanted.items(), strict=True):
            assert pd.Timestamp(hour.at) == at
            if hour.state == "measured":
                assert (hour.value, hour.level) == (value, level_by_hand(value))
            else:
                assert (hour.value, hour.level) == (None, None)
                assert math.isnan(value) or flags[at] not in ("ok", "humid", "restored")
        assert facts.now.value == wanted.iloc[-1]


def test_days_year_and_mean_so_far_are_those_of_pandas(shown: Snapshot, made: tuple[Tables, pd.DataFrame]) -> None:
    for facts in shown.stations:
        hourly = made[0].hourly.query("station == @facts.station.id and pm2_5_flag in ('ok', 'humid', 'level')")
        values = hourly.set_index("observed_at")["pm2_5"]
        by_day = values.groupby(values.index.date)
        means = by_day.mean()[by_day.count() >= 18].drop(HOUR.date(), errors="ignore")
        told = {day.day: day.mean for day in facts.year.days if day.mean is not None}
        assert told == pytest.approx(means.to_dict())
        assert facts.year.over == (means > 15).sum()
        assert facts.year.mean == pytest.approx(means.mean())
        assert {day.day for day in facts.year.days if day.level and day.level > 2} == {*means[means > 15].index}
        today = values[values.index >= pd.Timestamp(HOUR.date(), tz="UTC")]
        assert facts.so_far is not None
        assert (facts.so_far.mean, facts.so_far.hours) == (pytest.approx(today.mean()), len(today))
        assert facts.so_far.elapsed == 13


def test_forecasts_are_those_of_the_hour(shown: Snapshot, made: tuple[Tables, pd.DataFrame]) -> None:
    for facts in shown.stations:
        rows = made[0].forecasts.query("station == @facts.station.id and pollutant == 'pm2_5' and issued_at == @AT")
        told = [(pd.Timestamp(ahead.at), ahead.low, ahead.mid, ahead.high) for ahead in facts.ahead]
        assert told == [tuple(row) for row in rows[["target_at", "p10", "p50", "p90"]].itertuples(index=False)]
        assert [ahead.level for ahead in facts.ahead] == [level_by_hand(ahead.mid) for ahead in facts.ahead]


def with_chances(made: Tables, chance: float, day: date, issued: datetime = HOUR) -> Tables:
    """The tables, with a chance for a day in the forecasts of an hour."""
    rows = made.forecasts.copy()
    mine = (rows["issued_at"] == pd.Timestamp(issued)) & (rows["pollutant"] == "pm2_5")
    rows.loc[mine, ["day", "day_exceedance"]] = [f"{day}", chance]
    return replace(made, forecasts=rows)


def test_a_chance_is_told_of_its_day_and_since_when_it_is_likely(made: tuple[Tables, pd.DataFrame]) -> None:
    earlier = HOUR - timedelta(hours=5)
    likely = with_chances(with_chances(made[0], 0.3, HOUR.date()), 0.6, HOUR.date(), earlier)
    for facts in snapshot.take(likely, STATIONS, HOUR).stations:
        assert [(chance.day, chance.probability) for chance in facts.chances] == [(HOUR.date(), 0.3)]
        assert facts.likely_since == earlier + timedelta(hours=1)
    tomorrow = with_chances(made[0], 0.7, HOUR.date() + timedelta(days=1))
    for facts in snapshot.take(tomorrow, STATIONS, HOUR).stations:
        assert [chance.day for chance in facts.chances] == [HOUR.date() + timedelta(days=1)]
        assert facts.likely_since is None


def silence(station: str, hours: int):
    def edit(raw: pd.DataFrame) -> None:
        late = raw["observed_at"] > AT - pd.Timedelta(hours=hours)
        raw.loc[(raw["station"] == station) & late, [*raw.columns.drop(["station", "observed_at"])]] = np.nan

    return edit


def test_a_silent_station_has_its_last_value_no_forecast_no_chance_and_comes_last() -> None:
    made, raw = tables_of(edit=silence(BAD, 3))
    shown = snapshot.take(with_chances(made, 0.9, HOUR.date()), STATIONS, HOUR)
    assert [facts.station.id for facts in shown.stations] == [GOOD, BAD]
    silent = of(shown, BAD)
    assert (silent.now.state, silent.now.value, silent.level) == ("absent", None, 0)
    assert (silent.ahead, silent.no_forecast, silent.chances, silent.likely_since) == ((), "no_reading", (), None)
    last = raw.query("station == @BAD").dropna(subset="pm2_5").iloc[-1]
    assert silent.now.last is not None
    assert (pd.Timestamp(silent.now.last.at), silent.now.last.value) == (last["observed_at"], last["pm2_5"])
    assert shown.silent_for(silent) == timedelta(hours=3)
    assert of(shown, GOOD).chances[0].probability == 0.9


def test_without_forecast_it_is_said_why(made: tuple[Tables, pd.DataFrame]) -> None:
    none = replace(made[0], forecasts=pd.DataFrame())
    assert {facts.no_forecast for facts in snapshot.take(none, STATIONS, HOUR).stations} == {"not_made"}
    for reason, why in (
        ("at 1 h the model does not beat the simple forecasts here", "model"),
        ("sensor stuck", "sensor"),
        ("readings in another unit", "sensor"),
        ("no reading for 3 h", "no_reading"),
    ):
        rows = made[0].forecasts.assign(p50=np.nan, method="none", reason=reason)
        shown = snapshot.take(replace(made[0], forecasts=rows), STATIONS, HOUR)
        assert {facts.no_forecast for facts in shown.stations} == {why}


def test_co_at_the_floor_is_low_at_one_and_a_fault_at_the_other(
    shown: Snapshot, made: tuple[Tables, pd.DataFrame]
) -> None:
    """SMART188's CO stands at 0.0 for days."""
    assert (of(shown, GOOD).co.state, of(shown, GOOD).co.value) == ("faulty", None)
    assert of(shown, GOOD).trust.faults == {"co": "at_floor"}
    days = pd.date_range(end=HOUR.date() - timedelta(days=1), periods=30).date
    for facts in shown.stations:
        co = made[1].query("station == @facts.station.id").dropna(subset="co").set_index("observed_at")["co"]
        month = co[np.isin(co.index.date, days)]
        assert facts.trust.co_floor == pytest.approx((month == 0).mean(), abs=0.01)  # a spike does not count
    assert of(shown, BAD).trust.faults == {}
    assert of(shown, BAD).co.state in ("low", "measured")


@pytest.mark.parametrize(("co", "state", "value"), [(0.0, "low", None), (0.004, "low", None), (0.42, "measured", 0.42)])
def test_a_co_of_nothing_is_never_a_value(co: float, state: str, value: float | None) -> None:
    def edit(raw: pd.DataFrame) -> None:
        raw.loc[(raw["station"] == BAD) & (raw["observed_at"] == AT), "co"] = co

    told = of(snapshot.take(tables_of(edit=edit)[0], STATIONS, HOUR), BAD).co
    assert (told.state, told.value) == (state, value)


def dead(raw: pd.DataFrame) -> None:
    raw.loc[(raw["station"] == BAD) & (raw["observed_at"] > AT - pd.Timedelta(days=20)), "pm2_5"] = 0.0


def test_a_dead_sensor_has_no_value_no_level_and_no_day() -> None:
    facts = of(snapshot.take(tables_of(edit=dead)[0], STATIONS, HOUR), BAD)
    assert (facts.now.state, facts.now.value, facts.level) == ("left_out", None, 0)
    assert facts.now.flag in ("dead", "stuck")
    assert {(hour.state, hour.value) for hour in facts.recent} == {("left_out", None)}
    assert facts.trust.faults["pm2_5"] == "dead"
    assert {day.state for day in facts.year.days[-10:]} <= {"incomplete", "none"}
    assert facts.ahead == facts.chances == ()


def test_a_value_far_from_the_days_before_is_told_without_a_level() -> None:
    """The level of SMART188's days before is 8 µg/m³; 20 times as much is doubted."""

    def edit(raw: pd.DataFrame) -> None:
        raw.loc[(raw["station"] == GOOD) & (raw["observed_at"] == AT), ["pm2_5", "pm10"]] = [480.0, 900.0]

    facts = of(snapshot.take(tables_of(edit=edit)[0], STATIONS, HOUR), GOOD)
    assert (facts.now.state, facts.now.value, facts.level, facts.ahead) == ("unusual", 480.0, 0, ())


def test_what_the_operator_takes_back_is_gone_and_the_note_told() -> None:
    noted = datetime(2024, 2, 22, 13, 30, tzinfo=UTC)
    note = Note(
        **{"id": "2024-02-22-1", "kind": "invalidate", "station": BAD, "who": "an operator", "why": "dust"},
        **{"noted_at": noted, "reading": "pm2_5", "first": HOUR - timedelta(hours=5), "last": HOUR},
    )
    shown = snapshot.take(tables_of(notes=(note,))[0], STATIONS, HOUR)
    facts = of(shown, BAD)
    assert (facts.now.state, facts.now.flag) == ("left_out", "invalidated")
    assert [hour.state for hour in facts.recent[-6:]] == ["left_out"] * 6
    assert shown.network.notes == (note,)
    revoked = Note(
        **{"id": "2024-02-22-2", "kind": "revoke", "station": BAD, "who": "an operator", "why": "no dust"},
        **{"noted_at": noted, "revokes": note.id},
    )
    back = snapshot.take(replace(tables_of()[0], notes=(note, revoked)), STATIONS, HOUR)
    assert back.network.notes == ()


def test_what_came_after_the_hour_is_not_known(made: tuple[Tables, pd.DataFrame]) -> None:
    earlier = HOUR - timedelta(hours=4)
    cut = replace(
        made[0],
        hourly=made[0].hourly[made[0].hourly["observed_at"] <= pd.Timestamp(earlier)],
        forecasts=made[0].forecasts[made[0].forecasts["issued_at"] <= pd.Timestamp(earlier)],
    )
    later = made[0].hourly["observed_at"] > pd.Timestamp(earlier)
    flags = {f"{name}_flag": made[0].hourly[f"{name}_flag"].mask(later, "dead") for name in ("pm2_5", "co", "t")}
    other = replace(made[0], hourly=made[0].hourly.assign(**flags))
    assert snapshot.take(other, STATIONS, earlier) == snapshot.take(cut, STATIONS, earlier)


def test_days_are_the_stations_own() -> None:
    """In Auckland 22 February 12:00 UTC is 23 February, 1:00."""
    far = tuple(replace(station, time_zone="Pacific/Auckland") for station in STATIONS)
    made, raw = tables_of(stations=far)
    for facts in snapshot.take(made, far, HOUR).stations:
        values = (
            raw.query("station == @facts.station.id").set_index("observed_at")["pm2_5"].tz_convert("Pacific/Auckland")
        )
        assert facts.so_far is not None
        assert facts.so_far.elapsed == 2
        assert facts.so_far.mean == pytest.approx(values["2024-02-23":].mean())
        assert facts.year.days[-1].day == date(2024, 2, 22)
        full = values["2024-02-21"]
        if full.count() == 24 and facts.year.days[-2].state == "measured":
            assert facts.year.days[-2].mean == pytest.approx(full.mean())


def test_a_station_without_any_row_is_shown_as_silent(made: tuple[Tables, pd.DataFrame]) -> None:
    shown = snapshot.take(made[0], (*STATIONS, Station("7", "SMART7")), HOUR)
    assert shown.stations[-1].label == "SMART7"
    assert (shown.stations[-1].now.state, shown.stations[-1].now.last) == ("absent", None)
    empty = snapshot.take(Tables(*[pd.DataFrame()] * 5), STATIONS, HOUR)
    assert empty.worst == 0


def test_stations_near_each_other_are_compared_over_their_common_days(shown: Snapshot) -> None:
    (pair,) = shown.network.pairs
    days = [{day.day: day.mean for day in of(shown, id).year.days if day.mean} for id in (BAD, GOOD)]
    common = sorted(days[0].keys() & days[1].keys())
    ratio = np.mean([days[0][day] for day in common]) / np.mean([days[1][day] for day in common])
    assert (pair.one, pair.other, pair.days) == ("Cocody 189", "Cocody 188", len(common))
    assert pair.ratio == pytest.approx(ratio)
    assert 440 < pair.metres < 455


def test_the_night_is_told_where_hours_are_missing_at_night() -> None:
    def edit(raw: pd.DataFrame) -> None:
        raw.loc[(raw["station"] == GOOD) & raw["observed_at"].dt.hour.isin((22, 23, 0, 1)), "pm2_5"] = np.nan
        raw.loc[(raw["station"] == BAD) & raw["observed_at"].dt.hour.isin((11, 12)), "pm2_5"] = np.nan

    made, raw = tables_of(edit=edit)
    shown = snapshot.take(made, STATIONS, HOUR)
    for id in (GOOD, BAD):
        month = raw[(raw["station"] == id) & (raw["observed_at"] >= AT - pd.Timedelta(days=30))]
        hours = month[month["pm2_5"].isna()]["observed_at"].dt.hour
        assert of(shown, id).trust.night == pytest.approx(((hours >= 20) | (hours < 7)).mean())


def test_yesterdays_score_is_that_of_the_forecasts_of_the_next_hour(
    shown: Snapshot, made: tuple[Tables, pd.DataFrame]
) -> None:
    rows = made[0].scores.query("pollutant == 'pm2_5' and horizon_h == 1 and window_days == 1").set_index("station")
    for facts in shown.stations:
        score, row = facts.trust.score, rows.loc[facts.station.id]
        assert score is not None
        assert (score.mae, score.n, score.inside / score.n) == (row["mae"], row["n"], pytest.approx(row["coverage80"]))
        assert score.day == HOUR.date() - timedelta(days=1)


def test_revisions_of_the_week_are_counted(made: tuple[Tables, pd.DataFrame], tmp_path) -> None:
    seen = pd.DataFrame({"station": [BAD, BAD, GOOD, "7"]})
    shown = snapshot.take(replace(made[0], revisions=seen), STATIONS, HOUR)
    assert shown.network.revisions == {BAD: 2, GOOD: 1}


def test_what_is_read_from_a_staging_root_says_the_same(
    shown: Snapshot, made: tuple[Tables, pd.DataFrame], tmp_path
) -> None:
    root = stage(tmp_path / "staging", made[0], HOUR).root
    writing.write(tmp_path, root, About({of.id: Location(of.name, time_zone=of.time_zone) for of in STATIONS}))
    read = tables.read(Paths(root), DataFolder(tmp_path / FOLDER), [of.id for of in STATIONS], HOUR)
    assert read.hourly["observed_at"].min() >= pd.Timestamp(HOUR.date() - timedelta(days=31), tz="UTC")
    assert snapshot.take(read, STATIONS, HOUR) == shown


_LEVELS = st.floats(0, 400, allow_nan=False)


@settings(max_examples=60)
@given(values=st.lists(st.one_of(st.none(), _LEVELS), min_size=1, max_size=14), flagged=st.integers(0, 14))
def test_the_worst_level_is_that_of_the_worst_value_that_counts(values: list[float | None], flagged: int) -> None:
    """Nothing that is summed up is ever better than the worst station; what does not count makes nothing worse."""
    hourly = pd.DataFrame(
        {
            "station": [f"{id}" for id in range(len(values))],
            "observed_at": AT,
            "status": "ok",
            "pm2_5": [np.nan if value is None else value for value in values],
            "pm2_5_flag": ["absent" if v is None else "spike" if i == flagged else "ok" for i, v in enumerate(values)],
        }
    )
    for name in ("co", "no2", "o3", "pm10", "t", "rh", "t_int"):
        hourly[name], hourly[f"{name}_flag"] = np.nan, "absent"
    stations = [Station(f"{id}", place=f"P{id}") for id in range(len(values))]
    shown = snapshot.take(Tables(hourly, *[pd.DataFrame()] * 4), stations, HOUR)
    counted = [value for i, value in enumerate(values) if value is not None and i != flagged]
    assert shown.worst == max(map(level_by_hand, counted), default=0)
    told = [facts.level for facts in shown.stations]
    assert told == sorted(told, reverse=True)


def test_a_place_names_a_station_and_a_number_where_two_share_it() -> None:
    stations = (
        Station("1", "SMART189", "Cocody"),
        Station("2", "SMART188", "Cocody"),
        Station("3", "SMART5", "Plateau"),
        Station("4", "SMART6"),
        Station("5", "X", "Abobo"),
        Station("6", "X", "Abobo"),
    )
    named = {
        "1": "Cocody 189",
        "2": "Cocody 188",
        "3": "Plateau",
        "4": "SMART6",
        "5": "Abobo X (5)",
        "6": "Abobo X (6)",
    }
    assert labels(stations) == named


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["", "a", "a 1", "b"])), max_size=8))
def test_no_two_stations_are_called_alike(kinds: list[tuple[str, str]]) -> None:
    stations = [Station(f"{id}", f"{name} 1", place) for id, (name, place) in enumerate(kinds)]
    told = labels(stations)
    assert len({*told.values()}) == len(told) == len(stations)


@pytest.mark.parametrize("id", ["../x", "a/b", "", "a b", "é"])
def test_an_id_that_is_no_file_name_is_refused(id: str) -> None:
    with pytest.raises(ValueError, match="must be of letters"):
        Station(id)
