"""airqino probe: which of our assumptions about the API hold for this account."""

import sys
from collections import Counter
from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from airqino.errors import ConfigError, CredentialsError, SourceError, UnknownStationError
from airqino.source.probe import Outcome, Report, verdicts
from airqino.source.questions import ask
from airqino.stores import files
from tasks import targets
from tasks.cli.main import FAILED, Parser
from tasks.cli.running import check_staging
from tasks.fetch import client
from tasks.settings.reading import Settings, settings

#: The most stations that are asked until one has rows.
_STATIONS = 5
_WIDTH = 80
#: Of each outcome the colour, and how several are counted.
_OUTCOMES: dict[Outcome, tuple[str, str]] = {
    "holds": ("green", "hold"),
    "does not hold": ("bold red", "do not hold"),
    "not known": ("dim", "not known"),
}

_EPILOG = """The report is kept as probe.json under the staging root; `scripts/doctor` tells what it said and how old it
is. exit codes: 0 nothing that was seen is against an assumption; 1 one does not hold, and somebody should look; 2 a
setting or argument is wrong, the API refuses the account or knows none of the stations, or the staging root cannot be
written; 30 the API did not answer, or nothing that can be read"""


def main(argv: Sequence[str]) -> int:
    """Ask the API, print a verdict on each assumption and keep the report; 1 where one does not hold."""
    parser = Parser(
        "airqino probe",
        description="Ask the AirQino API a dozen questions and say which assumptions hold for this account: time zone, "
        "names of hours, ends of a span, longest span, what comes where there is nothing, rate limit, clock. It only "
        "reads, and keeps to [airqino] requests_per_second. One answer is a year of one station, about 2 MB.",
        epilog=_EPILOG,
    )
    parser.add_argument("--json", action="store_true", help="for machines")
    arguments = parser.parse_args(argv)
    config = settings()
    check_staging()
    try:
        report = _probe(config)
    except (CredentialsError, UnknownStationError) as error:
        raise ConfigError(f"{config.airqino.base_url}: {error}; scripts/doctor says more") from error
    except SourceError as error:
        print(f"error: {config.airqino.base_url}: {error}; nothing was kept, try again later", file=sys.stderr)
        return FAILED
    files.write(targets.paths().probe, msgspec.json.format(msgspec.json.encode(report), indent=1))
    if arguments.json:
        print(msgspec.json.format(msgspec.json.encode(report), indent=1).decode())
    else:
        _show(report, Console(width=None if Console().is_terminal else _WIDTH))
    return 1 if report.of("does not hold") else 0


def _probe(config: Settings) -> Report:
    stations = (config.active_stations(config.last_hour) or list(config.airqino.stations))[:_STATIONS]
    with client(config.airqino, retries=0, concurrency=1) as api:
        station, seen = ask(api, stations, config.airqino.max_days_per_request, config.airqino.moment)
    return Report(config.airqino.moment(), config.airqino.base_url, station, verdicts(seen))


def _show(report: Report, console: Console) -> None:
    console.print(f"{report.base_url}, asked about station {report.station}", highlight=False)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for verdict in report.verdicts:
        cure = f"\n[bold]→ {escape(verdict.cure)}[/]" if verdict.cure else ""
        outcome = f"[{_OUTCOMES[verdict.outcome][0]}]{verdict.outcome}[/]"
        table.add_row(verdict.name, outcome, escape(verdict.seen) + cure)
    console.print(table, highlight=False)
    counts = Counter(verdict.outcome for verdict in report.verdicts)
    console.print(
        ", ".join(f"{counts[o]} {words}" for o, (_, words) in _OUTCOMES.items() if counts[o]), highlight=False
    )
