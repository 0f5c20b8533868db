"""The words of one language, and how it writes numbers, hours and dates.

Every word stands in ``words/<language>.toml``.
"""

import math
import re
import tomllib
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import cache
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

from airqino.readings import INDEX_LEVELS

__all__ = ["LANGUAGES", "Words", "capital"]

#: The page's languages; the first is that of the folder's own pages.
LANGUAGES = ("fr", "en")
_NO_BREAK, _JOINER = "\u00a0", "\u2060"


class Words:
    """One language's words, for the hours of one time zone.

    A key of the table is an attribute, such as ``words.caveat``.
    """

    def __init__(self, language: str, zone: str) -> None:
        """Read the table of a language."""
        self.language, self.zone = language, ZoneInfo(zone)
        self._table = _table(language)
        #: Name of each level, from 0 (not measured) to 6.
        self.levels = (self._table["no_day"], *(self._table["levels"][name] for name in INDEX_LEVELS))

    def __getattr__(self, key: str) -> Any:
        try:
            return self._table[key]
        except KeyError:
            raise AttributeError(f"words/{self.language}.toml has no {key}") from None

    def say(self, key: str, **values: object) -> str:
        """Return a text with its gaps filled; of one with two numbers the form that fits ``n``."""
        text = self._table[key]
        if isinstance(text, dict):
            number = values["n"]
            few = number in (0, 1) if self.language == "fr" else number == 1
            text = text["one" if few else "many"]
        return str(text.format(**values))

    def number(self, value: float, digits: int = 1) -> str:
        """Write a number with so many decimals, halves away from zero."""
        scale = 10**digits
        rounded = math.floor(abs(value) * scale + 0.5 + 1e-9) / scale
        text = f"{math.copysign(rounded, value) if rounded else 0:.{digits}f}"
        return text.replace(".", ",") if self.language == "fr" else text

    def percent(self, whole: int) -> str:
        """Write a whole number of percent."""
        return f"{whole}{_NO_BREAK}%" if self.language == "fr" else f"{whole}%"

    @property
    def semicolon(self) -> str:
        """What stands between the parts of a list."""
        return f"{_NO_BREAK}; " if self.language == "fr" else "; "

    def clock(self, moment: datetime) -> str:
        """Write the time of day of a moment."""
        return self._clock(moment.astimezone(self.zone))

    def _clock(self, at: datetime, hour: int | None = None) -> str:
        hour = at.hour if hour is None else hour
        if self.language == "fr":
            return f"{hour}{_NO_BREAK}h" + (f"{_NO_BREAK}{at.minute:02d}" if at.minute else "")
        return f"{hour:02d}:{at.minute:02d}"

    def hours(self, at: datetime) -> str:
        """Write the span of an hour, such as ``12–13 h``; midnight at its end is 24."""
        begin = at.astimezone(self.zone)
        end = (at + timedelta(hours=1)).astimezone(self.zone)
        last = self._clock(end, end.hour or (0 if end.minute else 24))
        dash = f"{_JOINER}–{_JOINER}"
        return (
            f"{begin.hour}{dash}{last}"
            if self.language == "fr" and not begin.minute
            else (f"{self._clock(begin)}{dash}{last}")
        )

    def day(self, moment: datetime) -> date:
        """Return the day that a moment lies in."""
        return moment.astimezone(self.zone).date()

    def date(self, day: date, weekday: bool = True, year: bool = True) -> str:
        """Write a day."""
        number = f"{day.day}{'er' if day.day == 1 and self.language == 'fr' else ''}"
        text = f"{number}{_NO_BREAK}{self._table['months'][day.month - 1]}" + (f" {day.year}" if year else "")
        return f"{self._table['days'][day.weekday()]} {text}" if weekday else text

    def moment(self, moment: datetime) -> str:
        """Write a day and the time of day, without the year."""
        return f"{self.date(self.day(moment), weekday=False, year=False)}, {self.clock(moment)}"

    def offset(self, moment: datetime) -> str:
        """Write how a moment's local time differs from UTC, as ``GMT`` or ``GMT+1``."""
        minutes = int((moment.astimezone(self.zone).utcoffset() or timedelta()).total_seconds() // 60)
        hours, rest = divmod(abs(minutes), 60)
        return "GMT" + (f"{'-' if minutes < 0 else '+'}{hours}" + (f":{rest:02d}" if rest else "") if minutes else "")

    def listed(self, names: Sequence[str]) -> str:
        """Put names in a row, such as ``A, B and C``."""
        return f"{', '.join(names[:-1])}{self._table['and']}{names[-1]}" if len(names) > 1 else "".join(names)

    def of_city(self, city: str) -> str:
        """Return a city's name after the preposition of, in French with its elision."""
        if self.language != "fr":
            return city
        return f"d’{city}" if city[:1].lower() in "aeiouyéèêàâîôûh" else f"de {city}"

    def advice(self, level: int) -> list[tuple[str, str]]:
        """Return for whom and what to do at a level; empty where nothing is measured."""
        lines = self._table["advice"].get(f"{level}", [])
        return [(self._table[who], self._table[what[1:]] if what.startswith("@") else what) for who, what in lines]


def capital(text: str) -> str:
    """Begin a text with a capital letter; the rest stays as it is."""
    return text[:1].upper() + text[1:]


@cache
def _table(language: str) -> dict[str, Any]:
    text = resources.files(__package__).joinpath("words", f"{language}.toml").read_text(encoding="utf-8")
    table: dict[str, Any] = _typeset(tomllib.loads(text), language)
    return table


def _typeset(words: Any, language: str) -> Any:
    """Set the spaces that must not break: before French punctuation, between numbers and their units."""
    if isinstance(words, dict):
        return {key: _typeset(value, language) for key, value in words.items()}
    if isinstance(words, list):
        return [_typeset(value, language) for value in words]
    words = re.sub(r"(?<=[\d}]) (?=µg|h\b|%|m\b)", _NO_BREAK, words)
    return re.sub(r" (?=[:;?!»])|(?<=«) ", _NO_BREAK, words) if language == "fr" else words
