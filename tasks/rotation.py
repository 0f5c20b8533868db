"""The rotation of old months: which of a station's was read again and when, kept in ``<staging root>/rotation.json``.

If the file is lost, months are read again sooner than they need to be, and that is all.
"""

import logging
from collections.abc import Iterable
from datetime import date, datetime

import msgspec
from msgspec import Struct, field

from airqino.errors import StagingError
from airqino.stores import files
from airqino.times import Moment, day_start, next_month
from tasks.staged import paths

__all__ = ["Rotation", "Turn", "month_after", "month_start", "next_months", "read", "write"]

log = logging.getLogger("airqino.reread")


class Turn(Struct, kw_only=True):
    """Where one station stands.

    Attributes:
        week: The Monday of the week in which it last had its turn.
        read_at: Month, such as ``2024-03`` → when it was last read again.
        failed_at: When a try last failed since then.
        attempts: How many have.
    """

    week: date
    read_at: dict[str, Moment] = field(default_factory=dict)
    failed_at: Moment | None = None
    attempts: int = 0


class Rotation(Struct, kw_only=True):
    """All stations' turns, and the days whose change is still to be loaded, or may be."""

    stations: dict[str, Turn] = field(default_factory=dict)
    unloaded: list[date] = field(default_factory=list)


def month_start(month: str) -> datetime:
    """Return the first hour of a month such as ``2024-03``."""
    return day_start(date.fromisoformat(f"{month}-01"))


def month_after(month: str) -> datetime:
    """Return the first hour after a month."""
    return next_month(month_start(month))


def next_months(turn: Turn, days: Iterable[date], before: datetime) -> list[str]:
    """Return the months to read again, the most urgent first: what was read longest ago; a new month when it ended.

    Args:
        turn: Where the station stands.
        days: The staged days.
        before: Only months that ended before this are old.
    """
    months = {f"{day:%Y-%m}" for day in days}
    read_at = {month: turn.read_at.get(month) or month_after(month) for month in months if month_after(month) <= before}
    return sorted(read_at, key=lambda month: (read_at[month], month))


def read() -> Rotation:
    """Read the file; nothing is known where there is none, or a damaged one. A day that is not staged is left out."""
    try:
        known = msgspec.json.decode(paths().rotation.read_bytes(), type=Rotation)
        known.unloaded = sorted({*known.unloaded} & {*paths().days()}) if known.unloaded else []
        return known
    except FileNotFoundError:
        return Rotation()
    except StagingError:  # the bucket, not the file
        raise
    except (OSError, msgspec.MsgspecError) as error:
        log.warning("%s is damaged (%s): the rotation of old months begins anew", paths().rotation, error)
        return Rotation()


def write(rotation: Rotation) -> None:
    """Write the file.

    Raises:
        StagingError: It cannot be written.
    """
    files.write(paths().rotation, msgspec.json.format(msgspec.json.encode(rotation), indent=1))
