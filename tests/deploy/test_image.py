"""The images, built by scripts/dev/test-image, run as the user they name, against real parts on this machine."""

import contextlib
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.deployment import Pipeline

from airqino.sandbox.mongod import free_port
from airqino.sandbox.server import Sandbox

pytestmark = pytest.mark.image
USER = 10001
NOW = datetime(2026, 2, 20, 12, 6, tzinfo=UTC)


def buildah(*arguments: str) -> list[str]:
    store = os.environ["BUILDAH_STORE"]
    return ["buildah", "--root", f"{store}/root", "--runroot", f"{store}/run", *arguments]


class Container:
    """A working container of an image, run by its own user with a folder of ours as its volume."""

    def __init__(self, target: str, folder: Path) -> None:
        made = subprocess.run(buildah("from", f"localhost/airqino-{target}"), capture_output=True, text=True)
        assert made.returncode == 0, made.stderr
        self.name, self.folder = made.stdout.strip(), folder
        folder.mkdir(parents=True, exist_ok=True)
        os.chown(folder, USER, USER)
        for parent in (folder, *folder.parents[:3]):  # pytest's folders are for their owner only
            parent.chmod(parent.stat().st_mode | 0o055)

    def command(self, *arguments: str, **env: str) -> list[str]:
        settings = [part for name, value in env.items() for part in ("--env", f"{name}={value}")]
        volume = f"{self.folder}:/var/lib/airqino"
        return buildah("run", "--volume", volume, *settings, self.name, "--", *arguments)

    def run(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*arguments, **env), capture_output=True, text=True, timeout=240)

    @contextlib.contextmanager
    def serving(self, url: str, *arguments: str, **env: str) -> Iterator[None]:
        """Run a server until it answers, and to the end of the block."""
        log = (self.folder.parent / "server.log").open("w")
        server = subprocess.Popen(self.command(*arguments, **env), stdout=log, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + 200
            while status(url) != 200:
                assert server.poll() is None, Path(log.name).read_text()[-2000:]
                assert time.monotonic() < deadline, Path(log.name).read_text()[-2000:]
                time.sleep(0.5)
            yield
        finally:
            server.terminate()
            server.wait(30)

    def remove(self) -> None:
        subprocess.run(buildah("rm", self.name), capture_output=True, check=True)


def status(url: str, host: str | None = None) -> int | None:
    request = urllib.request.Request(url, headers={"Host": host} if host else {})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


@pytest.fixture
def container(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Container]:
    made = Container(getattr(request, "param", "pipeline"), tmp_path / "volume")
    yield made
    made.remove()


def test_the_hourly_run_and_the_status(container: Container, pipeline: Pipeline, sandbox: Sandbox) -> None:
    sandbox.now = NOW
    settings = {
        "AIRQINO_BASE_URL": sandbox.url,
        "AIRQINO_NOW": f"{NOW:%Y-%m-%dT%H:%M}",
        "MONGODB_URI": pipeline.env["MONGODB_URI"],
        "MONGODB_DATABASE": pipeline.database_name,
        "LUIGID_URL": "http://127.0.0.1:9",
    }
    done = container.run("scripts/hourly", **settings)
    assert done.returncode == 0, done.stderr
    assert "setting up" not in done.stderr
    assert pipeline.database["daily_averages"].count_documents({"day": "2026-02-20"}) == 2
    assert {path.stat().st_uid for path in container.folder.rglob("*")} == {USER}
    told = container.run("scripts/status", **settings)
    assert told.returncode == 0, told.stdout
    assert "2026-02-20T11" in told.stdout


def test_it_runs_as_nobody_special_and_cannot_change_itself(container: Container) -> None:
    assert container.run("id", "-u").stdout.strip() == str(USER)
    assert container.run("sh", "-c", "touch /srv/airqino/x || touch .venv/x || touch tasks/x").returncode != 0
    assert container.run(".venv/bin/python", "-c", "import pytest").returncode == 1
    assert container.run("ls", "tests", "docs").returncode == 2


def test_luigid_serves_its_page(container: Container) -> None:
    port = free_port()
    page = f"http://127.0.0.1:{port}/static/visualiser/index.html"
    state = ("--state-path", "/var/lib/airqino/luigid.state")
    with container.serving(page, ".venv/bin/luigid", "--address", "0.0.0.0", "--port", f"{port}", *state):
        assert status(page) == 200


def test_mlflow_serves_under_the_names_of_the_compose_file_only(container: Container) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    options = ("--host=127.0.0.1", f"--port={port}", "--workers=1")
    stores = ("--backend-store-uri=sqlite:////var/lib/airqino/m.db", "--artifacts-destination=/var/lib/airqino/a")
    names = "--allowed-hosts=mlflow:5000,localhost:*,127.0.0.1:*"
    with container.serving(f"{url}/health", ".venv/bin/mlflow", "server", *options, *stores, names):
        asked = f"{url}/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default"
        assert [status(asked, host) for host in (None, "mlflow:5000", "elsewhere:5000")] == [200, 200, 403]


@pytest.mark.parametrize("container", ["superset"], indirect=True)
def test_superset_serves(container: Container, pipeline: Pipeline) -> None:
    port = free_port()
    with container.serving(
        f"http://127.0.0.1:{port}/health",
        "scripts/superset",
        "serve",
        SUPERSET_PORT=f"{port}",
        SUPERSET_MONGODB_URI=pipeline.env["MONGODB_URI"],
        SUPERSET_SECRET_KEY="for-the-test-only-" + "x" * 24,
    ):
        assert status(f"http://127.0.0.1:{port}/login/") == 200
