"""No secret is ever written down: whatever goes well or wrong in a run, no file and no line of output holds one."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.composed import Members
from support.deployment import ROOT, Pipeline

from airqino.sandbox.server import Account, Sandbox

pytestmark = pytest.mark.drill
#: A Monday, so that a model is trained and recorded as well.
NOW = datetime(2026, 2, 23, 12, 6, tzinfo=UTC)
CLIENT, API, DATABASE, ALERT, BEAT, PUSH, MLFLOW, WRONG = SECRETS = (
    *("cLi3nt-kq83hZpV", "pAssw0rd-m27RtxQe", "m0ngo-w9KcY4sB", "aLert-u5GfJ1nD", "hEart-b6TzX8vL"),
    *("pUsh-e4WqN7aM", "mLflow-c1PdS9yH", "wR0ng-j3VrF6kT"),
)


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Members]:
    made = Members(tmp_path_factory.mktemp("members"), DATABASE, count=1)
    assert made.initiate().returncode == 0
    yield made
    made.stop()


@pytest.fixture(scope="module")
def api() -> Iterator[Sandbox]:
    with Sandbox(now=NOW, account=Account(client_secret=CLIENT, password=API)) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def deployed(members: Members, api: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A deployment with every secret set; nobody answers where alerts, metrics and models go."""
    made = Pipeline(
        tmp_path_factory.mktemp("deployed") / "staging",
        members,
        api.url,
        AIRQINO_TOKEN_URL=api.token_url,
        AIRQINO_NOW=f"{NOW:%Y-%m-%dT%H:%M}",
        AIRQINO_CLIENT_ID=Account().client_id,
        AIRQINO_CLIENT_SECRET=CLIENT,
        AIRQINO_USERNAME=Account().username,
        AIRQINO_PASSWORD=API,
        ALERT_URLS=f"json://airqino:{ALERT}@127.0.0.1:9 mailto://airqino:{ALERT}@127.0.0.1:9?to=a@example.org",
        ALERT_HEARTBEAT_URL=f"http://127.0.0.1:9/ping/{BEAT}",
        PUSHGATEWAY_URL=f"http://airqino:{PUSH}@127.0.0.1:9",
        MLFLOW_TRACKING_URI=f"http://airqino:{MLFLOW}@127.0.0.1:9",
        MLFLOW_HTTP_REQUEST_MAX_RETRIES="0",
    )
    yield made
    made.client.close()


RUNS = {
    "all is well": (0, {}),
    "another password at the API": (30, {"AIRQINO_PASSWORD": WRONG, "AIRQINO_NOW": "2026-02-23T13:06"}),
    "another client secret at the API": (30, {"AIRQINO_CLIENT_SECRET": WRONG, "AIRQINO_NOW": "2026-02-23T13:06"}),
    "another password at MongoDB": (2, {"MONGODB_URI": "right:wrong"}),
    "a password with reserved characters": (2, {"MONGODB_URI": f"mongodb://root:p@ss/{WRONG}@localhost:9/"}),
    "no MongoDB": (2, {"MONGODB_URI": f"mongodb://root:{WRONG}@localhost:9/?serverSelectionTimeoutMS=500"}),
    "an escaped @": (2, {"MONGODB_URI": f"mongodb://root:{WRONG}%40localhost:9/"}),
    "a heartbeat that is no URL": (2, {"ALERT_HEARTBEAT_URL": f"ftp://{WRONG}"}),
    "a Pushgateway that is no URL": (2, {"PUSHGATEWAY_URL": f"airqino:{WRONG}@gateway"}),
    "a registry that is no URL": (2, {"MLFLOW_TRACKING_URI": f"airqino:{WRONG}@mlflow"}),
}


@pytest.fixture(scope="module")
def told(deployed: Pipeline, members: Members, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all output of the runs, of which each ends as it should."""
    folder = tmp_path_factory.mktemp("output")
    fast = tmp_path_factory.mktemp("cfg") / "fast.cfg"
    production = (ROOT / "deploy" / "env" / "production.cfg").read_text()
    fast.write_text(production + "\n[mongo]\ntimeout_seconds = 1\n")
    for name, (code, env) in RUNS.items():
        if env.get("MONGODB_URI") == "right:wrong":
            env = {"MONGODB_URI": members.of("root", WRONG)}
        for console in ("text", "json"):
            done = deployed.hourly(**(env | {"LOG_CONSOLE": console, "LUIGI_CONFIG_PATH": str(fast)}))
            assert done.returncode == code, f"{name}: {done.stderr}"
            (folder / f"{name} {console}.txt").write_text(done.stdout + done.stderr)
    for arguments in ((), ("--json",)):
        done = deployed.script("status", *arguments)
        (folder / f"status {len(arguments)}.txt").write_text(done.stdout + done.stderr)
    return folder


def content(path: Path) -> str:
    """A file's bytes as text, and what a Parquet file's compression hides."""
    text = path.read_bytes().decode("utf-8", "replace")
    if path.suffix == ".parquet":
        table = pq.ParquetFile(path).read()
        text += str(table.schema.metadata) + str(table.to_pylist())
    return text


def test_no_file_and_no_output_holds_a_secret(deployed: Pipeline, told: Path, api: Sandbox) -> None:
    staged = [path for path in deployed.root.rglob("*") if path.is_file()]
    assert [path for path in staged if path.parent.name == "logs"]
    assert len(list((deployed.root / "models").iterdir())) == 1
    printed = sorted(told.iterdir())
    assert len(printed) == 2 * len(RUNS) + 2
    secrets = [*SECRETS, *api.tokens.issued]
    assert len(secrets) > len(SECRETS), "the API gave tokens out"
    found = [(path.name, secret) for path in (*staged, *printed) for secret in secrets if secret in content(path)]
    assert found == []


def scan(*folders: Path) -> dict[str, object]:
    command = [sys.executable, "-m", "detect_secrets", "scan", "--no-verify", "--all-files", *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=folders[0])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["results"]


def test_a_scanner_that_does_not_know_the_secrets_finds_none_either(
    deployed: Pipeline, told: Path, tmp_path: Path
) -> None:
    for path in (*(deployed.root / "logs").iterdir(), *told.iterdir()):
        # a run's id looks drawn by chance because it is
        text = re.sub(r'("trace": ?\{"id": ?)"[0-9a-f]{32}"', r'\1"run"', path.read_text())
        (without := tmp_path / "without" / path.name).parent.mkdir(exist_ok=True)
        without.write_text(text)
    assert scan(tmp_path / "without") == {}
    (tmp_path / "leak.txt").write_text(f"cannot reach {deployed.env['MONGODB_URI']}\n")
    assert [*scan(tmp_path)] == ["leak.txt"], "the scanner sees what it should"
