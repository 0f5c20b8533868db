"""Servers of Debian's packages and our own, started by hand on loopback, with what they print in a file."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

__all__ = ["running", "until"]


def until(holds: Callable[[], object], seconds: float, what: str) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.1)


@contextlib.contextmanager
def running(
    *command: str, log: Path, port: int | None = None, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A server that answers on a port of loopback, if it has one; stopped at the end of the block."""
    with log.open("ab") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, cwd=cwd, env=env)
    try:
        if port:
            until(lambda: server.poll() is not None or listens(port), 30, f"{command[0]} on port {port}")
        assert server.poll() is None, log.read_text()
        yield server
    finally:
        server.terminate()
        server.wait(20)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
