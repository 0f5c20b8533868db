"""airqino report: the report of a month, for the office: a page that prints to two sheets."""

import sys
from collections.abc import Sequence
from datetime import datetime

from airqino.stores import files
from airqino.times import day_start, parse_month
from tasks import targets
from tasks.cli.arguments import caller_path
from tasks.cli.main import Parser
from tasks.settings.reading import Settings, refuse_unpublished, settings
from tasks.stations import public_stations

#: As `airqino.publishing.words.LANGUAGES` has them; listed here, so that --help needs no pandas.
_LANGUAGES = ("fr", "en")


def main(argv: Sequence[str]) -> int:
    """Write a month's report."""
    arguments = _parser().parse_args(argv)
    from airqino.publishing import month, month_tables, report

    config, first = settings(), parse_month(arguments.month)
    refuse_unpublished(day_start(first), "month")
    tables = month_tables.read(targets.paths(), first)
    stations = public_stations(config.airqino.stations, config)
    told = month.take(tables, stations, config.last_hour, _service(config))
    text = report.html(told, arguments.language, config.publish.city, config.common_zone)
    path = arguments.out or caller_path(f"report-{first:%Y-%m}.html")
    files.write(path, text.encode())  # whole or not at all
    days = f", to date: up to {told.last}" if told.under_way else ""
    print(f"{path}: {len(told.stations)} stations{days}", file=sys.stderr)
    return 0


def _parser() -> Parser:
    parser = Parser(
        "airqino report",
        description="Write the report of a month from what is staged: for each station means, valid days, days over "
        "the guideline, hours that are missing and why, sensors to service, revisions, forecast skill. One page of "
        "HTML that prints to two sheets for two stations: docs/report.md. Nothing is fetched or built.",
        epilog="Days are the stations' own. A month under way is told to date. exit codes: 0 done; 2 an argument or "
        "setting is wrong, nothing is staged of the month, or a file cannot be read or written",
    )
    parser.add_argument("month", metavar="MONTH", help="such as 2024-03")
    parser.add_argument("--language", choices=_LANGUAGES, default="fr", help="default: fr")
    parser.add_argument(
        "--out", type=caller_path, metavar="FILE", help="default: report-MONTH.html in the current folder"
    )
    return parser


def _service(config: Settings) -> dict[str, tuple[datetime | None, datetime | None]]:
    return {id: config.station(id).service for id in config.airqino.stations}
