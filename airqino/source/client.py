"""HTTP client for the AirQino API: pooled connections, time-outs, retries that honour Retry-After, a rate limit."""

import hashlib
import threading
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self

import requests
from requests.adapters import HTTPAdapter
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import MaxRetryError
from urllib3.util.retry import Retry

from airqino.errors import (
    CredentialsError,
    NotJSONError,
    RateLimitedError,
    RequestRefusedError,
    ServerError,
    SourceError,
    SourceTimeoutError,
    UnknownStationError,
    UnreachableError,
)
from airqino.source.auth import Credentials, TokenAuth
from airqino.source.response import Response, parse

__all__ = ["Answer", "Client", "Exchange"]


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

    def asdict(self) -> dict[str, Any]:
        """Return the fields as plain content."""
        return asdict(self)


@dataclass(frozen=True)
class Answer:
    """One station's answer, or why there is none."""

    exchange: Exchange
    response: Response | None = None
    error: SourceError | None = None
    served_at: datetime | None = None  #: the API's clock when it answered, UTC


class Client:
    """A connection to the API, to be used in a ``with`` block and by one process only."""

    def __init__(
        self,
        base_url: str,
        *,
        timeout: tuple[float, float] = (5.0, 30.0),
        retries: int = 3,
        backoff: float = 0.5,
        retry_after_max: float = 120.0,
        concurrency: int = 4,
        requests_per_second: float = 5.0,
        credentials: Credentials | None = None,
    ) -> None:
        """Prepare a session; nothing is sent yet.

        Args:
            base_url: Root of the API.
            timeout: Connect and read time-outs in seconds.
            retries: Tries after the first.
            backoff: First pause between tries in seconds; it doubles.
            retry_after_max: The longest Retry-After to wait for, in seconds.
            concurrency: Stations asked at the same time.
            requests_per_second: The most requests that go out in a second.
            credentials: For the token endpoint; None for an open API.
        """
        self._base_url = base_url.rstrip("/")
        self._timeout = timeout
        self._retries = retries
        self._backoff = backoff
        self._concurrency = concurrency
        self._auth = TokenAuth(credentials, timeout) if credentials else None
        # moments of the latest requests: as many as may go out at once, and not again within the period
        self._sent: deque[float] = deque(maxlen=max(1, int(requests_per_second)))
        self._period = max(1, int(requests_per_second)) / requests_per_second
        self._lock = threading.Lock()
        retry = _BoundedRetry(
            total=retries,
            backoff_factor=backoff,
            status_forcelist=(429, 500, 502, 503, 504),
            allowed_methods=("GET",),
            raise_on_status=False,
            redirect=3,
        )
        retry.longest = retry_after_max
        self._session = requests.Session()
        self._session.mount(self._base_url, HTTPAdapter(max_retries=retry, pool_maxsize=concurrency, pool_block=True))

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self._session.close()

    def hourly_of(self, spans: Mapping[str, tuple[datetime, datetime]]) -> dict[str, Answer]:
        """Ask for several stations at the same time.

        Args:
            spans: For each station the first and last hour wanted.

        Returns:
            An answer for each station; a station's failure is in its answer, never raised.
        """
        pool = ThreadPoolExecutor(max_workers=self._concurrency)
        try:
            answers = pool.map(lambda station: self.hourly(station, *spans[station]), spans)
            return dict(zip(spans, answers, strict=True))
        finally:  # who is told to stop waits for no answer
            pool.shutdown(wait=False, cancel_futures=True)

    def hourly(self, station: str, first: datetime, last: datetime) -> Answer:
        """Ask for one station's hourly means from `first` to `last`, both included.

        Whether the API includes the ends of the span is not known, so a minute more is asked for on either side;
        the caller picks the hours it wanted.

        Args:
            station: Numeric id.
            first: Beginning of the first hour, UTC.
            last: Beginning of the last hour, UTC.

        Returns:
            The answer, or the error as one of the `SourceError` classes.
        """
        params = {
            "start_date": f"{first - timedelta(minutes=1):%Y%m%d-%H%M}",
            "end_date": f"{last + timedelta(minutes=59):%Y%m%d-%H%M}",
        }
        url = f"{self._base_url}/v3/getStationHourlyAvg/{station}"
        for attempt in range(self._retries + 1):
            answer = self._try(station, url, params, (first, last))
            # urllib3 retries what it sees; a body that breaks off or is garbled shows only when it is read.
            if not isinstance(answer.error, UnreachableError | NotJSONError) or answer.exchange.status is None:
                break
            if attempt < self._retries:
                time.sleep(self._backoff * 2**attempt)
        return answer

    def _try(self, station: str, url: str, params: dict[str, str], span: tuple[datetime, datetime]) -> Answer:
        began = time.monotonic()
        status, body, served_at = None, b"", None
        error: SourceError | None = None
        parsed: Response | None = None
        try:
            reply = self._send(url, params)
            with reply:
                status = reply.status_code
                served_at = _date(reply)
                body = reply.content
            _raise_for(status, body, bool(self._auth), reply.headers.get("Retry-After"))
            parsed = parse(body)
        except SourceError as failure:
            error = failure
        except requests.Timeout as failure:
            error = SourceTimeoutError(f"no answer within {self._timeout[1]:g} s")
            error.__cause__ = failure
        except requests.RequestException as failure:
            if "timed out" in str(failure):  # requests calls a read that timed out in a retry a lost connection
                error = SourceTimeoutError(f"no answer within {self._timeout[1]:g} s")
                error.__cause__ = failure
            broken = "the connection broke off" if status else "no connection"
            error = error or UnreachableError(f"{broken} ({_reason(failure)})")
            error.__cause__ = failure
        exchange = Exchange(
            station=station,
            first=f"{span[0]:%Y-%m-%dT%H}",
            last=f"{span[1]:%Y-%m-%dT%H}",
            status=status,
            bytes=len(body),
            seconds=round(time.monotonic() - began, 3),
            sha256=hashlib.sha256(body).hexdigest() if body else "",
            error=f"{type(error).__name__}: {error}" if error else "",
        )
        return Answer(exchange, parsed, error, served_at)

    def _send(self, url: str, params: dict[str, str]) -> requests.Response:
        self._wait_for_turn()
        reply = self._session.get(url, params=params, timeout=self._timeout, auth=self._auth, stream=True)
        if reply.status_code == 401 and self._auth:  # the token may have been withdrawn early: once more with a new one
            reply.close()
            self._auth.forget()
            self._wait_for_turn()
            reply = self._session.get(url, params=params, timeout=self._timeout, auth=self._auth, stream=True)
        return reply

    def _wait_for_turn(self) -> None:
        with self._lock:
            turn = time.monotonic()
            if len(self._sent) == self._sent.maxlen:
                turn = max(turn, self._sent[0] + self._period)
            self._sent.append(turn)
        time.sleep(max(0.0, turn - time.monotonic()))


