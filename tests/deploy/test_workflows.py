"""The workflows: their steps are run here in their order, with stand-ins for what would leave the machine.

Their form is checked by actionlint and zizmor in scripts/dev/check-deploy; GitHub's own machines are not here.
"""

import configparser
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.deployment import OURS, ROOT

FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in FILES}
STEPS = [
    (f"{name}-{job}-{n}", step)
    for name, workflow in WORKFLOWS.items()
    for job, of in workflow["jobs"].items()
    for n, step in enumerate(of.get("steps", ()))
]
#: Takes down what it is told; `docker … config` tells which images there are.
STAND_IN = """#!/bin/sh
echo "${0##*/} $*" >>"$TOLD"
case "$*" in *" config --images"*) echo "$IMAGES" ;; "login "*) cat >"$TOLD.token" ;; esac
"""


def setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """Where docker, gh and ssh take down what they are told, in their order."""
    for name in ("docker", "gh", "ssh"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(STAND_IN)
        program.chmod(0o755)
    return tmp_path / "told"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The tree as it is, in a repository of its own with a tag of its version."""
    origin, folder = tmp_path / "origin", tmp_path / "checkout"
    files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    for name in files.stdout.splitlines():
        if (ROOT / name).is_file() and not name.startswith(("docs/", "tests/", ".venv")):
            (origin / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, origin / name)
    git(origin, "init", "--quiet")
    git(origin, "add", "--all")
    git(origin, "commit", "--quiet", "--message", "a release")
    git(origin, "tag", f"v{setup()['metadata']['version']}")
    git(tmp_path, "clone", "--quiet", str(origin), str(folder))
    return folder


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def run(script: str, folder: Path, told: Path, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
    ours = {"PATH": f"{told.parent / 'bin'}:{os.environ['PATH']}", "TOLD": str(told), "HOME": str(told.parent)}
    command = ["bash", "-eo", "pipefail", "-c", script]
    return subprocess.run(command, cwd=folder, env=clean | ours | env, capture_output=True, text=True, timeout=240)


def run_job(job: dict[str, Any], known: dict[str, str], folder: Path, told: Path, **env: str) -> None:
    """Take a job's steps as GitHub does: expressions filled in, each step a shell of its own that must end with 0."""
    for step in (step for step in job["steps"] if "run" in step):
        named = {**job.get("env", {}), **step.get("env", {})}
        values = {k: re.sub(r"\$\{\{ *(.*?) *\}\}", lambda m: known[m[1]], v) for k, v in named.items()}
        done = run(step["run"], folder, told, **values, **env)
        assert done.returncode == 0, (step["run"], done.stdout, done.stderr)


@pytest.mark.parametrize(("name", "step"), STEPS, ids=[name for name, _ in STEPS])
def test_a_step_is_a_script_or_an_action_of_one_commit(name: str, step: dict[str, Any]) -> None:
    if "uses" in step:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", step["uses"])
        assert step["with"]["persist-credentials"] is False
    else:
        assert "${{" not in step["run"], "an expression in a script is run as code"
        checked = subprocess.run(["bash", "-n"], input=step["run"], capture_output=True, text=True)
        assert (checked.returncode, checked.stderr) == (0, "")
        for ours in re.findall(r"(?:^|[ (])((?:scripts|deploy|\.ci)/[\w/.-]+)", step["run"]):
            assert os.access(ROOT / ours, os.X_OK) or ours == ".ci/run", ours


def test_every_python_that_is_promised_is_tested() -> None:
    jobs = WORKFLOWS["ci"]["jobs"]
    assert jobs["test"]["container"]["image"] == "debian:12"  # whose Python is 3.11
    tested = ["3.11", *jobs["pythons"]["strategy"]["matrix"]["python"]]
    classifiers = setup()["metadata"]["classifiers"].split("\n")
    assert tested == [line.rsplit(" ", 1)[1] for line in classifiers if "Python :: 3." in line]
    assert setup()["options"]["python_requires"].startswith(f">={tested[0]}")


def test_a_release_passes_the_tests_first_and_a_deployment_waits_for_an_approval() -> None:
    publish = WORKFLOWS["release"]["jobs"]["publish"]
    assert publish["needs"] == "test"
    assert WORKFLOWS["release"]["jobs"]["test"]["uses"].endswith("/ci.yml")
    assert WORKFLOWS["deploy"]["jobs"]["deploy"]["environment"] == "${{ inputs.environment }}"
    rights = {name: workflow["permissions"] for name, workflow in WORKFLOWS.items()}
    assert rights == {"ci": {"contents": "read"}, "deploy": {}, "release": {"contents": "read"}}
    assert publish["permissions"] == {"contents": "write", "packages": "write"}


@pytest.mark.deploy
def test_the_steps_of_a_release_build_the_wheel_and_publish_it_with_both_images(checkout: Path, told: Path) -> None:
    version = setup()["metadata"]["version"]
    known = {"github.ref_name": f"v{version}", "github.repository_owner": "An-Office", "github.token": "of the job"}
    job = WORKFLOWS["release"]["jobs"]["publish"]
    run_job(job, known, checkout, told, GITHUB_ACTOR="someone", RUNNER_TEMP=str(told.parent))
    images = [f"ghcr.io/an-office/{name}:{version}" for name in ("airqino", "airqino-superset")]
    build = "docker build --file deploy/docker/Dockerfile --target"
    wheel = f"airqino_pipeline-{version}-py3-none-any.whl"
    assert told.read_text().splitlines() == [
        f"{build} pipeline --tag {images[0]} .",
        f"{build} superset --tag {images[1]} .",
        "docker login ghcr.io --username someone --password-stdin",
        *(f"docker push {image}" for image in images),
        f"gh release create v{version} build/release/SHA256SUMS build/release/{wheel} --verify-tag "
        f"--title v{version} --notes-file {told.parent}/notes.md",
    ]
    assert Path(f"{told}.token").read_text() == "of the job\n"
    made = checkout / "build" / "release"
    assert subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=made, capture_output=True).returncode == 0
    inside = set(zipfile.ZipFile(made / wheel).namelist())
    assert {"airqino/readings.py", "tasks/hourly.py"} <= inside
    assert not {name for name in inside if name.startswith(("tests/", "deploy/", "scripts/"))}
    notes = (told.parent / "notes.md").read_text()
    assert notes
    assert notes in (ROOT / "CHANGELOG.md").read_text()
    assert "## " not in notes.replace("### ", "")


