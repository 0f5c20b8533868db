"""airqino.read: the staged values, the same from a published folder, with units; and what is said of a mistake."""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.published import ABOUT, DAYS, NOTED_AT, OTHER, REVISED, TOKYO, add_note, copied, forecast, revise, stage

import airqino
from airqino.errors import ConfigError, DamagedFileError
from airqino.opendata.writing import write
from airqino.readings import POLLUTANTS
from airqino.stores.paths import Paths
from airqino.times import HOUR, day_start

#: Spans of which nothing was forecast, or changed.
NOTHING = {
    ("forecasts", "2026-02-04T22"),
    ("changes", "2026-02-27"),
    ("changes", "2026-03-01T20"),
    ("changes", date(2026, 3, 1)),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("staged")
    made = stage(folder)
    revise(folder, made)
    forecast(made, [day_start(DAYS[-1]) - n * HOUR for n in range(30)])
    return made


@pytest.mark.parametrize("table", ["daily", "hourly", "forecasts", "changes"])
@pytest.mark.parametrize(
    ("first", "last", "station"),
    [
        ("2026", None, None),
        ("2026-02", "2026-03", TOKYO),
        ("2026-02-27", "2026-03-01", [OTHER, TOKYO]),
        ("2026-03-01T20", "2026-03-02T03", int(OTHER)),
        (date(2026, 3, 1), date(2026, 3, 1), None),
        ("2026-02-04T22", "2026-02-05T01", None),
        ("2025-02", "2025-03", TOKYO),
    ],
)
def test_a_published_folder_reads_as_the_staging_root_does(
    root: Path, published: Path, table: str, first: str, last: str | None, station: str | None
) -> None:
    staged = airqino.read(table, first, last, station, root)
    for folder in (published, published / "data"):
        public = airqino.read(table, first, last, station, folder)
        assert public.attrs["source"] == f"{folder}"
        pd.testing.assert_frame_equal(public, staged, check_dtype=len(staged) > 0)
    spanned = (table, first) not in NOTHING and first != "2025-02"
    assert (len(staged) > 0) == spanned


def test_daily_means_are_those_of_the_staged_tables(root: Path) -> None:
    found = airqino.read("daily", f"{DAYS[4]}", f"{DAYS[20]}", root=root).set_index(["station", "day"])
    meant = pd.concat([pd.read_parquet(Paths(root).daily(day)) for day in DAYS[4:21]])
    meant["day"] = pd.to_datetime(meant["day"])
    meant = meant.set_index(["station", "day"])
    assert len(found) == len(meant) > 30  # a day without any reading has no row
    meant = meant.loc[found.index]
    for p in POLLUTANTS:
        vouched = meant[f"{p}_quality"].isin(["ok", "checked"])
        np.testing.assert_array_equal(found[f"{p}_mean"], meant[f"{p}_mean"])
        np.testing.assert_array_equal(found[f"{p}_checked_mean"], meant[f"{p}_checked_mean"].where(vouched))
        for column in (f"{p}_quality", f"{p}_hours", f"{p}_checked_hours"):
            assert list(found[column]) == list(meant[column])
    units = found.attrs["units"]
    assert {units["co_mean"], units["pm2_5_checked_mean"], units["o3_8h_max"]} == {"mg/m³", "µg/m³"}
    assert set(found.columns) - units.keys() == {c for c in found if not c.endswith(("_mean", "_max"))}


def test_hours_have_a_value_only_where_they_may_be_called_a_measurement(root: Path) -> None:
    found = airqino.read("hourly", "2026-02", root=root)
    assert list(found["observed_at"]) == sorted(found["observed_at"])
    assert found.attrs["units"]["pm2_5"] == found.attrs["units"]["pm2_5_reported"] == "µg/m³"
    assert found.attrs["units"]["rh"] == "%"
    at_floor = found["co_reported"] == 0
    assert at_floor.sum() > 30
    assert found.loc[at_floor, "co"].isna().all()
    assert (
        found.loc[found["pm2_5_flag"] == "ok", "pm2_5"] == found.loc[found["pm2_5_flag"] == "ok", "pm2_5_reported"]
    ).all()
    spikes = found["pm2_5_flag"] == "spike"
    assert spikes.any()
    assert found.loc[spikes, "pm2_5"].isna().all()
    assert (found.loc[found["no2_reported"].isna(), "no2_flag"] == "absent").all()


def test_changes_are_the_ledgers_rows_and_say_what_the_hours_say_now(root: Path) -> None:
    found = airqino.read("changes", "2026", root=root)
    ledger = pd.concat([pd.read_parquet(Paths(root).revisions(day)) for day in REVISED])
    ledger = ledger[ledger["reading"] != "t_int"]
    key = ["station", "observed_at", "reading"]
    meant = ledger.set_index(key).sort_index()
    found = found.rename(columns={"first_at": "observed_at"}).set_index(key).sort_index()
    assert list(found.index) == list(meant.index)
    for name, of in (("old", "old"), ("new", "new"), ("changed_at", "seen_at")):
        np.testing.assert_array_equal(found[name], meant[of])
    assert {*found["kind"]} == {"revision"}
    assert (found["last_at"] == found.index.get_level_values("observed_at")).all()
    assert {*found["unit"].groupby("reading").first().items()} >= {("co", "mg/m³"), ("pm2_5", "µg/m³"), ("rh", "%")}
    hours = airqino.read("hourly", "2026-02", station=TOKYO, root=root).set_index("observed_at")
    pm = found.loc[TOKYO].xs("pm2_5", level="reading")
    assert len(pm) == 30
    assert (hours.loc[pm.index, "pm2_5_reported"] == pm["new"]).all()
    assert (pm["old"] != pm["new"]).all()
    withdrawn = found.loc[OTHER]
    assert (len(withdrawn.index.unique("observed_at")), withdrawn["new"].notna().sum()) == (3, 0)


def test_changes_hold_the_notes_about_an_hour_of_the_span(root: Path, tmp_path: Path) -> None:
    staging, public = copied(root, tmp_path / "staging", REVISED), tmp_path / "public"
    first, last = day_start(REVISED[0]) + 5 * HOUR, day_start(REVISED[1]) + 2 * HOUR
    add_note(staging, "invalidate", 1, reading="pm2_5", first=first, last=last, why="=works")
    add_note(staging, "calibrate", 2, reading="co", first=last, station=OTHER, slope=1.5, offset=0.2)
    add_note(staging, "revoke", 3, revokes=f"{NOTED_AT:%Y-%m-%d}-1", station=TOKYO)
    write(public, staging, ABOUT)

    def kinds(first: str, last: str | None = None, station: str | None = None) -> list[str]:
        staged = airqino.read("changes", first, last, station, staging)
        pd.testing.assert_frame_equal(airqino.read("changes", first, last, station, public), staged, check_dtype=False)
        return [*staged.loc[staged["kind"] != "revision", "kind"]]

    assert kinds("2026") == ["calibrate", "invalidate", "revoke"]
    assert kinds(f"{first:%Y-%m-%dT%H}", station=TOKYO) == ["invalidate", "revoke"]  # taking back names no hours
    assert kinds(f"{last:%Y-%m-%dT%H}") == ["calibrate", "invalidate", "revoke"]
    assert kinds(f"{first - HOUR:%Y-%m-%dT%H}") == ["revoke"]
    assert kinds(f"{last + HOUR:%Y-%m-%dT%H}", "2027") == ["calibrate", "revoke"]  # it holds until further notice
    noted = airqino.read("changes", "2026", root=staging).set_index("kind")
    assert (noted.at["calibrate", "slope"], noted.at["calibrate", "offset"]) == (1.5, 0.2)
    assert pd.isna(noted.at["invalidate", "why"]), "what was taken back is not told any more"
    assert noted.at["calibrate", "why"] == "works next door"
    assert noted.at["revoke", "revokes"] == noted.at["invalidate", "note"]
    (public / "data" / "changes.parquet").write_bytes(b"PAR1")
    assert kinds("2026") == ["calibrate", "invalidate", "revoke"], "the CSV file stands in"
    (public / "data" / "changes.csv").write_bytes(b'"changedUtc')
    with pytest.raises(DamagedFileError, match=r"changes\.parquet cannot be read"):
        airqino.read("changes", "2026", root=public)


def test_both_ends_of_a_span_are_in_it(root: Path) -> None:
    hours = airqino.read("hourly", "2026-03-01T20", "2026-03-02T03", OTHER, root)["observed_at"]
    staged = pd.concat([pd.read_parquet(Paths(root).hourly(day)) for day in (date(2026, 3, 1), date(2026, 3, 2))])
    staged = staged[(staged["station"] == OTHER) & (staged["status"] == "ok")]["observed_at"]
    meant = [at for at in staged if (date(2026, 3, 1), 20) <= (at.date(), at.hour) <= (date(2026, 3, 2), 3)]
    assert [*hours] == sorted(meant)
    assert len(meant) > 4
    for text in ("2026-03-01T20", "2026-03-02T03"):
        assert len(airqino.read("hourly", text, root=root)) == len(airqino.read("hourly", text, text, root=root)) >= 1
    days = airqino.read("daily", "2026-01", "2026-02", root=root)["day"]
    assert (days.min(), days.max()) == (pd.Timestamp("2026-01-27"), pd.Timestamp("2026-02-28"))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("weekly", "2026-02"), "there is no table 'weekly'; there are daily, hourly, forecasts, changes"),
        (("daily", "march"), "'march' is no time: write an hour"),
        (("daily", "2026-13"), "'2026-13' is no time"),
        (("daily", "2026-03", "2026-02"), "2026-03..2026-02: the first lies after the last"),
        (("daily", "2026-02", None, "12"), f"there is no station 12 in {{root}}; there are {OTHER}, {TOKYO}"),
    ],
)
def test_a_mistake_is_told(root: Path, published: Path, arguments: tuple[str, ...], text: str) -> None:
    for folder in (root, published):
        with pytest.raises(ConfigError) as error:
            airqino.read(*arguments, root=folder)
        assert text.format(root=folder) in f"{error.value}"


