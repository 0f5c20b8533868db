"""airqino doctor: what is wrong with this deployment, and what to do about it."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tasks.cli.main import Parser
from tasks.doctor import examine
from tasks.doctor.checks import Outcome, Result

#: Of each outcome the mark, and what the last line says.
_OUTCOMES: dict[Outcome, tuple[str, str]] = {
    "ok": ("[green]✓[/]", "as it should be"),
    "warning": ("[yellow]![/]", "to look at"),
    "failed": ("[bold red]✗[/]", "failed"),
    "skipped": ("[dim]–[/]", "not checked"),
}


def main(argv: Sequence[str]) -> int:
    """Check everything and print it; 1 when something failed."""
    parser = Parser(
        "airqino doctor",
        description="Check settings, API, credentials, clock, MongoDB, staging root, luigid, model registry, alerts "
        "and cron, and say what to do about what is wrong. Changes nothing, shows no secret, takes less than 10 s.",
        epilog="✓ as it should be, ! runs go on but look at it, ✗ runs cannot go on or are wrong, – not checked. "
        "exit codes: 0 nothing failed, 1 something did, 2 a wrong argument",
    )
    parser.add_argument("--json", action="store_true", help="for machines")
    arguments = parser.parse_args(argv)
    results = examine(Path(__file__).parents[2])
    healthy = all(result.outcome != "failed" for result in results)
    if arguments.json:
        found = {"healthy": healthy, "checks": [msgspec.to_builtins(result) for result in results]}
        print(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        _show(results)
    return 0 if healthy else 1


def _show(results: Sequence[Result]) -> None:
    """Print a line for each check, and below it what to do, unbroken: a terminal wraps it, and it can be copied."""
    from rich.console import Console  # loaded after the checks, which wait for servers
    from rich.markup import escape
    from rich.table import Table

    console = Console(width=None if Console().is_terminal else 140)
    width = max(len(result.name) for result in results)
    for result in results:
        table = Table.grid(padding=(0, 1))
        table.add_column()
        table.add_column(width=width)
        table.add_column(overflow="fold")
        table.add_row(_OUTCOMES[result.outcome][0], escape(result.name), escape(result.finding))
        console.print(table, highlight=False)
        for number, line in enumerate(result.cure.splitlines()):
            console.print(f"[bold]{'  ' if number else '  → '}{escape(line)}[/]", highlight=False, soft_wrap=True)
    counts = Counter(result.outcome for result in results)
    console.print(", ".join(f"{counts[o]} {words}" for o, (_, words) in _OUTCOMES.items() if counts[o]))
