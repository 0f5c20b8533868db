"""airqino runs: what ran, when, for how long, and why it was red."""

import json
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from tasks.cli.main import Parser
from tasks.cli.running import positive
from tasks.instruments import runs
from tasks.instruments.runs import RecordedRun
from tasks.settings.reading import settings, staging_root

#: As many as a screen has lines.
_SHOWN = 20


def main(argv: Sequence[str]) -> int:
    """Print the last runs, the newest last."""
    parser = Parser(
        "airqino runs",
        description="List the commands that ran with this staging root: when, for how long, how they ended, and why if "
        "not well. Those that only look are not listed, nor what plain luigi ran. Times are UTC.",
    )
    parser.add_argument("--last", type=positive, default=_SHOWN, metavar="N", help=f"how many (default {_SHOWN})")
    parser.add_argument("--failed", action="store_true", help="only those that did not end well")
    parser.add_argument("--json", action="store_true", help="for machines")
    arguments = parser.parse_args(argv)
    settings()
    found = [run for run in runs.read(staging_root()) if not arguments.failed or run.outcome not in ("ok", "under way")]
    found = found[-arguments.last :]
    if arguments.json:
        print(json.dumps([_plain(run) for run in found], indent=1))
    else:
        _show(found, Console(highlight=False))
    return 0


def _plain(run: RecordedRun) -> dict[str, object]:
    return {
        "command": run.command,
        "began_at": run.began_at.isoformat(),
        "seconds": run.duration.total_seconds() if run.duration is not None else None,
        "outcome": run.outcome,
        "code": run.code,
        "reason": run.reason,
        "host": run.host,
    }


def _show(found: Sequence[RecordedRun], console: Console) -> None:
    if not found:
        console.print("no run is written down")
        return
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    table.add_column("began", no_wrap=True)
    table.add_column("command", overflow="fold")
    table.add_column("took", justify="right", no_wrap=True)
    table.add_column("ended", no_wrap=True)
    for run in found:
        took = f"{run.duration.total_seconds():.0f} s" if run.duration is not None else "–"
        style = "green" if run.outcome == "ok" else "" if run.outcome == "under way" else "bold red"
        table.add_row(
            f"{run.began_at:%Y-%m-%d %H:%M}", run.command, took, f"[{style}]{run.outcome}[/]" if style else run.outcome
        )
    console.print(table)
    for run in found:  # below the table, which has no room for it
        if run.reason:
            console.print(f"{run.began_at:%Y-%m-%d %H:%M} {run.command}: {run.reason}", markup=False)
