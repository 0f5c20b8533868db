"""Check the staging root: its disk, the files in it, the run that uses it, and when a run last succeeded.

What reads tables takes a second to load: it is loaded where it is needed, while other checks wait for their servers.
"""

import contextlib
import fcntl
import os
import struct
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shlex import quote

from airqino.errors import PipelineError, StagingError
from airqino.stores import files, locks
from airqino.stores.paths import Paths
from airqino.times import DAY, HOUR
from tasks.doctor.checks import Result, failed, ok, same_environment, warning
from tasks.environment import of_root
from tasks.settings.sections import AirQino, Alerts, Staging, Station

__all__ = ["examine", "missing"]

#: A write takes seconds: an older temporary file was left behind by a run that was killed.
_LEFTOVER_SECONDS = 3600
#: Days whose files are read, to find those that a power cut or a full disk has damaged.
_DAYS = 3
#: An hourly run takes much less; one that lasts longer hangs.
_LONG_HOURS = 1
_LOCKS = {"hourly": "an hourly run", "run": "an hourly run or a backfill"}


def examine(staging: Staging | None, alerts: Alerts | None, airqino: AirQino | None) -> Iterator[Result]:
    """Check the folder, then the files in it."""
    if staging is None or airqino is None:
        return
    root = staging.path
    result = _root(root)
    yield result
    if result.outcome != "ok":
        return
    limits = alerts or Alerts()
    cure = f"correct STAGING_ROOT or AIRQINO_ENVIRONMENT; if the mark is wrong, {Paths(root).environment}"
    yield same_environment("environment", of_root(root), airqino.environment, cure)
    yield _space(root, limits.disk_free_share)
    yield _leftovers(root)
    yield _files(root)
    yield _notes(root)
    yield _runs(root)
    yield _success(root, timedelta(hours=limits.no_success_hours))


def missing(staging: Staging | None, airqino: AirQino | None, stations: Mapping[str, Station]) -> Iterator[Result]:
    """Check that no hour since the first staged one was never asked for, or failed."""
    if staging is None or airqino is None:
        return
    from tasks.missing import in_all, missing_hours

    configured = {station: stations.get(station, Station()) for station in airqino.stations}
    last_hour = airqino.last_hour(airqino.moment())
    found = in_all(missing_hours(Paths(staging.path), configured, last_hour, tables_only=True))
    if found.never_asked or found.failed:
        counts = f"{found.never_asked} station-hours were never asked for, {found.failed} failed"
        cure = "scripts/backfill fetches all that is missing since the first staged hour"
        yield warning("missing hours", f"{counts} ({found.first_day} … {found.last_day})", cure)
    else:
        yield ok("missing hours", "none that were never asked for or failed")


def _root(root: Path) -> Result:
    name, cure = "staging root", "make the folder, let the pipeline's user write in it, or correct STAGING_ROOT"
    if files.is_in_bucket(root):
        cure = "correct STAGING_ROOT, AWS_ENDPOINT_URL or the credentials (docs/deployment.md, Object storage)"
        try:
            files.probe(root)
        except OSError as error:
            return failed(name, f"{error.strerror}", cure)
        return ok(name, f"{root} can be written")
    if not root.exists() and not _blocked(root):
        return warning(name, f"{root} is not there yet", f"the first run makes it; or: mkdir -p {quote(f'{root}')}")
    try:
        files.probe(root)
    except OSError as error:
        return failed(name, f"{root} cannot be written: {error.strerror}", cure)
    return ok(name, f"{root.absolute()} can be written")


def _blocked(root: Path) -> bool:
    """Return whether the root cannot be made: a file, or a folder that we cannot write, is in its place."""
    nearest = next(parent for parent in root.absolute().parents if parent.exists())
    return not nearest.is_dir() or not os.access(nearest, os.W_OK)


def _space(root: Path, share: float) -> Result:
    try:
        room = files.free_room(root)
    except OSError as error:
        return warning("disk space", f"{root}: {error.strerror}", "check STAGING_ROOT")
    if room is None:
        return ok("disk space", "a bucket has no end; look at what it costs")
    free, free_share = room
    finding = f"{free_share:.0%} free ({free / 1e9:.1f} GB)"
    if free_share < share:
        look = f"du -axh {quote(f'{files.mount_point(root)}')} | sort -h | tail"
        cure = f"make room, or move STAGING_ROOT to a larger disk. To see what fills it: {look}"
        return failed("disk space", f"{finding}, less than [alerts] disk_free_share = {share:g}", cure)
    return ok("disk space", finding)


