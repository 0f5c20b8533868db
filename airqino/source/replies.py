"""Read what an HTTP answer says besides its body: status, dates, age, character set."""

import re
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import requests

from airqino.errors import CredentialsError, RateLimitedError, RequestRefusedError, ServerError, UnknownStationError
from airqino.source.decoding import error_text
from airqino.source.values import tidy
from airqino.times import as_utc

__all__ = ["age", "charset", "http_date", "raise_for", "reason_of", "retry_after"]

_SECONDS = re.compile(r"\+?(\d+(\.\d*)?|\.\d+)", re.ASCII)
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.ASCII | re.IGNORECASE)
_LONGEST_HEADER = 64
_LONGEST_CONTENT_TYPE = 200
_LONGEST_AGE = timedelta(days=3650).total_seconds()


def raise_for(reply: requests.Response, *, has_token: bool) -> None:
    """Turn an HTTP status into the error that says what to do about it, with what the API says.

    Args:
        reply: An answer, read.
        has_token: Whether the request was signed.

    Raises:
        SourceError: One of its classes, unless the status is 200 or 203 (200 by way of a proxy).
    """
    status = reply.status_code
    if status in (200, 203):
        return
    text = error_text(reply.content, charset(reply))
    says = f"; it says: {text}" if text else ""
    if status in (401, 403):
        raise CredentialsError(
            f"HTTP {status}: the API refused the token; check that AIRQINO_USERNAME may read this station{says}"
            if has_token
            else f"HTTP {status}: the API wants a token and no credentials are set; set AIRQINO_USERNAME, "
            f"AIRQINO_PASSWORD, AIRQINO_CLIENT_ID and AIRQINO_CLIENT_SECRET{says}"
        )
    if status == 404:
        raise UnknownStationError(f"HTTP 404: the API does not know this station{says}")
    if status == 429:
        asked = tidy(reply.headers.get("Retry-After") or "none")
        raise RateLimitedError(f"HTTP 429: too many requests (Retry-After: {asked}){says}")
    if status >= 500:
        raise ServerError(f"HTTP {status}: the API has a fault{says}")
    raise RequestRefusedError(f"HTTP {status}: the API refused the request: {text or 'no reason given'}")


def charset(reply: requests.Response) -> str | None:
    """Return the character set that the answer declares."""
    found = _CHARSET.search(reply.headers.get("Content-Type", "")[:_LONGEST_CONTENT_TYPE])
    return found[1] if found else None


def age(header: str | None) -> float:
    """Read an Age header: whole seconds; 0 where there is none or it is absurd."""
    text = (header or "").strip()
    digits = text.isascii() and text.isdigit() and len(text) < 10
    return float(text) if digits and float(text) <= _LONGEST_AGE else 0.0


def reason_of(error: BaseException) -> str:
    """Return the innermost cause in a few words, without object addresses."""
    inner: Any = error
    while isinstance(getattr(inner, "reason", None), BaseException) or (
        inner.args and isinstance(inner.args[0], BaseException)
    ):
        inner = inner.reason if isinstance(getattr(inner, "reason", None), BaseException) else inner.args[0]
    text = str(inner).split("object at 0x")[-1]
    return tidy(text.split(": ", 1)[-1] or type(inner).__name__, 160)


def retry_after(header: str | None, now: datetime) -> float | None:
    """Read a Retry-After header.

    Args:
        header: Seconds, whole or with a fraction, or an HTTP date.
        now: The moment that a date counts from.

    Returns:
        Seconds, infinite for a number beyond all reason; None if there is no header or it cannot be read.
    """
    if header is None:
        return None
    if _SECONDS.fullmatch(header.strip()):
        return float(header.strip())
    moment = http_date(header)
    return max(0.0, (moment - now).total_seconds()) if moment else None


def http_date(header: str | None) -> datetime | None:
    """Read an HTTP date; None if it cannot be read or is not of the years 2000 to 2099.

    Args:
        header: Such as ``Mon, 09 Sep 2024 10:30:00 GMT``.

    Returns:
        The moment, UTC.
    """
    if not header or len(header) > _LONGEST_HEADER:
        return None
    try:
        moment = as_utc(parsedate_to_datetime(header))
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return moment if 2000 <= moment.year < 2100 else None
