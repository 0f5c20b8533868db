"""A month from a server that cuts its answers: all hours are staged, each with the records of all requests."""

import json
from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq
from support.capped import capped, value
from support.deployment import Pipeline

from airqino.stores.paths import Paths

FIRST = datetime(2024, 3, 1, tzinfo=UTC)


def test_no_hour_is_lost_to_a_server_that_cuts_its_answers(pipeline: Pipeline) -> None:
    with capped(250) as (url, spans):
        span, now = "2024-03-01T00..2024-03-25T23", "2024-06-01T00:05"
        env = {"AIRQINO_BASE_URL": url, "AIRQINO_STATIONS": "283181971", "AIRQINO_NOW": now}
        done = pipeline.script("run", "FetchHour", "--hour", span, **env)
    assert done.returncode == 0, done.stderr
    assert len(spans) == 3
    files = [pq.ParquetFile(Paths(pipeline.root).raw(FIRST + timedelta(hours=n))) for n in range(600)]
    rows = [row for file in files for row in file.read().to_pylist()]
    assert [(row["status"], row["pm2_5"]) for row in rows] == [
        ("ok", value(FIRST + timedelta(hours=n))) for n in range(600)
    ]
    records = json.loads(files[-1].schema_arrow.metadata[b"exchanges"])
    assert [record["first"] for record in records] == ["2024-03-01T00", "2024-03-11T10", "2024-03-21T20"]
