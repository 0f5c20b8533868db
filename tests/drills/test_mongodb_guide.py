"""The commands of docs/mongodb.md, "A replica set by hand", word for word but for hosts, ports and folders."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.deployment import ROOT, without_settings

from airqino.sandbox.mongod import find_mongod, free_port

pytestmark = pytest.mark.drill

HOSTS = ("db1.example", "db2.example", "db3.example")
GUIDE = (ROOT / "docs" / "mongodb.md").read_text()


def blocks(language: str) -> list[str]:
    section = GUIDE.split("## A replica set by hand")[1].split("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


class Machine:
    """Three members on one machine: ``localhost`` in place of the hosts, a port and a folder for each."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ports = folder, [free_port() for _ in HOSTS]
        self.servers: list[subprocess.Popen[bytes]] = []
        (folder / "work" / ".venv").parent.mkdir(parents=True)
        for name in (
            ".venv",
            "deploy",
            "scripts",
            "tasks",
            "luigi.cfg",
            "setup.cfg",
            "constraints.txt",
            "pyproject.toml",
        ):
            (folder / "work" / name).symlink_to(ROOT / name)

    def here(self, text: str) -> str:
        """A block of the guide, for this machine."""
        for host, port in zip(HOSTS, self.ports, strict=True):
            text = text.replace(f"{host}:27017", f"localhost:{port}")
        text = text.replace("localhost:27017", f"localhost:{self.ports[0]}")
        return re.sub(r"/(etc|var/lib|var/log)/mongodb", rf"{self.folder}/\1", text)

    def run(self, *texts: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(map(self.here, texts))],
            cwd=self.folder / "work",
            env=without_settings() | {"STAGING_ROOT": str(self.folder / "staging")},
            capture_output=True,
            text=True,
            timeout=240,
        )

    def start(self, config: str) -> None:
        """Put the files where the guide says, and start each member with its mongod.conf."""
        pki, etc = self.folder / "work" / "pki", self.folder / "etc"
        etc.mkdir()
        for name, source in (("ca.pem", "ca.pem"), ("keyfile", "keyfile"), ("server.pem", "server.pem")):
            shutil.copy(pki / source, etc / name)
            (etc / name).chmod(0o400)
        for port in self.ports:
            own = self.here(config).replace("27017", f"{port}")
            own = own.replace("net:\n", "net:\n  compression: {compressors: disabled}\n")  # the one here is an old one
            own = re.sub(r"/var/(lib|log)\b", rf"/var/\1/{port}", own)
            for kind in ("lib", "log"):
                (self.folder / "var" / kind / f"{port}").mkdir(parents=True)
            (path := self.folder / f"{port}.conf").write_text(own)
            self.servers.append(
                subprocess.Popen([str(find_mongod()), "--config", str(path)], stdout=subprocess.DEVNULL)
            )

    def stop(self) -> None:
        for server in self.servers:
            server.terminate()  # removes its socket, too
        for server in self.servers:
            server.wait()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    made.stop()


def test_the_guide_leads_to_a_secured_replica_set_and_a_pipeline_that_may_use_it(machine: Machine) -> None:
    certificates, initiate, users, pipeline = blocks("sh")
    done = machine.run(certificates)
    assert done.returncode == 0, done.stderr
    for host in HOSTS:
        shown = machine.run(f"openssl verify -CAfile pki/ca.pem -verify_hostname {host} pki/server.pem")
        assert "OK" in shown.stdout, shown.stderr
    (config,) = blocks("yaml")
    machine.start(config)
    done = machine.run(initiate, users, pipeline)
    assert done.returncode == 0, done.stderr
    listed, _, status = done.stdout.partition("{")
    assert "etl_writer: role made, user made, password from ETL_WRITER_PASSWORD" in listed
    assert re.search(r"^dashboard_reader: role made, user made, password \(shown once\): \S{32}$", listed, re.MULTILINE)
    found = json.loads("{" + status)
    assert found["mongodb"] == "ok"
    assert found["database"]["database_bytes"] is not None
    open_door = f"mongodb://localhost:{machine.ports[0]}/?directConnection=true"
    refused = machine.run(
        f"MONGODB_CA_FILE=/etc/mongodb/ca.pem MONGODB_URI='{open_door}' {sys.executable} -m tasks.cli status --json"
    )
    assert "it wants a user and a password" in json.loads(refused.stdout)["mongodb"]
