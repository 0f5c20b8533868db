"""What a viewer sees: every chart drawn in both languages, at desk and phone width, and filters that work."""

import os
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Page, expect

from tests.superset.conftest import (
    DASHBOARDS,
    HEIGHT,
    Site,
    charts_of,
    drawn_at_first,
    open_dashboard,
    open_tab,
    wait_until_drawn,
)
from tests.superset.tables import say
from tests.superset.texts import english_in, visible_texts

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
    titles = page.locator("[data-test-chart-name]").evaluate_all("es => es.map(e => e.dataset.testChartName)")
    assert sorted(titles) == sorted(charts_of(slug))
    assert page.locator("[data-test-chart-name]").evaluate_all(_DRAWN) == [*empty]


@pytest.mark.parametrize("width", [1400, 420])
@pytest.mark.parametrize("slug", DASHBOARDS)
def test_a_viewer_sees_every_chart_in_the_dashboards_language(
    page: Page, site: Site, slug: str, width: int, tmp_path: Path
) -> None:
    page.set_viewport_size({"width": width, "height": HEIGHT if width > 700 else 2 * HEIGHT})
    refused: list[str] = []
    page.on("response", lambda answer: refused.append(answer.url) if answer.status >= 400 else None)
    # Superset's own usage pixel is tried and stopped by the security headers: it is no finished request.
    ours = (site.url, "data:", "blob:")
    page.on("requestfinished", lambda asked: refused.append(asked.url) if not asked.url.startswith(ours) else None)
    answers = open_dashboard(page, site, slug)
    assert_all_drawn(page, slug)
    for name, answer in answers.items():
        assert all(result["rowcount"] > 0 for result in answer.json()["result"]), name
    assert refused == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page is to fit the window"
    names = [*site.data().names.values(), "SMART", "Cocody", "Plateau"]
    said = [row["why"] for row in site.db.notes.find({"why": {"$exists": True}})] + ["an operator"]
    texts = visible_texts(page)
    assert not [text for text in texts if "≤ col" in text], "the period is told in words"
    if DASHBOARDS[slug] == "fr":
        assert english_in([*texts, *_menus(page)] if width > 700 else texts, [*names, *said]) == []
    if slug in ("air-quality", "qualite-de-l-air"):
        open_tab(page, 0)
        page.wait_for_timeout(1000)
    bottom = page.locator("[data-test-chart-name]").evaluate_all(
        "es => Math.max(...es.map(e => e.getBoundingClientRect().bottom))"
    )
    picture = Path(_PICTURES or tmp_path) / f"{slug}-{width}.png"
    page.screenshot(path=picture, clip={"x": 0, "y": 0, "width": width, "height": bottom + 24})
    assert picture.stat().st_size > 50_000
    if width < 700:
        _assert_cards(page)


def _menus(page: Page) -> list[str]:
    """What the menus of the page and of a chart, and the choices of a filter say."""
    found: list[str] = []
    for opened in (
        page.locator('[data-test="actions-trigger"]'),
        page.locator("[data-test-chart-name]").first.get_by_role(
            "button", name=re.compile("options|more", re.IGNORECASE)
        ),
        page.locator('[data-test^="NATIVE_FILTER-period"]'),
    ):
        if opened.count():
            opened.first.click()
            page.wait_for_timeout(700)
            found += visible_texts(page)
            page.keyboard.press("Escape")
    return found


_CARDS = """tables => tables.flatMap(table => [...table.querySelectorAll('td')])
  .filter(cell => cell.innerText && cell.getBoundingClientRect().width)
  .map(cell => {
  const title = document.getElementById(cell.getAttribute('aria-labelledby')).textContent;
  const shown = getComputedStyle(cell, '::before').content.replace(/^"|"$/g, '');
  const fits = cell.scrollWidth <= cell.clientWidth;
  return [title, shown === 'none' ? '' : shown, fits, cell === cell.parentNode.firstChild];
})"""


def _assert_cards(page: Page) -> None:
    """On a phone the rows of tables are cards, each cell with its column's title before it."""
    cells = page.locator('[data-test-viz-type="table"]').evaluate_all(_CARDS)
    assert len(cells) > 20
    for title, shown, fits, first in cells:
        assert shown == title or (shown == "" and (first or title in _UNTITLED)), title
        assert fits, title
    heights = page.locator('[data-test-viz-type="table"] tr').evaluate_all("rows => rows.map(row => row.clientHeight)")
    assert max(heights) > 80, "rows are cards"


