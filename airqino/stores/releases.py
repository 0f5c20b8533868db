"""A served folder whose files change all at once: they lie in a release, and one link is moved to the next release.

In the folder stand links to what the live release holds, so that any server of files, and a copy that follows links,
sees plain names. A reader between two requests may see two releases, never a mixture of both in one of them.

A bucket has no links: there each file is replaced by itself, in the order in which it is written, and a record of what
was written comes last. For the seconds of a release a reader may see files of two hours, each whole.
"""

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from airqino.errors import StagingError
from airqino.stores import bucket, files
from airqino.stores.bucket import BucketPath

__all__ = ["LIVE", "is_anothers", "live", "new_release"]

#: The link to the release that is served.
LIVE = ".live"
_RELEASES = ".releases"
#: In a bucket: the names of what the last release wrote.
_RECORD = ".release.json"


def live(root: Path) -> Path:
    """Return the release that is served; a path where nothing is, if there is none."""
    return root if files.is_in_bucket(root) else root / LIVE


def is_anothers(root: Path) -> bool:
    """Tell whether a folder holds a page that was not published by us."""
    page = root / "index.html"
    return page.is_file() and not (files.signature(root / _RECORD) if files.is_in_bucket(root) else page.is_symlink())


@contextlib.contextmanager
def new_release(root: Path, kept: Sequence[str] = ()) -> Iterator[Path]:
    """Yield an empty folder to write a release into; when the block ends, it is what is served.

    A release that is not finished is never served, however the process ends; the next one removes it. The release
    before stays until then, for those who are copying it.

    Args:
        root: The served folder; it is made if it is missing. What else lies in it is left alone.
        kept: Names of folders that the new release begins with as they are: files are linked, so whoever changes one
            has to write another in its place, as `files.write` does.

    Raises:
        StagingError: The folder cannot be written, or something of another's bears the name of a released file.
    """
    if isinstance(root, BucketPath):
        yield from _in_place(root, kept)
        return
    releases = root / _RELEASES
    new = releases / f"{datetime.now(UTC):%Y%m%dT%H%M%S}.{uuid.uuid4().hex[:8]}"
    try:
        releases.mkdir(parents=True, exist_ok=True)
        before = _served(root)
        for path in root.glob(files.TEMPORARY):  # a link that was not moved to its place
            path.unlink()
        _remove(releases, [before])
        new.mkdir()
        for name in kept if before else ():
            if (root / LIVE / name).is_dir():
                shutil.copytree(root / LIVE / name, new / name, copy_function=_link)
        try:
            yield new
            names = sorted(path.name for path in new.iterdir() if not path.name.startswith("."))
            _name(root, names)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
        files.link(root / LIVE, Path(_RELEASES) / new.name)
        for path in root.iterdir():  # those of a station that is gone
            if path.name not in names and _is_ours(path):
                path.unlink()
        _remove(releases, [before, new.name])
    except OSError as error:
        raise StagingError(f"{root} cannot be published into: {error.strerror or error} ({error.filename})") from error


def _in_place(root: BucketPath, kept: Sequence[str]) -> Iterator[Path]:
    """Yield the served folder of a bucket itself; in the end remove what the release before has alone."""
    try:
        before = set(json.loads((root / _RECORD).read_bytes()))
    except FileNotFoundError:
        if is_anothers(root):
            told = f"{root / 'index.html'} is in the way: it is not of what is published; name another folder"
            raise StagingError(told) from None
        before = set()
        files.write(root / _RECORD, b"[]")  # from now on what is there is ours
    with bucket.recorded() as written:
        yield root
        names = {path.relative_to(root).as_posix() for path in written if root in path.parents}
    names = {name for name in names if name.partition("/")[0] not in kept}
    files.write(
        root / _RECORD, json.dumps(sorted(before | names)).encode()
    )  # if it is killed now, the next one goes on
    for name in before - names:
        (root / name).unlink(missing_ok=True)
    files.write(root / _RECORD, json.dumps(sorted(names)).encode())


def _served(root: Path) -> str:
    """Return the name of the release that is served; "" where there is none."""
    link = root / LIVE
    if link.exists() and not link.is_symlink():
        raise StagingError(f"{link} is no link: a copy took its place; remove it, with what it was copied with")
    return link.readlink().name if link.is_symlink() else ""


def _remove(releases: Path, but: Sequence[str]) -> None:
    for path in releases.iterdir():
        if path.name not in but and path.is_dir():
            shutil.rmtree(path)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links, or a file that has too many
        shutil.copy2(source, target)


def _name(root: Path, names: Sequence[str]) -> None:
    """Give each file and folder of a release its name in the served folder."""
    for name in names:
        path = root / name
        if _is_ours(path):
            continue
        if path.exists() or path.is_symlink():
            raise StagingError(f"{path} is in the way: it is not of what is published; move it, or set another folder")
        files.link(path, Path(LIVE) / name)


def _is_ours(path: Path) -> bool:
    return path.is_symlink() and path.readlink() == Path(LIVE) / path.name
