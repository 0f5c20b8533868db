"""The healthy deployment and its servers."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.deployment import ROOT
from support.healthy import ACCOUNT, Deployment, Secured

from airqino.sandbox.mongod import free_port
from airqino.sandbox.server import Sandbox


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    database = Secured(tmp_path_factory.mktemp("secured"))
    yield database
    database.client.close()
    database.server.stop()


@pytest.fixture(scope="session")
def luigid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port, state = free_port(), tmp_path_factory.mktemp("luigid") / "state"
    command = [f"{Path(sys.executable).with_name('luigid')}", "--address", "127.0.0.1", "--port", f"{port}"]
    server = subprocess.Popen([*command, "--state-path", f"{state}"], cwd=ROOT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            break
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.terminate()
    server.wait(20)


@pytest.fixture
def account() -> Iterator[Sandbox]:
    """The API with its sign-in."""
    with Sandbox(account=ACCOUNT) as server:
        yield server


@pytest.fixture
def healthy(
    tmp_path: Path, account: Sandbox, secured: Secured, luigid: str, monkeypatch: pytest.MonkeyPatch
) -> Deployment:
    secured.loaded()
    return Deployment(tmp_path, account, secured, luigid, monkeypatch)
