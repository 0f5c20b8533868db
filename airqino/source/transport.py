"""HTTP with an end: a deadline for a request as a whole, and a limit on the body, unpacked, while it is read.

The time-outs of requests and urllib3 hold for one read from the socket: one byte a second keeps a request alive for
ever. Here a timer shuts the connection down at the deadline, whatever is being waited for.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

from airqino.errors import AnswerTooLargeError, SourceTimeoutError

__all__ = ["BoundedAdapter", "Deadline", "deadline", "remaining"]

_CHUNK = 1 << 16  # bytes
_ERROR_BODY = 1 << 16  # bytes that are read of an answer that is not 2xx


class Deadline:
    """The moment at which whatever a thread waits for on the network breaks off."""

    def __init__(self, seconds: float) -> None:
        """Start the timer.

        Args:
            seconds: From now.
        """
        self.seconds = seconds
        self.at = time.monotonic() + seconds
        self.expired = False
        self.status: int | None = None  #: of the answer that is being read
        self._connection: socket.socket | None = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(max(0.0, seconds), self._expire)
        self._timer.daemon = True
        self._timer.start()

    def watch(self, connection: socket.socket | None) -> None:
        """Shut this connection down at the deadline, in place of the one before; None for none."""
        with self._lock:
            if self._connection:
                self._connection.close()
            # a handle of its own: http.client closes its connection before it has read the last answer on it
            self._connection = connection.dup() if connection else None
            if self.expired:
                self._shut()

    def cancel(self) -> None:
        """Stop the timer."""
        self._timer.cancel()
        self.watch(None)

    def error(self) -> SourceTimeoutError:
        """Return the error that the caller gets."""
        return SourceTimeoutError(f"no whole answer within {self.seconds:.3g} s")

    def _expire(self) -> None:
        with self._lock:
            self.expired = True
            self._shut()

    def _shut(self) -> None:
        if self._connection:
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[Deadline]:
    """Put a deadline on all requests that this thread makes through a `BoundedAdapter` in the block."""
    limit = Deadline(seconds)
    token = _current.set(limit)
    try:
        yield limit
    finally:
        _current.reset(token)
        limit.cancel()


def remaining() -> float:
    """Return the seconds until this thread's deadline; a minute where it has none."""
    limit = _current.get()
    return max(0.0, limit.at - time.monotonic()) if limit else 60.0


class _Watched(HTTPConnection):
    """A connection that the deadline of the thread using it can shut down at any moment, a TLS handshake included."""

    _handle: socket.socket | None = None

    def _new_conn(self) -> socket.socket:
        connection = super()._new_conn()
        self._handle = connection.dup()  # TLS detaches the original from its object
        self._watch()
        return connection

    def request(self, *arguments: Any, **options: Any) -> None:
        self._watch()
        super().request(*arguments, **options)

    def close(self) -> None:
        super().close()
        if self._handle:
            self._handle.close()
            self._handle = None

    def _watch(self) -> None:
        if limit := _current.get():
            limit.watch(self._handle)


class _WatchedTLS(_Watched, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Watched


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedTLS


class BoundedAdapter(HTTPAdapter):
    """Reads whole answers, bounded in time and size; of a body that is no success only the beginning.

    It neither retries nor follows redirects; requests follows them, and each hop is bounded likewise.
    """

    def __init__(self, max_body_bytes: int, seconds: float = 60.0, **options: Any) -> None:
        """Prepare the pool of connections.

        Args:
            max_body_bytes: The largest body, unpacked.
            seconds: For a request where the thread has no `deadline`.
            options: Of requests' adapter.
        """
        self._max_body_bytes = max_body_bytes
        self._seconds = seconds
        super().__init__(**options)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Let the pools make connections that a deadline can shut down."""
        super().init_poolmanager(*arguments, **options)
        _watch_pools(self.poolmanager)

    def proxy_manager_for(self, *arguments: Any, **options: Any) -> Any:
        """Do the same for the connections to a proxy."""
        manager = super().proxy_manager_for(*arguments, **options)
        _watch_pools(manager)
        return manager

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        """Send a request and read the answer.

        Raises:
            SourceTimeoutError: The deadline came first.
            AnswerTooLargeError: The body is larger than allowed.
            requests.RequestException: As requests raises it.
        """
        limit = _current.get()
        if limit is None:
            with deadline(self._seconds):
                return self.send(request, *arguments, **options)
        try:
            if limit.expired:
                raise limit.error()
            limit.status = None
            response = super().send(request, *arguments, **options)
            limit.status = response.status_code
            with response:
                response._content = self._read(response)
        except (requests.RequestException, OSError) as error:
            if limit.expired:  # the connection was shut down, which looks like many things
                raise limit.error() from error
            raise
        finally:
            limit.watch(None)
        if limit.expired:  # or like the end of the answer
            raise limit.error()
        return response

    def _read(self, response: requests.Response) -> bytes:
        body = bytearray()
        for chunk in response.iter_content(_CHUNK):
            body += chunk
            if not response.ok and len(body) >= _ERROR_BODY:
                break
            if len(body) > self._max_body_bytes:
                raise AnswerTooLargeError(f"the answer has more than {self._max_body_bytes} bytes: broken off")
        return bytes(body)


def _watch_pools(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}
