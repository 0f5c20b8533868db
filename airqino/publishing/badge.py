"""A station's badge: a small SVG for other people's pages, with its hour, so that an old one says so."""

import re
from functools import cache
from importlib import resources

from airqino.publishing.facts import Snapshot, StationFacts
from airqino.publishing.page import Site, render
from airqino.publishing.phrases import state_word
from airqino.publishing.words import LANGUAGES, Words

__all__ = ["badge", "level_colours"]

#: Width of a letter in units, on average, of the widest of the fonts named; the free room on either side.
_LETTER, _ROOM = 7.4, 10
_DARK, _WHITE = "#16202a", "#fff"


def badge(snapshot: Snapshot, of: StationFacts, site: Site) -> str:
    """Return a station's badge, in the page's first language."""
    words = Words(LANGUAGES[0], site.time_zone)
    if of.now.level and of.now.value is not None:
        word = f"air {words.levels[of.level]}, {words.number(of.now.value)} µg/m³"
    else:
        word = state_word(of, words).lower()
    word = f"{word}, {words.moment(snapshot.end)}"
    left = round(len(of.label) * _LETTER) + 2 * _ROOM
    return render(
        "badge.svg.j2",
        label=of.label,
        word=word,
        text=f"{of.label}: {word}",
        left=left,
        width=left + round(len(word) * _LETTER) + 2 * _ROOM,
        fill=level_colours()[of.level],
        ink=_WHITE if of.level >= 5 else _DARK,
    )


@cache
def level_colours() -> dict[int, str]:
    """Return the colour of each level from the style sheet's light theme, the first one there."""
    text = resources.files(__package__).joinpath("templates", "style.css").read_text(encoding="utf-8")
    return {level: match[1] for level in range(7) if (match := re.search(rf"--c{level}:\s*(#[0-9a-f]+)", text))}
