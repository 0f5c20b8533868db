"""The pages: the numbers of the answers in both languages, what each state says, and what no page may hold."""

import json
import re
import tomllib
from dataclasses import replace
from datetime import date, timedelta
from importlib import resources
from pathlib import Path

import pandas as pd
import pytest
from support.public import BAD, GOOD, HOUR, MAPPED, STATIONS, cut, many, tables_of, text_of

from airqino.publishing import publish, snapshot
from airqino.publishing.facts import Snapshot
from airqino.publishing.page import Site
from airqino.publishing.parts import whole_mean
from airqino.publishing.stations import Station
from airqino.publishing.tables import Tables
from airqino.publishing.words import LANGUAGES, Words
from airqino.quality.notes import Note
from airqino.readings import INDEX_LEVELS, reading

AT = pd.Timestamp(HOUR)
#: Bytes that a page of two stations may have, style sheet and script included.
BUDGET = 61_440


def pages(made: Tables, stations=STATIONS, site: Site = MAPPED) -> dict[str, str]:
    return dict(publish.public_files(snapshot.take(made, stations, HOUR), site))


def test_the_words_of_both_languages_have_the_same_keys_and_gaps() -> None:
    def leaves(table: object, way: str = "") -> dict[str, object]:
        if isinstance(table, dict):
            return {k: v for name, of in table.items() for k, v in leaves(of, f"{way}.{name}").items()}
        return {way: table}

    def read(language: str) -> dict[str, object]:
        file = resources.files("airqino.publishing").joinpath("words", f"{language}.toml")
        return leaves(tomllib.loads(file.read_text(encoding="utf-8")))

    french, english = (read(language) for language in LANGUAGES)
    assert french.keys() == english.keys()
    for key, text in french.items():
        gaps = [set(re.findall(r"\{(\w+)\}", f"{of}")) - {"city", "of_city"} for of in (text, english[key])]
        assert gaps[0] == gaps[1], key
    assert Words("en", "UTC").levels[1:] == INDEX_LEVELS


def test_the_page_has_the_numbers_of_the_answers(files: dict[str, str], made: tuple[Tables, pd.DataFrame]) -> None:
    for language, file in (("fr", "index.html"), ("en", "en/index.html")):
        text, words = text_of(files[file]), Words(language, "Africa/Abidjan")
        for station in STATIONS:
            values = made[1][made[1]["station"] == station.id].set_index("observed_at")["pm2_5"]
            recent = values.loc[AT - pd.Timedelta(hours=47) :]
            assert f"{words.number(values.iloc[-1])} µg/m³" in text
            for value in (recent.min(), recent.max()):
                assert words.number(value) in text
            by_day = values.groupby(values.index.date)
            means = by_day.mean()[by_day.count() >= 18].drop(HOUR.date(), errors="ignore")
            over = f"{(means > 15).sum()} {'jours' if language == 'fr' else 'days'} / "
            assert over in text
        assert "Cocody 189" in text
    assert "À 13 h : air dégradé à Cocody 189, moyen à Cocody 188." in text_of(files["index.html"])
    assert "At 13:00: moderate air at Cocody 189, fair air at Cocody 188." in text_of(files["en/index.html"])


def test_both_languages_say_the_same_numbers(files: dict[str, str]) -> None:
    """But for clocks, dates and levels, each number of one page stands on the other."""
    french, english = (text_of(files[file]) for file in ("index.html", "en/index.html"))
    told = [re.sub(r"PM2[.,]5", "", text) for text in (french, english)]
    amounts = [sorted(re.findall(r"(\d+[.,]\d) ?(?:µg/m³|, )", text)) for text in told]
    assert sorted(number.replace(",", ".") for number in amounts[0]) == amounts[1]
    assert len(amounts[0]) > 100
    cells = [re.findall(r"<td class=l\d>(.*?)<t", files[file]) for file in ("index.html", "en/index.html")]
    assert cells[0] == cells[1] != []
    bars = [re.findall(r"<i class=l\d style=height:\d+%>", files[file]) for file in ("index.html", "en/index.html")]
    assert bars[0] == bars[1] != []


