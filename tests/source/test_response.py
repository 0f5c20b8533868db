"""Reading the API's answers, against the JSON they were written from."""

import json
import random
import time
import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airqino import readings
from airqino.errors import AnswerTooLargeError, NotJSONError, ReportedError, SourceError, UnexpectedShapeError
from airqino.source.response import API_NAMES, VALUES, Header, Response, parse

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
TEN = datetime(2024, 9, 9, 10, tzinfo=UTC)


def body(*rows, header=HEADER):
    return json.dumps({"header": header, "data": list(rows)}).encode()


def at(hour: int, **values):
    """A row of 9 September with these values, by our names."""
    return {"timestamp": f"2024-09-09 {hour:02}:00:00"} | {NAMES[name]: value for name, value in values.items()}


def columns(response: Response) -> dict[int, dict[str, float]]:
    """The readings of a response by hour of the day, without those that are None."""
    return {row.hour.hour: {n: v for n, v in row.values().items() if v is not None} for row in response.data}


# --- an answer as documented


def test_a_row_is_read_by_our_names_in_utc():
    response = parse(body(ROW))
    (row,) = response.data
    assert row.hour == TEN
    assert row.values() == {ours: ROW[theirs] for ours, theirs in NAMES.items()}
    header = response.header
    assert (header.station_name, header.station_lat, header.station_lon) == ("SMART189", 5.365334, 3.957688)
    assert response.remarks() == []


def test_a_sensor_without_data_has_no_key_and_a_null_means_the_same():
    missing, null = parse(body(at(10, t=1.0), at(11, t=1.0, co=None, pm2_5=None))).data
    assert missing.values() == null.values() == dict.fromkeys(VALUES) | {"t": 1.0}


def test_rows_stay_in_the_order_they_came():
    response = parse(body(*(at(hour, co=1.0) for hour in (11, 10, 12))))
    assert [row.hour.hour for row in response.data] == [11, 10, 12]


numbers = st.one_of(st.none(), st.integers(-1000, 5000), st.floats(-1e6, 1e6))
hours = st.integers(0, 800_000).map(lambda n: datetime(2000, 1, 1) + timedelta(hours=n))
cells = st.dictionaries(
    hours, st.fixed_dictionaries({"co": st.floats(-1, 50)} | dict.fromkeys(NAMES, numbers)), max_size=5
)


@given(cells)
def test_every_value_comes_back_as_it_was_written(cells):
    cells = {hour: values for hour, values in cells.items() if any(v is not None for v in values.values())}
    rows = [
        {"timestamp": f"{hour:%Y-%m-%d %H:%M:%S}"} | {NAMES[n]: v for n, v in values.items() if v is not None}
        for hour, values in cells.items()
    ]
    assert {row.hour.replace(tzinfo=None): row.values() for row in parse(body(*rows)).data} == cells


SPELLINGS = {
    "PM2.5": ("pm2_5", "PM25", "PM2.5 ", "Pm2-5", "PM₂.₅"),
    "CO": ("co", "Co", " CO"),
    "T. int.": ("T.int", "t_int", "T INT"),
    "RH": ("rh",),
    "timestamp": ("Timestamp", "TIMESTAMP", "time_stamp"),
}


def rewritten(row, choose):
    """The same row, written in other ways: names, numbers, times; two fields and values of no account added."""
    other = {}
    for name, value in row.items():
        new = choose.choice([name, *SPELLINGS.get(name, ())])
        if name == "timestamp":
            value = choose.choice([value, value.replace(" ", "T") + "Z", value.replace(":00:00", ":00:07.5+00:00")])
        elif value is not None:
            value = choose.choice([value, repr(value), f" {value!r}", f"{float(value):.17g}"])
        other[new] = value
    fields = list(other.items()) + [("firmware", "1.2")] * choose.randint(0, 1)
    choose.shuffle(fields)
    return dict(fields)


@given(cells, st.integers())
def test_an_answer_written_in_another_way_says_the_same(cells, seed):
    rows = [{"timestamp": f"{h:%Y-%m-%d %H:%M:%S}"} | {NAMES[n]: v for n, v in c.items()} for h, c in cells.items()]
    choose = random.Random(seed)
    assert parse(body(*(rewritten(row, choose) for row in rows))).data == parse(body(*rows)).data


