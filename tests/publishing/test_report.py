"""The report of a month: its numbers from the answers by other means, what it says where there is none, and that it
never shows CO at the floor, or a day without a mean, as 0."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.deployment import REAL
from support.months import forecasts_of, made_up, real, stage
from support.public import STATIONS, text_of

from airqino.errors import ConfigError
from airqino.publishing import month, month_figures, month_tables, report
from airqino.publishing.month_facts import Month
from airqino.publishing.stations import Station
from airqino.publishing.words import LANGUAGES, Words
from airqino.quality.notes import Note
from airqino.stores.paths import Paths
from airqino.times import parse_month

MARCH = date(2024, 3, 1)
HOURS = 31 * 24
A, B = (station.id for station in STATIONS)
LATER = datetime(2024, 6, 1, tzinfo=UTC)


def at(raw: pd.DataFrame, station: str, first: str, hours: int = 1) -> "pd.Series[bool]":
    """The rows of some hours of a station."""
    begin = pd.Timestamp(first, tz="UTC")
    return (
        (raw["station"] == station)
        & (raw["observed_at"] >= begin)
        & (raw["observed_at"] < begin + pd.Timedelta(hours=hours))
    )


READINGS = ["co", "no2", "o3", "pm10", "pm2_5", "t", "rh", "t_int"]


def told(paths: Paths, until: datetime = LATER, stations: Sequence[Station] = STATIONS, **more) -> Month:
    return month.take(month_tables.read(paths, MARCH), stations, until, **more)


def of_answers(raw: pd.DataFrame, station: str, name: str) -> "pd.DataFrame":
    """Each day of March from the answers alone: hours with a value, those at exactly 0, and their mean."""
    rows = raw[(raw["station"] == station) & (raw["observed_at"].dt.strftime("%Y-%m") == "2024-03")]
    values = rows.set_index("observed_at")[name]
    by_day = values.groupby(values.index.date)
    return pd.DataFrame({"n": by_day.count(), "zero": by_day.apply(lambda v: (v == 0).sum()), "mean": by_day.mean()})


@pytest.fixture(scope="module")
def eventful() -> pd.DataFrame:
    """A month with something of everything."""
    raw = made_up(MARCH)
    raw.loc[at(raw, A, "2024-03-05", 48), ["pm2_5", "pm10"]] += 9.0
    raw.loc[at(raw, A, "2024-03-06", 24), ["pm2_5", "pm10"]] += 5.0
    raw.loc[at(raw, A, "2024-03-10", 7), READINGS] = np.nan  # 17 hours: not enough
    raw.loc[at(raw, A, "2024-03-12", 6), READINGS] = np.nan  # 18 hours: enough
    raw.loc[at(raw, A, "2024-03-14", 24), READINGS] = np.nan
    raw.loc[at(raw, A, "2024-03-20T11"), "pm2_5"] = 1500.0  # out of range
    raw.loc[at(raw, A, "2024-03-22", 3), READINGS] = np.nan
    raw["status"] = None
    raw.loc[at(raw, A, "2024-03-22", 3), "status"] = "failed"
    raw.loc[at(raw, B, "2024-02-01", 24 * 62), "co"] = 0.0
    raw.loc[at(raw, B, "2024-03-31", 24), "no2"] = np.nan
    return raw[~at(raw, B, "2024-03-08", 5)].reset_index(drop=True)  # never asked for


@pytest.fixture(scope="module")
def paths(eventful: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Paths:
    return stage(tmp_path_factory.mktemp("month"), eventful, MARCH, forecasts=forecasts_of(eventful, MARCH))


@pytest.fixture(scope="module")
def shown(paths: Paths) -> Month:
    return told(paths)


@pytest.fixture(scope="module")
def pages(shown: Month) -> dict[str, str]:
    return {language: report.html(shown, language) for language in LANGUAGES}


def test_days_and_means_are_those_of_the_answers(eventful: pd.DataFrame, shown: Month) -> None:
    pm = shown.stations[0].pollutants["pm2_5"]
    counted = eventful.assign(pm2_5=eventful["pm2_5"].where(eventful["pm2_5"] < 1000))
    days = of_answers(counted, A, "pm2_5")
    valid = days[days["n"] >= 18]
    assert len(pm.days) == 31
    assert pm.valid == len(valid) == 29, "one of 17 hours and an empty one are not valid, one of 18 is"
    assert pm.mean == pytest.approx(valid["mean"].mean(), abs=1e-9)
    assert pm.over == (valid["mean"] > 15).sum() == 2
    # κ-Köhler by hand: κ = 0.4, density 1.65
    wet = counted["rh"] / 100
    dry = counted.assign(pm2_5=counted["pm2_5"] / (1 + 0.4 / 1.65 * wet / (1 - wet)))
    assert pm.over_dry == (of_answers(dry, A, "pm2_5").query("n >= 18")["mean"] > 15).sum() == 1
    assert [day.day.day for day in pm.days if day.state == "incomplete"] == [10]
    assert [day.day.day for day in pm.days if day.state == "none"] == [14]
    co = shown.stations[0].pollutants["co"]
    assert co.mean == pytest.approx(of_answers(eventful, A, "co").query("n >= 18")["mean"].mean(), abs=1e-9)
    assert co.over == 0


def test_every_hour_is_counted_once_and_has_its_reason(shown: Month) -> None:
    for of in shown.stations:
        for pollution in of.pollutants.values():
            assert pollution.total == HOURS
            assert sum(part.width for part in month_figures.segments(pollution)) == pytest.approx(100)
    pm = shown.stations[0].pollutants["pm2_5"]
    assert pm.hours == {"counts": HOURS - 41, "absent": 37, "failed": 3, "out_of_range": 1}
    assert pm.left_out == {"out_of_range": 1}
    assert pm.completeness == pytest.approx((HOURS - 41) / HOURS)
    other = shown.stations[1].pollutants
    assert other["pm2_5"].hours == {"counts": HOURS - 5, "unknown": 5}
    assert other["co"].hours == {"floor": HOURS - 5, "unknown": 5}


def test_the_page_says_these_numbers_in_both_languages(pages: dict[str, str], shown: Month) -> None:
    pm = shown.stations[0].pollutants["pm2_5"]
    assert pm.mean is not None
    expected = {
        "fr": [
            "L’air à Abidjan, mars 2024",
            "Cocody 189 : 2 jours sur 29 valides au-dessus du repère OMS des PM2,5.",
            f"{pm.mean:.1f} µg/m³".replace(".", ","),
            "29 sur 31",
            "703 heures sur 744 comptent ; 1 écartée (hors échelle 1 h) ; 37 non envoyées par la station",
            "739 heures sur 744 comptent, dont 739 au plancher du capteur ; 5 jamais demandées à la source.",
            "Mesures indicatives de capteurs à bas coût, non réglementaires.",
        ],
        "en": [
            "The air in Abidjan, March 2024",
            "Cocody 189: 2 days of 29 valid ones above the WHO guideline for PM2.5.",
            f"{pm.mean:.1f} µg/m³",
            "29 of 31",
            "703 hours of 744 count; 1 left out (out of scale 1 h); 37 not sent by the station; 3 lost because",
            "739 hours of 744 count, 739 of them at the sensor’s floor; 5 never asked of the source.",
            "Indicative readings from low-cost sensors, not for regulatory use.",
        ],
    }
    for language, texts in expected.items():
        text = text_of(pages[language])
        for part in texts:
            assert part in text, part
        assert ("to date" in text or "à ce jour" in text) is False
    assert pages["fr"] == report.html(shown, "fr"), "the same facts give the same page"


def test_co_at_the_floor_is_never_a_number(pages: dict[str, str], shown: Month) -> None:
    co = shown.stations[1].pollutants["co"]
    assert (co.mean, co.valid, co.fault) == (None, 0, "at_floor")
    for language, text in (("fr", text_of(pages["fr"])), ("en", text_of(pages["en"]))):
        assert not re.search(r"\b0[.,]0+\b", text), language
        row = text[text.index("PM2,5 " if language == "fr" else "PM2.5 ") :]
        assert ("Ce capteur reste à son minimum" if language == "fr" else "This sensor stays at its minimum") in row
    assert "Cocody 188, CO : ce capteur reste à son minimum (31 jours)" in text_of(pages["fr"])
    assert "Pas jugé : Cocody 188, CO." in text_of(pages["fr"])


def test_a_mean_of_co_that_rounds_to_nothing_is_less_than_the_smallest() -> None:
    words = Words("en", "UTC")
    assert month_figures.amount(0.004, "co", words) == "less than 0.01\u00a0mg/m³"
    assert month_figures.amount(0.006, "co", words) == "0.01\u00a0mg/m³"
    assert month_figures.short(0.0, "co", Words("fr", "UTC")) == "<0,01"


def test_days_without_a_mean_are_hatched_and_no_bars(pages: dict[str, str]) -> None:
    charts = re.findall(r"<svg class=\"c\" viewBox=\"0 0 720 (?!18\")\d+\".*?</svg>", pages["fr"], re.DOTALL)
    bars = [(len(re.findall('<rect class="bar', c)), len(re.findall('<rect class="x"', c))) for c in charts]
    assert bars == [(29, 2), (31, 0), (29, 2)], "PM2.5 of both, and CO of the one that has any"
    heights = [float(h) for c in charts for h in re.findall(r'class="bar[^>]*height="([\d.]+)"', c)]
    assert min(heights) > 1
    over = re.findall(r'class="bar l3"', charts[0])
    assert len(over) == 2


def test_a_bar_is_as_high_as_its_mean(shown: Month) -> None:
    pm = shown.stations[0].pollutants["pm2_5"]
    figure = month_figures.figure(pm, 40.0, 31, Words("en", "UTC"))
    for column, day in zip(figure.columns, pm.days, strict=True):
        assert column.height == (None if day.mean is None else pytest.approx(day.mean / 40 * 100))
        assert column.left == pytest.approx((day.day.day - 1) / 31 * 100)
    assert [(line.text, line.height) for line in figure.lines if line.guideline] == [("15", 37.5)]


def test_scores_are_those_of_all_hours_together(eventful: pd.DataFrame, shown: Month) -> None:
    """By the errors of each forecast of the month, not by the days' means."""
    forecasts = forecasts_of(eventful, MARCH)
    measured = eventful[["station", "observed_at", "pm2_5"]].rename(columns={"observed_at": "target_at"})
    measured = measured[measured["pm2_5"] < 1000]
    for horizon in (1, 2):
        own = forecasts[(forecasts["pollutant"] == "pm2_5") & (forecasts["horizon_h"] == horizon)]
        own = own[(own["station"] == A) & (own["method"] != "none")].merge(measured, on=["station", "target_at"])
        own = own[own["target_at"].dt.strftime("%Y-%m") == "2024-03"].dropna(subset=["pm2_5", "p50"])
        (score,) = [s for s in shown.stations[0].scores if (s.pollutant, s.horizon) == ("pm2_5", horizon)]
        assert score.n == len(own) > 600
        assert score.mae == pytest.approx((own["p50"] - own["pm2_5"]).abs().mean())
        reference = (own["last_value"] - own["pm2_5"]).abs().mean()
        assert score.skill == pytest.approx(1 - score.mae / reference)
        assert score.coverage == pytest.approx(own["pm2_5"].between(own["p10"], own["p90"]).mean())
        assert score.modelled == 0


