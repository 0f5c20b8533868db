"""Channels: sends messages by Apprise, and takes no longer than it may.

A channel is named in messages by its place and scheme only, such as ``channel 2 (slack)``: its URL is a secret.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.settings.secrets import redact

__all__ = ["Message", "Result", "channels", "name", "send"]

#: Seconds for a connection and for an answer; and for all channels together, which are told at the same time.
_CONNECT, _READ, _ALL = 5, 10, 30


@dataclass(frozen=True)
class Message:
    """What is sent.

    Attributes:
        mood: Apprise's type: ``info``, ``warning``, ``failure``, or ``success`` at the end of an incident.
        key: The same at the beginning and at the end, for services that keep incidents themselves.
    """

    title: str
    body: str
    mood: str
    key: str = ""


@dataclass
class Result:
    """How far a channel came: how many messages went out, and why no more did."""

    sent: int = 0
    reason: str = ""


def channels(urls: str) -> dict[str, str]:
    """The configured URLs by an id that does not give them away."""
    return {hashlib.sha256(url.encode()).hexdigest()[:12]: url for url in urls.split()}


def name(urls: str, channel: str) -> str:
    """A channel's name for people."""
    known = channels(urls)
    return f"channel {list(known).index(channel) + 1} ({known[channel].partition('://')[0]})"


def send(work: Mapping[str, tuple[str, Sequence[Message]]], seconds: float = _ALL) -> dict[str, Result]:
    """Send to each channel its messages, in order, until one fails.

    Args:
        work: Channel → its URL and messages.
        seconds: How long all of it may take.

    Returns:
        How far each came; one that is not done in time has failed.
    """
    results = {channel: Result(reason="no answer in time") for channel in work}
    threads = [threading.Thread(target=_send, args=(*of, results[c]), daemon=True) for c, of in work.items()]
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return {channel: Result(result.sent, result.reason) for channel, result in results.items()}


def _send(url: str, messages: Sequence[Message], result: Result) -> None:
    from apprise import Apprise, NotifyType  # a quarter of a second, which only a run with something to say pays

    said = _Said()
    logger = logging.getLogger("apprise")
    logger.propagate = False  # it names URLs
    logger.addHandler(said)
    try:
        apprise = Apprise()
        if not apprise.add(url):
            result.reason = "not an Apprise URL"
            return
        for service in apprise:
            service.socket_connect_timeout, service.socket_read_timeout = float(_CONNECT), float(_READ)
        for message in messages:
            _name_incident(apprise, message)
            if not apprise.notify(
                title=message.title, body=message.body, notify_type=NotifyType(message.mood), body_format="text"
            ):
                result.reason = redact(said.last or "refused").replace(url, "****")
                return
            result.sent += 1
        result.reason = ""
    except Exception as error:  # whatever is wrong with a channel never fails a run
        result.reason = redact(f"{type(error).__name__}: {error}").replace(url, "****")
    finally:
        logger.removeHandler(said)


def _name_incident(services: Any, message: Message) -> None:
    """PagerDuty resolves by itself what it is told the end of, if both messages carry the same key."""
    for service in services:
        if message.key and hasattr(service, "dedup"):
            service.action, service.dedup = "map", message.key


class _Said(logging.Handler):
    """Keeps the last warning that Apprise gave of a kind of service; it works in threads of its own."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()
