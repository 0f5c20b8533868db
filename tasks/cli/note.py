"""airqino note: the operator's word on a span of a station's readings, and how to take it back."""

import argparse
import getpass
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from airqino.errors import ConfigError
from airqino.quality.notes import Note
from airqino.readings import READINGS, reading
from airqino.stores import notebook
from airqino.times import FORMS, format_hour, parse_span
from tasks import errata, notes, targets
from tasks.cli.main import Parser
from tasks.cli.running import between_runs, check_staging, preflight
from tasks.settings.reading import settings
from tasks.stations import station_name

_EPILOG = """STATION is an id or a name. READING is one of {readings}, or all. SPAN is {forms}, such as
2024-09-09T10..2024-09-09T14, both included. A note is never changed or deleted: `revoke` takes one back. Of two that
say different things of a value the later one holds. The next hourly run builds again whatever depends on a note;
--now, or `scripts/note apply`, does so at once, without asking the API. exit codes: 0 done; 2 an argument or setting is
wrong, or the file of notes or MongoDB cannot be used"""

_ADDING = {
    "invalidate": "the values do not count, and no test looks at them",
    "restore": "the values count, whatever the tests say",
    "comment": "changes no number; is shown with the days",
    "calibrate": "the value is slope times what was reported plus offset; what was reported is kept",
}


def main(argv: Sequence[str]) -> int:
    """Write a note, list them, or build what depends on them."""
    arguments = _parser().parse_args(argv)
    settings()
    if arguments.do == "list":
        return _list(arguments.station, arguments.all, arguments.json)
    if arguments.do == "apply":
        return _apply()
    check_staging()
    if arguments.now:
        preflight()  # before anything is written
    errata.restore_lost()
    try:
        note = notebook.add(
            targets.paths().notes, targets.paths().lock("notes"), lambda before: _made(arguments, before)
        )
    except ValueError as error:
        raise ConfigError(f"note {arguments.do}: {error}") from None
    print(f"{note.id}: {_told(note)}")
    if arguments.now:
        return _apply()
    print("the next hourly run builds what depends on it; at once: scripts/note apply")
    return 0


def _parser() -> Parser:
    names = ", ".join(of.name for of in READINGS)
    parser = Parser(
        "airqino note",
        description="Say of a span of a station's readings that it does not count, that it counts after all, or how it "
        "is to be calibrated; or comment on it. Each note keeps who said so, when, and why.",
        epilog=_EPILOG.format(readings=names, forms=FORMS),
    )
    commands = parser.add_subparsers(dest="do", required=True, metavar="COMMAND")
    for name, about in _ADDING.items():
        command = commands.add_parser(
            name, help=about, description=about, epilog=_EPILOG.format(readings=names, forms=FORMS)
        )
        command.add_argument("station", metavar="STATION", help="id or name")
        command.add_argument(
            "reading", metavar="READING", help="such as pm2_5" + ("" if name == "calibrate" else ", or all")
        )
        if name == "calibrate":
            command.add_argument("--slope", type=float, default=1.0, help="factor, above 0; default 1")
            command.add_argument("--offset", type=float, default=0.0, help="in the reading's unit; default 0")
        open_end = "; A.. is valid until further notice" if name == "calibrate" else ""
        command.add_argument("span", metavar="SPAN", help=f"hours, days or months, UTC{open_end}")
        _who_and_why(command)
    command = commands.add_parser("revoke", help="take a note back", description="Take a note back.")
    command.add_argument("id", metavar="ID", help="as `list` shows it")
    _who_and_why(command)
    command = commands.add_parser("list", help="show the notes", description="Show the notes, oldest first.")
    command.add_argument("--station", metavar="ID", help="only those of one station, by id or name")
    command.add_argument("--all", action="store_true", help="also those that were taken back")
    command.add_argument("--json", action="store_true", help="for machines")
    about = "build and load at once whatever depends on notes that are new or were taken back"
    commands.add_parser("apply", help=about, description=about)
    return parser


def _who_and_why(command: Parser) -> None:
    command.add_argument(
        "--why",
        required=True,
        metavar="TEXT",
        help="the reason, for whoever reads it in a year; it becomes public where a page or data are published",
    )
    command.add_argument("--who", metavar="NAME", help="default: the login name")
    command.add_argument("--now", action="store_true", help="build and load what depends on it at once")


