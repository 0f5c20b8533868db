"""The sandbox's HTTP side: the API's addresses, its token endpoint, and the control addresses under `/__`."""

import asyncio
import base64
import binascii
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from tornado import httputil
from tornado.web import Application, HTTPError, RequestHandler

from airqino.sandbox import habits
from airqino.sandbox.faults import Fault, Reply, spoil
from airqino.times import DAY, as_utc, day_start

if TYPE_CHECKING:
    from airqino.sandbox.server import Sandbox

__all__ = ["TOKEN_PATH", "Account", "Tokens", "application", "parse_time"]

TOKEN_PATH = "/realms/airqino/protocol/openid-connect/token"

_REFRESH_SECONDS = 1800  # Keycloak's default for refresh tokens
_RAW_DAYS = 30
_FIRST_YEAR = 2000  # nothing is older, and a span stays short enough to answer


@dataclass(frozen=True)
class Account:
    """What the token endpoint asks for. The defaults are the sandbox's demo ones, known to everybody."""

    client_id: str = "airqino-sandbox"
    client_secret: str = "sandbox-secret"
    username: str = "demo"
    password: str = "demo"


class Tokens:
    """Access and refresh tokens given out, each with the time it ends.

    They end by the machine's clock even where the sandbox's stands still, since a client counts by the
    machine's.
    """

    def __init__(self, account: Account, seconds: float) -> None:
        """Accept an account, and give out access tokens that are valid for some seconds."""
        self._account, self._seconds = account, seconds
        self._access: dict[str, float] = {}
        self._refresh: dict[str, float] = {}

    @property
    def issued(self) -> list[str]:
        """Return the access tokens given out and not revoked, and the refresh tokens."""
        return [*self._access, *self._refresh]

    def accepts(self, bearer: str) -> bool:
        """Return whether an access token is valid now."""
        return self._access.get(bearer, 0) > time.monotonic()

    def revoke(self, bearer: str) -> None:
        """Make an access token invalid."""
        self._access.pop(bearer, None)

    def grant(self, form: dict[str, str]) -> Reply:
        """Answer a token request as Keycloak does.

        Args:
            form: The fields of an OAuth2 password or refresh grant, client id and secret among them.
        """
        known = self._account
        if (form.get("client_id"), form.get("client_secret")) != (known.client_id, known.client_secret):
            return _refusal(401, "unauthorized_client", "Invalid client or Invalid client credentials")
        match form.get("grant_type"):
            case "password":
                if (form.get("username"), form.get("password")) != (known.username, known.password):
                    return _refusal(401, "invalid_grant", "Invalid user credentials")
            case "refresh_token":
                if self._refresh.get(form.get("refresh_token", ""), 0) <= time.monotonic():
                    return _refusal(400, "invalid_grant", "Token is not active")
            case None:
                return _refusal(400, "invalid_request", "Missing form parameter: grant_type")
            case _:
                return _refusal(400, "unsupported_grant_type", "Unsupported grant_type")
        access, refresh, now = secrets.token_urlsafe(24), secrets.token_urlsafe(24), time.monotonic()
        self._access[access], self._refresh[refresh] = now + self._seconds, now + _REFRESH_SECONDS
        document = {
            "access_token": access,
            "expires_in": self._seconds,
            "refresh_expires_in": _REFRESH_SECONDS,
            "refresh_token": refresh,
            "token_type": "Bearer",
            "scope": "profile email",
        }
        return Reply(200, json.dumps(document), {"Cache-Control": "no-store"})


def application(sandbox: "Sandbox") -> Application:
    """Return the web application that serves a sandbox."""
    routes: list[Any] = [
        (r"/v3/getStationHourlyAvg/([^/]+)", _Hourly),
        (r"/getStations/([^/]+)", _Open, {"answer": _stations}),
        (r"/getSensors", _Open, {"answer": _sensors}),
        (r"/getRange/([^/]+)/([^/]+)/([^/]+)", _Open, {"answer": _range}),
        (TOKEN_PATH, _Token),
        (r"/__(stats|reset|now|faults|override)", _Control),
    ]
    return Application(
        routes,
        default_handler_class=_NotFound,
        compress_response=True,
        log_function=lambda _: None,  # the sandbox prints its own lines, and only when asked to
        sandbox=sandbox,
    )


def parse_time(text: str) -> datetime:
    """Read an ISO 8601 time; one without an offset is UTC.

    Raises:
        ValueError: The text is not a time.
    """
    return as_utc(datetime.fromisoformat(text))


