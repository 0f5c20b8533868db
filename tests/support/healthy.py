"""A healthy deployment of real parts, for the tests of `scripts/doctor` to break one by one."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from luigi.configuration import LuigiConfigParser
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from airqino import views
from airqino.sandbox.mongod import UNCOMPRESSED, find_mongod, free_port
from airqino.sandbox.server import Account, Sandbox
from airqino.stores import indexes, models
from support.deployment import NO_SETTINGS, OURS, ROOT
from support.secured import ADMIN_PASSWORD, Certificates, ReplicaSet
from tasks import doctor
from tasks.doctor.checks import Result, ok

DATABASE = "air_quality"
#: Passwords and tokens that no output may hold.
SECRETS = ("Writer-S3cret", ADMIN_PASSWORD, "Reader-S3cret", "sandbox-S3cret", "demo-S3cret", "Alert-S3cret")
ACCOUNT = Account("airqino-sandbox", "sandbox-S3cret", "operator", "demo-S3cret")


class Server:
    """A mongod with options of its own; `scripts/demo`'s knows no access control."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port, self.folder = free_port(), folder
        (folder / "data").mkdir(parents=True)
        self.process = subprocess.Popen(
            [
                *(f"{find_mongod()}", "--dbpath", f"{folder / 'data'}", "--port", f"{self.port}"),
                *("--bind_ip", "127.0.0.1", "--nounixsocket", "--wiredTigerCacheSizeGB", "0.25"),
                *(options or UNCOMPRESSED),
            ],
            stdout=(folder / "log").open("w"),
        )

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def wait_for(client: MongoClient[Any], ready: str = "isWritablePrimary") -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(PyMongoError):
            if client.admin.command("hello").get(ready):
                return
        time.sleep(0.05)
    raise TimeoutError(f"no {ready}")


class Secured:
    """A one-member replica set that requires TLS and users, as in production."""

    def __init__(self, folder: Path) -> None:
        certificates = Certificates(folder / "tls")
        self.ca, self.other_ca = certificates.ca_file, Certificates(folder / "stranger").ca_file
        self.server = ReplicaSet(folder / "server", certificates, certificates.issue("mongod", "localhost"), members=1)
        self.client = self.server.client(self.server.admin_uri)
        writer = [{"role": role, "db": DATABASE} for role in ("readWrite", "dbAdmin")]
        self.client.admin.command("createUser", "writer", pwd="Writer-S3cret", roles=writer)
        reader = [{"role": "read", "db": DATABASE}]
        self.client.admin.command("createUser", "reader", pwd="Reader-S3cret", roles=reader)
        self.database = self.client[DATABASE]

    def _uri(self, login: str, options: str = "tls=true") -> str:
        return f"mongodb://{login}localhost:{self.server.ports[0]}/?{options}"

    def uri(self, user: str = "writer", password: str = "Writer-S3cret", options: str = "tls=true") -> str:
        return self._uri(f"{user}:{password}@", options)

    def loaded(self) -> None:
        """As after a load."""
        indexes.ensure_indexes.cache_clear()
        views.ensure_views.cache_clear()
        indexes.ensure_indexes(self.database)
        views.ensure_views(self.database)
        self.database["loads"].replace_one({"_id": "day|2024-09-09"}, {}, upsert=True)
        self.database["loads"].delete_one({"_id": "environment"})


def _as_if_maintained(result: Result) -> Result:
    """Take the age of the mongod that the tests have for no fault of a deployment."""
    if result.name == "MongoDB version" and re.fullmatch(r"6\.0\.\d+ is past its end of life", result.finding):
        return ok(result.name, result.finding)
    return result