def _made(arguments: argparse.Namespace, before: Sequence[Note]) -> Note:
    now = settings().now.replace(microsecond=0)
    today = f"{now:%Y-%m-%d}-"
    number = max((int(note.id.removeprefix(today)) for note in before if note.id.startswith(today)), default=0) + 1
    said = {
        "id": f"{today}{number}",
        "kind": arguments.do,
        "who": " ".join((arguments.who or _login()).split()),
        "why": " ".join(arguments.why.split()),
        "noted_at": now,
    }
    if arguments.do == "revoke":
        revoked = next((note for note in before if note.id == arguments.id), None)
        return Note(**said, station=revoked.station if revoked else "", revokes=arguments.id)
    first, last = _span(arguments.span, is_open=arguments.do == "calibrate")
    numbers = {"slope": arguments.slope, "offset": arguments.offset} if arguments.do == "calibrate" else {}
    if numbers == {"slope": 1.0, "offset": 0.0}:
        raise ConfigError("neither --slope nor --offset changes anything: give one of them")
    station, of = _station(arguments.station), _reading(arguments.reading)
    return Note(**said, station=station, reading=of, first=first, last=last, **numbers)


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        raise ConfigError("this user has no login name: say with --who who makes the note") from None


def _station(text: str) -> str:
    """Return the id of a station that is configured, or has a section, by its id or name.

    Raises:
        ConfigError: There is none, or there are several.
    """
    config = settings()
    names = {station: station_name(station, config) for station in {*config.airqino.stations, *config.stations}}
    found = [text] if text in names else [station for station, name in names.items() if name == text]
    if len(found) != 1:
        known = ", ".join(f"{station} ({name})" for station, name in sorted(names.items()))
        several = "several stations have the name" if found else "there is no station"
        raise ConfigError(f"{several} {text}; there are {known}")
    return found[0]


def _reading(text: str) -> str:
    """Return the name of a reading by its name or label; "" for all."""
    names = {of.name: of.name for of in READINGS} | {of.label.lower(): of.name for of in READINGS} | {"all": ""}
    if text.lower() not in names:
        raise ConfigError(f"there is no reading {text}; there are {', '.join(of.name for of in READINGS)}, or all")
    return names[text.lower()]


def _span(text: str, is_open: bool) -> tuple[datetime, datetime | None]:
    """Read a span; one that is open ends where further notice is given."""
    if is_open and text.rstrip().endswith(".."):
        return parse_span(text.rstrip().removesuffix("..")).first, None
    try:
        return parse_span(text)
    except ConfigError as error:
        only = "; only a calibration may be without an end" if text.rstrip().endswith("..") else ""
        raise ConfigError(f"{error}{only}") from None


def _apply() -> int:
    preflight()
    with between_runs(minutes=15):
        days = errata.apply()
    if days:
        print(f"{len(days)} days are as the notes have it: {days[0]} to {days[-1]}")
    else:
        print("no note is new: every day is as the notes have it")
    return 0


def _told(note: Note) -> str:
    """Return what a note says, as one line."""
    if note.kind == "revoke":
        return f"takes {note.revokes} back"
    name = f"{station_name(note.station, settings())} ({note.station})"
    of = reading(note.reading) if note.reading else None
    text = f"{note.kind} {of.label if of else 'all readings'} of {name}, {_hours(note)}"
    if note.kind == "calibrate" and of:
        return f"{text}: {note.slope:g} times what was reported {note.offset:+g} {of.unit}"
    return text


def _hours(note: Note) -> str:
    first, last = note.first, note.last
    return f"{format_hour(first) if first else ''} to {format_hour(last) if last else 'further notice'}"


def _list(station: str | None, everything: bool, as_json: bool) -> int:
    errata.restore_lost()
    said, wanted = notes.everything() if everything else notes.active(), station and _station(station)
    said = [note for note in said if not wanted or note.station == wanted]
    if as_json:
        print(json.dumps([asdict(note) for note in said], indent=1, ensure_ascii=False, default=datetime.isoformat))
        return 0
    if not said:
        print("there are no notes")
        return 0
    taken_back = {note.revokes for note in notes.everything()} - {""}
    console = Console(width=None if Console().is_terminal else 160)
    table = Table(box=None)
    for column in ("id", "note", "why", "who", "when"):
        table.add_column(column, overflow="fold")
    for note in said:
        told = _told(note) + (" (taken back)" if note.id in taken_back else "")
        table.add_row(note.id, *map(escape, (told, note.why, note.who)), f"{note.noted_at:%Y-%m-%d %H:%M}")
    console.print(table, highlight=False)
    return 0
