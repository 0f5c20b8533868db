"""Commands run in the tests' own process, with a luigi.cfg and an environment of their own."""

import os
from pathlib import Path

import pytest
from luigi.configuration import LuigiConfigParser

from support.deployment import OURS
from tasks.settings.reading import settings


class Configured:
    """The settings of this process; call it to change them."""

    def __init__(self, folder: Path, api: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self.root, self.monkeypatch = folder / "luigi.cfg", folder / "staging", monkeypatch
        self.env = {"AIRQINO_BASE_URL": api, "STAGING_ROOT": f"{self.root}", "LUIGI_CONFIG_PATH": f"{self.path}"}

    def __call__(self, text: str = "", **env: str) -> Path:
        """Write a luigi.cfg and set variables; return the file."""
        for variable in [name for name in os.environ if name.startswith(OURS)]:
            self.monkeypatch.delenv(variable)
        for variable, value in (self.env | env).items():
            self.monkeypatch.setenv(variable, value)
        self.path.write_text(text)
        self.monkeypatch.setattr(LuigiConfigParser, "_instance", None)
        self.monkeypatch.setattr(LuigiConfigParser, "_config_paths", [f"{self.path}"])
        settings.cache_clear()
        return self.path
