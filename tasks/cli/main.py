"""The `airqino` command: runs the command that is asked for, and turns errors and signals into exit codes.

Of the commands' modules only the one that is asked for is imported.
"""

import argparse
import difflib
import importlib
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from configparser import ConfigParser
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

from airqino.errors import ConfigError, PipelineError
from tasks.limits import TIME_OVER

__all__ = ["COMMANDS", "FAILED", "STOPPED", "USAGE", "Parser", "Stopped", "TimeOver", "main", "run"]

#: Name → what the command does, in the order in which a user meets them. The function `main` of the module of that
#: name takes the arguments after the name, and returns the exit code.
COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "demo": "run the whole pipeline on servers of its own, in about a minute",
        "doctor": "check this deployment, and say what to do about what is wrong",
        "settings": "show where the settings come from, and what they change",
        "probe": "ask the API which of our assumptions about it hold",
        "stations": "list the API's stations beside those configured, add one",
        "backfill": "fetch, average, load and perhaps forecast a past range of hours",
        "hourly": "do the same for the last hour that is over; what cron runs each hour",
        "status": "show on one screen how things are, what needs a person, and the command that heals it",
        "runs": "list what ran, when, for how long, and why it was red",
        "verify": "compare what MongoDB holds with what is staged, and mend it",
        "run": "run one task by its name, and what it needs",
        "note": "invalidate, restore, calibrate or comment a span of readings; take it back",
        "alerts": "list open incidents, end one, test the channels",
        "publish": "bring the public page and the open data up to date, and show them",
        "export": "write a span of days, hours or forecasts as CSV, Parquet or Excel",
        "report": "write a month's report: means, days over, what is missing and why, forecast skill",
        "models": "list the forecast models, promote one, go back to the one before",
        "backup": "write the staging root and the database into one file",
        "restore": "put the files and documents of a back-up back where they were",
        "mongo-users": "make the three users of the database, or bring them up to date",
        "backtest": "forecast a past time as it would have been forecast then, and score it",
        "sandbox": "serve a stand-in for the AirQino API on this machine",
    }
)
#: Exit code for a user's mistake, as the shell's own commands use it.
USAGE = 2
#: Exit code of a run that failed, as luigi.cfg [retcode] has it; also of a command that the API did not answer.
FAILED = 30
#: Exit code after SIGTERM, as the shell gives it.
STOPPED = 128 + signal.SIGTERM
#: Exit code of a command whose reader went away before it was done, as the shell gives it.
_READER_GONE = 128 + signal.SIGPIPE


class Parser(argparse.ArgumentParser):
    """A command's arguments; a wrong one is one line, as every mistake of a user."""

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments.

        Raises:
            ConfigError: Always.
        """
        script = self.prog.replace("airqino run", "airqino rerun").replace("airqino ", "scripts/")
        raise ConfigError(f"{message}: `{script} --help` says what is allowed")


class Stopped(KeyboardInterrupt):
    """SIGTERM came. Of this kind, because Luigi takes any other exception for a failed task, and goes on."""

    code = STOPPED
    line = "stopped by SIGTERM"
    reason = "it was stopped by SIGTERM: the machine shuts down, or it took longer than the timer allows"

    def __str__(self) -> str:
        """Return the line for the terminal."""
        return self.line


class TimeOver(Stopped):
    """A run took longer than it may."""

    code = TIME_OVER

    def __init__(self, seconds: float) -> None:
        """Say how long it may take."""
        self.line = f"ended after {seconds:.0f} s ([airqino] run_seconds)"
        self.reason = f"it took longer than {seconds:.0f} s ([airqino] run_seconds) and was ended"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: The command's name and its arguments; None takes the process's own.

    Returns:
        The exit code.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    return run(lambda: _dispatch(arguments))


def run(work: Callable[[], int]) -> int:
    """Do a command's work: one line for an error, no traceback; SIGTERM unwinds it; a closed pipe ends it quietly.

    Returns:
        The exit code.
    """
    _unwind_at_sigterm()
    code = _READER_GONE
    try:
        code = _end_of(work)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    except BrokenPipeError:
        # what is still to be written at the end goes nowhere, else Python would complain of it
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere, stream.fileno())
    return code


def _end_of(work: Callable[[], int]) -> int:
    """Do a command's work, and return its exit code.

    Raises:
        BrokenPipeError: Whoever reads what it prints went away.
    """
    try:
        code = work()
    except SystemExit as end:  # argparse's, after --help
        code = int(end.code or 0)
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        code = USAGE
    except Stopped as stopped:
        from tasks.instruments import hook

        print(f"{stopped}; what is staged stays, run again to go on", file=sys.stderr)
        hook.send_at_exit()
        os._exit(stopped.code)  # an exit of Python's own waits for the answers to requests under way
    except KeyboardInterrupt:
        print("interrupted; what is staged stays, run again to go on", file=sys.stderr)
        code = 128 + signal.SIGINT
    return code


def _dispatch(arguments: Sequence[str]) -> int:
    parser = Parser(
        "airqino",
        usage="airqino COMMAND [argument ...]",
        description="Hourly air quality of a network of AirQino stations: readings, daily means, forecasts.",
        epilog="commands:\n"
        + "\n".join(f"  {name:<13}{text}" for name, text in COMMANDS.items())
        + "\n\n`airqino COMMAND --help` shows its arguments, and its exit codes if they are more than 0 and 2.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="show which version this is")
    parser.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments[:1])
    if asked.version:
        print(f"airqino {_version()}")
        return 0
    name = asked.command
    if name is None:
        parser.print_help()
        return USAGE
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1, 0.5)
        meant = f": did you mean {near[0]}?" if near else ";"
        raise ConfigError(f"there is no command {name}{meant} `scripts/airqino --help` lists them")
    command: Callable[[Sequence[str]], int] = importlib.import_module(f"tasks.cli.{name.replace('-', '_')}").main
    return command(arguments[1:])


def _version() -> str:
    """Return the checkout's version, and the installed one where it is another: somebody pulled without installing."""
    installed, setup = version("airqino-pipeline"), ConfigParser(interpolation=None)
    setup.read(Path(__file__).parents[2] / "setup.cfg", encoding="utf-8")  # an installed package has none
    ours = setup.get("metadata", "version", fallback=installed)
    return ours if ours == installed else f"{ours} (installed: {installed}; run scripts/install)"


def _unwind_at_sigterm() -> None:
    def stop(*_: object) -> None:
        raise Stopped

    signal.signal(signal.SIGTERM, stop)
    # forked workers end at once and in silence: the process that was started tells
    os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))
