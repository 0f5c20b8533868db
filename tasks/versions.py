"""What the staged tables and the documents mean in this version, and which days it has not loaded yet.

The row in ``loads`` of each day holds the version that it was loaded by; those of 0.3 and before hold none. Days of an
older one, and days that were never loaded, come over by themselves, some in each hourly run; nothing is asked of the
API for them but what is due.
"""

import contextlib
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from airqino.stores import mongo
from airqino.stores.paths import Paths
from tasks import targets

__all__ = [
    "DAILY", "DAYS_PER_RUN", "DAY_LOADS", "HOURLY", "VERSION", "by_day", "days_to_load", "loads_by_day", "older_days",
    "what_is_left",
]  # fmt: skip

#: Raise when the meaning of hourly.parquet changes: all of it is then rebuilt as it is asked for.
HOURLY = 2
#: Raise when the meaning of daily.parquet changes.
DAILY = 2
#: Raise when the documents must be loaded anew because their shape changed.
_DOCUMENTS = 5
#: All three, as the row in ``loads`` holds them.
VERSION = f"{HOURLY}.{DAILY}.{_DOCUMENTS}"

#: Days of an older version that an hourly run loads anew, beside its own.
DAYS_PER_RUN = 31

#: The rows in ``loads`` of days, whatever version has written them; by their index.
DAY_LOADS = {"_id": {"$gte": "day|", "$lt": "day}"}}


def older_days() -> list[date]:
    """Return the staged days that MongoDB does not hold as this version loads them, the newest first.

    An older version has loaded them, or none has: the database was lost, or is another one.

    Raises:
        MongoError: MongoDB does not answer.
    """
    return days_to_load(loads_by_day(targets.database()), targets.paths())


def loads_by_day(database: mongo.Database) -> dict[date, dict[str, Any]]:
    """Return the rows in ``loads`` by day, with their ``version`` and ``loaded_at``; what is no day's is left out.

    Raises:
        MongoError: MongoDB does not answer.
    """
    wanted = {"version": 1, "loaded_at": 1}
    return by_day(mongo.ask(database, lambda db: list(db["loads"].find(DAY_LOADS, wanted))))


def by_day(loads: Iterable[dict[str, Any]]) -> dict[date, dict[str, Any]]:
    """Return rows of ``loads`` by day; what is no day's is left out."""
    found = {}
    for load in loads:
        with contextlib.suppress(ValueError):
            kind, _, text = f"{load['_id']}".partition("|")
            day = date.fromisoformat(text)
            if load["_id"] == f"{kind}|{day}" and kind == "day":
                found[day] = load
    return found


def days_to_load(loads: Mapping[date, Mapping[str, Any]], paths: Paths) -> list[date]:
    """Return the staged days, the newest first, without those that this version has built and loaded.

    Args:
        loads: Their rows in ``loads``.
        paths: The staging root's.
    """
    # of a day that was never averaged some hours were fetched, for a local day beside it
    averaged = (day for day in paths.days() if day in loads or paths.daily(day).exists())
    staged = [day for day in averaged if paths.raw_hours(day).is_dir()]
    return [day for day in reversed(staged) if not _is_loaded(day, loads, paths)]


def _is_loaded(day: date, loads: Mapping[date, Mapping[str, Any]], paths: Paths) -> bool:
    tables = paths.hourly(day), paths.daily(day)  # gone where the raw hours were restored
    return loads.get(day, {}).get("version") == VERSION and all(path.exists() for path in tables)


def what_is_left(days: int) -> str:
    """Return what there is to say of some days that this version has not loaded."""
    are = "1 day is" if days == 1 else f"{days} days are"
    return f"{are} staged, but not loaded as this version does; each hourly run loads {DAYS_PER_RUN} of them"
