"""What percona/mongodb_exporter says of a MongoDB, by its published rules of naming, from the server's own answers.

A stand-in, as the exporter comes as a container or a download only. It walks the same commands, so that rules and
panels are tried on the figures of a real server; the names are as the exporter's documentation has them.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self

from pymongo import MongoClient
from pymongo.errors import PyMongoError

__all__ = ["Exporter", "samples"]

_SHORT = {"serverStatus": "ss", "replSetGetStatus": "rs"}
#: Documents whose keys become values of a label.
_LABELS = {"serverStatus.connections": "conn_type", "serverStatus.opcounters": "legacy_op_type"}

Sample = tuple[str, dict[str, str], float]


def samples(client: MongoClient[Any]) -> list[Sample]:
    """Name, labels and value of each metric; mongodb_up alone where the server does not answer."""
    try:
        found = list(_walk((), client.admin.command("getDiagnosticData")["data"], {}))
        for name in client.list_database_names():
            found += _walk(("dbstats",), client[name].command("dbStats"), {"database": name})
    except PyMongoError:
        return [("mongodb_up", {}, 0.0)]
    return [("mongodb_up", {}, 1.0), *found]


def _walk(path: tuple[str, ...], document: Mapping[str, Any], labels: dict[str, str]) -> Iterator[Sample]:
    for key, value in document.items():
        if isinstance(value, Mapping):
            yield from _walk((*path, key), value, labels)
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, Mapping) and "name" in item:
                    state = {"member_state": item["stateStr"]} if "stateStr" in item else {}
                    yield from _walk((*path, key), item, {**labels, "member_idx": str(item["name"]), **state})
        elif isinstance(value, bool | int | float | datetime):
            number = value.timestamp() * 1000 if isinstance(value, datetime) else float(value)
            label = _LABELS.get(".".join(path))
            parts = path if label else (*path, key)
            name = "_".join(("mongodb", _SHORT.get(parts[0], parts[0]), *parts[1:]))
            yield (
                re.sub(r"_+", "_", re.sub(r"\W", "_", name)).rstrip("_"),
                labels | ({label: key} if label else {}),
                number,
            )


class Exporter:
    """The metrics of a MongoDB at http://127.0.0.1:PORT/metrics, for as long as the `with` block lasts."""

    def __init__(self, uri: str) -> None:
        client: MongoClient[Any] = MongoClient(uri, serverSelectionTimeoutMS=500)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                for name, labels, value in samples(client):
                    inside = ",".join(f'{label}="{text}"' for label, text in labels.items())
                    self.wfile.write(f"{name}{{{inside}}} {value!r}\n".encode())

            def log_message(self, *_: Any) -> None:
                pass

        self._client, self._server = client, ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._client.close()
