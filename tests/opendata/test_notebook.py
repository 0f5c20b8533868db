"""docs/first-look.ipynb runs from its first cell to its last, and its numbers are those of the staged files."""

from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient
from support.deployment import ROOT
from support.published import ABOUT, DAYS, REVISED, TOKYO, revise, stage

from airqino.opendata.writing import write
from airqino.readings import reading
from airqino.stores.paths import Paths
from airqino.times import day_range

pytestmark = pytest.mark.drill  # it takes long

NOTEBOOK = ROOT / "docs" / "first-look.ipynb"
#: What the notebook computes, by the names of its variables.
NAMES = ("quality", "calendar", "by_hour", "by_weekday", "revisions")
#: The days of the months that are looked at; staged are those from 01-27 to 02-09.
FIRST, LAST = date(2026, 1, 1), date(2026, 2, 28)
ZONE = ZoneInfo("Asia/Tokyo")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("notebook")
    root = stage(folder, DAYS[:14])
    revise(folder, root)
    write(folder / "public", root, ABOUT)
    return {"staged": root, "published": folder / "public"}


def run(root: Path, scratch: Path) -> tuple[Any, dict[str, pd.DataFrame]]:
    """Run the notebook in a kernel of its own; return it with what it showed, and its tables.

    At the end the cell that checks the time zone runs once more, with a wrong one.
    """
    chosen = {"first": "2026-01", "last": "2026-02", "station": TOKYO, "time_zone": "Asia/Tokyo"}
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (at,) = (n for n, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", []))
    given = "\n".join(f"{name} = {value!r}" for name, value in chosen.items())
    notebook.cells.insert(at + 1, nbformat.v4.new_code_cell(given))
    (zone,) = (cell.source for cell in notebook.cells if cell.id == "zone")
    kept = "\n".join(f"{name}.to_pickle({f'{scratch / name}.pkl'!r})" for name in NAMES)
    wrong = f"time_zone = 'Africa/Abidjan'\ntry:\n    exec({zone!r})\nexcept ValueError as error:\n    print(error)"
    notebook.cells += [nbformat.v4.new_code_cell(source) for source in (kept, wrong)]
    # a person's settings of IPython and Matplotlib stay out, and those of the tests away from a person's folders
    home = f"{scratch.parent / 'home'}"  # shared: Matplotlib takes seconds to list the fonts in a new one
    homes = dict.fromkeys(("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "MPLCONFIGDIR"), home)
    client = NotebookClient(notebook, timeout=60, resources={"metadata": {"path": f"{NOTEBOOK.parent}"}})
    with pytest.MonkeyPatch.context() as patch:  # in this process too: who looks for kernels makes folders
        for name, value in (homes | {"STAGING_ROOT": f"{root}", "PYTHONPATH": f"{ROOT}"}).items():
            patch.setenv(name, value)
        client.execute()
    return notebook, {name: pd.read_pickle(scratch / f"{name}.pkl") for name in NAMES}


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def staged(root: Path, name: str) -> pd.DataFrame:
    """The station's rows of a table of each staged day, read with pandas alone."""
    paths = [Paths(root).partition(day) / f"{name}.parquet" for day in day_range(FIRST, LAST)]
    rows = pd.concat([pd.read_parquet(path) for path in paths if path.exists()])
    return rows[rows["station"] == TOKYO]


@pytest.fixture(scope="module")
def shown(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return {kind: run(root, tmp_path_factory.mktemp(kind)) for kind, root in folders.items()}


@pytest.mark.parametrize("kind", ["staged", "published"])
def test_no_cell_fails_or_warns_and_four_figures_come_out(shown: dict[str, Any], kind: str) -> None:
    notebook, _ = shown[kind]
    found = outputs(notebook)
    assert [output for output in found if output.output_type == "error" or output.get("name") == "stderr"] == []
    figures = [output.data["image/png"] for output in found if "image/png" in output.get("data", {})]
    assert len(figures) == len({*figures}) == 4
    assert all(len(figure) > 10_000 for figure in figures)


def test_both_kinds_of_folder_give_the_same_tables_and_figures(shown: dict[str, Any]) -> None:
    (one, tables), (other, others) = shown["staged"], shown["published"]
    for name in NAMES:
        pd.testing.assert_frame_equal(tables[name], others[name])
    assert [output.get("data") for output in outputs(one)] == [output.get("data") for output in outputs(other)]


def test_hours_are_told_by_their_flags(shown: dict[str, Any], folders: dict[str, Path]) -> None:
    hours = staged(folders["staged"], "hourly")
    for name, floor in (("pm2_5", {}), ("co", {"floor": "at floor", "at_floor": "at floor"})):
        kinds = {"ok": "counts", "humid": "counts, humid", **floor}
        meant: dict[str, int] = {}
        for row in hours[hours["status"] == "ok"].to_dict("records"):
            flag = row[f"{name}_flag"]
            kind = "no reading" if flag == "absent" else kinds.get(flag, f"left out: {flag}")
            meant[kind] = meant.get(kind, 0) + 1
        assert shown["staged"][1]["quality"][name].value_counts().to_dict() == meant
        assert len(meant) > 2


def test_the_calendar_has_the_vouched_means_and_nothing_for_other_days(
    shown: dict[str, Any], folders: dict[str, Path]
) -> None:
    calendar = shown["staged"][1]["calendar"]
    assert [day.date() for day in calendar.index] == list(day_range(FIRST, LAST))
    # each day's mean by hand from the hours that count, of the station's own days
    of_day: dict[date, list[float]] = {}
    for row in staged(folders["staged"], "hourly").to_dict("records"):
        if row["pm2_5_flag"] in ("ok", "humid"):
            of_day.setdefault(row["observed_at"].astimezone(ZONE).date(), []).append(row["pm2_5"])
    quality = {row["day"]: row["pm2_5_quality"] for row in staged(folders["staged"], "daily").to_dict("records")}
    vouched = {day for day, said in quality.items() if said in ("ok", "checked")}
    assert 10 < len(vouched) < len(quality)
    bands = reading("pm2_5").index_bands
    for day, (mean, level) in zip(day_range(FIRST, LAST), calendar.itertuples(index=False), strict=True):
        if day in vouched:
            assert mean == pytest.approx(sum(of_day[day]) / len(of_day[day]))
            assert level == 1 + sum(mean > band for band in bands)
        else:
            assert np.isnan(mean)
            assert np.isnan(level)
    assert (calendar["mean"] != 0).all()


def test_hours_and_weekdays_are_those_of_the_stations_clock(shown: dict[str, Any], folders: dict[str, Path]) -> None:
    by_hour: dict[int, list[float]] = {hour: [] for hour in range(24)}
    by_weekday: dict[int, list[float]] = {weekday: [] for weekday in range(7)}
    for row in staged(folders["staged"], "hourly").to_dict("records"):
        if row["pm2_5_flag"] in ("ok", "humid"):
            at = row["observed_at"].astimezone(ZONE)
            by_hour[at.hour].append(row["pm2_5"])
            by_weekday[at.weekday()].append(row["pm2_5"])
    for name, groups in (("by_hour", by_hour), ("by_weekday", by_weekday)):
        found = shown["staged"][1][name]
        assert list(found.index) == list(groups)
        for key, values in groups.items():
            q25, median, q75 = np.percentile(values, [25, 50, 75])
            meant = {"mean": np.mean(values), "q25": q25, "median": median, "q75": q75, "hours": len(values)}
            assert found.loc[key].to_dict() == pytest.approx(meant)
    assert sum(map(len, by_hour.values())) > 250


def test_revisions_are_the_ledgers_rows(shown: dict[str, Any], folders: dict[str, Path]) -> None:
    ledger = pd.concat([pd.read_parquet(Paths(folders["staged"]).revisions(day)) for day in REVISED])
    ledger = ledger[(ledger["station"] == TOKYO) & (ledger["reading"] != "t_int")]
    key = ["reading", "observed_at"]
    meant = ledger.sort_values(key)[[*key, "old", "new", "seen_at"]]
    found = shown["staged"][1]["revisions"].sort_values(["reading", "first_at"])
    found = found[["reading", "first_at", "old", "new", "changed_at"]].set_axis(meant.columns, axis=1)
    pd.testing.assert_frame_equal(
        found.reset_index(drop=True), meant.reset_index(drop=True), check_dtype=False, check_exact=True
    )
    assert len(meant) > 90


@pytest.mark.parametrize("kind", ["staged", "published"])
def test_a_wrong_time_zone_is_told(shown: dict[str, Any], kind: str) -> None:
    (told,) = shown[kind][0].cells[-1].outputs
    assert told.text == f"the days of {TOKYO} do not begin at midnight in Africa/Abidjan: correct time_zone\n"


def test_the_file_holds_no_results_and_only_short_cells() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell for cell in code if cell.outputs or cell.execution_count is not None] == []
    assert max(len(cell.source.splitlines()) for cell in code) <= 20
    assert "".join(cell.source for cell in code).count("airqino.read(") == 3
