"""airqino backfill: bring a past range, month by month."""

import time
from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from airqino.errors import ConfigError
from airqino.times import FORMS, HOUR, Span, day_start, format_hour, next_month, parse_span
from tasks.cli.main import Parser
from tasks.cli.reasons import Outcome
from tasks.cli.running import between_runs, luigi_run, positive, preflight, say, scheduler
from tasks.cli.spans import RULE, confirm
from tasks.cli.summary import summary
from tasks.instruments.runs import recorded
from tasks.missing import first_day
from tasks.restored import restore_staging
from tasks.settings.reading import refuse_unpublished, settings


def main(argv: Sequence[str]) -> int:
    """Run a range in chunks of a month."""
    parser = Parser(
        "airqino backfill",
        description="Fetch, average and load a span of past hours in few large requests, such as `scripts/backfill "
        "2024-03`. Without one: all that is missing since the first staged hour, such as after an outage of any "
        "length. Safe to interrupt and to start again: what is settled is skipped; hours that failed, or had no row "
        "and are not settled, are asked for again at once; readings that may still change, after 20 hours.",
        epilog=f"A span is {FORMS}; A.. ends with the last hour published, and so do a day, month and year under way. "
        f"Whole days are loaded. {RULE} exit codes: 0 done; 2 a setting or an argument is wrong, MongoDB or the "
        "staging root cannot be used, or another run has held the staging root for long; 20-40 as luigi.cfg [retcode] "
        "says: 30 a task failed; 124 a task that took too long did not react; 143 stopped by SIGTERM",
    )
    parser.add_argument("span", nargs="?", metavar="SPAN", help="such as 2024-03, 2024-03-02 or 2024-03..2024-05 (UTC)")
    # as it was written before there were spans
    parser.add_argument("stop", nargs="?", metavar="STOP", help="the last hour, where SPAN is the first one")
    parser.add_argument("--again", action="store_true", help="ask for every hour again, those that are settled too")
    parser.add_argument("--hindcast", action="store_true", help="also forecast each hour as it would have been then")
    workers = "parallel tasks (default 1; on two cores more is slower)"
    parser.add_argument("--workers", type=positive, default=1, help=workers)
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be asked, built and written; change nothing"
    )
    parser.add_argument("--yes", action="store_true", help="the span is meant, however long it is")
    arguments = parser.parse_args(argv)
    named = _named(arguments.span, arguments.stop) if arguments.span else None
    if named:
        confirm("backfill", named, yes=arguments.yes, again=arguments.again)
    if arguments.dry_run:
        from tasks.cli import plan
        from tasks.hourly import Backfill

        months = _months(*(named or _everything()))
        plan.tell(*(Backfill(*of, hindcast=arguments.hindcast, again=arguments.again) for of in months))
        return 0
    options = [
        "--workers",
        f"{arguments.workers}",
        *scheduler(),
        *(f"--{name}" for name in ("hindcast", "again") if getattr(arguments, name)),
    ]
    with recorded("backfill", argv) as record:
        preflight()
        restore_staging()
        span = named or _everything()
        outcome = _run(list(_months(*span)), options)
        record.code, record.reason = outcome.code, "; ".join(outcome.why)
    if outcome.code:
        return outcome.code
    for line in summary(span.days):
        say(line)
    return 0


def _named(text: str, stop: str | None) -> Span:
    span = parse_span(f"{text}..{stop}" if stop else text, settings().last_hour)
    refuse_unpublished(span.last, "STOP" if stop else f"{text}: hour")
    return span


def _everything() -> Span:
    """Return all from the first day on of which anything is known."""
    if (begin := first_day()) is None:
        raise ConfigError(
            "nothing is staged yet, so there is no first hour to begin at: name a span, such as 2024-03.."
        )
    return Span(day_start(begin), settings().last_hour)


def _run(chunks: list[Span], options: list[str]) -> Outcome:
    console = Console(stderr=True)
    days = sum((last.date() - first.date()).days + 1 for first, last in chunks)
    counts = (BarColumn(), MofNCompleteColumn(), TextColumn("days"), TextColumn("{task.fields[rate]}"))
    columns = (TextColumn("{task.description}"), *counts, TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("backfill", total=days, rate="")
        for first, last in chunks:
            progress.update(bar, description=f"{first:%Y-%m}")
            with between_runs(minutes=60):
                outcome = luigi_run(["Backfill", "--start", format_hour(first), "--stop", format_hour(last), *options])
            if outcome.code:
                outcome.tell(f"backfill stopped at {first:%Y-%m}")
                return outcome
            time.sleep(0.02)  # let an hourly run in that waits for the lock: it tries each hundredth of a second
            progress.advance(bar, (last.date() - first.date()).days + 1)
            speed = progress.tasks[0].finished_speed or progress.tasks[0].speed
            progress.update(bar, rate=f"{speed:.0f}/s" if speed else "")
    return Outcome(0)


def _months(start: datetime, stop: datetime) -> Iterator[Span]:
    """Cut a range at the beginnings of months: Luigi's scheduler slows down with the square of what is pending."""
    while start <= stop:
        month = next_month(start)
        yield Span(start, min(stop, month - HOUR))
        start = month
