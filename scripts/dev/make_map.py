#!/usr/bin/env python3
"""Cut a city's coast, lagoons and lakes for the public page: one small GeoJSON file, made once and kept.

The source is the coastline of the CIA's World Data Bank II (public domain), as Debian's package r-cran-mapdata carries
it; no R is needed. Shapely is not among the project's dependencies: run this in an environment of its own.

    apt-get download r-cran-mapdata && dpkg -x r-cran-mapdata_*.deb mapdata
    pip install numpy shapely
    python scripts/dev/make_map.py mapdata/usr/lib/R/site-library/mapdata/mapdata/worldHires.L \\
        --frame -4.15 5.20 -3.80 5.45 --water -3.95 5.21 --water -3.807 5.366 --shift -0.009 0.0142 \\
        --places places.json > airqino/publishing/maps/abidjan.geojson

docs/public-page.md says what the numbers are for Abidjan and where they come from. Another city needs its frame (west
south east north), a point in each of its waters, and `--shift` if the line lies beside the city's real coast.
`--places` is a GeoJSON of points with ``name`` (or ``name_fr`` and ``name_en``) and, for waters, ``kind``: ``water``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

try:
    import numpy as np
    from shapely import affinity, set_precision
    from shapely.geometry import LineString, Point, box, mapping
    from shapely.ops import polygonize, unary_union
except ImportError as error:
    MISSING = f"{error.name} is missing: pip install numpy shapely"
else:
    MISSING = ""

SOURCE = {
    "fr": "Côte et lagune : CIA World Data Bank II, domaine public, à 1 km près.",
    "en": "Coast and lagoon: CIA World Data Bank II, public domain, to within 1 km.",
}
#: Degrees, about 30 m: the line is simplified to within this.
TOLERANCE = 0.0003
#: Degrees of the grid that points are rounded to: half a unit of the page's picture.
GRID = 0.0005
#: Degrees around the frame within which lines are read.
MARGIN = 0.2
#: Degrees between neighbours of a line: a longer step begins another line.
LONGEST_STEP = 0.03


def lines(path: Path, frame: tuple[float, float, float, float]) -> Iterator[LineString]:
    """Yield the lines of R's binary map file (pairs of float32, radians) near a frame."""
    raw = path.read_bytes()
    points = np.degrees(np.frombuffer(raw[: len(raw) // 8 * 8], "<f4").reshape(-1, 2).astype(float))
    west, south, east, north = frame
    with np.errstate(invalid="ignore"):
        near = (points[:, 0] > west - MARGIN) & (points[:, 0] < east + MARGIN)
        near &= (points[:, 1] > south - MARGIN) & (points[:, 1] < north + MARGIN)
    index = np.flatnonzero(near)
    for run in np.split(index, np.flatnonzero(np.diff(index) != 1) + 1):
        if not len(run):
            continue
        jumps = np.hypot(*np.diff(points[run], axis=0).T) > LONGEST_STEP
        for part in np.split(run, np.flatnonzero(jumps) + 1):
            if len(part) > 1:
                yield LineString(points[part])


def main() -> None:
    """Print the GeoJSON."""
    parser = argparse.ArgumentParser(description="see the head of this file")
    parser.add_argument("coast", type=Path)
    parser.add_argument("--frame", type=float, nargs=4, required=True, metavar=("WEST", "SOUTH", "EAST", "NORTH"))
    parser.add_argument("--water", type=float, nargs=2, action="append", default=[], metavar=("LON", "LAT"))
    parser.add_argument("--shift", type=float, nargs=2, default=(0.0, 0.0), metavar=("LON", "LAT"))
    parser.add_argument("--places", type=Path)
    given = parser.parse_args()
    if MISSING:
        parser.error(MISSING)
    frame, wet = box(*given.frame), [Point(*point) for point in given.water]
    coast = [affinity.translate(line, *given.shift).simplify(TOLERANCE) for line in lines(given.coast, given.frame)]
    faces = list(polygonize(unary_union([*coast, frame.boundary])))
    water = unary_union([face for face in faces if any(face.contains(point) for point in wet)]).intersection(frame)
    water = set_precision(water, GRID)
    features = [{"type": "Feature", "properties": {"kind": "water"}, "geometry": mapping(water)}]
    if given.places:
        features += json.loads(given.places.read_text())["features"]
    bbox = list(given.frame)
    made = {"type": "FeatureCollection", "bbox": bbox, "source": SOURCE, "features": features}
    json.dump(_rounded(made), sys.stdout, ensure_ascii=False, separators=(",", ":"))
    print()


def _rounded(content: object) -> object:
    if isinstance(content, float):
        return round(content, 4)
    if isinstance(content, dict):
        return {key: _rounded(value) for key, value in content.items()}
    return [_rounded(value) for value in content] if isinstance(content, list | tuple) else content


if __name__ == "__main__":
    main()
