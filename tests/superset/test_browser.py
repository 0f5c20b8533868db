"""What a viewer sees: every chart drawn, filters that work, new data without a reload, at desk and phone width."""

import colorsys
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.superset.conftest import DASHBOARDS, HEIGHT, Site, open_dashboard, wait_until_drawn
from tests.superset.expected_readings import calendar

pytestmark = pytest.mark.superset

#: Pictures are kept here (default: pytest's own folder, thrown away).
_PICTURES = os.environ.get("SCREENSHOTS")

_DRAWN = """es => es.filter(e => {
  const table = e.querySelector('tbody tr td'), canvas = e.querySelector('canvas');
  if (table) return false;
  if (!canvas) return true;
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  const colours = new Set();
  for (let i = 0; i < pixels.length; i += 4 * 7) if (pixels[i + 3] > 0) colours.add(pixels.slice(i, i + 3).join());
  return colours.size < 4;
}).map(e => e.getAttribute('data-test-chart-name'))"""


def assert_all_drawn(page: Page, slug: str, empty: Sequence[str] = ()) -> None:
    """Fail on an error box, a chart that is blank, or one without data but for those named."""
    assert page.locator('[data-test="error-message"], .ant-alert-error').all_inner_texts() == []
    assert page.locator(".chart-container .ant-empty, .chart-container [class*=EmptyState]").count() == len(empty)
    assert page.locator("[data-test-chart-name]").count() == DASHBOARDS[slug]
    assert page.locator("[data-test-chart-name]").evaluate_all(_DRAWN) == [*empty]


def open_and_check(page: Page, site: Site, slug: str, width: int, folder: Path) -> None:
    """Open a dashboard in a window of some width: all is drawn, all fits, and nothing comes from elsewhere."""
    page.set_viewport_size({"width": width, "height": HEIGHT})
    refused: list[str] = []
    page.on("response", lambda answer: refused.append(answer.url) if answer.status >= 400 else None)
    # Superset's own usage pixel is tried and stopped by the security headers: it is no finished request.
    ours = (site.url, "data:", "blob:")
    page.on("requestfinished", lambda asked: refused.append(asked.url) if not asked.url.startswith(ours) else None)
    answers = open_dashboard(page, site, slug)
    assert_all_drawn(page, slug)
    for name, answer in answers.items():
        for result in answer.json()["result"]:
            assert result["rowcount"] > 0, name
    assert refused == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page is to fit the window"
    bottom = page.locator("[data-test-chart-name]").evaluate_all(
        "es => Math.max(...es.map(e => e.getBoundingClientRect().bottom))"
    )
    picture = Path(_PICTURES or folder) / f"{slug}-{width}.png"
    page.screenshot(path=picture, clip={"x": 0, "y": 0, "width": width, "height": bottom + 24})
    assert picture.stat().st_size > 50_000


#: The colours of a canvas that fill an area, as [red, green, blue]: no lines, no text, no gradient.
_AREAS = """canvas => {
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data, found = {};
  for (let i = 0; i < pixels.length; i += 4) {
    const colour = pixels.slice(i, i + 3).join();
    found[colour] = (found[colour] || 0) + 1;
  }
  return Object.entries(found).filter(([, count]) => count > 400).map(([colour]) => colour.split(',').map(Number));
}"""


def test_the_public_sees_every_chart_and_a_clean_day_green_however_clean_the_others(
    page: Page, site: Site, tmp_path: Path
) -> None:
    open_and_check(page, site, "air-quality", 1400, tmp_path)
    (days,) = calendar(site.data())
    means = [day["Mean PM25 (µg/m³)"] for day in days]
    assert min(means) < 15, "days under the guideline"
    assert max(means) <= 25, "none far above it"
    cells = page.locator('[data-test-chart-name="Calendar of daily PM2.5"] canvas').evaluate(_AREAS)
    hues = {round(colorsys.rgb_to_hsv(*(part / 255 for part in cell))[0] * 360) for cell in cells if len({*cell}) > 1}
    assert any(120 <= hue <= 160 for hue in hues), "green"
    assert not any(hue <= 20 for hue in hues), "red"


def test_an_analyst_sees_every_chart(page: Page, site: Site, tmp_path: Path) -> None:
    open_and_check(page, site, "data-and-forecast-quality", 1400, tmp_path)


_CARDS = """tables => tables.flatMap(table => [...table.querySelectorAll('td')])
  .filter(cell => cell.innerText)
  .map(cell => {
  const title = document.getElementById(cell.getAttribute('aria-labelledby')).textContent;
  const shown = getComputedStyle(cell, '::before').content.replace(/^"|"$/g, '');
  return [title, shown === 'none' ? '' : shown, cell.scrollWidth <= cell.clientWidth, cell.clientHeight];
})"""
#: Columns of a card whose cells need no title before them.
_UNTITLED = {"State of the data", "Station", "Pollutant", "Last hour", "Trend", "Hour from (UTC)"}
_UNTITLED |= {"What", "Reason", "Version", "Day"}


