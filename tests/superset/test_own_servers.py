"""Superset's own data in a real PostgreSQL and its cache in a real Redis, as production has them."""

import json
import os
import pwd
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from support.deployment import ROOT
from support.servers import running, until

from airqino.sandbox.mongod import Mongod, free_port

pytestmark = pytest.mark.superset
PASSWORD = secrets.token_hex(12)


@dataclass
class Servers:
    """A PostgreSQL with an empty database and an empty Redis."""

    postgres: Path
    folder: Path
    database_port: int
    redis_port: int

    def sql(self, query: str) -> list[str]:
        """Ask the database as its owner."""
        command = [str(self.postgres / "psql"), "--no-psqlrc", "--tuples-only", "--no-align", "--command", query]
        where = {
            "PGHOST": "127.0.0.1",
            "PGPORT": f"{self.database_port}",
            "PGUSER": "superset",
            "PGDATABASE": "postgres",
        }
        done = subprocess.run(
            command, env=os.environ | where | {"PGPASSWORD": PASSWORD}, capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()

    def keys(self) -> set[str]:
        """What the cache holds: the kinds of its keys, superset:KIND:…"""
        done = subprocess.run(
            ["redis-cli", "-p", f"{self.redis_port}", "keys", "*"], capture_output=True, text=True, check=True
        )
        return {":".join(key.split(":")[:2]) for key in done.stdout.split()}


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    postgres = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    # PostgreSQL does not run as root, and pytest's folders are for their owner only
    folder = Path(tempfile.mkdtemp(prefix="airqino-servers-"))
    account = pwd.getpwnam("postgres")
    as_postgres = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    if os.getuid() != 0:
        as_postgres = []
    else:
        os.chown(folder, account.pw_uid, account.pw_gid)
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o644)
    made = [str(postgres / "initdb"), f"--pgdata={folder / 'data'}", "--username=superset", "--auth=scram-sha-256"]
    subprocess.run(
        [*as_postgres, *made, f"--pwfile={folder / 'password'}", "--encoding=UTF8", "--locale=C.UTF-8"],
        check=True, capture_output=True, cwd=folder,
    )  # fmt: skip
    database, cache = free_port(), free_port()
    options = ["-D", f"{folder / 'data'}", "-p", f"{database}", "-h", "127.0.0.1", "-k", f"{folder}", "-c", "fsync=off"]
    redis = ["redis-server", "--port", f"{cache}", "--bind", "127.0.0.1", "--save", "", "--dir", f"{folder}"]
    with (
        running(*as_postgres, str(postgres / "postgres"), *options, log=folder / "postgres.log", port=database),
        running(*redis, log=folder / "redis.log", port=cache),
    ):
        made_servers = Servers(postgres, folder, database, cache)
        until(lambda: ready(postgres, database), 30, "PostgreSQL")
        yield made_servers
    shutil.rmtree(folder)


def ready(postgres: Path, port: int) -> bool:
    return (
        subprocess.run(
            [str(postgres / "pg_isready"), "-h", "127.0.0.1", "-p", f"{port}"], capture_output=True
        ).returncode
        == 0
    )


@pytest.fixture(scope="module")
def site(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, dict[str, str]]]:
    """Superset over both: its URL, the folder of its state, and its environment."""
    folder = tmp_path_factory.mktemp("superset")
    port = free_port()
    with Mongod(folder / "mongo") as mongod:
        environment = os.environ | {
            "STAGING_ROOT": str(folder / "staging"),
            "MONGODB_URI": mongod.uri,
            "MONGODB_DATABASE": "air_quality",
            "SUPERSET_PORT": str(port),
            "SUPERSET_ADMIN_PASSWORD": PASSWORD,
            "SUPERSET_VIEWER_PASSWORD": PASSWORD,
            "SUPERSET_DATABASE_URI": f"postgresql://superset:{PASSWORD}@127.0.0.1:{servers.database_port}/postgres",
            "SUPERSET_REDIS_URL": f"redis://127.0.0.1:{servers.redis_port}/0",
        }
        superset("up", environment)
        try:
            yield f"http://127.0.0.1:{port}", folder / "staging" / "superset", environment
        finally:
            superset("down", environment)


def superset(command: str, environment: dict[str, str]) -> None:
    done = subprocess.run([str(ROOT / "scripts/superset"), command], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


def admin(url: str) -> requests.Session:
    """Log in as a browser does."""
    session = requests.Session()
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', session.get(f"{url}/login/").text)
    assert token
    form = {"username": "admin", "password": PASSWORD, "csrf_token": token[1]}
    session.post(f"{url}/login/", data=form, headers={"Referer": url}).raise_for_status()
    session.headers["Referer"] = url
    session.headers["X-CSRFToken"] = session.get(f"{url}/api/v1/security/csrf_token/").json()["result"]
    return session


def test_users_and_dashboards_are_in_postgresql_and_no_file_holds_them(site, servers: Servers) -> None:
    url, state, _ = site
    assert servers.sql("SELECT username FROM ab_user ORDER BY username") == ["admin", "viewer"]
    slugs = servers.sql("SELECT slug FROM dashboards ORDER BY slug")
    assert "air-quality" in slugs
    listed = admin(url).get(f"{url}/api/v1/dashboard/").json()["result"]
    assert sorted(dashboard["slug"] for dashboard in listed) == slugs
    assert not list(state.rglob("*.db"))


def test_answers_and_filters_are_cached_in_redis_and_in_no_file(site, servers: Servers) -> None:
    url, state, _ = site
    session = admin(url)
    dashboard = session.get(f"{url}/api/v1/dashboard/air-quality").json()["result"]["id"]
    kept = session.post(
        f"{url}/api/v1/dashboard/{dashboard}/filter_state", json={"value": json.dumps({"station": "x"})}
    )
    assert kept.status_code == 201, kept.text
    got = session.get(f"{url}/api/v1/dashboard/{dashboard}/filter_state/{kept.json()['key']}")
    assert json.loads(got.json()["value"]) == {"station": "x"}
    datasets = session.get(f"{url}/api/v1/dataset/").json()["result"]
    one = min(of["id"] for of in datasets)
    columns = session.get(f"{url}/api/v1/dataset/{one}").json()["result"]["columns"]
    query = {"columns": [columns[0]["column_name"]], "metrics": [], "row_limit": 10}
    asked = {"datasource": {"id": one, "type": "table"}, "queries": [query], "result_format": "json"}
    answered = session.post(f"{url}/api/v1/chart/data", json=asked)
    assert answered.status_code == 200, (answered.text[:500], [of["table_name"] for of in datasets])
    assert servers.keys() >= {"superset:filters", "superset:data"}
    assert not (state / "cache").exists()


def test_what_was_made_in_the_browser_outlives_the_container(site, servers: Servers) -> None:
    url, state, environment = site
    made = admin(url).post(f"{url}/api/v1/dashboard/", json={"dashboard_title": "of my own", "slug": "own"})
    assert made.status_code == 201, made.text
    superset("down", environment)
    shutil.rmtree(state)  # the key that signs sessions is the environment's, in production
    superset("up", environment)
    assert admin(url).get(f"{url}/api/v1/dashboard/own").json()["result"]["dashboard_title"] == "of my own"
    assert servers.sql("SELECT count(*) FROM dashboards WHERE slug = 'air-quality'") == ["1"]
