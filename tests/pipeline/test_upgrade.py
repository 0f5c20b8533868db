"""A staging root and a database of an older version are taken over: nothing is asked again, nothing is rebuilt."""

import io
import subprocess
import sys
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.deployment import ROOT, Pipeline

from airqino.sandbox.mongod import Mongod
from airqino.sandbox.server import Sandbox

#: Version → its last commit.
VERSIONS = {"0.2.0": "f420539"}
START, LAST = "2024-08-18T00", "2024-09-09T10"
NOW = "2024-09-09T11:05"  # a Monday: the hourly run trains
LATER = "2024-09-09T11:20"  # what is loaded again would show


def unpack(version: str, folder: Path) -> Path:
    """Lay an older version's code into a folder."""
    tree = subprocess.run(["git", "archive", VERSIONS[version]], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(tree)) as tar:
        tar.extractall(folder, filter="data")
    return folder


def run_old(code: Path, pipeline: Pipeline, command: str, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "tasks.cli", command, *arguments],
        cwd=code,
        env=pipeline.env | {"AIRQINO_NOW": NOW},
        check=True,
        timeout=240,
    )


def written(pipeline: Pipeline) -> dict[str, Any]:
    """When each file and each load was written."""
    files = {f"{p.relative_to(pipeline.root)}": p.stat().st_mtime_ns for p in pipeline.root.rglob("*.parquet")}
    models = {f"{p.relative_to(pipeline.root)}": p.stat().st_mtime_ns for p in pipeline.root.glob("models/**/*.*")}
    loads = {load["_id"]: load["loaded_at"] for load in pipeline.database["loads"].find()}
    return {"files": files, "models": models, "loads": loads}


@pytest.mark.drill
@pytest.mark.parametrize("version", VERSIONS)
def test_the_state_of_an_older_version_is_taken_over(version: str, tmp_path: Path, mongod: Mongod) -> None:
    code = unpack(version, tmp_path / "old")
    with Sandbox(now=datetime.fromisoformat(f"{NOW}+00:00").astimezone(UTC)) as sandbox:
        pipeline = Pipeline(tmp_path / "staging", mongod, sandbox.url)
        try:
            run_old(code, pipeline, "backfill", START, "2024-09-09T09")
            run_old(code, pipeline, "hourly")
            run_old(code, pipeline, "backfill", "2024-09-09T06", "2024-09-09T09", "--hindcast")
            before, state, asked = written(pipeline), pipeline.state(), sandbox.stats()["data_requests"]
            assert len(before["files"]) > 22 * 24
            assert "models/2024-09-09/card.json" in before["models"]
            assert {"day|2024-09-09", "forecast|2024-09-09T10", "score|2024-09-09", "models"} <= before["loads"].keys()
            hourly = pipeline.hourly(LATER)
            assert hourly.returncode == 0, hourly.stderr
            backfill = pipeline.backfill(START, LAST, AIRQINO_NOW=LATER)
            assert backfill.returncode == 0, backfill.stderr
            assert sandbox.stats()["data_requests"] == asked
            after = written(pipeline)
            for kind, times in before.items():
                assert {name: after[kind].get(name) for name in times} == times, kind
                # the window is longer than that of 0.2: days that had no scores get some
                new = after[kind].keys() - times.keys() - {"stations"}
                assert all("score" in name for name in new), kind
            now = pipeline.state()
            now["staged"] = {name: now["staged"].get(name) for name in state["staged"]}
            for station in now["stations"].values():
                assert [row["name"] for row in station.pop("history")] == [station["name"]]  # 0.2 loads none
            assert now == state

            # what was loaded with the station's name in its key stays loaded when the station is renamed
            config = tmp_path / "own.cfg"
            config.write_text("[stations.283181971]\nname = Harbour\n")
            renamed = pipeline.hourly(LATER, LUIGI_CONFIG_PATH=f"{config}")
            assert renamed.returncode == 0, renamed.stderr
            assert sandbox.stats()["data_requests"] == asked
            assert written(pipeline) == after
            for view in ("daily_averages_named", "hourly_profiles", "forecast_scores_named"):
                shown = sorted(pipeline.database[view].distinct("station_name", {"station": {"$ne": None}}))
                assert shown == ["Harbour", "SMART188"], view
        finally:
            pipeline.close()
