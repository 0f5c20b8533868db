"""Back-ups that others have made or changed: nothing outside the staging root is written, and nothing that is there."""

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bson
import pytest

from airqino.errors import StagingError
from airqino.stores import archive, files

Fill = Callable[[tarfile.TarFile], None]


def put(name: str, content: bytes = b"x", **about: Any) -> Fill:
    """A member of an archive."""

    def add(tar: tarfile.TarFile) -> None:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        for field, value in about.items():
            setattr(member, field, value)
        tar.addfile(member, io.BytesIO(content) if member.isreg() else None)

    return add


def manifest(files: int = 1, documents: Any = None) -> Fill:
    return put("manifest.json", json.dumps({"files": files, "documents": documents or {}}).encode())


def made(path: Path, *members: Fill) -> Path:
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        for add in members:
            add(tar)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that nothing is written into but by the test: what is in it afterwards was written by an archive."""
    (tmp_path / "root").mkdir()
    return tmp_path


def unpack(path: Path, root: Path, checked: bool = False) -> None:
    """Take all that an archive holds."""
    if checked:
        archive.check(path, root)
    archive.extract(path, root)
    list(archive.documents(path))


OK = put("staging/2024-09-09/daily.parquet")


@pytest.mark.parametrize(
    ("member", "named"),
    [
        (put("staging/../../outside"), "outside"),
        (put("staging/a/../../../outside"), "outside"),
        (put("/staging/outside"), "/staging/outside"),
        (put("/etc/outside"), "/etc/outside"),
        (put("../outside"), "../outside"),
        (put("outside"), "outside"),
        (put("staging"), "staging"),
        (put("staging/link", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "staging/link"),
        (put("staging/link", b"", type=tarfile.LNKTYPE, linkname="../../etc/passwd"), "staging/link"),
        (put("staging/device", b"", type=tarfile.CHRTYPE), "staging/device"),
        (put("staging/disk", b"", type=tarfile.BLKTYPE), "staging/disk"),
        (put("staging/pipe", b"", type=tarfile.FIFOTYPE), "staging/pipe"),
        (put("staging/.run.lock"), "staging/.run.lock"),
        (put("staging/.live/index.html"), "staging/.live/index.html"),
        (put("database/system.views.bson"), "database/system.views.bson"),
        (put("database/a/b.bson"), "database/a/b.bson"),
        (put("database/$cmd.bson"), "database/$cmd.bson"),
        (put("database/daily.json"), "database/daily.json"),
        (put("database/.bson"), "database/.bson"),
    ],
)
def test_a_member_that_no_backup_has_is_refused_before_anything_is_written(
    folder: Path, member: Fill, named: str
) -> None:
    path = made(folder / "bad.tar.gz", OK, member, manifest(2))
    before = {*folder.rglob("*")}
    with pytest.raises(StagingError, match=r"bad\.tar\.gz") as caught:
        archive.check(path, folder / "root")
    assert named in str(caught.value)
    with pytest.raises(StagingError, match=r"bad\.tar\.gz"):
        unpack(path, folder / "root")
    assert {*folder.rglob("*")} - before <= {folder / "root/2024-09-09", folder / "root/2024-09-09/daily.parquet"}


def test_a_member_named_twice_is_refused(folder: Path) -> None:
    path = made(folder / "bad.tar.gz", OK, put("staging/2024-09-09/daily.parquet", b"other"), manifest(2))
    with pytest.raises(StagingError, match="twice"):
        archive.check(path, folder / "root")


def test_what_comes_after_the_list_is_refused_too(folder: Path) -> None:
    path = made(folder / "bad.tar.gz", OK, manifest(1), put("staging/2024-09-10/daily.parquet"))
    with pytest.raises(StagingError, match="after its end"):
        archive.check(path, folder / "root")


def test_one_that_lacks_a_file_is_refused(folder: Path) -> None:
    path = made(folder / "bad.tar.gz", OK, manifest(2))
    with pytest.raises(StagingError, match="1 of 2 files"):
        archive.check(path, folder / "root")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"files": "x", "documents": {}}', b'{"files": 1, "documents": {"daily": "x"}}']
)
def test_a_list_that_is_none_is_refused(folder: Path, content: bytes) -> None:
    path = made(folder / "bad.tar.gz", OK, put("manifest.json", content))
    with pytest.raises(StagingError, match=r"bad\.tar\.gz"):
        archive.check(path, folder / "root")


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b\x08", b"\x1f\x8b\x08\x1f\x8b\x08", b"\x1f\x8b\x08\x08" + bytes(6)])
def test_one_that_ends_in_its_first_bytes_is_refused(folder: Path, content: bytes) -> None:
    path = folder / "backup.tar.gz"
    path.write_bytes(content)
    with pytest.raises(StagingError, match="cannot be read as a back-up"):
        archive.check(path, folder / "root")


@pytest.mark.parametrize("name", ["manifest.json", "database/loads.bson", "staging/2026-03-10/raw/10.parquet"])
def test_one_that_ends_within_a_file_is_refused(folder: Path, name: str) -> None:
    """Packed whole, so that gzip's own checksum is right."""
    whole = made(folder / "whole.tar.gz", put(name, b"\x40\0\0\0" + bytes(900)))
    tar = gzip.decompress(whole.read_bytes())
    path = folder / "backup.tar.gz"
    path.write_bytes(gzip.compress(tar[: 512 + 100]))
    with pytest.raises(StagingError, match="cannot be read as a back-up"):
        archive.check(path, folder / "root")
    with pytest.raises(StagingError, match="cannot be read as a back-up"):
        unpack(path, folder / "root")


