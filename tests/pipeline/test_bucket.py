"""The staging root in a bucket: the same results as on a disk, and the same healing."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from support.buckets import Bucket, Store
from support.deployment import ROOT, WHEN, Pipeline
from support.servers import until

from airqino.sandbox.mongod import Mongod
from airqino.sandbox.server import Sandbox

NOW = "2026-03-05T00:05"
START, STOP = "2026-03-03T00", "2026-03-04T22"
#: Collections whose documents do not depend on when or where something was done.
COLLECTIONS = ("hourly_measurements", "daily_averages", "stations", "revisions")


@pytest.fixture(scope="module")
def api() -> Iterator[Sandbox]:
    with Sandbox(now=datetime(2026, 3, 5, 0, 5, tzinfo=UTC)) as server:
        yield server


class Deployed(Pipeline):
    """A deployment whose staging root and published folder are in a bucket."""

    def __init__(self, folder: Path, mongod: Mongod, api: str, bucket: Bucket) -> None:
        super().__init__(folder / "unused", mongod, api, AIRQINO_NOW=NOW, **bucket.store.env)
        self.bucket = bucket
        self.configure(folder / "luigi.cfg", late_window_hours=48)
        self.env |= {
            "STAGING_ROOT": bucket.root,
            "PUBLISH_ROOT": f"s3://{bucket.name}/public",
            "LOG_FOLDER": f"{folder / 'logs'}",
            "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",  # away, which stops nothing
        }

    def staged(self) -> dict[str, list[dict[str, Any]]]:
        return {
            key.removeprefix("air/"): rows(content)
            for key, content in self.bucket.objects("air/2").items()
            if key.endswith(".parquet")
        }


def rows(content: bytes) -> list[dict[str, Any]]:
    found = pq.ParquetFile(io.BytesIO(content)).read().to_pylist()
    return [{k: v for k, v in row.items() if k not in WHEN} for row in found]


@pytest.fixture
def in_bucket(tmp_path: Path, mongod: Mongod, api: Sandbox, store: Store) -> Iterator[Deployed]:
    made = Deployed(tmp_path, mongod, api.url, store.bucket())
    yield made
    made.close()


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory: pytest.TempPathFactory, mongod: Mongod, api: Sandbox) -> Iterator[Pipeline]:
    """The same hours through a local root, and what became of them."""
    folder = tmp_path_factory.mktemp("on_disk")
    made = Pipeline(folder / "staging", mongod, api.url, AIRQINO_NOW=NOW, PUBLISH_ROOT=f"{folder / 'public'}")
    made.configure(folder / "luigi.cfg", late_window_hours=48)
    for done in (made.backfill(START, STOP), made.hourly()):
        assert done.returncode == 0, done.stderr
    yield made
    made.close()


def forecasts(pipeline: Pipeline) -> list[dict[str, Any]]:
    found = pipeline.documents("forecasts").values()
    return [{k: v for k, v in document.items() if k not in ("inputs", "model_trained_at")} for document in found]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, mongod: Mongod, api: Sandbox, store: Store) -> Iterator[Deployed]:
    made = Deployed(tmp_path_factory.mktemp("filled"), mongod, api.url, store.bucket())
    for done in (made.backfill(START, STOP), made.hourly()):
        assert done.returncode == 0, done.stderr
    yield made
    made.close()


def test_a_bucket_gives_what_a_disk_gives_and_a_rerun_does_nothing(filled: Deployed, on_disk: Pipeline) -> None:
    in_bucket = filled
    there, here = in_bucket.staged(), on_disk.staged()
    assert there.keys() == here.keys()
    assert len([name for name in there if "/raw/" in name]) >= 48
    assert there == here
    for collection in COLLECTIONS:
        assert in_bucket.documents(collection) == on_disk.documents(collection), collection
    assert len(in_bucket.documents("daily_averages")) >= 4

    public = on_disk.root.parent / "public"
    published = {k.removeprefix("public/"): v for k, v in in_bucket.bucket.objects("public/").items()}
    served = {f"{p.relative_to(public / '.live')}": p for p in (public / ".live").rglob("*") if p.is_file()}
    own = {".published.json", ".release.json", "data/.built.json"}
    assert published.keys() - own == served.keys() - own
    assert {n: published[n] for n in served if n.endswith(".csv")} == {
        n: path.read_bytes() for n, path in served.items() if n.endswith(".csv")
    }
    assert json.loads(published["now.json"])["hour"] == json.loads(served["now.json"].read_bytes())["hour"]

    state = in_bucket.state()
    with in_bucket.bucket.asked() as asked:
        done = in_bucket.hourly(AIRQINO_BASE_URL="http://127.0.0.1:9")  # nobody there: no request may go out
    assert done.returncode == 0, done.stderr
    changed = sorted({path for method, path in asked if method in ("PUT", "DELETE", "POST") and ".probe." not in path})
    assert changed == ["/air/last_success.json", "/air/runs.parquet"]
    heads = sum(method == "HEAD" for method, _ in asked)
    lists = sum(method == "LIST" for method, _ in asked)
    assert (heads, lists <= 15) == (0, True), (heads, lists)
    gets = [path for method, path in asked if method == "GET" and path.endswith(".parquet")]
    assert len(gets) <= 2 * len({*gets}), "each process reads an object once"
    assert in_bucket.state() == state


def test_damaged_objects_heal(filled: Deployed, on_disk: Pipeline) -> None:
    in_bucket = filled
    names = ("2026-03-03/raw/05.parquet", "2026-03-03/hourly.parquet", "2026-03-04/daily.parquet")
    sound = {name: in_bucket.bucket.objects("air/2")[f"air/{name}"] for name in names}
    in_bucket.bucket.put(f"air/{names[0]}", sound[names[0]][:-20])  # cut
    in_bucket.bucket.put(f"air/{names[1]}", b"")
    in_bucket.bucket.put(f"air/{names[2]}", sound[names[1]])  # another's
    done = in_bucket.hourly()
    assert done.returncode == 0, done.stderr
    aside = in_bucket.bucket.objects("air/quarantine/")
    assert sorted(key.removeprefix("air/quarantine/").rsplit(".", 2)[0] for key in aside) == sorted(names)
    assert in_bucket.staged() == on_disk.staged()
    incidents = json.loads(in_bucket.bucket.objects("air/alerts.json")["air/alerts.json"])["incidents"]
    assert any(key.startswith("damaged_file") for key in incidents)


def test_a_run_that_is_killed_is_gone_on_with(in_bucket: Deployed, on_disk: Pipeline) -> None:
    env = in_bucket.env
    command = [sys.executable, "-m", "tasks.cli", "backfill", START, STOP]
    killed = subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: len(in_bucket.bucket.objects("air/2")) >= 10, 60, "some hours")
    assert killed.poll() is None
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert in_bucket.documents("daily_averages") == {}
    for done in (in_bucket.backfill(START, STOP), in_bucket.hourly()):
        assert done.returncode == 0, done.stderr
    assert in_bucket.staged() == on_disk.staged()
    for collection in COLLECTIONS:
        assert in_bucket.documents(collection) == on_disk.documents(collection), collection


def test_a_raw_day_that_was_lost_comes_back_from_mongodb(filled: Deployed, on_disk: Pipeline) -> None:
    in_bucket = filled
    for key in in_bucket.bucket.objects("air/2026-03-03/"):
        in_bucket.bucket.client.delete_object(Bucket=in_bucket.bucket.name, Key=key)
    done = in_bucket.hourly()
    assert done.returncode == 0, done.stderr
    assert "2026-03-03: raw hours were gone from the staging root: restored from MongoDB" in done.stderr
    assert in_bucket.documents("daily_averages") == on_disk.documents("daily_averages")


def test_settings_that_do_not_go_with_a_bucket(in_bucket: Deployed) -> None:
    for env, told in (
        ({"MLFLOW_TRACKING_URI": ""}, "the model registry must be a server: set MLFLOW_TRACKING_URI"),
        ({"MLFLOW_TRACKING_URI": "sqlite:////tmp/x.db"}, "the model registry must be a server"),
        ({"STAGING_ROOT": "s3://Wrong_Name/x"}, "allowed is a folder, or s3://bucket/prefix"),
        ({"STAGING_ROOT": "gs://bucket/x"}, "allowed is a folder, or s3://bucket/prefix"),
        (
            {"STAGING_ROOT": "s3://no-such-bucket/x"},
            "STAGING_ROOT ([staging] root) = s3://no-such-bucket/x: there is no",
        ),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "http://127.0.0.1:9 does not answer"),
    ):
        for command in ("hourly", "status", "verify", "note"):
            done = in_bucket.script(command, *(["list"] if command == "note" else []), **env)
            said = f"{done.stdout}{done.stderr}"
            assert told in said, (command, env, said)
            assert done.returncode != 0, (command, env)
            assert "Traceback" not in said, (command, env, said)
            assert "a-secret-of" not in said


STATION = "283181971"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["status"], "public page: 2026-03-04T23, in s3://"),
        (["models", "list"], ""),
        (["runs"], "backfill"),
        (["alerts", "list"], "open incident"),
        (["run", "LoadDay", "--day", "2026-03-03"], ""),
        (["verify", "2026-03-03"], "all documents are as they were meant"),
        (["note", "invalidate", STATION, "pm2_5", "2026-03-03T03", "--why", "dust", "--now"], ""),
        (["note", "list"], "dust"),
        (["publish"], "published: s3://"),
        (["export", "2026-03"], "283164601"),
        (["report", "2026-03"], ""),
    ],
    ids=lambda value: "_".join(value[:2]) if isinstance(value, list) else "",
)
def test_the_other_commands_read_and_write_it(filled: Deployed, command: list[str], told: str) -> None:
    out = ["--out", f"{filled.root.parent / 'report.html'}"] if command[0] == "report" else []
    done = filled.script(*command, *out)
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert told in done.stdout
    assert "Traceback" not in done.stderr


def test_the_doctor_looks_at_it(filled: Deployed) -> None:
    done = filled.script("doctor")
    assert f"✓ staging root        {filled.bucket.root} can be written" in done.stdout
    assert "✓ runs under way      none" in done.stdout
    assert "Traceback" not in done.stderr
    done = filled.script("doctor", AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert "✗ staging root" in done.stdout
    assert "http://127.0.0.1:9 does not answer" in done.stdout
    assert "Traceback" not in f"{done.stdout}{done.stderr}"


def test_two_workers_of_one_run_share_it(in_bucket: Deployed, on_disk: Pipeline) -> None:
    done = in_bucket.backfill(START, STOP, "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert in_bucket.documents("daily_averages").keys() <= on_disk.documents("daily_averages").keys()
    there = in_bucket.staged()
    assert {name: there[name] for name in there if "/raw/" in name} == {
        name: of for name, of in on_disk.staged().items() if name in there and "/raw/" in name
    }
