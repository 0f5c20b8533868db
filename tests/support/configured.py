"""Commands run in the tests' own process, with a luigi.cfg and an environment of their own."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from luigi.configuration import LuigiConfigParser

from support.deployment import NO_SETTINGS, OURS
from tasks.settings.reading import settings


def use_settings(patch: pytest.MonkeyPatch, files: Sequence[Path], env: Mapping[str, str]) -> None:
    """Take settings files and an environment without the machine's own settings."""
    for variable in [name for name in os.environ if name.startswith(OURS)]:
        patch.delenv(variable)
    patch.setenv("AIRQINO_CONFIG_DIR", NO_SETTINGS)
    for variable, value in env.items():
        patch.setenv(variable, value)
    patch.setattr(LuigiConfigParser, "_instance", None)
    patch.setattr(LuigiConfigParser, "_config_paths", [f"{file}" for file in files])
    settings.cache_clear()


class Configured:
    """The settings of this process; call it to change them."""

    def __init__(self, folder: Path, api: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self.root, self.monkeypatch = folder / "luigi.cfg", folder / "staging", monkeypatch
        self.env = {"AIRQINO_BASE_URL": api, "STAGING_ROOT": f"{self.root}", "LUIGI_CONFIG_PATH": f"{self.path}"}

    def __call__(self, text: str = "", **env: str) -> Path:
        """Write a luigi.cfg and set variables; return the file."""
        self.path.write_text(text)
        use_settings(self.monkeypatch, [self.path], self.env | env)
        return self.path