class Deployment:
    """Settings, folders and servers of a deployment in which all is well, examined in this process."""

    def __init__(
        self, folder: Path, api: Sandbox, database: Secured, luigid: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.folder, self.api, self.database, self.monkeypatch = folder, api, database, monkeypatch
        self.root, self.system, self.repository = folder / "staging", folder / "system", folder / "repository"
        self.cfg, self.cfg_mode = "", 0o600
        self.env = {
            "AIRQINO_BASE_URL": api.url,
            "AIRQINO_TOKEN_URL": api.token_url,
            "AIRQINO_CLIENT_ID": ACCOUNT.client_id,
            "AIRQINO_CLIENT_SECRET": ACCOUNT.client_secret,
            "AIRQINO_USERNAME": ACCOUNT.username,
            "AIRQINO_PASSWORD": ACCOUNT.password,
            "MONGODB_URI": database.uri(),
            "MONGODB_CA_FILE": f"{database.ca}",
            "STAGING_ROOT": f"{self.root}",
            "LUIGID_URL": luigid,
            "ALERT_URLS": "json://127.0.0.1:9/Alert-S3cret",
            "ALERT_HEARTBEAT_URL": "http://127.0.0.1:9/Alert-S3cret",
            "PATH": "/nonexistent",  # no crontab, no systemctl of this machine
        }
        hour = datetime.now(UTC) - timedelta(hours=1)
        self.root.mkdir()
        self.success(hour)
        self.probed(hour)
        about = models.ModelCard(trained_for="2024-09-09")
        models.save(self.root / "models" / "2024-09-09", {"model.json": b"{}"}, about)
        models.write_champion(
            self.root / "models" / "champion.json", models.Champion("2024-09-09", "2024-09-09T00:05:00+00:00")
        )
        (self.system / "etc" / "cron.d").mkdir(parents=True)
        self.crontab("airqino", "5 * * * * etl cd /srv/airqino && scripts/hourly\n")
        (self.system / "proc" / "77").mkdir(parents=True)
        (self.system / "proc" / "77" / "comm").write_text("cron\n")
        self.repository.mkdir()
        shutil.copy(ROOT / "constraints.txt", self.repository)

    def success(self, at: datetime) -> None:
        text = json.dumps({"hour": f"{at:%Y-%m-%dT%H}", "at": at.isoformat()})
        (self.root / "last_success.json").write_text(text)

    def probed(self, at: datetime, outcome: str = "holds") -> None:
        verdict = {"name": "hour", "outcome": outcome, "seen": ""}
        report = {"at": at.isoformat(), "base_url": self.api.url, "station": "1", "verdicts": [verdict]}
        (self.root / "probe.json").write_text(json.dumps(report))

    def crontab(self, name: str, text: str) -> None:
        for old in (self.system / "etc" / "cron.d").iterdir():
            old.unlink()
        (self.system / "etc" / "cron.d" / name).write_text(text)

    def examine(self) -> dict[str, Result]:
        for variable in [name for name in os.environ if name.startswith(OURS)]:
            self.monkeypatch.delenv(variable)
        self.monkeypatch.setenv("AIRQINO_CONFIG_DIR", NO_SETTINGS)
        for variable, value in self.env.items():
            self.monkeypatch.setenv(variable, value)
        overlay = self.folder / "overlay.cfg"
        overlay.write_text(self.cfg)
        overlay.chmod(self.cfg_mode)
        quick = self.folder / "quick.cfg"
        # whatever room the machine has that runs the tests
        quick.write_text("[mongo]\ntimeout_seconds = 1.5\n[alerts]\ndisk_free_share = 1e-9\n")
        self.monkeypatch.setattr(LuigiConfigParser, "_instance", None)
        paths = [f"{path}" for path in (ROOT / "luigi.cfg", quick, overlay)]
        self.monkeypatch.setattr(LuigiConfigParser, "_config_paths", paths)
        results = doctor.examine(self.repository, self.system)
        for secret in SECRETS:
            assert secret not in repr(results)
        self.examined = {result.name: result for result in results}
        return {name: _as_if_maintained(result) for name, result in self.examined.items()}

    def wrong(self) -> dict[str, Result]:
        """What is not as it should be."""
        return {name: r for name, r in self.examine().items() if r.outcome in ("failed", "warning")}
