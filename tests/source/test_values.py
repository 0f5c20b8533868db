"""Numbers however they are written, against Python's own reading of what they were written from."""

import math
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airqino.source.values import commas_are_decimal, is_ambiguous, is_missing, number, tidy

finite = st.floats(-1e9, 1e9)


@given(finite, st.sampled_from(["", " ", "\t ", "\u00a0"]), st.sampled_from(["", " ", "\n"]))
def test_a_number_written_as_text_is_that_number(value, before, after):
    assert number(f"{before}{value!r}{after}") == value
    assert number(value) == value


@given(st.integers(-10_000, 10_000), st.integers(0, 9), st.integers(1, 9))
def test_a_decimal_comma_is_a_point(whole, tenths, places):
    text = f"{whole},{tenths:0{places}}"
    expected = float(f"{whole}.{tenths:0{places}}")
    assert number(text, decimal_commas=True) == expected
    if places != 3:
        assert number(text) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[("+3.5", 3.5), ("\u22120.25", -0.25), ("1e2", 100.0), ("1.5E-1", 0.15), (".5", 0.5), ("5.", 5.0)],
        *[("0,335", 0.335), ("12,5", 12.5), ("1234,567", 1234.567), (",5", 0.5), ("007", 7.0), ("2,5e1", 25.0)],
    ],
)
def test_usual_ways_to_write_a_number(text, value):
    assert number(text) == value


@pytest.mark.parametrize(
    "value",
    [
        *[True, False, None, math.nan, math.inf, -math.inf, 10**400, [], {}, [1.5], {"value": 1.5}],
        *[
            "",
            " ",
            "-",
            ".",
            ",",
            "e5",
            "1e",
            "1e400",
            "nan",
            "inf",
            "Infinity",
            "0x10",
            "1_000",
            "1 234",
            "12.5 µg/m3",
        ],
        *[
            "<0.5",
            "1.2.3",
            "1,2,3",
            "1,234.5",
            "1.234,5",
            "1,234",
            "-9,999",
            "٣",
            "１２",
            "--5",
            "1" * 65,
            "9" * 10_000,
        ],
    ],
)
def test_what_is_no_number_or_could_be_two(value):
    assert number(value) is None


@given(st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none(), st.lists(st.integers()), st.binary()))
def test_whatever_the_value_the_result_is_finite_or_none(value):
    for commas in (False, True):
        result = number(value, decimal_commas=commas)
        assert result is None or (type(result) is float and math.isfinite(result))
    assert isinstance(is_missing(value), bool)
    assert isinstance(is_ambiguous(value), bool)


@pytest.mark.parametrize("value", [None, math.nan, "", " - ", "n/a", "N/A", "NaN", "null", "None", "--"])
def test_signs_for_no_value(value):
    assert is_missing(value)


@pytest.mark.parametrize("value", [0, "0", False, "error", "E12", [], {}, math.inf, "x" * 100])
def test_what_says_something_is_not_missing(value):
    assert not is_missing(value)


@pytest.mark.parametrize(
    ("texts", "decimal"),
    [
        ([], False),
        (["1,234"], False),
        (["12.5", "nothing, really"], False),
        (["1,234", "0,5"], True),
        (["1,234", "27,75"], True),
        (["1,234", "1,234,567", "0,5"], False),
        (["1,234", "1,234.5", "0,5"], False),
    ],
)
def test_commas_are_decimal_where_one_must_be_and_none_cannot(texts, decimal):
    assert commas_are_decimal(texts) is decimal


@given(st.text(max_size=300), st.integers(5, 80))
def test_an_example_is_one_short_printable_line(text, longest):
    line = tidy(text, longest)
    assert len(line) <= longest
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in line)
    assert line == line.strip()


def test_an_example_keeps_what_fits():
    assert tidy(" Abidjan\r\nPlateau\x1b[31m ") == "Abidjan Plateau [31m"
    assert tidy("x" * 41) == "x" * 39 + "…"
    assert tidy([1, 2, 3]) == "a list of 3"
    assert tidy({"a": 1}) == "an object of 1"
    assert tidy(10**5000) == "an integer of 16610 bits"
    assert len(tidy("x" * 20_000_000)) == 40
