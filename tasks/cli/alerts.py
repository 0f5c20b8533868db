"""airqino alerts: what is wrong now, and whether the channels work."""

import argparse
import contextlib
import json
import socket
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from airqino.errors import ConfigError, StagingError
from tasks import logs
from tasks.cli.main import Parser
from tasks.environment import check_root
from tasks.instruments import channels, incidents
from tasks.instruments.channels import Message
from tasks.instruments.incidents import Incident
from tasks.instruments.run import check
from tasks.settings.reading import settings, staging_root

#: How often cron checks, in minutes.
_QUARTER = 15
_EPILOG = """commands:
  check        judge the conditions without running the pipeline, tell the channels what is new, and exit with 1 while
               an incident is open, with 2 when not everything could be judged: for a second line in the crontab,
               where no Prometheus watches whether the first one runs (deploy/cron/airqino.cron has it)
  list         the open incidents; changes and sends nothing
  test         send a test message to each channel; exit with 1 when one fails
  end KEY      end an incident that cannot end by itself, such as a failed rerun of something that is not wanted"""


def main(argv: Sequence[str]) -> int:
    """Run one of the commands."""
    parser = Parser(
        "airqino alerts",
        description="Look after the alerts. Each incident is told once when it begins and once when it ends; where to, "
        "says ALERT_URLS or [alerts] urls. docs/alerts.md explains every kind.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=("check", "list", "test", "end"), metavar="check|list|test|end")
    parser.add_argument("key", nargs="?", metavar="KEY", help="with end: an incident's key, as list shows it")
    parser.add_argument("--json", action="store_true", help="with check and list: for machines")
    arguments = parser.parse_args(argv)
    if (arguments.command == "end") != bool(arguments.key):
        parser.error("end needs the key of an incident; no other command takes one")
    settings()
    root = staging_root()
    check_root(root)
    try:
        root.mkdir(parents=True, exist_ok=True)  # one that is there and full is a matter for an alert
    except OSError as error:
        raise StagingError(f"staging root {root} cannot be made ({error.strerror}); check STAGING_ROOT") from error
    with contextlib.redirect_stdout(sys.stderr) if arguments.json else contextlib.nullcontext():
        logs.start_logging()  # standard output is the answer's, whatever [logging] console says
    if arguments.command == "test":
        return _test(settings().alerts.urls)
    return _incidents(arguments.command, arguments.key or "", arguments.json)


def _incidents(wanted: str, key: str, as_json: bool) -> int:
    root = staging_root()
    try:
        if wanted == "end":
            with incidents.book(root) as book:
                if not any(incident.key == key for incident in book.open()):
                    raise ConfigError(f"no open incident has the key {key!r}: see scripts/alerts list")
                book.end(key)
        # where nothing can be written down, each check would tell again: once an hour is enough
        if wanted != "list" and not check(root, insist=datetime.now(UTC).minute < _QUARTER).conclusive:
            raise StagingError("not everything could be checked, so the open incidents are not shown; the log says why")
        found = incidents.read(root).open()
    except OSError as error:
        raise StagingError(f"staging root {root} cannot be used ({error.strerror}); check STAGING_ROOT") from error
    if as_json:
        print(json.dumps([_plain(incident) for incident in found], indent=1))
    else:
        for incident in found:
            print(f"{incident.since:%Y-%m-%d %H:%M} UTC  {incident.key}\n  {incident.title}")
        print(f"{len(found) or 'no'} open incident{'' if len(found) == 1 else 's'}")
    return 1 if found and wanted == "check" else 0


def _plain(incident: Incident) -> dict[str, object]:
    content = {"key": incident.key, **msgspec.to_builtins(incident)}
    return {name: content[name] for name in ("key", "kind", "what", "since", "title", "text", "units")}


def _test(urls: str) -> int:
    urls_by_id = channels.urls_by_id(urls)
    if not urls_by_id:
        raise ConfigError("no channel is set: set ALERT_URLS, or [alerts] urls in airqino.cfg")
    moment = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    body = f"Test of {moment} from {socket.gethostname()}: alerts of AirQino arrive here.\n"
    results = channels.send({c: (url, [Message("[AirQino] test", body, "info")]) for c, url in urls_by_id.items()})
    for channel, result in results.items():
        outcome = "sent" if result.sent else f"FAILED: {result.reason}"
        print(f"{channels.display_name(urls, channel)}: {outcome}", file=sys.stdout if result.sent else sys.stderr)
    return 0 if all(result.sent for result in results.values()) else 1
