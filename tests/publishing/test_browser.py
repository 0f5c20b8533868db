"""What a visitor's browser shows: nothing else is asked for, all fits, axe-core finds nothing serious, age is red."""

import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright
from support.public import HOUR, MAPPED, STATIONS, cut, many, tables_of

from airqino.publishing import publish, snapshot
from airqino.publishing.facts import Snapshot
from airqino.publishing.tables import Tables

pytestmark = pytest.mark.browser

#: What Chromium needs to run as root and to leave the outside world alone.
_BROWSER = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
#: Pictures are kept here (default: pytest's own folder, thrown away).
_PICTURES = os.environ.get("SCREENSHOTS")
#: Five minutes after the hour: when the page is published.
FRESH = HOUR + timedelta(hours=1, minutes=5)
PAGES = {"fr": "index.html", "en": "en/index.html"}
WIDTHS = {360: 780, 1400: 900}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        yield playwright.chromium.launch(executable_path=path, args=_BROWSER)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, shown: Snapshot) -> Path:
    made = tmp_path_factory.mktemp("page")
    publish.write(made, shown, MAPPED)
    return made


class Visit:
    """A visitor: a window, a scheme of colours, a clock, and the requests that the page makes."""

    def __init__(self, browser: Browser, width: int, scheme: Any = "light", script: bool = True, **more: Any) -> None:
        size: Any = {"width": width, "height": WIDTHS.get(width, 800)}
        self.context = browser.new_context(viewport=size, color_scheme=scheme, java_script_enabled=script, **more)
        self.page: Page = self.context.new_page()
        self.asked: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))

    def open(self, file: Path, now: Any = FRESH) -> Page:
        self.page.clock.set_fixed_time(now)
        self.page.goto(f"file://{file}")
        return self.page

    def __enter__(self) -> "Visit":
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()


def serious(page: Page) -> list[str]:
    """What axe-core finds that is serious or worse."""
    found = Axe().run(page).response["violations"]
    return [f"{of['id']}: {of['nodes'][0]['html'][:120]}" for of in found if of["impact"] in ("serious", "critical")]


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("language", PAGES)
def test_the_page_fits_asks_for_nothing_and_says_the_numbers(
    browser: Browser,
    folder: Path,
    made: tuple[Tables, pd.DataFrame],
    tmp_path: Path,
    language: str,
    width: int,
    scheme: str,
    script: bool,
) -> None:
    with Visit(browser, width, scheme, script) as visit:
        page = visit.open(folder / PAGES[language])
        assert visit.asked == [f"file://{folder / PAGES[language]}"]
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        cards = page.locator("article").all_inner_texts()
        values = made[1].set_index(["station", "observed_at"])["pm2_5"]
        for station, text in zip(STATIONS, cards, strict=True):
            value = f"{values[station.id, pd.Timestamp(HOUR)]:.1f}"
            assert f"{value.replace('.', ',') if language == 'fr' else value} µg/m³" in text.replace("\u00a0", " ")
        age = page.locator("#age").inner_text()
        assert ("Page à jour." in age or "Page up to date." in age) == script
        assert re.search("22 février 2024|22 February 2024", age.replace("\u00a0", " "))
        heights = page.locator(".ba i").evaluate_all("all => all.filter(e => e.offsetHeight < 1).length")
        assert heights == 0
        # as the reader sees them: the page is opened without a click
        assert page.locator("details[open] .cal td").first.is_visible()
        if script:
            assert serious(page) == []
            page.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
            assert serious(page) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        name = f"{language}-{width}-{scheme}-{'script' if script else 'plain'}.png"
        page.screenshot(path=Path(_PICTURES or tmp_path) / name, full_page=True)


