"""Is there room and order under the staging root, and did a run succeed lately?"""

import contextlib
import fcntl
import os
import shutil
import struct
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airqino.errors import StagingError
from airqino.stores import parquet
from airqino.times import DAY, HOUR
from tasks.doctor.checks import Result, failed, ok, warning
from tasks.instruments.observed import last_success
from tasks.settings.sections import Alerts, Staging

__all__ = ["NAMES", "examine"]

NAMES = ("staging root", "disk space", "temporary files", "staged files", "runs under way", "last success")

#: A write takes seconds: what is older was left behind by a run that was killed.
_STRAY_SECONDS = 3600
#: Days whose files are read: what a power cut or a full disk spoils is found here.
_DAYS = 3
#: An hourly run is over long before; one that takes longer hangs, or is a backfill.
_LONG_HOURS = 1
_LOCKS = {".hourly.lock": "an hourly run", ".run.lock": "an hourly run or a backfill"}


def examine(staging: Staging | None, alerts: Alerts | None) -> Iterator[Result]:
    """From the folder to the files in it."""
    if staging is None:
        return
    root = Path(staging.root)
    writable = _root(root)
    yield writable
    if writable.outcome != "ok":
        return
    limits = alerts or Alerts()
    yield _space(root, limits.disk_free_share)
    yield _strays(root)
    yield _files(root)
    yield _runs(root)
    yield _success(root, timedelta(hours=limits.no_success_hours))


def _root(root: Path) -> Result:
    name, cure = "staging root", "make it and give it to the user that runs the pipeline, or correct STAGING_ROOT"
    if not root.exists() and not _blocked(root):
        return warning(name, f"{root} is not there yet", f"the first run makes it; or: mkdir -p {root}")
    probe = root / f".doctor.{os.getpid()}.tmp"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        return failed(name, f"{root} cannot be written: {error.strerror}", cure)
    return ok(name, f"{root.absolute()} can be written")


def _blocked(root: Path) -> bool:
    """Whether a file, or a folder that is not ours to write, stands where the root is to be made."""
    nearest = next(parent for parent in root.absolute().parents if parent.exists())
    return not nearest.is_dir() or not os.access(nearest, os.W_OK)


def _space(root: Path, share: float) -> Result:
    disk = shutil.disk_usage(root)
    told = f"{disk.free / disk.total:.0%} free ({disk.free / 1e9:.1f} GB)"
    if disk.free < share * disk.total:
        cure = f"make room, or move STAGING_ROOT to a larger disk; what fills it: du -xh {root} | sort -h | tail"
        return failed("disk space", f"{told}, less than [alerts] disk_free_share = {share:g}", cure)
    return ok("disk space", told)


def _strays(root: Path) -> Result:
    old = time.time() - _STRAY_SECONDS
    strays = [path for path in root.rglob(".*.tmp") if _changed(path) < old]
    if strays:
        shown = ", ".join(f"{path.relative_to(root)}" for path in strays[:3])
        command = f"find {root} -name '.*.tmp' -mmin +60 -prune -exec rm -r {{}} +"
        return warning("temporary files", f"{len(strays)} left behind by runs that were killed: {shown}", command)
    return ok("temporary files", "none left behind")


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return float("inf")  # gone meanwhile


def _files(root: Path) -> Result:
    today = datetime.now(UTC).date()
    read, spoilt = 0, []
    for day in (today - n * DAY for n in range(_DAYS)):
        for path in sorted((root / f"{day}").rglob("*.parquet")):
            read += 1
            try:
                parquet.read(path)
            except StagingError:
                spoilt.append(path)
    if spoilt:
        folder = spoilt[0].relative_to(root).parts[0]
        cure = f"mv {spoilt[0]} {spoilt[0]}.spoilt, for each of them, then scripts/backfill {folder}T00 {folder}T23"
        shown = ", ".join(f"{path.relative_to(root)}" for path in spoilt[:3])
        return failed("staged files", f"{len(spoilt)} of the last {_DAYS} days are empty or unreadable: {shown}", cure)
    return ok("staged files", f"{read} of the last {_DAYS} days can be read")


def _runs(root: Path) -> Result:
    name = "runs under way"
    held = {lock: pid for lock in _LOCKS if (pid := _holder(root / lock))}
    if not held:
        return ok(name, "none")
    lock, pid = next(iter(held.items()))
    hours = _age(pid) / 3600
    told = f"{_LOCKS[lock]}: process {pid} ({_command(pid)}), for {hours * 60:.0f} min"
    if hours > _LONG_HOURS and lock == ".hourly.lock":
        return warning(name, told, f"see the log; if it hangs: kill {pid} (what is staged stays, the next run goes on)")
    return ok(name, told)


def _holder(lock: Path) -> int:
    """The process that holds a record lock; 0 where none does."""
    layout = "hhqqi"
    try:
        with lock.open("rb") as file:
            asked = struct.pack(layout, fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
            kind, _, _, _, pid = struct.unpack(layout, fcntl.fcntl(file, fcntl.F_GETLK, asked))
    except OSError:
        return 0
    return 0 if kind == fcntl.F_UNLCK else int(pid)


def _age(pid: int) -> float:
    try:
        return time.time() - Path(f"/proc/{pid}").stat().st_mtime
    except OSError:
        return 0.0


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        return " ".join(Path(word).name for word in words if word)[:80]
    return "of another machine or container"


def _success(root: Path, limit: timedelta) -> Result:
    name, path = "last success", root / "last_success.json"
    success = last_success(root)
    if success is None and not path.exists():
        return warning(name, "no hourly run has succeeded yet", "run one, and see what it says: scripts/hourly")
    if success is None:
        return warning(name, f"{path} cannot be read", f"rm {path}; the next run that succeeds writes it")
    age = datetime.now(UTC) - success.at
    told = f"{success.hour}, {age / HOUR:.1f} h ago"
    if age > limit:
        cure = "cure what is wrong above and below, then scripts/hourly; why it failed: the newest file in logs/"
        return failed(name, f"{told}, more than [alerts] no_success_hours = {limit / HOUR:g}", cure)
    return ok(name, told)