#: Columns of the air now that need no title.
_UNTITLED = {say(lang, title) for lang in ("en", "fr") for title in ("Last hour", "Level", "Ended")}


def _picture(page: Page, chart: str) -> str:
    """What a chart shows now."""
    return str(
        page.locator(f'[data-test-chart-name="{chart}"]').evaluate(
            "e => e.querySelector('canvas')?.toDataURL() ?? e.innerText"
        )
    )


def _choose(page: Page, filter_: str, option: str) -> None:
    page.locator(f'[data-test^="NATIVE_FILTER-{filter_}"]').click()
    page.keyboard.type(option)
    page.locator(".ant-select-item-option", has_text=option).first.click()
    page.keyboard.press("Escape")


def _apply(page: Page, drawn: int) -> None:
    page.locator('[data-test="filter-bar__apply-button"]').click()
    page.wait_for_timeout(2000)
    wait_until_drawn(page, drawn)


def _open_first_tab(page: Page, site: Site, slug: str) -> int:
    page.goto(f"{site.url}/superset/dashboard/{slug}/")
    drawn = drawn_at_first(slug)
    wait_until_drawn(page, drawn)
    return drawn


@pytest.mark.parametrize(
    ("slug", "station", "period", "changed_by_station", "changed_by_period"),
    [
        ("qualite-de-l-air", "SMART189", "30 derniers jours", ("now", "days_pm2_5", "calendar_pm2_5"), ("days_pm2_5",)),
        (
            "data-and-forecast-quality",
            "SMART189",
            "Last 30 days",
            ("hours", "when_missing", "days_and_basis"),
            ("hours", "completeness"),
        ),
    ],
)
def test_the_filters_change_the_charts(
    page: Page,
    site: Site,
    slug: str,
    station: str,
    period: str,
    changed_by_station: Sequence[str],
    changed_by_period: Sequence[str],
) -> None:
    drawn = _open_first_tab(page, site, slug)
    titles = {name: title for title, name in charts_of(slug).items()}
    names = {*changed_by_station, *changed_by_period}
    first = {name: _picture(page, titles[name]) for name in names}
    _choose(page, "station", station)
    _apply(page, drawn)
    second = {name: _picture(page, titles[name]) for name in names}
    assert [name for name in changed_by_station if first[name] == second[name]] == []
    _choose(page, "period", period)
    _apply(page, drawn)
    assert page.locator('[data-test^="NATIVE_FILTER-period"]').first.inner_text().strip() != ""
    third = {name: _picture(page, titles[name]) for name in names}
    assert [name for name in changed_by_period if second[name] == third[name]] == []
    assert page.locator('[data-test="error-message"], .ant-alert-error').all_inner_texts() == []
    assert not [text for text in visible_texts(page) if "≤ col" in text]


def test_the_step_of_the_daily_lines_is_the_viewers_choice(page: Page, site: Site) -> None:
    drawn = _open_first_tab(page, site, "air-quality")
    asked: list[Any] = []
    page.on("request", lambda request: asked.append(request.post_data or "") if "chart/data" in request.url else None)
    _choose(page, "step", "Month")
    _apply(page, drawn)
    assert any('"P1M"' in question for question in asked)
    assert page.locator('[data-test="error-message"], .ant-alert-error').all_inner_texts() == []


def test_a_click_on_a_station_filters_the_other_charts(page: Page, site: Site) -> None:
    drawn = _open_first_tab(page, site, "air-quality")
    name = next(name for name in site.data().names.values() if "SMART189" in name)
    page.locator('[data-test-chart-name="The air now"] tbody td').get_by_text(name).first.click()
    page.wait_for_timeout(2000)
    wait_until_drawn(page, drawn)
    shown = page.locator('[data-test-chart-name="The other pollutants now"] td[aria-labelledby="header-station_name"]')
    assert {*shown.all_inner_texts()} == {name}


def test_a_viewer_takes_a_chart_as_csv_and_sees_the_rows_behind_it(page: Page, site: Site) -> None:
    _open_first_tab(page, site, "qualite-de-l-air")
    chart = page.locator('[data-test-chart-name="L’air maintenant"]')
    chart.get_by_role("button", name=re.compile("options|more", re.IGNORECASE)).first.click()
    page.locator(".ant-dropdown:visible").get_by_text("Télécharger").hover()
    with page.expect_download() as download:
        page.get_by_text(re.compile("CSV")).first.click()
    content = Path(download.value.path()).read_text(encoding="utf-8-sig")
    assert content.splitlines()[0].split(",")[0] == "Station"
    assert "µg/m³" in content


