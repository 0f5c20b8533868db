"""A real Dask cluster on loopback: a scheduler and workers, each a process that can be killed."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import Popen

import distributed

from airqino.sandbox.mongod import free_port
from support.commands import ROOT
from support.servers import running

__all__ = ["Cluster", "cluster"]


class Cluster:
    """The address of a scheduler, and its workers."""

    def __init__(self, address: str, scheduler: "Popen[bytes]", workers: list["Popen[bytes]"]) -> None:
        self.address, self.scheduler, self.workers = address, scheduler, workers

    def steps(self) -> int:
        """How many steps the scheduler has taken with parts of any kind."""
        with distributed.Client(self.address, set_as_default=False) as client:
            return int(client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.transition_counter))

    def kill_a_worker(self) -> None:
        """End a worker as a machine that loses its power does."""
        self.workers[0].kill()
        self.workers[0].wait()


@contextmanager
def cluster(folder: Path, workers: int = 2, env: Mapping[str, str] = os.environ) -> Iterator[Cluster]:
    """A scheduler with some workers of a thread each; without a nanny, so that a killed one does not come back."""
    port, told = free_port(), folder / "dask.log"
    address = f"tcp://127.0.0.1:{port}"
    common = ("--no-dashboard", "--host", "127.0.0.1")
    with ExitStack() as stack:
        command = (*_cli("scheduler"), "--port", f"{port}", *common)
        scheduler = stack.enter_context(running(*command, log=told, port=port, cwd=ROOT, env=env))
        made = [
            stack.enter_context(
                running(*_cli("worker"), address, "--no-nanny", "--nthreads", "1", *common, log=told, cwd=ROOT, env=env)
            )
            for _ in range(workers)
        ]
        yield Cluster(address, scheduler, made)


def _cli(what: str) -> tuple[str, ...]:
    return sys.executable, "-m", f"distributed.cli.dask_{what}"
