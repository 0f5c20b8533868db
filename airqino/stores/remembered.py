"""Tables in memory, as long as their files are what they were read from."""

import threading
from pathlib import Path

import pyarrow as pa

from airqino.stores.files import Signature

__all__ = ["Remembered"]


class Remembered:
    """The latest tables, by their files; the oldest go when there are too many.

    Attributes:
        most: How many: those of 10,000 stations, and more than two months of raw hours.
        most_bytes: And at most so many bytes of them: a day of 10,000 stations, flagged, has 300 MB.
    """

    def __init__(self, most: int = 16_384, most_bytes: int = 128_000_000) -> None:
        """Begin with none."""
        self.most, self.most_bytes = most, most_bytes
        self._tables: dict[Path, tuple[Signature, pa.Table]] = {}
        self._bytes = 0
        self._changing = threading.RLock()  # of a bucket, several objects are read at a time

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._tables)

    def paths(self) -> list[Path]:
        """Return their files, the oldest first."""
        return list(self._tables)

    def get(self, path: Path, signature: Signature | None) -> pa.Table | None:
        """Return a file's table; None where it is not remembered, or of another file under this name."""
        known = self._tables.get(path)
        return known[1] if known and known[0] == signature else None

    def keep(self, path: Path, signature: Signature, table: pa.Table) -> None:
        """Remember a file's table, the only one under this name."""
        with self._changing:
            self.forget(path)
            self._tables[path] = signature, table
            self._bytes += table.nbytes
            while len(self) > self.most or (self._bytes > self.most_bytes and len(self) > 1):
                self.forget(next(iter(self._tables)))

    def forget(self, path: Path) -> None:
        """Let a file's table go."""
        with self._changing:
            if known := self._tables.pop(path, None):
                self._bytes -= known[1].nbytes

    def clear(self) -> None:
        """Let all go."""
        with self._changing:
            self._tables.clear()
            self._bytes = 0
