"""What was listed of a bucket a moment ago, so that a page of 1,000 names answers for all that it holds.

What lies in one folder right under the root (a day, the models, the quarantine) is known as a whole or not at all. A
page that begins at one of them usually holds the next ones too, so a month of days costs two requests.
"""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

__all__ = ["Entry", "Listings"]

#: Seconds for which a listing is taken for what there is. Who gets another's lock looks anew, and a task of luigid's.
_SECONDS = 30.0


class Entry(NamedTuple):
    """An object, as a listing has it: its ETag, its bytes, and when it was put (seconds since 1970)."""

    etag: str
    size: int
    modified: float


class _Span(NamedTuple):
    """Folders under the root that are known: from one name to another, both included, since a moment.

    Names end with a slash, as their order is that of the keys.
    """

    first: str
    last: str
    moment: float


class Listings:
    """The listings of one root."""

    def __init__(self, prefix: str, ask: Callable[..., dict[str, Any]]) -> None:
        """Know nothing yet.

        Args:
            prefix: What the names under the root begin with: "" or ending with a slash.
            ask: Lists a page, as S3's ListObjectsV2 does.
        """
        self._prefix, self._ask = prefix, ask
        self._lock = threading.RLock()
        self.forget()

    def forget(self) -> None:
        """Forget everything."""
        with self._lock:
            self._spans: list[_Span] = []
            self._folders: dict[str, dict[str, Entry]] = {}
            self._names: tuple[float, dict[str, Entry | None]] | None = None

    def below(self, prefix: str) -> dict[str, Entry]:
        """Return the objects whose keys begin with a prefix under the root, by key, sorted."""
        with self._lock:
            if prefix == self._prefix:
                pages = self._pages(Prefix=self._prefix)
                return {of["Key"]: _entry(of) for page in pages for of in page.get("Contents", ())}
            found = self._folder(prefix)
            return {key: found[key] for key in sorted(found) if key.startswith(prefix)}

    def get(self, key: str) -> Entry | None:
        """Return what is known of a key; None where there is no such object."""
        with self._lock:
            if "/" in key.removeprefix(self._prefix):
                return self._folder(key).get(key)
            return self._top().get(key.removeprefix(self._prefix))

    def names(self) -> list[str]:
        """Return the names of folders and objects right under the root."""
        with self._lock:
            return sorted(self._top())

    def _top(self) -> dict[str, Entry | None]:
        """Return what lies right under the root: each object, and None for a folder."""
        if self._names is None or self._names[0] < time.monotonic() - _SECONDS:
            found: dict[str, Entry | None] = {}
            begin, moment = len(self._prefix), time.monotonic()
            for page in self._pages(Prefix=self._prefix, Delimiter="/"):
                found |= {of["Prefix"][begin:].rstrip("/"): None for of in page.get("CommonPrefixes", ())}
                found |= {of["Key"][begin:]: _entry(of) for of in page.get("Contents", ())}
            self._names = moment, found
        return self._names[1]

    def added(self, key: str, entry: Entry) -> None:
        """Take note of an object that this process has put."""
        with self._lock:
            folder, slash, _ = key.removeprefix(self._prefix).partition("/")
            if self._names:
                self._names[1][folder] = None if slash else entry
            if slash and self._is_known(f"{folder}/"):
                self._folders.setdefault(f"{folder}/", {})[key] = entry

    def removed(self, key: str) -> None:
        """Take note of an object that this process has deleted."""
        with self._lock:
            self._names = None
            self._folders.get(f"{key.removeprefix(self._prefix).partition('/')[0]}/", {}).pop(key, None)

    def _folder(self, key: str) -> dict[str, Entry]:
        folder = f"{key.removeprefix(self._prefix).partition('/')[0]}/"
        self._know(folder)
        return self._folders.get(folder, {})

    def _is_known(self, folder: str) -> bool:
        oldest = time.monotonic() - _SECONDS
        return any(span.first <= folder <= span.last and span.moment > oldest for span in self._spans)

    def _know(self, folder: str) -> None:
        """List from a folder on, until it is whole; the folders after it that came with it are known then, too."""
        if self._is_known(folder):
            return
        moment = time.monotonic()
        self._spans = [span for span in self._spans if span.moment > moment - _SECONDS]
        found: dict[str, dict[str, Entry]] = {folder: {}}
        last = folder
        for page in self._pages(Prefix=self._prefix, StartAfter=f"{self._prefix}{folder}"):
            for of in page.get("Contents", ()):
                name, slash, _ = of["Key"].removeprefix(self._prefix).partition("/")
                if slash:
                    found.setdefault(f"{name}/", {})[of["Key"]] = _entry(of)
            last = max(found)
            if not page.get("IsTruncated"):
                last = "\U0010ffff"  # nothing comes after it
                break
            if last > folder:  # the last one may go on
                del found[last]
                last = max(found)
                break
        self._folders |= found
        for name in [n for n in self._folders if folder <= n <= last and n not in found]:
            del self._folders[name]
        self._spans.append(_Span(folder, last, moment))

    def _pages(self, **options: str) -> Iterator[dict[str, Any]]:
        while True:
            page = self._ask(**options)
            yield page
            if not page.get("IsTruncated"):
                return
            options = {**options, "ContinuationToken": page["NextContinuationToken"]}


def _entry(of: dict[str, Any]) -> Entry:
    return Entry(of["ETag"], of["Size"], of["LastModified"].timestamp())
