"""A server of hourly rows that sends no more than so many of what is asked for, and says nothing of it."""

import contextlib
import json
import socket
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from support.hostile import hours_of, http, span_of, talking

__all__ = ["capped", "value"]

HOUR = timedelta(hours=1)
Span = tuple[datetime, datetime]


def value(hour: datetime) -> float:
    """The PM2.5 of an hour, another for each of a year."""
    return round(hour.timestamp() / 3600 % 8784 + 1, 1)


@contextlib.contextmanager
def capped(
    rows: int,
    *,
    newest: bool = False,
    until: datetime | None = None,
    answers: Callable[[Span], bytes | None] = lambda _: None,
) -> Iterator[tuple[str, list[Span]]]:
    """Serve it; yields its URL and the spans asked for.

    Args:
        rows: The most rows of an answer.
        newest: Keep the newest rows, not the oldest.
        until: The last hour with a row.
        answers: Gives the bytes of another answer to a span, or None.
    """
    spans: list[Span] = []

    def talk(connection: socket.socket, request: bytes) -> None:
        spans.append(span := span_of(request))
        hours = [hour for hour in hours_of(request) if until is None or hour <= until]
        kept = hours[-rows:] if newest else hours[:rows]
        data = [{"timestamp": f"{h:%Y-%m-%d %H:%M:%S}", "CO": 0.4, "PM2.5": value(h)} for h in kept]
        body = json.dumps({"header": {"station_name": "S"}, "data": data}).encode()
        connection.sendall(answers(span) or http(body))

    with talking(talk) as url:
        yield url, spans
