"""Real parts for the tests: a mongod, a sandbox API, and the pipeline as its commands run it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from support.buckets import Store, serving
from support.deployment import NO_SETTINGS, Pipeline

from airqino.sandbox.mongod import Mongod
from airqino.sandbox.server import Sandbox

# A shell's background job ignores SIGINT, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No test reads the settings of the machine that it runs on.
os.environ["AIRQINO_CONFIG_DIR"] = NO_SETTINGS

# A property holds or not, however busy the machine is.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

#: The files that take longest, the longest first: begun last, the other processes would wait for one.
LONGEST = (
    "drills/test_chaos.py",
    "drills/test_damage.py",
    "pipeline/test_upgrade.py",
    "drills/test_outages.py",
    "drills/test_install_guide.py",
    "test_train.py",
    "pipeline/test_faults.py",
    "pipeline/test_notes.py",
    "pipeline/test_verify.py",
    "pipeline/test_real_data.py",
    "test_score.py",
    "pipeline/test_reruns.py",
    "pipeline/test_luigid.py",
    "instruments/test_observed.py",
    "pipeline/test_retention.py",
    "instruments/test_alerts.py",
    "pipeline/test_late_and_revised.py",
    "cli/test_demo.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files; of a file the order stays."""
    rank = {Path(__file__).parent / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


@pytest.fixture(scope="session")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    with Mongod(tmp_path_factory.mktemp("mongod")) as server:
        yield server


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """An S3 server."""
    with serving(tmp_path_factory.mktemp("store")) as server:
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