def test_the_calendar_has_each_days_mean_and_no_number_where_there_is_none(
    files: dict[str, str], shown: Snapshot
) -> None:
    cells = re.findall(r"<td class=(l\d|x)>(.*?)(?=<t[dr]|</table)", files["index.html"])
    wanted = [day for of in shown.stations for day in of.year.days]
    assert len(cells) == len(wanted)
    for (kind, text), day in zip(cells, wanted, strict=True):
        plain = re.sub("<.*?>", "", text).replace("&gt;", ">")
        if day.mean is None:
            assert (kind, plain in ("–", "?", "")) == ("x", True)
        else:
            assert (kind, plain) == (f"l{day.level}", whole_mean(day.mean))
            if (day.level, plain[0]) != (day.level, ">"):
                assert int(plain) == int(day.mean + 0.5)


@pytest.mark.parametrize(
    ("mean", "text"), [(15.0, "15"), (15.2, ">15"), (15.5, "16"), (4.6, "5"), (5.04, ">5"), (0.4, "0"), (140.3, ">140")]
)
def test_a_daily_mean_never_seems_to_lie_below_its_level(mean: float, text: str) -> None:
    assert whole_mean(mean) == text


def test_bytes_and_requests(files: dict[str, str]) -> None:
    """Nothing is loaded from anywhere: only links lead away, and what a page names beside it is there or is data."""
    for file in ("index.html", "en/index.html"):
        html = files[file]
        assert len(html.encode()) <= BUDGET
        assert re.findall(r"<(?:link|script|img|iframe|object|embed|source)[^>]*(?:src|href)=\"https?:", html) == []
        assert re.findall(r"@import|url\(", html) == []
        assert not re.search(r"(?:src|srcset|poster|action)=", html)
        outside = {re.match(r"https?://([^/]+)", href)[1] for href in re.findall(r'href="(http[^"]+)"', html)}
        assert outside == {"airindex.eea.europa.eu", "sante.gouv.fr", "www.who.int"}
        folder = Path(file).parent
        for href in re.findall(r'href="(?!http|#|data:)([^"]+)"', html):
            assert "data/" in href or str(Path("/" + str(folder / href)).resolve()).lstrip("/") in files


def test_a_whole_year_of_two_stations_fits_the_budget() -> None:
    """With all that a page may say: every day measured, forecasts of each horizon, chances, notes."""
    made, _ = tables_of(days=400)
    more = [
        made.forecasts[made.forecasts["horizon_h"] == 1].assign(
            horizon_h=hours, target_at=lambda rows, hours=hours: rows["issued_at"] + pd.Timedelta(hours=hours)
        )
        for hours in (3, 6, 9, 12)
    ]
    rows = pd.concat([made.forecasts, *more], ignore_index=True)
    rows.loc[rows["pollutant"] == "pm2_5", ["day", "day_exceedance"]] = [f"{HOUR.date()}", 0.44]
    html = pages(replace(made, forecasts=rows))["index.html"]
    assert "Une année d’air" in html
    assert "4 chances sur 10 que le repère OMS soit dépassé" in text_of(html)
    assert "Plus tard" in html
    assert len(html.encode()) <= BUDGET


@pytest.mark.parametrize(
    ("chance", "text"),
    [(0.0, "Moins d’une chance sur 10"), (0.049, "Moins d’une chance"), (0.05, "1 chance sur 10"), (0.26, "3 chances"),
     (0.94, "9 chances sur 10"), (0.96, "Plus de 9 chances sur 10"), (1.0, "Plus de 9 chances")],
)  # fmt: skip
def test_a_chance_is_told_in_tenths(made: tuple[Tables, pd.DataFrame], chance: float, text: str) -> None:
    rows = made[0].forecasts.assign(day=f"{HOUR.date()}", day_exceedance=chance)
    html = pages(replace(made[0], forecasts=rows))["index.html"]
    assert f"Aujourd’hui {text}" in text_of(html)
    assert html.count("<i class=y>") == 2 * int(chance * 10 + 0.5)


def card(html: str, label: str) -> str:
    (found,) = re.findall(rf"<article[^>]*><h3>{label}</h3>.*?</article>", html, re.DOTALL)
    return found


def test_a_silent_station_is_grey_and_has_no_forecast() -> None:
    html = pages(tables_of(edit=cut(2, BAD))[0])["index.html"]
    silent = card(html, "Cocody 189")
    assert 'class="card l0"' in silent
    assert "Pas de mesure récente" in text_of(silent)
    assert "Sans mesure, pas de prévision." in text_of(silent)
    assert not re.search(r"chance|8 fois sur 10|l[1-6]\b", silent)
    assert "air moyen à Cocody 188, non mesuré à Cocody 189." in text_of(html)
    assert "Cocody 189<br>non mesuré" in html


