"""Error messages where MongoDB cannot be used: one line that says what is wrong and what to do.

No message holds user, password or the documents that were sent.
"""

import re
from collections.abc import Iterable, Sequence

from bson.errors import BSONError
from pymongo import errors
from pymongo.server_description import ServerDescription

__all__ = ["explain", "explain_settings", "is_unconfirmed", "server_errors", "without_credentials"]

#: MongoDB's error codes; 8000 is Atlas's own.
_UNAUTHORIZED, _AUTHENTICATION, _ATLAS = 13, 18, 8000

_MAJORITY = "a majority of its members must be up (rs.status() tells which are not)"
_TIMES = "renew it on the server, or set this machine's clock"
_NAME = "name the server in MONGODB_URI as its certificate does, or have one made for this name"
#: Part of OpenSSL's error (pymongo keeps only its text) → our message.
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


def without_credentials(uri: str) -> str:
    """Return a connection string without user, password and options.

    An @ may be escaped as %40: pymongo then takes the password for a part of the host.
    """
    return re.sub(r"^([\w+]*://)?(.*(?:@|%40))?([^?]*).*$", r"\1\3", uri, flags=re.DOTALL)


def server_errors(servers: Iterable[ServerDescription]) -> list[Exception | None]:
    """Return why each server does not answer; None where it does."""
    return [s.error or (None if s.is_server_type_known else TimeoutError("no answer yet")) for s in servers]


def explain_settings(error: Exception) -> str:
    """Say what is wrong with the settings if not even a client can be made.

    The message names no host: in a wrong connection string the password may be in its place.

    Args:
        error: What pymongo raised; its own text may hold a part of the password.
    """
    causes = [*_causes(error)]
    if any(type(cause).__module__.startswith("dns.") for cause in causes):
        return "MongoDB: there is no such cluster in the DNS; check the host in MONGODB_URI, and this machine's network"
    if any(isinstance(cause, OSError) for cause in causes) or "rivate key" in str(error):
        return (
            "MongoDB: a TLS file holds no usable certificate or key; MONGODB_CA_FILE ([mongo] tls_ca_file) and "
            "MONGODB_CERTIFICATE_KEY_FILE ([mongo] tls_certificate_key_file) must name PEM files"
        )
    if isinstance(error, errors.ConfigurationError) and "TLS has not been enabled" in str(error):
        return "MongoDB: MONGODB_URI says tls=false, yet [mongo] names a TLS file; drop one of them"
    return (
        f"MongoDB: the connection string is wrong ({type(error).__name__}); check MONGODB_URI, and write / ? # @ : "
        "and % in user and password as %2F and so on (RFC 3986)"
    )


def explain(where: str, error: errors.PyMongoError | BSONError, servers: Iterable[Exception | None]) -> str:
    """Say what is wrong with a server, or with a request to it.

    Args:
        where: The server, as the message names it.
        error: What pymongo raised, or bson where an answer cannot be read.
        servers: Of each known server why it does not answer, as `server_errors` returns it.
    """
    if isinstance(error, BSONError):
        return f"{where} answers with bytes that are no document; the next run tries again"
    if isinstance(error, errors.ServerSelectionTimeoutError):
        return _unreachable(where, list(servers))
    if is_unconfirmed(error):
        return f"{where}: its members do not confirm writes; {_MAJORITY}"
    if isinstance(error, errors.PyMongoError) and error.timeout:
        return (
            f"{where} did not finish what was asked in time; an index or a $merge waits for all members that hold data "
            "(rs.status() tells which are down), or the server is overloaded; the next run tries again"
        )
    if isinstance(error, errors.BulkWriteError):
        return f"{where} refused: a write failed (code {error.code})"
    if isinstance(error, errors.OperationFailure):
        return f"{where} refused: {_refusal(error)}"
    return f"{where}: {type(error).__name__}; the next run loads what is staged"


def is_unconfirmed(error: Exception) -> bool:
    """Tell whether a write was done, but too few members of the set confirmed it in time."""
    if isinstance(error, errors.BulkWriteError):
        unconfirmed, refused = (error.details or {}).get("writeConcernErrors"), (error.details or {}).get("writeErrors")
        return bool(unconfirmed) and not refused
    return isinstance(error, errors.WriteConcernError)


def _unreachable(where: str, reasons: Sequence[Exception | None]) -> str:
    for openssl_text, text in _TLS.items():
        if any(openssl_text in str(reason) for reason in reasons):
            return f"{where}: {text}"
    if None in reasons:
        return f"{where} has no primary; {_MAJORITY}"
    return f"{where} cannot be reached; start it (systemctl start mongod), or correct MONGODB_URI"


def _refusal(error: errors.OperationFailure) -> str:
    reason = str((error.details or {}).get("errmsg", ""))
    if error.code in (_AUTHENTICATION, _ATLAS):
        return (
            "it does not know this user with this password; check both in MONGODB_URI, and authSource, the "
            "database that the user was made in"
        )
    if error.code == _UNAUTHORIZED and "requires authentication" in reason:
        return "it wants a user and a password, and MONGODB_URI names none; put them into it"
    if error.code == _UNAUTHORIZED:
        command = re.match(r'not authorized on (\S+) to execute command \{ (\w+): (?:"([^"]*)")?', reason)
        what = f"{command[2]} on {command[1]}" + (f".{command[3]}" if command[3] else "") if command else "this"
        return f"the user of MONGODB_URI may not {what}; scripts/mongo-users makes users that may"
    return f"{reason or 'operation failed'} (code {error.code})"


def _causes(error: BaseException | None) -> Iterable[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
