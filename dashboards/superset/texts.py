"""The source of the dashboards, and what they say in one language, from its glossary."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import yaml

__all__ = ["LANGUAGES", "SOURCE", "MissingTextError", "Texts", "read_source", "uuid"]

LANGUAGES = ("en", "fr")
SOURCE = Path(__file__).parent / "source"
#: What has no UUID in source/uuids.yaml has one from this and its name.
_NAMESPACE = UUID("55477cae-4eb0-5c35-8a2e-979797203737")

#: Symbols, units and gaps, which are the same in all languages.
_SAME = re.compile(r"PM10|NO2|O3|CO|[µm]g/m³|\{unit\}|\{axis\}")
_MARKED = re.compile(r"_\('((?:[^']|'')*)'\)")


@cache
def read_source() -> dict[str, Any]:
    """Return the source: the content of each of its YAML files, by the file's name."""
    return {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(SOURCE.glob("*.yaml"))}


def uuid(kind: str, name: str, language: str) -> str:
    """Return the UUID of a dashboard, chart or dataset, the same in every installation."""
    english = read_source()["uuids"][kind].get(name) or f"{uuid5(_NAMESPACE, f'{kind}/{name}')}"
    return english if language == "en" else f"{uuid5(UUID(english), language)}"


class MissingTextError(ValueError):
    """Texts of the dashboards that the glossary does not translate."""


class Texts:
    """The texts of one language: call it with the English one."""

    def __init__(self, language: str, glossary: Mapping[str, str]) -> None:
        """Take the glossary: English text → French text."""
        self.language, self._glossary = language, glossary
        self._missing: list[str] = []

    def __call__(self, text: str) -> str:
        """Return a text of this language. What has no letter but a unit or number is the same in all."""
        text = " ".join(text.split()) if text.strip() else text
        if not re.search(r"[A-Za-z]{2}", text) or _SAME.fullmatch(text):
            return text
        if self.language == "en":
            return text
        if text not in self._glossary:
            self._missing.append(text)
        return self._glossary.get(text, text)

    def filled(self, text: str, of: Mapping[str, Any]) -> str:
        """Return a text with its gaps filled by what they are called in this language."""
        filling = {
            key: self(value) if isinstance(value, str) and key in ("label", "mean") else value
            for key, value in of.items()
        }
        told = self(text)
        written = told.format(**filling) if of else told
        return written[:1].upper() + written[1:] if told.startswith("{mean}") else written

    def sql(self, sql: str) -> str:
        """Translate the marked literals of some SQL, and say the language where it asks."""

        def literal(found: re.Match[str]) -> str:
            spaced = found[1].replace("''", "'")
            left, right = spaced[: len(spaced) - len(spaced.lstrip())], spaced[len(spaced.rstrip()) :]
            told = f"{left}{self(spaced.strip())}{right}" if spaced.strip() else spaced
            return "'" + told.replace("'", "''") + "'"

        return re.sub(r"\bLANG\b", f"'{self.language}'", _MARKED.sub(literal, sql))

    def jinja(self, condition: str, periods: Mapping[str, Any]) -> str:
        """Put the periods and pollutants, as this language calls them, into a condition."""
        days = {self(name): number for name, number in periods.items()}
        pollutants = "filter_values('pollutant')"
        if self("PM2.5") != "PM2.5":
            pollutants += f" | map('replace', {self('PM2.5')!r}, 'PM2.5') | list"
        return condition.replace("PERIODS", repr(days)).replace("POLLUTANTS", pollutants)

    def check(self) -> None:
        """Raise where texts were asked for that the glossary does not have.

        Raises:
            MissingTextError: It names all of them.
        """
        if self._missing:
            raise MissingTextError("source/glossary.yaml lacks:\n" + "\n".join(sorted({*self._missing})))