def test_skill_is_told_in_percent_of_no_change(shown: Month) -> None:
    first = shown.stations[0]
    scores = tuple(replace(score, skill=-0.034, modelled=1.0, coverage=0.996) for score in first.scores)
    text = text_of(report.html(replace(shown, stations=(replace(first, scores=scores),)), "en"))
    assert "−3%" in text
    assert "99%" in text, "not all hours"
    assert "no change” is the forecast itself" not in text
    assert "no change” is the forecast itself" in text_of(report.html(shown, "en"))


def test_sensors_to_service_are_named_and_past_faults_apart(tmp_path: Path) -> None:
    raw = made_up(MARCH)
    raw.loc[at(raw, A, "2024-03-10", 24 * 6), "o3"] = 31.0  # stuck or dead for days, then well again
    raw.loc[at(raw, A, "2024-03-25", 24 * 8), "no2"] = 17.0
    raw.loc[at(raw, A, "2024-02-01", 24 * 61), "rh"] = np.nan
    raw.loc[at(raw, B, "2024-03-29T06", 24 * 5), READINGS] = np.nan
    shown = told(stage(tmp_path, raw, MARCH))
    faults = {of.reading: of for of in shown.stations[0].faults}
    assert {name: of.lasts for name, of in faults.items()} == {"no2": True, "rh": True, "o3": False}
    assert faults["rh"].why == "no_value"
    assert faults["no2"].why in ("dead", "stuck")
    assert 6 <= faults["o3"].days <= 7, "the verdict of a dead sensor lasts into the next day"
    assert shown.stations[1].silent_since == datetime(2024, 3, 29, 6, tzinfo=UTC)
    text = text_of(report.html(shown, "en"))
    now, _, before = text.partition("At fault earlier in the month")
    assert "Cocody 189, NO2: this sensor" in now
    assert "Cocody 189, humidity: this sensor gave no value in the month" in now
    assert "Cocody 188: sent nothing more in this month from 29 March, 06:00 on" in now
    assert "Cocody 189, O3: this sensor" in before