def test_a_folder_without_data_and_a_damaged_file_are_named(
    root: Path, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"^staging is neither a staging root"):
        airqino.read("daily", "2026-02")
    monkeypatch.setenv("STAGING_ROOT", f"{root}")
    assert len(airqino.read("daily", "2026-02")) > 50
    for folder, path in (
        (root, Paths(root).hourly(DAYS[9])),
        (published, published / "data" / OTHER / "2026-02.parquet"),
    ):
        both = {of: of.read_bytes() for of in (path, path.with_suffix(".csv")) if of.exists()}
        try:
            for of, good in both.items():
                of.write_bytes(good[:-300])
            with pytest.raises(DamagedFileError) as error:
                airqino.read("hourly", "2026-02", root=folder)
            assert f"{path}" in f"{error.value}"
            assert len(airqino.read("hourly", "2026-01", root=folder)) > 0
        finally:
            for of, good in both.items():
                of.write_bytes(good)


def test_importing_the_library_loads_no_pandas_until_something_is_read(published: Path) -> None:
    code = (
        "import airqino, sys; print('pandas' in sys.modules, 'pyarrow' in sys.modules);"
        "frame = airqino.read('daily', '2026-02'); print(len(frame), 'luigi' in sys.modules, 'pymongo' in sys.modules)"
    )
    env = os.environ | {"STAGING_ROOT": f"{published}"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert done.stdout.split() == [
        "False",
        "False",
        f"{len(airqino.read('daily', '2026-02', root=published))}",
        "False",
        "False",
    ]
    with pytest.raises(AttributeError, match="no attribute 'reed'"):
        airqino.reed  # noqa: B018
