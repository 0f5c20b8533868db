"""airqino export: a span of the staged tables as one file, and what is said of a mistake."""

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
from support.configured import use_settings
from support.published import DAYS, OTHER, TOKYO, stage

import airqino
from airqino.opendata.fields import TABLES
from airqino.opendata.writing import write
from airqino.times import FORMS
from tasks.cli import main
from tasks.settings.reading import settings
from tasks.stations import locations

CFG = f"[stations.{TOKYO}]\ntime_zone = Asia/Tokyo\nname = =Cocody\n\n[stations.{OTHER}]\n"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stage(tmp_path_factory.mktemp("staged"))


@pytest.fixture(autouse=True)
def _settings(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(main, "_unwind_at_sigterm", lambda: None)  # the process is the tests'
    (tmp_path / "luigi.cfg").write_text(CFG)
    use_settings(
        monkeypatch, [tmp_path / "luigi.cfg"], {"STAGING_ROOT": f"{root}", "AIRQINO_STATIONS": f"{TOKYO},{OTHER}"}
    )
    yield
    settings.cache_clear()


def export(*arguments: str) -> int:
    return main.main(["export", *arguments])


def test_csv_goes_to_standard_output_and_holds_what_is_published(
    tmp_path: Path, root: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert export("2026", "--station", OTHER) == 0
    said = capfdbinary.readouterr()
    assert said.err == b""
    from airqino.opendata.about import About

    write(tmp_path / "public", root, About(locations=locations(settings())))
    assert said.out == (tmp_path / "public/data" / OTHER / "2026.csv").read_bytes()
    rows = pd.read_csv(io.BytesIO(said.out))
    assert {*rows["location"]} == {"SMART188"}


@pytest.mark.parametrize("table", ["daily", "hourly"])
def test_each_format_has_the_same_rows(tmp_path: Path, root: Path, table: str) -> None:
    files = {ending: tmp_path / f"span.{ending}" for ending in ("csv", "parquet", "xlsx")}
    span = ("2026-02-27", "2026-03-01T12")
    for ending, path in files.items():
        assert export(*span, "--table", table, "--format", ending, "--out", f"{path}", "--station", "=Cocody") == 0
    csv, parquet = (
        pd.read_csv(files["csv"], dtype={"location_id": str, "tests": str}),
        pd.read_parquet(files["parquet"]),
    )
    meant = airqino.read(table, *span, station=TOKYO, root=root)
    per_row = 5 if table == "daily" else 7
    assert len(meant) * per_row >= len(csv) == len(parquet) > per_row
    book = openpyxl.load_workbook(files["xlsx"])
    assert book.sheetnames == [table, "fields"]
    head, *lines = book[table].iter_rows(values_only=True)
    assert list(head) == list(csv.columns) == list(parquet.columns) == [field.name for field in TABLES[table].fields]
    assert len(lines) == len(csv)
    at = head.index("value")
    for line, text, row in zip(lines, csv["value"], parquet["value"], strict=True):
        if line[at] is None:
            assert pd.isna(text)
            assert pd.isna(row)
        else:
            assert text == row == pytest.approx(line[at], rel=1e-14)  # a workbook keeps 16 digits
    assert {*parquet["location"]} == {*csv["location"]} == {"'=Cocody"}
    assert all(cell.data_type != "f" for cells in book[table].iter_rows() for cell in cells)
    assert [cell.value for cell in book["fields"]["A"]][1:] == list(csv.columns)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["2026-02", "--format", "xlsx"], "error: xlsx is not for the terminal: name a file with --out\n"),
        (["2026-02", "--station", "12"], f"error: there is no station 12 in {{root}}; there are {OTHER}, {TOKYO}\n"),
        (["soon"], f"error: 'soon' is no time: write {FORMS}\n"),
    ],
)
def test_a_mistake_is_one_line(root: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], text: str) -> None:
    assert export(*arguments) == 2
    assert capsys.readouterr().err == text.format(root=root)


def test_a_workbook_without_openpyxl_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)  # as where it is not installed
    assert export(f"{DAYS[3]}", "--format", "xlsx", "--out", f"{tmp_path / 'a.xlsx'}") == 2
    assert "a workbook needs openpyxl: pip install 'airqino-pipeline[excel]'" in capsys.readouterr().err
    assert not (tmp_path / "a.xlsx").exists()


def test_help_needs_neither_pandas_nor_pyarrow() -> None:
    code = (
        "import sys; from tasks.cli.main import main\ntry: main(['export', '--help'])\nexcept SystemExit: pass\n"
        "print('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: airqino export ")
