"""Stations are their ids: a new name shows everywhere at once, and nothing is loaded again for it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from support.deployment import Pipeline

from airqino.sandbox.mongod import Mongod
from airqino.sandbox.server import Sandbox

#: One has a name in luigi.cfg; the other is called as the API says.
OPERATORS, SOURCES = "283181971", "42"
NOON = datetime(2026, 4, 8, 12, 5, tzinfo=UTC)
FIRST = NOON.replace(hour=0, minute=0) - timedelta(days=3)


def api(folder: Path, name: str, now: datetime) -> Sandbox:
    """An API that has every hour of both stations and calls the second one `name`."""
    folder.mkdir()
    hours = [FIRST + timedelta(hours=n) for n in range(24 * 5)]
    for station, called, level in ((OPERATORS, "SMART189", 8.0), (SOURCES, name, 20.0)):
        rows = [
            {"timestamp": f"{at:%Y-%m-%d %H:%M:%S}", "CO": 0.2 + 0.01 * at.hour, "PM2.5": level + at.hour}
            for at in hours
        ]
        place = {"station_lat": 5.3 + level / 100, "station_lon": -4.0}
        (folder / f"{station}.json").write_text(json.dumps({"header": {"station_name": called} | place, "data": rows}))
    return Sandbox(replay=folder, now=now)


def hourly(pipeline: Pipeline, now: datetime) -> set[tuple[str, str]]:
    """Run the hour; return what was written to MongoDB meanwhile: collection and _id, from the server's own log."""
    oplog = pipeline.client["local"]["oplog.rs"]
    (last,) = oplog.find(sort=[("$natural", -1)], limit=1)
    done = pipeline.hourly(f"{now:%Y-%m-%dT%H:%M}")
    assert done.returncode == 0, done.stderr
    prefix = f"{pipeline.database_name}."
    writes = oplog.find({"ts": {"$gt": last["ts"]}, "op": {"$in": ["i", "u", "d"]}, "ns": {"$regex": f"^{prefix}"}})
    return {(entry["ns"].removeprefix(prefix), entry.get("o2", entry["o"])["_id"]) for entry in writes}


def names(pipeline: Pipeline, view: str) -> dict[str, Any]:
    return {row["station"]: row["station_name"] for row in pipeline.database[view].find()}


def test_a_rename_loads_nothing_again(tmp_path: Path, mongod: Mongod) -> None:
    config, short = tmp_path / "own.cfg", "[airqino]\nlate_window_hours = 96\n"  # fewer days, a faster test
    config.write_text(short)
    environment = {"AIRQINO_STATIONS": f"{OPERATORS},{SOURCES}", "LUIGI_CONFIG_PATH": f"{config}"}
    pipeline = Pipeline(tmp_path / "staging", mongod, "", **environment)
    try:
        with api(tmp_path / "before", "Port", NOON) as source:
            pipeline.env["AIRQINO_BASE_URL"] = source.url
            written = hourly(pipeline, NOON)
            assert len([key for collection, key in written if collection == "hourly_measurements"]) == 2 * (72 + 12)
            assert names(pipeline, "daily_averages_named") == {OPERATORS: "Cocody (SMART189)", SOURCES: "Port"}

            # the operator renames one as the other is called
            config.write_text(f"{short}[stations.{OPERATORS}]\nname = Port\nplace =\n")
            assert hourly(pipeline, NOON) == {("stations", OPERATORS), ("loads", "stations")}
            both = {OPERATORS: f"Port ({OPERATORS})", SOURCES: f"Port ({SOURCES})"}
            assert names(pipeline, "coverage_named") == names(pipeline, "forecasts_named") == both
            assert len({row["station_name"] for row in pipeline.database["guideline_year"].find()}) == 2

        # the API renames the other: with the next hour the new name is there
        with api(tmp_path / "after", "Harbour", NOON + timedelta(hours=1)) as source:
            pipeline.env["AIRQINO_BASE_URL"] = source.url
            written = hourly(pipeline, NOON + timedelta(hours=1))
            new = {"day|2026-04-08", "forecast|2026-04-08T12", "score|2026-04-08", "stations"}
            assert {key for collection, key in written if collection == "loads"} == new
            hours = {key for collection, key in written if collection == "hourly_measurements"}
            # the hour before as well: only now it can be compared with the next one
            assert hours == {f"{of}|2026-04-08T{hour}" for of in (OPERATORS, SOURCES) for hour in (11, 12)}
        for view in ("hourly_measurements_named", "daily_averages_named", "forecasts_named", "hourly_profiles"):
            assert names(pipeline, view) | {None: None} == {OPERATORS: "Port", SOURCES: "Harbour", None: None}, view
        history = pipeline.database["stations"].find_one({"_id": SOURCES})["history"]
        assert [(row["name"], row["since"]) for row in history] == [
            *(("Port", None), ("Harbour", NOON.replace(minute=0)))
        ]
        for collection in ("hourly_measurements", "daily_averages", "coverage", "forecasts", "profiles"):
            found = list(pipeline.database[collection].find())
            assert found, collection
            assert not any("station_name" in document for document in found), collection
    finally:
        pipeline.close()
