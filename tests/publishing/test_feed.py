"""The feed: valid Atom, what it tells and when, and that it is silent where data are stale. The badge."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from support.public import HOUR, STATIONS, tables_of

from airqino.publishing import feed, publish, snapshot
from airqino.publishing.facts import Day, Hour, Snapshot, Year
from airqino.publishing.page import Site
from airqino.publishing.tables import Tables
from airqino.publishing.words import LANGUAGES, Words

ATOM = "{http://www.w3.org/2005/Atom}"
SITE = Site(url="https://air.example/abidjan/")
FRENCH = Words("fr", "Africa/Abidjan")
MIDNIGHT = timedelta(days=1)


def test_it_is_atom(shown: Snapshot) -> None:
    for language in LANGUAGES:
        root = ElementTree.fromstring(feed.feed(shown, SITE, language))
        assert root.tag == f"{ATOM}feed"
        for of in (root, *root.iter(f"{ATOM}entry")):
            assert [len(of.findall(f"{ATOM}{name}")) for name in ("id", "title", "updated")] == [1, 1, 1]
            assert (of.findtext(f"{ATOM}id") or "").startswith("urn:uuid:")
            moment = datetime.fromisoformat(of.findtext(f"{ATOM}updated") or "")
            assert moment <= shown.end
        assert root.findtext(f"{ATOM}author/{ATOM}name")
        entries = root.findall(f"{ATOM}entry")
        assert entries
        updated = [entry.findtext(f"{ATOM}updated") or "" for entry in entries]
        assert updated == sorted(updated, reverse=True)
        assert root.findtext(f"{ATOM}updated") == updated[0]
        assert len({entry.findtext(f"{ATOM}id") for entry in entries}) == len(entries)
        own = [link.get("href") for link in root.findall(f"{ATOM}link") if link.get("rel") == "self"]
        assert own == [f"https://air.example/abidjan/{'' if language == 'fr' else 'en/'}feed.xml"]
    assert "<link" not in feed.feed(shown, Site(), "fr")


def with_days(shown: Snapshot, above: list[bool | None]) -> Snapshot:
    """A snapshot of one station whose days before today were above the guideline, or not, or not measured."""
    first = HOUR.date() - timedelta(days=len(above))
    days = tuple(
        Day(first + timedelta(days=i), None if of is None else 20.0 if of else 9.0, None, of, "measured")
        for i, of in enumerate(above)
    )
    year = Year(days, len(days), 0, 1.0, False)
    return replace(shown, stations=(replace(shown.stations[0], year=year, likely_since=None),))


@given(st.lists(st.sampled_from([True, False, None]), max_size=25))
def test_it_tells_each_change_once(above: list[bool | None]) -> None:
    shown = with_days(_shown(), above)
    told = [(entry.kind, entry.at) for entry in reversed(feed.entries(shown, FRENCH))]
    wanted, before = [], False
    for position, of in enumerate(above):
        if of is not None and of != before:
            day = HOUR.date() - timedelta(days=len(above) - position)
            wanted.append(("above" if of else "normal", datetime.combine(day, time(), UTC) + MIDNIGHT))
            before = of
    assert told == wanted


_KNOWN: list[Snapshot] = []


def _shown() -> Snapshot:
    if not _KNOWN:
        _KNOWN.append(snapshot.take(tables_of(days=20)[0], STATIONS, HOUR))
    return _KNOWN[0]


def test_likely_is_told_from_the_hour_on_that_first_said_so(made: tuple[Tables, pd.DataFrame]) -> None:
    rows = made[0].forecasts.copy()
    for hours, chance in ((9, 0.2), (5, 0.6), (2, 0.8), (0, 0.3)):
        mine = rows["issued_at"] == pd.Timestamp(HOUR - timedelta(hours=hours))
        rows.loc[mine, ["day", "day_exceedance"]] = [f"{HOUR.date()}", chance]
    shown = snapshot.take(replace(made[0], forecasts=rows), STATIONS, HOUR)
    days = [shown.stations[0].year, with_days(shown, [True, False]).stations[0].year]
    shown = replace(shown, stations=tuple(replace(of, year=y) for of, y in zip(shown.stations, days, strict=True)))
    likely = [entry for entry in feed.entries(shown, FRENCH) if entry.kind == "likely"]
    # SMART189 is above the guideline already, since days: nothing new
    assert shown.stations[0].year.days[-1].above
    assert [entry.title.split("\u00a0:")[0] for entry in likely] == ["Cocody 188"]
    assert likely[0].at == HOUR - timedelta(hours=4)
    assert "8\u00a0h" in likely[0].title + likely[0].text


def test_an_hour_later_the_same_entries_come_out(made: tuple[Tables, pd.DataFrame]) -> None:
    earlier = snapshot.take(made[0], STATIONS, HOUR - timedelta(hours=3))
    later = snapshot.take(made[0], STATIONS, HOUR)
    assert feed.feed(earlier, SITE, "fr") == feed.feed(later, SITE, "fr")


def test_it_is_silent_where_data_are_stale(shown: Snapshot) -> None:
    """Yesterday ended above the guideline, but the station fell silent at 20:00: it waits until there are new data."""
    of = replace(_shown().stations[0], likely_since=HOUR - timedelta(hours=1))
    fresh = with_days(replace(shown, stations=(of,)), [False, True])
    assert [entry.kind for entry in feed.entries(fresh, FRENCH)] == ["above"]
    last = datetime.combine(HOUR.date() - timedelta(days=1), time(20), UTC)
    now = replace(of.now, value=None, level=None, state="absent", last=Hour(last, 18.0, 3, "measured"))
    stale = replace(fresh, stations=(replace(fresh.stations[0], now=now),))
    assert feed.entries(stale, FRENCH) == []
    never = replace(fresh, stations=(replace(fresh.stations[0], now=replace(now, last=None)),))
    assert feed.entries(never, FRENCH) == []
    assert ElementTree.fromstring(feed.feed(never, SITE, "fr")).findtext(f"{ATOM}updated")


def test_news_of_a_month_ago_is_no_news(shown: Snapshot) -> None:
    told = feed.entries(with_days(shown, [True] + [False] * 40 + [True]), FRENCH)
    assert [entry.kind for entry in told] == ["above"]
    assert told[0].at.date() == HOUR.date()


def test_a_badge_is_svg_with_its_hour_and_no_level_where_nothing_is_measured(files: dict[str, str]) -> None:
    def silent(raw: pd.DataFrame) -> None:
        raw.loc[raw["observed_at"] == pd.Timestamp(HOUR), [*raw.columns.drop(["station", "observed_at"])]] = np.nan

    root = ElementTree.fromstring(files["badge-283181971.svg"])
    words = [text.text or "" for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert [text.replace("\u00a0", " ") for text in words] == [
        "Cocody 189",
        "air dégradé, 22,3 µg/m³, 22 février, 13 h",
    ]
    assert float(root.get("width") or 0) > 300
    grey = dict(publish.public_files(snapshot.take(tables_of(edit=silent)[0], STATIONS, HOUR), SITE))
    assert "pas de mesure récente, 22\u00a0février, 13\u00a0h" in grey["badge-283181971.svg"]
    assert 'fill="#f1f1ef"' in grey["badge-283181971.svg"]


def test_the_days_of_an_entry_are_the_stations(shown: Snapshot) -> None:
    far = replace(shown.stations[0].station, time_zone="Pacific/Auckland")
    told = with_days(shown, [False, True])
    told = replace(told, stations=(replace(told.stations[0], station=far),))
    (entry,) = feed.entries(told, FRENCH)
    assert entry.at == datetime(2024, 2, 21, 11, tzinfo=UTC)  # midnight there, in its summer
    assert date(2024, 2, 21).strftime("%d") in entry.title
