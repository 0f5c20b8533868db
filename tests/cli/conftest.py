"""Commands run in this process."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.configured import Configured

from airqino.sandbox.server import Sandbox
from tasks.cli import main
from tasks.settings.reading import settings


@pytest.fixture
def configure(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Configured]:
    """A deployment that asks the sandbox."""
    monkeypatch.setattr(main, "_unwind_at_sigterm", lambda: None)  # the process is the tests'
    yield Configured(tmp_path, sandbox.url, monkeypatch)
    settings.cache_clear()
