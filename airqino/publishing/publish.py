"""All public files of an hour, and how they get into the published folder."""

from collections.abc import Iterator
from pathlib import Path

from airqino.publishing import page
from airqino.publishing.badge import badge
from airqino.publishing.facts import Snapshot
from airqino.publishing.feed import feed
from airqino.publishing.now import now_json
from airqino.publishing.page import MOST_ON_INDEX, Site
from airqino.publishing.words import LANGUAGES
from airqino.stores import files

__all__ = ["public_files", "write"]


def public_files(snapshot: Snapshot, site: Site) -> Iterator[tuple[str, str]]:
    """Yield each file's path within the published folder and its text; the index pages last.

    ``now.json``, ``badge-<station>.svg``, ``feed.xml``, ``index.html`` and, with more than `MOST_ON_INDEX` stations,
    ``stations/<station>.html``; feed and pages in English in ``en/``. They depend on snapshot and site alone.
    """
    yield "now.json", now_json(snapshot, site)
    for of in snapshot.stations:
        yield f"badge-{of.station.id}.svg", badge(snapshot, of, site)
    folders = {language: "" if language == LANGUAGES[0] else f"{language}/" for language in LANGUAGES}
    for language, folder in folders.items():
        yield f"{folder}feed.xml", feed(snapshot, site, language)
        for of in snapshot.stations if len(snapshot.stations) > MOST_ON_INDEX else ():
            yield f"{folder}stations/{of.station.id}.html", page.station_page(snapshot, of, site, language)
    for language, folder in folders.items():
        yield f"{folder}index.html", page.index(snapshot, site, language)


def write(folder: Path, snapshot: Snapshot, site: Site) -> None:
    """Write the public files of an hour, each as a whole.

    Args:
        folder: Where to; it is made if it is missing.
        snapshot: What is to be said.
        site: What the operator says of the pages.

    Raises:
        StagingError: A file cannot be written.
    """
    for name, text in public_files(snapshot, site):
        files.write(folder / name, text.encode())
