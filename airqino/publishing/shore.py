"""The shore of a city's waters as points, for charts that can draw points but no map."""

import math
from collections.abc import Iterable
from itertools import pairwise

from airqino.publishing.citymap import CityMap, Point

__all__ = ["MOST_POINTS", "shore"]

#: So many points draw a shore that is recognised, and cost a chart little.
MOST_POINTS = 400
#: Degrees around the stations within which the shore is drawn, some 17 km: in Abidjan the lagoon and the sea.
_MARGIN = 0.15
#: Points that are tried along the longer side of what is drawn.
_FINE = 1000


def shore(of: CityMap, places: Iterable[tuple[float | None, float | None]]) -> list[tuple[float, float]]:
    """Return points along the shore of a map's waters around some stations.

    Args:
        of: The map. Where its waters end at its frame there is no shore.
        places: Latitude and longitude of the stations; those off the map, or without, are left out.

    Returns:
        Latitude and longitude of evenly spaced points, at most `MOST_POINTS`; none where no station lies on the map.
    """
    placed = [(x, y) for y, x in places if x is not None and y is not None and of.contains(x, y)]
    if not placed:
        return []
    (xs, ys) = zip(*placed, strict=True)
    west, east = max(min(xs) - _MARGIN, of.west), min(max(xs) + _MARGIN, of.east)
    south, north = max(min(ys) - _MARGIN, of.south), min(max(ys) + _MARGIN, of.north)
    step = max(east - west, north - south) / _FINE
    points = [
        (y, x)
        for ring in of.waters
        for x, y in _along([edge for edge in pairwise(ring) if not _on_frame(of, *edge)], step)
        if west <= x <= east and south <= y <= north
    ]
    return [(round(y, 5), round(x, 5)) for y, x in points[:: max(math.ceil(len(points) / MOST_POINTS), 1)]]


def _along(edges: Iterable[tuple[Point, Point]], step: float) -> Iterable[Point]:
    """Yield points a step apart along edges."""
    left = 0.0  # until the next point
    for (ax, ay), (bx, by) in edges:
        length = math.hypot(bx - ax, by - ay)
        while left < length:
            share = left / length
            yield ax + share * (bx - ax), ay + share * (by - ay)
            left += step
        left -= length


def _on_frame(of: CityMap, one: Point, other: Point) -> bool:
    """Tell whether an edge lies on the frame, where the map was cut."""
    vertical = one[0] == other[0] and one[0] in (of.west, of.east)
    return vertical or (one[1] == other[1] and one[1] in (of.south, of.north))
