"""Where the independent parts of a stage run: in threads of this process, or on the workers of a Dask cluster.

A part is a function of a module with its arguments, which are arrays, tables and plain values. It returns a result and
does nothing else, so that it gives the same wherever it runs, and may run again: if a Dask worker is lost, the
scheduler, which keeps the arguments, gives its parts to another one.
"""

import logging
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from itertools import chain, islice, starmap
from typing import Any, Self, TypeVar

from airqino.errors import ComputeError, ConfigError

__all__ = ["HERE", "Pool"]

T = TypeVar("T")

#: Seconds to wait for the scheduler and for a first worker, and how long all workers may be away.
_CONNECT, _WORKERS, _AWAY = 10, 30, 60
#: Seconds between two looks at whether the scheduler is still there.
_LOOK = 2.0
_LOST = "was lost on the way: see why its scheduler ended, then run again"


class Pool:
    """Runs parts through a standard executor, which is opened with the first of them and closed with the block.

    Threads, not processes, where no scheduler is named: what takes long are LightGBM and numpy, which run beside
    each other in threads and share the arrays (docs/performance.md).

    Attributes:
        scheduler: address of a Dask scheduler, such as ``tcp://dask-scheduler:8786``; empty: this process.
        threads: parts that run at a time in this process.
    """

    def __init__(self, scheduler: str = "", threads: int = 1) -> None:
        """Say where parts run; nothing is started yet."""
        self.scheduler, self.threads = scheduler, threads
        self._open = ExitStack()
        self._client: Any = None
        self._executor: Executor | None = None
        self._width = 1

    def __enter__(self) -> Self:
        """Return the pool."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the threads, or the connection to the scheduler."""
        self._open.close()
        self._client = self._executor = None

    def map(self, function: Callable[..., T], parts: Iterable[tuple[Any, ...]]) -> Iterator[T]:
        """Run a function on the arguments of each part; a single part is run here.

        Args:
            function: of a module, so that a worker finds it.
            parts: the arguments of each call. They are taken when their turn is near, so that only those of a few calls
                are held.

        Yields:
            The results, in the order of the parts.

        Raises:
            ConfigError: A scheduler is named, and dask.distributed is not installed.
            ComputeError: The scheduler cannot be reached, has no workers, was lost, or has given up a part.
        """
        parts = iter(parts)
        first = list(islice(parts, 2))
        if len(first) < 2 or (self.threads == 1 and not self.scheduler):
            yield from starmap(function, chain(first, parts))
            return
        executor, running = self._started(), deque[Future[T]]()
        try:
            for part in chain(first, parts):
                running.append(executor.submit(function, *part))
                if len(running) > self._width:
                    yield self._result(running.popleft())
            while running:
                yield self._result(running.popleft())
        finally:
            for future in running:
                future.cancel()

    def _started(self) -> Executor:
        if self._executor is None and self.scheduler:
            self._client = self._open.enter_context(_connected(self.scheduler))
            self._width = 2 * sum(self._client.nthreads().values())  # the next part is there when one is done
            # a name for each call: one made from the arguments takes a hash of all of them
            self._executor = self._client.get_executor(pure=False)
        elif self._executor is None:
            self._executor, self._width = self._open.enter_context(ThreadPoolExecutor(self.threads)), self.threads
        return self._executor

    def _result(self, future: "Future[T]") -> T:
        if self._client is not None:
            self._watch(future)
        where = self._where()
        try:
            return future.result()
        except CancelledError:
            raise ComputeError(f"{where} {_LOST}") from None
        except Exception as error:
            if type(error).__name__ != "KilledWorker":  # without importing distributed for it
                raise
            cure = "see why; most likely their memory was too small"
            raise ComputeError(
                f"{where} has given up: four workers died one after the other at the same part: {cure}"
            ) from None

    def _watch(self, future: "Future[Any]") -> None:
        """Wait for a part, as long as there is somebody to do it: a result that was on its way would never come."""
        deadline = time.monotonic() + _AWAY
        while not wait([future], _LOOK).done:
            # after an interruption the client connects again, and what it had asked for is cancelled
            states = [state.status for state in [*self._client.futures.values()]]
            if self._client.status != "running" or "cancelled" in states:
                raise ComputeError(f"{self._where()} {_LOST}")
            if time.monotonic() > deadline:
                try:
                    workers = self._client.nthreads()
                except Exception:  # it broke off this very moment, in whichever way
                    raise ComputeError(f"{self._where()} {_LOST}") from None
                if not workers:
                    raise ComputeError(f"{self._where()} has no workers any more: start some, then run again")
                deadline = time.monotonic() + _AWAY

    def _where(self) -> str:
        return f"the Dask cluster of {self.scheduler} ([compute] scheduler)"


def _connected(scheduler: str) -> Any:
    """Return a client that is connected, to a scheduler that has workers."""
    try:
        import dask
        import distributed
    except ImportError:
        cure = "run scripts/install dask, or leave it empty"
        raise ConfigError(
            f"[compute] scheduler is {scheduler}, and dask.distributed is not installed: {cure}"
        ) from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # tracebacks of what a `ComputeError` says in a line
    # arguments go with the call, not ahead of it to a worker, with which they would be lost
    dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 GB"})
    unreachable = (
        f"the Dask scheduler {scheduler} ([compute] scheduler) does not answer: start it, or leave the setting empty"
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", distributed.versions.VersionMismatchWarning)
            client = distributed.Client(scheduler, timeout=_CONNECT, set_as_default=False)
    except distributed.versions.VersionMismatchWarning as error:
        raise ComputeError(f"the Dask cluster of {scheduler} runs other versions than this process: {error}") from None
    except (OSError, ValueError) as error:
        raise ComputeError(f"{unreachable} ({error})") from None
    try:
        client.wait_for_workers(1, timeout=_WORKERS)
    except TimeoutError:
        client.close()
        raise ComputeError(f"the Dask scheduler {scheduler} ([compute] scheduler) has no workers: start some") from None
    return client


#: Runs parts one after the other.
HERE = Pool()
