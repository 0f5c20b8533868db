"""Three mongods with TLS, key file and users: the primary is killed in the middle of a load."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import OperationFailure
from support.deployment import ROOT, Pipeline
from support.mongodb_exporter import samples
from support.secured import ReplicaSet, replica_set
from support.servers import until

from airqino.sandbox.mongod import Mongod
from airqino.sandbox.server import Sandbox

pytestmark = pytest.mark.drill

PASSWORDS = {name: f"S3cret-of-{name}" for name in ("etl_writer", "dashboard_reader", "ops")}
COLLECTIONS = ("hourly_measurements", "daily_averages", "coverage", "stations", "revisions", "profiles", "loads")
NOW = datetime(2026, 3, 10, 12, 5, tzinfo=UTC)
SPAN = ("2026-01-01T00", "2026-02-28T23")


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaSet]:
    with replica_set(tmp_path_factory.mktemp("rs")) as made:
        yield made


def make_users(members: ReplicaSet, database: str, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
    passwords = {f"{name.upper()}_PASSWORD": password for name, password in PASSWORDS.items()}
    return subprocess.run(
        [sys.executable, "-m", "tasks.cli", "mongo-users", *options],
        env={
            **{"MONGODB_ADMIN_URI": members.admin_uri, "MONGODB_CA_FILE": str(members.ca_file)},
            **{"MONGODB_DATABASE": database, **passwords, **env},
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


class Secured(Pipeline):
    """A deployment that enters as etl_writer."""

    def __init__(self, root: Path, members: ReplicaSet, mongod: Mongod, api: str, **env: str) -> None:
        super().__init__(root, mongod, api, MONGODB_CA_FILE=str(members.ca_file), **env)
        made = make_users(members, self.database_name)
        assert made.returncode == 0, made.stderr
        self.client.close()
        self.client = members.client(members.admin_uri, w="majority")
        self.database = self.client[self.database_name]
        self.env["MONGODB_URI"] = members.uri("etl_writer", PASSWORDS["etl_writer"], self.database_name)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, mongod: Mongod) -> dict[str, Any]:
    """All documents of the same load on a server that stays."""
    with Sandbox(now=NOW) as api:
        calm = Pipeline(tmp_path_factory.mktemp("calm"), mongod, api.url, AIRQINO_NOW=f"{NOW:%Y-%m-%dT%H:%M}")
        done = calm.backfill(*SPAN)
        assert done.returncode == 0, done.stderr
        found = {name: calm.documents(name) for name in COLLECTIONS}
        calm.close()
        return found


@pytest.mark.parametrize("election_ms", [2000, 10_000])
def test_the_primary_is_killed_in_the_middle_of_a_load(
    tmp_path: Path,
    members: ReplicaSet,
    mongod: Mongod,
    sandbox: Sandbox,
    undisturbed: dict[str, Any],
    election_ms: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_election_timeout(members, election_ms)
    ours = Secured(tmp_path / "ours", members, mongod, sandbox.url, AIRQINO_NOW=f"{NOW:%Y-%m-%dT%H:%M}")
    sandbox.now = NOW
    killed: dict[str, float] = {}

    def kill_when_ten_days_are_loaded() -> None:
        deadline = time.monotonic() + 120
        while ours.database["daily_averages"].count_documents({}) < 20 and time.monotonic() < deadline:
            time.sleep(0.01)
        killed["port"] = port = members.primary()
        killed["days"] = ours.database["daily_averages"].count_documents({}) / 2
        members.kill(port)
        began = time.monotonic()
        members.primary(besides=[port])
        killed["seconds"] = time.monotonic() - began

    thread = threading.Thread(target=kill_when_ten_days_are_loaded)
    thread.start()
    began = time.monotonic()
    done = ours.backfill(*SPAN)
    took = time.monotonic() - began
    thread.join()
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    days = len(undisturbed["loads"])
    assert killed["days"] < days, "the load was over before the primary was killed"
    for name in COLLECTIONS:
        assert ours.documents(name) == undisturbed[name], name
    assert len(undisturbed["hourly_measurements"]) > 2000
    with capsys.disabled():
        print(
            f"\nfailover: primary killed after the means of {killed['days']:.0f} of {days} days; a new one after "
            f"{killed['seconds']:.1f} s (electionTimeoutMillis {election_ms}); backfill ended with 0 after {took:.1f} s"
        )
    members.start(int(killed["port"]))
    members.primary()


def set_election_timeout(members: ReplicaSet, milliseconds: int) -> None:
    with members.client(members.admin_uri) as client:
        config = client.admin.command("replSetGetConfig")["config"]
        config["settings"]["electionTimeoutMillis"] = milliseconds
        client.admin.command("replSetReconfig", {**config, "version": config["version"] + 1})


def test_etl_writer_runs_everything_and_may_do_nothing_else(
    tmp_path: Path, members: ReplicaSet, mongod: Mongod, sandbox: Sandbox
) -> None:
    sandbox.now = NOW
    ours = Secured(tmp_path / "staging", members, mongod, sandbox.url, AIRQINO_NOW=f"{NOW:%Y-%m-%dT%H:%M}")
    for done in (ours.backfill("2026-02-10T00", "2026-03-08T23"), ours.hourly(), ours.script("status")):
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert "database: " in done.stdout
    views = {view["name"] for view in ours.database.list_collections(filter={"type": "view"})}
    assert {"station_now", "hourly_levels", "guideline_year"} <= views
    assert ours.database["models"].count_documents({}) > 0
    assert ours.database["forecasts"].count_documents({}) == 8  # stations × pollutants × horizons
    with members.client(ours.env["MONGODB_URI"]) as client:
        mine = client[ours.database_name]
        for refused in (
            lambda: client.drop_database(ours.database_name),
            lambda: mine["daily_averages"].drop(),
            lambda: mine["daily_averages"].delete_many({}),
            lambda: client["another"]["collection"].insert_one({}),
            lambda: client["another"]["collection"].find_one(),
            lambda: mine.command("createUser", "mine", pwd="x", roles=[]),
        ):
            with pytest.raises(OperationFailure) as caught:
                refused()
            assert caught.value.code == 13


def test_dashboard_reader_reads_and_writes_nothing(
    tmp_path: Path, members: ReplicaSet, mongod: Mongod, sandbox: Sandbox
) -> None:
    sandbox.now = NOW
    ours = Secured(tmp_path / "staging", members, mongod, sandbox.url, AIRQINO_NOW=f"{NOW:%Y-%m-%dT%H:%M}")
    assert ours.backfill("2026-03-01T00", "2026-03-08T23").returncode == 0
    uri = members.uri("dashboard_reader", PASSWORDS["dashboard_reader"], ours.database_name)
    with members.client(uri) as client:
        mine = client[ours.database_name]
        days = mine["daily_averages"]
        assert days.count_documents({}) == ours.database["daily_averages"].count_documents({}) > 10
        assert len(list(mine["station_map"].find({"kind": {"$ne": "coast"}}))) == 6
        for refused in (
            lambda: days.insert_one({"_id": "mine"}),
            lambda: days.update_one({}, {"$set": {"co_mean": 1}}),
            lambda: days.delete_one({}),
            lambda: days.aggregate([{"$limit": 1}, {"$merge": "daily_averages"}]),
            lambda: mine.create_collection("mine"),
            lambda: client["another"]["collection"].find_one(),
        ):
            with pytest.raises(OperationFailure) as caught:
                refused()
            assert caught.value.code == 13
    done = ours.hourly(MONGODB_URI=uri)
    assert done.returncode == 30
    assert f"the user of MONGODB_URI may not createIndexes on {ours.database_name}.hourly_measurements" in done.stderr
    assert "S3cret" not in done.stdout + done.stderr


def test_ops_may_ask_for_all_that_is_measured_of_the_set(members: ReplicaSet) -> None:
    name = "measured_by_ops"
    assert make_users(members, name).returncode == 0
    with members.client(members.uri("ops", PASSWORDS["ops"], name)) as client:
        # each member notes down what it knows of the others once a second
        until(lambda: len([1 for of in samples(client) if of[0] == "mongodb_rs_members_state"]) == 3, 15, "all members")
        found = samples(client)
    states = sorted(value for of, _, value in found if of == "mongodb_rs_members_state")
    assert states == [1, 2, 2]  # a primary, two secondaries
    assert {value for of, _, value in found if of == "mongodb_rs_members_health"} == {1}
    assert {of for of, _, _ in found} >= {
        "mongodb_ss_opcounters",
        "mongodb_ss_connections",
        "mongodb_dbstats_fsUsedSize",
    }


def test_users_are_made_once_brought_up_to_date_and_their_passwords_changed(members: ReplicaSet) -> None:
    name = "test_users"
    empty = {f"{user.upper()}_PASSWORD": "" for user in PASSWORDS}
    first = make_users(members, name, **empty)
    assert first.returncode == 0, first.stderr
    shown = {line.split(":")[0]: line.rsplit(": ", 1)[1] for line in first.stdout.splitlines()}
    assert shown.keys() == PASSWORDS.keys()
    for user, password in shown.items():
        with members.client(members.uri(user, password, name)) as client:
            client[name].command("ping")
    again = make_users(members, name, **empty)
    assert again.stdout == "".join(
        f"{user}: role as it should be, user as it should be, password kept\n" for user in shown
    )
    with members.client(members.admin_uri) as client:
        client[name].command("updateRole", "etl_writer", privileges=[])
        client[name].command("updateUser", "ops", roles=["read"])
    mended = make_users(members, name, **empty | {"OPS_PASSWORD": "N3w-S3cret"})
    assert "etl_writer: role brought up to date" in mended.stdout
    assert "ops: role as it should be, user brought up to date, password from OPS_PASSWORD" in mended.stdout
    assert "S3cret" not in mended.stdout + mended.stderr
    with members.client(members.uri("ops", "N3w-S3cret", name)) as client:
        assert client[name].command("dbStats")["ok"] == 1
        assert client.admin.command("serverStatus")["ok"] == 1
    wrong = make_users(members, name, MONGODB_ADMIN_URI=members.uri("admin", "S3cret-but-wrong"))
    assert wrong.returncode == 2
    assert "does not know this user with this password; check both in MONGODB_ADMIN_URI" in wrong.stderr
    assert "S3cret" not in wrong.stderr
