"""The pages: index and station pages in each language, from a snapshot. Templates are in ``templates/``."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from types import SimpleNamespace
from typing import Any

from jinja2 import BytecodeCache, Environment, FileSystemBytecodeCache, PackageLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from airqino.publishing import citymap, parts, phrases
from airqino.publishing.citymap import CityMap
from airqino.publishing.facts import Snapshot, StationFacts
from airqino.publishing.words import LANGUAGES, Words, capital
from airqino.readings import STALE_HOURS
from airqino.times import HOUR

__all__ = ["MOST_ON_INDEX", "SHAPES", "Site", "environment", "index", "station_page", "style"]

#: With more stations, the index shows as many of the worst, and each has a page of its own.
MOST_ON_INDEX = 10

#: A shape for each level, so that colour is never alone.
SHAPES = (
    (1, "M2 12a10 10 0 1 1 20 0 10 10 0 1 1-20 0z"),
    (2, "M3 3h18v18H3z"),
    (3, "M12 1 24 22.5H0z"),
    (4, "M12 0 24 12 12 24 0 12z"),
    (5, "M7 0h10l7 7v10l-7 7H7l-7-7V7z"),
    (6, "M12-1l3.2 5.3 6-1.5-1.5 6L25 12l-5.3 3.2 1.5 6-6-1.5L12 25l-3.2-5.3-6 1.5 1.5-6L-1 12l5.3-3.2-1.5-6 6 1.5z"),
)
_LINKS = {
    "eaqi": "https://airindex.eea.europa.eu/AQI/index.html",
    "ministry": "https://sante.gouv.fr/sante-et-environnement/air-exterieur/article/"
    "se-proteger-en-cas-de-pic-de-pollution-de-l-air",
    "who": "https://www.who.int/publications/i/item/9789240034228",
}


@dataclass(frozen=True)
class Site:
    """What the operator says of the public pages.

    Attributes:
        city: The city or region, as in "the air in Abidjan".
        time_zone: In which hours are told.
        url: Address of the published folder, ending with ``/``; "" where it is not known: feeds then have no links.
        map: The city's map; None for a bare one around the stations.
        publisher: Who publishes; "" where it is not said.
        contact: An e-mail address for questions; "" where it is not said.
        licence: The data's licence; "" where it is not said.
        open_data: Whether the folder has ``data/``: files of each station and year, and ``changes.csv``.
    """

    city: str = "Abidjan"
    time_zone: str = "Africa/Abidjan"
    url: str = ""
    map: CityMap | None = None
    publisher: str = ""
    contact: str = ""
    licence: str = ""
    open_data: bool = True


@cache
def _lent() -> SimpleNamespace:
    """Return what the templates are lent beside words and facts."""
    functions = (
        *(parts.band_edges, parts.chart, parts.levels_of, parts.months, parts.range_of, parts.ruler),
        parts.ruler_top,
        *(parts.span, parts.strip, parts.today, parts.told_today, parts.top_of, parts.whole),
        *(phrases.carbon, phrases.colon, phrases.later, phrases.soon, phrases.state_note, phrases.state_word),
        *(phrases.table, phrases.tenths),
    )
    return SimpleNamespace(
        **{function.__name__: function for function in functions},
        shapes=SHAPES,
        links=_LINKS,
        limit=parts.LIMIT,
        annual=parts.ANNUAL,
        style=style(),
        script=_script,
    )


def style(name: str = "style.css") -> Markup:
    """Return a style sheet of ``templates/`` without what a browser does not need."""
    text = re.sub(r"/\*.*?\*/", "", _text(name), flags=re.DOTALL)
    text = re.sub(r"\s*([{};,>])\s*", r"\1", re.sub(r"\s+", " ", text))
    return Markup(re.sub(r": (?=\S)", ":", text).replace(";}", "}"))


def _script(snapshot: Snapshot, words: Words) -> Markup:
    """Return the script that tells the data's age."""
    text = re.sub(r"^\s*//.*|^\s+", "", _text("age.js"), flags=re.MULTILINE).replace("\n", "")
    ages = htmlsafe_json_dumps(words.ages, ensure_ascii=False)
    text = text.replace("WORDS", ages).replace("STALE_HOURS", f"{STALE_HOURS}")
    return Markup(text.replace("HOUR_END", f"{snapshot.measured + HOUR:%Y-%m-%dT%H:%MZ}"))


@dataclass(frozen=True)
class _Drawn:
    """The map as the template draws it."""

    map: CityMap
    marks: tuple[citymap.Mark, ...]
    facts: Mapping[str, StationFacts]
    alt: str
    off: str

    def at(self, x: float, y: float) -> str:
        """Return a place as a style."""
        return f"left:{x / self.map.width * 100:.1f}%;top:{y / self.map.height * 100:.1f}%"

    @property
    def named(self) -> bool:
        """Whether marks without a label have a name beside them."""
        return len(self.marks) <= MOST_ON_INDEX and not all(mark.label for mark in self.marks)

    @property
    def names(self) -> list[citymap.Name]:
        """The names of places: of waters alone where the stations have theirs."""
        return [name for name in self.map.names if name.water or not self.named]

    @property
    def km(self) -> int:
        """Length of the scale bar: the longest of these that is at most a quarter of the map."""
        return max((km for km in (1, 2, 5, 10, 20, 50, 100) if km <= self.map.km / 4), default=0)

    @property
    def km_percent(self) -> float:
        """Its length in percent of the map's width."""
        return self.km / self.map.km * 100


