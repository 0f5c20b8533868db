"""Locks in MongoDB, for a staging root in a bucket, which has none: a lease that its holder renews while it lives.

All times are the server's, so the hosts' clocks need not agree. A holder that is killed does not renew its lease: when
it has run out, another may take it; on the same machine at once, as it is seen there that the process is gone. A holder
that was stopped for long, or cut off from MongoDB, finds its own lease run out before anybody else can have it, and
writes no object any more (`check`).
"""

import contextlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from airqino.errors import MongoError, StagingError
from airqino.stores import bucket, mongo
from airqino.stores.locks import Holder

__all__ = ["Leases", "check", "held", "holder"]

#: Seconds for which a lease is taken.
LEASE = 60.0
#: How often it is renewed in that time; and its last part, in which its holder begins no write.
_RENEWALS, _MARGIN = 6, 1 / 4
#: Seconds between two tries to get it, at first and at most.
_PAUSES = 0.1, 1.0
_COLLECTION = "locks"

#: Token → name, and the moment until which it is ours by our own clock; of this process alone.
_ours: dict[str, tuple[str, float]] = {}
#: What no other process is called, and when it had its first lease, by the server's clock.
_self = [uuid.uuid4().hex]
_first: dict[str, datetime] = {}


class Leases:
    """The locks of one database."""

    def __init__(self, open_database: Callable[[], mongo.Database]) -> None:
        """Take what opens the database; it is asked with the first lock."""
        self._open = open_database

    def held(self, name: str, wait: float) -> AbstractContextManager[bool]:
        """Hold a lease (`held`)."""
        return held(self._open(), name, wait)

    def holder(self, name: str) -> Holder | None:
        """Return who holds a lease (`holder`)."""
        return holder(self._open(), name)


@contextlib.contextmanager
def held(db: mongo.Database, name: str, wait: float) -> Iterator[bool]:
    """Hold a lease.

    Args:
        db: The database.
        name: What is locked.
        wait: Seconds to wait for it.

    Yields:
        Whether it was got.

    Raises:
        StagingError: MongoDB cannot be asked for it.
    """
    token, process = uuid.uuid4().hex, os.getpid()
    deadline, pause = _clock() + wait, _PAUSES[0]
    while not (got := _renew(db, name, token)) and _clock() < deadline:
        time.sleep(min(pause, max(0.0, deadline - _clock())))
        pause = min(2 * pause, _PAUSES[1])
    if not got:
        yield False
        return
    ended = threading.Event()
    threading.Thread(target=_beat, args=(db, name, token, ended), name=f"lease {name}", daemon=True).start()
    try:
        yield True
    finally:
        if os.getpid() == process:
            ended.set()
            _ours.pop(token, None)
            over = [{"$set": {"holder": "", "expires_at": datetime(1970, 1, 1), "released_at": "$$NOW"}}]
            with contextlib.suppress(MongoError):  # it runs out
                mongo.ask(db, lambda db: db[_COLLECTION].update_one({"_id": name, "holder": token}, over))


def holder(db: mongo.Database, name: str) -> Holder | None:
    """Return who holds a lease; None where nobody does.

    Raises:
        MongoError: MongoDB cannot be asked.
    """
    where = {"_id": name, "$expr": {"$gt": ["$expires_at", "$$NOW"]}}
    found = mongo.ask(db, lambda db: db[_COLLECTION].find_one(where))
    return Holder(found["process"], found["since"]) if found else None


def check() -> None:
    """Refuse to go on where a lease of this process has run out: another may hold it by now.

    Raises:
        StagingError: One has.
    """
    now = _clock()
    for name, until in list(_ours.values()):
        if now > until - _MARGIN * LEASE:
            raise StagingError(
                f"the lock {name} could not be renewed in MongoDB for {(1 - _MARGIN) * LEASE:.0f} s: another run may "
                "have it now, so nothing more is written; run again"
            )


