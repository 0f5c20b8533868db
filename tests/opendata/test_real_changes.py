"""What the source changed of a month between its answers of 2023 and of 2024, as the public is told of it."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from support.deployment import REAL
from support.inprocess import Stages, configured

from airqino.opendata.about import About, Location
from airqino.opendata.fields import PARAMETERS
from airqino.opendata.writing import write
from airqino.readings import READINGS
from airqino.sandbox.server import Sandbox
from airqino.times import day_range, hour_range

pytestmark = pytest.mark.skipif(not REAL.exists(), reason="the real responses lie beside the repository, not in it")

STATIONS = ("283181971", "283164601")
#: Whole days that both answers cover; they begin on 2023-09-10 and end on 2023-12-06.
FIRST, LAST = datetime(2023, 11, 5, tzinfo=UTC), datetime(2023, 12, 5, 23, tzinfo=UTC)
SEEN = (datetime(2023, 12, 20, 12, tzinfo=UTC), datetime(2024, 7, 10, 12, tzinfo=UTC))
ABOUT = About(locations={station: Location(station) for station in STATIONS})


def answered(suffix: str) -> dict[tuple[str, str, str], float | None]:
    """(station, hour, reading) → value, from the JSON."""
    found = {}
    for station in STATIONS:
        for row in json.loads((REAL / f"{station}{suffix}.json").read_text())["data"]:
            if f"{FIRST:%Y-%m-%d %H}" <= row["timestamp"][:13] <= f"{LAST:%Y-%m-%d %H}":
                found |= {(station, row["timestamp"][:13], of.name): row.get(of.key) for of in READINGS}
    return found


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """What was published after the older answer, and what after the newer one, in the same folder."""
    scratch = tmp_path_factory.mktemp("real")
    old, new, public = scratch / "old", scratch / "new", scratch / "public"
    for folder, suffix in ((old, ".as-of-2023-12-06"), (new, "")):
        folder.mkdir()
        for station in STATIONS:
            shutil.copy(REAL / f"{station}{suffix}.json", folder / f"{station}.json")
    days, hours = tuple(day_range(FIRST.date(), LAST.date())), tuple(hour_range(FIRST, LAST))
    with configured(scratch, {"airqino": {"requests_per_second": "1000"}}, AIRQINO_STATIONS=",".join(STATIONS)):
        for seen, folder in zip(SEEN, (old, new), strict=True):
            with Sandbox(replay=folder, now=seen) as api:
                assert Stages(scratch / "staging", api.url).run(seen, days, hours, again=True)
            write(public, scratch / "staging", ABOUT)
            if folder == old:
                shutil.copytree(public, scratch / "before")
    yield scratch / "before", public
    shutil.rmtree(scratch)


def test_each_value_that_the_source_changed_is_told_once(folders: tuple[Path, Path]) -> None:
    before, after = folders
    assert len(pd.read_csv(before / "data/changes.csv")) == 0
    old, new = answered(".as-of-2023-12-06"), answered("")
    meant = {
        (key[0], f"{key[1].replace(' ', 'T')}:00:00Z", PARAMETERS[key[2]]): (old.get(key), new.get(key))
        for key in old.keys() | new.keys()
        if key[2] in PARAMETERS and old.get(key) != new.get(key)
    }
    assert len(meant) > 700  # most of it negative CO
    changes = pd.read_csv(after / "data/changes.csv", dtype={"location_id": str})
    assert {*changes["kind"]} == {"revision"}
    assert {*changes["changedUtc"]} == {f"{SEEN[1]:%Y-%m-%dT%H:%M:%SZ}"}
    found = {
        (r.location_id, r.firstUtc, r.parameter): tuple(None if pd.isna(v) else v for v in (r.old_value, r.new_value))
        for r in changes.itertuples()
    }
    assert len(found) == len(changes)
    assert found == meant
    clipped = changes[(changes["parameter"] == "co") & (changes["old_value"] < 0)]
    assert len(clipped) > 700
    assert {*clipped["new_value"]} == {0.0}
    assert {*changes["unit"]} <= {"mg/m³", "µg/m³", "°C", "%"}


def test_the_hours_say_what_is_reported_now_and_no_zero_of_co_is_a_measurement(folders: tuple[Path, Path]) -> None:
    before, after = folders
    for folder, suffix in ((before, ".as-of-2023-12-06"), (after, "")):
        hours = pd.concat(
            pd.read_csv(path, dtype={"location_id": str, "tests": str})
            for path in (folder / "data").glob("[0-9]*/????-??.csv")
        )
        reported = {(r.location_id, r.datetimeUtc, r.parameter): r.reported_value for r in hours.itertuples()}
        meant = {
            (station, f"{hour.replace(' ', 'T')}:00:00Z", PARAMETERS[name]): value
            for (station, hour, name), value in answered(suffix).items()
            if name in PARAMETERS and value is not None
        }
        assert reported == meant
        co = hours[hours["parameter"] == "co"]
        assert (co["value"] == 0).sum() == 0
        assert co["value"].notna().sum() > 200


def test_the_means_in_the_csv_are_those_of_pandas_over_the_json(folders: tuple[Path, Path]) -> None:
    _, after = folders
    days = pd.concat(pd.read_csv(path, dtype={"location_id": str}) for path in (after / "data").glob("[0-9]*/????.csv"))
    found = days[days["reported_hours"] > 0].set_index(["location_id", "day", "parameter"])["reported_value"]
    values = pd.Series(answered("")).dropna().rename_axis(["location_id", "day", "parameter"]).reset_index(name="value")
    values = values[values["parameter"].isin(["co", "no2", "o3", "pm10", "pm2_5"])]
    meant = values.assign(day=values["day"].str[:10], parameter=values["parameter"].map(PARAMETERS))
    meant = meant.groupby(["location_id", "day", "parameter"])["value"].mean()
    pd.testing.assert_series_equal(found.sort_index(), meant.sort_index(), check_names=False, rtol=0, atol=1e-9)
