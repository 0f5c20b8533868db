"""A mongod of one's own on loopback, for the demo and the tests: a one-node replica set, up in about a second."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from airqino.errors import MongoError

__all__ = ["UNCOMPRESSED", "Mongod", "find_mongod", "free_port"]

#: How every mongod here is started: the 6.0.5 that the `sandbox` extra brings shows parts of its memory to whoever
#: sends it messages compressed by zlib (CVE-2025-14847).
UNCOMPRESSED = ("--networkMessageCompressors", "disabled")


def find_mongod() -> Path:
    """Return a mongod to run: ``MONGOD``, the one on PATH, or the one that the `sandbox` extra brings.

    Raises:
        MongoError: There is none.
    """
    named = os.environ.get("MONGOD") or shutil.which("mongod")
    if named:
        return Path(named)
    spec = find_spec("fiftyone")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(folder) / "db" / "bin" / "mongod").exists():
            path.chmod(0o755)
            return path
    raise MongoError("no mongod found: run scripts/install sandbox, put one on PATH, or name it in MONGOD")


def free_port() -> int:
    """Return a port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Mongod:
    """A running mongod; stop it with `stop`, or use it in a ``with`` block."""

    def __init__(self, folder: Path, port: int | None = None, *options: str) -> None:
        """Start it and wait until it is primary.

        Args:
            folder: Where its data and log lie; made if missing, kept afterwards.
            port: Port on 127.0.0.1; default: a free one.
            options: More for its command line.

        Raises:
            MongoError: It does not start; its log says why.
        """
        self.folder = folder
        self.port = port or free_port()
        self.options = options
        self.uri = f"mongodb://127.0.0.1:{self.port}/?directConnection=true"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def pid(self) -> int:
        """Return the process id of the running server."""
        if self._process is None:
            raise MongoError("mongod is not running")
        return self._process.pid

    def start(self) -> None:
        """Start the server (again) on the same folder and port."""
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        log = self.folder / "mongod.log"
        command = [
            *(str(find_mongod()), "--dbpath", str(self.folder / "data"), "--logpath", str(log), "--logappend"),
            *("--bind_ip", "127.0.0.1", "--port", str(self.port), "--replSet", "rs0"),
            *("--wiredTigerCacheSizeGB", "0.5", "--nounixsocket", "--quiet", *UNCOMPRESSED, *self.options),
        ]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        client: MongoClient[dict[str, object]] = MongoClient(self.uri, serverSelectionTimeoutMS=500)
        deadline = time.monotonic() + 30
        with contextlib.closing(client):
            while time.monotonic() < deadline and self._process.poll() is None:
                with contextlib.suppress(PyMongoError):
                    self._initiate(client)
                    if client.admin.command("hello").get("isWritablePrimary"):
                        return
                time.sleep(0.05)
        self.stop()
        raise MongoError(f"mongod did not start; see {log}")

    def _initiate(self, client: MongoClient[dict[str, object]]) -> None:
        members = [{"_id": 0, "host": f"127.0.0.1:{self.port}"}]
        try:
            client.admin.command("replSetGetStatus")
        except OperationFailure as error:
            if error.code == 94:  # NotYetInitialized
                client.admin.command("replSetInitiate", {"_id": "rs0", "members": members})
                return
            if error.code != 93:  # InvalidReplicaSetConfig: the folder was used on another port before
                raise
        config = client.local["system.replset"].find_one() or {}
        if config.get("members", members)[0]["host"] != members[0]["host"]:  # type: ignore[index]
            config = {**config, "members": members, "version": int(str(config["version"])) + 1}
            client.admin.command("replSetReconfig", config, force=True)

    def stop(self) -> None:
        """Stop the server and wait until it is gone."""
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(20)
        self.kill()

    def kill(self) -> None:
        """End the server without warning, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
