"""Delivery: send each channel what it lacks; what fails is sent again by the next run."""

import contextlib
import logging
import sys
from collections import defaultdict
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

import msgspec

from airqino.errors import PipelineError
from airqino.stores.locks import held
from airqino.stores.paths import Paths
from tasks import logs
from tasks.instruments import channels, hook, incidents, texts
from tasks.instruments.channels import Message
from tasks.instruments.incidents import Book, Incident
from tasks.settings.reading import settings, staging_root
from tasks.settings.secrets import redact

__all__ = ["deliver", "send_unwritten"]

log = logging.getLogger("instruments.delivery")

#: More incidents of one kind than this share a message.
_MOST_SINGLE = 5
#: Seconds to wait for another process that sends: a little longer than all channels may take.
_WAIT_SECONDS = 40


def deliver(root: Path, urls: str) -> bool:
    """Send each channel a message for each incident that began or ended since it was last notified.

    Many incidents of a kind at once (a network of 200 stations goes off the air) share one message.

    Args:
        root: The staging root.
        urls: ``[alerts] urls``.

    Returns:
        Whether every channel knows everything. False where a channel failed, or another process was still sending.
    """
    with held(Paths(root).lock("alerts.sending"), wait=_WAIT_SECONDS) as alone:
        if not alone:
            return False
        by_id = channels.urls_by_id(urls)
        pending = _pending(list(incidents.read(root).incidents.values()), list(by_id))
        outbox = {channel: (by_id[channel], [message for message, _ in pairs]) for channel, pairs in pending.items()}
        results = channels.send(outbox) if outbox else {}
        with incidents.book(root) as book:
            for channel, result in results.items():
                for _, sent_incidents in pending[channel][: result.sent]:
                    for incident in sent_incidents:
                        _record(book, incident, channel)
            book.prune(list(by_id))
    failures = {channel: result.reason for channel, result in results.items() if result.sent < len(pending[channel])}
    for channel, reason in failures.items():
        log.warning("alerts: %s failed (%s); the next run tries again", channels.display_name(urls, channel), reason)
    hook.mark_sent()
    return not failures


def send_unwritten(root: Path, urls: str, error: Exception, holding: Iterable[Incident]) -> bool:
    """Send what cannot be written down, such as on a full disk: one message, and again whenever this is asked.

    Args:
        root: The staging root.
        urls: ``[alerts] urls``.
        error: Why it cannot be written down.
        holding: The incidents; those that a channel knows of already are left out.

    Returns:
        Whether every channel took it.
    """
    known = set()
    with contextlib.suppress(OSError):  # nor may it be readable
        known = {incident.key for incident in incidents.read(root).open() if incident.notified}
    new = {incident.key: incident for incident in holding if incident.key not in known}
    message = texts.unwritten(redact(f"{error}"), list(new.values()))
    results = channels.send({channel: (url, [message]) for channel, url in channels.urls_by_id(urls).items()})
    for channel, result in results.items():
        if not result.sent:
            log.warning("alerts: %s failed (%s)", channels.display_name(urls, channel), result.reason)
    return all(result.sent for result in results.values())


def _record(book: Book, sent: Incident, channel: str) -> None:
    """Write down that a channel was notified of an incident, which may have ended or begun again meanwhile."""
    current = book.incidents.get(sent.key)
    if current and sent.ended_at and not current.ended_at:
        current.notified.pop(channel, None)  # so that the channel is notified that it is back
    elif current:
        current.notified[channel] = sent.phase()


def _pending(all_incidents: list[Incident], ids: list[str]) -> dict[str, list[tuple[Message, list[Incident]]]]:
    """Return for each channel the messages it lacks, ends first, each with the incidents that it is about."""
    pending = defaultdict(list)
    for channel in ids:
        lacking = [incident for incident in all_incidents if incident.pending_for(channel)]
        lacking.sort(key=lambda i: (i.phase(), i.kind, i.subject))
        for (phase, _), group in groupby(lacking, key=lambda i: (i.phase(), i.kind)):
            of_kind = list(group)
            for together in [of_kind] if len(of_kind) > _MOST_SINGLE else [[incident] for incident in of_kind]:
                pending[channel].append((texts.message(phase, together), together))
    return pending


def main() -> None:
    """Send what a run that is over left to send: what is written down, or the incidents that standard input names."""
    logs.start_logging()
    root, urls = staging_root(), settings().alerts.urls
    left = msgspec.json.decode(sys.stdin.buffer.read() or b"[]", type=list[Incident])
    try:
        with incidents.book(root) as book:  # there may be room again
            for incident in left:
                book.begin(incident)
        deliver(root, urls)
    except (OSError, PipelineError) as error:
        if left:
            send_unwritten(root, urls, error, left)
        else:
            log.warning("alerts were not sent: %s", redact(str(error)))


if __name__ == "__main__":
    main()
