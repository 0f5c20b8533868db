"""What a reader sees of a page in words, and which of it is English."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from playwright.sync_api import Page

_HERE = Path(__file__).resolve().parents[2] / "dashboards" / "superset"
#: The texts of elements and what is shown or read out in their place; of what is hidden nothing.
_VISIBLE = """() => {
  const found = new Set(), shown = e => {
    const box = e.getBoundingClientRect(), style = getComputedStyle(e);
    return box.width > 1 && box.height > 1 && style.visibility !== 'hidden' && style.opacity !== '0';
  };
  for (const e of document.querySelectorAll('body *')) {
    if (['SCRIPT', 'STYLE', 'NOSCRIPT'].includes(e.tagName) || !shown(e)) continue;
    for (const node of e.childNodes) if (node.nodeType === 3) found.add(node.data.trim());
    for (const name of ['title', 'placeholder', 'aria-label', 'alt']) found.add((e.getAttribute(name) || '').trim());
    for (const side of ['::before', '::after']) {
      const content = getComputedStyle(e, side).content;
      if (/^".*"$/.test(content)) found.add(content.slice(1, -1).trim());
    }
  }
  return [...found].filter(text => /[a-z]{2}/i.test(text));
}"""
_WORD = re.compile(r"[a-zà-öø-ÿœ’']+", re.IGNORECASE)
#: English words that are French too, or names.
_SHARED = frozenset(
    re.findall(
        r"\w+",
        """
        a air airqino animation as average aqi client co configuration date description direction distribution est
        excellent excel format h image index information instant international item km maximum minimum minute
        minutes me menu mention message moment no note notes on or original page pas permission pollution position
        precision question rapport region relation section service session simple six son source standard station
        stations table total type version zone zones css csv dpi jpeg pdf png sql url native_filter
        """,
    )
)
#: Names that Ant Design gives its pictures, such as "down" and "more": nobody sees them.
_PICTURE = re.compile(r"[a-z]+(-[a-z]+)*")
#: What is no text: the ids of filters, and the name of the maker beside its picture.
_NO_TEXT = re.compile(r"NATIVE_FILTER-[\w-]+|Apache Superset")


def visible_texts(page: Page) -> list[str]:
    """Return every text that stands on the page, placeholders, tooltips and spoken labels included."""
    return sorted(page.evaluate(_VISIBLE))


@cache
def _english_words() -> set[str]:
    glossaries = (_HERE / "glossary" / "superset.yaml", _HERE / "source" / "glossary.yaml")
    pairs = [pair for path in glossaries for pair in yaml.safe_load(path.read_text(encoding="utf-8")).items()]
    english = {word for text, _ in pairs for word in _words(f"{text}")}
    french = {word for _, text in pairs for word in _words(" ".join(text) if isinstance(text, list) else f"{text}")}
    return english - french - _SHARED


def _words(text: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(re.sub(r"%\(\w+\)[sd]|\{[^}]*\}|https?:\S+", " ", text))}


@cache
def _untranslated() -> set[str]:
    """What Superset itself says in English, where its French is another."""
    (home,) = (_HERE.parents[1] / ".venv-superset/lib").glob("python3*/site-packages/superset")
    pack = json.loads((home / "translations/fr/LC_MESSAGES/messages.json").read_text(encoding="utf-8"))
    texts = pack["locale_data"]["superset"]
    french = {text for told in texts.values() if isinstance(told, list) for text in told if isinstance(text, str)}
    return {text for text in texts if len(text) > 2} - french


def english_in(texts: Any, exempt: Any = ()) -> list[str]:
    """Return the texts in which a word is English, by the English side of the two glossaries.

    Args:
        texts: As `visible_texts` gives them.
        exempt: Names, such as those of stations.
    """
    found = []
    for text in texts:
        if _NO_TEXT.fullmatch(text):
            continue
        left = text
        for name in exempt:
            left = left.replace(name, " ")
        words = _words(left)
        if (words & _english_words() or text in _untranslated()) and not (len(words) < 3 and _PICTURE.fullmatch(text)):
            found.append(text)
    return found
