"""Character sets, what was meant to be JSON, limits, and the text of error messages."""

import json
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airqino.errors import AnswerTooLargeError, NotJSONError, SourceError, UnexpectedShapeError
from airqino.source.decoding import MAX_ROWS, check_size, content_of, error_text, reported_failure, text_of

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")


# --- character sets


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"])))
def test_every_form_of_unicode_is_evident(encoding, name):
    document = json.dumps({"name": name}, ensure_ascii=False)
    assert content_of(text_of(document.encode(encoding))) == {"name": name}


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [
        ("latin-1", None),
        ("latin-1", "ISO-8859-1"),
        ("cp1252", "windows-1252"),
        ("koi8-r", "KOI8-R"),
        ("cp1252", "cp1252"),
    ],
)
def test_other_character_sets_are_read_as_declared_or_as_latin_1(encoding, declared):
    name = "Сосна" if encoding == "koi8-r" else "Côte d'Été" + ("’" if encoding == "cp1252" else "")
    body = json.dumps({"name": name}, ensure_ascii=False).encode(encoding)
    assert json.loads(text_of(body, declared)) == {"name": name}


@pytest.mark.parametrize(
    "declared", ["latin-1", "windows-1252", "utf-16", "nonsense", "punycode", "zip", "\r\n", "x" * 99]
)
def test_what_is_evidently_utf_8_is_read_as_such_whatever_is_declared(declared):
    assert text_of('{"name": "Été"}'.encode(), declared) == '{"name": "Été"}'


@pytest.mark.parametrize("declared", ["nonsense", "punycode", "idna", "base64", "unicode_escape", "undefined"])
def test_an_unknown_or_dangerous_character_set_is_not_used(declared):
    assert text_of(b'"\xc9t\xe9"', declared) == '"Été"'


def test_zeros_and_blanks_around_are_no_part_of_the_text():
    assert text_of(b'{"a": 1}\r\n\x00\x00') == '{"a": 1}'


@given(st.binary(), st.none() | st.text(max_size=12) | st.sampled_from(ENCODINGS))
def test_any_bytes_are_some_text(body, declared):
    assert isinstance(text_of(body, declared), str)


# --- what was meant to be JSON


@given(JSON)
def test_json_is_read_as_python_reads_it(content):
    assert content_of(json.dumps(content)) == json.loads(json.dumps(content))


@given(JSON)
def test_a_repair_leaves_everything_else_as_it_was(content):
    text = json.dumps([content, math.nan], ensure_ascii=False)
    assert content_of(text) == [content, "NaN"]


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ('{"a": NaN, "b": -Infinity, "c": 1}', {"a": "NaN", "b": "-Infinity", "c": 1}),
        ('{"a": nan, "b": -inf, "c": None}', {"a": "nan", "b": "-inf", "c": "None"}),
        (
            '{"a": 1e400, "b": +5, "c": .5, "d": 5., "e": 007}',
            {"a": "1e400", "b": "+5", "c": ".5", "d": "5.", "e": "007"},
        ),
        ('{"a": 12,5, "b": -0,25 }', {"a": "12,5", "b": "-0,25"}),
        ('{"a": , "b":1,"c":}', {"a": None, "b": 1, "c": None}),
        ('{"a": [1, 2, ], "b": 1,}', {"a": [1, 2], "b": 1}),
        ('{"a": "tab\there", "b": "NaN: , 12,5}"}', {"a": "tab\there", "b": "NaN: , 12,5}"}),
        ('{"a": [1,2], "b": "quote \\" NaN", "c": NaN}', {"a": [1, 2], "b": 'quote " NaN', "c": "NaN"}),
        ('{"a": "\\ud800"}', {"a": "\ud800"}),
    ],
)
def test_a_value_that_is_no_json_costs_itself(text, content):
    assert content_of(text) == content


@pytest.mark.parametrize(
    "text", ["", "<p>Out of\r\n order</p>", '{"a": 1', '{"a": 1}]', "{'a': 1}", "a b", '{"a" 1}', "[1 2]"]
)
def test_what_cannot_be_meant_is_told_with_its_beginning(text):
    with pytest.raises(NotJSONError, match="is not JSON") as caught:
        content_of(text)
    assert "\n" not in str(caught.value)
    assert "<" not in str(caught.value)
    if text.startswith("<p>"):
        assert "'Out of order'" in str(caught.value)


@pytest.mark.parametrize(
    "text", ["[" * 1_000_000, '{"a":' * 1_000_000, "[NaN," * 100_000, "[" * 100_000 + "]" * 100_000]
)
def test_deep_nesting_is_another_shape(text):
    with pytest.raises(UnexpectedShapeError, match="nested too deeply"):
        content_of(text)


@pytest.mark.parametrize("text", ['"\\', ":", ": ", "NaN ", '{"a":NaN', '"" ', "a,", "[NaN", "1,2", ":1,", ",]"])
def test_the_time_of_a_repair_grows_with_the_length_alone(text):
    times = []
    for length in (250_000, 1_000_000):
        began = time.perf_counter()
        with pytest.raises(SourceError):
            content_of(text * (length // len(text)))
        times.append(time.perf_counter() - began)
    assert times[1] < 12 * times[0] + 0.1


# --- limits


def test_no_more_rows_than_eleven_years_of_hours():
    check_size(b",".join([b'{"timestamp": "2024-09-09 10:00:00", "CO": 1}'] * MAX_ROWS))
    for wrong in (b",".join([b'{"timestamp": ""}'] * (MAX_ROWS + 1)), b"0," * 2_000_000):
        with pytest.raises(AnswerTooLargeError, match=r"has \d+ (objects|values)"):
            check_size(wrong)


# --- error messages


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"message": "Station\\r\\nis off"}', "Station is off"),
        (b'{"error": {"code": 17, "message": "no quota"}}', "no quota"),
        (b'{"error": "invalid_grant", "error_description": "no such user"}', "no such user"),
        (b'{"detail": [{"loc": ["query"], "msg": "too long"}]}', "too long"),
        (b'{"Error": "E42"}', "E42"),
        (b'{"error": 42}', "42"),
        (b'"out of order"', "out of order"),
        (b"<html><head><title>502</title></head>\n<h1>Bad gateway</h1></html>", "502 Bad gateway"),
        ('{"message": "d\u00e9bit d\u00e9pass\u00e9"}'.encode("latin-1"), "débit dépassé"),
        (b"\x1b[31mred", "[31mred"),
        (b"{}", ""),
        (b"", ""),
        (b"null", ""),
        (b'{"data": []}', ""),
        (b"[" * 50_000, "[" * 199 + "…"),
    ],
)
def test_an_apis_own_words_are_found(body, text):
    assert error_text(body) == text


@given(st.binary(max_size=300), st.none() | st.text(max_size=10))
def test_any_error_body_is_one_short_line(body, charset):
    text = error_text(body, charset)
    assert len(text) <= 200
    assert text.isprintable()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"data": [], "error": "store is behind"}, "store is behind"),
        ({"data": None, "message": "store is behind"}, "store is behind"),
        ({"message": "store is behind"}, "store is behind"),
        ({"data": [], "status": "error", "message": "store is behind"}, "store is behind"),
        ({"data": [], "success": False}, "no reason given"),
        ({"data": [], "message": "nothing there"}, ""),
        ({"data": [], "error": None, "errors": [], "success": True, "status": "ok"}, ""),
        ({"data": None}, ""),
        ({"data": [], "error": False}, ""),
    ],
)
def test_an_error_message_is_told_from_an_empty_answer(content, text):
    assert reported_failure(content) == text
