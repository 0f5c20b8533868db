"""airqino hourly: what cron runs each hour."""

import argparse
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime

from airqino.errors import MongoError, StagingError
from airqino.times import HOUR, Span, format_hour, parse_hour
from tasks import logs, targets
from tasks.cli.main import FAILED, USAGE, Parser, Stopped, TimeOver
from tasks.cli.reasons import Outcome
from tasks.cli.running import lock, luigi_run, positive, preflight, scheduler
from tasks.cli.spans import RULE, confirm
from tasks.instruments import hook
from tasks.instruments.run import Run, check
from tasks.instruments.runs import recorded
from tasks.limits import time_limit
from tasks.restored import restore_staging
from tasks.settings.reading import refuse_unpublished, settings

log = logging.getLogger("airqino.run")

#: Another run is under way.
_BUSY = 10
#: The most seconds for publishing, after a run; together they stay below the 50 minutes that deploy/ gives a run.
_PUBLISH_SECONDS = 600.0

_CODES = """exit codes:
  0      all done, or nothing to do
  2      a setting or argument is wrong, or MongoDB or the staging root cannot be used
  10     another hourly run is under way
  20-40  as luigi.cfg [retcode] says: 30 a task failed, 35 the graph could not be built, 40 an error nobody foresaw
  124    it took longer than [airqino] run_seconds and was ended
  143    stopped by SIGTERM"""


def main(argv: Sequence[str]) -> int:
    """Run one hour and whatever is missing before it."""
    parser = Parser(
        "airqino hourly",
        description="Fetch, average, load and forecast the last hour that is over, and catch up what is missing or due "
        "in the late-data window before it. Safe to run at any time: what is done is skipped.",
        epilog=f"{RULE}\n\n{_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--hour", help="another hour, such as 2024-09-09T10 (UTC)")
    workers = "parallel tasks (default 1; few tasks gain from more)"
    parser.add_argument("--workers", type=positive, default=1, help=workers)
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be asked, built and written; change nothing"
    )
    parser.add_argument("--yes", action="store_true", help="the hour is meant, however long ago it is")
    arguments = parser.parse_args(argv)
    began = time.monotonic()
    hour = parse_hour(arguments.hour) if arguments.hour else settings().last_hour
    refuse_unpublished(hour)
    if arguments.hour:
        confirm("hourly", Span(hour - settings().airqino.late_window_hours * HOUR, hour), yes=arguments.yes)
    if arguments.dry_run:
        from tasks.cli import plan
        from tasks.graph import Hourly, Publish

        plan.tell(Hourly(hour=hour), Publish(hour=hour))
        return 0
    with recorded("hourly", argv) as record:
        outcome = _run(hour, arguments.workers, began)
        record.code, record.reason = outcome.code, "; ".join(outcome.why)
    return outcome.code


def _run(hour: datetime, workers: int, began: float) -> Outcome:
    """Run the hour, tell of it, and publish it."""
    logs.start_logging()
    logs.keep_console_quiet()
    run = Run(hour)
    try:
        seconds = settings().airqino.run_seconds
        with time_limit(seconds, TimeOver(seconds)):
            preflight()
            outcome = _alone(hour, workers)
    except (MongoError, StagingError) as error:
        run.unfinished(f"{error}")
        run.end(USAGE)
        raise
    except Stopped as stopped:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # `timeout` sends it twice
        run.unfinished(stopped.reason)
        run.end(stopped.code)
        raise
    code = outcome.code
    if code == _BUSY and not outcome.why:
        check(targets.paths().root)  # a run that hangs is found by those that step aside for it
        return outcome
    run.end(code)
    if code == 0:
        log.info("%s done in %.1f s: %s", format_hour(hour), time.monotonic() - began, _came(hour))
    else:
        outcome.tell(f"{format_hour(hour)} FAILED after {time.monotonic() - began:.1f} s")
    _publish(hour, max(60.0, min(_PUBLISH_SECONDS, began + settings().airqino.run_seconds + 240 - time.monotonic())))
    return outcome


def _publish(hour: datetime, seconds: float) -> None:
    """Publish an hour, if a folder is named, in a process of its own: whatever becomes of it, the run is done.

    Args:
        hour: The hour.
        seconds: The most that it may take. A failure is told by an alert, when this process ends.
    """
    if not settings().publish.root:
        return
    text, reason = format_hour(hour), ""
    try:
        # its output is the run's own
        command = [sys.executable, "-m", "tasks.cli", "publish", "--hour", text, "--without-notes"]
        done = subprocess.run(command, timeout=seconds, check=False, stdout=subprocess.DEVNULL)
        if done.returncode == FAILED:  # which has told why
            log.error("%s is not published; what is served stays", text)
        elif done.returncode:
            reason = f"its process ended with {done.returncode}"
    except subprocess.TimeoutExpired:
        reason = f"it took longer than {seconds:.0f} s and was ended; scripts/publish has no limit, run it once by hand"
    except OSError as error:
        reason = f"its process could not be started: {error.strerror}"
    except Stopped:
        log.warning("stopped while %s was published; what is served stays", text)
    if reason:
        log.error("%s is not published: %s; what is served stays", text, reason)
        hook.record_failure("Publish", {"hour": text}, reason, [text])


def _came(hour: datetime) -> str:
    """Say how many stations have sent the hour."""
    rows = targets.raw_day(hour.date()).rows.get(hour, {})
    active = settings().active_stations(hour)
    came = sum(rows.get(station, {}).get("status") == "ok" for station in active)
    return f"{came} of {len(active)} stations have sent it"


def _alone(hour: datetime, workers: int) -> Outcome:
    """Run Luigi unless another run does."""
    with lock("hourly") as alone:
        if not alone:
            print("another hourly run is under way: nothing done", file=sys.stderr)
            return Outcome(_BUSY)
        with lock("run", wait=900) as got:  # a backfill holds this for a month's worth of work at a time
            if not got:
                print("a backfill holds the staging root for 15 minutes: nothing done", file=sys.stderr)
                return Outcome(_BUSY)
            restore_staging()
            return luigi_run(["Hourly", "--hour", format_hour(hour), "--workers", f"{workers}", *scheduler()])
