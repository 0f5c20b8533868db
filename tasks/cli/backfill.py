"""airqino backfill: bring a past range, month by month."""

import argparse
import logging
import time
from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from airqino.errors import ConfigError, StagingError
from airqino.times import HOUR, day_start, format_hour, next_month, parse_hour
from tasks.cli.running import lock, luigi_run, positive, preflight, scheduler
from tasks.missing import first_day
from tasks.restored import restore_staging
from tasks.settings.reading import refuse_unpublished, settings


def main(argv: Sequence[str]) -> int:
    """Run a range in chunks of a month."""
    parser = argparse.ArgumentParser(
        "airqino backfill",
        description="Fetch, average and load a past range of hours in few large requests. Without START and STOP: all "
        "that is missing since the first staged hour, such as after an outage of any length. Safe to interrupt and to "
        "start again: what is settled is skipped; hours that failed, or had no row and are not settled, are asked for "
        "again at once; readings that may still change, after 20 hours.",
        epilog="exit codes: 0 done; 2 a setting or an argument is wrong, MongoDB or the staging root cannot be used, "
        "or another run has held the staging root for long; 20-40 as luigi.cfg [retcode] says: 30 a task failed; 124 a "
        "task that took too long did not react; 143 stopped by SIGTERM",
    )
    parser.add_argument(
        "start", nargs="?", metavar="START", help="first hour, such as 2023-09-10T11 (UTC); whole days are loaded"
    )
    parser.add_argument(
        "stop",
        nargs="?",
        metavar="STOP",
        help="last hour, such as 2024-06-30T23 (UTC); default: the last one published",
    )
    parser.add_argument("--again", action="store_true", help="ask for every hour again, those that are settled too")
    parser.add_argument("--hindcast", action="store_true", help="also forecast each hour as it would have been then")
    workers = "parallel tasks (default 1; on two cores more is slower)"
    parser.add_argument("--workers", type=positive, default=1, help=workers)
    arguments = parser.parse_args(argv)
    start = parse_hour(arguments.start) if arguments.start else None
    stop = parse_hour(arguments.stop) if arguments.stop else settings().last_hour
    refuse_unpublished(stop, "STOP")
    if start and start > stop:
        raise ConfigError(f"START {format_hour(start)} lies after STOP {format_hour(stop)}: swap them")
    preflight()
    restore_staging()
    start = start or _first_known()
    options = [
        "--workers",
        f"{arguments.workers}",
        *scheduler(),
        *(f"--{name}" for name in ("hindcast", "again") if getattr(arguments, name)),
    ]
    return _run(list(_months(start, stop)), options)


def _first_known() -> datetime:
    if (day := first_day()) is None:
        raise ConfigError(
            "nothing is staged yet, so there is no first hour to begin at: name START, such as 2023-09-10T11"
        )
    return day_start(day)


def _run(chunks: list[tuple[datetime, datetime]], options: list[str]) -> int:
    console = Console(stderr=True)
    days = sum((last.date() - first.date()).days + 1 for first, last in chunks)
    if console.is_terminal:
        logging.getLogger("airqino").setLevel(logging.WARNING)
    counts = (BarColumn(), MofNCompleteColumn(), TextColumn("days"), TextColumn("{task.fields[rate]}"))
    columns = (TextColumn("{task.description}"), *counts, TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("backfill", total=days, rate="")
        for first, last in chunks:
            progress.update(bar, description=f"{first:%Y-%m}")
            with lock("run", wait=3600) as got:
                if not got:
                    cure = "see what it does, then try again"
                    raise StagingError(f"another run has held the staging root for an hour: {cure}")
                code = luigi_run(["Backfill", "--start", format_hour(first), "--stop", format_hour(last), *options])
            if code:
                stopped = f"stopped at {first:%Y-%m} with exit code {code}"
                console.print(f"{stopped}; what is staged stays, run the same command again", highlight=False)
                return code
            time.sleep(0.02)  # let an hourly run in that waits for the lock: it tries each hundredth of a second
            progress.advance(bar, (last.date() - first.date()).days + 1)
            speed = progress.tasks[0].finished_speed or progress.tasks[0].speed
            progress.update(bar, rate=f"{speed:.0f}/s" if speed else "")
    return 0


def _months(start: datetime, stop: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Cut a range at the beginnings of months: Luigi's scheduler slows down with the square of what is pending."""
    while start <= stop:
        month = next_month(start)
        yield start, min(stop, month - HOUR)
        start = month
