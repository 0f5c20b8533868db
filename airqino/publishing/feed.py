"""The Atom feed: when the guideline was exceeded, will likely be, and when the air is back to normal."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from airqino.publishing.facts import Snapshot, StationFacts
from airqino.publishing.page import Site, render
from airqino.publishing.parts import LIMIT
from airqino.publishing.words import LANGUAGES, Words
from airqino.times import local_date, local_day

__all__ = ["Entry", "entries", "feed"]

#: Days that the feed looks back.
_DAYS = 30
#: Entries that it holds at most, the newest ones.
_MOST = 50


@dataclass(frozen=True)
class Entry:
    """One piece of news: ``above``, ``likely`` or ``normal``, and since when it is known."""

    kind: str
    id: str
    at: datetime
    title: str
    text: str

    @property
    def updated(self) -> str:
        """The moment as Atom writes it."""
        return f"{self.at:%Y-%m-%dT%H:%M:%SZ}"


def feed(snapshot: Snapshot, site: Site, language: str) -> str:
    """Return the feed in a language.

    It says only what changes: the first day above the guideline, that today will likely be one, the first measured day
    that is not above it any more. The same entries come out at every hour until something changes.
    """
    words = Words(language, site.time_zone)
    found = entries(snapshot, words)
    first = language == LANGUAGES[0]
    quiet = local_day(words.day(snapshot.end) - timedelta(days=_DAYS), site.time_zone).start
    updated = found[0].updated if found else f"{quiet:%Y-%m-%dT%H:%M:%SZ}"
    folder = "" if first else f"{language}/"
    return render(
        "feed.xml.j2",
        w=words,
        site=site,
        id=_id("feed", language, site.city),
        updated=updated,
        entries=found,
        own=f"{folder}feed.xml",
        page=f"{folder}index.html",
    )


def entries(snapshot: Snapshot, words: Words) -> list[Entry]:
    """Return the news of all stations, newest first.

    News that is younger than a station's last measured hour waits until it measures again: of old data nothing new is
    said.
    """
    found = []
    for of in snapshot.stations:
        silent = snapshot.silent_for(of)
        known = snapshot.end - silent if silent is not None else None
        found += [entry for entry in _of_station(of, snapshot, words) if known and entry.at <= known]
    return sorted(found, key=lambda entry: (-entry.at.timestamp(), entry.id))[:_MOST]


def _of_station(of: StationFacts, snapshot: Snapshot, words: Words) -> list[Entry]:
    zone = of.station.time_zone
    today = local_date(snapshot.end, zone)
    above, found = False, []
    for day in of.year.days:
        if day.above is None or day.mean is None:
            continue
        if day.above != above and day.day >= today - timedelta(days=_DAYS):
            kind = "above" if day.above else "normal"
            title = words.say(f"feed_{kind}", station=of.label, date=words.date(day.day))
            text = words.say("feed_above_text", value=words.number(day.mean), limit=LIMIT)
            id = _id(of.station.id, words.language, f"{day.day}", kind)
            found.append(Entry(kind, id, local_day(day.day, zone).stop, title, text))
        above = day.above
    if of.likely_since and not above:
        title = words.say("feed_likely", station=of.label, date=words.date(today))
        text = words.say("feed_likely_text", clock=words.clock(of.likely_since), limit=LIMIT)
        id = _id(of.station.id, words.language, f"{today}", "likely")
        found.append(Entry("likely", id, of.likely_since, title, text))
    return found


def _id(*parts: str) -> str:
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, '|'.join(('airqino', *parts)))}"
