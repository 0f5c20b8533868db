"""Ten bad nights: ten broken states, each healed by only doing what status, doctor and the alerts say.

Each ends as an undisturbed deployment does that ran through the same hours, forecasts and times excepted.
"""

import contextlib
import json
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.damage import DAMAGES
from support.deployment import ROOT, Pipeline
from support.receivers import Web

from airqino.sandbox.mongod import Mongod
from airqino.sandbox.server import Account, Sandbox

pytestmark = [pytest.mark.drill, pytest.mark.timeout(900)]

STATION, OTHER = "283181971", "283164601"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FIRST = datetime(2026, 4, 25, tzinfo=UTC)
#: When the night begins: a Thursday, so that no training is due in it.
NIGHT = datetime(2026, 5, 7, 2, 5, tzinfo=UTC)
ACCOUNT = Account("airqino-sandbox", "sandbox-S3cret", "operator", "demo-S3cret")
#: What the API's account is, as the environment has it.
CREDENTIALS = {
    "AIRQINO_CLIENT_ID": ACCOUNT.client_id,
    "AIRQINO_CLIENT_SECRET": ACCOUNT.client_secret,
    "AIRQINO_USERNAME": ACCOUNT.username,
    "AIRQINO_PASSWORD": ACCOUNT.password,
}


class Night:
    """A deployment in a bad night: the engineer sees its screens, and gets its alerts."""

    def __init__(self, pipeline: Pipeline, sandbox: Sandbox, web: Web) -> None:
        self.pipeline, self.sandbox, self.web, self.now = pipeline, sandbox, web, NIGHT
        pipeline.env |= {
            "AIRQINO_BASE_URL": sandbox.url,
            "ALERT_URLS": f"json://127.0.0.1:{web.port}/",
            "COLUMNS": "80",
        }
        self.done: list[str] = []
        self.changed: tuple[datetime, str] = NIGHT, pipeline.env["LUIGI_CONFIG_PATH"]
        self.log: list[str] = []

    def run(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        self.sandbox.now = self.now
        return self.pipeline.script(name, *arguments, AIRQINO_NOW=f"{self.now:%Y-%m-%dT%H:%M}")

    def cron(self, hours: int = 1) -> list[int]:
        """Let hours pass, with the hourly run of each; return their exit codes."""
        codes = []
        for _ in range(hours):
            self.now += HOUR
            done = self.run("hourly")
            codes.append(done.returncode)
            self.log.append(f"{self.now} hourly {done.returncode}\n{done.stderr}")
        return codes

    def screen(self) -> tuple[int, list[str], str]:
        """Look at status: its exit code, the commands it gives, its text."""
        shown, machine = self.run("status"), self.run("status", "--json")
        assert "Traceback" not in shown.stderr + machine.stderr, shown.stderr
        assert max(map(len, shown.stdout.splitlines())) <= 80 or "/" in shown.stdout  # paths and commands stay whole
        commands = [need["command"] for need in json.loads(machine.stdout)["needs"] if need["urgent"]]
        for command in commands:
            assert f"    {command}\n" in shown.stdout
        return shown.returncode, commands, shown.stdout

    def follow(self, rounds: int = 4) -> None:
        """Do what status says until it says that nothing is to be done, an hour for each round."""
        for _ in range(rounds):
            code, commands, text = self.screen()
            if code == 0:
                return
            assert commands, text
            for command in commands:
                script, *arguments = shlex.split(command)
                if script.startswith("scripts/"):
                    self.done.append(command)
                    self.run(script.removeprefix("scripts/").replace("rerun", "run"), *arguments)
            self.cron()
        pytest.fail(f"{self.done} did not heal: {self.screen()[2]}\n{self.log}")

    def doctor(self) -> dict[str, dict[str, str]]:
        """What doctor finds wrong: name → found and cure."""
        done = self.run("doctor", "--json")
        return {check["name"]: check for check in json.loads(done.stdout)["checks"] if check["outcome"] == "failed"}

    def alerted(self) -> str:
        """All that the alerts have said."""
        return "\n".join(f"{alert['title']}\n{alert['message']}" for alert in self.web.alerts)

    def state(self) -> dict[str, Any]:
        """Everything but forecasts, times and whether it is settled that the source has no row."""
        state = self.pipeline.state()
        state["coverage"] = self.pipeline.documents("coverage")
        state["staged"] = {
            name: [row if row.get("status", "ok") == "ok" else {**row, "final": None} for row in rows]
            for name, rows in state["staged"].items()
            if "/forecast/" not in name and not name.endswith(("scores.parquet", "score_sums.parquet"))
        }
        return state


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory, mongod: Mongod) -> Iterator[Pipeline]:
    """Twelve days, all well: three more than hourly runs look back."""
    now = f"{NIGHT:%Y-%m-%dT%H:%M}"
    with Sandbox(now=NIGHT) as sandbox:
        made = Pipeline(tmp_path_factory.mktemp("evening") / "staging", mongod, sandbox.url)
        done = made.backfill(f"{FIRST:%Y-%m-%d}..", AIRQINO_NOW=now)
        assert done.returncode == 0, done.stderr
        done = made.hourly(now)
        assert done.returncode == 0, done.stderr
    yield made
    made.close()


