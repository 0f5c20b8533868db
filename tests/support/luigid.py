"""luigid, started by hand on loopback."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from airqino.sandbox.mongod import free_port
from support.commands import ROOT

__all__ = ["running_luigid"]


@contextlib.contextmanager
def running_luigid(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    port = free_port()
    command = [str(Path(sys.executable).with_name("luigid")), "--address", "127.0.0.1", "--port", f"{port}"]
    server = subprocess.Popen(
        [*command, "--state-path", str(tmp_path / "luigid.state")], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    try:
        yield f"http://127.0.0.1:{port}", server
    finally:
        server.terminate()
        server.wait(20)
