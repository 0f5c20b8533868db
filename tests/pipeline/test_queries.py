"""Every query that the pipeline, its commands, the views and the dashboards make finds its documents by an index."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import jinja2
import pytest
import yaml
from support.deployment import ROOT, Pipeline

from airqino import views
from airqino.sandbox.mongod import Mongod
from airqino.sandbox.server import Sandbox

pytestmark = pytest.mark.drill

#: What is read whole, and why it may be.
WHOLE = {
    "stations": "one document for each station",
    "station_now": "the view of the stations: one document for each",
    "station_map": "the view of the stations: one document for each",
    "station_index": "the view of the stations: one document for each",
    "station_names": "the view of the stations: one document for each",
    "models": "one document a week",
    "notes": "what an operator has written by hand",
    "revision_log": "the chart lists every revision there is",
    "errata": "the table lists every note there is",
    "guideline_year": "the view of the stations: one document for each",
    "guideline_months": "the view of the stations: one document for each",
    "day_reliability": "the view of the stations: one document for each",
    "present": "one row of any collection",
    "outlines": "one document, the shore",
}
_OPERATORS = {"=": "$eq", ">=": "$gte", "<=": "$lte", "<": "$lt", ">": "$gt"}


@pytest.fixture(scope="module")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A filled database whose server wrote down all that it was asked since."""
    now = datetime.now(UTC).replace(minute=5)
    day = f"{now - timedelta(hours=1):%Y-%m-%d}"  # the last one that has begun an hour ago
    with Mongod(tmp_path_factory.mktemp("mongod")) as server, Sandbox(now=now) as api:
        folder = tmp_path_factory.mktemp("profiled")
        pipeline = Pipeline(folder / "staging", server, api.url, AIRQINO_NOW=f"{now:%Y-%m-%dT%H:%M}")
        pipeline.database.create_collection("system.profile", capped=True, size=256 << 20)
        pipeline.database.command("profile", 2, sampleRate=1.0)
        start, stop = back(now, 24 * 20), back(now, 1)
        for done in (
            pipeline.backfill(start, stop),
            pipeline.hourly(),
            pipeline.backfill(back(now, 30), stop, "--hindcast"),
            pipeline.backfill(start, stop),
            pipeline.script("status"),
            pipeline.luigi("LoadDay", "--day", day),
            pipeline.luigi("ScoreForecasts", "--day", day),
        ):
            assert done.returncode == 0, done.stderr
        yield pipeline
        pipeline.client.close()


def back(now: datetime, hours: int) -> str:
    return f"{datetime.fromtimestamp(now.timestamp() - 3600 * (hours + 1), UTC):%Y-%m-%dT%H}"


def queries(of: dict[str, Any]) -> list[dict[str, Any]]:
    """A dataset's filter as MongoDB gets it, with nothing chosen and with everything."""
    names, dates = ["SMART188"], {"from_dttm": f"{datetime.now(UTC):%Y}-01-01", "to_dttm": "2100-01-01"}
    template = jinja2.Template(of["sql"])
    found = []
    for chosen in ([], names):
        sql = template.render(
            filter_values=lambda name, chosen=chosen: chosen if name == "station_name" else [],
            station_ids=lambda some, most=0: "'283164601'",
            days_ago=lambda days=0: f"{datetime.now(UTC):%Y-%m-%d}",
            **(dates if chosen else {"from_dttm": None, "to_dttm": None}),
        )
        collection = re.search(r"FROM (\w+)", sql)
        assert collection, sql
        found.append({"collection": collection[1], "where": where(sql)})
    return found


def where(sql: str) -> dict[str, Any]:
    _, _, text = sql.partition("WHERE")
    filters: list[dict[str, Any]] = []
    for part in re.split(r"\bAND\b", text) if text else []:
        if no := re.fullmatch(r"\s*(\w+) IS NULL\s*", part):
            filters.append({no[1]: {"$eq": None}})
            continue
        if some := re.fullmatch(r"\s*(\w+) IN \((.*)\)\s*", part, re.DOTALL):
            filters.append({some[1]: {"$in": re.findall(r"'([^']*)'", some[2])}})
            continue
        one = re.fullmatch(r"\s*(\w+) (=|>=|<=|<|>) ('[^']*'|-?\d+)\s*", part)
        assert one, f"a filter that this test cannot read: {part!r}"
        filters.append({one[1]: {_OPERATORS[one[2]]: one[3].strip("'") if "'" in one[3] else int(one[3])}})
    return {"$and": filters} if filters else {}


def datasets() -> list[dict[str, Any]]:
    folder = ROOT / "dashboards" / "superset" / "bundle" / "datasets" / "MongoDB"
    return [yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yaml"))]


def scans(pipeline: Pipeline) -> list[str]:
    """What was read whole, of the collections and views that are not small."""
    asked = list(pipeline.database["system.profile"].find({"ns": {"$not": re.compile(r"system\.|\$cmd")}}))
    assert len(asked) > 200
    return [
        f"{entry['op']} {entry['ns']} {entry['planSummary']} {str(entry['command'])[:300]}"
        for entry in asked
        if "COLLSCAN" in entry.get("planSummary", "") and entry["ns"].split(".", 1)[1] not in WHOLE
    ]


def test_no_command_of_the_pipeline_reads_a_collection_whole(profiled: Pipeline) -> None:
    assert scans(profiled) == []


def test_no_dataset_of_the_dashboards_reads_a_collection_whole(profiled: Pipeline) -> None:
    for dataset in datasets():
        for query in queries(dataset):
            assert isinstance(list(profiled.database[query["collection"]].find(query["where"])), list)
    assert scans(profiled) == []


LOOK_UPS = [
    name
    for name, (_, pipeline) in views.VIEWS.items()
    if any(stage["$lookup"]["from"] not in WHOLE for stage in pipeline if "$lookup" in stage)
]


@pytest.mark.parametrize("view", LOOK_UPS)
def test_what_a_view_looks_up_it_finds_by_an_index(profiled: Pipeline, view: str) -> None:
    plan = profiled.database.command(
        "explain", {"aggregate": view, "pipeline": [], "cursor": {}}, verbosity="executionStats"
    )
    look_ups = [number for key, number in walk(plan) if key == "totalDocsExamined"]
    assert look_ups
    assert [number for key, number in walk(plan) if key == "collectionScans" and int(number)] == []


def walk(plan: Any) -> Iterator[tuple[str, Any]]:
    for key, value in plan.items() if isinstance(plan, dict) else enumerate(plan) if isinstance(plan, list) else ():
        yield str(key), value
        yield from walk(value)