@pytest.fixture
def night(tmp_path: Path, evening: Pipeline) -> Iterator[Night]:
    with Sandbox() as sandbox, Web() as web, evening.copied(tmp_path / "staging") as pipeline:
        yield Night(pipeline, sandbox, web)


@pytest.fixture
def quiet(tmp_path: Path, evening: Pipeline, night: Night) -> Iterator[Callable[[], dict[str, Any]]]:
    """What an undisturbed deployment holds when the night is over, of the same source and with the same settings."""
    with contextlib.ExitStack() as stack:

        def until_the_same_hour() -> dict[str, Any]:
            night.sandbox.clear_faults()
            undisturbed = Night(stack.enter_context(evening.copied(tmp_path / "quiet")), night.sandbox, night.web)
            while undisturbed.now < night.now:
                if undisturbed.now >= night.changed[0]:
                    undisturbed.pipeline.env["LUIGI_CONFIG_PATH"] = night.changed[1]
                step = DAY if night.now - undisturbed.now > DAY else HOUR
                undisturbed.now = min(undisturbed.now + step, night.now)
                done = undisturbed.run("hourly")
                assert done.returncode == 0, done.stderr
            return undisturbed.state()

        yield until_the_same_hour


def _first_difference(found: Any, expected: Any) -> Any:
    """What is not the same, to be read by a person."""
    rows = (found, expected) if isinstance(found, list) else ([found], [expected])
    for one, other in zip(*rows, strict=False):
        if one != other:
            return {key: (one.get(key), other[key]) for key in other if one.get(key) != other[key]}
    return len(rows[0]), len(rows[1])


def _seen_late(state: dict[str, Any]) -> dict[str, Any]:
    """Leave out what depends on when an hour was first seen: whether it is final, and what was revised since."""
    late = ("final", "provisional")
    tables = {name: rows for name, rows in state.pop("staged").items() if "revisions" not in name}
    state.pop("revisions")
    return {
        "staged": {n: [{k: v for k, v in row.items() if k not in late} for row in rows] for n, rows in tables.items()},
        **{n: {key: {k: v for k, v in d.items() if k not in late} for key, d in of.items()} for n, of in state.items()},
    }


def same(night: Night, quiet: Callable[[], dict[str, Any]], seen_late: bool = False) -> None:
    found, expected = night.state(), quiet()
    if seen_late:
        found, expected = _seen_late(found), _seen_late(expected)
    for name, of in expected.items():
        assert found[name].keys() == of.keys(), name
        different = {key: (found[name][key], of[key]) for key in of if found[name][key] != of[key]}
        assert {key: _first_difference(*both) for key, both in different.items()} == {}, name


def test_an_outage_of_ten_days(night: Night, quiet: Any) -> None:
    night.now += 12 * DAY  # three of them beyond what hourly runs look back
    night.follow()
    assert "scripts/backfill" in night.done
    assert night.screen()[0] == 0
    same(night, quiet, seen_late=True)


def test_the_staging_root_is_lost(night: Night, quiet: Any) -> None:
    shutil.rmtree(night.pipeline.root)
    night.follow()
    assert "days are in MongoDB, but not staged" not in night.screen()[2]
    same(night, quiet)


def test_the_database_is_lost(night: Night, quiet: Any) -> None:
    night.pipeline.client.drop_database(night.pipeline.database_name)
    assert "13 days are staged, but not loaded" in night.screen()[2]
    assert night.cron() == [0]
    assert night.screen()[0] == 0
    same(night, quiet)