def _leftovers(root: Path) -> Result:
    if files.is_in_bucket(root):
        return ok("temporary files", "a bucket has none")
    old = time.time() - _LEFTOVER_SECONDS
    leftovers = [path for path in root.rglob(files.TEMPORARY) if _changed(path) < old]
    if leftovers:
        finding = f"{len(leftovers)} left behind by runs that were killed: {_first_three(leftovers, root)}"
        cure = f"find {quote(f'{root}')} -name '{files.TEMPORARY}' -mmin +60 -prune -exec rm -r {{}} +"
        return warning("temporary files", finding, cure)
    return ok("temporary files", "none left behind")


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return float("inf")  # it was deleted meanwhile


def _files(root: Path) -> Result:
    from airqino.stores import parquet

    today = datetime.now(UTC).date()
    readable, damaged = 0, []
    for day in (today - n * DAY for n in range(_DAYS)):
        for path in sorted(Paths(root).partition(day).rglob("*.parquet")):
            try:
                parquet.read(path)
                readable += 1
            except StagingError:
                damaged.append(path)
    if damaged:
        cure = "scripts/hourly sets them aside and makes them again; then look at the disk"
        shown = _first_three(damaged, root)
        return failed("staged files", f"{len(damaged)} of the last {_DAYS} days are empty or unreadable: {shown}", cure)
    return ok("staged files", f"{readable} of the last {_DAYS} days can be read")


def _notes(root: Path) -> Result:
    from airqino.quality.notes import active
    from airqino.stores import notebook

    path = Paths(root).notes
    try:
        notes = notebook.read(path)
    except StagingError as error:
        if notebook.is_lost(path):  # a back-up may be older than what MongoDB holds
            return failed("notes", f"{path} is gone", "scripts/note list brings it back from MongoDB")
        return failed("notes", f"{error}", "take the file from the newest back-up; scripts/note writes what came since")
    return ok("notes", f"{len(active(notes))} of an operator hold" if notes else "there are none")


def _first_three(paths: list[Path], root: Path) -> str:
    return ", ".join(f"{path.relative_to(root)}" for path in paths[:3])


def _runs(root: Path) -> Result:
    name = "runs under way"
    if files.is_in_bucket(root):
        return _leases(name, root)
    holders = {lock: pid for lock in _LOCKS if (pid := _holder(Paths(root).lock(lock)))}
    if not holders:
        return ok(name, "none")
    lock, pid = next(iter(holders.items()))
    hours = _age(pid) / 3600
    finding = f"{_LOCKS[lock]}: process {pid} ({_command(pid)}), for {hours * 60:.0f} min"
    if hours > _LONG_HOURS and lock == "hourly":
        cure = f"look at the log. If it hangs: kill {pid}; staged files stay, the next run goes on"
        return warning(name, finding, cure)
    return ok(name, finding)


def _leases(name: str, root: Path) -> Result:
    try:
        holders = {lock: of for lock in _LOCKS if (of := locks.holder(Paths(root).lock(lock)))}
    except PipelineError as error:
        return warning(name, f"not known: {error}", "see the checks of MongoDB; it keeps the locks of a bucket")
    if not holders:
        return ok(name, "none")
    lock, of = next(iter(holders.items()))
    hours = (datetime.now(UTC) - of.since) / HOUR
    finding = f"{_LOCKS[lock]}: {of.process}, for {hours * 60:.0f} min"
    if hours > _LONG_HOURS and lock == "hourly":
        return warning(
            name, finding, "look at its log. If it hangs, kill it there; the next run goes on a minute later"
        )
    return ok(name, finding)


def _holder(lock: Path) -> int:
    """Return the process that holds a record lock; 0 where none does."""
    layout = "hhqqi"
    try:
        with lock.open("rb") as file:
            request = struct.pack(layout, fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
            kind, _, _, _, pid = struct.unpack(layout, fcntl.fcntl(file, fcntl.F_GETLK, request))
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
    return "on another machine or in another container"


def _success(root: Path, limit: timedelta) -> Result:
    from tasks.instruments.observed import last_success

    name, path = "last success", Paths(root).last_success
    success = last_success(root)
    if success is None and not path.exists():
        return warning(name, "no hourly run has succeeded yet", "run one, and read what it prints: scripts/hourly")
    if success is None:
        cure = f"rm {quote(f'{path}')}; the next run that succeeds writes it again"
        return warning(name, f"{path} cannot be read, or lies in the future", cure)
    age = datetime.now(UTC) - success.at
    finding = f"{success.hour}, {age / HOUR:.1f} h ago"
    if age > limit:
        cure = "cure what is wrong above and below, then run scripts/hourly. The newest log file says why runs failed"
        return failed(name, f"{finding}, more than [alerts] no_success_hours = {limit / HOUR:g}", cure)
    return ok(name, finding)
