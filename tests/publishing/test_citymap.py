"""The map: what a GeoJSON becomes, where stations and labels go, and what is wrong with a file that is none."""

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.public import STATIONS

from airqino.errors import ConfigError
from airqino.publishing import citymap
from airqino.publishing.stations import Station


def rings(path: str) -> list[list[tuple[int, int]]]:
    """The points of a path of relative steps."""
    found = []
    for part in filter(None, path.split("z")):
        start, steps = part.removeprefix("M").split("l")
        pairs = [int(number) for number in re.findall(r"-?\d+", steps)]
        points = [tuple(int(number) for number in start.split(","))]
        for dx, dy in zip(pairs[::2], pairs[1::2], strict=True):
            points.append((points[-1][0] + dx, points[-1][1] + dy))
        found.append(points)
    return found


def inside(x: float, y: float, ring: list[tuple[int, int]]) -> bool:
    """Whether a point lies in a ring: a ray from it crosses the ring's edges an odd number of times."""
    odd = False
    for (ax, ay), (bx, by) in zip(ring, ring[1:] + ring[:1], strict=True):
        if (ay > y) != (by > y) and x < (bx - ax) * (y - ay) / (by - ay) + ax:
            odd = not odd
    return odd


def in_water(of: citymap.CityMap, longitude: float, latitude: float) -> bool:
    return sum(inside(*of.xy(longitude, latitude), ring) for ring in rings(of.water)) % 2 == 1


def test_abidjan_has_its_lagoon_and_its_land() -> None:
    of = citymap.read(citymap.ABIDJAN)
    assert len(of.water) < 4000
    assert (of.width, of.height) == (700, pytest.approx(502, abs=1))
    assert in_water(of, -3.95, 5.21), "the gulf"
    assert in_water(of, -4.00, 5.315), "the lagoon between Plateau and Treichville"
    assert not in_water(of, -4.0, 5.40), "Abobo"
    assert not any(in_water(of, station.longitude, station.latitude) for station in STATIONS)
    assert of.km == pytest.approx(0.35 * 111.2 * 0.9957, rel=0.01)
    assert {name.text["en"] for name in of.names if name.water} == {"Ébrié Lagoon", "Gulf of Guinea"}
    assert of.source is not None
    assert "CIA World Data Bank II" in of.source["fr"]


def test_an_operators_map(tmp_path: Path) -> None:
    file = tmp_path / "city.geojson"
    ring = [[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8], [0.2, 0.2]]
    hole = [[0.4, 0.4], [0.4, 0.6], [0.6, 0.6], [0.6, 0.4], [0.4, 0.4]]
    features = [
        {"properties": {"kind": "water"}, "geometry": {"type": "Polygon", "coordinates": [ring, hole]}},
        {"properties": {"name": "Nord"}, "geometry": {"type": "MultiPolygon", "coordinates": [[ring]]}},
        {"properties": {"name": "hors"}, "geometry": {"type": "Point", "coordinates": [5, 5]}},
        {"properties": None, "geometry": {"type": "Point", "coordinates": [0.1, 0.1, 7]}},
    ]
    file.write_text(
        json.dumps({"type": "FeatureCollection", "bbox": [0, 0, 1, 1], "features": features, "source": "OSM"})
    )
    of = citymap.read(file)
    assert rings(of.water)[0] == [(140, 560), (560, 560), (560, 140), (140, 140)]
    assert rings(of.areas) == rings(of.water)[:1]
    assert [(name.text["fr"], round(name.x), round(name.y), name.water) for name in of.names] == [
        ("Nord", 50, 50, False)
    ]
    assert of.source == {"fr": "OSM", "en": "OSM"}
    assert in_water(of, 0.3, 0.3)
    assert not in_water(of, 0.5, 0.5)


_LINE = '{"features": [{"geometry": {"type": "LineString", "coordinates": [[0, 0], [1, 1]]}}]}'


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"features": []}', '{"features": [{"geometry": null}]}', _LINE])
def test_a_file_that_is_no_map_is_refused_by_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "city.geojson"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"city\.geojson is no GeoJSON"):
        citymap.read(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        citymap.read(tmp_path / "none.geojson")


_DEGREES = st.tuples(st.floats(-4.15, -3.80), st.floats(5.20, 5.45))


@given(st.lists(_DEGREES, min_size=1, max_size=8))
def test_labels_cover_no_other_and_no_station_and_stay_on_the_map(places: list[tuple[float, float]]) -> None:
    of = citymap.read(citymap.ABIDJAN)
    stations = [Station(f"{i}", latitude=lat, longitude=lon) for i, (lon, lat) in enumerate(places)]
    marks = citymap.where(of, stations)
    assert {mark.id for mark in marks} == {station.id for station in stations}
    labels = sorted(mark.label for mark in marks if mark.label)
    assert len(labels) in ((0, len(stations)) if len(stations) <= 5 else (0,))
    assert all(later[1] - earlier[1] >= 83 for earlier, later in pairwise(labels))
    assert all(40 <= y <= of.height - 40 for _, y in labels)
    for mark in marks:
        for x, y in labels:
            begin = x - 270 if mark.left else x
            assert not (begin <= mark.x <= begin + 270 and abs(y - mark.y) <= 42)


def test_stations_in_the_west_have_their_labels_in_the_east_and_the_reverse() -> None:
    of = citymap.read(citymap.ABIDJAN)
    for longitude, left in ((-4.1, False), (-3.85, True)):
        station = Station("1", latitude=5.3, longitude=longitude)
        (mark,) = citymap.where(of, [station])
        assert mark.label
        assert mark.left == left


def test_without_a_map_the_stations_have_a_bare_one() -> None:
    of = citymap.around(STATIONS)
    assert of is not None
    assert all(of.holds(station) for station in STATIONS)
    assert of.water == ""
    assert citymap.around([Station("1")]) is None
    assert not of.holds(Station("1"))
