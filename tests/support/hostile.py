"""Servers on loopback that answer as no good server would, on real sockets."""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

__all__ = ["drip", "hours_of", "http", "serving", "span_of", "talking"]

_HOUR = timedelta(hours=1)

Talk = Callable[[socket.socket, bytes], None]


def http(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    """An answer as bytes; `Content_Type="…"` becomes a header."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def drip(connection: socket.socket, answer: bytes, seconds: float) -> None:
    """Send an answer byte by byte, one after each pause, until the other side has gone."""
    for byte in answer:
        connection.sendall(bytes([byte]))
        time.sleep(seconds)


def request(connection: socket.socket) -> bytes:
    """Read a request whole: closing a connection with something unread would reset it."""
    data = connection.recv(65536)
    length = re.search(rb"(?i)content-length: (\d+)", data)
    while length and len(data.partition(b"\r\n\r\n")[2]) < int(length[1]):
        data += connection.recv(65536)
    return data


def span_of(request: bytes) -> tuple[datetime, datetime]:
    """The dates of a request for hourly means."""
    query = parse_qs(urlsplit(request.split()[1].decode()).query)
    first, last = (query[name][0] for name in ("start_date", "end_date"))
    return _moment(first), _moment(last)


def hours_of(request: bytes) -> list[datetime]:
    """The hours that a request asks for."""
    first, last = span_of(request)
    hours = (first.replace(minute=0) + n * _HOUR for n in range(int((last - first) / _HOUR) + 2))
    return [at for at in hours if first <= at <= last]


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%d-%H%M").replace(tzinfo=UTC)


@contextlib.contextmanager
def talking(talk: Talk) -> Iterator[str]:
    """A server that gives each connection and its first request to a function, in a thread of its own; its URL."""

    def converse(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            talk(connection, request(connection))

    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=converse, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@contextlib.contextmanager
def serving(payload: bytes, hold: float = 0) -> Iterator[str]:
    """A server that answers every connection with these bytes, then waits, then closes."""
    done = threading.Event()

    def talk(connection: socket.socket, _: bytes) -> None:
        connection.sendall(payload)
        done.wait(hold)

    with talking(talk) as url:
        try:
            yield url
        finally:
            done.set()
