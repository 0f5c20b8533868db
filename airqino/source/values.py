"""Read one value of an answer: a number in whatever way it is written, or a text of bounded length."""

import math
import re
from typing import Any

__all__ = ["EXAMPLE", "commas_are_decimal", "is_ambiguous", "is_missing", "number", "tidy"]

#: The most characters of an answer's text that an example in a log line or a record holds.
EXAMPLE = 40

_LONGEST_NUMBER = 64
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_COMMA = re.compile(r"[+-]?\d*,\d+(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
#: One comma before exactly three digits: 1,234 is 1.234 in Italy and 1234 in England. No group of thousands begins
#: with 0, and none has more than three digits before its first comma.
_AMBIGUOUS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3}){2,}(\.\d*)?|[+-]?[1-9]\d{0,2},\d{3}\.\d*", re.ASCII)
#: What programs write where they have no value.
_MISSING = frozenset({"", "-", "--", "---", "n/a", "na", "nan", "+nan", "-nan", "null", "none", "nil", "undefined"})


def number(value: Any, *, decimal_commas: bool = False) -> float | None:
    """Read a value as a number.

    A text is a number if it is one as a whole: with blanks around it, a sign, an exponent, a decimal point or a
    decimal comma. A text with any other separator or with a unit is none. Neither is ``1,234``, which is ambiguous,
    unless the caller knows that commas are decimal (see `commas_are_decimal`).

    Args:
        value: A value as JSON has it.
        decimal_commas: Read ``1,234`` as 1.234.

    Returns:
        A finite number; None for everything else, ``true``, NaN and what is too large for a float among it.
    """
    if isinstance(value, str):
        if len(value) > _LONGEST_NUMBER:
            return None
        value = value.strip().replace("\u2212", "-")
        if "," in value and _COMMA.fullmatch(value) and (decimal_commas or not _AMBIGUOUS.fullmatch(value)):
            value = value.replace(",", ".")
        if not _NUMBER.fullmatch(value):
            return None
    elif isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        result = float(value)
    except OverflowError:  # an integer of more than 308 digits
        return None
    return result if math.isfinite(result) else None


def is_missing(value: Any) -> bool:
    """Tell whether a value says "no value", rather than one that cannot be read."""
    if isinstance(value, str):
        return len(value) <= _LONGEST_NUMBER and value.strip().casefold() in _MISSING
    return value is None or (isinstance(value, float) and math.isnan(value))


def is_ambiguous(value: Any) -> bool:
    """Tell whether a text is a number, but which one depends on what its comma means."""
    return isinstance(value, str) and len(value) <= _LONGEST_NUMBER and bool(_AMBIGUOUS.fullmatch(value.strip()))


def commas_are_decimal(texts: list[str]) -> bool:
    """Tell whether the commas of an answer's texts are decimal: at least one cannot be another, and none must be."""
    short = [text.strip() for text in texts if len(text) <= _LONGEST_NUMBER and "," in text]
    decimal = any(_COMMA.fullmatch(text) and not _AMBIGUOUS.fullmatch(text) for text in short)
    return decimal and not any(_THOUSANDS.fullmatch(text) for text in short)


def tidy(value: Any, longest: int = EXAMPLE) -> str:
    """Make one printable line of a value.

    Args:
        value: Anything from outside; what is not text is written as Python writes it.
        longest: The most characters to keep; a longer text ends with an ellipsis.

    Returns:
        The text without control characters, runs of white space as one blank.
    """
    if isinstance(value, list | dict):
        value = f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    elif isinstance(value, int) and value.bit_length() > 8 * EXAMPLE:
        value = f"an integer of {value.bit_length()} bits"
    text = str(value)[: 8 * longest]  # what follows costs time for each character
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= longest else text[: longest - 1] + "…"
