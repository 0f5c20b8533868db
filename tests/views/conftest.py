"""A mongod for the views, and a database of each test's own."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient

from airqino.sandbox.mongod import Mongod


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    with Mongod(tmp_path_factory.mktemp("mongo")) as running:
        yield running


@pytest.fixture
def db(server: Mongod) -> Iterator[Any]:
    with MongoClient(server.uri, tz_aware=True) as client:
        yield client[f"dashboard_{uuid.uuid4().hex[:8]}"]  # views are asked for once per process and database
