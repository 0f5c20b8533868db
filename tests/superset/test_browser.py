"""What a viewer sees: every chart drawn, filters that work, new data without a reload, at desk and phone width."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.superset.conftest import DASHBOARDS, Site, open_dashboard, wait_until_drawn

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


def assert_all_drawn(page: Page, slug: str) -> None:
    """Fail on an error box, a chart without data, or one that is blank."""
    assert page.locator('[data-test="error-message"], .ant-alert-error').all_inner_texts() == []
    assert page.locator(".chart-container .ant-empty, .chart-container [class*=EmptyState]").count() == 0
    assert page.locator("[data-test-chart-name]").count() == DASHBOARDS[slug]
    assert page.locator("[data-test-chart-name]").evaluate_all(_DRAWN) == []


@pytest.mark.parametrize("width", [1400, 420])
@pytest.mark.parametrize("slug", DASHBOARDS)
def test_every_chart_is_drawn(page: Page, site: Site, tmp_path: Path, slug: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 4400})
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
    picture = Path(_PICTURES or tmp_path) / f"{slug}-{width}.png"
    page.screenshot(path=picture, clip={"x": 0, "y": 0, "width": width, "height": bottom + 24})
    assert picture.stat().st_size > 50_000


def _picture(page: Page, chart: str) -> str:
    """What a chart shows now."""
    return str(
        page.locator(f'[data-test-chart-name="{chart}"]').evaluate(
            "e => e.querySelector('canvas')?.toDataURL() ?? e.innerText"
        )
    )


def _choose_station(page: Page, name: str) -> None:
    page.locator('[data-test="form-item-value"] .ant-select').first.click()
    page.locator(".ant-select-item-option", has_text=name).first.click()
    page.keyboard.press("Escape")
    page.locator('[data-test="filter-bar__apply-button"]').click()


@pytest.mark.parametrize(
    ("slug", "charts"),
    [
        ("air-quality", ["Daily mean PM2.5", "Last 7 days and forecast: PM2.5", "Calendar of daily PM2.5"]),
        ("data-and-forecast-quality", ["Hours received and missing", "When hours are missing"]),
    ],
)
def test_the_station_filter_changes_the_charts(page: Page, site: Site, slug: str, charts: list[str]) -> None:
    open_dashboard(page, site, slug)
    before = {chart: _picture(page, chart) for chart in charts}
    _choose_station(page, "SMART189")
    page.wait_for_timeout(2000)
    wait_until_drawn(page, DASHBOARDS[slug])
    assert_all_drawn(page, slug)
    assert [chart for chart in charts if _picture(page, chart) == before[chart]] == []


@pytest.mark.parametrize(
    ("slug", "charts"),
    [
        ("air-quality", ["Daily mean PM2.5", "Calendar of daily PM2.5"]),
        ("data-and-forecast-quality", ["Hours received and missing", "Completeness by station and day"]),
    ],
)
def test_the_period_filter_changes_the_charts(page: Page, site: Site, slug: str, charts: list[str]) -> None:
    open_dashboard(page, site, slug)
    before = {chart: _picture(page, chart) for chart in charts}
    page.locator('[data-test="time-range-trigger"]').click()
    page.locator('.ant-select:has(input[aria-label="Range type"])').click()
    page.locator(".ant-select-item-option", has_text="Last").first.click()
    page.get_by_text("Last month").click()
    page.locator('[data-test="date-filter-control__apply-button"]').click()
    page.locator('[data-test="filter-bar__apply-button"]').click()
    page.wait_for_timeout(2000)
    wait_until_drawn(page, DASHBOARDS[slug])
    assert_all_drawn(page, slug)
    assert [chart for chart in charts if _picture(page, chart) == before[chart]] == []


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
