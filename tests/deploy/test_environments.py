"""deploy/env: each folder's file loads over luigi.cfg, changes what it names and nothing else, and a variable wins."""

import configparser
import subprocess
import sys
from pathlib import Path

import pytest
from pymongo import MongoClient
from support import commands
from support.deployment import ROOT, without_settings

from airqino.sandbox.mongod import Mongod
from airqino.sandbox.server import Sandbox

FILES = sorted((ROOT / "deploy" / "env").glob("*/airqino.cfg"))
DUMP = """
import msgspec
from luigi.configuration import get_config
from tasks.settings.reading import settings
print(msgspec.json.encode({
    "settings": msgspec.to_builtins(settings()),
    "luigi": {section: dict(get_config().items(section)) for section in ("core", "scheduler", "worker", "retcode")},
}).decode())
"""


def parsed(*paths: object) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser()
    assert len(parser.read(map(str, paths))) == len(paths)
    return {section: dict(parser[section]) for section in parser.sections()}


def loaded(**env: str) -> dict[str, dict[str, dict[str, object]]]:
    """All settings as a process of the pipeline has them."""
    import json

    clean = without_settings()
    done = subprocess.run(
        [sys.executable, "-c", DUMP], cwd=ROOT, env=clean | env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def same(text: str, value: object) -> bool:
    if isinstance(value, bool | str):
        return text == str(value)
    return float(text) == value


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_an_environment_changes_what_it_names_and_nothing_else(path) -> None:
    named = parsed(path)
    plain, changed = loaded(), loaded(AIRQINO_CONFIG_DIR=f"deploy/env/{path.parent.name}")
    assert changed["settings"]["airqino"]["environment"] == path.parent.name
    # where an environment of version 0.7.0 and before names it
    before = loaded(LUIGI_CONFIG_PATH=f"deploy/env/{path.parent.name}.cfg")
    before["settings"]["now"] = changed["settings"]["now"]
    assert before == changed
    for section, options in named.items():
        for option, text in options.items():
            got = changed["luigi" if section in plain["luigi"] else "settings"][section]
            assert same(text, got[option]), f"[{section}] {option}: {got[option]!r}"
            if option != "environment":
                assert text != parsed(ROOT / "luigi.cfg")[section].get(option), f"[{section}] {option} is no difference"
            before = plain["luigi" if section in plain["luigi"] else "settings"][section]
            before[option] = got[option]
    plain["settings"]["now"] = changed["settings"]["now"]
    assert changed == plain


def test_there_are_three_environments_and_the_variables_win() -> None:
    assert [path.parent.name for path in FILES] == ["development", "production", "test"]
    got = loaded(AIRQINO_CONFIG_DIR="deploy/env/production", STAGING_ROOT="/elsewhere", LOG_CONSOLE="text")
    assert got["settings"]["staging"]["root"] == "/elsewhere"
    assert got["settings"]["logging"]["console"] == "text"


def test_the_environments_keep_out_of_each_others_way() -> None:
    sections = [parsed(ROOT / "luigi.cfg", path) for path in FILES]
    assert len({config["mongo"]["database"] for config in sections}) == 3
    assert len({config["airqino"]["environment"] for config in sections}) == 3
    assert len({config["staging"]["root"] for config in sections}) == 3


def test_all_three_on_one_server_and_none_reaches_another(mongod: Mongod, sandbox: Sandbox, tmp_path: Path) -> None:
    """Each by its one command; where its folder of settings is mixed with another's data it refuses."""
    names = [path.parent.name for path in FILES]
    databases = {
        name: parsed(ROOT / "luigi.cfg", path)["mongo"]["database"] for name, path in zip(names, FILES, strict=True)
    }
    client = MongoClient(mongod.uri)

    def hourly(name: str, **env: str) -> subprocess.CompletedProcess[str]:
        parts = {"AIRQINO_BASE_URL": sandbox.url, "MONGODB_URI": mongod.uri, "STAGING_ROOT": f"{tmp_path / name}"}
        own = {"AIRQINO_CONFIG_DIR": f"deploy/env/{name}", "LUIGID_URL": "http://127.0.0.1:9"}
        return commands.run(["airqino", "hourly"], without_settings() | parts | own | env, 240)

    try:
        for name in names:
            done = hourly(name)
            assert done.returncode == 0, done.stderr
            assert (tmp_path / name / "environment").read_text() == f"{name}\n"
            assert client[databases[name]]["loads"].find_one({"_id": "environment"})["environment"] == name
        for name, other in zip(names, names[1:] + names[:1], strict=True):
            for mixed in ({"STAGING_ROOT": f"{tmp_path / other}"}, {"MONGODB_DATABASE": databases[other]}):
                done = hourly(name, **mixed)
                assert done.returncode == 2, done.stderr
                assert f"belongs to the environment {other}, and the settings are those of {name}" in done.stderr
    finally:
        for database in databases.values():
            client.drop_database(database)
        client.close()
