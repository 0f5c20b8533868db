"""What the staged tables and the documents mean in this version, and which days an older one has left.

The row in ``loads`` of each day holds the version that it was loaded by. Days of an older one come over by themselves,
some in each hourly run; nothing is asked of the API for them but what is due.
"""

import contextlib
from collections.abc import Iterable
from datetime import date

from airqino.stores import mongo
from airqino.stores.paths import Paths
from tasks import targets

__all__ = ["DAILY", "DAYS_PER_RUN", "HOURLY", "OLDER", "VERSION", "older_days", "staged_days", "what_is_left"]

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

#: The rows in ``loads`` of such days; those of 0.3 and before hold no version.
OLDER = {"kind": "day", "version": {"$ne": VERSION}}


def older_days() -> list[date]:
    """Return the days that an older version has loaded and that are still staged, the newest first.

    Raises:
        MongoError: MongoDB does not answer.
    """
    found = mongo.ask(targets.database(), lambda db: list(db["loads"].find(OLDER, {"_id": 1})))
    return staged_days((record["_id"] for record in found), targets.paths())


def staged_days(loads: Iterable[object], paths: Paths) -> list[date]:
    """Return the days, the newest first, of some rows in ``loads``; without those whose raw hours are not staged.

    Args:
        loads: Their ``_id``. What is no day's is left out.
        paths: The staging root's.
    """
    days = set()
    for load in loads:
        with contextlib.suppress(ValueError):
            kind, _, text = f"{load}".partition("|")
            day = date.fromisoformat(text)
            if load == f"{kind}|{day}" and kind == "day" and paths.raw_hours(day).is_dir():
                days.add(day)
    return sorted(days, reverse=True)


def what_is_left(days: int) -> str:
    """Return what there is to say of some days of an older version."""
    return f"{days} days were loaded by an older version; each hourly run loads {DAYS_PER_RUN} of them anew"
