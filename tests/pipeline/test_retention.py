"""Hourly documents expire, and nothing is loaded again, lost or emptied because of it."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.deployment import Pipeline

from airqino.sandbox.mongod import Mongod
from airqino.sandbox.server import Sandbox

pytestmark = pytest.mark.drill  # it takes long

DAYS = 62
NOW = datetime.now(UTC).replace(minute=5, second=0, microsecond=0)
#: Days that are older than the retention, by the server's clock, and days that are not.
OLD = (NOW - timedelta(days=DAYS + 6), NOW - timedelta(days=DAYS + 2))
NEW = (NOW - timedelta(days=3), NOW - timedelta(hours=1))
#: How far back an hourly run looks for late rows, in hours.
LATE_WINDOW = 216
LASTING = ("daily_averages", "coverage", "profiles", "stations", "revisions")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    with Mongod(tmp_path_factory.mktemp("mongod"), None, "--setParameter", "ttlMonitorSleepSecs=1") as running:
        yield running


@pytest.fixture
def deployed(tmp_path: Path, server: Mongod) -> Iterator[tuple[Pipeline, Sandbox]]:
    """Old and new days, loaded without a retention; what expires goes within a second or two."""
    with Sandbox(now=NOW) as api:
        made = Pipeline(tmp_path / "staging", server, api.url, AIRQINO_NOW=f"{NOW:%Y-%m-%dT%H:%M}")
        made.env["LUIGI_CONFIG_PATH"] = str(tmp_path / "own.cfg")
        keep(made, 0)
        load(made, OLD)
        load(made, NEW)
        api.reset()
        yield made, api
        made.close()


def keep(pipeline: Pipeline, days: int) -> None:
    Path(pipeline.env["LUIGI_CONFIG_PATH"]).write_text(f"[mongo]\nretention_days = {days}\n")


def load(pipeline: Pipeline, span: tuple[datetime, datetime]) -> None:
    done = pipeline.backfill(*(f"{moment:%Y-%m-%dT%H}" for moment in span))
    assert done.returncode == 0, done.stderr


def load_a_new_day(pipeline: Pipeline) -> None:
    """Something to load brings the index up to date with the settings."""
    day = f"{NEW[0] + timedelta(days=1):%Y-%m-%d}"
    assert pipeline.database["daily_averages"].delete_many({"day": day}).deleted_count > 0
    load(pipeline, NEW)


def expiry(pipeline: Pipeline) -> Any:
    return pipeline.database["hourly_measurements"].index_information().get("expiry", {}).get("expireAfterSeconds")


def of_old_days(pipeline: Pipeline) -> int:
    return pipeline.database["hourly_measurements"].count_documents(
        {"observed_at": {"$lt": NEW[0] - timedelta(days=9)}}
    )


def wait_until_they_expire(pipeline: Pipeline) -> None:
    deadline = time.monotonic() + 60
    while of_old_days(pipeline) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert of_old_days(pipeline) == 0


def test_old_hours_expire_and_nothing_else_changes(deployed: tuple[Pipeline, Sandbox]) -> None:
    pipeline, api = deployed
    before = {name: pipeline.documents(name) for name in LASTING}
    hours = pipeline.documents("hourly_measurements")
    old, first = of_old_days(pipeline), expiry(pipeline)
    assert (old > 100, first) == (True, None)
    keep(pipeline, DAYS)
    load_a_new_day(pipeline)
    assert expiry(pipeline) == DAYS * 86_400
    wait_until_they_expire(pipeline)
    kept = {key for key, document in hours.items() if document["observed_at"] >= NEW[0] - timedelta(days=9)}
    assert pipeline.documents("hourly_measurements") == {key: hours[key] for key in kept}
    assert {name: pipeline.documents(name) for name in LASTING} == before
    loads = list(pipeline.database["loads"].find(sort=[("_id", 1)]))
    load(pipeline, OLD)
    load(pipeline, NEW)
    assert pipeline.hourly().returncode == 0
    assert api.stats()["by_station"].keys() <= {"283164601", "283181971"}
    again = {d["_id"]: d["loaded_at"] for d in pipeline.database["loads"].find()}
    assert {d["_id"]: again[d["_id"]] for d in loads} == {d["_id"]: d["loaded_at"] for d in loads}
    assert of_old_days(pipeline) == 0
    gone = f"{OLD[0] + timedelta(days=1):%Y-%m-%d}"
    assert pipeline.database["daily_averages"].delete_many({"day": gone}).deleted_count > 0
    load(pipeline, OLD)  # loads that day again: its mean, but not its hours, and its month's profile stays
    assert of_old_days(pipeline) == 0
    # a run adds hours as far back as the late window: in a month's first days, of the month before too
    months = {f"{NOW - timedelta(hours=ago):%Y-%m}" for ago in (1, 1 + LATE_WINDOW)}
    for name in LASTING:
        after = pipeline.documents(name)
        assert {key: d for key, d in after.items() if not any(month in key for month in months)} == {
            key: d for key, d in before[name].items() if not any(month in key for month in months)
        }


def test_the_retention_changes_with_the_setting_and_ends_with_it(deployed: tuple[Pipeline, Sandbox]) -> None:
    pipeline, api = deployed
    hours = pipeline.documents("hourly_measurements")
    for days, seconds in ((DAYS, DAYS * 86_400), (DAYS + 1, (DAYS + 1) * 86_400)):
        keep(pipeline, days)
        load_a_new_day(pipeline)
        assert expiry(pipeline) == seconds
    wait_until_they_expire(pipeline)
    keep(pipeline, 0)
    load_a_new_day(pipeline)
    assert expiry(pipeline) is None
    load(pipeline, OLD)  # from the staged files
    assert pipeline.documents("hourly_measurements") == hours
    assert api.stats()["data_requests"] == 0


def test_a_retention_that_would_cut_into_the_profiles_is_refused(deployed: tuple[Pipeline, Sandbox]) -> None:
    pipeline, _ = deployed
    keep(pipeline, 61)
    done = pipeline.hourly()
    assert done.returncode == 2
    assert "[mongo] retention_days = 61: allowed is 0 (keep all), or a whole number of days from 62 on" in done.stderr
