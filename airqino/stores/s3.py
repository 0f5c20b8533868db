"""Requests to S3: the client, their time-outs and tries, and what goes wrong in one line.

boto3 is loaded with the first request; it takes credentials and end point from the environment (``AWS_*``) alone.
"""

import errno
import os
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import PurePath
from typing import Any, TypeVar

from airqino.errors import BucketError, ConflictError, StagingError

__all__ = ["THREADS", "ask", "get", "missing"]

T = TypeVar("T")

#: Seconds to connect, to wait for the next bytes, and how often a request is tried, with growing pauses.
_CONNECT, _READ, _TRIES = 5, 20, 3
#: After a bucket could not be reached, this many seconds pass before the same process tries it again.
_PATIENCE = 15.0
#: Requests of one process at the same time.
THREADS = 16
_unreachable: dict[int, tuple[float, BucketError]] = {}
_opening = threading.Lock()


def ask(path: PurePath, where: Callable[[PurePath], str], work: Callable[[Any], T]) -> T:
    """Ask a bucket; whatever botocore raises becomes one line.

    Args:
        path: What it is about: its second part is the bucket's name.
        where: Says which setting names the root that a path lies in.
        work: What to do with the client.

    Returns:
        What `work` does.

    Raises:
        FileNotFoundError: There is no such object.
        ConflictError: The object is another one than the condition says.
        BucketError: The bucket cannot be reached, or refuses.
    """
    with _opening:
        client = _client(os.getpid())
    from botocore.exceptions import BotoCoreError, ClientError

    since, reason = _unreachable.get(os.getpid(), (-_PATIENCE, None))
    if reason and time.monotonic() - since < _PATIENCE:
        raise BucketError(f"{reason}")  # found out a moment ago: do not wait again
    try:
        return work(client)
    except ClientError as error:
        code = f"{error.response.get('Error', {}).get('Code', '')}"
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if code in ("NoSuchKey", "404"):
            raise missing(path) from None
        if status == 412 or code == "ConditionalRequestConflict":
            raise ConflictError(f"{path} is another one") from None
        raise BucketError(f"{where(path)}: {_refusal(path, code, status)}") from None
    except BotoCoreError as error:
        kind = type(error).__name__
        if "Credential" in kind or "Token" in kind:
            cure = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            raise BucketError(f"{where(path)}: there are no credentials that can be used ({kind}): {cure}") from None
        told = f"{client.meta.endpoint_url} does not answer ({kind})"
        failed = BucketError(f"{where(path)}: {told}: check the network, AWS_ENDPOINT_URL and AWS_REGION")
        _unreachable[os.getpid()] = time.monotonic(), failed
        raise failed from None


def get(client: Any, at: dict[str, str]) -> tuple[bytes, str]:
    """Return an object's content and ETag; a body that breaks off is asked for again, as botocore does not."""
    from botocore.exceptions import BotoCoreError

    for left in reversed(range(_TRIES)):
        answer = client.get_object(**at)
        try:
            return answer["Body"].read(), answer["ETag"]
        except BotoCoreError:
            if not left:
                raise
    raise AssertionError


def missing(path: PurePath) -> FileNotFoundError:
    """Return the error of an object that is not there."""
    return FileNotFoundError(errno.ENOENT, "no such object", f"{path}")


def _refusal(path: PurePath, code: str, status: int | None) -> str:
    if code == "NoSuchBucket":
        return f"there is no bucket {path.parts[1]}: make it, or correct the setting"
    if status in (401, 403) or code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"):
        needed = "s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject"
        return f"refused ({code or status}): check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, and the rights {needed}"
    if status in (301, 307, 400):
        return f"the server answered {code or status}: check AWS_REGION and AWS_ENDPOINT_URL"
    return f"the server answered {code or status}: run again; if it lasts, ask whoever runs it"


@lru_cache(maxsize=2)
def _client(_pid: int) -> Any:
    """Return this process's client: connections do not survive a fork."""
    try:
        import boto3
        from botocore.config import Config
    except ImportError as error:
        raise StagingError(f"a root in a bucket needs boto3: run scripts/install s3 ({error})") from None
    has_own_server = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    config = Config(
        connect_timeout=_CONNECT,
        read_timeout=_READ,
        retries={"mode": "standard", "total_max_attempts": _TRIES},
        max_pool_connections=THREADS,
        s3={"addressing_style": "path" if has_own_server else "auto"},  # such a server seldom has a name per bucket
    )
    return boto3.session.Session(region_name=os.environ.get("AWS_REGION")).client("s3", config=config)


def _begin_anew() -> None:
    """After a fork: another thread may have held the lock."""
    global _opening
    _opening = threading.Lock()


os.register_at_fork(after_in_child=_begin_anew)
