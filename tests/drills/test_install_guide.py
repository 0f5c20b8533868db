"""docs/install.md, word for word on an empty Debian 12, to an hourly run by cron and a page in the browser.

MongoDB's own packages, which the page marks, are replaced by the mongod that the tests have, with the page's settings.

The empty machine is a folder of Debian's base packages, entered by chroot; network and kernel are this machine's, and
so is how it reaches its package sources.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from support.deployment import ROOT
from support.receivers import Web

from airqino.sandbox import series
from airqino.sandbox.mongod import find_mongod
from airqino.sandbox.server import Account, Sandbox
from airqino.times import DAY, HOUR, floor_hour

GUIDE = (ROOT / "docs" / "install.md").read_text()
#: This machine's own ways to its package sources.
BORROWED = (
    *("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/etc/xdg/pip", "/usr/local/share/ca-certificates"),
    *("/etc/apt/sources.list.d", "/etc/apt/apt.conf.d"),
)
ENVIRONMENT = {k: v for k, v in os.environ.items() if k.startswith("PIP_") or k.lower().endswith("_proxy")}


def steps() -> dict[str, str]:
    """What is run in each step: number → commands."""
    parts = re.split(r"(?m)^\*\*(\d)\. ", GUIDE)[1:]
    texts = dict(zip(parts[::2], parts[1::2], strict=True))
    return {number: "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)) for number, text in texts.items()}


def test_it_fits_on_two_screens() -> None:
    assert len(GUIDE.splitlines()) <= 100
    assert [number for number, text in steps().items() if "(not tried" in GUIDE.split(f"**{number}. ")[1][:300]] == [
        "3"
    ]


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


#: In place of step 3: another mongod, started as the package's service would.
MONGOD = """
apt-get install --yes --no-install-recommends libcurl4
cp /repository.mongod /usr/bin/mongod
su mongodb -s /bin/sh -c '/usr/bin/mongod --config /etc/mongod.conf --fork'
"""
LEAST = ("playwright", "pytest", "fiftyone", "mlflow", "hypothesis")


def keep_on(api: Sandbox) -> None:
    """Let no station be off by the calendar, which would be told: such an hour has the row of a day before."""
    for station in series.DEFAULT_STATIONS:
        for ahead in range(-10 * 24, 3):  # all that a first run fetches, and the hours until the test ends
            hour = floor_hour(api.now) + ahead * HOUR
            before = (hour - days * DAY for days in count())
            (row,) = next(filter(None, (series.rows(station, at, at, at + 2 * DAY) for at in before)))
            if row["timestamp"] != f"{hour:%Y-%m-%d %H:%M:%S}":
                api.override(station, hour, {sensor: value for sensor, value in row.items() if sensor != "timestamp"})


@pytest.mark.nightly
@pytest.mark.timeout(1500)
def test_the_page_leads_from_an_empty_machine_to_a_service_and_a_public_page(machine: Machine) -> None:
    shutil.copy(find_mongod(), machine.root / "repository.mongod")
    took: dict[str, float] = {}
    secrets = Account()
    with Sandbox(account=secrets) as api, Web() as web:
        keep_on(api)
        filled_in = {
            "AIRQINO_USERNAME": secrets.username,
            "AIRQINO_PASSWORD": secrets.password,
            "AIRQINO_CLIENT_ID": secrets.client_id,
            "AIRQINO_CLIENT_SECRET": secrets.client_secret,
            "ALERT_URLS": f"json://127.0.0.1:{web.port}/",
            "PUBLISH_URL": "http://127.0.0.1/",
        }
        # what the reader edits, and where the API is: the sandbox stands in for the real one
        edit = "".join(f"sed -i \"s|^{n}=.*|{n}='{v}'|\" /etc/airqino/airqino.env\n" for n, v in filled_in.items())
        added = f"AIRQINO_BASE_URL='{api.url}'\\nAIRQINO_TOKEN_URL='{api.token_url}'\\n"
        edit += f'printf "{added}" >> /etc/airqino/airqino.env\n'
        page = steps() | {"3": MONGOD}
        page["5"] += edit
        so_far = ""
        for parts in (("1",), ("2",), ("3",), ("4", "5"), ("6",), ("7",)):  # 4 and 5 share a shell's variables
            # each block in a login of its own stands where the one before has left it
            began = time.monotonic()
            done = machine.run("\n".join([so_far, *(page[part] for part in parts)]))
            took["+".join(parts)] = time.monotonic() - began
            assert done.returncode == 0, (parts, done.stdout[-2000:], done.stderr[-3000:])
            so_far = "cd /srv/airqino" if parts >= ("4",) else ""
            if parts == ("6",):
                assert "✗" not in done.stdout
                assert "nothing needs you now" in done.stdout
                assert "MongoDB: ok" in done.stdout
                # the sandbox has a sensor at its floor
                assert web.titles == ["[AirQino] test", "[AirQino] CO sensor of SMART188 (283164601) is at its floor"]
                assert api.stats()["data_requests"] <= 4  # doctor asks each station once, and the run does
        print({part: round(seconds) for part, seconds in took.items()}, f"{sum(took.values()):.0f} s in all")
        assert sum(took.values()) < 15 * 60

        etc = machine.root / "etc" / "airqino"
        assert (etc / "airqino.env").stat().st_mode & 0o777 == 0o640
        assert etc.stat().st_mode & 0o777 == 0o750
        size = subprocess.run(["du", "-sm", f"{machine.root}/srv/airqino/.venv"], capture_output=True, text=True).stdout
        assert int(size.split()[0]) <= 600
        packages = {path.name for path in machine.root.glob("srv/airqino/.venv/lib/python3*/site-packages/*")}
        assert packages & {*LEAST} == set()

        with urllib.request.urlopen("http://127.0.0.1/", timeout=10) as reply:
            assert "µg/m³" in reply.read().decode()
        with urllib.request.urlopen("http://127.0.0.1/now.json", timeout=10) as reply:
            assert json.load(reply)
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen("http://127.0.0.1/.live/index.html", timeout=10)

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
    unencrypted = open_door.replace(", tlsCAFile='/etc/mongodb/ca.pem'", ", serverSelectionTimeoutMS=3000")
    assert machine.run(f'/srv/airqino/.venv/bin/python -c "{unencrypted}"').returncode != 0
