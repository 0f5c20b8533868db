"""What the documents say beside the staged tables: sensors that cannot be used, and a PM2.5 corrected for humid air."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.configured import Configured
from support.deployment import ROOT, Pipeline

from airqino.readings import NAMES
from airqino.sandbox.mongod import Mongod
from airqino.sandbox.server import Sandbox
from tasks import documents
from tasks.settings.reading import settings

FIRST = datetime(2026, 3, 1, 20, tzinfo=UTC)
ONE, OTHER = "283181971", "283164601"
STATIONS = ("283164601", "283181971", "900000003")


@pytest.mark.parametrize(
    ("flags", "fault"),
    [
        (["ok", "humid", "floor"], None),
        (["spike", "stuck", "ok"], None),
        (["ok", "stuck", "absent"], "stuck"),
        (["at_floor", "out_of_range", "at_floor"], "at_floor"),
        (["dead", "absent", "absent"], "dead"),
        (["offset", "offset", "out_of_range"], "offset"),
        (["absent", "absent", "absent"], None),
    ],
    ids=["usable", "was stuck", "is stuck", "at the floor", "dead", "zero offset", "without values"],
)
def test_the_newest_day_says_which_sensors_cannot_be_used_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str], fault: str | None
) -> None:
    Configured(tmp_path, "http://127.0.0.1:9", monkeypatch)()
    rows = [
        {"station": ONE, "status": "ok", "observed_at": FIRST + timedelta(hours=n)}
        | {f"{name}_flag": "ok" for name in NAMES}
        for n in range(3)
    ]
    for row, flag in zip(rows, flags, strict=True):
        row["co_flag"] = flag
    day_before = rows[0] | {"observed_at": FIRST - timedelta(days=1), "no2_flag": "dead"}
    tables = [pa.Table.from_pylist(of) for of in ([day_before], rows)]
    *_, (_, update, _) = _updates(tables)
    wanted = {"co": fault} if fault else {}
    assert update["$set"]["sensor_faults"] == wanted
    assert update["$set"]["dead_sensors"] == [name for name, why in wanted.items() if why == "dead"]


def _updates(tables: Iterable[pa.Table]) -> list[tuple[documents.Document, documents.Document, bool]]:
    seen = documents.Seen()
    for table in tables:
        seen.add(table)
    return seen.updates(settings())


@given(
    days=st.lists(
        st.dictionaries(
            st.sampled_from(STATIONS),
            st.lists(st.sampled_from(["", "ok", "dead", "absent", "stuck"]), min_size=3, max_size=3),
        ),
        max_size=4,
    )
)
def test_stations_are_seen_as_when_looked_at_row_by_row(configured: None, days: list[dict[str, list[str]]]) -> None:
    rows = [
        {
            "station": station,
            "observed_at": FIRST + timedelta(days=day, hours=hour),
            "status": "ok" if flag else "failed",
        }
        | {f"{name}_flag": flag if name == "co" else "ok" for name in NAMES}
        for day, stations in enumerate(days)
        for station, flags in sorted(stations.items())
        for hour, flag in enumerate(flags)
    ]
    schema = pa.Table.from_pylist([dict.fromkeys(_COLUMNS, "") | {"observed_at": FIRST}]).schema
    tables = [
        pa.Table.from_pylist([row for row in rows if (row["observed_at"] - FIRST).days == day], schema=schema)
        for day in range(len(days))
    ]
    expected = {}
    for station in STATIONS:
        if of := [row for row in rows if row["station"] == station and row["status"] == "ok"]:
            last = [
                row["co_flag"]
                for row in of
                if (row["observed_at"] - FIRST).days == (of[-1]["observed_at"] - FIRST).days
            ]
            given = [flag for flag in last if flag != "absent"]
            of_co = "dead" if "dead" in given else "stuck" if given[-1:] == ["stuck"] else None
            expected[station] = of[0]["observed_at"], of[-1]["observed_at"], {"co": of_co} if of_co else {}
    found = {}
    for (where, grow, _), (_, judged, _) in zip(*[iter(_updates(tables))] * 2, strict=True):
        moments = grow["$min"]["first_seen_at"], grow["$max"]["last_seen_at"]
        found[where["_id"]] = *moments, judged["$set"]["sensor_faults"]
    assert found == expected


_COLUMNS = ["station", "observed_at", "status", *(f"{name}_flag" for name in NAMES)]


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        Configured(tmp_path_factory.mktemp("configured"), "http://127.0.0.1:9", patch)()
        yield
    settings.cache_clear()


def test_a_correction_is_chosen_by_station_and_loads_the_days_again(tmp_path: Path, mongod: Mongod) -> None:
    day, now = "2026-03-04", datetime(2026, 3, 10, 0, 5, tzinfo=UTC)
    with Sandbox(now=now) as api:
        pipeline = Pipeline(tmp_path / "staging", mongod, api.url, AIRQINO_NOW=f"{now:%Y-%m-%dT%H:%M}")
        try:
            assert pipeline.luigi("LoadDay", "--day", day).returncode == 0
            before, asked = pipeline.state(), api.stats()["data_requests"]
            plain = before["daily_averages"]
            assert {(d["pm2_5_corrected_mean"], d["pm2_5_correction"]) for d in plain.values()} == {(None, "none")}

            text = (ROOT / "luigi.cfg").read_text()
            config = tmp_path / "luigi.cfg"
            config.write_text(text.replace(f"[stations.{ONE}]\n", f"[stations.{ONE}]\ncorrection = kappa\n"))
            pipeline.env["LUIGI_CONFIG_PATH"] = f"{config}"
            done = pipeline.luigi("LoadDay", "--day", day)
            assert done.returncode == 0, done.stderr

            after = pipeline.state()
            assert api.stats()["data_requests"] == asked
            assert after["staged"] == before["staged"], "the correction is shown beside the means, nothing is rebuilt"
            assert after["daily_averages"][f"{OTHER}|{day}"] == plain[f"{OTHER}|{day}"]
            hours = [h for h in after["hourly_measurements"].values() if h["station"] == ONE and h["rh"] is not None]
            assert len(hours) > 12
            counted = [h for h in hours if h["pm2_5_flag"] in ("ok", "humid")]
            assert len(counted) == len([h for h in after["hourly_measurements"].values() if h["station"] == ONE])
            growth = [1 + 0.4 / 1.65 / (100 / min(h["rh"], 99) - 1) for h in counted]
            dry = np.mean([h["pm2_5"] / by for h, by in zip(counted, growth, strict=True)])
            mine = after["daily_averages"][f"{ONE}|{day}"]
            assert mine["pm2_5_corrected_mean"] == pytest.approx(dry)
            assert mine == plain[mine["_id"]] | {
                **{"pm2_5_corrected_mean": mine["pm2_5_corrected_mean"], "pm2_5_correction": "kappa"}
            }
        finally:
            pipeline.close()
