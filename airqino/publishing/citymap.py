"""The map: water and names of a city from a small GeoJSON file, and where stations and their labels go."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

from airqino.errors import ConfigError
from airqino.publishing.stations import Station

__all__ = ["ABIDJAN", "CityMap", "Mark", "Name", "Point", "around", "read", "where"]

#: Longitude and latitude, in degrees.
Point = tuple[float, float]

#: Name of the map that comes with the package.
ABIDJAN = "abidjan"
#: Width of the drawing in units; whole units are what paths are written in.
_WIDTH = 700
#: Where labels right of the stations begin, and those left of them end, in units; their width, and a dot's radius.
_RIGHT, _LEFT, _LABEL_WIDTH, _DOT = 425, 275, 270, 9
#: Units from the middle of a label to that of the next one, and from the edge: a label's height on a narrow phone.
_LABEL_STEP, _EDGE = 84, 46
#: Units from a station up to its label: beside the dot it would hide the names around it.
_LABEL_LIFT = 115
#: Stations that a column has room for.
_IN_COLUMN = 5
_KM_PER_DEGREE = 111.195


@dataclass(frozen=True)
class Name:
    """A name on the map: its text by language, its place in percent, and whether it is a water's."""

    text: Mapping[str, str]
    x: float
    y: float
    water: bool


@dataclass(frozen=True)
class CityMap:
    """A city's map.

    Attributes:
        west: In degrees, as `south`, `east` and `north`.
        water: SVG path of its waters, in units.
        areas: SVG path of other areas, such as communes; "" without any.
        names: Names on it.
        source: Whence it is, by language.
        waters: The rings of its waters, in degrees.
    """

    west: float
    south: float
    east: float
    north: float
    water: str = ""
    areas: str = ""
    names: tuple[Name, ...] = ()
    source: Mapping[str, str] | None = None
    waters: tuple[tuple[Point, ...], ...] = ()

    @property
    def width(self) -> int:
        """Width in units."""
        return _WIDTH

    @property
    def height(self) -> int:
        """Height in units: a degree of latitude is longer than one of longitude, by the latitude's cosine."""
        return round((self.north - self.south) * self._scale / self._shrink)

    @property
    def km(self) -> float:
        """Width in km."""
        return (self.east - self.west) * _KM_PER_DEGREE * self._shrink

    @property
    def _scale(self) -> float:
        return _WIDTH / (self.east - self.west)

    @property
    def _shrink(self) -> float:
        return math.cos(math.radians((self.south + self.north) / 2))

    def xy(self, longitude: float, latitude: float) -> tuple[float, float]:
        """Return a place in units from the upper left corner."""
        return (longitude - self.west) * self._scale, (self.north - latitude) * self._scale / self._shrink

    def holds(self, station: Station) -> bool:
        """Tell whether a station lies on the map."""
        if station.longitude is None or station.latitude is None:
            return False
        return self.contains(station.longitude, station.latitude)

    def contains(self, longitude: float, latitude: float) -> bool:
        """Tell whether a place lies on the map."""
        return self.west <= longitude <= self.east and self.south <= latitude <= self.north


@dataclass(frozen=True)
class Mark:
    """Where a station's dot goes, and where its label begins, or ends if it stands to the `left`, in units.

    It has none where labels would cover stations, or where there are too many.
    """

    id: str
    x: float
    y: float
    label: tuple[int, int] | None
    left: bool = False


def read(name: str | Path) -> CityMap:
    """Read a map.

    Args:
        name: One that comes with the package, such as `ABIDJAN`, or the path of a GeoJSON FeatureCollection in degrees
            (WGS 84). Polygons with the property ``kind`` ``water`` are waters, other polygons areas such as communes;
            points and areas with ``name``, or ``name_fr`` and ``name_en``, are named. ``bbox`` is the frame (west,
            south, east, north), else all of it; ``source`` whence it is, as text or by language.

    Raises:
        ConfigError: The file cannot be read or is no such GeoJSON.
    """
    bundled = resources.files(__package__).joinpath("maps", f"{name}.geojson")
    try:
        found = bundled if bundled.is_file() else Path(name)
        return _parse(found.read_text(encoding="utf-8"), f"{name}")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the map {name} cannot be read: {getattr(error, 'strerror', error)}") from error


def _parse(text: str, name: str) -> CityMap:
    try:
        content = json.loads(text)
        features = [(feature.get("properties") or {}, feature["geometry"]) for feature in content["features"]]
        points = [point for _, geometry in features for ring in _rings(geometry) for point in ring]
        xs, ys = zip(*points, strict=True)
        frame = content.get("bbox") or (min(xs), min(ys), max(xs), max(ys))
        west, south, east, north = (float(edge) for edge in frame)
        bare = CityMap(west, south, east, north)
        source = content.get("source")
        waters = [g for p, g in features if p.get("kind") == "water" and g["type"] != "Point"]
        return CityMap(
            *(west, south, east, north),
            water=_path(bare, waters),
            areas=_path(bare, [g for p, g in features if p.get("kind") != "water" and g["type"] != "Point"]),
            names=tuple(_named(bare, features)),
            source=source if isinstance(source, dict) or source is None else dict.fromkeys(("fr", "en"), f"{source}"),
            waters=tuple(tuple(ring) for geometry in waters for ring in _rings(geometry)),
        )
    except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise ConfigError(f"the map {name} is no GeoJSON of polygons and points in degrees: {error!r}") from error


