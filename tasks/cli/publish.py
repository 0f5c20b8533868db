"""airqino publish: the public page and the open data, now."""

import functools
import http.server
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from airqino.errors import ConfigError
from airqino.stores.files import is_in_bucket
from airqino.times import DAY, HOUR, format_hour, parse_hour
from tasks import logs, targets
from tasks.cli import note
from tasks.cli.main import FAILED, Parser
from tasks.cli.running import luigi_run, positive, scheduler
from tasks.instruments import hook
from tasks.instruments.runs import recorded
from tasks.settings.reading import refuse_unpublished, settings

_PORT = 8080


def main(argv: Sequence[str]) -> int:
    """Apply the operator's notes, publish, and perhaps serve."""
    parser = Parser(
        "airqino publish",
        description="Bring the public page and the open data in [publish] root up to what is staged, as the hourly run "
        "does each hour, but at once. The operator's notes are applied first: a wrong number is gone when it "
        "ends. Nothing is fetched.",
        epilog="exit codes: 0 done, or nothing to do; 2 a setting or argument is wrong, or MongoDB or the staging root "
        f"cannot be used; {FAILED} it could not be published: what was served before still is",
    )
    latest = "the hour of the page, such as 2024-09-09T10 (UTC); default: the last one that was forecast"
    parser.add_argument("--hour", type=parse_hour, help=latest)
    serve = f"then serve the folder to this machine, at this port (default {_PORT}), until Ctrl-C: to look at it"
    parser.add_argument("--without-notes", action="store_true", help="leave the notes to the next hourly run")
    parser.add_argument("--serve", nargs="?", type=positive, const=_PORT, metavar="PORT", help=serve)
    arguments = parser.parse_args(argv)
    if not settings().publish.root:
        raise ConfigError("no folder is named to publish into: set PUBLISH_ROOT ([publish] root)")
    root = settings().publish.path
    if arguments.serve and is_in_bucket(root):
        raise ConfigError(f"{root} is in a bucket, which --serve cannot serve: ask its own web address")
    hour = arguments.hour or _latest()
    refuse_unpublished(hour)
    logs.start_logging()
    if hour >= settings().last_hour - HOUR:  # as of the hourly run, which calls this
        hook.mark_hourly_run()
    if arguments.without_notes:  # it is written down as the hourly run
        code = _publish(hour)[0]
    else:
        with recorded("publish", argv) as record:
            code = note.main(["apply"])
            record.code, record.reason = (code, "") if code else _publish(hour)
        code = record.code
    if code == 0:
        print(f"published: {root.resolve() / 'index.html'}")
    if arguments.serve:
        _serve(root, arguments.serve)
    return code


def _publish(hour: datetime) -> tuple[int, str]:
    """Publish an hour; return the exit code, and why it is not 0."""
    outcome = luigi_run(["Publish", "--hour", format_hour(hour), *scheduler()])
    outcome.tell(f"{format_hour(hour)} is not published")
    return FAILED if outcome.code else 0, "; ".join(outcome.why)


def _latest() -> datetime:
    """Return the last hour that an hourly run came to the end of, or else the last one there is."""
    last = settings().last_hour
    return max(targets.forecast_hours(last - 2 * DAY, last), default=last)


def _serve(root: Path, port: int) -> None:
    handler = functools.partial(_Quiet, directory=str(root))
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as error:
        raise ConfigError(f"port {port} cannot be used ({error.strerror}): give another one to --serve") from error
    with server:
        print(f"http://127.0.0.1:{port}/ (Ctrl-C ends it)", file=sys.stderr)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print(file=sys.stderr)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files, and does not tell of each."""

    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {
        ".xml": "application/atom+xml", ".html": "text/html; charset=utf-8", ".csv": "text/csv; charset=utf-8",
    }  # fmt: skip

    def log_message(self, *_: object) -> None:
        """Say nothing."""
