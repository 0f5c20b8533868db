"""The open data: they say what is staged, and nothing that is not vouched for looks like a measurement.

Any order of publishing gives the same files, and nothing is written twice or by halves.
"""

import json
import math
import os
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow.parquet as pq
import pytest
from frictionless import validate
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.inprocess import Killed, configured, forget, killed_after
from support.published import ABOUT, DAYS, LOCATIONS, OTHER, TOKYO, ZONES, add_note, contents, copied, forecast, stage

from airqino.errors import DamagedFileError, StagingError
from airqino.opendata import formats
from airqino.opendata.about import About, Location
from airqino.opendata.fields import PARAMETERS, TABLES
from airqino.opendata.writing import write
from airqino.readings import FORECAST, POLLUTANTS, UNITS
from airqino.stores import parquet
from airqino.stores.paths import Paths
from airqino.times import HOUR, day_start
from tasks import documents
from tasks.settings.reading import settings as pipeline_settings

FORECAST_AT = [day_start(DAYS[-1]) - n * HOUR for n in range(30)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Days of two stations, forecasts of some hours, and notes of each kind."""
    made = stage(tmp_path_factory.mktemp("staged"))
    forecast(made, FORECAST_AT)
    return made


@pytest.fixture(autouse=True)
def _new_process() -> Iterator[None]:
    forget()
    yield
    forget()


def csv(folder: Path, table: str) -> pd.DataFrame:
    """All rows of a table, from the CSV files alone."""
    pattern = {"daily": "[0-9]*/????.csv", "hourly": "[0-9]*/????-??.csv", "forecasts": "[0-9]*/*-forecasts.csv"}[table]
    types = {"location_id": str, "tests": str, "model_version": str}
    return pd.concat([pd.read_csv(path, dtype=types) for path in sorted((folder / "data").glob(pattern))])


def staged(root: Path, name: str) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(path) for path in sorted(root.glob(f"20*/{name}.parquet"))], ignore_index=True)


def valid(folder: Path) -> bool:
    report = validate(str(folder / "data" / "datapackage.json"))
    assert report.stats["tasks"] == len(json.loads((folder / "data/datapackage.json").read_text())["resources"])
    return bool(report.valid)


def test_frictionless_accepts_the_package_and_not_a_spoilt_one(published: Path, tmp_path: Path) -> None:
    package = json.loads((published / "data/datapackage.json").read_text())
    names = {resource["path"] for resource in package["resources"]}
    assert {f"{station}/{name}.csv" for station in ZONES for name in ("2026", "2026-01", "2026-03")} < names
    assert {f"{TOKYO}/2026-03-forecasts.csv", "changes.csv", "stations.csv"} < names
    assert package["licenses"][0]["name"] == "CC-BY-4.0"
    assert valid(published)
    shutil.copytree(published, tmp_path / "spoilt")
    path = tmp_path / "spoilt" / "data" / TOKYO / "2026-02.csv"
    lines = path.read_text().splitlines()
    for spoilt in (lines[5].replace('"PM', "").replace(lines[5].split(",")[4], '"m"', 1) + ",1", lines[4]):
        path.write_text("\n".join([*lines, spoilt]) + "\n")  # a cell too many, a row twice
        assert not valid(tmp_path / "spoilt")


def test_parquet_holds_the_same_rows_as_csv(published: Path) -> None:
    twins = sorted((published / "data").rglob("*.parquet"))
    assert len(twins) == 2 * (1 + 3 + 2) + 1  # changes
    for path in twins:
        table = pq.read_table(path).to_pandas()
        text = pd.read_csv(path.with_suffix(".csv"), dtype={"location_id": str, "tests": str, "model_version": str})
        for name in table.columns:
            if name.endswith("Utc") or name == "day":
                text[name] = pd.to_datetime(text[name], utc=name != "day")
                table[name] = pd.to_datetime(table[name], utc=name != "day")
        assert list(text.columns) == list(table.columns)
        for name in table.columns:
            same = (text[name] == table[name]) | (text[name].isna() & table[name].isna())
            assert same.all(), (path, name)


def test_the_csv_alone_has_the_daily_means_of_the_staged_tables_and_of_mongodb(
    root: Path, published: Path, tmp_path: Path
) -> None:
    found = csv(published, "daily").set_index(["location_id", "day", "parameter"])
    options = {f"stations.{station}": {"time_zone": zone} for station, zone in ZONES.items()}
    options[f"stations.{TOKYO}"]["correction"] = "kappa"
    meant = {}
    with configured(tmp_path, options, AIRQINO_STATIONS=",".join(ZONES), STAGING_ROOT=f"{root}"):
        for day in DAYS:
            for document in documents.of_day(day, pipeline_settings())["daily_averages"]:
                meant |= {(document["station"], document["day"], name): document for name in POLLUTANTS}
    assert len(meant) == len(found) > 60 * len(POLLUTANTS)
    some = 0
    for (station, day, name), document in meant.items():
        row = found.loc[station, day, PARAMETERS[name]]
        vouched = document[f"{name}_quality"] in ("ok", "checked")
        some += not vouched
        assert row["unit"] == document["units"][name]
        assert same(row["reported_value"], document[f"{name}_mean"])
        assert same(row["value"], document[f"{name}_checked_mean"] if vouched else None)
        assert (row["reported_hours"], row["valid_hours"]) == (
            document[f"{name}_hours"],
            document[f"{name}_checked_hours"],
        )
        assert (row["quality"], row["provisional"]) == (document[f"{name}_quality"], document["provisional"])
        assert same(row["corrected_value"], document["pm2_5_corrected_mean"] if name == "pm2_5" and vouched else None)
        assert same(row["above_guideline"], document[f"{name}_above_who"])
        assert row["location"] == ('\'=Cocody, "189"' if station == TOKYO else "SMART188")  # no formula
        begin = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(ZONES[station]))
        assert datetime.fromisoformat(row["datetimeLocal"]) == begin == datetime.fromisoformat(row["datetimeUtc"])
        assert row["datetimeLocal"] == begin.isoformat()
    assert some > 10


def same(left: object, right: object) -> bool:
    return (pd.isna(left) and right is None) or (pd.isna(left) and pd.isna(right)) or left == right  # type: ignore[call-overload]


def test_no_hour_that_does_not_count_or_stands_at_the_floor_has_a_value(root: Path, published: Path) -> None:
    """Each staged value once, by a loop."""
    found = {(r.location_id, r.datetimeUtc, r.parameter): r for r in csv(published, "hourly").itertuples()}
    leaves_out = {
        "order",
        "spike",
        "stuck",
        "dead",
        "unit",
        "out_of_range",
        "offset",
        "invalidated",
        "floor",
        "at_floor",
    }
    seen = set()
    for row in staged(root, "hourly").to_dict("records"):
        for name, parameter in PARAMETERS.items():
            key = (row["station"], f"{row['observed_at']:%Y-%m-%dT%H:%M:%SZ}", parameter)
            if row["status"] != "ok" or math.isnan(row[name]):
                assert key not in found
                continue
            public, flag = found.pop(key), row[f"{name}_flag"]
            seen.add(flag)
            assert (public.flag, public.tests, public.unit) == (flag, row[f"{name}_tests"], UNITS[name])
            assert public.reported_value == row[name]
            assert same(public.value, None if flag in leaves_out else row[name])
            assert public.provisional is not row["final"]
            assert datetime.fromisoformat(public.datetimeLocal) == row["observed_at"]
            assert public.datetimeLocal.endswith("+09:00" if row["station"] == TOKYO else "+00:00")
    assert found == {}
    assert seen >= {"ok", "humid", "floor", "spike"}


def test_forecasts_are_those_that_were_published(root: Path, published: Path) -> None:
    found = csv(published, "forecasts").set_index(["location_id", "issuedUtc", "parameter", "horizon_h"])
    meant = pd.concat([pd.read_parquet(path) for path in sorted(root.glob("20*/forecast/*.parquet"))])
    assert len(meant) == len(found) == len(FORECAST_AT) * 2 * len(FORECAST) * 6
    for row in meant.to_dict("records"):
        public = found.loc[
            row["station"], f"{row['issued_at']:%Y-%m-%dT%H:%M:%SZ}", PARAMETERS[row["pollutant"]], row["horizon_h"]
        ]
        assert all(
            same(public[ours], row[theirs]) for ours, theirs in (("value", "p50"), ("p10", "p10"), ("p90", "p90"))
        )
        assert public["datetimeUtc"] == f"{row['target_at']:%Y-%m-%dT%H:%M:%SZ}"
        assert public["method"] == row["method"]


def test_a_second_call_writes_nothing_and_an_hours_change_only_its_files(root: Path, tmp_path: Path) -> None:
    mine, folder = copied(root, tmp_path / "staging"), tmp_path / "public"
    assert len(write(folder, mine, ABOUT).files) > 20
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    forget()
    done = write(folder, mine, ABOUT)
    assert (done.files, done.damaged) == ([], [])
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before
    path = Paths(mine).hourly(DAYS[-1])
    table = parquet.read(path)
    assert table is not None
    values = table["pm2_5"].to_pylist()
    (row,) = (
        n
        for n, (s, at) in enumerate(zip(table["station"].to_pylist(), table["observed_at"].to_pylist(), strict=True))
        if s == OTHER and at == day_start(DAYS[-1]) + 3 * HOUR
    )
    values[row] = 77.25
    changed = table.set_column(table.column_names.index("pm2_5"), "pm2_5", [values])
    assert parquet.write(path, changed, extra={"inputs": "x"})
    done = write(folder, mine, ABOUT, days=[DAYS[-1]])
    assert done.files == [f"data/{OTHER}/2026-03.csv", f"data/{OTHER}/2026-03.parquet"]
    fresh = tmp_path / "fresh"
    write(fresh, mine, ABOUT)
    assert contents(folder) == contents(fresh)


def test_notes_reach_the_rows_and_leave_them_again(root: Path, tmp_path: Path) -> None:
    """A comment changes no staged table, and yet the rows that it is about; who made it is not told."""
    mine, folder = copied(root, tmp_path / "staging"), tmp_path / "public"
    write(folder, mine, ABOUT)
    before = contents(folder)
    first = datetime(2026, 2, 10, 14, tzinfo=UTC)  # 23:00 in Tokyo, so that the next hour is another day
    add_note(mine, "comment", 1, reading="pm2_5", first=first, last=first + HOUR, why='dust,\nfrom "next door"')
    add_note(mine, "calibrate", 2, reading="co", first=datetime(2026, 2, 28, tzinfo=UTC), slope=1.5)
    done = write(folder, mine, ABOUT)
    names = {f"data/{TOKYO}/{name}" for name in ("2026", "2026-02", "2026-03")} | {"data/changes"}
    assert {*done.files} == {f"{name}.{ending}" for name in names for ending in ("csv", "parquet")}
    text = '2026-03-03-1 comment: dust, from "next door"'
    hourly, daily = csv(folder, "hourly"), csv(folder, "daily")
    rows = hourly[hourly["notes"].fillna("").str.contains("comment")]
    assert {*rows["parameter"]} == {"pm25"}
    assert {*rows["notes"]} == {text}
    assert sorted(rows["datetimeUtc"]) == ["2026-02-10T14:00:00Z", "2026-02-10T15:00:00Z"]
    assert {*daily[daily["notes"] == text]["day"]} == {"2026-02-10", "2026-02-11"}
    calibrated = hourly[hourly["notes"].fillna("").str.contains("calibrate")]
    assert {*calibrated["location_id"]} == {TOKYO}
    assert calibrated["datetimeUtc"].min() == "2026-02-28T00:00:00Z"
    changes = pd.read_csv(folder / "data/changes.csv", dtype=str)
    assert list(changes["kind"]) == ["calibrate", "comment"]
    assert "someone" not in (folder / "data/changes.csv").read_text()
    add_note(mine, "revoke", 3, revokes="2026-03-03-1")
    add_note(mine, "revoke", 4, revokes="2026-03-03-2")
    write(folder, mine, ABOUT)
    after = contents(folder)
    differs = {name for name in before if before[name] != after[name]}
    assert differs == {"data/changes.csv", "data/changes.parquet"}
    fresh = tmp_path / "fresh"
    write(fresh, mine, ABOUT)
    assert contents(fresh) == after


def test_invalidated_and_calibrated_hours(root: Path, tmp_path: Path) -> None:
    """As the pipeline writes them into the staged table: no value, or the calibrated one, beside what was reported."""
    mine, folder = copied(root, tmp_path / "staging"), tmp_path / "public"
    path = Paths(mine).hourly(DAYS[3])
    rows = pd.read_parquet(path)
    rows.loc[:3, "pm10_flag"] = "invalidated"
    rows.loc[4:6, "co_raw"] = rows.loc[4:6, "co"] = 0.25
    rows.loc[4:6, "co"] *= 2
    rows.loc[7, ["no2_flag", "co_flag"]] = "restored"
    rows.loc[7, "co"] = 0.0
    rows.loc[8, "o3_flag"] = "level"
    rows.loc[4:6, "co_flag"] = "ok"
    parquet.write(path, __import__("pyarrow").Table.from_pandas(rows, preserve_index=False))
    write(folder, mine, ABOUT)
    found = csv(folder, "hourly").set_index(["location_id", "datetimeUtc", "parameter"])

    def public(row: int, parameter: str) -> pd.Series:
        return found.loc[rows.loc[row, "station"], f"{rows.loc[row, 'observed_at']:%Y-%m-%dT%H:%M:%SZ}", parameter]

    for row in range(4):
        assert math.isnan(public(row, "pm10")["value"])
        assert public(row, "pm10")["reported_value"] == rows.loc[row, "pm10"]
    for row in range(4, 7):
        assert (public(row, "co")["value"], public(row, "co")["reported_value"]) == (0.5, 0.25)
    assert public(7, "no2")["value"] == rows.loc[7, "no2"]
    assert math.isnan(public(7, "co")["value"])  # the floor is no measurement, whoever restored it
    assert public(8, "o3")["value"] == rows.loc[8, "o3"]  # suspect, but it counts


@settings(
    max_examples=6,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    phases=[Phase.generate],
    report_multiple_bugs=False,
)
@given(data=st.data())
def test_any_order_of_publishing_gives_the_same_files(
    root: Path, published: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Days come in any order and in any groups; some come first with fewer rows; the record may be lost."""
    scratch = tmp_path_factory.mktemp("order")
    folder, paths = scratch / "public", Paths(root)
    first, *others = paths.days()  # one day more than DAYS: that in which Tokyo's first one begins
    mine = copied(root, scratch / "staging", [first])
    order = list(others)
    data.draw(st.randoms(use_true_random=False)).shuffle(order)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(order) - 1), min_size=1, max_size=4)))
    for begin, end in zip([0, *cuts], [*cuts, len(order)], strict=True):
        group = order[begin:end]
        halves = data.draw(st.sets(st.sampled_from(group)))
        for day in halves:
            Paths(mine).partition(day).mkdir()
            for name in (paths.hourly(day), paths.daily(day)):
                if (table := parquet.read(name)) is None:
                    continue
                parquet.write(mine / name.relative_to(root), table.slice(0, len(table) // 2))
        if halves:
            write(folder, mine, ABOUT, days=group if data.draw(st.booleans()) else None)
        for day in group:
            shutil.copytree(paths.partition(day), Paths(mine).partition(day), dirs_exist_ok=True)
        if data.draw(st.booleans()):
            (folder / "data/.built.json").unlink(missing_ok=True)
        write(folder, mine, ABOUT, days=group if data.draw(st.booleans()) and begin else None)
    found, meant = contents(folder), contents(published)
    assert {name for name in found.keys() | meant.keys() if found.get(name) != meant.get(name)} == set()
    shutil.rmtree(scratch)


def test_days_that_come_backwards_stand_in_time_order(root: Path, published: Path, tmp_path: Path) -> None:
    first, *others = reversed(Paths(root).days())
    mine, folder = copied(root, tmp_path / "staging", [first]), tmp_path / "public"
    for begin in range(0, len(others), 6):
        for day in others[begin : begin + 6]:
            shutil.copytree(Paths(root).partition(day), Paths(mine).partition(day))
        write(folder, mine, ABOUT)
    found, meant = contents(folder), contents(published)
    assert {name for name in found.keys() | meant.keys() if found.get(name) != meant.get(name)} == set()


@pytest.mark.drill
def test_a_killed_writer_leaves_whole_files_and_the_next_one_ends_its_work(root: Path, tmp_path: Path) -> None:
    mine, folder = copied(root, tmp_path / "staging", DAYS[:-1]), tmp_path / "public"
    write(folder, mine, ABOUT)
    old = contents(folder)
    shutil.copytree(Paths(root).partition(DAYS[-1]), Paths(mine).partition(DAYS[-1]))
    write(tmp_path / "whole", mine, ABOUT)
    new = contents(tmp_path / "whole")
    names = {name for name in new if old.get(name) != new[name]}
    assert len(names) > 10
    kills = 0
    for renames in range(len(names) + 2):
        half = tmp_path / f"killed-{renames}"
        shutil.copytree(folder, half)  # times of change stay
        try:
            with killed_after(renames):
                write(half, mine, ABOUT)
        except Killed:
            kills += 1
        assert not list(half.rglob("*.tmp"))
        found = contents(half)
        assert all(found[name] in (old.get(name), new.get(name)) for name in found)
        assert valid(half) if renames % 5 == 0 else True
        write(half, mine, ABOUT)
        assert contents(half) == new
    assert kills == len(names) + 1  # and the record


@pytest.mark.parametrize("harm", ["gone", "cut", "spoilt", "another's"])
def test_a_published_file_that_was_harmed_is_made_again(published: Path, root: Path, tmp_path: Path, harm: str) -> None:
    folder, good = tmp_path / "public", contents(published)
    write(folder, root, ABOUT)
    for name in (
        f"data/{TOKYO}/2026-02.parquet",
        f"data/{OTHER}/2026.csv",
        "data/changes.csv",
        "data/datapackage.json",
    ):
        path = folder / name
        path.unlink()
        if harm == "cut":
            path.write_bytes(good[name][:-40])
        elif harm == "spoilt":
            path.write_bytes(good[name] + b"\n")
        elif harm == "another's":
            path.write_bytes(good[name.replace(TOKYO, OTHER) if TOKYO in name else name.replace(OTHER, TOKYO)] + b"")
    write(folder, root, ABOUT)
    assert contents(folder) == good


def test_a_damaged_staged_day_costs_its_news_alone_and_is_tried_again(
    root: Path, published: Path, tmp_path: Path
) -> None:
    mine, folder = copied(root, tmp_path / "staging"), tmp_path / "public"
    write(folder, mine, ABOUT)
    path = Paths(mine).hourly(DAYS[8])
    good = path.read_bytes()
    path.write_bytes(good[:100])
    done = write(folder, mine, ABOUT)
    assert (done.files, done.damaged) == ([], [path])
    assert contents(folder) == contents(published)
    path.write_bytes(good)
    assert write(folder, mine, ABOUT).damaged == []
    assert contents(folder) == contents(published)


def test_what_is_published_of_days_that_are_not_staged_any_more_stays(
    root: Path, published: Path, tmp_path: Path
) -> None:
    mine, folder = copied(root, tmp_path / "staging"), tmp_path / "public"
    write(folder, mine, ABOUT)
    for day in DAYS[:10]:
        shutil.rmtree(Paths(mine).partition(day))
    for path in folder.rglob("*.*"):
        os.utime(path)  # as in a copy of the folder
    write(folder, mine, ABOUT)
    assert contents(folder) == contents(published)
    add_note(mine, "comment", first=day_start(DAYS[2]), last=day_start(DAYS[12]))
    write(folder, mine, ABOUT)
    rows = csv(folder, "daily")
    assert len(rows) == len(csv(published, "daily"))
    assert {f"{DAYS[9]}", f"{DAYS[1]}"} < {*rows["day"]}


def test_a_station_that_is_renamed_has_its_new_name_everywhere_and_one_that_is_left_out_none(
    root: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "public"
    write(folder, root, About(locations={OTHER: LOCATIONS[OTHER]}))
    assert sorted(path.name for path in (folder / "data").iterdir() if path.name[0].isdigit()) == [OTHER]
    assert valid(folder)
    write(folder, root, About(locations={OTHER: Location("Plateau"), TOKYO: LOCATIONS[TOKYO]}))
    comes_again = tmp_path / "again"
    for names in ((OTHER, TOKYO), (OTHER,), (OTHER, TOKYO)):
        if len(names) == 1:
            (comes_again / "data" / TOKYO / "2026-02.csv").unlink()
        write(comes_again, root, About(locations={n: LOCATIONS[n] for n in names}))
    write(tmp_path / "at once", root, About(locations=LOCATIONS))
    assert contents(comes_again) == contents(tmp_path / "at once")
    assert {*csv(folder, "hourly")["location"]} == {"Plateau", '\'=Cocody, "189"'}
    text = (folder / "data/README.md").read_text()
    assert "Aucune licence n’est encore choisie" in text
    assert "licenses" not in json.loads((folder / "data/datapackage.json").read_text())


def test_every_column_is_explained_in_both_the_schemas_and_the_guide(published: Path) -> None:
    text = (published / "data/README.md").read_text()
    for name, table in TABLES.items():
        schema = json.loads((published / f"data/schemas/{name}.json").read_text())
        assert [field["name"] for field in schema["fields"]] == [field.name for field in table.fields]
        assert all(f"| `{field.name}` | {field.about} |" in text for field in table.fields)
        assert "{" not in text


def rotten(path: Path) -> None:
    """Spoil a file's content; size and time of change stay."""
    status, content = path.stat(), bytearray(path.read_bytes())
    for place in range(len(content) // 3, len(content) // 3 + 60):
        content[place] ^= 0xFF
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def touched(root: Path, day: date) -> None:
    """Write a day's staged files again: other files with the same rows."""
    for path in (Paths(root).daily(day), Paths(root).hourly(day)):
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)


@pytest.mark.parametrize("also_csv", [False, True])
def test_a_file_that_rotted_unseen_costs_no_row_when_an_hour_comes(root: Path, tmp_path: Path, also_csv: bool) -> None:
    mine, folder = copied(root, tmp_path / "staging"), tmp_path / "public"
    write(folder, mine, ABOUT)
    good = contents(folder)
    for name in (f"{TOKYO}/2026", f"{OTHER}/2026-03"):
        rotten(folder / "data" / f"{name}.parquet")
        if also_csv:
            (folder / "data" / f"{name}.csv").write_bytes(b"\xff" * 900)
    touched(mine, DAYS[-1])
    forget()
    done = write(folder, mine, ABOUT)
    assert contents(folder) == good
    assert done.harmed == ([f"data/{TOKYO}/2026.parquet", f"data/{OTHER}/2026-03.parquet"] if also_csv else [])


def test_a_file_that_cannot_be_read_now_is_not_taken_for_none(root: Path, tmp_path: Path) -> None:
    mine, folder = copied(root, tmp_path / "staging"), tmp_path / "public"
    write(folder, mine, ABOUT)
    path = folder / "data" / TOKYO / "2026.parquet"
    good = path.read_bytes()
    path.unlink()
    path.mkdir()
    touched(mine, DAYS[-1])
    with pytest.raises(StagingError, match=r"2026\.parquet cannot be read: Is a directory"):
        write(folder, mine, ABOUT)
    path.rmdir()
    path.write_bytes(good)
    before = contents(folder)
    write(folder, mine, ABOUT)
    assert contents(folder) == before


def test_a_forecast_that_is_not_staged_any_more_stays_beside_the_others_of_its_day(root: Path, tmp_path: Path) -> None:
    mine, folder = copied(root, tmp_path / "staging"), tmp_path / "public"
    write(folder, mine, ABOUT)
    good = contents(folder)
    staged = sorted(mine.glob("*/forecast/*.parquet"))
    assert len(staged) > 1
    staged[0].unlink()
    write(folder, mine, ABOUT)
    assert contents(folder) == good


def test_csv_files_hold_all_that_the_parquet_files_do(published: Path) -> None:
    for path in sorted((published / "data").rglob("*.parquet")):
        stem = path.stem.removesuffix("-forecasts")
        of_period = "daily" if len(stem) == len("2026") else "hourly"
        table = "changes" if stem == "changes" else "forecasts" if stem != path.stem else of_period
        twin = path.with_suffix(".csv")
        assert formats._csv_rows(twin, twin.read_bytes(), TABLES[table]).equals(
            formats.read_published(path, TABLES[table])
        )
        with pytest.raises(DamagedFileError, match=r"cut|columns|CSV"):
            formats._csv_rows(twin, twin.read_bytes()[:-7], TABLES[table])


def test_people_find_every_file_in_a_list(published: Path) -> None:
    listed = set(re.findall(r'href="([^"]+)"', (published / "data" / "index.html").read_text()))
    files = {name.removeprefix("data/") for name in contents(published)}
    assert listed == {name for name in files if not name.startswith("schemas/")} - {"index.html", "stations.parquet"}
