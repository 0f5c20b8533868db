"""The MongoDB of deploy/compose.yaml on this machine: its options, certificates and first user, on loopback."""

import os
import subprocess
import sys
from pathlib import Path

import yaml

from airqino.sandbox.mongod import UNCOMPRESSED, find_mongod, free_port
from support.deployment import ROOT

COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())


class Members:
    """Members of a replica set, started as the compose file starts them; stop them with `stop`."""

    def __init__(self, folder: Path, root_password: str, count: int = 3) -> None:
        self.folder, self.password = folder, root_password
        self.tls = folder / "tls"
        self.certificates()
        self.ports = [free_port() for _ in range(count)]
        self.processes = [self._start(port) for port in self.ports]
        self.ca_file = self.tls / "ca.pem"

    def of(self, user: str, password: str) -> str:
        """The connection string of a user."""
        hosts = ",".join(f"localhost:{port}" for port in self.ports)
        return f"mongodb://{user}:{password}@{hosts}/?replicaSet=rs0&tls=true&authSource=admin&tlsCAFile={self.ca_file}"

    @property
    def uri(self) -> str:
        """The first user's."""
        return self.of("root", self.password)

    def certificates(self) -> str:
        command = COMPOSE["services"]["certificates"]["command"]
        done = subprocess.run(
            [str(ROOT / command[0]), str(self.tls), *command[2:]], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _start(self, port: int) -> subprocess.Popen[bytes]:
        data = self.folder / f"{port}"
        data.mkdir()
        command = [part.replace("/tls/", f"{self.tls}/") for part in COMPOSE["services"]["mongo1"]["command"]]
        command = ["--bind_ip=127.0.0.1" if part == "--bind_ip_all" else part for part in command[1:]]
        here = [f"--dbpath={data}", f"--port={port}", f"--logpath={data}.log", "--nounixsocket", *UNCOMPRESSED]
        return subprocess.Popen([str(find_mongod()), *command, *here], stdout=subprocess.DEVNULL)

    def initiate(self) -> subprocess.CompletedProcess[str]:
        command = COMPOSE["services"]["mongo-set"]["command"]
        assert command[:3] == [".venv/bin/python", "deploy/mongo/initiate", "--ca=/tls/ca.pem"]
        members = [f"--member=localhost:{port}" for port in self.ports]
        return subprocess.run(
            [sys.executable, str(ROOT / command[1]), f"--ca={self.ca_file}", *members, "--election-ms=2000"],
            env=os.environ | {"MONGO_ROOT_PASSWORD": self.password},
            capture_output=True,
            text=True,
            timeout=240,
        )

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(30)
