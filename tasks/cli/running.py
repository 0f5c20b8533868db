"""What the commands share: checks before anything is written, one run at a time, and which scheduler there is."""

import argparse
import contextlib
import logging
import urllib.error
import urllib.request
from collections.abc import Iterator

from luigi.configuration import get_config

from airqino.errors import StagingError
from airqino.stores import files, mongo
from airqino.stores.locks import held
from tasks import environment, logs, targets
from tasks.cli.luigi_run import LOCALLY, luigi_run
from tasks.settings.reading import settings

__all__ = ["between_runs", "check_staging", "lock", "luigi_run", "positive", "preflight", "say", "scheduler"]

log = logging.getLogger("airqino.scheduler")


def positive(text: str) -> int:
    """Read a whole number above 0, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def say(line: str) -> None:
    """Tell people what a command did, on standard output; where that is for machines, in its log lines."""
    if logs.is_json():
        logging.getLogger("airqino.run").info("%s", line)
    else:
        print(line)


def preflight(adopt: bool = True, with_mongo: bool = True) -> None:
    """Check settings, staging and MongoDB before anything is written.

    Args:
        adopt: Mark a new staging root and database as this environment's; not where a command only looks.
        with_mongo: Whether MongoDB is needed.

    Raises:
        PipelineError: One of them is not usable, or belongs to another environment.
    """
    settings()
    root, database = targets.paths().root, targets.database()
    check_staging()
    if with_mongo:
        mongo.ping(database)
        if adopt:
            environment.adopt(root, database)


def check_staging() -> None:
    """Check that the staging root can be written.

    Raises:
        StagingError: It cannot.
    """
    root = targets.paths().root
    try:
        files.probe(root)
    except OSError as error:
        raise StagingError(f"staging root {root} cannot be written ({error.strerror}); check STAGING_ROOT") from error


def scheduler() -> list[str]:
    """Return the Luigi options for the scheduler: luigid where it answers, else one of this run's own."""
    url = str(get_config().get("core", "default_scheduler_url", "http://127.0.0.1:8082")).rstrip("/")
    try:
        with urllib.request.urlopen(f"{url}/api/ping", timeout=2):
            return ["--scheduler-url", url]
    except urllib.error.HTTPError:  # it answers, if only to complain of the missing arguments
        return ["--scheduler-url", url]
    except (OSError, ValueError):
        log.info("luigid at %s does not answer: this run uses a scheduler of its own", url)
        return [*LOCALLY]


@contextlib.contextmanager
def lock(name: str, wait: float = 0) -> Iterator[bool]:
    """Hold a lock file under the staging root, so that two runs at once do the work once.

    Args:
        name: The lock's name.
        wait: Seconds to wait for it.

    Yields:
        Whether the lock was got.
    """
    with held(targets.paths().lock(name), wait) as got:
        yield got


@contextlib.contextmanager
def between_runs(minutes: int) -> Iterator[None]:
    """Work on the staging root between two runs.

    Args:
        minutes: How long to wait for the run under way.

    Raises:
        StagingError: It took longer.
    """
    with lock("run", wait=60 * minutes) as got:
        if not got:
            told = f"another run has held the staging root for {minutes} minutes"
            raise StagingError(f"{told}: see what it does (scripts/runs), then try again")
        yield
