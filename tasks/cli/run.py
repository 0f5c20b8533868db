"""What the commands share: checks before anything is written, one run at a time, and starting Luigi."""

import argparse
import contextlib
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence

from luigi.configuration import get_config

from airqino.errors import PipelineError, StagingError
from airqino.stores import mongo
from airqino.stores.locks import held
from tasks import targets
from tasks.instruments import hook
from tasks.settings.reading import settings

__all__ = ["STOPPED", "USAGE", "Stopped", "command", "lock", "luigi_run", "positive", "preflight", "scheduler"]

#: Exit code for a user's mistake, as the shell's own commands use it.
USAGE = 2
#: Exit code after SIGTERM, as the shell gives it.
STOPPED = 128 + signal.SIGTERM


class Stopped(KeyboardInterrupt):
    """SIGTERM came. Of this kind, because Luigi takes any other exception for a failed task, and goes on."""


def command(main: Callable[[Sequence[str] | None], int]) -> None:
    """Run a command and exit with its code: one line for an error, no traceback."""
    _unwind_at_sigterm()
    try:
        code = main(None)
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        code = USAGE
    except Stopped:
        print("stopped by SIGTERM; what is staged stays, run again to go on", file=sys.stderr)
        hook.send_at_exit()
        os._exit(STOPPED)  # an exit of Python's own waits for the answers to requests under way
    except KeyboardInterrupt:
        print("interrupted; what is staged stays, run again to go on", file=sys.stderr)
        code = 130
    except BrokenPipeError:
        code = 0
    sys.exit(code)


def _unwind_at_sigterm() -> None:
    def stop(*_: object) -> None:
        raise Stopped

    signal.signal(signal.SIGTERM, stop)
    # forked workers end at once and in silence: the process that was started tells
    os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))


def positive(text: str) -> int:
    """Read a whole number above 0, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number above 0")
    return number


def preflight() -> None:
    """Check settings, staging and MongoDB before anything is written.

    Raises:
        PipelineError: One of them is not usable.
    """
    settings()
    root = targets.root()
    probe = root / f".probe.{time.time_ns()}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StagingError(f"staging root {root} cannot be written ({error.strerror}); check STAGING_ROOT") from error
    mongo.ping(targets.database())


def scheduler() -> list[str]:
    """Return the Luigi options for the scheduler: luigid where it answers, else the local one, and say so."""
    url = str(get_config().get("core", "default_scheduler_url", "http://127.0.0.1:8082")).rstrip("/")
    try:
        with urllib.request.urlopen(f"{url}/api/ping", timeout=2):
            return ["--scheduler-url", url]
    except urllib.error.HTTPError:  # it answers, if only to complain of the missing arguments
        return ["--scheduler-url", url]
    except (OSError, ValueError):
        print(f"luigid at {url} does not answer: going on with the local scheduler", file=sys.stderr)
        # nobody can ask a scheduler that ends with the run for its metrics: spare it the import
        return ["--local-scheduler", "--scheduler-metrics-collector", "default"]


@contextlib.contextmanager
def lock(name: str, wait: float = 0) -> Iterator[bool]:
    """Hold a lock file under the staging root, so that two runs at once do the work once.

    Args:
        name: The lock's name.
        wait: Seconds to wait for it.

    Yields:
        Whether the lock was got.
    """
    with held(targets.root() / f".{name}.lock", wait) as got:
        yield got


def luigi_run(arguments: Sequence[str]) -> int:
    """Run Luigi as its command line does.

    Returns:
        The exit code set in luigi.cfg ``[retcode]``.
    """
    from luigi.retcodes import run_with_retcodes

    try:
        run_with_retcodes(["--module", "tasks", *arguments])
    except SystemExit as done:
        return int(done.code or 0)
    return 0
