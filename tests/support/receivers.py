"""Real servers that alerts and metrics are sent to: they keep what they got."""

import json
import threading
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from aiosmtpd.controller import Controller

from airqino.sandbox.mongod import free_port


class Web:
    """An HTTP server on loopback that answers everything with one status."""

    def __init__(self, status: int = 200, seconds: float = 0) -> None:
        self.status = status
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        web, late = self, threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                web.requests.append((self.command, self.path, dict(self.headers), body))
                late.wait(seconds)
                self.send_response(web.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST = do_PUT = _any  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self._late = late
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._late.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def alerts(self) -> list[dict[str, str]]:
        """What Apprise's json:// sent: title, message, type."""
        return [json.loads(body) for method, _, _, body in self.requests if method == "POST"]

    @property
    def titles(self) -> list[str]:
        return [alert["title"] for alert in self.alerts]


class Post:
    """A mail server on loopback, without TLS or log-in."""

    def __init__(self) -> None:
        self.mails: list[Message] = []
        self.port = free_port()
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        self.mails.append(message_from_bytes(envelope.content))
        return "250 OK"

    def texts(self) -> list[str]:
        """Subject and body of each mail."""
        return [
            f"{mail['Subject']}\n" + (mail.get_payload(decode=True) or b"").decode()
            if not mail.is_multipart()
            else f"{mail['Subject']}\n" + mail.get_payload()[0].get_payload(decode=True).decode()
            for mail in self.mails
        ]
