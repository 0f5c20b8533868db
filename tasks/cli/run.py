"""airqino run: one task by name, with luigid where it answers."""

import argparse
import inspect
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import luigi

import tasks
from airqino.errors import ConfigError
from airqino.times import FORMS, Span, day_start
from tasks.cli import plan
from tasks.cli.main import USAGE, Parser
from tasks.cli.running import luigi_run, positive, preflight, say, scheduler
from tasks.cli.spans import RULE, confirm
from tasks.cli.summary import hours_of, summary
from tasks.instruments.runs import recorded
from tasks.restored import restore_staging

#: What needs files alone. All others need MongoDB.
_WITHOUT_MONGO = ("CleanDay", "DailyMeans", "FetchHour")


#: What asks the API for whatever is missing of its days.
_FETCHING = ("Backfill", "CleanDay", "DailyMeans", "FetchHour", "Forecast", "Hourly", "LoadDay", "ScoreForecasts")


def main(argv: Sequence[str]) -> int:
    """Run one task; without one, or with --help, print which there are."""
    if not argv or argv[0] in ("-h", "--help"):
        print(_help())
        return 0 if argv else USAGE
    if argv[0] not in tasks.__all__:
        raise ConfigError(f"there is no task {argv[0]}; there are {', '.join(tasks.__all__)}")
    cls = getattr(tasks, argv[0])
    arguments = _parser(cls).parse_args(argv[1:])
    task = _task(cls, arguments)
    if argv[0] in _FETCHING:
        confirm(f"run {argv[0]}", _span(task), yes=arguments.yes, again=getattr(task, "again", False))
    if arguments.force:
        task.force()
    if arguments.dry_run:
        plan.tell(task)
        return 0
    with recorded("run", argv) as record:
        with_mongo = argv[0] not in _WITHOUT_MONGO
        preflight(with_mongo=with_mongo)
        if with_mongo:
            restore_staging()
        was_complete = task.complete()
        outcome = luigi_run([*_written(task), "--workers", f"{arguments.workers}", *_scheduler(arguments)])
        record.code, record.reason = outcome.code, "; ".join(outcome.why)
    if outcome.code:
        outcome.tell(f"{argv[0]} FAILED")
        return outcome.code
    say(f"{argv[0]}: {'was complete, so nothing was done; --force builds it again' if was_complete else 'done'}")
    for line in _summary(task):
        say(line)
    return 0


def _parser(cls: Any) -> Parser:
    parser = Parser(
        f"airqino run {cls.task_family}",
        description=inspect.getdoc(cls),
        epilog=f"DAYS and HOURS are {FORMS}. {RULE}\n\n"
        "exit codes: 0 done, or it was complete; 2 an argument or setting is wrong, or MongoDB or the staging root "
        "cannot be used; 20-40 as luigi.cfg [retcode] says: 30 it failed",
    )
    for name, parameter in cls.get_params():
        about = (parameter.description or "").replace("%", "%%")
        if isinstance(parameter, luigi.BoolParameter):
            parser.add_argument(f"--{name}", action="store_true", default=None, help=about)
        else:
            metavar = type(parameter).__name__.removesuffix("Parameter").upper()
            parser.add_argument(f"--{name}", metavar=metavar, help=about)
    force = "build it again, once, although it is complete; what it needs is built only where that is not. Nothing is "
    force += "deleted: what differs is replaced"
    dry_run = "say what would be asked, built and written, and change nothing"
    parser.add_argument("--force", action="store_true", help=force)
    parser.add_argument("--dry-run", action="store_true", help=dry_run)
    parser.add_argument("--yes", action="store_true", help="the span is meant, however long it is")
    parser.add_argument("--workers", type=positive, default=1, help="parallel tasks (default 1)")
    parser.add_argument("--local-scheduler", action="store_true", help="use a scheduler of this run's own, not luigid")
    parser.add_argument("--scheduler-url", metavar="URL", help="another luigid")
    return parser


def _task(cls: Any, arguments: argparse.Namespace) -> Any:
    """Return the task that is meant: the very one that Luigi runs later, which keeps one of each.

    Raises:
        ConfigError: A parameter is missing or wrong.
    """
    values = {}
    for name, parameter in cls.get_params():
        given = getattr(arguments, name)
        if given is not None:
            values[name] = given if isinstance(given, bool) else parameter.parse(given)
        elif not parameter.has_task_value(cls.task_family, name):
            raise ConfigError(f"{cls.task_family} needs --{name}: {parameter.description}")
    return cls(**values)


def _written(task: Any) -> list[str]:
    """Return a task as Luigi's command line has it."""
    parameters = {name: text for name, text in task.to_str_params().items() if text not in ("", "False")}
    return [task.task_family, *(f"--{n}" if text == "True" else f"--{n}={text}" for n, text in parameters.items())]


def _scheduler(arguments: argparse.Namespace) -> list[str]:
    if arguments.local_scheduler:
        return ["--local-scheduler"]
    return ["--scheduler-url", arguments.scheduler_url] if arguments.scheduler_url else scheduler()


def _span(task: Any) -> Span:
    """Return the first and the last hour of a task that has days or hours."""
    if task.task_family == "Backfill":
        return Span(task.start, task.stop)
    unit = task.day if hasattr(task, "day") else task.hour
    first, last = (unit[0], unit[-1]) if isinstance(unit, tuple) else (unit, unit)
    if isinstance(first, datetime):
        return Span(first, last)
    return Span(day_start(first), day_start(last).replace(hour=23))


def _summary(task: Any) -> Iterable[str]:
    """Return what is there now of the days or hours that a task was for."""
    if task.task_family == "FetchHour":
        return [hours_of(task.hour)]
    if task.task_family == "CleanDay":
        return [*summary(task.day)][:1]
    if task.task_family in ("Backfill", "DailyMeans", "LoadDay"):
        return summary(_span(task).days if task.task_family == "Backfill" else task.day)
    return []


def _help() -> str:
    lines = [f"  {name:<16}{(getattr(tasks, name).__doc__ or '').splitlines()[0]}" for name in tasks.__all__]
    parser = argparse.ArgumentParser(
        "airqino run",
        usage="airqino run TASK [--day 2024-03-02 | --day 2024-03 | --hour 2024-03-02T10] [--force] [options]",
        description="Run one task and what it needs; what is done is skipped. TASK --help shows its options. "
        "--force builds it again; --dry-run only says what would be done.",
        epilog="tasks:\n" + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    return parser.format_help().rstrip()