class _Handler(RequestHandler):
    @property
    def sandbox(self) -> "Sandbox":
        sandbox: Sandbox = self.settings["sandbox"]
        return sandbox

    def set_default_headers(self) -> None:
        self.set_header("Date", httputil.format_timestamp(self.sandbox.now))

    def compute_etag(self) -> None:
        """Send no ETag: none was seen in real answers."""

    def write_error(self, status_code: int, **_: Any) -> None:
        self.finish({"message": self._reason})

    def bearer(self) -> str | None:
        """Return the request's token, None without a valid one; with sign-in off any will do."""
        scheme, _, token = self.request.headers.get("Authorization", "").partition(" ")
        valid = scheme.lower() == "bearer" and self.sandbox.tokens.accepts(token)
        return token if valid or not self.sandbox.needs_token else None

    async def send(self, reply: Reply) -> None:
        body = reply.body.encode()
        if reply.cut:
            head = f"HTTP/1.1 {reply.status} Cut\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            stream = self.detach()
            await stream.write(head + body[: len(body) // 2])
            stream.close()
            return
        self.set_status(reply.status)
        self.set_header("Content-Type", reply.content_type)
        for name, value in reply.headers.items():
            self.set_header(name, value)
        await self.finish(body or None)  # 204 has none


class _NotFound(_Handler):
    def prepare(self) -> None:
        raise HTTPError(404)


class _Hourly(_Handler):
    async def get(self, station: str) -> None:
        bearer = self.bearer()
        window: tuple[datetime, datetime] | None = None
        faults: list[Fault] = []
        if bearer is None:
            reply = Reply(401, "{}")
        else:
            faults = self.sandbox.faults.draw(station)
            for fault in faults:
                if fault.kind == "latency":
                    await asyncio.sleep(2 if fault.seconds is None else fault.seconds)
            try:
                window, now = self.window(), self.sandbox.now
                ask = partial(self.sandbox.records.reply, station, now=now)
                reply = habits.reply(self.sandbox.habits, ask, window, now) if self.sandbox.habits else ask(*window)
            except ValueError as error:
                reply = Reply(400, json.dumps({"message": str(error)}))
            for fault in faults:
                if fault.kind == "token_expired":
                    self.sandbox.tokens.revoke(bearer)
                if fault.kind != "latency":
                    reply = spoil(fault, reply, self.sandbox.now)
        self.sandbox.record(station, reply, window, [fault.kind for fault in faults])
        await self.send(reply)

    def window(self) -> tuple[datetime, datetime]:
        """Return the first and last time asked for; without dates the last 365 days."""
        stop = self.date("end_date") or self.sandbox.now
        start = self.date("start_date") or stop - timedelta(days=365)
        if stop < start:
            raise ValueError("start_date is after end_date")
        return start, stop

    def date(self, name: str) -> datetime | None:
        text = self.get_query_argument(name, None)
        if text is None:
            return None
        try:
            moment = datetime.strptime(text, "%Y%m%d-%H%M").replace(tzinfo=UTC)
        except ValueError:
            raise ValueError(f"{name} {text!r} is not of the form YYYYmmdd-HHMM") from None
        if moment.year < _FIRST_YEAR:
            raise ValueError(f"{name} {text!r} is before the year {_FIRST_YEAR}")
        return moment


class _Open(_Handler):
    """An address whose requests are not counted and that has no faults."""

    def initialize(self, answer: Callable[..., Reply]) -> None:
        self.answer = answer

    async def get(self, *parts: str) -> None:
        await self.send(self.answer(self.sandbox, *parts) if self.bearer() is not None else Reply(401, "{}"))


def _stations(sandbox: "Sandbox", _: str) -> Reply:
    return Reply(200, json.dumps(sandbox.records.station_list(sandbox.now)))


def _sensors(sandbox: "Sandbox") -> Reply:
    return Reply(200, json.dumps(sandbox.records.sensor_list()))


def _range(sandbox: "Sandbox", name: str, *days: str) -> Reply:
    """Answer with what a station sent on some days, first and last included; at most 30, as public clients say."""
    try:
        first, last = (day_start(date.fromisoformat(day)) for day in days)
    except ValueError:
        return Reply(400, json.dumps({"message": "dates are of the form YYYY-mm-dd"}))
    if last - first >= _RAW_DAYS * DAY:
        return Reply(400, json.dumps({"message": f"at most {_RAW_DAYS} days may be asked for"}))
    return sandbox.records.raw_rows(name, first, last + DAY, sandbox.now)


class _Token(_Handler):
    async def post(self) -> None:
        form = {name: self.get_body_argument(name) for name in self.request.body_arguments}
        scheme, _, code = self.request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                form["client_id"], _, form["client_secret"] = base64.b64decode(code).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                form["client_id"] = ""
        self.sandbox.record_token_request()
        await self.send(self.sandbox.tokens.grant(form))


class _Control(_Handler):
    """What tests and people steer the sandbox with; `--help` names the addresses."""

    async def get(self, what: str) -> None:
        self.only(what, "stats")
        self.finish(self.sandbox.stats())

    async def delete(self, what: str) -> None:
        self.only(what, "faults")
        self.sandbox.clear_faults()
        self.finish({})

    async def post(self, what: str) -> None:
        self.only(what, "reset", "now", "faults", "override")
        try:
            body = json.loads(self.request.body or b"{}")
            if what == "reset":
                self.sandbox.reset()
            elif what == "now":
                self.sandbox.now = parse_time(body["now"]) if body["now"] is not None else None
            elif what == "faults":
                self.sandbox.add_fault(**body)
            else:
                since = parse_time(body["from"]) if body.get("from") else None
                self.sandbox.override(body["station"], parse_time(body["hour"]), body["values"], since)
        except (ValueError, TypeError, KeyError) as error:
            self.set_status(400)
            self.finish({"message": f"{type(error).__name__}: {error}"})
        else:
            self.finish({})

    def only(self, what: str, *allowed: str) -> None:
        if what not in allowed:
            raise HTTPError(405)


def _refusal(status: int, error: str, description: str) -> Reply:
    return Reply(status, json.dumps({"error": error, "error_description": description}))