class _BoundedRetry(Retry):
    """urllib3's retry, but a Retry-After longer than a run can wait for ends the tries at once."""

    longest: float = 120.0

    def new(self, **changes: Any) -> Self:
        other = super().new(**changes)
        other.longest = self.longest
        return other

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: Any = None,
        _stacktrace: TracebackType | None = None,
    ) -> Self:
        if response is not None and (self.get_retry_after(response) or 0) > self.longest:
            raise MaxRetryError(_pool, url or "")  # with raise_on_status off, urllib3 then returns the answer
        return super().increment(method, url, response, error, _pool, _stacktrace)


def _raise_for(status: int, body: bytes, has_token: bool, retry_after: str | None) -> None:
    """Turn an HTTP status into the error that says what to do about it."""
    if status == 200:
        return
    if status in (401, 403):
        raise CredentialsError(
            f"HTTP {status}: the API refused the token; check that AIRQINO_USERNAME may read this station"
            if has_token
            else f"HTTP {status}: the API wants a token and no credentials are set; set AIRQINO_USERNAME, "
            "AIRQINO_PASSWORD, AIRQINO_CLIENT_ID and AIRQINO_CLIENT_SECRET"
        )
    if status == 404:
        raise UnknownStationError("HTTP 404: the API does not know this station")
    if status == 429:
        raise RateLimitedError(f"HTTP 429: too many requests (Retry-After: {retry_after or 'none'})")
    if status >= 500:
        raise ServerError(f"HTTP {status}: the API has a fault")
    text = " ".join(body[:200].decode("utf-8", "replace").split())
    raise RequestRefusedError(f"HTTP {status}: the API refused the request: {text or 'no reason given'}")


def _date(reply: requests.Response) -> datetime | None:
    try:
        return parsedate_to_datetime(reply.headers["Date"]).astimezone(UTC)
    except (KeyError, ValueError, TypeError):
        return None


def _reason(error: BaseException) -> str:
    """Return the innermost cause in a few words, without object addresses."""
    inner: Any = error
    while isinstance(getattr(inner, "reason", None), BaseException) or (
        inner.args and isinstance(inner.args[0], BaseException)
    ):
        inner = inner.reason if isinstance(getattr(inner, "reason", None), BaseException) else inner.args[0]
    text = str(inner).split("object at 0x")[-1]
    return " ".join((text.split(": ", 1)[-1] or type(inner).__name__).split())[:160]