def note(id: str, kind: str, **more) -> Note:
    noted_at = datetime.fromisoformat(f"{id[:10]}T09:00+00:00")
    return Note(**{"id": id, "kind": kind, "station": A, "who": "An", "why": "wasps", "noted_at": noted_at} | more)


def test_revisions_and_notes_of_the_month_are_told(tmp_path: Path) -> None:
    hours = [datetime(2024, 3, 2, h, tzinfo=UTC) for h in range(12)]
    span = {"first": hours[0], "last": hours[3]}
    notes = [
        note("2024-03-20-1", "invalidate", reading="pm2_5", **span),
        note("2024-03-20-2", "comment", first=datetime(2024, 2, 2, tzinfo=UTC), last=datetime(2024, 2, 3, tzinfo=UTC)),
        note("2024-03-21-1", "comment", why="<b>cleaned</b>", **span),
        note("2024-03-21-2", "comment", why="said in error", **span),
        note("2024-03-22-1", "revoke", revokes="2024-03-21-2"),
    ]
    rows = [{"station": A, "observed_at": h, "reading": "co", "old": 0.4, "new": 0.0} for h in hours[:3]]
    rows += [{"station": A, "observed_at": hours[0], "reading": "pm2_5", "old": 8.0, "new": None}]
    rows += [
        {"station": A, "observed_at": datetime(2024, 2, 29, 23, tzinfo=UTC), "reading": "co", "old": 1, "new": 0.0}
    ]
    seen = pd.DataFrame(rows).assign(seen_at=datetime(2024, 4, 9, 11, tzinfo=UTC))
    shown = told(stage(tmp_path, made_up(MARCH), MARCH, notes=notes, revisions=seen))
    assert [(of.reading, of.n) for of in shown.stations[0].revised] == [("co", 3), ("pm2_5", 1)]
    assert [of.id for of in shown.notes] == ["2024-03-21-1", "2024-03-20-1"]
    assert shown.stations[0].pollutants["pm2_5"].left_out == {"invalidated": 4}
    html = report.html(shown, "en")
    text = text_of(html)
    assert "Cocody 189: 4 values of the month corrected by the source (CO 3, PM2.5 1), the last on 9 April 2024" in text
    assert "<b>cleaned</b>" in text
    assert "<b>cleaned" not in html
    assert "4 left out (taken back by the operator 4 h)" in text
    assert "said in error" not in text


def test_a_month_under_way_is_told_to_date(eventful: pd.DataFrame, paths: Paths) -> None:
    shown = told(paths, until=datetime(2024, 3, 13, 9, tzinfo=UTC))
    pm = shown.stations[0].pollutants["pm2_5"]
    days = of_answers(eventful, A, "pm2_5").iloc[:12].query("n >= 18")
    assert (shown.under_way, shown.last) == (True, date(2024, 3, 12))
    assert (pm.valid, len(pm.days), pm.total) == (len(days), 12, 12 * 24)
    assert pm.mean == pytest.approx(days["mean"].mean())
    assert max(s.n for s in shown.stations[0].scores) <= 12 * 24
    html = report.html(shown, "fr")
    assert "chiffres à ce jour, jusqu’au 12 mars 2024 compris" in text_of(html)
    assert "to date, up to and including 12 March 2024" in text_of(report.html(shown, "en"))
    assert html.count('class="bar') == 11 + 12 + 11


@pytest.mark.parametrize(("until", "under_way"), [("2024-03-31T22", True), ("2024-03-31T23", False)])
def test_a_month_is_over_with_its_last_hour(paths: Paths, until: str, under_way: bool) -> None:
    assert told(paths, until=datetime.fromisoformat(f"{until}:00+00:00")).under_way is under_way


