"""Real parts for the tests: a mongod, a sandbox API, and the pipeline as its commands run it."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pymongo import MongoClient

from tasks.airqino.sandbox import Sandbox
from tasks.stores.mongod import Mongod

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared" / "data"

#: Bookkeeping that says when something was done, not what: left out when two runs are compared.
WHEN = ("read_at", "checked_at", "attempts", "reason", "loaded_at", "seen_at")


@pytest.fixture(scope="session")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    with Mongod(tmp_path_factory.mktemp("mongod")) as server:
        yield server


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """The synthetic API, its clock following the machine's until a test sets it."""
    with Sandbox() as server:
        yield server


class Pipeline:
    """One deployment: a staging root and a database of its own, run through the real commands."""

    def __init__(self, root: Path, mongod: Mongod, api: str, **env: str) -> None:
        self.root = root
        self.database_name = f"test_{uuid.uuid4().hex[:12]}"
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("AIRQINO_", "MONGODB_", "STAGING_", "LUIGI"))},
            "AIRQINO_BASE_URL": api,
            "STAGING_ROOT": str(root),
            "MONGODB_URI": mongod.uri,
            "MONGODB_DATABASE": self.database_name,
            "LUIGID_URL": "http://127.0.0.1:9",  # nobody listens there
            "COLUMNS": "200",
            **env,
        }
        self.client: MongoClient[dict[str, Any]] = MongoClient(mongod.uri, tz_aware=True)
        self.database = self.client[self.database_name]

    def script(self, name: str, *arguments: str, timeout: float = 240, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command as its script does, without the set-up check."""
        return subprocess.run(
            [sys.executable, "-m", f"tasks.cli.{name}", *arguments],
            env=self.env | env,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def hourly(self, now: str | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        return self.script("hourly", **env, **({"AIRQINO_NOW": now} if now else {}))

    def backfill(self, start: str, stop: str, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
        return self.script("backfill", start, stop, *options, **env)

    def luigi(self, *arguments: str, timeout: float = 240, **env: str) -> subprocess.CompletedProcess[str]:
        """Run plain Luigi with the local scheduler."""
        command = [str(Path(sys.executable).with_name("luigi")), "--module", "tasks", *arguments, "--local-scheduler"]
        return subprocess.run(
            command, env=self.env | env, cwd=ROOT, capture_output=True, text=True, timeout=timeout
        )

    def documents(self, collection: str) -> dict[str, dict[str, Any]]:
        """All documents by _id, without the times at which things were done."""
        return {
            d["_id"]: {k: v for k, v in d.items() if k not in WHEN} for d in self.database[collection].find()
        }

    def staged(self) -> dict[str, pd.DataFrame]:
        """All staged tables by path, without the times at which things were done."""
        return {
            str(path.relative_to(self.root)): pd.read_parquet(path).drop(columns=list(WHEN), errors="ignore")
            for path in sorted(self.root.glob("*-*-*/**/*.parquet"))
        }

    def state(self) -> dict[str, Any]:
        """Everything that two runs must agree on."""
        collections = ("hourly_measurements", "daily_averages", "stations", "revisions")
        return {
            "staged": {path: table.to_dict("list") for path, table in self.staged().items()},
            **{name: self.documents(name) for name in collections},
        }


@pytest.fixture
def pipeline(tmp_path: Path, mongod: Mongod, sandbox: Sandbox) -> Iterator[Pipeline]:
    """A deployment that talks to the synthetic API."""
    made = Pipeline(tmp_path / "staging", mongod, sandbox.url)
    yield made
    made.client.drop_database(made.database_name)
    made.client.close()
