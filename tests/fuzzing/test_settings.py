"""Settings files, whatever is in them: settings or one ConfigError that names the place and tells no secret."""

from functools import partial
from pathlib import Path

import pytest
from hypothesis import strategies as st
from support.configured import use_settings
from support.deployment import ROOT
from support.fuzzing import outcome, spoiled, spoiled_text, tried

from airqino.errors import ConfigError
from airqino.times import local_day
from tasks.settings import env_file, luigi_cfg
from tasks.settings.reading import settings

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(3600)]

HIDDEN = "of-Marie-0815"
CFG = (ROOT / "luigi.cfg").read_text().replace("password =", f"password = {HIDDEN}", 1)
CFG = "\n".join(line for line in CFG.splitlines() if line and line[0] != "#")
ENV = f"""# the operator's
AIRQINO_PASSWORD='{HIDDEN}'
AIRQINO_STATIONS='283181971,283164601'
export MONGODB_URI="mongodb://u:{HIDDEN}@127.0.0.1/"
STAGING_ROOT=/srv/airqino  # here
"""


def test_luigi_cfg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "luigi.cfg"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        if told := luigi_cfg.mistake([f"{path}"]):
            assert "luigi.cfg" in told
            assert HIDDEN not in told
            return
        with monkeypatch.context() as patch:
            use_settings(patch, [path], {})
            config, error = outcome(settings, ConfigError)
            assert HIDDEN not in error
            if config is None:
                assert "[" in error
                return
            assert config.active_stations(config.last_hour) is not None
            for zone in config.zones.values():
                local_day(config.now.date(), zone)

    texts = spoiled_text(CFG).map(lambda text: text.encode("utf-8", "surrogatepass"))
    tried(read, st.one_of(texts, texts, spoiled(CFG.encode())))


def test_airqino_env(tmp_path: Path) -> None:
    path = tmp_path / "airqino.env"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        found, error = outcome(partial(env_file.values, path), ConfigError)
        assert HIDDEN not in error
        assert found is not None or f"{path}" in error
        assert all(name.isidentifier() and "\n" not in value for name, value in (found or {}).items())

    texts = spoiled_text(ENV).map(lambda text: text.encode("utf-8", "surrogatepass"))
    tried(read, st.one_of(texts, spoiled(ENV.encode())))
