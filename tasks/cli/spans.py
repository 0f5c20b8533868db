"""How much a span is, and whether it can be meant: a year that was typed wrong is asked about, not fetched."""

import math
import sys
from datetime import datetime

from airqino.errors import ConfigError
from airqino.times import DAY, HOUR, Span, day_start, format_hour
from tasks import targets
from tasks.settings.reading import settings

__all__ = ["RULE", "confirm", "first_staged"]

#: The source keeps about a year, so a span of which more is to be fetched is a mistake, or takes long for little.
_DAYS = 400

#: For --help.
RULE = (
    f"A span that begins more than {_DAYS} days before the first staged hour (before now, where nothing is staged), or "
    f"with --again is longer than {_DAYS} days, is asked about first: the source keeps about a year. --yes says "
    "that it is meant."
)


def first_staged() -> datetime | None:
    """Return the first hour that is staged; None where there is none."""
    for day in targets.paths().days():
        if hours := sorted(targets.paths().raw_hours(day).glob("[0-2][0-9].parquet")):
            return day_start(day) + int(hours[0].stem) * HOUR
    return None


def confirm(what: str, span: Span, *, yes: bool, again: bool = False) -> None:
    """Ask back about a span that can hardly be meant; without a terminal, refuse it. See `RULE`.

    Args:
        what: The command, for the question.
        span: What is to be worked on.
        yes: Whether the user has said that it is meant.
        again: Whether all of it is asked for again.

    Raises:
        ConfigError: It is not meant, or nobody can be asked.
    """
    staged = first_staged()
    begin = staged or settings().last_hour
    if yes or not (begin - span.first > _DAYS * DAY or (again and span.last - span.first > _DAYS * DAY)):
        return
    reference = f"the first staged hour is {format_hour(staged)}" if staged else "nothing is staged yet"
    question = f"{what} {format_hour(span.first)}..{format_hour(span.last)}: that is {_amount(span)}; {reference}"
    if not sys.stdin.isatty():
        raise ConfigError(f"{question}; if that is meant, give --yes")
    print(f"{question}: go on? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ConfigError("nothing was done")


def _amount(span: Span) -> str:
    """Return how many station-hours of how many stations in service, and in about how many requests."""
    config = settings().airqino
    services = (settings().station(station).service for station in config.stations)
    spans = [(max(first or span.first, span.first), min(last or span.last, span.last)) for first, last in services]
    hours = [(last - first) // HOUR + 1 for first, last in spans if first <= last]
    requests = sum(math.ceil(of / (24 * config.request_days)) for of in hours)
    return f"{sum(hours):,} station-hours of {len(hours)} stations, about {requests:,} requests"
