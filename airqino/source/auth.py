"""OAuth2 for the AirQino API: the password grant, and the refresh grant for as long as the refresh token lasts.

Tokens live about 300 s, so a long backfill needs several. requests-oauthlib speaks the protocol.
"""

import os
import re
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import requests
from oauthlib.oauth2 import LegacyApplicationClient, OAuth2Error
from requests.auth import AuthBase
from requests_oauthlib import OAuth2Session

from airqino.errors import CredentialsError, ServerError, SourceError, SourceTimeoutError, UnreachableError
from airqino.source.transport import BoundedAdapter, deadline, remaining
from airqino.source.values import tidy

__all__ = ["Credentials", "TokenAuth"]

#: Seconds before its end at which a token is taken as expired: the request must still arrive with it.
_MARGIN = 15
_MAX_ANSWER_BYTES = 1 << 20
#: What may stand in a header: visible ASCII (RFC 6750 allows less), and no more than servers accept.
_TOKEN = re.compile(r"[!-~]{1,16384}")
_BEARER = re.compile(r"(?i)\b(bearer\s+)\S+|\beyJ[\w-]+\.[\w.-]+")  # a token in a header, or one that looks like it


@dataclass(frozen=True)
class Credentials:
    """What the token endpoint wants to know. The secrets are left out of `repr`."""

    token_url: str
    client_id: str
    username: str
    client_secret: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


class TokenAuth(AuthBase):
    """Puts a valid bearer token on each request; safe to share between threads."""

    def __init__(self, credentials: Credentials, timeout: tuple[float, float]) -> None:
        """Ask for nothing yet.

        Args:
            credentials: Where tokens come from and for whom.
            timeout: Connect and read time-outs in seconds.
        """
        self._credentials = credentials
        self._timeout = timeout
        self._lock = threading.Lock()
        self._session: OAuth2Session | None = None
        self._failure: tuple[float, SourceError] = 0.0, SourceError()  # the latest, and when
        if urlsplit(credentials.token_url).hostname in ("127.0.0.1", "localhost", "::1"):
            os.environ.setdefault("OAUTHLIB_INSECURE_TRANSPORT", "1")  # a sandbox on loopback has no TLS

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign one request.

        Raises:
            CredentialsError: The token endpoint refused the credentials.
            UnreachableError: There is no connection to the token endpoint.
            ServerError: It answered something that is no token.
        """
        request.headers["Authorization"] = f"Bearer {self._token()}"
        return request

    def forget(self) -> None:
        """Throw the token away: the API refused it although it should still be valid."""
        with self._lock:
            if self._session:
                self._session.token = {**self._session.token, "expires_at": 0.0}

    def redact(self, text: str) -> str:
        """Return a text without the secrets that it may repeat."""
        token = self._session.token if self._session else {}
        secrets = [self._credentials.password, self._credentials.client_secret]
        for secret in (*secrets, token.get("access_token"), token.get("refresh_token")):
            if secret:
                text = text.replace(str(secret), "…")
        return _BEARER.sub(r"\1…", text)

    def _token(self) -> str:
        """Return the token, a new one where it is over; who waited while another thread failed fails with it."""
        came = time.monotonic()
        with deadline(remaining()) as limit:
            if not self._lock.acquire(timeout=limit.seconds):
                raise SourceTimeoutError("the token endpoint did not answer in time")
            try:
                failed_at, failure = self._failure
                if failed_at >= came:
                    raise type(failure)(str(failure))
                return self._usable_token()
            except SourceError as failure:
                self._failure = time.monotonic(), failure.with_traceback(None)
                raise
            finally:
                self._lock.release()

    def _usable_token(self) -> str:
        try:
            if self._session is None:
                self._session = self._login()
            elif self._session.token.get("expires_at", float("inf")) < time.time() + _MARGIN:
                self._session = self._renew(self._session)
            token: object = self._session.access_token
        except OAuth2Error as error:
            if "JSON" in str(error) or error.error == "missing_token":
                raise ServerError("the token endpoint answered without a token") from error
            raise CredentialsError(
                f"the token endpoint refused user {self._credentials.username!r}: {self._said(error)}; check "
                "AIRQINO_USERNAME, AIRQINO_PASSWORD, AIRQINO_CLIENT_ID and AIRQINO_CLIENT_SECRET"
            ) from error
        except (SourceTimeoutError, requests.Timeout) as error:
            raise SourceTimeoutError("the token endpoint did not answer in time") from error
        except requests.RequestException as error:
            raise UnreachableError(f"no connection to the token endpoint ({type(error).__name__})") from error
        except (ValueError, TypeError, AttributeError, KeyError, OverflowError, RecursionError) as error:
            raise ServerError("the token endpoint answered without a token") from error
        if not (isinstance(token, str) and _TOKEN.fullmatch(token)):
            self._session = None
            raise ServerError("the token endpoint gave no token that can be sent: it is too long or no plain text")
        return token

    def _said(self, error: OAuth2Error) -> str:
        """Return what the endpoint says of a refusal."""
        description = tidy(error.description or "", 100)
        return self.redact(tidy(error.error or "") + (f" ({description})" if description else ""))

    def _login(self) -> OAuth2Session:
        session = OAuth2Session(client=LegacyApplicationClient(self._credentials.client_id))
        for scheme in ("http://", "https://"):
            session.mount(scheme, BoundedAdapter(_MAX_ANSWER_BYTES))
        session.fetch_token(
            self._credentials.token_url,
            username=self._credentials.username,
            password=self._credentials.password,
            client_id=self._credentials.client_id,
            client_secret=self._credentials.client_secret or None,
            timeout=self._timeout,
        )
        return session

    def _renew(self, session: OAuth2Session) -> OAuth2Session:
        try:
            session.refresh_token(
                self._credentials.token_url,
                client_id=self._credentials.client_id,
                client_secret=self._credentials.client_secret or None,
                timeout=self._timeout,
            )
        except (OAuth2Error, ValueError):  # the refresh token is over as well, or there was none
            return self._login()
        return session
