"""What was made of files, in memory, as long as those are what it was made from."""

import threading
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

__all__ = ["Remembered"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """The latest values, each with a signature of what it was made from; the oldest go when there are too many.

    Attributes:
        most: How many.
        most_size: And at most so much of them, in whatever their size is given; the last one stays all the same.
    """

    def __init__(self, most: int, most_size: int) -> None:
        """Begin with none."""
        self.most, self.most_size = most, most_size
        self._values: dict[K, tuple[Hashable, V, int]] = {}
        self._size = 0
        self._changing = threading.RLock()  # of a bucket, several objects are read at a time

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._values)

    def __iter__(self) -> Iterator[K]:
        """Go over what they are remembered by, the oldest first."""
        return iter(self._values)

    def get(self, key: K, signature: Hashable) -> V | None:
        """Return a value; None where it is not remembered, or was made from something else."""
        known = self._values.get(key)
        return known[1] if known and known[0] == signature else None

    def before(self, key: K) -> V | None:
        """Return a value, whatever it was made from."""
        known = self._values.get(key)
        return known[1] if known else None

    def keep(self, key: K, signature: Hashable, value: V, size: int) -> None:
        """Remember a value, the only one under this key."""
        with self._changing:
            self.forget(key)
            self._values[key] = signature, value, size
            self._size += size
            while len(self) > self.most or (self._size > self.most_size and len(self) > 1):
                self.forget(next(iter(self._values)))

    def forget(self, key: K) -> None:
        """Let a value go."""
        with self._changing:
            if known := self._values.pop(key, None):
                self._size -= known[2]

    def clear(self) -> None:
        """Let all go."""
        with self._changing:
            self._values.clear()
            self._size = 0