def index(snapshot: Snapshot, site: Site, language: str) -> str:
    """Return the first page in a language.

    Up to `MOST_ON_INDEX` stations it says all; with more, the worst ones and a list, and the rest is on their pages.
    """
    words = Words(language, site.time_zone)
    few = len(snapshot.stations) <= MOST_ON_INDEX
    root, links = _root(language), {of.station.id: f"stations/{of.station.id}.html" for of in snapshot.stations}
    told = snapshot if few else replace(snapshot, stations=())
    trust = phrases.trust(told, words, f"{root}data/changes.csv" if site.open_data else "")
    if not few:
        trust = _of_many(snapshot, words, trust)
    return _render(
        "index.html.j2",
        snapshot,
        site,
        words,
        other=f"{root or 'en/'}index.html",
        home="",
        few=few,
        worst=snapshot.stations[:MOST_ON_INDEX],
        links=links,
        map=_map(snapshot, site, words),
        trust=trust,
        data=_data(snapshot if few else replace(snapshot, stations=()), site, words, root),
    )


def station_page(snapshot: Snapshot, of: StationFacts, site: Site, language: str) -> str:
    """Return the page of one station in a language, for a folder ``stations`` beside that language's index."""
    words = Words(language, site.time_zone)
    alone, root = replace(snapshot, stations=(of,)), f"../{_root(language)}"
    file = f"stations/{of.station.id}.html"
    return _render(
        "station.html.j2",
        alone,
        site,
        words,
        other=f"../../{file}" if _root(language) else f"../en/{file}",
        home="../index.html",
        of=of,
        trust=phrases.trust(alone, words, f"{root}data/changes.csv" if site.open_data else ""),
        data=_data(alone, site, words, root),
    )


def _render(template: str, snapshot: Snapshot, site: Site, words: Words, other: str, home: str, **more: Any) -> str:
    clauses = phrases.headline(snapshot, words, site.city)
    now = words.levels[snapshot.worst] if snapshot.worst else words.stale
    return render(
        template,
        w=words,
        s=snapshot,
        p=_lent(),
        site=site,
        title=f"{words.say('title', city=site.city)} – {now}, {words.clock(snapshot.end)}",
        headline=clauses.text,
        clauses=clauses,
        other=other,
        other_name=Words(words.other, site.time_zone).name,
        home=home,
        here="../" if home else "",
        **more,
    )


def _root(language: str) -> str:
    """Return the way from a language's index to the published folder."""
    return "" if language == LANGUAGES[0] else "../"


def _of_many(snapshot: Snapshot, words: Words, trust: Sequence[phrases.Item]) -> list[phrases.Item]:
    """Return what an index of many stations says: their own pages say the rest, but a broken sensor is named."""
    whole = phrases.trust(snapshot, words, "")
    link = next(item[2] for item in trust if item[0] == words.revisions)
    chosen = [item for item in whole if item[0] in (words.sensors, words.revisions, words.notes)]
    return [(lead, text, link if lead == words.revisions else None) for lead, text, _ in chosen]


def _data(snapshot: Snapshot, site: Site, words: Words, root: str) -> list[tuple[str, str]]:
    """Return the links to the data: address and text."""
    links = []
    if site.open_data:
        for of in snapshot.stations:
            if days := [day.day for day in of.year.days if day.state != "none"]:
                year = days[-1].year
                told = words.say("data_year", station=of.label, year=year)
                links.append((f"{root}data/{of.station.id}/{year}.csv", told))
        links.append((f"{root}data/index.html", words.data_all))
    feed = f"{root}feed.xml" if words.language == LANGUAGES[0] else f"{root}{words.language}/feed.xml"
    links += [(f"{root}now.json", words.data_now), (feed, words.data_feed)]
    return links + [
        (f"{root}badge-{of.station.id}.svg", words.say("data_badge", station=of.label)) for of in snapshot.stations
    ]


def _map(snapshot: Snapshot, site: Site, words: Words) -> _Drawn | None:
    stations = [of.station for of in snapshot.stations]
    city = site.map or citymap.around(stations)
    if city is None:
        return None
    facts = {of.station.id: of for of in snapshot.stations}
    told = [f"{of.label}{phrases.colon(words)} {words.levels[of.level]}" for of in snapshot.stations[:MOST_ON_INDEX]]
    alt = words.say("map_of", city=site.city, of_city=words.of_city(site.city), stations=" ; ".join(told))
    off = [of.label for of in snapshot.stations if not city.holds(of.station)]
    return _Drawn(city, citymap.where(city, stations), facts, alt, words.listed(off[:MOST_ON_INDEX]))


def render(template: str, **values: Any) -> str:
    """Return a template's text with some values; what is filled in is escaped."""
    text: str = environment().get_template(template).render(values)
    return text


@cache
def environment() -> Environment:
    """Return the templates; whatever is filled in is escaped."""
    loader = PackageLoader("airqino.publishing", "templates")
    made = Environment(
        loader=loader,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        auto_reload=False,
        bytecode_cache=_compiled(),
    )
    made.filters["capital"] = capital
    return made


def _compiled() -> BytecodeCache | None:
    """Return where compiled templates are kept: each run is a new process, and would spend half its time on them."""
    try:
        return FileSystemBytecodeCache()  # a folder of this user's alone
    except (OSError, RuntimeError):
        return None


@cache
def _text(name: str) -> str:
    return resources.files(__package__).joinpath("templates", name).read_text(encoding="utf-8")
