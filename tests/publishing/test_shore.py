"""The points of a shore: where they lie, and how many."""

import math
from itertools import pairwise

import pytest
from support.public import STATIONS

from airqino.publishing import citymap
from airqino.publishing.citymap import CityMap, Point
from airqino.publishing.shore import MOST_POINTS, shore

PLACES = [(station.latitude, station.longitude) for station in STATIONS]
SQUARE = ((0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8), (0.2, 0.2))


def away(point: Point, one: Point, other: Point) -> float:
    """How far a point lies from a stretch, in degrees."""
    (px, py), (ax, ay), (bx, by) = point, one, other
    squared = (bx - ax) ** 2 + (by - ay) ** 2
    share = max(0.0, min(1.0, ((px - ax) * (bx - ax) + (py - ay) * (by - ay)) / squared)) if squared else 0.0
    return math.hypot(px - ax - share * (bx - ax), py - ay - share * (by - ay))


def test_abidjans_shore_is_the_maps_and_has_the_lagoon_and_the_sea() -> None:
    of = citymap.read(citymap.ABIDJAN)
    points = shore(of, PLACES)
    assert MOST_POINTS / 2 < len(points) <= MOST_POINTS
    edges = [edge for ring in of.waters for edge in pairwise(ring)]
    for y, x in points:
        assert min(away((x, y), *edge) for edge in edges) < 2e-5
        assert of.west < x < of.east
        assert of.south < y < of.north
        assert min(abs(y - lat) for lat, _ in PLACES) < 0.16
        assert min(abs(x - lon) for _, lon in PLACES) < 0.16
    assert [p for p in points if p[0] < 5.25 and p[1] < -4.05], "the sea, west of the canal"
    assert [p for p in points if p[0] < 5.25 and p[1] > -3.92], "and east of it"
    assert [p for p in points if 5.31 < p[0] < 5.34 and -4.03 < p[1] < -3.93], "the lagoon at Cocody"
    steps = [math.dist(*pair) for pair in pairwise(points)]
    assert sorted(steps)[len(steps) // 2] == pytest.approx(sorted(steps)[len(steps) // 4], rel=0.3), "evenly"


def test_where_a_map_is_cut_there_is_no_shore() -> None:
    corner = ((0.0, 0.0), (0.2, 0.0), (0.2, 0.2), (0.0, 0.2), (0.0, 0.0))
    of = CityMap(0.0, 0.0, 1.0, 1.0, waters=(corner,))
    points = shore(of, [(0.1, 0.1)])
    assert {x for _, x in points} >= {0.2}
    assert {y for y, _ in points} >= {0.2}
    assert all(x == 0.2 or y == 0.2 for y, x in points)


@pytest.mark.parametrize("places", [[], [(None, None)], [(5.0, 5.0)], [(0.5, None)]])
def test_stations_off_the_map_have_none(places: list[tuple[float | None, float | None]]) -> None:
    assert shore(CityMap(0.0, 0.0, 1.0, 1.0, waters=(SQUARE,)), places) == []


def test_a_shore_far_from_the_stations_is_not_drawn() -> None:
    of = CityMap(0.0, 0.0, 1.0, 1.0, waters=(SQUARE,))
    assert shore(of, [(0.5, 0.5)]) == []
    near = shore(of, [(0.5, 0.75)])
    assert {x for _, x in near} == {0.8}
    assert 0 < len(near) <= MOST_POINTS
