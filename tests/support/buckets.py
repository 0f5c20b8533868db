"""A real S3 server on loopback (moto's, in a process of its own), and what was asked of it."""

import os
import re
import socket
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from airqino.stores import bucket, parquet, s3
from support.servers import running

__all__ = ["Bucket", "Store", "counted", "here", "serving"]

_REQUEST = re.compile(r'"(GET|PUT|HEAD|DELETE|POST) (\S+) HTTP')


class Store:
    """The server: makes buckets, and knows every request."""

    def __init__(self, url: str, log: Path) -> None:
        self.url, self.log = url, log

    @property
    def env(self) -> dict[str, str]:
        """What a process needs to come here."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "AKIATEST",
            "AWS_SECRET_ACCESS_KEY": "-".join(("a", "secret", "of", "the", "test")),
            "AWS_REGION": "us-east-1",
        }

    def bucket(self) -> "Bucket":
        """Make a bucket."""
        made = Bucket(self, f"test-{uuid.uuid4().hex[:12]}")
        made.client.create_bucket(Bucket=made.name)
        return made


class Bucket:
    """A bucket, and what is asked of it."""

    def __init__(self, store: Store, name: str) -> None:
        self.store, self.name = store, name
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=store.url,
            region_name="us-east-1",
            aws_access_key_id=store.env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=store.env["AWS_SECRET_ACCESS_KEY"],
        )

    @property
    def root(self) -> str:
        """A staging root in it."""
        return f"s3://{self.name}/air"

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """Everything in it by key."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        keys = [of["Key"] for page in pages for of in page.get("Contents", ())]
        return {key: self.client.get_object(Bucket=self.name, Key=key)["Body"].read() for key in keys}

    def put(self, key: str, content: bytes) -> None:
        """Write an object, as somebody else would."""
        self.client.put_object(Bucket=self.name, Key=key, Body=content)

    @contextmanager
    def asked(self) -> Iterator[list[tuple[str, str]]]:
        """Yield a list that has, after the block, each request to the bucket: ``GET``, ``LIST`` …, and the path."""
        begin, found = self.store.log.stat().st_size, list[tuple[str, str]]()
        yield found
        with self.store.log.open() as log:
            log.seek(begin)
            for method, path in _REQUEST.findall(log.read()):
                if path.startswith(f"/{self.name}"):
                    found.append(("LIST" if "list-type=2" in path else method, path.removeprefix(f"/{self.name}")))


def counted(asked: list[tuple[str, str]]) -> dict[str, int]:
    """How many requests of each kind there were."""
    return dict(Counter(method for method, _ in asked))


@contextmanager
def here(store: Store, **env: str) -> Iterator[None]:
    """Let this process come to a server, as one that has just been started."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (store.env | env).items():
            patch.setenv(name, value)
        _forget()
        yield
    _forget()


def _forget() -> None:
    s3._client.cache_clear()
    for memory in (bucket._known, bucket._contents, s3._unreachable, bucket._roots, parquet._tables, parquet._footers):
        memory.clear()


@contextmanager
def serving(folder: Path, **env: str) -> Iterator[Store]:
    """An empty server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "moto.log"
    command = (sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", f"{port}")
    with running(*command, log=log, port=port, env=os.environ | env):
        yield Store(f"http://127.0.0.1:{port}", log)