def test_when_all_are_silent_the_page_says_so_and_gives_no_advice() -> None:
    files = pages(tables_of(edit=cut(2, BAD, GOOD))[0])
    text = text_of(files["index.html"])
    assert "Pas de mesure récente à Abidjan." in text
    assert "Que faire ?" not in text
    assert "No recent reading in Abidjan." in text_of(files["en/index.html"])


def test_why_there_is_no_forecast(made: tuple[Tables, pd.DataFrame]) -> None:
    text = text_of(pages(replace(made[0], forecasts=pd.DataFrame()))["index.html"])
    assert "Pas de prévision Pas encore calculée" in text
    assert "8 fois sur 10, de" not in text


def test_co_at_its_floor_is_named_and_never_a_number(files: dict[str, str]) -> None:
    text = text_of(files["index.html"])
    assert "Pas d’information : ce capteur reste à son minimum, à vérifier" in text
    assert "Trop bas pour être mesuré par ce capteur" in text
    assert "Capteurs à vérifier. Cocody 188, CO : ce capteur reste à son minimum. Rien n’en est publié." in text
    assert not re.search(r"\b0,0\d? mg", text)
    assert "mg/m³" not in text


def test_a_dead_sensor_is_named_and_drawn_nowhere() -> None:
    def dead(raw: pd.DataFrame) -> None:
        raw.loc[(raw["station"] == BAD) & (raw["observed_at"] > AT - pd.Timedelta(days=20)), "pm2_5"] = 0.0

    html = pages(tables_of(edit=dead)[0])["index.html"]
    text = text_of(html)
    assert "Capteur à vérifier" in text_of(card(html, "Cocody 189"))
    assert "Cocody 189, PM2,5 : ce capteur ne varie plus" in text
    chart = html.split("<h3>Cocody 189</h3>")[2].split("</figure>")[0]
    assert chart.count("<i class=g>") == 48
    assert "style=height" not in chart
    assert "Aucune heure mesurée sur 48." in text
    assert "height:0%" not in html
    february = html.split("<caption>Février 2024")[2].split("</table>")[0]
    assert {*re.findall(r"<td class=(\w+)", february)[-14:]} == {"x"}


def test_very_bad_air_has_its_advice_and_its_scale(made: tuple[Tables, pd.DataFrame]) -> None:
    hourly = made[0].hourly.copy()
    late = (hourly["station"] == BAD) & (hourly["observed_at"] > AT - pd.Timedelta(hours=6))
    hourly.loc[late, "pm2_5"] = 128.4
    html = pages(replace(made[0], hourly=hourly))["index.html"]
    text = text_of(html)
    assert "air très mauvais à Cocody 189" in text
    assert "Conseils pour un air très mauvais" in text
    assert "Limiter les sorties ; éviter les grands axes." in text
    assert re.findall(r'<div class="gr(?: who)?"[^>]*><span>(\d+)', html)[:4] == ["15", "0", "50", "90"]


def test_no_summary_shows_a_level_below_its_worst_station(shown: Snapshot, files: dict[str, str]) -> None:
    worst = shown.stations[0]
    assert worst.level == max(of.level for of in shown.stations) == shown.worst
    for file, language in (("index.html", "fr"), ("en/index.html", "en")):
        word = Words(language, "UTC").levels[worst.level]
        html = files[file]
        assert re.findall(r'<u class="l(\d)">', html)[0] == f"{worst.level}"
        assert f" – {word}, " in re.findall("<title>(.*?)</title>", html)[0]
        assert word in re.findall(r'<p class="lead">(.*?)</p><table class="adv">', html)[0]


