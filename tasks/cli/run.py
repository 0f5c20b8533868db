"""airqino run: one task by name, with luigid where it answers."""

import argparse
from collections.abc import Sequence

import tasks
from airqino.errors import ConfigError
from tasks.cli.main import USAGE
from tasks.cli.running import luigi_run, scheduler

#: Luigi's options that choose a scheduler; who gives one gets it.
_SCHEDULERS = ("--local-scheduler", "--scheduler-url", "--scheduler-host")


def main(argv: Sequence[str]) -> int:
    """Run one task; without one, or with --help, print which there are."""
    if not argv or argv[0] in ("-h", "--help"):
        print(_help())
        return 0 if argv else USAGE
    if argv[0] not in tasks.__all__:
        raise ConfigError(f"there is no task {argv[0]}; there are {', '.join(tasks.__all__)}")
    has_scheduler = {"--help", "--help-all"} & {*argv} or any(option.startswith(_SCHEDULERS) for option in argv)
    return luigi_run([*argv, *([] if has_scheduler else scheduler())])


def _help() -> str:
    lines = [f"  {name:<16}{(getattr(tasks, name).__doc__ or '').splitlines()[0]}" for name in tasks.__all__]
    parser = argparse.ArgumentParser(
        "airqino run",
        usage="airqino run TASK [--day 2024-03-02 | --day 2024-03-01..2024-03-31 | --hour 2024-03-02T10] [options]",
        description="Run one task and what it needs; what is done is skipped. TASK --help shows its options.",
        epilog="tasks:\n" + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    return parser.format_help().rstrip()
