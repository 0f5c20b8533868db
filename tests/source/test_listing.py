"""Lists of an API whose shape is not known: whatever can be read is, and nothing else breaks."""

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airqino.errors import ReportedError, SourceError, UnexpectedShapeError
from airqino.source import listing
from airqino.source.listing import Listed, Listing, Named

AT = datetime(2024, 9, 9, 10, tzinfo=UTC)


def body(content: Any) -> bytes:
    return json.dumps(content).encode()


@pytest.mark.parametrize(
    ("row", "station"),
    [
        ({"station_name": "Port", "latitude": 5.3, "longitude": -4.0}, Listed("", "Port", "", 5.3, -4.0)),
        ({"id": 283181971, "NAME": " a \n b ", "city": "Abidjan"}, Listed("283181971", "a b", "Abidjan")),
        ({"stationId": "0042", "lat": "5,3", "lng": "-4"}, Listed("0042", "", "", 5.3, -4.0)),
        ({"id": "AQ-7", "name": "x", "lat": 91, "lon": 0}, Listed("", "x")),
        ({"id": True, "name": "x", "lat": 5}, Listed("", "x")),
        (
            {
                "id": 1,
                "sensors": ["CO", {"sensor_name": "PM2.5"}, 7, None, "CO"],
                "last_reading": "2024-09-09T12:00+02:00",
            },
            Listed("1", sensors=("CO", "PM2.5", "7"), last=AT),
        ),
        ({"id": 1, "sensors": "CO, NO2", "first_reading": 1725876000}, Listed("1", sensors=("CO", "NO2"), first=AT)),
        ({"id": 1, "name": "n" * 200}, Listed("1", "n" * 99 + "…")),
    ],
)
def test_a_station_in_many_forms(row: dict[str, Any], station: Listed) -> None:
    for content in ([row], {"stations": [row]}, {"data": [row], "status": "ok"}):
        assert listing.stations(body(content)) == Listing((station,))


def test_rows_that_name_no_station_are_counted() -> None:
    found = listing.stations(body([{"id": 1}, 7, None, {"latitude": 5}, [], {"name": ""}]))
    assert found == Listing((Listed("1"),), 5)


@pytest.mark.parametrize("content", [b"null", b"[]", b'{"stations": []}'])
def test_no_stations(content: bytes) -> None:
    assert listing.stations(content) == Listing()


@pytest.mark.parametrize(
    ("content", "error"),
    [({"message": "closed"}, ReportedError), ({}, UnexpectedShapeError), (7, UnexpectedShapeError)],
)
def test_what_is_no_list(content: Any, error: type[SourceError]) -> None:
    with pytest.raises(error):
        listing.stations(body(content))


def test_sensors_and_raw_rows() -> None:
    assert listing.sensors(body([{"sensor": "CO", "unit": "mg/m³"}, "NO2"])) == ("CO", "NO2")
    rows = [
        {"utc_timestamp": "2024-09-09 10:00:00", "PM2.5": 7, "CO": "0,5", "battery": 3.9},
        {"PM2.5": 8},
        "row",
        {"utc_timestamp": "soon", "CO": 1},
        {"timestamp": "2024-09-09 10:07:30", "CO": "-"},
    ]
    found = listing.raw_rows(body({"raw_data": rows}))
    assert found == {AT: {"pm2_5": 7.0, "co": 0.5}, AT.replace(minute=7, second=30): {}}


def test_hourly_rows_keep_the_names_of_their_hours() -> None:
    header = {"station_name": "Port"}
    rows = [{"timestamp": "2024-09-09 10:30:00", "CO": 0.5}]
    found = listing.rows_as_named(body({"header": header, "data": rows}))
    half = AT.replace(minute=30)
    assert found == Named("Port", {half: {"co": 0.5}}, ("no timestamp names an hour: 2024-09-09 10:30:00",))
    rows = [{"timestamp": "2024-09-09 10:00:00", "CO": 0.5}]
    assert listing.rows_as_named(body({"header": header, "data": rows})) == Named("Port", {AT: {"co": 0.5}})
    assert listing.rows_as_named(body({"header": header, "data": []})) == Named("Port")
    with pytest.raises(UnexpectedShapeError):
        listing.rows_as_named(body({"data": [{"timestamp": "soon", "CO": 0.5}]}))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["stations", "data", "raw_data", "id", "name", "sensors", "timestamp", "latitude", "CO"]),
            inner,
        )
    ),
    max_leaves=12,
)


@given(st.binary(max_size=60) | JSON.map(body))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    for read in (listing.stations, listing.sensors, listing.raw_rows, listing.rows_as_named):
        with contextlib.suppress(SourceError):
            read(content)
