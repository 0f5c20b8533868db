"""Delivery: tells the channels what they do not know yet; what fails is tried again by the next run."""

import logging
from collections import defaultdict
from itertools import groupby
from pathlib import Path

from airqino.errors import PipelineError
from airqino.stores.locks import held
from tasks import logs
from tasks.instruments import channels, hook, incidents, texts
from tasks.instruments.channels import Message
from tasks.instruments.incidents import Book, Incident
from tasks.settings.reading import settings, staging_root
from tasks.settings.secrets import redact

__all__ = ["deliver"]

log = logging.getLogger("instruments.delivery")

#: More messages than this about one kind of incident are one.
_HANDFUL = 5
#: Seconds to wait for another process that sends: a little longer than all channels may take.
_PATIENCE = 40


def deliver(root: Path, urls: str) -> bool:
    """Send what is to be told to each channel: a message for each incident that began or ended.

    More than a handful of a kind at once (a network of 200 stations goes off the air) become one message.

    Args:
        root: The staging root.
        urls: ``[alerts] urls``.

    Returns:
        Whether every channel knows all; not so where another process has been telling them for very long.
    """
    with held(root / ".alerts.sending.lock", wait=_PATIENCE) as alone:
        if not alone:
            return False
        known = channels.channels(urls)
        waiting = _waiting(list(incidents.read(root).incidents.values()), list(known))
        work = {c: (known[c], [message for message, _ in of]) for c, of in waiting.items()}
        results = channels.send(work) if work else {}
        with incidents.book(root) as book:
            for channel, result in results.items():
                for _, told in waiting[channel][: result.sent]:
                    for incident in told:
                        _note(book, incident, channel)
            book.prune(list(known))
    for channel, result in results.items():
        if result.sent < len(work[channel][1]):
            log.warning("alerts: %s failed (%s); the next run tries again", channels.name(urls, channel), result.reason)
    hook.told()
    return all(result.sent == len(work[channel][1]) for channel, result in results.items())


def _note(book: Book, told: Incident, channel: str) -> None:
    """Write down that a channel was told of an incident, which may have ended or begun again meanwhile."""
    now = book.incidents.get(told.key)
    if now and told.ended_at and not now.ended_at:
        now.told.pop(channel, None)  # so that it is told that it is back
    elif now:
        now.told[channel] = told.phase()


def _waiting(known: list[Incident], ids: list[str]) -> dict[str, list[tuple[Message, list[Incident]]]]:
    """For each channel the messages it lacks, ends first, with the incidents that they are about."""
    waiting = defaultdict(list)
    for channel in ids:
        lacking = sorted((i for i in known if i.waits_for(channel)), key=lambda i: (i.phase(), i.kind, i.what))
        for (phase, _), group in groupby(lacking, key=lambda i: (i.phase(), i.kind)):
            of = list(group)
            for together in [of] if len(of) > _HANDFUL else [[incident] for incident in of]:
                waiting[channel].append((texts.message(phase, together), together))
    return waiting


def main() -> None:
    """Tell what a run that is over left to be told."""
    logs.start_logging()
    try:
        deliver(staging_root(), settings().alerts.urls)
    except (OSError, PipelineError) as error:
        log.warning("alerts were not sent: %s", redact(str(error)))


if __name__ == "__main__":
    main()
