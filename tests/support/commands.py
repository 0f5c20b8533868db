"""The pipeline's commands, each in a process of its own, forked from one that has the heavy libraries loaded.

Loading them takes a second of each command, and the tests run hundreds. The pipeline's own modules and Luigi, which
reads its settings where it is loaded, are loaded anew each time.
"""

import atexit
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["KILLED_AT", "ROOT", "Started", "run"]

#: A variable of a command's environment: it is killed when so many of its files have got their names.
KILLED_AT = "TESTS_KILLED_AT_RENAME"

ROOT = Path(__file__).resolve().parents[2]

_processes = multiprocessing.get_context("forkserver")
#: Libraries, those of the commands and of Luigi, and our own, which knows no settings.
_LOADED = (
    *("apprise", "jinja2", "jsonschema", "lightgbm", "msgspec", "pandas", "prometheus_client", "pyarrow.compute"),
    *("pyarrow.parquet", "pymongo", "requests", "rich.console", "rich.progress", "rich.table", "tenacity"),
    *("tornado.httpserver", "airqino.forecasting.training", "airqino.opendata.writing", "airqino.publishing.publish"),
    *("airqino.source.client", "airqino.stores.models", "airqino.stores.mongo", "airqino.views"),
)
_processes.set_forkserver_preload([*_LOADED])


class Started:
    """A command under way; `wait` for its end, or kill it by its process id.

    Args:
        command: ``luigi`` or ``airqino``, and its arguments.
        env: The whole environment.
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        self.command = command
        self._folder = tempfile.TemporaryDirectory()
        self._out, self._err = Path(self._folder.name) / "out", Path(self._folder.name) / "err"
        self._process = _processes.Process(target=_be, args=(list(command), dict(env), self._out, self._err))
        self._process.start()
        self.pid: int = self._process.pid or 0

    def wait(self, timeout: float) -> subprocess.CompletedProcess[str]:
        """Wait for its end.

        Args:
            timeout: Seconds.

        Raises:
            subprocess.TimeoutExpired: It was killed then.
        """
        with self._folder:
            self._process.join(timeout)
            if late := self._process.exitcode is None:
                self._process.kill()
                self._process.join()
            out, err = (path.read_text() if path.exists() else "" for path in (self._out, self._err))
            if late:
                raise subprocess.TimeoutExpired(self.command, timeout, out, err)
            code = self._process.exitcode
        return subprocess.CompletedProcess(self.command, -1 if code is None else code, out, err)


def run(command: Sequence[str], env: Mapping[str, str], timeout: float) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; see `Started`.

    Raises:
        subprocess.TimeoutExpired: It was killed then.
    """
    return Started(command, env).wait(timeout)


def _kill_at(rename: int) -> None:
    """Kill this process (kill -9) just before the file after so many gets its name."""
    left = rename

    def hook(event: str, _: object) -> None:
        nonlocal left
        if event == "os.rename":
            left -= 1
            if left == -1:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def _be(command: list[str], env: dict[str, str], out: Path, err: Path) -> None:
    """Become the command: its environment, its streams, its main module; ends as an interpreter does."""
    for number, path in enumerate((os.devnull, out, err)):
        opened = os.open(path, os.O_CREAT | os.O_RDWR)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(ROOT)
    if KILLED_AT in env:
        _kill_at(int(env[KILLED_AT]))
    multiprocessing.set_start_method("fork", force=True)  # as in a process that was not forked so
    sys.argv = list(command)
    try:
        runpy.run_module({"airqino": "tasks.cli", "luigi": "luigi"}[command[0]], run_name="__main__", alter_sys=True)
    finally:  # what multiprocessing leaves out
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
