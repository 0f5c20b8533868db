"""A deployment whose alerts arrive at a web server of the test's, and its mail at a mail server."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.deployment import Pipeline
from support.receivers import Post, Web

from airqino.sandbox.server import Sandbox

NOW = datetime(2026, 2, 20, 12, 5, tzinfo=UTC)


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as server:
        yield server


@pytest.fixture
def post() -> Iterator[Post]:
    with Post() as server:
        yield server


@pytest.fixture
def quick(pipeline: Pipeline, sandbox: Sandbox, tmp_path: Path) -> Pipeline:
    """A deployment at a fixed moment that gives up soon, looks back a day, and has room enough on any disk."""
    sandbox.now = NOW
    pipeline.env |= {"AIRQINO_NOW": f"{NOW:%Y-%m-%dT%H:%M}"}
    pipeline.configure(
        tmp_path / "luigi.cfg",
        retries=0,
        retry_backoff_seconds=0.05,
        requests_per_second=500,
        late_window_hours=24,
        disk_free_share=1e-9,
    )
    return pipeline


@pytest.fixture
def alerted(quick: Pipeline, web: Web) -> Pipeline:
    """The same, telling the web server."""
    quick.env["ALERT_URLS"] = f"json://127.0.0.1:{web.port}"
    return quick


@pytest.fixture
def mailed(quick: Pipeline, post: Post, tmp_path: Path) -> Pipeline:
    """The same with luigi.cfg's mail sections in force."""
    config = tmp_path / "luigi.cfg"
    config.write_text(_uncommented(config.read_text(), host="127.0.0.1", port=post.port))
    return quick


def _uncommented(text: str, **options: object) -> str:
    begin = text.index("# [email]")
    lines = [line.removeprefix("# ") if line != "#" else "" for line in text[begin:].splitlines()]
    mail = "\n".join(line for line in lines if not line.startswith("username"))
    for option, value in options.items():
        mail, found = re.subn(rf"^{option} =.*", f"{option} = {value}", mail, flags=re.MULTILINE)
        assert found == 1, option
    return text[:begin] + mail + "\n"
