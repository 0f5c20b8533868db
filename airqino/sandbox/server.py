"""A stand-in for the AirQino API on this machine's loopback address.

It speaks the API's contract as observed in real answers (2023 to 2026), with made-up series for any station
(`airqino.sandbox.series`) or with files of real answers, with other habits (`airqino.sandbox.habits`), and makes faults
on demand (`airqino.sandbox.faults`).

The command `airqino sandbox` serves it for people. In a test::

    with Sandbox(now=datetime(2024, 9, 9, 10, 30, tzinfo=UTC)) as sandbox:
        requests.get(f"{sandbox.url}/v3/getStationHourlyAvg/283181971")
"""

import asyncio
import threading
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from airqino.sandbox.faults import Fault, Faults, Reply
from airqino.sandbox.habits import Habits
from airqino.sandbox.handlers import TOKEN_PATH, Account, Tokens, application
from airqino.sandbox.records import Records

__all__ = ["Account", "InThread", "Sandbox"]


class InThread(ABC):
    """A server whose event loop runs in a thread of its own for as long as the `with` block lasts."""

    def __enter__(self) -> Self:
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(started)), daemon=True)
        self._thread.start()
        started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _run(self, started: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await self._serve(started)

    @abstractmethod
    async def _serve(self, started: threading.Event) -> None:
        """Listen, set `started`, and serve until `_stop` is set."""


class Sandbox(InThread):
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
        account: Account | None = None,
        token_seconds: float = 300,
        seed: int = 0,
        port: int = 0,
        log_requests: bool = False,
        habits: Habits | None = None,
    ) -> None:
        """Read the replay files and bind the port; requests are answered from `__enter__` on.

        Args:
            replay: Folder of answers named `<station>.json`; None serves made-up series.
            now: Freezes the clock; None follows the machine's.
            stations: The only stations known; None for every file of `replay`, or any number.
            account: Demands a token got with them; None lets everybody in.
            token_seconds: How long an access token is valid.
            seed: Of the faults' random draws.
            port: TCP port; 0 takes a free one.
            log_requests: Print a line per request on standard output.
            habits: How the API answers where its documentation leaves it open.

        Raises:
            OSError: The port is in use.
            ValueError: The replay folder is missing, holds no answer, or holds a file that is none.
        """
        self.records, self.habits = Records(replay, stations), habits
        self._now, self._log_requests = now, log_requests
        self._lock = threading.Lock()
        self.faults = Faults(seed)
        self.needs_token = account is not None
        self.tokens = Tokens(account or Account(), token_seconds)
        self.reset()
        self._sockets = bind_sockets(port, "127.0.0.1")
        self.url = f"http://127.0.0.1:{self._sockets[0].getsockname()[1]}"
        self.token_url = self.url + TOKEN_PATH

    async def _serve(self, started: threading.Event) -> None:
        server = HTTPServer(application(self))
        server.add_sockets(self._sockets)
        started.set()
        await self._stop.wait()
        server.stop()
        await server.close_all_connections()

    @property
    def now(self) -> datetime:
        """Return the sandbox's time; set it to freeze the clock, or to None to follow the machine's again."""
        return self._now or datetime.now(UTC)

    @now.setter
    def now(self, moment: datetime | None) -> None:
        self._now = moment

    def add_fault(self, kind: str, *options: Any, **named: Any) -> None:
        """Put a fault in force; see `airqino.sandbox.faults.Fault` for the arguments and errors."""
        self.faults.add(Fault(kind, *options, **named))

    def clear_faults(self) -> None:
        """Lift all faults."""
        self.faults.clear()

    def override(
        self, station: str, hour: datetime, values: dict[str, Any] | None, since: datetime | None = None
    ) -> None:
        """Change what an hour's row shows from the sandbox time `since` on; see `Records.override`."""
        self.records.override(station, hour, values, since)

    def present(self, station: str, header: dict[str, Any], since: datetime) -> None:
        """Rename or move a station from the sandbox time `since` on; see `Records.present`."""
        self.records.present(station, header, since)

    def stats(self) -> dict[str, Any]:
        """Return what was counted since the start or the last `reset`.

        Returns:
            `data_requests`, `token_requests`: how many; `by_station`, `by_status`: data requests by station and by
            status (as text); `windows`: the last 100,000 data requests, each with `station`, `start`, `stop` (ISO;
            None for a bad request), `status`, `rows`, `faults`.
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

    def record(self, station: str, reply: Reply, window: tuple[datetime, datetime] | None, faults: list[str]) -> None:
        """Count a data request and print its line."""
        start, stop = (moment.isoformat() for moment in window) if window else (None, None)
        status, rows = reply.status, reply.body.count('"timestamp"')
        entry = {"station": station, "start": start, "stop": stop, "status": status, "rows": rows, "faults": faults}
        with self._lock:
            self._by_station[station] += 1
            self._by_status[str(status)] += 1
            self._windows.append(entry)
        why = f" ({', '.join(faults)})" if faults else ""
        self._log(f"{station} {start} {stop} {status} {rows} rows{why}")

    def record_token_request(self) -> None:
        """Count a token request and print its line."""
        with self._lock:
            self._token_requests += 1
        self._log("token")

    def _log(self, text: str) -> None:
        if self._log_requests:
            print(f"{self.now:%Y-%m-%dT%H:%M:%SZ} {text}", flush=True)
