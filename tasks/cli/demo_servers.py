"""The demo's servers: a sandbox API, a MongoDB and luigid, on free ports of the loopback interface."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from airqino.errors import PipelineError, StagingError
from airqino.sandbox.mongod import Mongod, free_port

__all__ = ["Servers"]


class Servers:
    """The sandbox API, mongod and luigid of the demo; their ports and pids lie in the demo's folder."""

    def __init__(self, root: Path) -> None:
        """Find those still running from a run with --keep."""
        self.root, self.file = root, root / "servers.json"
        self.ports: dict[str, int] = {}
        self.pids: dict[str, int] = {}
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):  # or a damaged file
            known = json.loads(self.file.read_text())
            ports = {name: int(known["ports"][name]) for name in known["pids"]}
            running = {n: pid for n, pid in known["pids"].items() if _alive(pid) and _is_ours(n, ports[n], pid)}
            self.ports, self.pids = ports, running
            if running.keys() != known["pids"].keys():  # after a reboot, or when one died: start anew
                self.stop()

    @property
    def settings(self) -> Path:
        """Return the folder of the demo's own settings."""
        return (self.root / "config").absolute()

    @property
    def public(self) -> Path:
        """Return the folder of the public page."""
        return self.root / "public"

    def start(self) -> None:
        """Start what is not running, on free ports of the loopback interface."""
        if self.pids:
            return
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StagingError(f"{self.root} cannot be made ({error.strerror}); check STAGING_ROOT") from error
        mongod = Mongod(self.root / "mongod")
        self.ports, self.pids = {"mongod": mongod.port}, {"mongod": mongod.pid}
        self._spawn("sandbox", [sys.executable, "-m", "tasks.cli", "sandbox", "--port"], "/__stats")
        luigid = [sys.executable, "-c", "import luigi.cmdline as c; c.luigid()", "--address", "127.0.0.1"]
        self._spawn("luigid", [*luigid, "--state-path", str(self.root / "luigid.state"), "--port"], "/")
        self.file.write_text(json.dumps({"ports": self.ports, "pids": self.pids}))

    def _spawn(self, name: str, command: list[str], probe: str) -> None:
        port = free_port()
        log = (self.root / f"{name}.log").open("ab")
        process = subprocess.Popen([*command, str(port)], stdout=log, stderr=log, start_new_session=True)
        self.ports[name], self.pids[name] = port, process.pid
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}{probe}", timeout=2):
                return
            time.sleep(0.05)
        self.stop()
        raise PipelineError(f"{name} did not start; see {self.root / f'{name}.log'}")

    def stop(self) -> None:
        """Stop them all and wait until they are gone."""
        for pid in self.pids.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and any(_alive(pid) for pid in self.pids.values()):
            time.sleep(0.05)
        self.file.unlink(missing_ok=True)
        self.pids = {}

    def environment(self) -> dict[str, str]:
        """Return the settings that make the pipeline use these servers."""
        return {
            "AIRQINO_CONFIG_DIR": str(self.settings),
            "AIRQINO_BASE_URL": self.url("sandbox"),
            "MONGODB_URI": f"mongodb://127.0.0.1:{self.ports['mongod']}/?directConnection=true",
            "LUIGID_URL": self.url("luigid"),
            "STAGING_ROOT": str(self.root),
            "PUBLISH_ROOT": str(self.public),
        }

    def url(self, name: str) -> str:
        """Return a server's URL."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def tell_sandbox(self, path: str, **content: Any) -> None:
        """Set the sandbox's clock, or change what it answers."""
        url = f"{self.url('sandbox')}/__{path}"
        request = urllib.request.Request(url, json.dumps(content).encode(), {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=5).close()

    def requests(self) -> int:
        """Return how many data requests the sandbox has answered so far."""
        with urllib.request.urlopen(f"{self.url('sandbox')}/__stats", timeout=5) as reply:
            return int(json.load(reply)["data_requests"])


def _is_ours(name: str, port: int, pid: int) -> bool:
    """Tell whether a process id still belongs to the server we started: ids are used again after a reboot.

    Another mongod may have it then, which must not be stopped: ours has its port on its command line.
    """
    with contextlib.suppress(OSError):
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
        return name.encode() in line and f"{port}".encode() in line.split(b"\0")
    return False


def _alive(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):  # a child of ours that ended is no longer there once it was waited for
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
