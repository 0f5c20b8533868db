"""HTTP client for the AirQino API: deadlines, retries that honour Retry-After, a rate limit, bounded answers."""

import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Any, Self

import requests

from airqino.errors import (
    NotAskedError,
    NotJSONError,
    RateLimitedError,
    ServerError,
    SourceError,
    SourceTimeoutError,
    UnexpectedShapeError,
    UnreachableError,
)
from airqino.source.answers import Answer, Attempt, Exchange, answer_of
from airqino.source.auth import Credentials, TokenAuth
from airqino.source.capped import rest_of
from airqino.source.pace import Pace
from airqino.source.replies import age, charset, http_date, raise_for, reason_of, retry_after
from airqino.source.response import Header, Response, parse
from airqino.source.transport import BoundedAdapter, deadline
from airqino.source.values import tidy

__all__ = ["Answer", "Attempt", "Client", "Exchange"]

log = logging.getLogger(__name__)

#: Errors that another try may not meet.
_PASSING = (UnreachableError, SourceTimeoutError, NotJSONError, RateLimitedError, ServerError)
_MAX_REDIRECTS = 3
#: The most requests for what one answer leaves out: a year in parts of 300 rows.
_MAX_PARTS = 30
#: Seconds after a station's time is over until its thread is left to itself, such as in a name resolution that hangs.
_GRACE = 5.0
#: Stations whose turn it may be at a time: most of them wait for one of `concurrency` connections, or between tries.
_THREADS = 256