def _renew(db: mongo.Database, name: str, token: str, gone: str = "") -> bool:
    """Take the lease, or take it once more; return whether it is ours.

    Args:
        db: The database.
        name: What is locked.
        token: Ours.
        gone: That of a holder that does not live any more.
    """
    begun = _clock()
    is_free = {"$lt": [{"$ifNull": ["$expires_at", datetime.min]}, "$$NOW"]}
    may_have = {"$or": [{"$in": ["$holder", [token, gone]]}, is_free]}
    is_new = {"$and": ["$may_have", {"$ne": ["$holder", token]}]}
    process = f"{socket.gethostname()}, process {os.getpid()}"
    change: list[dict[str, Any]] = [
        {"$set": {"may_have": may_have}},
        {"$set": {"is_new": is_new}},
        {
            "$set": {
                "since": {"$cond": ["$is_new", "$$NOW", "$since"]},
                "before": {"$cond": ["$is_new", "$by", "$before"]},
                "free_since": {"$cond": ["$is_new", {"$ifNull": ["$released_at", "$$NOW"]}, "$free_since"]},
            }
        },
        {
            "$set": {
                "holder": {"$cond": ["$may_have", token, "$holder"]},
                "process": {"$cond": ["$may_have", process, "$process"]},
                "at": {"$cond": ["$may_have", _process_at(os.getpid()), "$at"]},
                "by": {"$cond": ["$may_have", _self[0], "$by"]},
                "expires_at": {"$cond": ["$may_have", {"$add": ["$$NOW", int(LEASE * 1000)]}, "$expires_at"]},
            }
        },
        {"$set": {"released_at": {"$cond": ["$may_have", "$$REMOVE", "$released_at"]}}},
        {"$unset": ["may_have", "is_new"]},
    ]

    def take(db: mongo.Database) -> Any:
        options: dict[str, Any] = {"upsert": True, "return_document": ReturnDocument.AFTER}
        try:
            return db[_COLLECTION].find_one_and_update({"_id": name}, change, **options)
        except DuplicateKeyError:  # two made it at once: the other has it
            return {}

    try:
        found = mongo.ask(db, take)
    except MongoError as error:
        raise StagingError(f"{name} cannot be locked: the locks of a bucket are kept in MongoDB. {error}") from error
    if found.get("holder") != token:
        is_gone = not gone and _is_gone(f"{found.get('at')}")
        return is_gone and _renew(db, name, token, gone=f"{found['holder']}")
    if token not in _ours:
        _see_what_others_wrote(found)
    _ours[token] = name, begun + LEASE
    return True


def _see_what_others_wrote(lease: dict[str, Any]) -> None:
    """Forget what was listed, if another process had the lease since our first one, or may have had it."""
    first = _first.setdefault(_self[0], lease["since"])
    if first == lease["since"] or (lease.get("before") != _self[0] and lease["free_since"] >= first):
        bucket.forget()


def _beat(db: mongo.Database, name: str, token: str, ended: threading.Event) -> None:
    """Renew the lease until its holder lets go, or another has it."""
    while not ended.wait(LEASE / _RENEWALS):
        with contextlib.suppress(StagingError):  # tried again; `check` tells when that goes on for too long
            if not ended.is_set() and not _renew_ours(db, name, token):
                return


def _renew_ours(db: mongo.Database, name: str, token: str) -> bool:
    """Renew a lease that has not run out by our own clock; one that has stays lost."""
    _, until = _ours.get(token, ("", 0.0))
    if _clock() > until:
        return False
    got = _renew(db, name, token)
    if not got:
        _ours[token] = name, 0.0
    return got


def _process_at(pid: int) -> str:
    """Return what a process of this machine is called, and no other ever is; "" where it is gone."""
    try:
        machine = Path("/proc/sys/kernel/random/boot_id").read_text().strip(), Path("/proc/self/ns/pid").readlink()
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state == "Z" else f"{machine[0]} {machine[1]} {pid} {fields[18]}"  # with its start, see proc(5)


def _is_gone(at: str) -> bool:
    """Tell whether a process was of this machine, and is not there any more."""
    here, (machine, _, rest) = _process_at(os.getpid()), at.rpartition("] ")
    pid = rest.partition(" ")[0]
    return bool(machine) and here.startswith(f"{machine}] ") and pid.isdigit() and _process_at(int(pid)) != at


def _clock() -> float:
    """Return seconds that go on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


bucket.before_write.append(check)


def _be_another() -> None:
    """After a fork: a worker takes its own leases."""
    _ours.clear()
    _self[:] = [uuid.uuid4().hex]


os.register_at_fork(after_in_child=_be_another)
