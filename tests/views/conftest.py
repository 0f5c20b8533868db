"""A mongod for the views, and a database of each test's own."""

import importlib
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo import MongoClient
from support import documents

from airqino.sandbox.mongod import Mongod


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    with Mongod(tmp_path_factory.mktemp("mongo")) as running:
        yield running


@pytest.fixture
def db(server: Mongod) -> Iterator[Any]:
    with MongoClient(server.uri, tz_aware=True) as client:
        yield client[f"dashboard_{uuid.uuid4().hex[:8]}"]  # views are asked for once per process and database


@pytest.fixture(autouse=True)
def within_one_hour(request: pytest.FixtureRequest) -> None:
    """Let a test and the server, by whose clock the views go, agree on the hour, which may end while the suite runs."""
    left = 3600 - time.time() % 3600
    if left < 30:
        time.sleep(left + 0.1)
    if datetime.now(UTC) >= getattr(request.module, "NOW", documents.NOW) + documents.HOUR:
        importlib.reload(documents)
        importlib.reload(request.module)
