"""A replica set whose majority is gone: whatever is asked of it ends, in time, with one line and 30."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.deployment import ROOT, Pipeline
from support.secured import ReplicaSet, replica_set

from airqino import views
from airqino.errors import MongoError
from airqino.sandbox.mongod import Mongod
from airqino.sandbox.server import Sandbox
from airqino.stores import indexes, mongo, writes

pytestmark = pytest.mark.drill

NOW = "2026-02-03T00:05"
#: How long a command may take, in seconds: without a limit it would be killed then, and the test fail.
MOST = 120.0
#: The same of one call in this process.
FAILOVER = 2.0


@pytest.fixture
def followed(tmp_path: Path) -> Iterator[tuple[ReplicaSet, int]]:
    """A primary, an arbiter and a secondary, and the secondary's port: without it there is a primary, but no majority
    that confirms writes: the server waits for it as long as the client does."""
    with replica_set(tmp_path / "rs", arbiter=True) as members:
        primary = members.primary()
        (secondary,) = (port for port in members.ports[:2] if port != primary)
        yield members, secondary


@pytest.fixture
def deployed(tmp_path: Path, followed: tuple[ReplicaSet, int], mongod: Mongod, sandbox: Sandbox) -> Pipeline:
    members, _ = followed
    return deployment(tmp_path, members, mongod, sandbox)


def deployment(folder: Path, members: ReplicaSet, mongod: Mongod, sandbox: Sandbox) -> Pipeline:
    text = (ROOT / "luigi.cfg").read_text()
    assert "failover_seconds = 30" in text
    (folder / "luigi.cfg").write_text(text.replace("failover_seconds = 30", f"failover_seconds = {FAILOVER}"))
    made = Pipeline(folder / "staging", mongod, sandbox.url, AIRQINO_NOW=NOW, MONGODB_CA_FILE=f"{members.ca_file}")
    made.env |= {"MONGODB_URI": members.admin_uri, "LUIGI_CONFIG_PATH": f"{folder / 'luigi.cfg'}"}
    made.close()
    return made


def test_a_load_that_nobody_confirms_ends_with_30_and_is_made_good(
    deployed: Pipeline, followed: tuple[ReplicaSet, int]
) -> None:
    members, secondary = followed
    assert deployed.script("run", "LoadDay", "--day", "2026-02-01").returncode == 0
    members.kill(secondary)
    refused = deployed.script("run", "LoadDay", "--day", "2026-02-02", timeout=MOST)
    assert refused.returncode == 30, refused.stderr
    assert "its members do not confirm writes; a majority of its members must be up" in refused.stderr
    assert "Traceback" not in refused.stderr
    members.start(secondary)
    done = deployed.script("run", "LoadDay", "--day", "2026-02-02", timeout=MOST)
    assert done.returncode == 0, done.stderr
    with members.client(members.admin_uri) as client:
        ours = client[deployed.database_name]
        assert ours["loads"].find_one({"_id": "day|2026-02-02"}) is not None
        assert ours["daily_averages"].count_documents({"day": "2026-02-02"}) > 0


def test_a_set_that_loses_its_majority_in_the_middle_of_a_run_ends_it_with_30(
    tmp_path: Path, mongod: Mongod, sandbox: Sandbox
) -> None:
    with replica_set(tmp_path / "rs") as members:
        pipeline = deployment(tmp_path, members, mongod, sandbox)

        def two_go() -> None:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and not any(pipeline.root.glob("*/raw/*.parquet")):
                time.sleep(0.01)
            for port in members.ports[:2]:
                members.kill(port)

        thread = threading.Thread(target=two_go)
        thread.start()
        done = pipeline.script("backfill", "2026-01-01T00", "2026-01-31T23", timeout=MOST)
        thread.join()
    assert done.returncode == 30, done.stderr
    assert "has no primary; a majority of its members must be up" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("what", ["write", "index", "views", "merge"])
def test_nothing_that_is_asked_waits_for_ever(followed: tuple[ReplicaSet, int], what: str) -> None:
    members, secondary = followed
    limits = {"failover": FAILOVER, "longest": 2 * FAILOVER}
    db = mongo.database(members.admin_uri, f"test_{what}", **limits, tls_ca_file=f"{members.ca_file}")
    writes.replace(db, "hourly_measurements", [{"_id": f"{n}", "station": "1", "observed_at": n} for n in range(500)])
    members.kill(secondary)
    asked = {
        "write": lambda: writes.replace(db, "loads", [{"_id": "x"}]),
        "index": lambda: indexes.ensure_indexes.__wrapped__(db),
        "views": lambda: mongo.build(db, views.ensure_views.__wrapped__),
        "merge": lambda: mongo.build(
            db,
            lambda db: db.hourly_measurements.aggregate([{"$merge": {"into": "profiles", "whenMatched": "replace"}}]),
        ),
    }
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            asked[what]()
        except MongoError as error:
            failures.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(MOST)
    assert not thread.is_alive(), "it still waits"
    assert len(failures) == (what != "views"), "a view is the primary's own: it waits for nobody"
    assert ["members" in str(failure) for failure in failures] == [True] * len(failures)
