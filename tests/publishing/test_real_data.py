"""The page of an hour of real answers: one station over the guideline, gaps, and CO at the floor in two ways."""

import json
import re

import pandas as pd
import pytest
from support.deployment import REAL
from support.public import HOUR, MAPPED, STATIONS, staged, text_of

from airqino.publishing import publish, snapshot
from airqino.readings import READINGS

pytestmark = pytest.mark.skipif(not REAL.exists(), reason="the real responses lie beside the repository, not in it")


def answers() -> dict[str, pd.DataFrame]:
    """Each station's rows up to the hour, newer answers over older ones, by hour."""
    found = {}
    for station in STATIONS:
        files = [*sorted(REAL.glob(f"{station.id}.as-of-*.json")), REAL / f"{station.id}.json"]
        rows = pd.concat([pd.DataFrame(json.loads(file.read_text())["data"]).set_index("timestamp") for file in files])
        rows = rows[~rows.index.duplicated(keep="last")]
        rows.index = pd.DatetimeIndex(pd.to_datetime(rows.index, utc=True)).as_unit("us")
        found[station.id] = rows.sort_index().loc[: pd.Timestamp(HOUR)]
    return found


def test_the_page_has_the_numbers_of_the_json() -> None:
    rows = answers()
    names = {of.key: of.name for of in READINGS}
    raw = [
        of.asfreq("h").rename(columns=names).rename_axis("observed_at").assign(station=id) for id, of in rows.items()
    ]
    made = pd.concat([of.reset_index() for of in raw], ignore_index=True)[["station", "observed_at", *names.values()]]
    tables = staged(made, {station.id: station.time_zone for station in STATIONS}, HOUR)
    html = dict(publish.public_files(snapshot.take(tables, STATIONS, HOUR), MAPPED))["index.html"]
    text = text_of(html)
    assert len(html.encode()) <= 61_440
    assert "À 13 h : air dégradé à Cocody 189, moyen à Cocody 188." in text
    year = pd.Timestamp(HOUR).floor("D") - pd.Timedelta(days=365)
    for station in STATIONS:
        pm = rows[station.id]["PM2.5"].dropna()
        assert f"{pm.iloc[-1]:.1f}".replace(".", ",") + " µg/m³ de particules fines" in text
        recent = pm.loc[pd.Timestamp(HOUR) - pd.Timedelta(hours=47) :]
        low, high = (f"{value:.1f}".replace(".", ",") for value in (recent.min(), recent.max()))
        assert f"De {low} à {high} µg/m³ ; {len(recent)} heures mesurées sur 48." in text
        days = pm.loc[year : pd.Timestamp(HOUR).floor("D") - pd.Timedelta(hours=1)].groupby(lambda at: at.date())
        means = days.mean()[days.count() >= 18]
        # what fails a test does not count, so that a few days may be on the other side
        near = [
            abs(int(over) - (means > 15).sum()) + abs(int(n) - len(means))
            for over, n in re.findall(r"(\d+) jours / (\d+)", text)
        ]
        assert min(near) <= 4
    assert "mg/m³" not in text
    assert "Pas d’information : ce capteur reste à son minimum, à vérifier" in text
    assert "Capteurs à vérifier. Cocody 188, CO : ce capteur reste à son minimum." in text
