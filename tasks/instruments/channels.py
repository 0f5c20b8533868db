"""Channels: send messages by Apprise, within a limited time.

Messages and logs name a channel by its position and scheme only, such as ``channel 2 (slack)``: its URL is a secret.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.settings.secrets import redact

__all__ = ["Message", "SendResult", "display_name", "send", "urls_by_id"]

#: Seconds for a connection and for an answer, and for all channels together: they are sent to at the same time.
_CONNECT, _READ, _ALL = 5, 10, 30


@dataclass(frozen=True)
class Message:
    """What is sent.

    Attributes:
        type: Apprise's type: ``info``, ``warning``, ``failure``, or ``success`` at the end of an incident.
        key: The same at the beginning and at the end, for services that keep incidents themselves.
    """

    title: str
    body: str
    type: str
    key: str = ""


@dataclass
class SendResult:
    """How many messages a channel took, and why it did not take the rest."""

    sent: int = 0
    reason: str = ""


def urls_by_id(urls: str) -> dict[str, str]:
    """Return the URLs of ``[alerts] urls`` by an id that does not reveal them: a part of their hash."""
    return {hashlib.sha256(url.encode()).hexdigest()[:12]: url for url in urls.split()}


def display_name(urls: str, channel: str) -> str:
    """Return a channel's name for people."""
    by_id = urls_by_id(urls)
    return f"channel {list(by_id).index(channel) + 1} ({by_id[channel].partition('://')[0]})"


def send(outbox: Mapping[str, tuple[str, Sequence[Message]]], seconds: float = _ALL) -> dict[str, SendResult]:
    """Send each channel its messages, in order, until one fails.

    Args:
        outbox: Channel → its URL and messages.
        seconds: How long all of it may take.

    Returns:
        The result of each channel; one that is not done in time has failed.
    """
    results = {channel: SendResult(reason="no answer in time") for channel in outbox}
    threads = [
        threading.Thread(target=_send, args=(url, messages, results[channel]), daemon=True)
        for channel, (url, messages) in outbox.items()
    ]
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return {channel: SendResult(result.sent, result.reason) for channel, result in results.items()}


def _send(url: str, messages: Sequence[Message], result: SendResult) -> None:
    from apprise import Apprise, NotifyType  # takes 0.25 s: imported only where there is something to send

    last_warning = _LastWarning()
    logger = logging.getLogger("apprise")
    logger.propagate = False  # it names URLs
    logger.addHandler(last_warning)
    try:
        apprise = Apprise()
        if not apprise.add(url):
            result.reason = "not an Apprise URL"
            return
        for service in apprise:
            service.socket_connect_timeout, service.socket_read_timeout = float(_CONNECT), float(_READ)
        for message in messages:
            _set_incident_key(apprise, message)
            if not apprise.notify(
                title=message.title, body=message.body, notify_type=NotifyType(message.type), body_format="text"
            ):
                result.reason = redact(last_warning.text or "refused").replace(url, "****")
                return
            result.sent += 1
        result.reason = ""
    except Exception as error:  # no fault of a channel may fail a run
        result.reason = redact(f"{type(error).__name__}: {error}").replace(url, "****")
    finally:
        logger.removeHandler(last_warning)


def _set_incident_key(services: Any, message: Message) -> None:
    """Let PagerDuty resolve an incident by itself: it does if the start and the end carry the same key."""
    for service in services:
        if message.key and hasattr(service, "dedup"):
            service.action, service.dedup = "map", message.key


class _LastWarning(logging.Handler):
    """Keep the text of Apprise's last warning; Apprise logs from threads of its own."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()