def test_twenty_stations_are_counted_the_worst_shown_and_each_has_its_page() -> None:
    stations, made = many(20)
    files = pages(made, stations)
    for folder, language in (("", "fr"), ("en/", "en")):
        html = files[f"{folder}index.html"]
        shown = snapshot.take(made, stations, HOUR)
        levels = [of.level for of in shown.stations]
        worst = Words(language, "UTC").levels[levels[0]]
        counts = re.findall(r'<u class="l(\d)">[^<]*</u>[^<\d]*(\d+)', html)
        assert counts == [(f"{level}", f"{levels.count(level)}") for level in sorted({*levels}, reverse=True)]
        assert worst in text_of(html).split("Indicative" if language == "en" else "Mesures indicatives")[0]
        assert re.findall(r'<h3><a href="stations/(\d+).html">', html) == [of.station.id for of in shown.stations[:10]]
        listed = html.split('<ul class="all">')[1].split("</ul>")[0]
        assert re.findall(r'href="stations/(\d+).html"', listed) == [of.station.id for of in shown.stations]
        assert 'class="cal"' not in html
        assert 'class="ba"' not in html
        page = files[f"{folder}stations/900.html"]
        assert 'class="cal"' in page
        assert 'class="ba"' in page
        assert len(html.encode()) <= BUDGET
        assert len(page.encode()) <= BUDGET
        for href in re.findall(r'href="(?!http|#|data:)([^"]+)"', page):
            way = str(Path(f"/{folder}stations/{href}").resolve()).lstrip("/")
            assert "data/" in href or way in files, href


def test_ten_stations_need_no_pages_of_their_own() -> None:
    stations, made = many(10)
    assert not [name for name in pages(made, stations) if "stations/" in name]


HOSTILE = "<script>alert(1)</script> {{ 7*7 }} {0} \"'&\x00\u202e"


def test_a_hostile_name_is_only_text(made: tuple[Tables, pd.DataFrame]) -> None:
    stations = (replace(STATIONS[0], name=HOSTILE, place=""), replace(STATIONS[1], place=HOSTILE))
    for name, text in pages(made[0], stations, replace(MAPPED, city="</title><b>", url="https://air.example/")).items():
        if not name.endswith(".json"):
            assert "<script>alert" not in text
            assert "</title><b>" not in text
            assert "49" not in re.findall(r"&lt;script&gt;alert\(1\)&lt;/script&gt; (\S+)", text)
        assert "\x00" not in text
        assert "\u202e" not in text
    told = json.loads(pages(made[0], stations)["now.json"])
    assert told["stations"][0]["device"].startswith("<script>")


def test_the_operators_words_are_told_as_they_are(made: tuple[Tables, pd.DataFrame]) -> None:
    note = Note(
        **{"id": "2024-02-22-1", "kind": "invalidate", "station": BAD, "who": "x", "why": "<b>poussière</b> & sable"},
        **{"noted_at": AT.to_pydatetime(), "reading": "pm2_5", "first": HOUR - timedelta(hours=5), "last": HOUR},
    )
    html = pages(replace(made[0], notes=(note,)))["index.html"]
    assert "&lt;b&gt;poussière&lt;/b&gt; &amp; sable" in html
    wanted = "22 février 2024 : mesures retirées (erratum), Cocody 189, PM2,5, du 22 février, 7 h au 22 février, 13 h."
    assert wanted in text_of(html)


def test_of_many_notes_the_newest_are_told_and_the_others_counted(made: tuple[Tables, pd.DataFrame]) -> None:
    notes = tuple(
        Note(
            **{"id": f"2024-02-22-{i}", "kind": "comment", "station": BAD, "who": "x", "why": f"note {i}."},
            **{"noted_at": AT.to_pydatetime(), "first": HOUR, "last": HOUR},
        )
        for i in range(1, 9)
    )
    text = text_of(pages(replace(made[0], notes=notes))["en/index.html"])
    assert re.findall(r"note (\d)\.", text) == ["8", "7", "6", "5", "4"]
    assert "And 3 more of the last 30 days." in text


def test_now_json_says_what_the_page_says(files: dict[str, str], shown: Snapshot) -> None:
    told = json.loads(files["now.json"])
    assert (told["version"], told["hour"], told["hour_end"]) == (1, "2024-02-22T12:00:00Z", "2024-02-22T13:00:00Z")
    assert told["index"]["bands"] == list(reading("pm2_5").index_bands)
    assert told["guideline"] == {"source": "WHO 2021", "day": 15.0, "year": 5.0}
    for of, station in zip(shown.stations, told["stations"], strict=True):
        assert station["pm2_5"] == pytest.approx(of.now.value, abs=0.001)
        assert INDEX_LEVELS[station["level"] - 1] == station["level_name"]
        assert station["level"] == of.level
        assert len(station["forecasts"]) == len(of.ahead)
    assert [station["co"]["value"] for station in told["stations"]] == [None, None]


def test_what_is_written_is_all_of_it_and_nothing_else(files: dict[str, str], shown: Snapshot, tmp_path: Path) -> None:
    publish.write(tmp_path, shown, MAPPED)
    there = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert there == files


