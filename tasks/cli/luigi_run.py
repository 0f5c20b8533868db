"""Run Luigi as its command line does, and go on where luigid or MongoDB is gone in the middle of a run."""

import logging
from collections.abc import Sequence
from itertools import pairwise

from luigi.rpc import RPCError
from luigi.task_register import Register

from airqino.errors import MongoError, PipelineError
from airqino.stores import files, mongo
from tasks import logs, targets
from tasks.asked import keep_answers, look_again
from tasks.cli.main import FAILED
from tasks.cli.reasons import Outcome, Reasons

__all__ = ["LOCALLY", "luigi_run"]

log = logging.getLogger("airqino.scheduler")

#: Luigi's options for the local scheduler. Nobody can ask one that ends with the run for its metrics: spare the import.
LOCALLY = ("--local-scheduler", "--scheduler-metrics-collector", "default")
#: Exit codes of luigi.cfg [retcode]: the graph could not be built; an error that Luigi did not take for a task's.
_NOT_BUILT, _UNFORESEEN = 35, 40


class _Uncaught(logging.Filter):
    """Keeps the error that ended Luigi; that of luigid is told in our own words."""

    def __init__(self) -> None:
        super().__init__()
        self.error: BaseException | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Let a record through, unless it is on luigid."""
        if isinstance(record.exc_info, tuple) and record.getMessage().startswith("Uncaught exception"):
            self.error = record.exc_info[1]
            return not isinstance(self.error, RPCError)
        return True


def luigi_run(arguments: Sequence[str]) -> Outcome:
    """Run Luigi; where luigid stops answering, once more without it: what is done by then is skipped.

    Luigi's own chatter goes to the log file only.

    Returns:
        How it ended, with the exit code set in luigi.cfg ``[retcode]``; that of a failed task where it is MongoDB, or a
        file, that failed.

    Raises:
        ConfigError: A setting is wrong, or staging root or database belong to another environment.
    """
    if not {"--help", "--help-all", "-h"} & {*arguments}:
        targets.paths(), targets.database()
    logs.start_logging()
    logs.keep_console_quiet()
    if ("--workers", "1") in pairwise(arguments):  # what forked workers write, this process does not see
        keep_answers()
    with Reasons() as reasons:
        code, error = _run(arguments)
        if isinstance(error, RPCError):
            log.warning("luigid does not answer any more: this run goes on with a scheduler of its own")
            Register.clear_instance_cache()  # as in a run of its own: a task may remember what it found
            code, error = _run([*arguments, *LOCALLY])  # which wins over the URL of luigid
        if isinstance(error, PipelineError) or (code in (_NOT_BUILT, _UNFORESEEN) and _is_mongodb_gone()):
            code = FAILED
        return reasons.outcome(code)


def _run(arguments: Sequence[str]) -> tuple[int, BaseException | None]:
    from luigi.retcodes import run_with_retcodes

    seen, logger = _Uncaught(), logging.getLogger("luigi-interface")
    logger.addFilter(seen)
    try:
        run_with_retcodes(["--module", "tasks.graph", *arguments])
    except SystemExit as done:
        return int(done.code or 0), seen.error
    finally:
        logger.removeFilter(seen)
        files.forget()  # what its workers have written counts
        look_again()
    return 0, None


def _is_mongodb_gone() -> bool:
    """Tell whether MongoDB does not answer: then a graph could not be built because of it."""
    try:
        mongo.ping(targets.database())
    except MongoError:
        return True
    return False