def test_every_chart_comes_as_csv(
    site: Site, api: requests.Session, questions: dict[tuple[str, str], dict[str, Any]]
) -> None:
    for (language, name), question in questions.items():
        asked = question | {"result_format": "csv", "result_type": "full"}
        answer = api.post(f"{site.url}/api/v1/chart/data", json=asked)
        assert answer.status_code == 200, (language, name, answer.text[:300])
        assert len(answer.content) > 20, (language, name)


#: Names as people give them to stations, and as people never should.
NAMES = [
    *("L'Aquila", 'the "old" port', "Port-Bouët, quai 2", "(north)", "[south]", "50 % of it", "a\\b", "{west}"),
    *(
        "{{ east }}",
        "SELECT name FROM stations",
        "' OR 1=1 --",
        "Größe",
        "北京",
        "Порт",
        "عابدجان",
        "100%s",
        "a;b",
        "a_b%c",
    ),
]


@pytest.fixture
def named(site: Site) -> Iterator[dict[str, str]]:
    """Stations of these names, each with a reading of its own an hour ago."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
    ids = {f"29{number:07}": name for number, name in enumerate(NAMES)}
    for number, (station, name) in enumerate(ids.items()):
        site.db.stations.insert_one({"_id": station, "name": name, "last_seen_at": hour, "time_zone": "UTC"})
        reading = {"pm2_5": 5.0 + number, "pm2_5_flag": "ok", "pm2_5_index": 2}
        site.db.hourly_measurements.insert_one(
            {"_id": f"{station}|{hour:%Y-%m-%dT%H}", "station": station, "observed_at": hour, **reading}
        )
    yield ids
    site.db.stations.delete_many({"_id": {"$in": [*ids]}})
    site.db.hourly_measurements.delete_many({"station": {"$in": [*ids]}})


@pytest.mark.parametrize("chart", ["now", "last_48_hours_pm2_5", "map"])
def test_each_name_filters_its_own_station(
    site: Site,
    api: requests.Session,
    questions: dict[tuple[str, str], dict[str, Any]],
    named: dict[str, str],
    chart: str,
) -> None:
    for language in ("en", "fr"):
        for number, name in enumerate(named.values()):
            question = {**questions[language, chart], "force": True}
            chosen = {"col": "station_name", "op": "IN", "val": [name]}
            question["queries"] = [q | {"filters": [*q.get("filters", []), chosen]} for q in question["queries"]]
            answer = api.post(f"{site.url}/api/v1/chart/data", json=question)
            assert answer.status_code == 200, (name, answer.text[:500])
            rows = answer.json()["result"][0]["data"]
            if chart == "now":
                assert [row["station_name"] for row in rows] == [name]
                assert rows[0]["now"].replace(",", ".") == f"{5 + number:.1f} µg/m³"
            elif chart == "map":
                stations = [row["place"] for row in rows if row[say(language, "Station")] == 1]
                assert [place.startswith(f"{name} – ") for place in stations] == [True], name
            else:
                values = [row[name] for row in rows if row.get(name) is not None]
                assert values == [5.0 + number], name


def test_a_reader_chooses_such_a_name_on_the_page(page: Page, site: Site, named: dict[str, str]) -> None:
    name = "L'Aquila"
    drawn = _open_first_tab(page, site, "air-quality")
    _choose(page, "station", name)
    _apply(page, drawn)
    shown = page.locator('[data-test-chart-name="The air now"] td[aria-labelledby="header-station_name"]')
    assert shown.all_inner_texts() == [name]


def test_new_data_show_up_by_themselves(page: Page, site: Site) -> None:
    _open_first_tab(page, site, "air-quality")
    sentence = page.locator('[data-test-chart-name="State of the data"] tbody td')
    before = sentence.inner_text()
    page.get_by_role("button", name="Menu actions trigger").click()
    page.get_by_text("Update auto-refresh").click()
    page.locator(".ant-modal").get_by_text("10 seconds").click()
    page.locator('[data-test="modal-confirm-button"]').click()
    page.evaluate("window.untouched = true")
    site.luigi("Hourly", now=site.opened)
    expect(sentence).not_to_have_text(before, timeout=60_000)
    assert page.evaluate("window.untouched"), "the page was not reloaded"
