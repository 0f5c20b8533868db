"""Parts of the work on a real Dask cluster, of which a worker is killed; and what is told where there is none."""

import hashlib
import operator
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from support.dask import Cluster, cluster
from support.series import START, cyclic

from airqino import compute
from airqino.compute import Pool
from airqino.errors import ComputeError, ConfigError
from airqino.forecasting.model import ForecastModel, Recipe, train
from airqino.sandbox.mongod import free_port

DAYS = 60


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[Cluster]:
    with cluster(tmp_path) as made:
        yield made


def trained(pool: Pool, progress: Callable[[str], None] | None = None) -> str:
    """The digest of a model's files."""
    until = START + pd.Timedelta(days=DAYS)
    stations = [f"{n}" for n in range(4)]  # features in three blocks
    recipe = Recipe.of_rounds(20)
    model: ForecastModel = train(
        cyclic(DAYS, stations), until, horizons=(1, 2), recipe=recipe, pool=pool, progress=progress, zones={}
    )
    assert model.days
    assert {key.partition("/")[0] for key in model.models} == {"co", "pm2_5"}
    return hashlib.sha256(b"".join(content for _, content in sorted(model.to_files().items()))).hexdigest()


def test_a_model_is_the_same_to_the_byte_wherever_it_is_trained_also_when_a_worker_is_killed(dask: Cluster) -> None:
    with Pool(threads=1) as serial, Pool(threads=3) as threads, Pool(dask.address) as workers:
        alone = trained(serial)
        assert trained(threads) == alone
        assert trained(workers) == alone
        kill = threading.Timer(0.2, dask.kill_a_worker)
        assert trained(workers, lambda text: kill.start() if text == "co model" else None) == alone
        assert dask.workers[0].poll() is not None


def test_what_a_killed_worker_had_is_done_by_another_one(dask: Cluster) -> None:
    with Pool(dask.address) as pool:
        parts = ((n, time.sleep(0.02) or n) for n in range(400))
        results = pool.map(operator.mul, parts)
        found = [next(results) for _ in range(100)]
        dask.kill_a_worker()
        assert [*found, *results] == [n * n for n in range(400)]


def test_a_worker_that_is_killed_within_a_part_costs_that_part_again(dask: Cluster) -> None:
    with Pool(dask.address) as pool:
        threading.Timer(0.7, dask.kill_a_worker).start()
        begin = time.monotonic()
        assert list(pool.map(time.sleep, [(1,)] * 4)) == [None] * 4
        assert time.monotonic() - begin > 3.5  # the other one did all four


@pytest.mark.parametrize("threads", [1, 3])
def test_parts_are_taken_when_their_turn_is_near_and_come_in_order(threads: int) -> None:
    taken: list[int] = []

    def parts() -> Iterator[tuple[int, int]]:
        for n in range(20):
            taken.append(n)
            yield n, 1

    with Pool(threads=threads) as pool:
        for n, result in enumerate(pool.map(operator.add, parts())):
            assert result == n + 1
            assert len(taken) <= n + threads + 2
    assert len(taken) == 20


def test_a_part_that_fails_says_why_as_if_it_ran_here(dask: Cluster) -> None:
    for pool in (Pool(threads=2), Pool(dask.address)):
        with pool, pytest.raises(ZeroDivisionError):
            list(pool.map(operator.truediv, [(1, 1), (1, 0), (1, 1)]))


def test_a_single_part_needs_no_scheduler() -> None:
    with Pool(f"tcp://127.0.0.1:{free_port()}") as pool:
        assert list(pool.map(operator.add, [(1, 2)])) == [3]


def test_a_scheduler_that_does_not_answer_is_an_error_after_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "_CONNECT", 1)
    address = f"tcp://127.0.0.1:{free_port()}"
    begin = time.monotonic()
    with Pool(address) as pool, pytest.raises(ComputeError, match=rf"{address} \(\[compute\] scheduler\) does not"):
        list(pool.map(operator.add, [(1, 2)] * 2))
    assert time.monotonic() - begin < 10


def test_a_scheduler_without_workers_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "_WORKERS", 1)
    with (
        cluster(tmp_path, workers=0) as made,
        Pool(made.address) as pool,
        pytest.raises(ComputeError, match="no workers"),
    ):
        list(pool.map(operator.add, [(1, 2)] * 2))


def test_workers_that_do_not_come_back_are_an_error(dask: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "_AWAY", 1)
    with Pool(dask.address) as pool:
        results = pool.map(time.sleep, [(0.3,)] * 50)
        next(results)
        for worker in dask.workers:
            worker.kill()
        with pytest.raises(ComputeError, match="no workers any more"):
            list(results)


@pytest.mark.parametrize("seconds", [0.3, 0.01])  # with the shorter one results are on their way when it is killed
def test_a_scheduler_that_is_lost_on_the_way_is_an_error(dask: Cluster, seconds: float) -> None:
    with Pool(dask.address) as pool:
        results = pool.map(time.sleep, [(seconds,)] * 5000)
        next(results)
        dask.scheduler.kill()
        with pytest.raises(ComputeError, match="was lost on the way"):
            list(results)


def test_without_the_extra_the_error_says_which_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with Pool("tcp://127.0.0.1:1") as pool, pytest.raises(ConfigError, match="run scripts/install dask"):
        list(pool.map(operator.add, [(1, 2)] * 2))