@pytest.mark.parametrize("slug", DASHBOARDS)
def test_on_a_phone_all_is_drawn_and_tables_are_cards_with_their_columns_titles(
    page: Page, site: Site, tmp_path: Path, slug: str
) -> None:
    open_and_check(page, site, slug, 420, tmp_path)
    cells = page.locator('[data-test-viz-type="table"]').evaluate_all(_CARDS)
    assert len(cells) > 20
    for title, shown, fits, height in cells:
        assert shown == title or (shown == "" and title in _UNTITLED), title
        assert (fits, height < (120 if title == "State of the data" else 90)) == (True, True), title
    heights = page.locator('[data-test-viz-type="table"] tr').evaluate_all("rows => rows.map(row => row.clientHeight)")
    assert max(heights) > 80, "rows are cards"


def _picture(page: Page, chart: str) -> str:
    """What a chart shows now."""
    return str(
        page.locator(f'[data-test-chart-name="{chart}"]').evaluate(
            "e => e.querySelector('canvas')?.toDataURL() ?? e.innerText"
        )
    )


def _choose(page: Page, filter_: str, option: str) -> None:
    page.locator(f'[data-test^="NATIVE_FILTER-{filter_}"]').click()
    page.locator(".ant-select-item-option", has_text=option).first.click()
    page.keyboard.press("Escape")


def _apply(page: Page, slug: str) -> None:
    page.locator('[data-test="filter-bar__apply-button"]').click()
    page.wait_for_timeout(2000)
    wait_until_drawn(page, DASHBOARDS[slug])


@pytest.mark.parametrize(
    ("slug", "of_station", "of_period", "of_pollutant", "fixed", "empty"),
    [
        (
            "air-quality",
            ["Daily mean PM2.5", "Last 7 days and forecast: PM2.5", "Calendar of daily PM2.5", "Day and week: O3"],
            ["Daily mean PM2.5", "Calendar of daily PM2.5", "Daily O3: highest 8-hour mean"],
            ["Now and the next two hours", "Days over the WHO guideline this year"],
            "Daily mean CO",
            [],
        ),
        (
            "data-and-forecast-quality",
            ["Hours received and missing", "When hours are missing", "Daily means and what they rest on"],
            ["Hours received and missing", "Completeness by station and day"],
            ["Flags by kind", "Daily means and what they rest on"],
            "Why hours are missing",
            ["Sensors to have checked"],
        ),
    ],
    ids=[*DASHBOARDS],
)
def test_the_filters_change_the_charts(
    page: Page,
    site: Site,
    slug: str,
    of_station: list[str],
    of_period: list[str],
    of_pollutant: list[str],
    fixed: str,
    empty: list[str],
) -> None:
    open_dashboard(page, site, slug)
    names = {*of_station, *of_period, *of_pollutant, fixed}

    def unchanged(charts: list[str]) -> list[str]:
        before, shown = dict(pictures), {name: _picture(page, name) for name in names}
        pictures.update(shown)
        return [chart for chart in charts if shown[chart] == before[chart]]

    pictures = {name: _picture(page, name) for name in names}
    _choose(page, "station", "SMART189")
    _apply(page, slug)
    assert_all_drawn(page, slug, empty)
    assert unchanged(of_station) == []

    page.locator('[data-test="time-range-trigger"]').click()
    page.locator('.ant-select:has(input[aria-label="Range type"])').click()
    page.locator(".ant-select-item-option", has_text="Last").first.click()
    page.get_by_text("Last month").click()
    page.locator('[data-test="date-filter-control__apply-button"]').click()
    _apply(page, slug)
    assert_all_drawn(page, slug, empty)
    assert unchanged(of_period) == []

    _choose(page, "pollutant", "CO")
    _apply(page, slug)
    assert page.locator('[data-test="error-message"], .ant-alert-error').all_inner_texts() == []
    assert unchanged([*of_pollutant, fixed]) == [fixed]
    if slug == "air-quality":
        chart = '[data-test-chart-name="Now and the next two hours"]'
        assert page.locator(f'{chart} td[aria-labelledby="header-pollutant"]').all_inner_texts() == ["CO"]


def test_new_data_show_up_by_themselves(page: Page, site: Site) -> None:
    open_dashboard(page, site, "air-quality")
    sentence = page.locator('[data-test-chart-name="State of the data"] tbody td')
    before = sentence.inner_text()
    page.get_by_role("button", name="Menu actions trigger").click()
    page.get_by_text("Update auto-refresh").click()
    page.locator(".ant-modal").get_by_text("10 seconds").click()
    page.locator('[data-test="modal-confirm-button"]').click()
    page.evaluate("window.untouched = true")
    site.luigi("Hourly")
    expect(sentence).not_to_have_text(before, timeout=60_000)
    assert page.evaluate("window.untouched"), "the page was not reloaded"
