"""airqino report: a month's report as a file, and what is said of a mistake."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from support.configured import use_settings
from support.months import made_up, stage
from support.public import text_of

from tasks.cli import main
from tasks.settings.reading import settings

MARCH = date(2024, 3, 1)
A, B, GONE = "283181971", "283164601", "283164602"
CFG = f"""
[publish]
city = Abidjan
[stations.{A}]
name = SMART189
place = Cocody
[stations.{B}]
name = SMART188
place = Plateau
[stations.{GONE}]
valid_to = 2024-01-31T23
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stage(tmp_path_factory.mktemp("staged"), made_up(MARCH), MARCH).root


@pytest.fixture(autouse=True)
def use(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(main, "_unwind_at_sigterm", lambda: None)  # the process is the tests'
    monkeypatch.chdir(tmp_path)
    (tmp_path / "luigi.cfg").write_text(CFG)
    env = {"STAGING_ROOT": f"{root}", "AIRQINO_STATIONS": f"{A},{B},{GONE}", "AIRQINO_NOW": "2024-05-01T09:30"}
    use_settings(monkeypatch, [tmp_path / "luigi.cfg"], env)
    yield
    settings.cache_clear()


def test_it_writes_a_french_report_here_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["report", "2024-03"]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "report-2024-03.html: 2 stations\n")
    text = text_of((tmp_path / "report-2024-03.html").read_text(encoding="utf-8"))
    assert "L’air à Abidjan, mars 2024" in text
    assert "Plateau : 0 jour sur 31 valides" in text
    assert GONE not in text, "it was not in service"


def test_language_and_file_are_those_that_are_asked_for(tmp_path: Path) -> None:
    assert main.main(["report", "2024-03", "--language", "en", "--out", "made/march.html"]) == 0
    assert "Plateau: 0 days of 31 valid ones" in text_of((tmp_path / "made" / "march.html").read_text(encoding="utf-8"))
    assert not (tmp_path / "report-2024-03.html").exists()


@pytest.mark.parametrize(
    ("month", "text"),
    [
        ("2024-3", "error: '2024-3' is no month: write it as 2024-03\n"),
        ("2024-06", "error: month 2024-06-01T00 is not over and published yet: the last one is 2024-05-01T08 (UTC)\n"),
        ("2023-07", "holds no reading of 2023-07: scripts/backfill 2023-07 fetches it\n"),
    ],
)
def test_a_mistake_is_one_line_and_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], month: str, text: str
) -> None:
    assert main.main(["report", month]) == 2
    said = capsys.readouterr().err
    assert said.endswith(text)
    assert said.count("\n") == 1
    assert list(tmp_path.glob("*.html")) == []


def test_a_month_under_way_is_told_to_date(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIRQINO_NOW", "2024-03-18T09:30")
    settings.cache_clear()
    assert main.main(["report", "2024-03"]) == 0
    assert capsys.readouterr().err == "report-2024-03.html: 2 stations, to date: up to 2024-03-17\n"
    assert "jusqu’au 17 mars 2024 compris" in text_of((tmp_path / "report-2024-03.html").read_text(encoding="utf-8"))
