"""A deployment whose alerts arrive at a web server of the test's."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from deployment import Pipeline
from receivers import Web

from tasks.airqino.sandbox import Sandbox

NOW = datetime(2026, 2, 20, 12, 5, tzinfo=UTC)


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as server:
        yield server


@pytest.fixture
def quick(pipeline: Pipeline, sandbox: Sandbox, tmp_path: Path) -> Pipeline:
    """A deployment at a fixed moment that gives up soon and looks back a day."""
    sandbox.now = NOW
    pipeline.env |= {"AIRQINO_NOW": f"{NOW:%Y-%m-%dT%H:%M}"}
    pipeline.configure(
        tmp_path / "luigi.cfg", retries=0, retry_backoff_seconds=0.05, requests_per_second=500, late_window_hours=24
    )
    return pipeline


@pytest.fixture
def alerted(quick: Pipeline, web: Web) -> Pipeline:
    """The same, telling the web server."""
    quick.env["ALERT_URLS"] = f"json://127.0.0.1:{web.port}"
    return quick