@pytest.mark.parametrize("tag", ["v9.9.9", "0.7.0", "v0.7"])
def test_a_tag_that_is_not_the_version_makes_no_release(checkout: Path, told: Path, tag: str) -> None:
    done = run(f'scripts/dev/release check "{tag}"', checkout, told)
    assert done.returncode == 1
    assert f"the tag {tag}" in done.stderr


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("CITATION.cff", "version: {}", "version: 0.0.1"),
        ("deploy/compose.yaml", "airqino-superset:{}", "airqino-superset:0.0.1"),
        ("deploy/kubernetes/kustomization.yaml", "newTag: {}", "newTag: 0.0.1"),
        ("CHANGELOG.md", "## {} ", "## 0.0.1 "),
    ],
)
def test_a_file_that_says_another_version_makes_no_release(
    checkout: Path, told: Path, name: str, old: str, new: str
) -> None:
    version = setup()["metadata"]["version"]
    text = (checkout / name).read_text()
    assert old.format(version) in text
    (checkout / name).write_text(text.replace(old.format(version), new, 1))
    done = run(f"scripts/dev/release check v{version}", checkout, told)
    assert done.returncode == 1
    assert f"{name} says" in done.stderr


def test_the_steps_of_a_deployment_give_the_documented_command(checkout: Path, told: Path) -> None:
    known = {
        "inputs.environment": "test", "inputs.tag": "v1.2.3", "vars.DEPLOY_TO": "deploy@machine",
        "vars.DEPLOY_PATH || '/srv/airqino'": "/srv/airqino-test",
        "secrets.DEPLOY_KEY": "a key", "secrets.DEPLOY_KNOWN_HOSTS": "a host",
    }  # fmt: skip
    run_job(WORKFLOWS["deploy"]["jobs"]["deploy"], known, checkout, told)
    (line,) = told.read_text().splitlines()
    assert line.endswith("StrictHostKeyChecking=yes deploy@machine /srv/airqino-test/deploy/update test v1.2.3")
    assert (told.parent / ".ssh" / "deploy").stat().st_mode & 0o777 == 0o600
    assert (told.parent / ".ssh" / "deploy").read_text() == "a key\n"
    with pytest.raises(AssertionError, match="is no release"):
        run_job(WORKFLOWS["deploy"]["jobs"]["deploy"], known | {"inputs.tag": "v1; rm -r /"}, checkout, told)


def update(checkout: Path, told: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    settings = told.parent / "settings"
    settings.mkdir(exist_ok=True)
    (settings / "compose.env").write_text("AIRQINO_ENVIRONMENT=test\n")
    return run(f"deploy/update {' '.join(arguments)}", checkout, told, AIRQINO_CONFIG_DIR=str(settings), **env)


@pytest.mark.parametrize(
    ("images", "steps"),
    [
        ("ghcr.io/o/airqino:1", ["config --images", "pull", "up --detach --no-build --remove-orphans"]),
        ("airqino:1", ["config --images", "up --detach --build --remove-orphans"]),
    ],
)
def test_an_update_takes_the_tag_and_starts_it(checkout: Path, told: Path, images: str, steps: list[str]) -> None:
    origin = told.parent / "origin"
    (origin / "new").write_text("of the next release\n")
    git(origin, "add", "--all")
    git(origin, "commit", "--quiet", "--message", "the next release")
    git(origin, "tag", "v99.0.0")
    done = update(checkout, told, "test", "v99.0.0", IMAGES=images)
    assert done.returncode == 0, done.stderr
    assert (checkout / "new").exists()
    said = [
        line.partition("--file compose.yaml ")[2] for line in told.read_text().splitlines() if "--project-name" in line
    ]
    assert said == [*steps, "exec -T hourly scripts/doctor"]


def test_an_update_leaves_a_checkout_alone_that_was_changed(checkout: Path, told: Path) -> None:
    (checkout / "luigi.cfg").write_text("# mine\n")
    done = update(checkout, told, "test", f"v{setup()['metadata']['version']}")
    assert done.returncode == 2
    assert "settings belong into /etc/airqino" in done.stderr
    assert not told.exists()


@pytest.mark.parametrize("arguments", [(), ("test",), ("test", "main"), ("test", "v1.2.3;ls")])
def test_an_update_wants_a_release(checkout: Path, told: Path, arguments: tuple[str, ...]) -> None:
    done = update(checkout, told, *(f"'{argument}'" for argument in arguments))
    assert done.returncode == 2
    assert "deploy/update ENVIRONMENT TAG" in done.stderr
