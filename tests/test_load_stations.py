"""LoadStations: what stations are called, and the shore around them, without the API."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from support.configured import Configured
from support.documents import NOW

from airqino import views
from airqino.publishing.shore import MOST_POINTS
from airqino.sandbox.mongod import Mongod
from airqino.source.client import Answer, Exchange
from airqino.source.response import parse
from tasks.load import LoadStations
from tasks.settings.reading import settings
from tasks.stations import note_place, public_stations, shore_around

ONE, OTHER = "283181971", "283164601"
PLACED = f"[stations.{ONE}]\nname = SMART189\nplace = Cocody\nlatitude = 5.365\nlongitude = -3.957\n"


class Loads:
    """LoadStations with settings of the test's own."""

    def __init__(self, configure: Configured, db: Any) -> None:
        self.configure, self.db = configure, db

    def __call__(self, text: str) -> list[dict[str, float]]:
        """Load with these settings; return the shore's points."""
        self.set(text)
        assert not LoadStations().complete()
        LoadStations().run()
        assert LoadStations().complete()
        return list(self.db.outlines.find_one({"_id": "shore"})["points"])

    def set(self, text: str) -> None:
        name = self.db.name
        uri = f"mongodb://127.0.0.1:{self.db.client.address[1]}/?directConnection=true"
        self.configure(text, AIRQINO_STATIONS=f"{ONE},{OTHER}", MONGODB_URI=uri, MONGODB_DATABASE=name)


@pytest.fixture
def loads(tmp_path: Path, mongod: Mongod, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loads]:
    with MongoClient(mongod.uri, tz_aware=True) as client:
        db: Any = client[f"stations_{uuid.uuid4().hex[:8]}"]
        made = Loads(Configured(tmp_path, "http://127.0.0.1:9", monkeypatch), db)
        made.set("")
        for station, name, latitude in ((ONE, "SMART189", 5.30), (OTHER, "SMART188", 5.37)):
            header = f'{{"station_name": "{name}", "station_lat": {latitude}, "station_lon": -3.95}}'
            answer = Answer(Exchange(station, "", ""), parse(f'{{"header": {header}, "data": []}}'.encode()))
            note_place(station, answer, NOW)
            db.stations.insert_one({"_id": station, "name": "as of then", "last_seen_at": NOW})
        yield made
        client.drop_database(db.name)


def square(size: float) -> str:
    ring = [[-4 - size, 5.3 - size], [-4 + size, 5.3 - size], [-4 + size, 5.3 + size], [-4 - size, 5.3 + size]]
    water = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    feature = {"type": "Feature", "properties": {"kind": "water"}, "geometry": water}
    frame = [-4.2, 5.1, -3.8, 5.5]
    return json.dumps({"type": "FeatureCollection", "bbox": frame, "features": [feature]})


def test_a_place_and_the_shore_are_loaded(loads: Loads) -> None:
    points = loads(f"[publish]\nmap = abidjan\n{PLACED}")
    assert 0 < len(points) <= MOST_POINTS
    assert {frozenset(point) for point in points} == {frozenset({"latitude", "longitude"})}
    assert {s["_id"]: (s["name"], s["place"]) for s in loads.db.stations.find()} == {
        ONE: ("SMART189", "Cocody"),
        OTHER: ("SMART188", ""),
    }
    assert {row["station_name"] for row in loads.db.station_names.find()} == {"Cocody (SMART189)", "SMART188"}
    coast = list(loads.db.station_map.find({"station": None}))
    assert [{name: row[name] for name in ("latitude", "longitude")} for row in coast] == points
    assert [(s.name, s.place) for s in public_stations([ONE, OTHER], settings())] == [
        ("SMART189", "Cocody"),
        ("SMART188", ""),
    ]


def test_the_shore_is_replaced_where_the_map_or_a_station_changes(loads: Loads, tmp_path: Path) -> None:
    file = tmp_path / "city.geojson"
    text = f"[publish]\nmap = {file}\n"
    file.write_text(square(0.05))
    first = loads(text)
    assert {round(abs(point["latitude"] - 5.3), 3) for point in first} >= {0.05}
    file.write_text(square(0.04))  # under the same name
    second = loads(text)
    assert max(point["latitude"] for point in second) == pytest.approx(5.34)
    # both stations move to the east end: the west shore is not drawn any more
    moved = "".join(f"[stations.{s}]\nlatitude = 5.3\nlongitude = -3.81\n" for s in (ONE, OTHER))
    third = loads(f"{text}{moved}")
    assert min(point["longitude"] for point in third) == pytest.approx(-3.96)
    assert loads.db.outlines.count_documents({}) == 1
    assert loads(moved) == [], "no map"


def test_a_map_that_cannot_be_read_keeps_no_station_from_being_loaded(
    loads: Loads, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "city.geojson"
    file.write_text("no map")
    assert loads(f"[publish]\nmap = {file}\n{PLACED}") == []
    assert loads.db.stations.find_one({"_id": ONE})["place"] == "Cocody"
    assert "no shore on the dashboards' map" in caplog.text


def test_stations_elsewhere_have_no_shore(loads: Loads) -> None:
    loads.set("[publish]\nmap = abidjan\n")
    assert shore_around([{"latitude": 48.8, "longitude": 2.3}, {"latitude": None, "longitude": None}], settings()) == []
    assert views.OUTLINES == "outlines"
