"""Back-ups, whatever became of them: whole or a StagingError, and nothing is written outside the staging root."""

import gzip
import io
import json
import shutil
import tarfile
from functools import partial
from pathlib import Path

import bson
import pytest
from hypothesis import strategies as st
from support.fuzzing import outcome, spoiled, tried

from airqino.errors import StagingError
from airqino.stores import archive

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(3600)]

FILES = {"2026-03-10/raw/10.parquet": b"PAR1" * 20, "alerts.json": b'{"incidents": []}', "stations/1.parquet": b"x"}
DOCUMENTS = [{"_id": f"1|2026-03-{day:02}", "station": "1", "co_mean": day / 10} for day in range(1, 6)]


@pytest.fixture
def backup(tmp_path: Path) -> bytes:
    """A back-up as `archive.write` makes it, with a collection beside the files."""
    with tarfile.open(tmp_path / "made.tar.gz", "w:gz") as tar:
        about = json.dumps({"files": len(FILES), "documents": {"daily_averages": 5}, "environment": "test"}).encode()
        members = {f"staging/{name}": content for name, content in FILES.items()}
        members["database/daily_averages.bson"] = b"".join(bson.encode(document) for document in DOCUMENTS)
        for name, content in {**members, "manifest.json": about}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return (tmp_path / "made.tar.gz").read_bytes()


def _restore(path: Path, root: Path) -> tuple[int, int]:
    """Restore as `scripts/restore` does; return how many files the archive says it has, and how many were written."""
    about = archive.check(path, root)
    count = archive.extract(path, root)
    assert all(isinstance(document, dict) for _, some in archive.documents(path) for document in some)
    return about.files, count


def test_spoiled_archives(tmp_path: Path, backup: bytes) -> None:
    folder = tmp_path / "restored"

    def restored(content: bytes) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        path, root = folder / "backup.tar.gz", folder / "staging"
        path.write_bytes(content)
        done, error = outcome(partial(_restore, path, root), StagingError)
        assert done or f"{path}" in error or f"{root}" in error
        assert {p.name for p in folder.iterdir()} <= {"backup.tar.gz", "staging"}
        assert not [p for p in folder.rglob("*") if p.is_symlink()]
        if done:
            assert done == (sum(p.is_file() for p in root.rglob("*")),) * 2

    packed = spoiled(gzip.decompress(backup)).map(lambda tar: gzip.compress(tar, 1))
    tried(restored, st.one_of(spoiled(backup), packed, packed))
