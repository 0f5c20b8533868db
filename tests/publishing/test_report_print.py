"""The report as paper and in a window: two sheets of A4 for two stations, nothing wider than the window."""

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright
from support.months import forecasts_of, made_up, stage
from support.public import STATIONS

from airqino.publishing import month, month_tables, report
from airqino.publishing.month_facts import Month
from airqino.quality.notes import Note

pytestmark = pytest.mark.browser

#: What Chromium needs to run as root and to leave the outside world alone.
_BROWSER = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
#: Pictures are kept here (default: pytest's own folder, thrown away).
_PICTURES = os.environ.get("SCREENSHOTS")
MARCH = date(2024, 3, 1)
READINGS = ["co", "no2", "o3", "pm10", "pm2_5", "t", "rh", "t_int"]


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        browser: Browser = playwright.chromium.launch(executable_path=path, args=_BROWSER)
        yield browser.new_context(viewport={"width": 1000, "height": 800}).new_page()


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Month:
    """A month with much to say: both CO charts, gaps, faults, corrections, notes, six leads, still under way."""
    raw = made_up(MARCH)
    zone = raw["observed_at"]
    for day in (4, 9, 15, 16):
        raw.loc[(zone.dt.month == 3) & (zone.dt.day == day) & (zone.dt.hour > day), READINGS] = np.nan
    raw.loc[(zone.dt.month == 3) & (zone.dt.day % 9 == 2) & (zone.dt.hour < 14), "co"] = 0.0
    raw.loc[(zone.dt.month == 3) & (zone.dt.day % 7 == 2), ["pm2_5", "pm10"]] += 21.0
    raw.loc[(zone.dt.month == 3) & (zone.dt.day == 20) & (zone.dt.hour == 11), "pm2_5"] = 1500.0
    raw.loc[zone > pd.Timestamp("2024-03-24", tz="UTC"), "no2"] = 17.0
    raw.loc[raw["station"] == STATIONS[1].id, "o3"] = np.nan
    first = datetime(2024, 3, 2, tzinfo=UTC)
    notes = [
        Note(
            id=f"2024-03-2{n}-1",
            kind=("comment", "invalidate")[n % 2],
            station=STATIONS[n % 2].id,
            reading="no2",
            who="An",
            why="The inlet was cleaned, and the mast moved by a metre to the north of the roof",
            noted_at=datetime(2024, 3, 20 + n, 9, tzinfo=UTC),
            first=first + timedelta(hours=9 * n),
            last=first + timedelta(hours=9 * n + 3),
        )
        for n in range(3)
    ]
    seen = pd.DataFrame(
        [
            {"station": of.id, "observed_at": first + timedelta(hours=n), "reading": name, "old": 1.0, "new": 2.0}
            for of in STATIONS
            for name in ("co", "pm2_5")
            for n in range(5)
        ]
    ).assign(seen_at=datetime(2024, 4, 9, 11, tzinfo=UTC))
    paths = stage(
        tmp_path_factory.mktemp("full"), raw, MARCH, notes=notes, forecasts=forecasts_of(raw, MARCH), revisions=seen
    )
    shown = month.take(month_tables.read(paths, MARCH), STATIONS, datetime(2024, 3, 31, 2, tzinfo=UTC))
    stations = []
    for of in shown.stations:
        more = [replace(score, horizon=h) for score in of.scores if score.horizon == 2 for h in (3, 6, 9, 12)]
        stations.append(replace(of, scores=(*of.scores, *more), provisional=8))
    return replace(shown, stations=tuple(stations))


@pytest.mark.parametrize("language", ["fr", "en"])
def test_two_stations_are_two_sheets_and_fit_the_window(page: Page, full: Month, tmp_path: Path, language: str) -> None:
    assert all(of.pollutants["co"].valid for of in full.stations)
    file, asked = tmp_path / "report.html", []
    file.write_text(report.html(full, language), encoding="utf-8")
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"file://{file}")
    assert asked == [f"file://{file}"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 1000
    # texts of a chart that leave it, or each other's place
    wide = "all => all.filter(e => e.getBoundingClientRect().right > innerWidth).length"
    assert page.locator("svg text, td, th, li").evaluate_all(wide) == 0
    found: Any = Axe().run(page).response["violations"]
    assert [of["id"] for of in found if of["impact"] in ("serious", "critical")] == []
    page.screenshot(path=Path(_PICTURES or tmp_path) / f"report-{language}.png", full_page=True)
    pdf = page.pdf(path=Path(_PICTURES or tmp_path) / f"report-{language}.pdf", format="A4", print_background=True)
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 2


def test_a_phone_shows_it_without_scrolling_sideways(page: Page, full: Month, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(report.html(full, "fr"), encoding="utf-8")
    page.set_viewport_size({"width": 360, "height": 780})
    page.goto(f"file://{file}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.set_viewport_size({"width": 1000, "height": 800})
