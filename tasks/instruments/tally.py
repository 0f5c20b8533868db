"""Tally: what a run counts, in one place for the run and the workers it forks."""

import contextlib
import fcntl
import json
import os
import tempfile
from collections import Counter
from typing import Any

from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

__all__ = ["Tally", "Writes"]


class Tally:
    """Counts by name and label. Forked workers add to the same ones, through a file without a name."""

    def __init__(self) -> None:
        """Start from zero."""
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        fcntl.fcntl(self._file, fcntl.F_SETFL, os.O_APPEND)  # so that lines of several workers do not overlap

    def add(self, name: str, label: str = "", amount: float = 1) -> None:
        """Add to a count; where the disk is full, it is too low."""
        with contextlib.suppress(OSError):
            self._file.write(json.dumps([name, label, amount]).encode() + b"\n")

    def totals(self, name: str) -> dict[str, float]:
        """Return the counts of a name, by label."""
        totals: Counter[str] = Counter()
        for line in os.pread(self._file.fileno(), os.fstat(self._file.fileno()).st_size, 0).splitlines():
            counted, label, amount = json.loads(line)
            if counted == name:
                totals[label] += amount
        return dict(totals)

    def total(self, name: str) -> float:
        """Return a count over all labels."""
        return sum(self.totals(name).values())


class Writes(CommandListener):
    """Count the documents that MongoDB acknowledges, by collection."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._collections: dict[int, str] = {}

    def started(self, event: CommandStartedEvent) -> None:
        """Remember which collection a write goes to."""
        if event.command_name in ("update", "insert"):
            self._collections[event.request_id] = event.command[event.command_name]

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Count what it wrote."""
        if collection := self._collections.pop(event.request_id, None):
            reply: Any = event.reply
            self._tally.add("documents", collection, int(reply.get("n", 0)))

    def failed(self, event: CommandFailedEvent) -> None:
        """Forget it."""
        self._collections.pop(event.request_id, None)
