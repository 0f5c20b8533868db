"""The locks of a bucket, kept in MongoDB: one holder at a time, whatever becomes of it."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.buckets import Store, here
from support.deployment import ROOT

from airqino.errors import StagingError
from airqino.sandbox.mongod import Mongod
from airqino.stores import files, leases, locks, mongo

#: Seconds for which a lease is taken here.
LEASE = 2.0

_HOLD = """
import sys, time
from airqino.stores import leases, mongo
leases.LEASE = {lease}
with leases.held(mongo.database({uri!r}, {name!r}), "s3://b/air/.run.lock", wait=60) as got:
    print(got, flush=True)
    {then}
"""


@pytest.fixture
def db(mongod: Mongod, monkeypatch: pytest.MonkeyPatch) -> Iterator[mongo.Database]:
    monkeypatch.setattr(leases, "LEASE", LEASE)
    database = mongo.database(mongod.uri, f"test_{uuid.uuid4().hex[:12]}")
    yield database
    database.client.drop_database(database.name)


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(mongod: Mongod, db: mongo.Database) -> Iterator[Start]:
    """Start another process that takes the lock, and does something."""
    with ExitStack() as stack:

        def new(then: str) -> "subprocess.Popen[str]":
            code = _HOLD.format(lease=LEASE, uri=mongod.uri, name=db.name, then=then)
            process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        yield new


def first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def held(db: mongo.Database, wait: float = 0) -> bool:
    with leases.held(db, "s3://b/air/.run.lock", wait) as got:
        return got


def test_a_lock_is_one_process_s_and_free_afterwards(db: mongo.Database, start: Start) -> None:
    other = start("time.sleep(1)")
    assert first_line(other) == "True"
    assert not held(db)
    holder = leases.holder(db, "s3://b/air/.run.lock")
    assert holder is not None
    assert f"process {other.pid}" in holder.process
    assert held(db, wait=10)
    assert leases.holder(db, "s3://b/air/.run.lock") is None


def test_a_holder_that_lives_keeps_it_for_longer_than_a_lease(db: mongo.Database, start: Start) -> None:
    assert first_line(start("time.sleep(60)")) == "True"
    begun = time.monotonic()
    assert not held(db, wait=2.5 * LEASE)
    assert time.monotonic() - begun >= 2.5 * LEASE


def test_of_a_killed_holder_the_lease_runs_out(db: mongo.Database, start: Start) -> None:
    other = start("time.sleep(60)")
    assert first_line(other) == "True"
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    db["locks"].update_one({}, {"$set": {"at": "another machine's"}})
    begun = time.monotonic()
    assert not held(db)
    assert held(db, wait=10)
    assert time.monotonic() - begun < LEASE + 1.5


@pytest.mark.parametrize("reaped", [True, False])
def test_on_its_own_machine_a_killed_holder_is_known_to_be_gone(db: mongo.Database, start: Start, reaped: bool) -> None:
    other = start("time.sleep(60)")
    assert first_line(other) == "True"
    assert not held(db)
    os.kill(other.pid, signal.SIGKILL)
    if reaped:
        other.wait()
    else:
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    assert held(db)


def test_there_are_never_two_holders(db: mongo.Database, mongod: Mongod, tmp_path: Path) -> None:
    """Each of five adds one to a number, twenty times, in a way that loses some where two do so at once."""
    number = tmp_path / "number"
    number.write_text("0")
    add = f"n = int(open({str(number)!r}).read()); time.sleep(0.01); open({str(number)!r}, 'w').write(str(n + 1))"
    loop = f"""
import sys, time
from airqino.stores import leases, mongo
for _ in range(20):
    with leases.held(mongo.database({mongod.uri!r}, {db.name!r}), "s3://b/air/.other.lock", wait=60) as got:
        assert got
        {add}
"""
    adding = [subprocess.Popen([sys.executable, "-c", loop], cwd=ROOT) for _ in range(5)]
    assert [process.wait(120) for process in adding] == [0] * 5
    assert int(number.read_text()) == 100


def test_who_was_stopped_for_longer_than_a_lease_writes_nothing_more(
    db: mongo.Database, start: Start, store: Store
) -> None:
    bucket = store.bucket()
    code = (
        f"from airqino.stores import files; path = files.place({bucket.root!r}) / 'x.json'; files.write(path, b'1')\n"
        "    print('written', flush=True); time.sleep(1)\n"
        "    try: files.write(path, b'stale')\n"
        "    except Exception as error: print(type(error).__name__, error, flush=True)"
    )
    with here(store):
        other = start(code)
        assert [first_line(other), first_line(other)] == ["True", "written"]
        os.kill(other.pid, signal.SIGSTOP)
        assert held(db, wait=10)  # and is done with it
        os.kill(other.pid, signal.SIGCONT)
        told = first_line(other)
    assert told.startswith("StagingError the lock s3://b/air/.run.lock could not be renewed in MongoDB")
    assert bucket.objects() == {"air/x.json": b"1"}


def test_without_mongodb_there_is_no_lock(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    away = mongo.database("mongodb://127.0.0.1:9", "test", timeout=0.5, failover=0.5)
    monkeypatch.setattr(locks, "_keepers", [leases.Leases(lambda: away)])
    with here(store):
        path = files.place(store.bucket().root) / ".run.lock"
        with pytest.raises(StagingError, match=r"\.run\.lock cannot be locked: .*kept in MongoDB.*127\.0\.0\.1:9"):
            locks.held(path, wait=0).__enter__()
