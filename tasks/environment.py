"""Which environment a staging root and a database belong to, so that none reaches another's data by mistake.

Each carries a mark with the name, written by its first run: the root a small file, the database a document
in ``loads``. One without a mark (new, or of version 0.7.0 and before) belongs to whoever comes first.
"""

import contextlib
import re
from pathlib import Path

from airqino.errors import BucketError, ConfigError, ConflictError, MongoError
from airqino.stores import files, mongo, writes
from airqino.stores.paths import Paths
from tasks.settings.reading import settings

__all__ = ["adopt", "check_database", "check_root", "explain", "is_foreign", "of_database", "of_root"]

_KEY = "environment"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
#: What was found to be in order, or without a mark, in this process.
_seen: set[tuple[object, ...]] = set()


def of_root(root: Path) -> str | None:
    """Return the environment that a staging root belongs to; None where it has no mark, or one that is illegible.

    Raises:
        BucketError: Its bucket cannot be asked.
    """
    try:
        name = Paths(root).environment.read_text(encoding="utf-8").strip()
    except BucketError:
        raise
    except (OSError, UnicodeDecodeError):
        return None
    return name if _NAME.fullmatch(name) else None


def of_database(db: mongo.Database) -> str | None:
    """Return the environment that a database belongs to; None where it has no mark.

    Raises:
        MongoError: It cannot be asked.
    """
    name = (mongo.find_one(db, "loads", _KEY) or {}).get("environment")
    return name if isinstance(name, str) and _NAME.fullmatch(name) else None


def check_root(root: Path) -> None:
    """Refuse a staging root of another environment; asked once per process.

    Raises:
        ConfigError: It belongs to another.
    """
    known = (root, settings().airqino.environment)
    if known not in _seen:
        _refuse(f"staging root {root}", of_root(root), f"STAGING_ROOT; or {Paths(root).environment}, if it is wrong")
        _seen.add(known)


def is_foreign(root: Path) -> bool:
    """Tell whether a staging root belongs to another environment; none does where settings or bucket cannot be read."""
    with contextlib.suppress(ConfigError, BucketError):
        if (root, settings().airqino.environment) in _seen:
            return False
        return of_root(root) not in (None, settings().airqino.environment)
    return False


def check_database(db: mongo.Database) -> None:
    """Refuse a database of another environment; asked once per process. One that cannot be asked tells so later.

    Raises:
        ConfigError: It belongs to another.
    """
    known = (settings().mongo.uri, db.name, settings().airqino.environment)
    if known not in _seen:
        with contextlib.suppress(MongoError):
            _refuse(f"database {db.name}", of_database(db), "MONGODB_URI or MONGODB_DATABASE")
            _seen.add(known)


def adopt(root: Path, db: mongo.Database) -> None:
    """Write the marks that are missing.

    Raises:
        StagingError: The staging root cannot be written.
        MongoError: The database cannot be written.
    """
    ours = settings().airqino.environment
    if of_root(root) is None:
        with contextlib.suppress(ConflictError):  # in a bucket: somebody else was faster
            files.write(Paths(root).environment, f"{ours}\n".encode(), over=None)
        _refuse(f"staging root {root}", of_root(root), "STAGING_ROOT")
    if of_database(db) is None:
        mark = {"_id": _KEY, "kind": "environment", "environment": ours, "loaded_at": settings().now}
        writes.replace(db, "loads", [mark])


def explain(what: str, theirs: str) -> str:
    """Say that something belongs to another environment."""
    return f"{what} belongs to the environment {theirs}, and the settings are those of {settings().airqino.environment}"


def _refuse(what: str, theirs: str | None, cure: str) -> None:
    if theirs not in (None, settings().airqino.environment):
        raise ConfigError(f"{explain(what, f'{theirs}')}: correct AIRQINO_ENVIRONMENT ([airqino] environment), {cure}")
