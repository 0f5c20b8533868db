"""What a run would ask, build and write, told without doing any of it: no request, no file, no document, no folder."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Any

from airqino.times import DAY, day_start, format_hour, runs_of
from tasks.asked import only_look
from tasks.clean import CleanDay
from tasks.cli.running import say
from tasks.fetch import FetchHour, blocks, spans_of
from tasks.settings.reading import settings
from tasks.stage import Stage

__all__ = ["tell"]

#: Hour → the stations that are to be asked for it, in one run of Luigi.
_Asked = Mapping[datetime, set[str]]

#: Task → what it would do, in the order in which it is told.
_WOULD = MappingProxyType(
    {
        "RereadMonth": "read an old month of each station again, in the week of",
        "LoadNotes": "load the operator's notes, and build the days that they are about",
        "CleanDay": "build hourly.parquet of",
        "DailyMeans": "build daily.parquet of",
        "LoadDay": "write the documents of",
        "LoadStations": "write the stations' names and places",
        "TrainModel": "train the model of",
        "Forecast": "forecast",
        "ScoreForecasts": "score the forecasts for",
        "VerifyDocuments": "compare the documents with what is staged, of",
        "Publish": "publish",
    }
)


def tell(*tasks: Stage) -> None:
    """Print what tasks, with all that they need and start, would do."""
    only_look()
    unfinished: dict[str, Stage] = {}
    hours_asked: set[datetime] = set()
    asked: list[_Asked] = []
    for task in tasks:
        before = {*unfinished}
        _walk(task, unfinished, hours_asked)
        if hours := _due(of for key, of in unfinished.items() if key not in before):
            asked.append(hours)
    units: dict[str, set[Any]] = {}
    for of in unfinished.values():
        units.setdefault(of.task_family, set()).update(_units(of))
    say("dry run: nothing is asked, built or written")
    lines = [_told(asked)] if asked else []
    lines += [" ".join(("would", text, _spans(units[name]))).strip() for name, text in _WOULD.items() if name in units]
    for line in lines or ["nothing would be done: all of it is there"]:
        say(line)
    if asked:
        say("what of this is built and written depends on what comes")


def _walk(task: Any, found: dict[str, Stage], asked: set[datetime]) -> None:
    """Find all that is to be done for a task.

    Args:
        task: The task.
        found: The tasks found so far, by id.
        asked: The hours that these ask for.
    """
    if task.task_id in found or task.complete():
        return
    found[task.task_id] = task
    if isinstance(task, FetchHour):
        asked.update(task.due())
    for of in (*_needed(task, asked), *task.later()):
        _walk(of, found, asked)


def _needed(task: Any, asked: Collection[datetime]) -> list[Any]:
    """Return what a task requires; of the hours of many days, and not asked for yet, one task: ten years are 88,000."""
    if isinstance(task, CleanDay):
        return [FetchHour(hour=hours)] if (hours := [hour for hour in task.due() if hour not in asked]) else []
    return list(task.deps())


def _units(task: Any) -> set[Any]:
    """Return the days or hours that a task would work on; none of a task that has neither."""
    if hasattr(task, "unfinished"):  # of several days those that are not as they should be
        return set(task.unfinished())
    if hasattr(task, "day"):
        return {*task.day} if isinstance(task.day, tuple) else {task.day}
    hours = getattr(task, "hour", ())
    missing = [of for of in (hours if isinstance(hours, tuple) else (hours,)) if of is not None]
    return {*missing}


def _due(tasks: Iterable[Stage]) -> _Asked:
    hours: dict[datetime, set[str]] = {}
    for task in tasks:
        for hour, stations in task.due().items() if isinstance(task, FetchHour) else ():
            hours.setdefault(hour, set()).update(stations)
    return hours


def _told(asked: Sequence[_Asked]) -> str:
    """Say what the API would be asked for: one request for each station and stretch of hours, as `FetchHour` does."""
    config, requests = settings(), 0
    for hours in asked:
        for part in blocks(hours, timedelta(days=config.airqino.request_days)):
            wanted = {(station, hour) for hour in part for station in hours[hour]}
            requests += len(spans_of(wanted, config.last_hour))
    every = [(hour, station) for hours in asked for hour, of in hours.items() for station in of]
    stations, span = len({station for _, station in every}), (min(every)[0], max(every)[0])
    return (
        f"would ask {stations} station{'s' if stations != 1 else ''} for {len(every):,} station-hours, "
        f"{format_hour(span[0])} to {format_hour(span[1])}, in about {requests} request{'s' if requests != 1 else ''}"
    )


def _spans(units: set[Any]) -> str:
    """Write days or hours as runs, with their number."""
    if not units:
        return ""
    hours = all(isinstance(unit, datetime) for unit in units)
    if hours:
        runs = [(format_hour(first), format_hour(last)) for first, last in runs_of(units)]
    else:
        moments = [day_start(unit) for unit in units if isinstance(unit, date)]
        runs = [(f"{first:%Y-%m-%d}", f"{last:%Y-%m-%d}") for first, last in runs_of(moments, DAY)]
    told = ", ".join(first if first == last else f"{first}..{last}" for first, last in runs[:4])
    more = f" and {len(runs) - 4} more spans" if runs[4:] else ""
    count = f"{len(units)} {'hours' if hours else 'days'}: " if len(units) > 1 else ""
    return f"{count}{told}{more}"
