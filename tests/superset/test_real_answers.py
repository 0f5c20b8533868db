"""What the dashboards make of real answers of two stations, shifted in time so that they look live.

One of the two has CO at the floor in nearly all hours, the other in half of them. The project does not hold them.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from playwright.sync_api import Page
from pymongo import MongoClient

from airqino.quality.flags import flag_history
from airqino.sandbox.mongod import free_port
from airqino.sandbox.server import Sandbox
from tests.superset.conftest import DASHBOARDS, ROOT, Site, charts_of, log_in, open_dashboard, quick_settings
from tests.superset.raw import BANDS, COUNTED, KEYS, LEVELS
from tests.superset.tables import say

ANSWERS = ROOT.parent / "shared/data"
STATIONS = ("283181971", "283164601")
#: The last of the answers that is used, a Thursday: it is shown as the last hour that is over. Days before it.
LAST, DAYS = datetime(2024, 6, 27, 18, tzinfo=UTC), 75

pytestmark = [
    pytest.mark.superset,
    pytest.mark.skipif(not ANSWERS.is_dir(), reason="the real answers are not part of the project"),
]


@pytest.fixture(scope="module")
def real(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The real answers up to five hours ago, in a database and a Superset of their own."""
    folder = tmp_path_factory.mktemp("real")
    now = datetime.now(UTC)
    shift = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=1) - LAST
    for station in STATIONS:
        answer = json.loads((ANSWERS / f"{station}.json").read_text())
        for row in answer["data"]:
            row["timestamp"] = f"{datetime.fromisoformat(row['timestamp']) + shift}"
        (folder / f"{station}.json").write_text(json.dumps(answer))
    (folder / "luigi.cfg").write_text(quick_settings())
    with Sandbox(replay=folder, now=now) as sandbox, MongoClient(site.mongodb) as client:
        client.drop_database("real")
        environment = site.environment | {
            "AIRQINO_BASE_URL": sandbox.url,
            "AIRQINO_STATIONS": ",".join(STATIONS),
            "STAGING_ROOT": str(folder / "staging"),
            "LUIGI_CONFIG_PATH": str(folder / "luigi.cfg"),
            "MONGODB_URI": site.mongodb,
            "SUPERSET_MONGODB_URI": site.mongodb,
            "MONGODB_DATABASE": "real",
            "SUPERSET_PORT": str(free_port()),
        }
        first = (LAST + shift).replace(hour=0) - timedelta(days=DAYS)
        url = f"http://127.0.0.1:{environment['SUPERSET_PORT']}"
        running = replace(site, url=url, environment=environment, api=sandbox.url, first=first, opened=now)
        hours = "%Y-%m-%dT%H"
        span = "--start", f"{first:{hours}}", "--stop", f"{now - timedelta(hours=6):{hours}}"
        running.luigi("Backfill", *span, now=now - timedelta(hours=5))
        try:
            running.superset("up")
            yield running
        finally:
            running.superset("down")
            client.drop_database("real")


@pytest.fixture
def reader(real: Site, browser: Any) -> Iterator[Page]:
    """A page of the viewer of the real answers."""
    with browser.new_context(viewport={"width": 1400, "height": 6500}) as context:
        page = context.new_page()
        log_in(page, real)
        yield page


def _shown(page: Page, real: Site, slug: str) -> dict[str, list[dict[str, Any]]]:
    """The rows that each chart of a dashboard draws, by its name in the source."""
    names = charts_of(slug)
    answers = open_dashboard(page, real, slug)
    if pictures := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(pictures) / f"real-{slug}.png", full_page=True)
    assert {names[title] for title in answers} == {*names.values()}
    return {
        names[title]: [row for result in answer.json()["result"] for row in result["data"]]
        for title, answer in answers.items()
    }


@pytest.mark.parametrize("slug", ["air-quality", "qualite-de-l-air"])
def test_stations_that_went_silent_are_grey_on_the_map_and_have_no_level(reader: Page, real: Site, slug: str) -> None:
    lang, shown = DASHBOARDS[slug], _shown(reader, real, slug)
    silent = say(lang, "no recent reading")
    stations = [row for row in shown["map"] if row[say(lang, "Station")] == 1]
    assert [row["class"] for row in stations] == [silent] * len(STATIONS)
    api = reader.request.get(f"{real.url}/api/v1/dashboard/{slug}").json()["result"]
    colour = json.loads(api["json_metadata"])["label_colors"][silent]
    assert len({colour[i : i + 2] for i in (1, 3, 5)}) == 1, "grey"
    assert {row["now"] for name in ("now", "others_now") for row in shown[name]} == {silent}
    assert {row["level"] for name in ("now", "others_now") for row in shown[name]} == {""}
    levels = [value for row in shown["index_now"] for column, value in row.items() if column.endswith("_level")]
    assert (len(levels), {*levels}) == (5 * len(STATIONS), {""})
    assert shown["state"][0]["sentence"].startswith("⚠")


