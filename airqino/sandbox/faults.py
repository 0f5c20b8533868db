"""Faults on demand: all that can go wrong with an answer of the API, made by the sandbox on purpose."""

import json
import math
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

__all__ = ["KINDS", "Fault", "Faults", "Reply", "spoil"]

KINDS = {
    "latency": "the answer comes SECONDS later (default 2)",
    "rate_limited": "429 with Retry-After: SECONDS (default 1)",
    "server_error": "503",
    "server_error_500": "500",
    "cut_off": "the connection closes in the middle of the body",
    "malformed": "200, but the JSON breaks off",
    "wrong_shape": "200, JSON of another shape",
    "duplicate": "some rows come twice",
    "out_of_order": "rows are not in order of time",
    "future": "rows for hours after now",
    "empty": "200, but no rows",
    "unauthorized": "401 with an empty object",
    "token_expired": "the bearer token is refused before its time; hits once unless TIMES says otherwise",
    "unknown_station": "404",
    "html": "200, but a web page",
}
"""Each kind of fault and what a client sees."""


@dataclass
class Reply:
    """What goes back to a client; `cut` closes the connection in the middle of the body."""

    status: int
    body: str
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    cut: bool = False


@dataclass
class Fault:
    """A fault and whom it hits.

    Attributes:
        kind: A key of `KINDS`.
        probability: Share of the requests it hits, from 0 to 1.
        station: The only station it hits; None for all.
        times: How many requests it hits before it goes away; None for no end.
        seconds: Delay of `latency`, Retry-After of `rate_limited`; None for the kind's default.

    Raises:
        ValueError: A value is not allowed; the message says which are.
    """

    kind: str
    probability: float = 1.0
    station: str | None = None
    times: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"fault {self.kind!r} is unknown; known are {', '.join(KINDS)}")
        if not 0 <= self.probability <= 1:
            raise ValueError(f"fault {self.kind}: probability {self.probability} is not within 0 and 1")
        if self.times is not None and self.times < 1:
            raise ValueError(f"fault {self.kind}: times {self.times} is less than 1")
        if self.seconds is not None and not 0 <= self.seconds < math.inf:
            raise ValueError(f"fault {self.kind}: seconds {self.seconds} is not a length of time")
        if self.kind == "token_expired" and self.times is None:
            self.times = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `KIND[:PROBABILITY[:STATION[:TIMES[:SECONDS]]]]`; a part left empty takes its default.

        Raises:
            ValueError: The text is not of that form, or a value is not allowed.
        """
        kind, probability, station, times, seconds, *rest = [*text.split(":"), "", "", "", ""]
        if any(rest):
            raise ValueError(f"fault {text!r} has too many parts")
        try:
            limits = int(times) if times else None, float(seconds) if seconds else None
            return cls(kind, float(probability or 1), station or None, *limits)
        except ValueError as error:
            raise ValueError(f"{error} (in {text!r})") from None


class Faults:
    """The faults in force; each station has its own seeded draws, which parallel requests do not disturb."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._random: dict[str, random.Random] = {}
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Put a fault in force, after those already there."""
        self._faults = [*self._faults, fault]

    def clear(self) -> None:
        """Lift all faults."""
        self._faults = []

    def draw(self, station: str) -> list[Fault]:
        """Return the faults that hit the next request of a station: any delays, then at most one other."""
        generator = self._random.setdefault(station, random.Random(f"{self._seed}/{station}"))
        hits = []
        for fault in self._faults:
            if fault.station not in (None, station) or generator.random() >= fault.probability:
                continue
            hits.append(fault)
            if fault.times is not None:
                fault.times -= 1
            if fault.kind != "latency":
                break
        self._faults = [fault for fault in self._faults if fault.times != 0]
        return hits


def spoil(fault: Fault, reply: Reply, now: datetime) -> Reply:
    """Return what becomes of an honest reply under a fault.

    Args:
        fault: Of any kind but `latency`, which needs a clock.
        reply: What the sandbox would have said.
        now: The sandbox's time, for rows of the future.
    """
    match fault.kind:
        case "rate_limited":
            pause = math.ceil(1 if fault.seconds is None else fault.seconds)
            return _error(429, "Too many requests", {"Retry-After": str(pause)})
        case "server_error":
            return _error(503, "Service unavailable")
        case "server_error_500":
            return _error(500, "Internal server error")
        case "unauthorized" | "token_expired":
            return Reply(401, "{}")
        case "unknown_station":
            return _error(404, "Station not found")
        case "html":
            page = "<!DOCTYPE html><html><body><h1>AirQino</h1><p>Under maintenance.</p></body></html>"
            return Reply(200, page, content_type="text/html")
        case "wrong_shape":
            return Reply(200, json.dumps({"status": "ok", "result": {"series": []}}))
        case "cut_off":
            return Reply(reply.status, reply.body, cut=True)
        case "malformed":
            return Reply(200, reply.body[: max(len(reply.body) // 2, 1)])
    if reply.status != 200:  # the kinds below need rows
        return reply
    document: dict[str, Any] = json.loads(reply.body)
    rows = document["data"]
    match fault.kind:
        case "empty":
            rows = []
        case "duplicate":
            rows = [row for index, row in enumerate(rows) for _ in range(2 if index % 3 == 0 else 1)]
        case "out_of_order":
            rows = rows[1::2] + rows[::2]
        case "future":
            pattern = rows[-1] if rows else {"CO": 0.4, "PM10": 40.0, "PM2.5": 20.0}
            hour = now.replace(minute=0, second=0, microsecond=0, tzinfo=None)
            stamps = [(hour + timedelta(hours=ahead)).isoformat(" ") for ahead in (1, 2, 3)]
            rows = rows + [pattern | {"timestamp": stamp} for stamp in stamps]
    return Reply(200, json.dumps(document | {"data": rows}))


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Reply:
    return Reply(status, json.dumps({"message": message}), headers or {})