# --- values


@pytest.mark.parametrize(
    "bad",
    ["NaN", "nan", "-Infinity", "1e400", "true", '"-"', '"n/a"', '"E12"', "[1]", "{}", '"1,2,3"', "9" * 400, "0x1F"],
)
def test_a_bad_value_costs_that_reading(bad):
    answer = body(at(9, co=0.5, t=20.0), at(10, co=0.25, t=21.0), at(11, co=0.75)).replace(b"0.25", bad.encode())
    response = parse(answer)
    assert columns(response) == {9: {"co": 0.5, "t": 20.0}, 10: {"t": 21.0}, 11: {"co": 0.75}}
    unreadable = response.found.unreadable
    assert (list(unreadable), unreadable["co"].count) == (["co"], 1)
    assert len(response.remarks()) == 1
    assert response.remarks()[0].startswith("values of CO that are no numbers: 1, such as '")


def test_values_that_cannot_be_read_are_counted_by_reading_with_the_first_as_example():
    response = parse(body(at(9, co="E1", t=1, rh="??"), at(10, co="E2", t=1), at(11, co="x" * 1_000_000, t=1)))
    counts = {name: (many.count, many.example) for name, many in response.found.unreadable.items()}
    assert counts == {"co": (3, "E1"), "rh": (1, "??")}


def test_numbers_in_text_with_decimal_commas_are_numbers():
    response = parse(body(at(9, co="0,335", t="27,002", pm2_5="12,5"), at(10, co="0,4", t="1234,5", rh="80")))
    assert columns(response) == {9: {"co": 0.335, "t": 27.002, "pm2_5": 12.5}, 10: {"co": 0.4, "t": 1234.5, "rh": 80.0}}
    ambiguous = parse(body(at(9, co="1,335", t=20.5)))
    assert columns(ambiguous) == {9: {"t": 20.5}}
    assert ambiguous.found.unreadable["co"].example == "1,335"


def test_a_row_without_any_usable_reading_is_no_reading():
    response = parse(body(at(9), at(10, co=None, t=None), at(11, co="-"), at(12, co="E1"), at(13, co=1.0)))
    assert columns(response) == {13: {"co": 1.0}}
    assert response.found.empty == 4
    assert [response.may_hold(TEN.replace(hour=hour)) for hour in (9, 10, 11, 12, 14)] == [False] * 3 + [True, False]
    assert parse(body(at(9), at(10))).data == []
    assert parse(body(at(9, co="E1"), at(10, co="E1"), at(10, co=1.0))).found.unread == {TEN.replace(hour=9)}


# --- fields


def test_of_two_fields_with_one_meaning_the_first_readable_counts():
    rows = {"timestamp": "2024-09-09 10:00:00", "PM2.5": "-", "pm2_5": None, "PM25": 7, "pm2.5": 8}
    assert columns(parse(body(rows))) == {10: {"pm2_5": 7.0}}


def test_a_field_renamed_in_some_rows_is_noticed():
    late = {"timestamp": "2024-09-09 11:00:00", "T": 20.0, "PM2.5 (ug/m3)": 5.0}
    response = parse(body(at(10, t=20.0, pm2_5=4.0), late))
    assert columns(response) == {10: {"t": 20.0, "pm2_5": 4.0}, 11: {"t": 20.0}}
    assert response.found.unknown == {"PM2.5 (ug/m3)": 1}
    assert "unknown fields: 'PM2.5 (ug/m3)'" in response.remarks()


def test_documented_fields_that_are_in_no_row_are_named():
    assert parse(body(ROW)).missing_fields == ()
    without = {name: value for name, value in ROW.items() if name not in ("CO", "T. int.")}
    assert parse(body(without)).missing_fields == ("CO", "T. int.")
    assert parse(body(without | {"CO": None})).missing_fields == ("T. int.",)
    assert parse(body(without | {"CO": None, "gas": 1})).missing_fields == ("T. int.",)
    assert parse(body(without | {"gas": 1})).remarks() == ["unknown fields: 'gas'", "missing fields: 'CO', 'T. int.'"]