def test_the_disk_is_full(night: Night, quiet: Any, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", f"{small}"], check=True)
    try:
        shutil.move(night.pipeline.root, small / "staging")
        night.pipeline.root = small / "staging"
        night.pipeline.env["STAGING_ROOT"] = f"{small / 'staging'}"
        with contextlib.suppress(OSError), (small / "core.4711").open("wb") as file:
            while file.write(bytes(1 << 16)):
                file.flush()
        assert set(night.cron(2)) <= {2, 30}
        told = night.alerted()
        assert "No space left on device" in told
        assert "scripts/doctor" in told
        code, commands, _ = night.screen()
        assert code == 1
        assert commands
        (found,) = (check for name, check in night.doctor().items() if name == "disk space")
        look = found["cure"].partition("To see what fills it: ")[2]
        listed = subprocess.run(look, shell=True, capture_output=True, text=True, check=True).stdout
        largest = max((line.split("\t")[1] for line in listed.splitlines() if "core" in line), key=len)
        Path(largest).unlink()  # it is none of ours
        assert night.cron() == [0], night.log
        night.follow()
        same(night, quiet)
    finally:
        subprocess.run(["umount", "--lazy", f"{small}"], check=True)


@pytest.mark.parametrize("damage", ["empty", "bit"])
def test_files_are_damaged(night: Night, quiet: Any, damage: str) -> None:
    for name in ("2026-04-26/raw/03.parquet", "2026-05-05/raw/07.parquet", "2026-04-27/daily.parquet", "alerts.json"):
        DAMAGES[damage](night.pipeline.root / name)
    for station in (STATION, OTHER):  # the source has forgotten it meanwhile
        night.sandbox.override(station, datetime(2026, 4, 26, 3, tzinfo=UTC), None)
    night.cron()
    night.follow()
    told = night.alerted()
    assert "set aside under" in told
    assert "scripts/verify" in told
    assert night.run("verify").returncode == 0
    assert night.screen()[0] == 0
    same(night, quiet)


def test_the_clock_is_wrong(night: Night, quiet: Any) -> None:
    night.now += HOUR
    ahead = f"{night.now + 5 * HOUR:%Y-%m-%dT%H:%M}"
    night.sandbox.now = night.now
    done = night.pipeline.script("hourly", AIRQINO_NOW=ahead)
    assert done.returncode == 30
    assert "set the clock right" in night.alerted()
    assert night.cron() == [0]  # the clock is set right
    night.follow()
    same(night, quiet)


def test_the_credentials_have_expired(night: Night, quiet: Any) -> None:
    night.pipeline.env |= {**CREDENTIALS, "AIRQINO_TOKEN_URL": night.sandbox.token_url}  # which does not know them
    assert night.cron(3) == [30, 30, 30]
    code, commands, _ = night.screen()
    assert code == 1
    assert commands
    assert "check AIRQINO_USERNAME, AIRQINO_PASSWORD" in night.alerted()
    assert "credentials" in night.doctor()
    for name in CREDENTIALS:  # put right: this sandbox asks for none
        del night.pipeline.env[name]
    night.follow()
    # what failed is asked for again by itself, after pauses; the screen says how at once
    assert "all of it comes with: scripts/backfill" in night.screen()[2]
    assert night.run("backfill").returncode == 0
    same(night, quiet)


def test_a_station_is_retired(night: Night, quiet: Any, tmp_path: Path) -> None:
    last = NIGHT.replace(minute=0) - HOUR
    for hours in range(200):
        night.sandbox.override(OTHER, last + (hours + 1) * HOUR, None)
    assert set(night.cron(8)) == {0}, night.log
    code, _, _ = night.screen()
    assert code == 1
    told = night.alerted()
    assert "is silent" in told
    line, _, rest = told.partition("the line ")[2].partition(" in its section ")
    section = rest.partition(" of the settings")[0]
    settings = tmp_path / "airqino.cfg"
    settings.write_text(f"{Path(night.pipeline.env['LUIGI_CONFIG_PATH']).read_text()}\n{section}\n{line}\n")
    night.pipeline.env["LUIGI_CONFIG_PATH"] = f"{settings}"
    night.changed = night.now, f"{settings}"
    assert night.cron() == [0], night.log
    night.follow()
    assert any("resolved" in title and "silent" in title for title in night.web.titles)
    same(night, quiet)


def test_an_upgrade_is_half_done(night: Night, quiet: Any) -> None:
    database = night.pipeline.database
    database["loads"].update_many(
        {"_id": {"$regex": "^day.2026-04"}}, {"$set": {"version": "1.1.1", "inputs": "of 0.4"}}
    )
    database.drop_collection("daily_averages_named")
    database["daily_averages"].drop_indexes()
    for path in (night.pipeline.root / "2026-04-27").glob("*.parquet"):
        path.unlink()
    assert "to load them all at once: scripts/verify" in night.screen()[2]
    assert night.run("verify").returncode == 0
    assert "scripts/verify" not in night.screen()[2]
    night.cron()
    night.follow()
    assert {"day_1_station_1", "station_1_day_1"} <= database["daily_averages"].index_information().keys()
    same(night, quiet)


def test_luigid_is_gone(night: Night, quiet: Any) -> None:
    night.pipeline.env["LUIGID_URL"] = "http://127.0.0.1:9"
    assert night.cron(2) == [0, 0], night.log
    assert night.screen()[0] == 0
    same(night, quiet)


def test_the_environment_is_older_than_the_code(tmp_path: Path) -> None:
    """Half an upgrade of the code: nothing runs, and the line that says so names the command that heals."""
    clone = tmp_path / "clone"
    shutil.copytree(ROOT / "scripts", clone / "scripts")
    for name in ("setup.cfg", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, clone / name)
    (clone / ".venv").mkdir()
    done = subprocess.run([clone / "scripts" / "hourly"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "scripts/install" in done.stderr