def test_no_day_over_is_an_error_that_names_the_month(paths: Paths) -> None:
    with pytest.raises(ConfigError, match=r"2024-03.*no day of the month is over"):
        told(paths, until=datetime(2024, 3, 1, 22, tzinfo=UTC))


def test_a_month_without_data_is_an_error_that_names_it(tmp_path: Path, paths: Paths) -> None:
    for root, text in ((tmp_path / "nothing", "2024-03"), (paths.root, "2023-07")):
        with pytest.raises(ConfigError, match=f"no reading of {text}.*scripts/backfill {text} fetches it"):
            month_tables.read(Paths(root), parse_month(text))
    with pytest.raises(ConfigError, match="2024-03: none of the stations 77 has a reading"):
        told(paths, stations=[Station("77")])


@pytest.mark.parametrize("text", ["2024", "2024-13", "2024-00", "2024-3", "24-03", "2024-03-01", "märz", "0000-01", ""])
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no month: write it as 2024-03"):
        parse_month(text)


def test_a_station_that_sent_nothing_is_told_as_such(tmp_path: Path) -> None:
    raw = made_up(MARCH)
    raw.loc[raw["station"] == B, READINGS] = np.nan
    shown = told(stage(tmp_path, raw, MARCH))
    assert shown.stations[1].pollutants["pm2_5"].hours == {"absent": HOURS}
    text = text_of(report.html(shown, "en"))
    assert "Cocody 188: no valid day for PM2.5." in text
    assert "Cocody 188: sent nothing in all of the month" in text


def test_days_are_the_stations_own_also_when_clocks_change(tmp_path: Path) -> None:
    """In Paris the last Sunday of March has 23 hours; its March begins at 23:00 UTC the day before."""
    raw = made_up(MARCH)
    raw.loc[at(raw, A, "2024-02-29T23"), ["pm2_5", "pm10"]] += 40
    stations = (replace(STATIONS[0], time_zone="Europe/Paris"), STATIONS[1])
    shown = told(stage(tmp_path, raw, MARCH, zones={A: "Europe/Paris"}), stations=stations)
    assert shown.stations[0].pollutants["co"].hours == {"counts": HOURS - 1}
    first = raw.loc[at(raw, A, "2024-02-29T23", 24), "co"]
    assert shown.stations[0].pollutants["co"].days[0].mean == pytest.approx(first.mean())