def test_live_no_co_of_0_00_is_drawn_and_no_day_has_a_better_level_than_its_worst_station(
    reader: Page, real: Site
) -> None:
    real.luigi("Hourly", now=real.opened)
    real.superset("up")  # forgets the answers it has kept
    hourly = _hourly(real)
    assert (hourly["co"] == 0).mean() > 0.5, "else it shows nothing"
    for slug in ("air-quality", "qualite-des-donnees"):
        lang = DASHBOARDS[slug]
        shown = _shown(reader, real, slug)
        for name, rows in shown.items():
            texts = [value for row in rows for value in row.values() if isinstance(value, str)]
            assert not [text for text in texts if text.startswith(("0.00", "0,00"))], name
            if name.endswith("_co"):
                numbers = [v for row in rows for k, v in row.items() if isinstance(v, float) and k not in _AXES]
                assert numbers, name
                assert min(map(abs, numbers)) >= 0.005, name
        if "calendar_pm2_5" in shown:
            for pollutant in BANDS:
                _assert_levels(shown[f"calendar_{pollutant}"], hourly, pollutant, lang)
            assert {row["class"] for row in shown["map"] if row[say(lang, "Station")] == 1} <= {
                say(lang, level) for level in (*LEVELS, "no reading")
            }


#: Columns of numbers that are times.
_AXES = ("observed_at", "day")


def _hourly(real: Site) -> pd.DataFrame:
    """Every reading of the raw answers that was over, with its flags."""
    rows = []
    for station in STATIONS:
        answer = json.loads((Path(real.environment["STAGING_ROOT"]).parent / f"{station}.json").read_text())
        rows += [{"station": station, **row} for row in answer["data"]]
    frame = pd.DataFrame(rows).rename(columns=KEYS)
    frame["observed_at"] = pd.to_datetime(frame.pop("timestamp"), utc=True)
    # as the pipeline: what was published when the answers were shifted, however long Superset has taken since
    end = pd.Timestamp(real.opened - timedelta(minutes=2)).floor("h")
    over = (frame["observed_at"] >= real.first) & (frame["observed_at"] < end)
    return flag_history(frame[over].reset_index(drop=True))


def _assert_levels(cells: list[dict[str, Any]], hourly: pd.DataFrame, pollutant: str, lang: str) -> None:
    """Hold the calendar's cells against each station's own days: all levels, and the worst of a day."""
    counted = hourly[hourly[f"{pollutant}_flag"].isin(COUNTED)]
    days = counted.groupby(["station", counted["observed_at"].dt.strftime("%Y-%m-%d")])[pollutant]
    mean = days.apply(_highest_of_eight_hours, counted["observed_at"]) if pollutant == "o3" else days.mean()
    doubted = (counted[f"{pollutant}_flag"] == "level").groupby([counted["station"], _day(counted)]).mean() >= 0.5
    valid = mean[(days.count() >= 18) & ~doubted.reindex(mean.index)].dropna()
    level = valid.map(lambda value: sum(value > band for band in BANDS[pollutant]))
    worst = level.groupby(level=1).max()
    shown: dict[str, int] = {}
    for cell in cells:
        day = f"{cell['month'][-7:]}-{cell['day_of_month']}"
        of_cell = sum(cell[say(lang, "Mean")] > band for band in BANDS[pollutant])
        shown[day] = max(shown.get(day, 0), of_cell)
    assert len(cells) == len(valid)
    assert shown == worst.to_dict()


def _day(frame: pd.DataFrame) -> "pd.Series[str]":
    return frame["observed_at"].dt.strftime("%Y-%m-%d")


def _highest_of_eight_hours(values: "pd.Series[float]", at: "pd.Series[Any]") -> float:
    """The highest mean of 8 hours on end that lie in the day and have 6 values or more."""
    hours = values.set_axis(at[values.index].dt.hour).reindex(range(24))
    spans = (hours[first : first + 8].dropna() for first in range(17))
    return max((span.mean() for span in spans if len(span) >= 6), default=float("nan"))