def test_one_that_unpacks_to_a_thousand_times_its_size_is_refused_unread(folder: Path) -> None:
    class Zeros(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            return bytes(size)

    def bomb(tar: tarfile.TarFile) -> None:
        member = tarfile.TarInfo("staging/2024-09-09/bomb.parquet")
        member.size = 300_000_000
        tar.addfile(member, Zeros())  # type: ignore[arg-type]

    path = made(folder / "bad.tar.gz", bomb, manifest())
    assert path.stat().st_size < 2_000_000
    with pytest.raises(StagingError, match=r"300 MB.*bad\.tar\.gz|bad\.tar\.gz.*300 MB"):
        archive.check(path, folder / "root")


def test_one_that_the_disk_has_no_room_for_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(folder / "large.tar.gz", put("staging/a.parquet", b"x" * 1000), manifest())
    assert archive.check(path, folder / "root" / "not" / "there").files == 1
    monkeypatch.setattr(files, "free_room", lambda folder: (500, 0.5))
    with pytest.raises(StagingError, match="no room"):
        archive.check(path, folder / "root")


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xff\xff\x7f" + b"x" * 50,  # a document of 2 GB
        b"\x04\x00\x00\x00",
        bson.encode({"_id": 1})[:-3],
        bson.encode({"_id": 1}) + b"\x01",
        (20).to_bytes(4, "little") + b"\x99" * 15 + b"\0",
        bson.encode({"no": "id"}),
    ],
)
def test_documents_that_are_none_are_refused(folder: Path, content: bytes) -> None:
    path = made(folder / "bad.tar.gz", put("database/daily_averages.bson", content), manifest(0, {"daily_averages": 1}))
    with pytest.raises(StagingError, match=r"bad\.tar\.gz.*daily_averages"):
        unpack(path, folder / "root", checked=True)


def test_what_is_there_is_not_replaced(folder: Path) -> None:
    path = made(folder / "good.tar.gz", OK, put("staging/logs/pipeline-2024-09.jsonl", b"old\n"), manifest(2))
    log = folder / "root" / "logs" / "pipeline-2024-09.jsonl"
    log.parent.mkdir()
    log.write_bytes(b"what the restore itself wrote\n")
    archive.check(path, folder / "root")
    assert archive.extract(path, folder / "root") == 1
    assert log.read_bytes() == b"what the restore itself wrote\n"
    assert (folder / "root/2024-09-09/daily.parquet").read_bytes() == b"x"
