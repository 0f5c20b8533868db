"""Masks secrets in text: a last defence for logs, alerts and errors that quote what they should not.

Nothing is meant to put a secret into a message. Libraries do: a connection error of requests quotes the URL, one of
pymongo the connection string.
"""

import json
import os
import re
from functools import lru_cache
from urllib.parse import quote, unquote, urlsplit

from tasks.settings.options import Secret
from tasks.settings.reading import text
from tasks.settings.sections import OPTIONS

__all__ = ["MASK", "redact"]

MASK = "****"

#: Shorter ones would mask half of every text; they protect nothing anyway.
_SHORTEST = 4

#: The secret ones of the variables that boto3 reads.
_OF_BUCKET = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN")

#: What looks like a secret, whoever's it is.
_PATTERNS = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), rf"\1 {MASK}"),
    (re.compile(r"(?i)(\b(?:access|refresh|id)_token\b[\\\"']*\s*[:=]\s*[\\\"']*)[\w.~+/=-]{8,}"), rf"\1{MASK}"),
    (re.compile(r"(?i)\b((?:client_secret|password)=)[^&\s\"']+"), rf"\1{MASK}"),
    (re.compile(r"(\b[\w+]+://[^\s/:@\"']*:)[^\s/@\"']+(?=@)"), rf"\1{MASK}"),
)


def redact(text: str) -> str:
    """Return a text in which every secret that is configured, and whatever looks like one, is masked."""
    if known := _secrets():
        text = known.sub(MASK, text)
    for pattern, masked in _PATTERNS:
        text = pattern.sub(masked, text)
    return text


@lru_cache(maxsize=1)
def _secrets() -> re.Pattern[str] | None:
    """Return all spellings of the secrets as one pattern, the longest first; settings do not change in a process."""
    found: set[str] = set()
    found.update(os.environ.get(name, "") for name in _OF_BUCKET)
    for option in OPTIONS:
        value = text(option.section, option.name)
        if option.secret is Secret.WHOLE:
            found.add(value)
        elif option.secret:
            found.update(*(_secret_parts(url) for url in value.split()))
    spellings = {s for secret in found if len(secret) >= _SHORTEST for s in _spellings(secret)}
    return re.compile("|".join(map(re.escape, sorted(spellings, key=len, reverse=True)))) if spellings else None


def _secret_parts(url: str) -> set[str]:
    """Return the parts of a URL that only who was told them knows; host, port and scheme are none."""
    scheme, found, rest = url.partition("://")
    if not found:
        scheme, rest = "", url
    server = rest.split("/")[0]
    user, _, _ = rest.rpartition("@") if "@" in server else ("", "", "")
    if not user and "%40" in server:  # the @ was escaped as well
        user = server.rpartition("%40")[0]
    elif not user and server.count(":") > 1 and "," not in server and "[" not in server:  # … or forgotten
        user = server.rpartition(":")[0].rpartition(":")[0]
    parts = {user, user.partition(":")[2]}
    path = rest[len(user) :].lstrip("@")
    if scheme.partition("+")[0] not in ("", "mongodb", "sqlite"):  # a database's path is its name
        try:
            query = urlsplit(f"x://{path}").query
        except ValueError:
            query = ""
        parts |= {piece for piece in re.split(r"[/?&=#]", path) if _is_token(piece)}
        parts |= {pair.partition("=")[2] for pair in query.split("&") if re.match(r"(?i)pass|token|key|secret", pair)}
    return parts - {""}


def _is_token(piece: str) -> bool:
    """Tell whether a part of a path looks drawn by chance: a word or a host does not."""
    if re.fullmatch(r"[\d.:]+|\[[\da-fA-F:]+\](:\d+)?", piece) or "." in piece:
        return False
    return len(piece) >= 20 or (len(piece) >= 8 and bool(re.search(r"\d", piece)))


def _spellings(secret: str) -> set[str]:
    plain = unquote(secret)
    return {secret, plain, quote(plain, safe=""), json.dumps(secret)[1:-1], json.dumps(plain)[1:-1], repr(plain)[1:-1]}
