"""The language of a page is that of its dashboard: menus, months, numbers and the server's messages.

Superset's French has gaps and slips; ``glossary/superset.yaml`` (English: French) mends them, in the pack that the
browser fetches and in the catalogue that the server reads.
"""

import json
import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from slugs import DASHBOARDS, OPENING

__all__ = ["DEFAULT", "formats", "glossary", "language_pack", "of_request", "slug_of", "write_catalogue"]

DEFAULT = os.environ.get("SUPERSET_LOCALE", "")
_GLOSSARY = Path(__file__).parent / "glossary" / "superset.yaml"
_QUOTE = re.compile("[\"'`]")
_PAGE = re.compile(r"/superset/dashboard/([^/]+)/?$")

_NO_BREAK, _NARROW = "\u00a0", "\u202f"
_UNIT = ["", f"{_NO_BREAK}µg/m³"]
#: For d3: `$,.1f` writes an amount with its unit.
_NUMBERS = {
    "en": {"decimal": ".", "thousands": ",", "grouping": [3], "currency": _UNIT},
    "fr": {"decimal": ",", "thousands": _NARROW, "grouping": [3], "currency": _UNIT},
}
_TIMES = {
    "en": {
        **{"dateTime": "%-d %B %Y %H:%M", "date": "%-d %b %Y", "time": "%H:%M", "periods": ["AM", "PM"]},
        "days": ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"],
        "shortDays": ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"],
        "months": [
            *("January", "February", "March", "April", "May", "June", "July"),
            *("August", "September", "October", "November", "December"),
        ],
        "shortMonths": ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
    },
    "fr": {
        **{"dateTime": "%-d %B %Y %H:%M", "date": "%d/%m/%Y", "time": "%H:%M", "periods": ["AM", "PM"]},
        "days": ["dimanche", "lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi"],
        "shortDays": ["dim.", "lun.", "mar.", "mer.", "jeu.", "ven.", "sam."],
        "months": [
            *("janvier", "février", "mars", "avril", "mai", "juin", "juillet"),
            *("août", "septembre", "octobre", "novembre", "décembre"),
        ],
        "shortMonths": [
            *("janv.", "févr.", "mars", "avr.", "mai", "juin", "juil."),
            *("août", "sept.", "oct.", "nov.", "déc."),
        ],
    },
}


def slug_of(address: str | None) -> str | None:
    """Return the slug of one of our dashboards in a URL or path; None where it is another page's."""
    found = _PAGE.search(urlsplit(address or "").path)
    return found[1] if found and found[1] in DASHBOARDS else None


def of_request(request: Any, chosen: str | None) -> str:
    """Return the language of a request.

    Args:
        request: Flask's. What a dashboard's page asks for names the page as its referrer, so that two tabs in two
            languages do not mix.
        chosen: Language of the last page in this session.
    """
    slug = slug_of(request.path) or slug_of(request.referrer) or slug_of(request.args.get("next"))
    if slug:
        return DASHBOARDS[slug]
    if chosen in OPENING:
        return str(chosen)
    return DEFAULT if DEFAULT in OPENING else request.accept_languages.best_match([*OPENING]) or "en"


def formats(bootstrap: Mapping[str, Any]) -> dict[str, Any]:
    """Return how the page writes numbers and times. Superset keeps it by user and language."""
    language = bootstrap["locale"] if bootstrap["locale"] in OPENING else "en"
    return {"d3_format": _NUMBERS[language], "d3_time_format": _TIMES[language]}


@cache
def glossary() -> dict[str, Any]:
    """Return our French by Superset's English; a text with a plural has a list of two."""
    return dict(yaml.safe_load(_GLOSSARY.read_text(encoding="utf-8")))


def language_pack(folder: Path) -> bytes:
    """Return the French for the browser, as JSON.

    Of Superset's pack of 450 kB it holds what the browser's code asks for: on a slow line Superset waits for the pack
    before it draws, and after five seconds shows English. For the same reason it is made before the first reader comes.

    Args:
        folder: Superset's state, where the pack is kept.
    """
    import superset

    path, home = folder / "language_pack_fr.json", Path(superset.__file__).parent
    origin = home / "translations/fr/LC_MESSAGES/messages.json"
    changed = max(origin.stat().st_mtime, _GLOSSARY.stat().st_mtime)
    if not path.exists() or path.stat().st_mtime < changed:
        pack = json.loads(origin.read_text(encoding="utf-8"))
        texts = pack["locale_data"]["superset"]
        code = "\n".join(file.read_text(encoding="utf-8") for file in (home / "static/assets").glob("*.js"))
        said = {*_QUOTE.split(code)}  # to look each text up in the code itself takes a minute

        def is_said(key: str) -> bool:
            return key in code or _quoted(key) in code if _QUOTE.search(key) else bool(said & {key, _quoted(key)})

        kept = {key: text for key, text in texts.items() if not key or (any(text) and is_said(key))}
        kept |= {key: text if isinstance(text, list) else [text] for key, text in glossary().items()}
        pack["locale_data"]["superset"] = kept
        beside = path.with_suffix(f".{os.getpid()}")
        beside.write_text(json.dumps(pack, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
        beside.replace(path)
    return path.read_bytes()


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def write_catalogue(folder: Path) -> str:
    """Write our French for the server's own texts.

    Args:
        folder: Superset's state.

    Returns:
        The folder for Babel, which lets a later one overrule an earlier one.
    """
    from babel.messages.catalog import Catalog
    from babel.messages.mofile import write_mo

    catalogue = Catalog(locale="fr")
    for english, french in glossary().items():
        if isinstance(french, str):
            catalogue.add(english, french)
    path = folder / "translations" / "fr" / "LC_MESSAGES" / "messages.mo"
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(f".{os.getpid()}")
    with beside.open("wb") as file:
        write_mo(file, catalogue)
    beside.replace(path)
    return str(folder / "translations")
