"""airqino sandbox: the stand-in for the AirQino API, served until it is interrupted."""

import argparse
import signal
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from airqino.errors import ConfigError
from airqino.sandbox import habits
from airqino.sandbox.faults import KINDS, Fault
from airqino.sandbox.handlers import parse_time
from airqino.sandbox.server import Account, Sandbox
from tasks.cli.arguments import caller_path
from tasks.cli.main import Parser

DEFAULT_PORT = 8765

T = TypeVar("T")

_CONTROL = """control, with curl for instance:
  GET    /__stats     what was asked so far
  POST   /__reset     count from zero again
  POST   /__now       {"now": "2024-09-09T10:30"}, or {"now": null} for the machine's clock
  POST   /__faults    {"kind": "latency", "probability": 0.1, "station": null, "times": 3, "seconds": 5}
  DELETE /__faults    lift all faults
  POST   /__override  {"station": "283181971", "hour": "2024-09-09T10:00", "values": {"CO": 0.5},
                       "from": "2024-09-10T16:00"}   (values null: no row)
"""


def main(argv: Sequence[str]) -> int:
    """Run a sandbox until SIGINT or SIGTERM.

    Raises:
        ConfigError: The port or the replay folder is of no use.
    """
    parser = _parser()
    options = parser.parse_args(argv)
    try:
        wanted = habits.Habits.parse(options.habit) if options.habit else None
    except ValueError as error:
        parser.error(f"{error}")
    account = Account() if options.auth else None
    names = ("replay", "now", "stations", "token_seconds", "seed", "port", "log_requests")
    try:
        sandbox = Sandbox(account=account, habits=wanted, **{name: getattr(options, name) for name in names})
    except (OSError, OverflowError) as error:
        raise ConfigError(f"port {options.port} cannot be used ({error}): name another with --port") from error
    except ValueError as error:
        raise ConfigError(f"{error}; correct --replay") from error
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with sandbox:
        for fault in options.fault:
            sandbox.faults.add(fault)
        print(f"AirQino sandbox on {sandbox.url}", flush=True)
        if account:
            login = f"user {account.username}, password {account.password}\n  tokens: {sandbox.token_url}"
            client = f"client {account.client_id}, secret {account.client_secret}"
            print(f"  sign-in is on, with demo credentials that protect nothing: {client}, {login}", flush=True)
        stopped.wait()
    return 0


def _parser() -> Parser:
    kinds = "\n".join(f"  {kind:17} {effect}" for kind, effect in KINDS.items())
    others = "\n".join(f"  {kind:17} {effect}" for kind, effect in habits.KINDS.items())
    parser = Parser(
        "airqino sandbox",
        description="Serve a stand-in for the AirQino API on 127.0.0.1: made-up series, or replayed answers.",
        epilog=f"{_CONTROL}\nkinds of --fault (PROBABILITY 1, any STATION, no end of TIMES by default):\n{kinds}\n\n"
        f"kinds of --habit:\n{others}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 takes a free one (default %(default)s)")
    parser.add_argument(
        "--replay", type=caller_path, metavar="DIR", help="serve DIR/<station>.json, real answers of the API"
    )
    parser.add_argument("--now", type=_argument(parse_time), metavar="ISO", help="freeze the clock at a time, UTC")
    known = "know only these; any other is 404"
    parser.add_argument("--stations", type=lambda text: text.split(","), metavar="A,B", help=known)
    form = "KIND[:PROBABILITY[:STATION[:TIMES[:SECONDS]]]]"
    fault = "make a fault on purpose; may be given more than once"
    parser.add_argument("--fault", type=_argument(Fault.parse), action="append", default=[], metavar=form, help=fault)
    habit = "answer in another way than by default; may be given more than once"
    parser.add_argument("--habit", action="append", default=[], metavar="KIND[:VALUE]", help=habit)
    parser.add_argument("--seed", type=int, default=0, help="of the faults' random draws (default %(default)s)")
    parser.add_argument("--auth", action="store_true", help="answer 401 without a token got with the demo credentials")
    life = "life of a token (default %(default)s)"
    parser.add_argument("--token-seconds", type=int, default=300, metavar="S", help=life)
    parser.add_argument("--log-requests", action="store_true", help="print a line per request")
    return parser


def _argument(read: Callable[[str], T]) -> Callable[[str], T]:
    """Return a reader for argparse that passes on the reason why a value is wrong."""

    def checked(text: str) -> T:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked
