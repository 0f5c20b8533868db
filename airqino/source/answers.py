"""What comes of asking: the outcome of a request, the record that is kept of it, and a station's answer."""

import hashlib
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from airqino.errors import SourceError
from airqino.source.response import Response, Row
from airqino.times import HOUR

__all__ = ["Answer", "Attempt", "Exchange", "answer_of"]

_MAX_REMARKS = 10


@dataclass(frozen=True)
class Exchange:
    """What is kept of one request: enough to prove later what the API said."""

    station: str
    first: str
    last: str
    status: int | None = None
    bytes: int = 0
    seconds: float = 0.0
    sha256: str = ""
    error: str = ""
    remarks: tuple[str, ...] = ()  #: what was not read as documented: counts and examples, see `Response.remarks`
    missing_fields: tuple[str, ...] = ()  #: documented readings that no row has a field for, by the API's names
    unknown_fields: tuple[str, ...] = ()

    def asdict(self) -> dict[str, Any]:
        """Return the fields as plain content."""
        return asdict(self)


@dataclass(frozen=True)
class Answer:
    """One station's answer, or why there is none; both where only a part of it came."""

    exchange: Exchange
    response: Response | None = None
    error: SourceError | None = None
    served_at: datetime | None = None  #: the API's clock when it made the answer, UTC
    age_seconds: float = 0.0  #: how long a cache then held the answer
    more: tuple[Exchange, ...] = ()  #: of the requests for what the first answer left out

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """The records of all requests that the answer was made from."""
        return (self.exchange, *self.more)

    @cached_property
    def readings(self) -> dict[datetime, Row]:
        """The usable row of each hour: one of an hour not over by the API's own clock is a partial mean, left out."""
        if self.response is None:
            return {}
        rows = {row.hour: row for row in self.response.data}
        if (served := self.served_at) is None:
            return rows
        return {hour: row for hour, row in rows.items() if hour + HOUR <= served}

    @property
    def clock(self) -> datetime | None:
        """What the API's clock showed when this answer was sent to us, if it said so."""
        return self.served_at + timedelta(seconds=self.age_seconds) if self.served_at else None


@dataclass(frozen=True)
class Attempt:
    """The last of the tries to get an answer from an address."""

    content: Any = None  #: what `read` made of the body; None if there is an error
    error: SourceError | None = None
    status: int | None = None
    body: bytes = field(default=b"", repr=False)
    served_at: datetime | None = None
    age_seconds: float = 0.0
    pause: float | None = None  #: seconds that the API wants to have before another try
    seconds: float = 0.0


def answer_of(station: str, span: tuple[datetime, datetime], reply: Attempt) -> Answer:
    """Turn the reply to a request for hourly means into an answer, with its record."""
    exchange = Exchange(
        station=station,
        first=f"{span[0]:%Y-%m-%dT%H}",
        last=f"{span[1]:%Y-%m-%dT%H}",
        status=reply.status,
        bytes=len(reply.body),
        seconds=reply.seconds,
        sha256=hashlib.sha256(reply.body).hexdigest() if reply.body else "",
        error=f"{type(reply.error).__name__}: {reply.error}" if reply.error else "",
        remarks=tuple(reply.content.remarks()[:_MAX_REMARKS]) if reply.content else (),
        missing_fields=reply.content.missing_fields if reply.content else (),
        unknown_fields=tuple(reply.content.found.unknown) if reply.content else (),
    )
    return Answer(exchange, reply.content, reply.error, reply.served_at, reply.age_seconds)
