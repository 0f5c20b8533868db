"""Whether an answer is the station's own."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airqino.source.identity import Place, distance, impostors, same_readings

PORT = Place("SMART188", 5.369346, -3.957688)
HILL = Place("SMART189", 5.365334, -3.997688)
KNOWN = {"1": PORT, "2": HILL}
HOUR = timedelta(hours=1)
START = datetime(2024, 9, 9, tzinfo=UTC)


Readings = dict[datetime, tuple[float | None, ...]]


def same(readings: dict[str, Readings], refused: Collection[str] = ()) -> dict[str, str]:
    rows = [(station, hour, *levels) for station, of in readings.items() for hour, levels in of.items()]
    table = pd.DataFrame(rows, columns=["station", "observed_at", "co", "pm2_5"])
    return same_readings(table.astype({"co": float, "pm2_5": float}), list(readings), refused)


def series(first: int, last: int, level: float) -> Readings:
    return {START + h * HOUR: (0.1 * (h % 5), level + h) for h in range(first, last)}


@pytest.mark.parametrize(
    ("one", "other", "metres"),
    [
        (Place("", 0, 0), Place("", 0, 1), 111_195),  # a degree on a sphere of 6371 km
        (Place("", 0, 0), Place("", 1, 0), 111_195),
        (Place("", 60, 10), Place("", 60, 11), 55_597),
        (PORT, PORT, 0),
    ],
)
def test_a_distance_is_that_on_the_sphere(one: Place, other: Place, metres: float) -> None:
    assert distance(one, other) == pytest.approx(metres, rel=2e-3, abs=0.1)


def test_without_coordinates_there_is_no_distance() -> None:
    assert distance(PORT, Place("SMART189")) is None


def test_an_answer_with_its_own_name_and_place_is_its_own() -> None:
    assert impostors(KNOWN, KNOWN) == {}
    wandering = Place(PORT.name, 5.36939, -3.95766)
    assert impostors({"1": wandering}, KNOWN) == {}


def test_another_stations_name_is_refused_where_the_own_one_is_known() -> None:
    assert "that of station 2" in impostors({"1": Place("SMART189")}, KNOWN)["1"]
    assert impostors({"3": Place("SMART189")}, KNOWN) == {}  # nothing is known of it: two may have one name


def test_two_stations_that_always_had_one_name_stay_two() -> None:
    twins = {"1": Place("SMART", 5.36, -3.95), "2": Place("SMART", 5.40, -3.99)}
    assert impostors(twins, twins) == {}


def test_another_stations_coordinates_are_refused_but_not_a_move_to_elsewhere() -> None:
    moved = Place(PORT.name, HILL.latitude, HILL.longitude)
    assert "coordinates of station 2" in impostors({"1": moved}, KNOWN)["1"]
    assert impostors({"1": Place(PORT.name, 5.5, -4.1)}, KNOWN) == {}


def test_what_the_operator_says_of_a_station_is_its_own() -> None:
    exchanged = {"1": Place(HILL.name, HILL.latitude, HILL.longitude)}
    assert impostors(exchanged, KNOWN, {"1": Place("SMART189", 5.3653, -3.9977)}) == {}
    assert "coordinates" in impostors(exchanged, KNOWN, {"1": Place("SMART189", 5.5, -4.1)})["1"]
    assert "name" in impostors({"1": Place(HILL.name)}, KNOWN, {"1": Place("Port")})["1"]


def test_readings_that_suddenly_equal_anothers_for_a_day_are_refused() -> None:
    ours, theirs = series(0, 48, 10), series(0, 24, 50) | series(24, 48, 10)
    assert same({"1": ours, "2": theirs}) == {"2": "1"}
    assert same({"2": theirs, "1": ours}) == {"1": "2"}  # which one is wrong cannot be told
    shorter = series(0, 25, 50) | series(25, 48, 10)
    assert same({"1": ours, "2": shorter}) == {}


def test_readings_that_were_equal_from_the_beginning_are_left_alone() -> None:
    assert same({"1": series(0, 48, 10), "2": series(0, 48, 10)}) == {}


def test_zeros_and_gaps_say_nothing() -> None:
    zeros = {START + h * HOUR: (0.0, None) for h in range(48, 96)}
    assert same({"1": series(0, 24, 10) | zeros, "2": series(0, 24, 50) | zeros}) == {}


def test_who_was_refused_stays_so_while_the_readings_go_on_being_equal() -> None:
    ours, theirs = series(40, 48, 10), series(45, 48, 10)
    assert same({"1": ours, "2": theirs}, refused={"2"}) == {"2": "1"}
    assert same({"1": ours, "2": series(45, 48, 11)}, refused={"2"}) == {}


LEVELS = st.sampled_from([None, 0.0, -0.0, 1.5, 2.5])


@given(st.lists(st.tuples(st.sampled_from("123"), st.integers(0, 60), LEVELS, LEVELS), max_size=80), st.booleans())
def test_pairs_are_found_as_one_by_one(rows: list[Any], is_refused: bool) -> None:
    rows += [(station, hour, level, 7.0) for station, level in (("1", 1.5), ("2", 1.5)) for hour in range(20, 45)]
    every: dict[str, Readings] = {}
    for station, hour, *levels in rows:
        every.setdefault(station, {})[START + hour * HOUR] = tuple(levels)
    refused = {"2"} if is_refused else set()
    expected = {}
    for one, other in combinations(sorted(every), 2):
        ours, theirs = every[one], every[other]
        equal = [ours[h] == theirs[h] for h in sorted(ours.keys() & theirs.keys()) if any(ours[h])]
        sudden = len(equal) > 24 and all(equal[-24:]) and not all(equal)
        if (bool(equal) and equal[-1]) if other in refused else sudden:
            expected.setdefault(other, one)
    assert same(dict(sorted(every.items())), refused) == expected


def test_thousands_that_were_always_equal_are_one() -> None:
    ours = series(0, 48, 10)
    many = {f"{number}": ours for number in range(1000, 5000)}
    assert same(many | {"9": series(0, 24, 50) | series(24, 48, 10)}) == {"9": "1000"}


def test_a_refused_station_that_says_nothing_like_another_is_not_refused_for_it() -> None:
    nothing: Readings = {START + h * HOUR: (None, 0.0) for h in range(30)}
    assert same({"1": nothing, "2": nothing}, {"2"}) == {}