_now = time.monotonic


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
        request_seconds: float = 60.0,
        station_seconds: float = 100.0,
        seconds: float = math.inf,
        max_body_bytes: int = 32 << 20,
    ) -> None:
        """Prepare a session; nothing is sent yet.

        Args:
            base_url: Root of the API.
            timeout: Connect time-out, and the longest wait for the next bytes, in seconds.
            retries: Tries after the first.
            backoff: First pause between tries in seconds; it doubles.
            retry_after_max: The longest Retry-After to wait for, in seconds.
            concurrency: Stations asked at the same time.
            requests_per_second: The most requests that go out in a second.
            credentials: For the token endpoint; None for an open API.
            request_seconds: For one request from the connection to the last byte, a token for it included.
            station_seconds: For all tries of one station and the pauses between them.
            seconds: For everything that is asked, from now on.
            max_body_bytes: The largest body, unpacked; a year has 2 MB.
        """
        self._base_url = base_url.rstrip("/")
        self._timeout = timeout
        self._retries = retries
        self._backoff = backoff
        self._retry_after_max = retry_after_max
        self._request_seconds = request_seconds
        self._station_seconds = station_seconds
        self._end = _now() + seconds
        self._auth = TokenAuth(credentials, timeout) if credentials else None
        self._pace = Pace(concurrency, requests_per_second)
        self._session = requests.Session()
        self._session.max_redirects = _MAX_REDIRECTS
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, BoundedAdapter(max_body_bytes, request_seconds, pool_maxsize=concurrency))

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self._session.close()

    def hourly_of(self, spans: Mapping[str, tuple[datetime, datetime]]) -> dict[str, Answer]:
        """Ask for stations' hourly means, all at the same time; none waits for another that is slow.

        Whether the API includes the ends of a span is not known, so a minute more is asked for on either side; the
        caller picks the hours it wanted.

        Args:
            spans: For each station (numeric id) the beginnings of the first and last hour wanted, UTC.

        Returns:
            An answer for each station, in that order; a station's failure is in its answer, never raised. The earlier
            a station stands in `spans`, the earlier is its turn; who had none before the time was over was not asked.
        """
        done: queue.SimpleQueue[tuple[str, Answer]] = queue.SimpleQueue()
        begun: dict[str, float] = {}
        answers: dict[str, Answer] = {}
        waiting = dict.fromkeys(spans)

        turns = iter(spans.items())  # whose next item is taken by one thread at a time

        def began(station: str) -> float:
            return begun.setdefault(station, _now())

        def ask() -> None:
            for station, span in turns:
                done.put((station, self._hourly(station, *span, partial(began, station))))

        for _ in range(min(len(spans), _THREADS)):  # daemons: who is told to stop waits for no answer
            threading.Thread(target=ask, name="stations", daemon=True).start()
        while waiting:
            try:
                station, answers[station] = done.get(timeout=0.5)
                waiting.pop(station, None)
            except queue.Empty:
                for station in [*waiting]:
                    if error := self._overdue(begun.get(station)):
                        answers[station] = answer_of(station, spans[station], Attempt(error=error))
                        del waiting[station]
        return {station: answers[station] for station in spans}

    def _overdue(self, begun: float | None) -> SourceError | None:
        """Return the error of a station that still has no answer and is not waited for any longer."""
        if begun is None:
            return _not_asked() if _now() >= self._end else None
        end = min(begun + self._station_seconds, self._end)
        return SourceTimeoutError(f"no answer within {end - begun:.3g} s") if _now() > end + _GRACE else None

    def _hourly(self, station: str, first: datetime, last: datetime, begin: Callable[[], float]) -> Answer:
        """Ask for a span, and again for what a server leaves out that sends only so many rows."""
        answer = self._part(station, first, last, begin)
        response, error, more = answer.response, answer.error, [answer.exchange]
        rest = rest_of(response, first, last) if response else None
        while response and rest:
            part = self._part(station, *rest, begin)
            more.append(part.exchange)
            error, came = part.error, part.response
            if not came or not came.data:
                break
            if len(more) > _MAX_PARTS or not any(rest[0] <= row.hour <= rest[1] for row in came.data):
                stop = (
                    f"{len(response.data)} rows, and the rest of {first:%Y-%m-%dT%H}…{last:%Y-%m-%dT%H} does not come"
                )
                error = UnexpectedShapeError(f"the answer stops at {stop}")
                break
            response, rest = response.joined(came), rest_of(came, *rest)
        return replace(answer, response=response, error=error, more=tuple(more[1:]))

    def _part(self, station: str, first: datetime, last: datetime, begin: Callable[[], float]) -> Answer:
        params = {
            "start_date": f"{first - timedelta(minutes=1):%Y%m%d-%H%M}",
            "end_date": f"{last + timedelta(minutes=59):%Y%m%d-%H%M}",
        }
        reply = self.get(f"/v3/getStationHourlyAvg/{station}", params, parse, Response(Header(), []), begin=begin)
        return answer_of(station, (first, last), reply)

    def get(
        self,
        path: str,
        params: Mapping[str, str],
        read: Callable[[bytes, str | None], Any],
        empty: Any = None,
        *,
        begin: Callable[[], float] = _now,
    ) -> Attempt:
        """Ask for anything of the API, again where that may help.

        Args:
            path: Below the root of the API.
            params: Of the query.
            read: Reads a body of the character set that the answer declares, if any; may raise a `SourceError`.
            empty: What 204, "no content", stands for.
            begin: Called when a try goes out; returns the moment from which the station's seconds count.

        Returns:
            The content or the error; nothing is raised.
        """
        began, reply = 0.0, None
        for attempt in range(self._retries + 1):
            with self._pace.turn():
                if _now() >= self._end:
                    return reply or Attempt(error=_not_asked())
                began = began or begin()
                end = min(began + self._station_seconds, self._end)
                reply = self._try(path, params, read, empty, min(self._request_seconds, end - _now()))
            pause = self._backoff * 2**attempt if reply.pause is None else reply.pause
            again = isinstance(reply.error, _PASSING) and attempt < self._retries
            if not again or pause > self._retry_after_max or _now() + pause >= end:
                break
            time.sleep(pause)
        assert reply is not None
        return reply

    def _try(
        self, path: str, params: Mapping[str, str], read: Callable[[bytes, str | None], Any], empty: Any, seconds: float
    ) -> Attempt:
        began = _now()
        reply, limit = Attempt(), None
        error: SourceError | None = None
        try:
            with deadline(seconds) as limit:
                sent = self._send(f"{self._base_url}{path}", params)
            served_at = http_date(sent.headers.get("Date"))
            reply = Attempt(
                status=sent.status_code,
                body=sent.content,
                served_at=served_at,
                age_seconds=age(sent.headers.get("Age")),
                pause=retry_after(sent.headers.get("Retry-After"), served_at or datetime.now(UTC)),
            )
            if sent.status_code != 204:
                raise_for(sent, has_token=bool(self._auth))
            reply = replace(reply, content=read(sent.content, charset(sent)) if sent.status_code != 204 else empty)
        except SourceError as failure:
            error = type(failure)(self._without_secrets(str(failure)))
        except requests.Timeout:
            error = SourceTimeoutError(f"no answer within {self._timeout[1]:g} s")
        except requests.RequestException as failure:
            if "timed out" in str(failure):  # requests calls a body that timed out a lost connection
                error = SourceTimeoutError(f"no answer within {self._timeout[1]:g} s")
            else:
                broken = "the connection broke off" if limit and limit.status else "no connection"
                error = UnreachableError(f"{broken} ({reason_of(failure)})")
        except Exception as failure:  # whatever one station's answer does must not cost the others
            log.exception("%s: unforeseen", path)
            error = SourceError(f"unforeseen {type(failure).__name__}: {self._without_secrets(tidy(failure, 200))}")
        status = reply.status or (limit.status if limit else None)
        return replace(reply, error=error, status=status, seconds=round(_now() - began, 3))

    def _send(self, url: str, params: Mapping[str, str]) -> requests.Response:
        reply = self._session.get(url, params=params, timeout=self._timeout, auth=self._auth)
        if reply.status_code == 401 and self._auth:  # the token may have been withdrawn early: once more with a new one
            self._auth.forget()
            self._pace.wait()
            reply = self._session.get(url, params=params, timeout=self._timeout, auth=self._auth)
        return reply

    def _without_secrets(self, text: str) -> str:
        return self._auth.redact(text) if self._auth else text


def _not_asked() -> NotAskedError:
    return NotAskedError("not asked: the time for asking was over before its turn")
