"""docs/operations.md, "Install", word for word on an empty Debian 12, until cron fires the hourly run.

The empty machine is a folder of Debian's base packages, entered by chroot; network and kernel are this machine's, and
so is how it reaches its package sources.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.deployment import ROOT

from airqino.sandbox.server import Account, Sandbox

pytestmark = [pytest.mark.drill, pytest.mark.timeout(1500)]

GUIDE = (ROOT / "docs" / "operations.md").read_text()
#: This machine's own ways to its package sources.
BORROWED = (
    *("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/etc/xdg/pip", "/usr/local/share/ca-certificates"),
    *("/etc/apt/sources.list.d", "/etc/apt/apt.conf.d"),
)
ENVIRONMENT = {k: v for k, v in os.environ.items() if k.startswith("PIP_") or k.lower().endswith("_proxy")}


def steps() -> list[str]:
    return re.findall(r"```sh\n(.*?)```", GUIDE.split("## Install")[1].split("\n## ")[0], re.DOTALL)


def mirror() -> str:
    """Where this machine gets Debian's packages from."""
    files = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    text = "\n".join(path.read_text() for path in files if path.is_file())
    found = re.search(r"^(?:URIs: |deb (?:\[.*?\] )?)(https?://\S+)", text, re.MULTILINE)
    assert found, "no package source in /etc/apt"
    return found[1]


class Machine:
    """An empty machine."""

    def __init__(self, root: Path) -> None:
        self.root = root
        command = ["debootstrap", "--variant=minbase", "bookworm", str(root), mirror()]
        made = subprocess.run(command, capture_output=True, text=True, timeout=600)
        assert made.returncode == 0, made.stdout[-2000:]
        if not Path("/etc/apt/sources.list").exists():
            (root / "etc" / "apt" / "sources.list").unlink()
        for name in BORROWED:
            source, target = Path(name), root / name[1:]
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True)
            elif source.is_file():
                shutil.copy(source, target)
        self.mounts = [root / "proc", root / "dev", root / "repository"]
        subprocess.run(["mount", "-t", "proc", "proc", str(self.mounts[0])], check=True)
        subprocess.run(["mount", "--rbind", "/dev", str(self.mounts[1])], check=True)
        self.mounts[2].mkdir()
        subprocess.run(["mount", "--bind", "-o", "ro", str(ROOT), str(self.mounts[2])], check=True)
        for folder in (p for p in os.environ.get("PIP_FIND_LINKS", "").split() if Path(p).is_dir()):
            top = root / Path(folder).parts[1]
            if top not in self.mounts:
                top.mkdir(exist_ok=True)
                subprocess.run(["mount", "--bind", "-o", "ro", f"/{top.name}", str(top)], check=True)
                self.mounts.append(top)

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script as root, as a login would."""
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        of = {"PATH": path, "HOME": "/root", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", "COLUMNS": "160"}
        command = ["chroot", str(self.root), "bash", "-euo", "pipefail", "-c", script]
        return subprocess.run(
            command, env=ENVIRONMENT | of | {"REPOSITORY": "/repository"}, capture_output=True, text=True, timeout=1200
        )

    def processes(self) -> list[int]:
        """What runs inside."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (entry / "root").readlink() == self.root:
                    found.append(int(entry.name))
        return found

    def stop(self) -> None:
        for kind in (signal.SIGTERM, signal.SIGKILL):
            for pid in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, kind)
            deadline = time.monotonic() + 15
            while self.processes() and time.monotonic() < deadline:
                time.sleep(0.2)
        for mount in reversed(self.mounts):
            subprocess.run(["umount", "--lazy", "--recursive", str(mount)], check=False)
        if not any(os.path.ismount(mount) for mount in self.mounts):
            shutil.rmtree(self.root, ignore_errors=True)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path / "machine")
    yield made
    made.stop()


def test_the_guide_leads_from_an_empty_machine_to_an_hourly_service(machine: Machine) -> None:
    packages, pipeline, mongodb, users, settings, doctor, first_run = steps()
    secrets = Account()
    with Sandbox(account=secrets) as api:
        filled_in = {
            "AIRQINO_USERNAME": secrets.username,
            "AIRQINO_PASSWORD": secrets.password,
            "AIRQINO_CLIENT_ID": secrets.client_id,
            "AIRQINO_CLIENT_SECRET": secrets.client_secret,
        }
        # what the reader edits, and where the API is: the sandbox stands in for the real one
        edit = "".join(f"sed -i \"s|^{n}=.*|{n}='{v}'|\" /etc/airqino/airqino.env\n" for n, v in filled_in.items())
        added = f"AIRQINO_BASE_URL='{api.url}'\\nAIRQINO_TOKEN_URL='{api.token_url}'\\n"
        edit += f'printf "{added}" >> /etc/airqino/airqino.env\n'
        done = machine.run("\n".join([packages, pipeline, mongodb, users, settings, edit]))
        assert done.returncode == 0, done.stderr[-3000:]
        assert "etl_writer: role made, user made" in done.stdout
        env = machine.root / "etc" / "airqino" / "airqino.env"
        assert env.stat().st_mode & 0o777 == 0o640

        done = machine.run(doctor)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "✗" not in done.stdout
        api.reset()
        done = machine.run(first_run)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "MongoDB: ok" in done.stdout
        asked = api.stats()["data_requests"]
        assert asked == 2  # one for each station

        # cron is started as Debian starts it; the minute is the only thing changed: each one instead of the fifth
        done = machine.run(
            "sed -i 's|^5 |* |' /etc/cron.d/airqino && cron && logrotate --debug /etc/logrotate.d/airqino"
        )
        assert done.returncode == 0, done.stderr
        log, deadline = machine.root / "var" / "log" / "airqino" / "hourly.log", time.monotonic() + 150
        while time.monotonic() < deadline and not (log.exists() and "hourly ended with" in log.read_text()):
            time.sleep(1)
        assert "hourly ended with 0" in log.read_text()

    open_door = (
        "import pymongo; print(list(pymongo.MongoClient('mongodb://localhost:27017', tlsCAFile='/etc/mongodb/ca.pem')"
        "['air_quality']['daily_averages'].find()))"
    )
    refused = machine.run(f'/srv/airqino/.venv/bin/python -c "{open_door}"')
    assert refused.returncode != 0
    assert "requires authentication" in refused.stderr

    demo = machine.run("cd /srv/airqino && STAGING_ROOT=/tmp/demo scripts/demo")  # README's first command
    assert demo.returncode == 0, demo.stderr[-3000:]
    assert "requests to the API in this run" in demo.stdout
