"""What a person is told when MongoDB cannot be used: one line that says what is wrong and what to do.

No line holds user, password or the documents that were sent.
"""

import re
from collections.abc import Iterable, Sequence

from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)
from pymongo.server_description import ServerDescription

__all__ = ["of_settings", "redact", "silence", "told"]

#: MongoDB's error codes; 8000 is Atlas's own.
_UNAUTHORIZED, _AUTHENTICATION, _ATLAS = 13, 18, 8000

_TIMES = "renew it on the server, or set this machine's clock"
_NAME = "name the server in MONGODB_URI as its certificate does, or have one made for this name"
#: What OpenSSL says (pymongo keeps only its text) → what we say.
_TLS = {
    "certificate has expired": f"the server's TLS certificate has expired; {_TIMES}",
    "certificate is not yet valid": f"the server's TLS certificate is not valid yet; {_TIMES}",
    "Hostname mismatch": f"the server's TLS certificate is made for another host; {_NAME}",
    "IP address mismatch": f"the server's TLS certificate is made for another address; {_NAME}",
    "CERTIFICATE_VERIFY_FAILED": "the server's TLS certificate is not signed by a CA known here; name the right one in "
    "MONGODB_CA_FILE ([mongo] tls_ca_file)",
    "[SSL": "the TLS handshake failed; does the server speak TLS on this port?",
    "connection closed": "the server closes the connection; it may want TLS (MONGODB_CA_FILE, or ?tls=true in "
    "MONGODB_URI), or a certificate of ours (MONGODB_CERTIFICATE_KEY_FILE)",
}


def redact(uri: str) -> str:
    """Return a connection string that pymongo can read without user, password and options.

    One whose @ is escaped too (%40) is read as a host that holds the password.
    """
    return re.sub(r"^([\w+]*://)?(.*(?:@|%40))?([^?]*).*$", r"\1\3", uri, flags=re.DOTALL)


def silence(servers: Iterable[ServerDescription]) -> list[Exception | None]:
    """Why each server does not answer; None where it does."""
    return [of.error or (None if of.is_server_type_known else TimeoutError("no answer yet")) for of in servers]


def of_settings(error: Exception) -> str:
    """What is wrong where not even a client can be made.

    No host is named: in a wrong connection string what stands in its place may be the password.

    Args:
        error: What pymongo raised; its own text may hold a part of the password.
    """
    where = "MongoDB"
    causes = [*_causes(error)]
    if any(type(cause).__module__.startswith("dns.") for cause in causes):
        return (
            f"{where}: there is no such cluster in the DNS; check the host in MONGODB_URI, and this machine's network"
        )
    if any(isinstance(cause, OSError) for cause in causes) or "rivate key" in str(error):
        return (
            f"{where}: a TLS file holds no usable certificate or key; MONGODB_CA_FILE ([mongo] tls_ca_file) and "
            "MONGODB_CERTIFICATE_KEY_FILE ([mongo] tls_certificate_key_file) must name PEM files"
        )
    if isinstance(error, ConfigurationError) and "TLS has not been enabled" in str(error):
        return f"{where}: MONGODB_URI says tls=false, yet [mongo] names a TLS file; drop one of them"
    return (
        f"{where}: the connection string is wrong ({type(error).__name__}); check MONGODB_URI, and write / ? # @ : "
        "and % in user and password as %2F and so on (RFC 3986)"
    )


def told(where: str, error: PyMongoError, servers: Iterable[Exception | None]) -> str:
    """What is wrong with a server, or with what was asked of it.

    Args:
        where: The server, as the message names it.
        error: What pymongo raised.
        servers: Why each server that is known of does not answer; None where it does.
    """
    if isinstance(error, ServerSelectionTimeoutError):
        return _missing(where, list(servers))
    if isinstance(error, BulkWriteError):
        return f"{where} refused: a write failed (code {error.code})"
    if isinstance(error, OperationFailure):
        return f"{where} refused: {_refusal(error)}"
    return f"{where}: {type(error).__name__}; what is staged is loaded by the next run"


def _missing(where: str, reasons: Sequence[Exception | None]) -> str:
    for said, ours in _TLS.items():
        if any(said in str(reason) for reason in reasons):
            return f"{where}: {ours}"
    if None in reasons:
        return f"{where} has no primary; a majority of its members must be up (rs.status() tells which are not)"
    return f"{where} cannot be reached; start it (systemctl start mongod), or correct MONGODB_URI"


def _refusal(error: OperationFailure) -> str:
    reason = str((error.details or {}).get("errmsg", ""))
    if error.code in (_AUTHENTICATION, _ATLAS):
        return (
            "it does not know this user with this password; check both in MONGODB_URI, and authSource, the "
            "database that the user was made in"
        )
    if error.code == _UNAUTHORIZED and "requires authentication" in reason:
        return "it wants a user and a password, and MONGODB_URI names none; put them into it"
    if error.code == _UNAUTHORIZED:
        asked = re.match(r'not authorized on (\S+) to execute command \{ (\w+): (?:"([^"]*)")?', reason)
        what = f"{asked[2]} on {asked[1]}" + (f".{asked[3]}" if asked[3] else "") if asked else "this"
        return f"the user of MONGODB_URI may not {what}; scripts/mongo-users makes users that may"
    return f"{reason or 'operation failed'} (code {error.code})"


def _causes(error: BaseException | None) -> Iterable[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