def _rings(geometry: Mapping[str, Any]) -> list[list[tuple[float, float]]]:
    kind, coordinates = geometry["type"], geometry["coordinates"]
    polygons = {"Point": [[[coordinates]]], "Polygon": [coordinates], "MultiPolygon": coordinates}
    if kind not in polygons:
        raise ValueError(f"a geometry of the type {kind}")
    return [[(float(x), float(y)) for x, y, *_ in ring] for polygon in polygons[kind] for ring in polygon]


def _path(of: CityMap, geometries: Sequence[Mapping[str, Any]]) -> str:
    """Return rings as one SVG path of relative steps in whole units, as short as they can be written."""
    parts = []
    for ring in (ring for geometry in geometries for ring in _rings(geometry)):
        points = [(round(x), round(y)) for x, y in (of.xy(*point) for point in ring)]
        steps = [(bx - ax, by - ay) for (ax, ay), (bx, by) in pairwise(points[:-1])]
        moves = " ".join(f"{x},{y}" for x, y in steps if x or y)
        parts.append(f"M{points[0][0]},{points[0][1]}l{moves}z")
    return "".join(parts).replace(",-", "-").replace(" -", "-")


def _named(of: CityMap, features: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> list[Name]:
    found = []
    for properties, geometry in features:
        text = {language: properties.get(f"name_{language}") or properties.get("name") for language in ("fr", "en")}
        if not all(text.values()):
            continue
        (xs, ys) = zip(*(point for ring in _rings(geometry) for point in ring), strict=True)
        x, y = of.xy((min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2)
        if 0 <= x <= of.width and 0 <= y <= of.height:
            place = x / of.width * 100, y / of.height * 100
            found.append(Name({k: f"{v}" for k, v in text.items()}, *place, properties.get("kind") == "water"))
    return found


def around(stations: Sequence[Station]) -> CityMap | None:
    """Return an empty map that holds all stations with coordinates; None without any."""
    placed = [(s.longitude, s.latitude) for s in stations if s.longitude is not None and s.latitude is not None]
    if not placed:
        return None
    (xs, ys) = zip(*placed, strict=True)
    x, y = (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2
    half = max(max(xs) - min(xs), (max(ys) - min(ys)) * 1.4, 0.02) * 0.7
    return CityMap(x - half, y - half / 1.4, x + half, y + half / 1.4)


def where(of: CityMap, stations: Sequence[Station]) -> tuple[Mark, ...]:
    """Return where the stations that lie on a map go; those from the north first.

    Labels stand in a column beside the stations, fanned out so that none covers another; there are none where they
    would cover a station, or where there are more than five.
    """
    placed = [(s, of.xy(s.longitude or 0.0, s.latitude or 0.0)) for s in stations if of.holds(s)]
    placed.sort(key=lambda pair: (pair[1][1], pair[0].id))
    if placed and len(placed) <= _IN_COLUMN:
        heights = _fan([y for _, (_, y) in placed], of.height)
        mostly_east = sum(x for _, (x, _) in placed) / len(placed) > _RIGHT
        for left, x in sorted(((False, _RIGHT), (True, _LEFT)), reverse=mostly_east):
            begin = x - _LABEL_WIDTH if left else x
            if not any(_covers(begin, heights, *place) for _, place in placed):
                labels = [(x, height) for height in heights]
                return tuple(Mark(s.id, *xy, label, left) for (s, xy), label in zip(placed, labels, strict=True))
    return tuple(Mark(s.id, x, y, None) for s, (x, y) in placed)


def _covers(begin: float, heights: Sequence[int], x: float, y: float) -> bool:
    """Tell whether labels that begin somewhere cover a station's dot."""
    beside = begin - _DOT <= x <= begin + _LABEL_WIDTH + _DOT
    return beside and any(abs(y - height) <= _LABEL_STEP / 2 + _DOT for height in heights)


def _fan(wanted: Sequence[float], height: int) -> list[int]:
    """Return heights as near as possible to those wanted (sorted), a step apart and within the map."""
    found: list[float] = []
    for y in wanted:
        found.append(max(y - _LABEL_LIFT, found[-1] + _LABEL_STEP if found else _EDGE))
    beyond = found[-1] - (height - _EDGE) if found else 0.0
    if beyond > 0:
        found[-1] -= beyond
        for position in range(len(found) - 2, -1, -1):
            found[position] = min(found[position], found[position + 1] - _LABEL_STEP)
    return [round(y) for y in found]
