"""Reading the API's answers, against the JSON they were written from."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airqino.errors import NotJSONError, UnexpectedShapeError
from airqino.source.response import VALUES, parse

HEADER = {"station_name": "SMART189", "station_lat": 5.365334, "station_lon": 3.957688}
ROW = {
    "timestamp": "2024-09-09 10:00:00",
    **{"CO": 0.42, "T": 27.5, "T. int.": 311, "NO2": 14.2, "O3": 33.0, "PM10": 40.1, "PM2.5": 21.5, "RH": 84.0},
}
#: The API's name of each reading, by ours.
NAMES = {
    **{"co": "CO", "no2": "NO2", "o3": "O3", "pm10": "PM10", "pm2_5": "PM2.5", "t": "T", "rh": "RH"},
    "t_int": "T. int.",
}


def body(*rows, header=HEADER):
    return json.dumps({"header": header, "data": list(rows)}).encode()


def test_a_row_is_read_by_our_names_in_utc():
    response = parse(body(ROW))
    (row,) = response.data
    assert row.hour == datetime(2024, 9, 9, 10, tzinfo=UTC)
    assert row.values() == {ours: ROW[theirs] for ours, theirs in NAMES.items()}
    header = response.header
    assert (header.station_name, header.station_lat, header.station_lon) == ("SMART189", 5.365334, 3.957688)


def test_a_sensor_without_data_has_no_key_and_a_null_means_the_same():
    missing, null = parse(
        body({"timestamp": ROW["timestamp"]}, {**dict.fromkeys(ROW), "timestamp": ROW["timestamp"]})
    ).data
    assert missing.values() == null.values() == dict.fromkeys(VALUES)


def test_rows_stay_in_the_order_they_came_doubles_and_all():
    stamps = ["2024-09-09 11:00:00", "2024-09-09 10:00:00", "2024-09-09 11:00:00"]
    response = parse(body(*({"timestamp": stamp} for stamp in stamps)))
    assert [row.hour.hour for row in response.data] == [11, 10, 11]


def test_a_header_without_coordinates_and_fields_not_known_are_no_error():
    response = parse(body(ROW | {"CO2": 410}, header={"station_name": "S", "height": 3}))
    assert (response.header.station_lat, response.header.station_lon) == (None, None)
    assert parse(body(header={})).data == []


@pytest.mark.parametrize(
    "wrong", [b"", b"<html></html>", body(ROW)[:-9], b"\xff\xfe", body(ROW | {"CO": float("nan")}), body(ROW) + b"]"]
)
def test_what_is_not_json_is_told_so(wrong):
    with pytest.raises(NotJSONError, match="is not JSON"):
        parse(wrong)


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        (b"{}", "header"),
        (b"[]", "array"),
        (b'{"header": {}, "data": null}', "data"),
        (body({"CO": 1}), "timestamp"),
        (body(ROW, ROW | {"PM2.5": "21,5"}), "PM2.5"),
        (body({"timestamp": "yesterday"}), "timestamp"),
        (body({"timestamp": "2024-02-30 10:00:00"}), "timestamp"),
    ],
)
def test_json_of_another_shape_says_where(wrong, where):
    with pytest.raises(UnexpectedShapeError, match=where):
        parse(wrong)


numbers = st.one_of(st.none(), st.integers(-1000, 5000), st.floats(-1e6, 1e6))


@given(
    st.lists(
        st.tuples(
            st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)),
            st.fixed_dictionaries(dict.fromkeys(NAMES, numbers)),
        ),
        max_size=5,
    )
)
def test_every_value_comes_back_as_it_was_written(cells):
    cells = [(at.replace(microsecond=0), values) for at, values in cells]
    rows = [
        {"timestamp": f"{at:%Y-%m-%d %H:%M:%S}"} | {NAMES[n]: v for n, v in values.items() if v is not None}
        for at, values in cells
    ]
    read = parse(body(*rows)).data
    assert [(row.timestamp, row.values()) for row in read] == cells


def test_a_few_rows_of_another_shape_are_left_out_and_counted():
    good, bad = ROW, {"timestamp": "yesterday"}
    response = parse(body(good, bad, good))
    assert ([row.co for row in response.data], response.unreadable) == ([0.42, 0.42], 1)
    assert parse(body(good)).unreadable == 0
    with pytest.raises(UnexpectedShapeError, match="timestamp"):
        parse(body(good, bad))  # as many bad ones as good ones
