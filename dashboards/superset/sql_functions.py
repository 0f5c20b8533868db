"""SQL functions for the charts: numbers and moments as readers of English or French write them.

Each takes the language ("en" or "fr") as its last argument, and NULL gives NULL. Moments are texts such as
``2026-11-26`` or ``2026-11-26 14:00:00``; they are written as they are, in no other time zone. In French no line breaks
inside: spaces are U+00A0, and U+202F between thousands, as the Unicode CLDR has it.
"""

import math
import sqlite3
from collections.abc import Callable
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache, wraps
from typing import Any

from babel.dates import format_datetime, get_day_names

__all__ = ["FUNCTIONS", "amount", "at_hour", "clock", "create", "decimal", "on_date", "weekday"]

_LANGUAGES = ("en", "fr")
#: English writes 1,234.5; French 1 234,5.
_MARKS = {"en": str.maketrans({}), "fr": str.maketrans({",": "\u202f", ".": ","})}


def _text(function: Callable[..., str]) -> Callable[..., str | None]:
    """Remember answers, as a chart's rows repeat them; give None for None; refuse other languages."""
    cached = lru_cache(maxsize=20_000)(function)

    @wraps(function)
    def answer(*arguments: Any) -> str | None:
        if arguments[-1] not in _LANGUAGES:
            raise ValueError(f"{function.__name__}: the language must be 'en' or 'fr', not {arguments[-1]!r}")
        return None if None in arguments else cached(*arguments)

    return answer


@_text
def decimal(x: float, digits: int, lang: str) -> str:
    """Write a number with that many decimals, halves away from zero: of 39.15 one decimal is 39.2.

    Raises:
        ValueError: `x` is no finite number.
    """
    if not isinstance(x, int | float) or not math.isfinite(x):
        raise ValueError(f"decimal: {x!r} is no number")
    # 15 digits are what a binary fraction surely holds: 39.15 is stored as 39.1499999999999986
    rounded = Decimal(f"{x:.15g}").quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return f"{abs(rounded) if rounded == 0 else rounded:,f}".translate(_MARKS[lang])


def amount(x: float | None, digits: int, smallest: float | None, lang: str) -> str | None:
    """Write a concentration; one that rounds to less than the smallest as less than that: a 0.00 would say "clean"."""
    if x is not None and smallest is not None and x < smallest / 2:
        return f"<\u00a0{decimal(smallest, digits, lang)}"
    return decimal(x, digits, lang)


@_text
def on_date(iso: str, lang: str) -> str:
    """Write the day with its year: ``26 Nov 2026``, ``26 nov. 2026``."""
    return _moment(iso, lang, "{day} MMM y")


@_text
def at_hour(iso: str, lang: str) -> str:
    """Write the day and the time: ``26 Nov, 14:00``, ``26 nov., 14 h``."""
    return _moment(iso, lang, "{day} MMM, {clock}")


@_text
def clock(iso: str, lang: str) -> str:
    """Write the time of day: ``14:00``, ``14 h``, ``14 h 05``."""
    return _moment(iso, lang, "{clock}")


@_text
def weekday(n: int, lang: str) -> str:
    """Write a day of the week, 1 is Monday: ``Mon``, ``lun.``."""
    return str(get_day_names("abbreviated", locale=lang)[n - 1])


def _moment(iso: str, lang: str, pattern: str) -> str:
    """Write a moment by a pattern of the CLDR, in which {day} and {clock} stand for the language's own.

    Raises:
        ValueError: The text is no moment.
    """
    moment = datetime.fromisoformat(iso)
    day, time = "d", "HH:mm"
    if lang == "fr":
        day, time = "d'er'" if moment.day == 1 else "d", "H 'h' mm" if moment.minute else "H 'h'"
    written = str(format_datetime(moment, pattern.format(day=day, clock=time), locale=lang))
    return written.replace(" ", "\u00a0") if lang == "fr" else written


#: Each function with the number of its arguments.
FUNCTIONS: dict[Callable[..., str | None], int] = {
    decimal: 3,
    amount: 4,
    **dict.fromkeys((on_date, at_hour, clock, weekday), 2),
}


def create(database: sqlite3.Connection) -> None:
    """Make the functions known to a SQLite connection, by their names."""
    for function, arguments in FUNCTIONS.items():
        database.create_function(function.__name__, arguments, function, deterministic=True)