def test_only_the_time_in_service_counts(paths: Paths) -> None:
    service = {A: (datetime(2024, 3, 15, tzinfo=UTC), None), B: (None, datetime(2024, 2, 1, tzinfo=UTC))}
    shown = told(paths, service=service)
    (only,) = shown.stations
    assert (only.station.id, only.pollutants["pm2_5"].total) == (A, 17 * 24)


def test_hostile_names_are_only_text(shown: Month) -> None:
    evil = "<script>alert(1)</script>"
    stations = tuple(replace(of, label=evil, station=Station(of.station.id, evil, evil)) for of in shown.stations)
    html = report.html(replace(shown, stations=stations), "fr", city='"><img src=x onerror=alert(1)>')
    assert "<script" not in html
    assert "<img" not in html
    assert text_of(html).count(evil) >= 4


@pytest.mark.parametrize(("days", "enough"), [(24, True), (23, False)])
def test_a_mean_of_few_days_does_not_stand_for_the_month(tmp_path: Path, days: int, enough: bool) -> None:
    """75 % of 31 days are 23.25."""
    raw = made_up(MARCH)
    raw.loc[at(raw, A, "2024-03-01", 24 * (31 - days)), "pm2_5"] = np.nan
    shown = told(stage(tmp_path, raw, MARCH))
    assert shown.stations[0].pollutants["pm2_5"].valid == days
    text = text_of(report.html(shown, "en"))
    assert ("only 23 days: does not stand for the whole month" in text) is not enough
    assert f"{days} of 31" in text


def test_of_many_stations_the_first_lines_say_how_many_and_the_worst(shown: Month) -> None:
    bad, good = shown.stations
    many = replace(shown, stations=(bad, *(replace(good, label=f"Lieu {n}") for n in range(5))))
    text = text_of(report.html(many, "en"))
    assert "1 station of 6 passed the WHO guideline (PM2.5, 15 µg/m³ over 24 h) on a day at least." in text
    assert "Cocody 189: 2 days of 29 valid ones" in text
    assert text.count("Lieu 4") >= 3, "all are in the tables"


def test_without_a_city_the_title_has_none(shown: Month) -> None:
    assert "<h1>Qualité de l’air, mars 2024</h1>" in report.html(shown, "fr", city="")


@pytest.mark.skipif(not REAL.exists(), reason="the real responses lie beside the repository, not in it")
@pytest.mark.parametrize("text", ["2024-03", "2023-12"])
def test_the_numbers_of_a_real_month_are_those_of_the_json(tmp_path: Path, text: str) -> None:
    first = parse_month(text)
    raw = real(first)
    shown = month.take(month_tables.read(stage(tmp_path, raw, first), first), STATIONS, LATER)
    for of in shown.stations:
        own = raw[(raw["station"] == of.station.id) & (raw["observed_at"].dt.strftime("%Y-%m") == text)]
        pm = of.pollutants["pm2_5"]
        values = own.set_index("observed_at")["pm2_5"]
        days = values.groupby(values.index.date).agg(["count", "mean"])
        valid = days[days["count"] >= 18]
        left_out = sum(pm.left_out.values())
        assert left_out <= 3, "real, but few"
        assert pm.counting == values.count() - left_out
        assert pm.valid == len(valid)
        assert pm.over == (valid["mean"] > 15).sum()
        assert pm.mean == pytest.approx(valid["mean"].mean(), abs=0.02)
        co = own.set_index("observed_at")["co"]
        by_day = co.groupby(co.index.date)
        clear = (by_day.count() >= 18) & (2 * by_day.apply(lambda v: (v == 0).sum()) < by_day.count())
        assert of.pollutants["co"].valid == clear.sum()
        # a sensor at its floor for days is so in the few hours too that read a little more
        assert 0 <= of.pollutants["co"].hours.get("floor", 0) - (co == 0).sum() <= 10
    html = report.html(shown, "fr")
    assert not re.search(r"\b0,0+\b", text_of(html))
