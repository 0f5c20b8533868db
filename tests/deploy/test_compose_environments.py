"""deploy/compose: each environment is brought up by one command, and none can reach another's data.

Compose itself is not needed: what it is told is taken down by a stand-in, and the files are read as it reads them.
"""

import itertools
import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.deployment import OURS, ROOT

COMMAND = ROOT / "deploy" / "compose"
NAMES = ("production", "test", "development")
STAND_IN = """#!/bin/sh
[ "$2" = version ] || { printf '%s\\n' "$@" >"$TOLD.arguments"; env >"$TOLD.environment"; }
"""


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """Where the stand-in for docker takes down what it is told."""
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(STAND_IN)
    program.chmod(0o755)
    return tmp_path / "told"


def compose(told: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run deploy/compose with the stand-in, and folders of settings below the test's own."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
    settings = {"AIRQINO_CONFIG_DIR": str(told.parent / (arguments[0] if arguments else "none")), "TOLD": str(told)}
    path = {"PATH": f"{told.parent / 'bin'}:{os.environ['PATH']}"}
    return subprocess.run(
        [str(COMMAND), *arguments], env=clean | path | settings | env, capture_output=True, text=True, timeout=30
    )


def brought_up(told: Path, name: str, **env: str) -> tuple[list[str], dict[str, str]]:
    """Bring an environment up as a person does; return what Compose was told, and the variables that it sees."""
    first = compose(told, name, "up", "--detach", **env)
    if name != "development":  # the account of the API has to be put in
        assert (first.returncode, "put the account of the API into it" in first.stderr) == (2, True)
        first = compose(told, name, "up", "--detach", **env)
    assert (first.returncode, first.stderr) == (0, "")
    arguments = Path(f"{told}.arguments").read_text().splitlines()
    variables = dict(
        line.split("=", 1) for line in Path(option(arguments, "--env-file")).read_text().splitlines() if "=" in line
    )
    variables |= dict(
        line.split("=", 1) for line in Path(f"{told}.environment").read_text().splitlines() if "=" in line
    )
    return arguments, variables


def option(arguments: list[str], name: str) -> str:
    (at,) = (n for n, argument in enumerate(arguments) if argument == name)
    return arguments[at + 1]


def read(arguments: list[str], variables: dict[str, str]) -> dict[str, Any]:
    """The files that Compose was given, with their variables filled in and put one on top of the other."""
    whole: dict[str, Any] = {}
    for name in (after for before, after in itertools.pairwise(arguments) if before == "--file"):
        text = (ROOT / "deploy" / name).read_text()
        whole = on_top(
            whole, yaml.safe_load(re.sub(r"\$\{(\w+)(:-|:\?)?([^}]*)\}", lambda m: value(m, variables), text))
        )
    return whole


def value(found: re.Match[str], variables: dict[str, str]) -> str:
    text = variables.get(found[1], "")
    assert text or found[2] != ":?", f"{found[1]} is needed and not set"
    return text or (found[3] if found[2] == ":-" else "")


def on_top(under: Any, over: Any) -> Any:
    if isinstance(under, dict) and isinstance(over, dict):
        return {
            k: on_top(under[k], over[k]) if k in under and k in over else {**under, **over}[k]
            for k in {**under, **over}
        }
    return over


@pytest.fixture
def environments(told: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """Each environment's project name, and all its files as one."""
    made = {}
    for name in NAMES:
        arguments, variables = brought_up(told, name)
        assert arguments[-2:] == ["up", "--detach"]
        made[name] = (option(arguments, "--project-name"), read(arguments, variables))
    return made


def test_no_two_environments_have_a_name_a_volume_a_network_a_port_or_a_database_in_common(environments) -> None:
    places: dict[str, set[str]] = {}
    for name, (project, whole) in environments.items():
        services = whole["services"].values()
        databases = {
            of["environment"]["MONGODB_DATABASE"] for of in services if "MONGODB_DATABASE" in of.get("environment", {})
        }
        assert len(databases) == 1
        # nothing is named past the project: Compose puts the project's name before every other name
        for kind in ("volumes", "networks"):
            assert not any((of or {}).keys() & {"name", "external"} for of in whole[kind].values()), kind
        assert not any(of.keys() & {"container_name", "external_links"} for of in services)
        ports = {port for of in services for port in of.get("ports", ())}
        folders = {v.split(":")[0] for of in services for v in of.get("volumes", ()) if v.startswith("/")}
        mongodb = {of["environment"]["MONGODB_URI"] for of in services if "MONGODB_URI" in of.get("environment", {})}
        places[name] = {project, *databases, *ports, *folders, *mongodb}
        assert ports
        assert folders
    for one, other in (("production", "test"), ("production", "development"), ("test", "development")):
        assert places[one] & places[other] == set()


def test_each_names_itself_to_the_pipeline_and_reads_its_own_settings(environments, tmp_path: Path) -> None:
    for name, (_, whole) in environments.items():
        for of in (whole["services"][service] for service in ("hourly", "alerts", "backup")):
            assert of["environment"]["AIRQINO_ENVIRONMENT"] == name
            assert f"{tmp_path / name}:/etc/airqino:ro" in of["volumes"]
        assert not {"LUIGI_CONFIG_PATH"} & whole["services"]["hourly"]["environment"].keys()


def test_production_keeps_the_names_it_has_always_had(environments) -> None:
    project, whole = environments["production"]
    assert project == "airqino"
    assert whole["services"]["hourly"]["environment"]["MONGODB_DATABASE"] == "air_quality"


def test_development_asks_the_sandbox_only(environments) -> None:
    hourly = environments["development"][1]["services"]["hourly"]
    assert hourly["network_mode"] == "service:sandbox"
    assert {hourly["environment"][name].split("/")[2] for name in ("AIRQINO_BASE_URL", "AIRQINO_TOKEN_URL")} == {
        "127.0.0.1:8765"
    }
    for name in ("production", "test"):
        services = environments[name][1]["services"]
        assert services["sandbox"]["profiles"] == ["development"]
        assert "network_mode" not in services["hourly"]


def test_the_secrets_are_new_for_each_environment_and_for_nobody_elses_eyes(told: Path) -> None:
    seen: set[str] = set()
    for name in NAMES:
        _, variables = brought_up(told, name)
        file = told.parent / name / "compose.env"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        secrets = {k: v for k, v in variables.items() if f"${{{k}:?}}" in (ROOT / "deploy/compose.yaml").read_text()}
        passwords = {v for k, v in secrets.items() if k.endswith(("_PASSWORD", "_KEY"))}
        assert len(passwords) == 8
        assert all(re.fullmatch("[0-9a-f]{48}", text) for text in passwords)
        assert not seen & passwords
        seen |= passwords


def test_what_the_shell_has_does_not_count(told: Path) -> None:
    strays = dict.fromkeys(("MONGO_ROOT_PASSWORD", "AIRQINO_BASE_URL", "MONGODB_DATABASE"), "of another")
    _, variables = brought_up(told, "test", **strays)
    assert not set(strays.values()) & set(variables.values())
    assert variables["MONGODB_DATABASE"] == "air_quality_test"


def test_the_settings_of_another_environment_are_refused(told: Path) -> None:
    brought_up(told, "production")
    Path(f"{told}.arguments").unlink()
    done = compose(told, "test", "up", AIRQINO_CONFIG_DIR=str(told.parent / "production"))
    assert done.returncode == 2
    assert "compose.env is of the environment 'production', not of 'test'" in done.stderr
    assert not Path(f"{told}.arguments").exists()


def test_an_upgrade_makes_the_secrets_that_are_new_and_touches_nothing_else(told: Path) -> None:
    brought_up(told, "production")
    file = told.parent / "production" / "compose.env"
    before = "".join(line for line in file.open() if not line.startswith("SUPERSET_DATABASE_PASSWORD="))
    file.write_text(before)
    cfg = told.parent / "production" / "airqino.cfg"
    cfg.write_text("[airqino]\nstations = 1\n")
    brought = compose(told, "production", "up")
    assert brought.returncode == 0, brought.stderr
    assert re.fullmatch(re.escape(before) + "SUPERSET_DATABASE_PASSWORD=[0-9a-f]{48}\n", file.read_text())
    assert cfg.read_text() == "[airqino]\nstations = 1\n"


@pytest.mark.parametrize("name", ["", "airqino.cfg"])
def test_settings_that_the_containers_cannot_read_are_told(told: Path, name: str) -> None:
    brought_up(told, "production")
    Path(f"{told}.arguments").unlink()
    (told.parent / "production" / name).chmod(0o750)
    done = compose(told, "production", "up")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    command = re.search(r"chmod o[+]rX \S+ [^,]+", done.stderr)
    assert command
    subprocess.run(command[0].split(), check=True)
    assert compose(told, "production", "up").returncode == 0
    assert Path(f"{told}.arguments").exists()


def test_an_overlay_of_the_operators_own_comes_last(told: Path) -> None:
    brought_up(told, "production")
    own = told.parent / "production" / "compose.yaml"
    own.write_text("services: {}\n")
    compose(told, "production", "up")
    arguments = Path(f"{told}.arguments").read_text().splitlines()
    assert arguments[-3:] == ["--file", str(own), "up"]


@pytest.mark.parametrize("arguments", [(), ("production",), ("prod", "up")])
def test_a_wrong_call_says_how(told: Path, arguments: tuple[str, ...]) -> None:
    done = compose(told, *arguments)
    assert done.returncode == 2
    assert "deploy/compose ENVIRONMENT COMMAND" in done.stderr
