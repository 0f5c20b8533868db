"""Real mongods with TLS, a key file and users: a replica set of one or three members on loopback."""

import contextlib
import secrets
import subprocess
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import trustme
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from airqino.sandbox.mongod import UNCOMPRESSED, find_mongod, free_port

ADMIN_PASSWORD = "Adm1n-S3cret"


class Certificates:
    """A CA of our own and what it signed, as PEM files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ca = folder, trustme.CA()
        folder.mkdir(parents=True, exist_ok=True)
        self.ca_file = folder / "ca.pem"
        self.ca.cert_pem.write_to_path(str(self.ca_file))

    def issue(self, name: str, *hosts: str, not_after: datetime | None = None) -> Path:
        """Make a certificate with its key in one file, as mongod and pymongo want it."""
        issued = self.ca.issue_cert(*hosts, not_after=not_after)
        path = self.folder / f"{name}.pem"
        path.write_bytes(issued.private_key_and_cert_chain_pem.bytes())
        path.chmod(0o600)
        return path


class ReplicaSet:
    """Members that trust each other by a key file, and take nobody without TLS and a password."""

    def __init__(
        self,
        folder: Path,
        certificates: Certificates,
        certificate: Path,
        members: int = 3,
        election_ms: int = 2000,
        arbiter: bool = False,
    ) -> None:
        self.arbiter = arbiter
        self.folder, self.ca_file = folder, certificates.ca_file
        self.ports = [free_port() for _ in range(members)]
        self.certificate, self.key = certificate, folder / "key"
        folder.mkdir(parents=True, exist_ok=True)
        self.key.write_text(secrets.token_hex(64))
        self.key.chmod(0o400)
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        for port in self.ports:
            self.start(port)
        self._initiate(election_ms)

    def start(self, port: int, *options: str) -> None:
        """Start a member (again)."""
        data = self.folder / f"{port}"
        data.mkdir(exist_ok=True)
        command = [
            *(str(find_mongod()), "--dbpath", str(data), "--logpath", str(self.folder / f"{port}.log"), "--logappend"),
            *("--bind_ip", "127.0.0.1", "--port", f"{port}", "--replSet", "rs0", "--nounixsocket", "--quiet"),
            *UNCOMPRESSED,
            *("--tlsMode", "requireTLS", "--tlsCertificateKeyFile", str(self.certificate)),
            *("--tlsCAFile", str(self.ca_file), "--tlsAllowConnectionsWithoutCertificates"),
            *("--keyFile", str(self.key), "--wiredTigerCacheSizeGB", "0.25", *options),
        ]
        self.processes[port] = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _initiate(self, election_ms: int) -> None:
        """Make the set, and its first user while the server still takes one from loopback."""
        made = [{"_id": n, "host": f"localhost:{port}", "priority": int(n == 0)} for n, port in enumerate(self.ports)]
        if self.arbiter:  # it votes and holds nothing
            made[-1] |= {"arbiterOnly": True, "priority": 0}
        else:
            made = [{**member, "priority": 1} for member in made]
        of = {"_id": "rs0", "members": made, "settings": {"electionTimeoutMillis": election_ms}}
        first = f"mongodb://localhost:{self.ports[0]}/?directConnection=true"
        with self.client(first) as client:
            _until(lambda: client.admin.command("replSetInitiate", of))
        with self.client(self.uri()) as client:
            _until(lambda: client.admin.command("createUser", "admin", pwd=ADMIN_PASSWORD, roles=["root"]))

    def uri(self, user: str = "", password: str = "", source: str = "admin") -> str:
        """A connection string of the whole set."""
        hosts = ",".join(f"localhost:{port}" for port in self.ports)
        return f"mongodb://{user}:{password}@{hosts}/?authSource={source}" if user else f"mongodb://{hosts}/"

    @property
    def admin_uri(self) -> str:
        return self.uri("admin", ADMIN_PASSWORD)

    def client(self, uri: str, **options: Any) -> MongoClient[dict[str, Any]]:
        settings = {"serverSelectionTimeoutMS": 20_000, "tz_aware": True} | options
        return MongoClient(uri, tlsCAFile=str(self.ca_file), **settings)

    def primary(self, besides: Sequence[int] = (), timeout: float = 60) -> int:
        """Wait for a primary, and return its port."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for port in self.ports:
                if port in besides or self.processes[port].poll() is not None:
                    continue
                direct = f"mongodb://localhost:{port}/?directConnection=true"
                with contextlib.suppress(PyMongoError), self.client(direct, serverSelectionTimeoutMS=500) as client:
                    if client.admin.command("hello").get("isWritablePrimary"):
                        return port
            time.sleep(0.05)
        raise AssertionError(f"no primary in {timeout} s; see {self.folder}")

    def kill(self, port: int) -> None:
        """End a member without warning, as a power cut would."""
        self.processes[port].kill()
        self.processes[port].wait()

    def stop(self) -> None:
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait()


@contextlib.contextmanager
def replica_set(folder: Path, members: int = 3, election_ms: int = 2000, arbiter: bool = False) -> Iterator[ReplicaSet]:
    """A replica set whose members are called ``localhost``; with an arbiter the last one is it."""
    certificates = Certificates(folder / "tls")
    made = ReplicaSet(folder, certificates, certificates.issue("server", "localhost"), members, election_ms, arbiter)
    try:
        yield made
    finally:
        made.stop()


def _until(ask: Any, timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while True:
        try:
            ask()
            return
        except PyMongoError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
