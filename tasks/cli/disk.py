"""How much room the files and the documents take, and for how long there is enough."""

import os
from collections import Counter
from datetime import timedelta
from typing import Any

from airqino.errors import MongoError, StagingError
from airqino.stores import files, mongo
from tasks import targets
from tasks.settings.reading import settings

#: The days that tell how fast the staging root grows.
DAYS = 30
#: Bytes that `os.stat` counts blocks in.
_BLOCK = 512


def staging_use() -> dict[str, Any]:
    """Measure the staging root and its disk.

    Returns:
        ``staging_bytes`` (as allocated: thousands of small files take more room than they hold), ``free_bytes`` and
        ``free_share`` of the disk (None of a bucket), ``growth_bytes_per_day`` (mean of the last 30 whole days; None
        without any) and ``days_until_full`` (at this pace).

    Raises:
        StagingError: Its file system has no size.
    """
    paths, today = targets.paths(), settings().now.date()
    root, days = paths.root, paths.days()
    if files.is_in_bucket(root):
        sizes = Counter[str]()
        for path in root.rglob("*"):
            sizes[path.relative_to(root).parts[0]] += path.stat().st_size
    else:
        sizes = Counter({entry.name: _size(entry) for entry in os.scandir(root)} if root.is_dir() else {})
    recent = [sizes[paths.partition(day).name] for day in days if today - timedelta(days=DAYS) <= day < today]
    growth = sum(recent) / len(recent) if recent else None
    path = root.absolute()
    try:
        room = files.free_room(next(p for p in (path, *path.parents) if files.is_in_bucket(p) or p.exists()))
    except OSError as error:
        raise StagingError(f"staging root {root}: {error.strerror}; check STAGING_ROOT") from error
    return {
        "staging_bytes": sum(sizes.values()),
        "free_bytes": room and room[0],
        "free_share": room and room[1],
        "growth_bytes_per_day": growth,
        "days_until_full": room[0] / growth if room and growth else None,
    }


def database_use(database: mongo.Database) -> dict[str, Any]:
    """Ask MongoDB for the room that documents and indexes take, and for what is free on the server's disk.

    Returns:
        ``database_bytes``, ``database_free_bytes``; both None where the user may not ask.
    """
    try:
        stats = mongo.ask(database, lambda db: db.command("dbStats", freeStorage=0))
    except MongoError:
        return {"database_bytes": None, "database_free_bytes": None}
    free = stats["fsTotalSize"] - stats["fsUsedSize"] if "fsTotalSize" in stats else None
    return {"database_bytes": int(stats["totalSize"]), "database_free_bytes": free and int(free)}


def _size(entry: os.DirEntry[str]) -> int:
    try:
        if entry.is_dir(follow_symlinks=False):
            with os.scandir(entry.path) as entries:
                return sum(map(_size, entries))
        return entry.stat(follow_symlinks=False).st_blocks * _BLOCK
    except FileNotFoundError:  # a temporary file of a run under way
        return 0
