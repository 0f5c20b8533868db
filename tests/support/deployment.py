"""A deployment of the pipeline for the tests, run as its commands run it."""

import atexit
import os
import re
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, Self

import pyarrow.parquet as pq
from pymongo import MongoClient

from support import commands
from support.commands import ROOT

REAL = ROOT.parent / "shared" / "data"

#: Bookkeeping that says when something was done, not what: left out when two runs are compared.
WHEN = ("read_at", "checked_at", "attempts", "reason", "loaded_at", "seen_at")

#: What most deployments change of luigi.cfg, so that a training takes a second.
QUICK = Path(__file__).with_name("quick.cfg")

#: Variables that must not reach a deployment from outside.
OURS = (
    "AIRQINO_",
    "ALERT_",
    "LOG_",
    "LUIGI",
    "METRICS_",
    "MLFLOW_",
    "MONGODB_",
    "PUBLISH_",
    "PUSHGATEWAY_",
    "STAGING_",
)

#: An empty folder of settings, in place of this machine's own.
NO_SETTINGS = tempfile.mkdtemp(prefix="airqino-no-settings-")
_OWNER = os.getpid()


@atexit.register
def _forget_settings() -> None:
    if os.getpid() == _OWNER:  # no process that was forked from this one
        shutil.rmtree(NO_SETTINGS, ignore_errors=True)


def without_settings() -> dict[str, str]:
    """This process's environment without any setting of the pipeline's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return kept | {"AIRQINO_CONFIG_DIR": NO_SETTINGS}


class Server(Protocol):
    """A mongod, whoever started it."""

    uri: str


class Pipeline:
    """One deployment: a staging root and a database of its own, run through the real commands."""

    def __init__(self, root: Path, mongod: Server, api: str, **env: str) -> None:
        self.root, self.mongod = root, mongod
        self.database_name = f"test_{uuid.uuid4().hex[:12]}"
        self.env = {
            **without_settings(),
            "AIRQINO_BASE_URL": api,
            "STAGING_ROOT": str(root),
            "MONGODB_URI": mongod.uri,
            "MONGODB_DATABASE": self.database_name,
            "LUIGID_URL": "http://127.0.0.1:9",  # nobody listens there
            "COLUMNS": "200",
            "LUIGI_CONFIG_PATH": f"{QUICK}",
            **env,
        }
        self.client: MongoClient[dict[str, Any]] = MongoClient(mongod.uri, tz_aware=True)
        self.database = self.client[self.database_name]

    @contextmanager
    def copied(self, root: Path) -> Iterator[Self]:
        """Lend a deployment of its own that starts where this one is."""
        shutil.copytree(self.root, root)
        made = type(self)(root, self.mongod, self.env["AIRQINO_BASE_URL"])
        ours = {"STAGING_ROOT", "MONGODB_DATABASE"}
        made.env = {name: made.env[name] if name in ours else text for name, text in self.env.items()}
        for name in self.database.list_collection_names(filter={"type": "collection"}):
            if not name.startswith("system.") and (documents := list(self.database[name].find())):
                made.database[name].insert_many(documents)
        try:
            yield made
        finally:
            made.close()

    def close(self) -> None:
        """Drop the database."""
        self.client.drop_database(self.database_name)
        self.client.close()

    def script(self, name: str, *arguments: str, timeout: float = 240, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command as its script does, without the set-up check."""
        return commands.run(["airqino", name, *arguments], self.env | env, timeout)

    def hourly(self, now: str | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        return self.script("hourly", **env, **({"AIRQINO_NOW": now} if now else {}))

    def backfill(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return self.script("backfill", *arguments, **env)

    def luigi(self, *arguments: str, timeout: float = 240, **env: str) -> subprocess.CompletedProcess[str]:
        """Run plain Luigi with the local scheduler."""
        command = ["luigi", "--module", "tasks", *arguments, "--local-scheduler"]
        return commands.run(command, self.env | env, timeout)

    def configure(self, path: Path, **options: object) -> None:
        """Change options in a luigi.cfg of the deployment's own, beside those of `QUICK`."""
        text, changed = (ROOT / "luigi.cfg").read_text(), {"horizons": "1, 2", "rounds": 30} | options
        if path.exists():
            text, changed = path.read_text(), options
        for option, value in changed.items():
            text, found = re.subn(rf"^{option} =.*", f"{option} = {value}", text, flags=re.MULTILINE)
            assert found == 1, option
        path.write_text(text)
        self.env["LUIGI_CONFIG_PATH"] = str(path)

    def documents(self, collection: str) -> dict[str, dict[str, Any]]:
        """All documents by _id, without the times at which things were done."""
        return {d["_id"]: {k: v for k, v in d.items() if k not in WHEN} for d in self.database[collection].find()}

    def staged(self) -> dict[str, list[dict[str, Any]]]:
        """The rows of all staged tables by path, without the times at which things were done."""
        return {
            str(path.relative_to(self.root)): [
                {k: v for k, v in row.items() if k not in WHEN} for row in pq.ParquetFile(path).read().to_pylist()
            ]
            for path in sorted(self.root.glob("*-*-*/**/*.parquet"))
        }

    def state(self) -> dict[str, Any]:
        """Everything that two runs must agree on."""
        collections = ("hourly_measurements", "daily_averages", "stations", "revisions")
        return {"staged": self.staged(), **{name: self.documents(name) for name in collections}}