@pytest.mark.parametrize(
    ("hours", "language", "text"),
    [
        (2, "fr", "Page à jour."),
        (3, "fr", "Ces données ont 3 heures. Elles ne disent plus comment est l’air maintenant."),
        (30, "fr", "Ces données ont 30 heures. Elles ne disent plus comment est l’air maintenant."),
        (30, "en", "These data are 30 hours old. They no longer tell how the air is now."),
        (24 * 9, "en", "These data are 9 days old. They no longer tell how the air is now."),
    ],
)
def test_the_first_line_turns_red_by_the_readers_clock(
    browser: Browser, folder: Path, hours: int, language: str, text: str
) -> None:
    with Visit(browser, 360) as visit:
        page = visit.open(folder / PAGES[language], HOUR + timedelta(hours=1 + hours, minutes=5))
        age = page.locator("#age")
        assert text in age.inner_text().replace("\u00a0", " ")
        red = age.evaluate("e => getComputedStyle(e).color") == "rgb(179, 38, 30)"
        assert red == (hours >= 3)
        assert page.locator(".nx").first.is_visible() == (hours < 3), "forecasts of old data are no forecasts"
        assert page.locator(".adv").is_visible() == (hours < 3)
        mark = page.locator("article .m").first.evaluate("e => getComputedStyle(e).getPropertyValue('--c').trim()")
        assert (mark == "#f1f1ef") == (hours >= 3), "levels are grey"
        assert serious(page) == []


def test_without_script_an_old_page_never_says_that_it_is_up_to_date(browser: Browser, folder: Path) -> None:
    with Visit(browser, 360, script=False) as visit:
        page = visit.open(folder / "index.html", HOUR + timedelta(hours=31))
        assert page.locator("#ago").inner_text() == ""


def test_each_state_is_accessible_and_fits(browser: Browser, tmp_path: Path) -> None:
    def bad(raw: pd.DataFrame) -> None:
        cut(3, STATIONS[1].id)(raw)
        late = (raw["station"] == STATIONS[0].id) & (raw["observed_at"] > pd.Timestamp(HOUR - timedelta(hours=9)))
        raw.loc[late, ["pm2_5", "pm10"]] = np.array([[150.0, 200.0]]) + np.arange(late.sum())[:, None]

    def silent(raw: pd.DataFrame) -> None:
        cut(5, *(station.id for station in STATIONS))(raw)

    states = {name: (tables_of(edit=edit)[0], STATIONS) for name, edit in (("bad", bad), ("silent", silent))}
    states["twenty"] = many(20)[::-1]
    for name, (made, stations) in states.items():
        publish.write(tmp_path / name, snapshot.take(made, stations, HOUR), MAPPED)
        files = ["index.html", *(["en/stations/903.html"] if name == "twenty" else [])]
        for file in files:
            for width in (320, 1400):
                with Visit(browser, width, "dark" if width == 320 else "light") as visit:
                    page = visit.open(tmp_path / name / file)
                    assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, file, width)
                    assert serious(page) == [], (name, file)
                    picture = f"{name}-{Path(file).stem}-{width}.png"
                    page.screenshot(path=Path(_PICTURES or tmp_path) / picture, full_page=True)


def test_a_link_leads_to_the_other_language_and_back(browser: Browser, folder: Path) -> None:
    with Visit(browser, 360) as visit:
        page = visit.open(folder / "index.html")
        page.get_by_role("link", name="English").click()
        assert page.locator("html").get_attribute("lang") == "en"
        page.get_by_role("link", name="Français").click()
        assert page.locator("html").get_attribute("lang") == "fr"


def test_text_of_twice_the_size_fits_a_narrow_window(browser: Browser, folder: Path) -> None:
    """WCAG 1.4.4 and 1.4.10: 200 % text, 320 pixels."""
    with Visit(browser, 640) as visit:
        page = visit.open(folder / "index.html")
        page.add_style_tag(content="html{font-size:200%}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 640


def test_it_prints_with_all_that_counts(browser: Browser, folder: Path, tmp_path: Path) -> None:
    with Visit(browser, 1400) as visit:
        page = visit.open(folder / "index.html")
        page.emulate_media(media="print")
        assert page.locator("article").first.is_visible()
        assert page.locator(".map").is_visible()
        assert not page.locator("header a").first.is_visible()
        pdf = page.pdf(path=Path(_PICTURES or tmp_path) / "page.pdf", format="A4", print_background=True)
        assert 1 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 5
