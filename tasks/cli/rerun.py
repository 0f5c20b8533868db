"""scripts/rerun: one task by name, with luigid where it answers."""

import argparse
import sys
from collections.abc import Sequence

import tasks
from airqino.errors import ConfigError
from tasks.cli.run import command, luigi_run, scheduler

#: Luigi's options that choose a scheduler; who gives one gets it.
_CHOSEN = ("--local-scheduler", "--scheduler-url", "--scheduler-host")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one task."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help())
        return 0 if arguments else 2
    if arguments[0] not in tasks.__all__:
        raise ConfigError(f"there is no task {arguments[0]}; there are {', '.join(tasks.__all__)}")
    chosen = {"--help", "--help-all"} & {*arguments} or any(a.startswith(_CHOSEN) for a in arguments)
    return luigi_run([*arguments, *([] if chosen else scheduler())])


def _help() -> str:
    lines = [f"  {name:<16}{(getattr(tasks, name).__doc__ or '').splitlines()[0]}" for name in tasks.__all__]
    parser = argparse.ArgumentParser(
        "scripts/rerun",
        usage="scripts/rerun TASK [--day 2024-03-02 | --day 2024-03-01..2024-03-31 | --hour 2024-03-02T10] [options]",
        description="Run one task and what it needs; what is done is skipped. TASK --help shows its options.",
        epilog="tasks:\n" + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    return parser.format_help().rstrip()


if __name__ == "__main__":
    command(main)
