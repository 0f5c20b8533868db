"""Stations as the public knows them: a place, and a number where two share it."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Station", "labels", "plain"]


@dataclass(frozen=True)
class Station:
    """One station, as the operator names and places it.

    Attributes:
        id: Its id; it becomes part of file names, so it is of letters, digits, ``_`` and ``-``.
        name: What the API or the operator calls it, such as ``SMART189``.
        place: Where it stands, in a word that people of the city use, such as ``Cocody``; empty where none is given.
        latitude: In degrees; None where it is not known.
        longitude: In degrees; None where it is not known.
        time_zone: Decides where its days begin.
    """

    id: str
    name: str = ""
    place: str = ""
    latitude: float | None = None
    longitude: float | None = None
    time_zone: str = "UTC"

    def __post_init__(self) -> None:
        """Refuse an id that would leave the folder it is written to."""
        if not re.fullmatch(r"[\w-]+", self.id, re.ASCII):
            raise ValueError(f"station id {self.id!r} must be of letters, digits, _ and -")


def plain(text: str) -> str:
    """Return a text without characters that are not seen: controls, and those that turn the direction of writing."""
    return "".join(letter for letter in text if unicodedata.category(letter) not in ("Cc", "Cf")).strip()


def labels(stations: Sequence[Station]) -> dict[str, str]:
    """Return what each station is called in public, by id; no two alike.

    The place, where no other station has it; else the place and the number that its name ends with (``Cocody 189``);
    else place and name; where these are alike too, with the id.
    """
    chosen: dict[str, str] = {}
    for form in (_place, _place_and_number, _place_and_name, _with_id):
        left = [station for station in stations if station.id not in chosen]
        taken = Counter(form(station) for station in stations)
        # also free of what is chosen already: "Cocody 189" may be somebody's place
        used = set(chosen.values())
        chosen |= {s.id: form(s) for s in left if form(s) and taken[form(s)] == 1 and form(s) not in used}
    return {station.id: chosen.get(station.id, station.id) for station in stations}


def _place(station: Station) -> str:
    return plain(station.place)


def _place_and_number(station: Station) -> str:
    number = re.search(r"\d+$", plain(station.name))
    return f"{_place(station)} {number[0]}" if _place(station) and number else ""


def _place_and_name(station: Station) -> str:
    return f"{_place(station)} {plain(station.name)}".strip()


def _with_id(station: Station) -> str:
    return f"{_place_and_name(station)} ({station.id})".strip()
