"""A stand-in for the AirQino API on this machine's loopback address.

It speaks the API's contract as observed in real answers (2023 to 2026), with made-up series for any station
(`airqino.sandbox.series`) or with files of real answers, and makes faults on demand (`airqino.sandbox.faults`).

    python -m airqino.sandbox.server --help

In a test::

    with Sandbox(now=datetime(2024, 9, 9, 10, 30, tzinfo=UTC)) as sandbox:
        requests.get(f"{sandbox.url}/v3/getStationHourlyAvg/283181971")
"""

import argparse
import asyncio
import signal
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from airqino.sandbox.faults import KINDS, Answer, Fault, Faults
from airqino.sandbox.handlers import TOKEN_PATH, Credentials, Tokens, application, parse_time
from airqino.sandbox.records import Source

__all__ = ["Credentials", "Sandbox", "main"]

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


class Sandbox:
    """A sandbox API that runs in a thread of its own for as long as the `with` block lasts.

    Attributes:
        url: Base URL, for instance `http://127.0.0.1:8765`.
        token_url: URL of the OAuth2 token endpoint.
    """

    def __init__(
        self,
        replay: Path | str | None = None,
        now: datetime | None = None,
        stations: Iterable[str] | None = None,
        credentials: Credentials | None = None,
        token_seconds: float = 300,
        seed: int = 0,
        port: int = 0,
        log_requests: bool = False,
    ) -> None:
        """Read the replay files and bind the port; requests are answered from `__enter__` on.

        Args:
            replay: Folder of answers named `<station>.json`; None serves made-up series.
            now: Freezes the clock; None follows the machine's.
            stations: The only stations known; None for every file of `replay`, or any number.
            credentials: Demands a token got with them; None lets everybody in.
            token_seconds: How long an access token is valid.
            seed: Of the faults' random draws.
            port: TCP port; 0 takes a free one.
            log_requests: Print a line per request on standard output.

        Raises:
            OSError: The port is in use.
            ValueError: The replay folder is missing, holds no answer, or holds a file that is none.
        """
        self.source = Source(replay, stations)
        self._now = now
        self._log_requests = log_requests
        self._lock = threading.Lock()
        self.faults = Faults(seed)
        self.needs_token = credentials is not None
        self.tokens = Tokens(credentials or Credentials(), token_seconds)
        self.reset()
        self._sockets = bind_sockets(port, "127.0.0.1")
        self.url = f"http://127.0.0.1:{self._sockets[0].getsockname()[1]}"
        self.token_url = self.url + TOKEN_PATH

    def __enter__(self) -> Self:
        """Start to answer requests."""
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(started)), daemon=True)
        self._thread.start()
        started.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the port and all connections."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _serve(self, started: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = HTTPServer(application(self))
        server.add_sockets(self._sockets)
        started.set()
        await self._stop.wait()
        server.stop()
        await server.close_all_connections()

    @property
    def now(self) -> datetime:
        """The sandbox's time; set it to freeze the clock, or to None to follow the machine's again."""
        return self._now or datetime.now(UTC)

    @now.setter
    def now(self, moment: datetime | None) -> None:
        self._now = moment

    def add_fault(
        self,
        kind: str,
        probability: float = 1.0,
        station: str | None = None,
        times: int | None = None,
        seconds: float | None = None,
    ) -> None:
        """Put a fault in force; see `airqino.sandbox.faults.Fault` for the arguments and errors."""
        self.faults.add(Fault(kind, probability, station, times, seconds))

    def clear_faults(self) -> None:
        """Lift all faults."""
        self.faults.clear()

    def override(
        self, station: str, hour: datetime, values: dict[str, Any] | None, since: datetime | None = None
    ) -> None:
        """Change what an hour's row shows from the sandbox time `since` on; see `answers.Source.override`."""
        self.source.override(station, hour, values, since)

    def stats(self) -> dict[str, Any]:
        """Return what was counted since the start or the last `reset`.

        Returns:
            `data_requests`, `token_requests`: how many; `by_station`, `by_status`: data requests by station
                and by status (as
            text); `windows`: the last 100,000 data requests, each with `station`, `start`, `stop` (ISO; None
            for a bad request), `status`, `rows`, `faults`.
        """
        with self._lock:
            return {
                "data_requests": sum(self._by_station.values()),
                "by_station": dict(self._by_station),
                "by_status": dict(self._by_status),
                "token_requests": self._token_requests,
                "windows": list(self._windows),
            }

    def reset(self) -> None:
        """Count from zero again; clock, faults and overrides stay."""
        with self._lock:
            self._by_station: Counter[str] = Counter()
            self._by_status: Counter[str] = Counter()
            self._token_requests = 0
            self._windows: deque[dict[str, Any]] = deque(maxlen=100_000)

    def record(self, station: str, answer: Answer, window: tuple[datetime, datetime] | None, faults: list[str]) -> None:
        """Count a data request and print its line."""
        start, stop = (moment.isoformat() for moment in window) if window else (None, None)
        entry = {
            "station": station,
            "start": start,
            "stop": stop,
            "status": answer.status,
            "rows": answer.body.count('"timestamp"'),
            "faults": faults,
        }
        with self._lock:
            self._by_station[station] += 1
            self._by_status[str(answer.status)] += 1
            self._windows.append(entry)
        if self._log_requests:
            why = f" ({', '.join(faults)})" if faults else ""
            print(
                f"{self.now:%Y-%m-%dT%H:%M:%SZ} {station} {start} {stop} {answer.status} {entry['rows']} rows{why}",
                flush=True,
            )

    def record_token_request(self) -> None:
        """Count a token request and print its line."""
        with self._lock:
            self._token_requests += 1
        if self._log_requests:
            print(f"{self.now:%Y-%m-%dT%H:%M:%SZ} token", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a sandbox until it is interrupted.

    Args:
        argv: Command-line arguments; None takes the process's own.

    Returns:
        Exit code: 0 after SIGINT or SIGTERM, 2 when the port or a replay file is of no use.
    """
    options = _parser().parse_args(argv)
    try:
        sandbox = Sandbox(
            replay=options.replay,
            now=options.now,
            stations=options.stations,
            credentials=Credentials() if options.auth else None,
            token_seconds=options.token_seconds,
            seed=options.seed,
            port=options.port,
            log_requests=options.log_requests,
        )
    except (OSError, OverflowError) as error:
        print(f"sandbox: port {options.port} cannot be used: {error}", file=sys.stderr)
        return 2
    except ValueError as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 2
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with sandbox:
        for fault in options.fault:
            sandbox.faults.add(fault)
        print(f"AirQino sandbox on {sandbox.url}", flush=True)
        if options.auth:
            known = Credentials()
            print(
                f"  sign-in is on, with demo credentials that protect nothing: client {known.client_id}, "
                f"secret {known.client_secret}, user {known.username}, password {known.password}\n"
                f"  tokens: {sandbox.token_url}",
                flush=True,
            )
        stopped.wait()
    return 0


def _parser() -> argparse.ArgumentParser:
    kinds = "\n".join(f"  {kind:17} {effect}" for kind, effect in KINDS.items())
    parser = argparse.ArgumentParser(
        prog="scripts/sandbox",
        description="A stand-in for the AirQino API on 127.0.0.1: made-up series, or replayed answers.",
        epilog=_CONTROL + "\nkinds of --fault (PROBABILITY 1, any STATION, no end of TIMES by default):\n" + kinds,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 takes a free one (default %(default)s)")
    parser.add_argument("--replay", type=Path, metavar="DIR", help="serve DIR/<station>.json, real answers of the API")
    parser.add_argument("--now", type=_argument(parse_time), metavar="ISO", help="freeze the clock at a time, UTC")
    parser.add_argument(
        "--stations",
        type=lambda text: text.split(","),
        metavar="A,B",
        help="know only these; any other is 404",
    )
    parser.add_argument(
        "--fault",
        type=_argument(Fault.parse),
        action="append",
        default=[],
        metavar="KIND[:PROBABILITY[:STATION[:TIMES[:SECONDS]]]]",
        help="make a fault on purpose; may be given more than once",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the faults' random draws (default %(default)s)")
    parser.add_argument("--auth", action="store_true", help="answer 401 without a token got with the demo credentials")
    parser.add_argument(
        "--token-seconds", type=int, default=300, metavar="S", help="life of a token (default %(default)s)"
    )
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


if __name__ == "__main__":
    sys.exit(main())