def test_rows_of_unknown_fields_only_are_another_shape():
    with pytest.raises(UnexpectedShapeError, match="none of the documented readings, but the fields 'co_ppb', 'heat'"):
        parse(body({"timestamp": "2024-09-09 10:00:00", "co_ppb": 1, "heat": 2}))


def test_no_more_than_twenty_unknown_fields_are_named():
    response = parse(body({f"field {n} {'x' * 100}": n for n in range(5000)} | ROW))
    assert len(response.found.unknown) == 20
    assert max(map(len, response.found.unknown)) == 40
    assert columns(response)[10]["pm2_5"] == 21.5


# --- rows and hours


def test_a_bad_row_costs_the_row_and_is_counted():
    response = parse(body(at(9, co=1), "text", 7, [1], {"CO": 3}, at(10, co=2), {"timestamp": "yesterday", "CO": 4}))
    assert columns(response) == {9: {"co": 1.0}, 10: {"co": 2.0}}
    found = response.found
    assert (found.no_objects.count, found.no_objects.example) == (3, "text")
    assert (found.unplaced.count, found.unplaced.example, found.nowhere) == (2, "no timestamp", 2)
    assert response.may_hold(TEN.replace(hour=3))


def test_most_rows_bad_are_not_all_rows_lost():
    rows = [
        {"timestamp": stamp, "CO": 9} for stamp in ("0001-01-01 00:00:00", "9999-12-31 23:00:00", "2024-02-30 10:00:00")
    ]
    assert columns(parse(body(*rows, at(10, co=1.0), *rows))) == {10: {"co": 1.0}}


def test_a_row_that_says_nothing_is_nothing_lost():
    response = parse(body(None, {}, [], at(10, co=1.0)))
    assert columns(response) == {10: {"co": 1.0}}
    assert not response.may_hold(TEN.replace(hour=3))
    assert parse(body(None, {})).data == []


def test_if_no_row_can_be_placed_the_error_has_an_example():
    with pytest.raises(UnexpectedShapeError, match=r"none of its 2 rows has a timestamp .* '09/10/2024 10:00'"):
        parse(body({"timestamp": "09/10/2024 10:00", "CO": 1}, {"timestamp": "09/11/2024 10:00", "CO": 1}))
    with pytest.raises(UnexpectedShapeError, match="'a'"):
        parse(b'["a", "b"]')


TEXTS = st.one_of(st.text(max_size=12), st.integers(), st.floats(allow_nan=False), st.none(), st.sampled_from(["5.36"]))


@given(
    header=st.dictionaries(st.one_of(st.sampled_from([*HEADER, "x"]), st.text(max_size=8)), TEXTS, max_size=5),
    beside=st.dictionaries(st.sampled_from(["message", "detail", "version"]), TEXTS, max_size=2),
)
def test_what_stands_around_ordinary_rows_is_read_as_around_others(header, beside):
    around = {"header": header, "data": [ROW]} | beside
    ordinary = parse(json.dumps(around).encode())
    other = parse(json.dumps(around | {"data": [ROW | {"PM2.5": "21.5"}]}).encode())  # a text: read value by value

    assert ordinary.header == other.header
    assert ordinary.notice == other.notice
    assert ordinary.data == other.data


def test_what_the_api_says_beside_ordinary_rows_is_remarked():
    answer = parse(json.dumps({"header": HEADER, "data": [ROW], "message": "maintenance at noon"}).encode())
    assert answer.remarks() == ["the API says: maintenance at noon"]


def test_two_rows_of_one_hour_are_merged_value_by_value():
    first, second = at(10, co=1.0, pm2_5=5.0), at(10, co=2.0, pm2_5=None, t="-", rh=80)
    response = parse(body(at(9, co=7.0), first, second, at(11, co=8.0)))
    assert columns(response) == {9: {"co": 7.0}, 10: {"co": 2.0, "pm2_5": 5.0, "rh": 80.0}, 11: {"co": 8.0}}
    assert (response.found.doubled.count, response.found.doubled.example) == (1, "2024-09-09T10")
    (row,) = parse(body(ROW, ROW | {"CO": 2.0})).data
    assert (row.co, row.pm2_5) == (2.0, 21.5)
    late = at(10, t=1.0) | {"timestamp": "2024-09-09T10:00:02Z"}
    assert columns(parse(body(first, late))) == {10: {"co": 1.0, "pm2_5": 5.0, "t": 1.0}}


def test_a_row_within_an_hour_is_counted_and_its_hour_is_not_absent():
    response = parse(body(at(9, co=1), at(10, co=1), at(11, co=1) | {"timestamp": "2024-09-09 11:20:00"}))
    assert sorted(columns(response)) == [9, 10]
    assert response.found.unplaced.example == "2024-09-09 11:20:00"
    assert [response.may_hold(TEN.replace(hour=hour)) for hour in (8, 9, 10, 11, 12)] == [False] * 3 + [True, False]


@pytest.mark.parametrize("minutes", [10, 15, 30])
def test_rows_of_less_than_an_hour_are_not_taken_for_hourly_means(minutes):
    stamps = [TEN + timedelta(minutes=minutes * n) for n in range(2 * 60 // minutes)]
    rows = [{"timestamp": f"{stamp:%Y-%m-%d %H:%M:%S}", "CO": 1.0} for stamp in stamps]
    with pytest.raises(UnexpectedShapeError, match="not of an hour each"):
        parse(body(*rows))


# --- header


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({"station_name": None, "station_lat": 1, "station_lon": 2}, Header("", 1, 2)),
        ({"station_name": "S", "station_lat": "5.36", "station_lon": "-3,95"}, Header("S", 5.36, -3.95)),
        ({"station_name": "S", "station_lat": "north", "station_lon": 181}, Header("S", None, None)),
        ({"station_name": " S\r\nMART\x00 ", "station_lat": True}, Header("S MART", None, None)),
        ({"station_name": 189}, Header("189", None, None)),
        ({"station_name": ["S"], "station_lat": {}, "station_lon": [1]}, Header("", None, None)),
        ({"Station_Name": "S", "STATION_LAT": 1e400}, Header("S", None, None)),
        ({}, Header()),
        (None, Header()),
        ("SMART189", Header()),
        ([1], Header()),
    ],
)
def test_what_is_wrong_in_a_header_costs_its_field(header, expected):
    response = parse(body(ROW, header=header))
    assert response.header == expected
    assert columns(response)[10]["pm2_5"] == 21.5


def test_without_a_header_the_rows_are_read():
    assert columns(parse(json.dumps({"data": [ROW]}).encode()))[10]["pm2_5"] == 21.5
    assert columns(parse(json.dumps([ROW]).encode()))[10]["pm2_5"] == 21.5


def test_of_an_endless_name_the_beginning_is_kept():
    response = parse(body(ROW, header={"station_name": "Ab" * 8_500_000}))
    assert response.header.station_name == "Ab" * 49 + "A…"


@given(
    st.one_of(
        st.none(),
        st.text(),
        st.dictionaries(st.sampled_from([*HEADER, "x"]), st.one_of(st.text(), st.floats(), st.none(), st.booleans())),
    )
)
def test_any_header_is_bounded(header):
    read = parse(json.dumps({"header": header, "data": [ROW]}).encode()).header
    assert len(read.station_name) <= 100
    assert read.station_name.isprintable()
    assert read.station_lat is None or abs(read.station_lat) <= 90
    assert read.station_lon is None or abs(read.station_lon) <= 180


# --- no rows, errors, other shapes


@pytest.mark.parametrize(
    "empty", [b"null", b"[]", b' {"data": []}', b'{"data": null}', b'{"header": {}, "data": {}}', body()]
)
def test_ways_to_say_that_there_are_no_rows(empty):
    assert parse(empty).data == []


def test_rows_in_an_object_are_read():
    assert sorted(columns(parse(json.dumps({"data": {"0": at(9, co=1), "7": at(10, co=2)}}).encode()))) == [9, 10]
    assert sorted(columns(parse(json.dumps({"Data": at(9, co=1)}).encode()))) == [9]


@pytest.mark.parametrize(
    "message",
    [
        b'{"error": "database is\\nlocked"}',
        b'{"data": [], "error": {"message": "database is locked"}}',
        b'{"data": null, "detail": "database is locked"}',
        b'"database is locked"',
    ],
)
def test_an_error_message_in_place_of_data_is_an_error(message):
    with pytest.raises(ReportedError, match="the answer is an error message: database is locked"):
        parse(message)


