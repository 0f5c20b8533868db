"""airqino export: a span of days, hours or forecasts as one file, in the columns of the open data."""

import sys
from collections.abc import Mapping, Sequence

from airqino.errors import ConfigError
from airqino.opendata.about import Location
from airqino.stores import files
from airqino.times import FORMS
from tasks import targets
from tasks.cli.arguments import caller_path
from tasks.cli.main import Parser
from tasks.settings.reading import settings
from tasks.stations import locations

#: The formats, as `airqino.opendata.formats.FORMATS` has them; listed here, so that --help needs no pandas.
_FORMATS = ("csv", "parquet", "xlsx")
_TABLES = ("daily", "hourly", "forecasts")


def main(argv: Sequence[str]) -> int:
    """Write a span of the staged tables."""
    arguments = _parser().parse_args(argv)
    from airqino.opendata.fields import TABLES
    from airqino.opendata.formats import FORMATS
    from airqino.opendata.frames import long_rows, span_of

    known, span = locations(settings()), span_of(arguments.first, arguments.last)
    if arguments.out is None and arguments.format != "csv":
        raise ConfigError(f"{arguments.format} is not for the terminal: name a file with --out")
    stations = [_id(arguments.station, known)] if arguments.station else None
    found = long_rows(arguments.table, span, stations, targets.paths().root, known)
    content = FORMATS[arguments.format](found, TABLES[arguments.table])
    if arguments.out is None:
        sys.stdout.buffer.write(content)
        return 0
    files.write(arguments.out, content)  # whole or not at all
    print(f"{arguments.out}: {len(found)} rows", file=sys.stderr)
    return 0


def _parser() -> Parser:
    parser = Parser(
        "airqino export",
        description="Write a span of the staged tables into one file, a reading or daily mean in a row, with the "
        "columns of the open data: docs/open-data.md. Nothing is fetched or built.",
        epilog=f"SPAN is {FORMS}; A.. ends now. Days are the stations' own, hours are UTC. exit codes: 0 done; 2 an "
        "argument or setting is wrong, or a file cannot be read or written",
    )
    parser.add_argument("first", metavar="SPAN", help="such as 2024-03 or 2024-03..2024-05")
    # as it was written before there were spans
    parser.add_argument(
        "last", metavar="LAST", nargs="?", help="where it ends, which is included, if SPAN is its beginning"
    )
    parser.add_argument("--table", choices=_TABLES, default="daily", help="default: daily")
    parser.add_argument("--format", choices=_FORMATS, default="csv", help="default: csv; xlsx needs openpyxl")
    parser.add_argument("--station", metavar="STATION", help="id or name; default: all")
    parser.add_argument("--out", type=caller_path, metavar="FILE", help="default, of csv alone: standard output")
    return parser


def _id(text: str, known: Mapping[str, Location]) -> str:
    """Return the id of a station by its id or name; what is neither is taken for an id, of which a reader may know."""
    named = [station for station, of in known.items() if of.name == text]
    if text not in known and len(named) > 1:
        raise ConfigError(f"several stations have the name {text}: give an id, of {', '.join(named)}")
    return text if text in known or not named else named[0]
