"""scripts/rerun: one task by name, with luigid where it answers."""

import sys
from collections.abc import Sequence

from tasks.cli.run import command, luigi_run, scheduler

#: Luigi's options that choose a scheduler; who gives one gets it.
_CHOSEN = ("--local-scheduler", "--scheduler-url", "--scheduler-host")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one task."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    chosen = {"-h", "--help", "--help-all"} & {*arguments} or any(a.startswith(_CHOSEN) for a in arguments)
    return luigi_run([*arguments, *([] if chosen or not arguments else scheduler())])


if __name__ == "__main__":
    command(main)