def test_a_remark_beside_the_data_is_told():
    document = json.loads(body({"timestamp": "2024-09-09T10Z", "CO": 1})) | {"message": "late by an hour"}
    assert "the API says: late by an hour" in parse(json.dumps(document).encode()).remarks()


@pytest.mark.parametrize("wrong", [b"", b"<html></html>", body(ROW)[:-9], b"\xff\xfe", body(ROW) + b"]", b"\x00"])
def test_what_is_not_json_is_told_so(wrong):
    with pytest.raises(NotJSONError, match="is not JSON"):
        parse(wrong)


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        *[(b"{}", "no data, but nothing"), (b"7", "'7' in place of"), (b"true", "'True' in place of")],
        *[(b'{"header": {}, "rows": []}', "no data, but header, rows"), (b'{"data": "soon"}', "data is 'soon'")],
        *[(b'{"data": 0}', "data is '0'"), (b'{"data": true}', "data is 'True'")],
    ],
)
def test_json_of_another_shape_says_where(wrong, where):
    with pytest.raises(UnexpectedShapeError, match=f"another shape: .*{where}"):
        parse(wrong)


# --- whatever comes

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.just("2024-09-09 10:00:00"),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*ROW, *HEADER, "header", "data", "error", "status", "x"]), inner, max_size=6)
    ),
    max_leaves=25,
)


def check(content: bytes, charset: str | None = None):
    response, told = None, ""
    try:
        response = parse(content, charset)
    except SourceError as error:
        told = str(error)
    assert len(told) < 1000
    assert told.isprintable()
    if response is None:
        return
    hours = [row.hour for row in response.data]
    assert len(set(hours)) == len(hours)
    assert all(hour.tzinfo is UTC and hour.minute == hour.second == hour.microsecond == 0 for hour in hours)
    values = [[value for value in row.values().values() if value is not None] for row in response.data]
    assert all(values)
    assert all(abs(value) < float("inf") for row in values for value in row)
    assert all(len(line) < 2000 and line.isprintable() for line in response.remarks())
    json.dumps(response.remarks())


@given(st.binary(), st.none() | st.text(max_size=10))
def test_any_bytes_are_an_answer_or_one_of_our_errors(content, charset):
    check(content, charset)


@given(JSON)
def test_any_json_is_an_answer_or_one_of_our_errors(content):
    check(json.dumps(content).encode())


@given(st.lists(JSON, max_size=5), JSON)
def test_any_rows_are_an_answer_or_one_of_our_errors(rows, header):
    check(json.dumps({"header": header, "data": [ROW, *rows]}, ensure_ascii=False).encode("utf-8", "surrogatepass"))


@given(st.data())
def test_any_cut_or_flipped_answer_is_an_answer_or_one_of_our_errors(data):
    content = bytearray(body(ROW, at(11, co=1.0)))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    check(bytes(content[: data.draw(st.integers(0, len(content)))]))


@pytest.mark.parametrize(
    "content",
    [
        b'{"header": {}, "data": [' + b"{}," * 5_000_000 + b"{}]}",
        b'{"header": {}, "data": [' + b"0," * 10_000_000 + b"0]}",
        b"[" * 20_000_000,
        b'{"header": {"station_name": "' + b"x" * 17_000_000 + b'"}, "data": []}',
        b'{"header": {}, "data": [{"timestamp": "2024-09-09 10:00:00", "CO": ' + b"9" * 17_000_000 + b"}]}",
        b'{"header": {}, "data": [' + b",".join(b'{"f%d": 1}' % n for n in range(90_000)) + b"]}",
    ],
    ids=["rows", "values", "nesting", "name", "digits", "fields"],
)
def test_a_monstrous_answer_costs_little_memory_and_time(content):
    tracemalloc.start()
    try:
        check(content)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 200e6
    began = time.perf_counter()
    check(content)
    assert time.perf_counter() - began < 15


def test_too_many_rows_are_refused():
    with pytest.raises(AnswerTooLargeError):
        parse(b'{"header": {}, "data": [' + b"{}," * 5_000_000 + b"{}]}")


def test_the_shape_of_a_row_is_that_of_the_table_of_readings():
    assert {name: API_NAMES[name] for name in VALUES} == {r.name: r.key for r in readings.READINGS}
    assert VALUES == readings.NAMES