def test_hours_and_dates_in_other_zones() -> None:
    kathmandu = Words("fr", "Asia/Kathmandu")
    assert kathmandu.hours(HOUR).replace("\u2060", "").replace("\u00a0", " ") == "17 h 45–18 h 45"
    assert kathmandu.offset(HOUR) == "GMT+5:45"
    assert Words("en", "America/New_York").offset(HOUR) == "GMT-5"
    midnight = HOUR.replace(hour=23)
    assert Words("fr", "UTC").hours(midnight).replace("\u2060", "").replace("\u00a0", " ") == "23–24 h"
    assert Words("en", "UTC").hours(midnight).replace("\u2060", "") == "23:00–24:00"
    assert Words("fr", "UTC").date(date(2024, 3, 1)).replace("\u00a0", " ") == "vendredi 1er mars 2024"


def test_the_first_line_names_the_hour_of_the_data_not_of_the_run() -> None:
    """With the source away, a page that is written each hour must get old all the same."""
    made, _ = tables_of(edit=cut(30, BAD, GOOD))
    html = pages(made)["index.html"]
    assert "Mesures du mercredi 21 février 2024, 6–7 h." in text_of(html)
    assert 'Date.parse("2024-02-21T07:00Z")' in html
    one, _ = tables_of(edit=cut(30, BAD))
    assert 'Date.parse("2024-02-22T13:00Z")' in pages(one)["index.html"]


@pytest.mark.parametrize(
    ("status", "hours", "told"),
    [
        ("failed", 1, "la station n’y est peut-être pour rien"),
        ("absent", 1, "Pas de mesure reçue pour cette heure."),
        ("absent", 2, "Pas de mesure reçue pour cette heure."),
        ("absent", 3, "Cette station n’envoie plus de mesures."),
        ("failed", 30, "la station n’y est peut-être pour rien"),
    ],
)
def test_whose_fault_a_missing_hour_is(status: str, hours: int, told: str) -> None:
    made, _ = tables_of(edit=cut(hours, BAD))
    last = made.hourly["observed_at"] > pd.Timestamp(HOUR) - pd.Timedelta(hours=hours)
    hourly = made.hourly.assign(status=made.hourly["status"].mask(last & (made.hourly["station"] == BAD), status))
    text = text_of(pages(replace(made, hourly=hourly))["index.html"])
    notes = ("la station n’y est peut-être pour rien", "Pas de mesure reçue", "Cette station n’envoie plus")
    assert [note for note in notes if note in text] == [note for note in notes if note in told]


def test_an_hour_nobody_asked_for_is_not_the_stations_fault(made: tuple[Tables, pd.DataFrame]) -> None:
    hourly = made[0].hourly[made[0].hourly["observed_at"] < pd.Timestamp(HOUR)]
    text = text_of(pages(replace(made[0], hourly=hourly))["en/index.html"])
    assert text.count("We could not read this hour at the source of the readings") == 2


def test_a_restored_reading_of_co_at_the_floor_is_no_measurement(made: tuple[Tables, pd.DataFrame]) -> None:
    hourly, last = made[0].hourly.copy(), made[0].hourly["observed_at"] == pd.Timestamp(HOUR)
    hourly["co_raw"] = hourly["co"]
    hourly.loc[last, ["co", "co_raw", "co_flag"]] = [0.32, 0.0, "restored"]
    for of in snapshot.take(replace(made[0], hourly=hourly), STATIONS, HOUR).stations:
        assert (of.co.state, of.co.value) == ("low", None)
    hourly.loc[last, "co_raw"] = 0.3
    for of in snapshot.take(replace(made[0], hourly=hourly), STATIONS, HOUR).stations:
        assert (of.co.state, of.co.value) == ("measured", 0.32)


def test_links_to_the_data_lead_to_files_that_are_there(made: tuple[Tables, pd.DataFrame]) -> None:
    new = Station("999", "SMART999", "Plateau", time_zone="Africa/Abidjan")
    daily = made[0].daily[made[0].daily["day"] < date(2024, 1, 1)]
    html = pages(replace(made[0], daily=daily), (*STATIONS, new))["index.html"]
    assert set(re.findall(r'href="(data/\d+/[^"]+)"', html)) == {f"data/{id}/2023.csv" for id in (BAD, GOOD)}
    assert 'href="data/index.html"' in html
