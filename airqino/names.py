"""Names that come from outside and become a part of a path, a query or a URL: what each may be, in one place.

What is no such name is refused where it comes in, with a message that says where that is; `stores.paths` asks again.
"""

import re
from datetime import date

__all__ = ["DATABASE", "STATION", "file_name", "station_id", "version_name"]

#: Pattern of a station's id. It ends in ``\Z``: ``$`` would let a line break follow.
STATION = r"^[0-9]{1,18}\Z"
#: Pattern of a database's name; MongoDB's own, of users and of the members' state, may not be ours.
DATABASE = r"^(?!(?i:admin|config|local)\Z)[A-Za-z0-9_-]{1,63}\Z"
#: A name that stays in its folder wherever it is written: none is hidden, none is longer than a file system allows.
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,199}")


def station_id(text: object) -> str:
    """Return a station's id.

    Raises:
        ValueError: It is no number of at most 18 digits.
    """
    if isinstance(text, str) and re.match(STATION, text):
        return text
    raise ValueError(f"{_shown(text)} is no station's id: that is a number of at most 18 digits")


def version_name(text: object) -> str:
    """Return the name of a model version: the day that it was trained for.

    Raises:
        ValueError: It is no day, or written in another way.
    """
    try:
        if isinstance(text, str) and f"{date.fromisoformat(text)}" == text:
            return text
    except ValueError:
        pass
    raise ValueError(f"{_shown(text)} is no model version: that is a day such as 2024-09-09")


def file_name(text: object) -> str:
    """Return the name of a file in a folder that somebody else filled.

    Raises:
        ValueError: It is more than a plain name, or a hidden one.
    """
    if isinstance(text, str) and _FILE.fullmatch(text):
        return text
    raise ValueError(f"{_shown(text)} is no plain file name")


def _shown(text: object) -> str:
    shown = repr(text)
    return shown if len(shown) <= 80 else f"{shown[:77]}…"
