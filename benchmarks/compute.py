"""What a training and the flags of a month cost in threads, in processes and on a Dask cluster of this machine.

Run: .venv/bin/python benchmarks/compute.py [--stations 2] [--rounds 20]. Synthetic stations, no files and no database.
Each has two workers; processes and Dask's workers are started within the time. Memory is what all processes together
had for themselves at their peak. Asserts that the models are the same to the byte.
"""

import argparse
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Executor, ProcessPoolExecutor
from hashlib import sha256
from multiprocessing import get_context
from typing import Any

import pandas as pd
import psutil
from distributed import LocalCluster
from forecast import NOW, crowd

from airqino.compute import Pool
from airqino.forecasting.model import Recipe, train
from airqino.quality.contexts import Thresholds, contexts
from tasks.clean import _flagged

_DAYS = 31
#: Days of a block, as of 200 stations.
_BLOCK = 10


class Processes(Pool):
    """A pool of processes, for comparison."""

    def _started(self) -> Executor:
        if self._executor is None:
            pool = ProcessPoolExecutor(self.threads, mp_context=get_context("spawn"))
            self._executor, self._width = self._open.enter_context(pool), self.threads
        return self._executor


def trained(pool: Pool, hourly: pd.DataFrame, rounds: int) -> str:
    """Train on all readings; return the digest of the model."""
    model = train(hourly, pd.Timestamp(NOW), recipe=Recipe.of_rounds(rounds), pool=pool, zones={})
    return sha256(b"".join(content for _, content in sorted(model.to_files().items()))).hexdigest()


def month(hourly: pd.DataFrame) -> list[tuple[Any, ...]]:
    """The blocks of the last days, as CleanDay makes them."""
    starts = [pd.Timestamp(NOW) - pd.Timedelta(days=back) for back in range(_DAYS, 0, -1)]
    around = contexts(hourly, starts, Thresholds())
    raw = hourly[[name for name in hourly if not f"{name}".endswith(("_flag", "_tests"))]]
    blocks = []
    for i in range(0, _DAYS, _BLOCK):
        part = starts[i : i + _BLOCK]
        within = (raw["observed_at"] >= part[0]) & (raw["observed_at"] < part[-1] + pd.Timedelta(days=1))
        known = {start.date(): context for start, context in zip(part, around[i : i + _BLOCK], strict=True)}
        blocks.append((raw[within], known, Thresholds()))
    return blocks


def flagged(pool: Pool, blocks: Iterable[tuple[Any, ...]]) -> str:
    """Flag a month; return the digest of its tables' lengths, for want of a better one."""
    return f"{[(day, len(table)) for tables in pool.map(_flagged, blocks) for day, table in tables]}"


def measured(kind: str, work: Any, *arguments: Any) -> tuple[float, int, str]:
    """Return seconds, megabytes and what came of it."""
    peak, is_over = [0], threading.Event()

    def watch() -> None:
        me = psutil.Process()
        while not is_over.wait(0.1):
            total = 0
            for process in (me, *me.children(recursive=True)):
                try:
                    total += process.memory_full_info().uss
                except psutil.Error:
                    continue
            peak[0] = max(peak[0], total)

    watcher = threading.Thread(target=watch)
    watcher.start()
    begin = time.perf_counter()
    if kind == "Dask":
        cluster = LocalCluster(2, threads_per_worker=1, dashboard_address=None)
        with cluster, Pool(cluster.scheduler_address) as pool:
            came = work(pool, *arguments)
    else:
        pools = {"one by one": Pool(), "threads": Pool(threads=2), "processes": Processes(threads=2)}
        with pools[kind] as pool:
            came = work(pool, *arguments)
    seconds = time.perf_counter() - begin
    is_over.set()
    watcher.join()
    return seconds, peak[0] // 2**20, came


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--stations", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    hourly, blocks = crowd(arguments.stations, 365), month(crowd(arguments.stations, _DAYS + 8))
    print("| what | where | s | MB |\n|---|---|---:|---:|")
    for what, work, of in (("training", trained, (hourly, arguments.rounds)), ("flags", flagged, (blocks,))):
        results = set()
        for kind in ("one by one", "threads", "processes", "Dask"):
            seconds, megabytes, came = measured(kind, work, *of)
            results.add(came)
            print(f"| {what}, {arguments.stations} stations | {kind} | {seconds:.1f} | {megabytes} |", flush=True)
        assert len(results) == 1


if __name__ == "__main__":
    main()
