"""Real parts for the tests: a mongod, a sandbox API, and the pipeline as its commands run it."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.deployment import Pipeline

from airqino.sandbox.mongod import Mongod
from airqino.sandbox.server import Sandbox

# A shell's background job ignores SIGINT, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    with Mongod(tmp_path_factory.mktemp("mongod")) as server:
        yield server


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """The synthetic API, its clock following the machine's until a test sets it."""
    with Sandbox() as server:
        yield server


@pytest.fixture
def pipeline(tmp_path: Path, mongod: Mongod, sandbox: Sandbox) -> Iterator[Pipeline]:
    """A deployment that talks to the synthetic API."""
    made = Pipeline(tmp_path / "staging", mongod, sandbox.url)
    yield made
    made.close()
