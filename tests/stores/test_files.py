"""Files are written whole or not at all, under names nobody else can have."""

import fnmatch
import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from airqino.errors import StagingError
from airqino.stores import files


def test_a_file_holds_what_was_written_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "made" / "on the way" / "x.json"
    for content in (b"first", b"", b"last"):
        signature = files.write(path, content)
        assert path.read_bytes() == content
        assert signature == (path.stat().st_ino, path.stat().st_mtime_ns, len(content)) == files.signature(path)
    assert [p.name for p in path.parent.iterdir()] == ["x.json"]


def test_a_writer_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    files.write(path, b"old")

    def fail(file: IO[bytes]) -> None:
        file.write(b"half of")
        raise OSError(28, "No space left on device")

    with pytest.raises(StagingError, match=r"x\.json cannot be written: No space left on device"):
        files.write(path, fail)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("a file where a folder belongs")
    with pytest.raises(StagingError, match=r"y\.json cannot be written: "):
        files.write(tmp_path / "x" / "y.json", b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StagingError, match="folder cannot be written: Is a directory"):
        files.write(tmp_path / "folder", b"")


WRITER = """
import sys, time
from pathlib import Path
from airqino.stores import files

def slowly(file):
    file.write(b"half")
    file.flush()
    print("ready", flush=True)
    time.sleep(60)

files.write(Path(sys.argv[1]), slowly)
"""


def test_writers_in_two_containers_with_one_process_id_do_not_meet(tmp_path: Path) -> None:
    """Killed in the middle, each leaves a file of its own, which the doctor and the back-up know as temporary."""
    path = tmp_path / "x.json"
    files.write(path, b"old")
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, f"{path}"], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    try:
        for writer in writers:
            assert writer.stdout
            assert writer.stdout.readline() == "ready\n"
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    left = [p.name for p in tmp_path.iterdir() if p != path]
    assert len(left) == 2
    assert all(fnmatch.fnmatch(name, files.TEMPORARY) for name in left)
    assert not any(f"{writer.pid}" in name for writer in writers for name in left)
    assert path.read_bytes() == b"old"


def test_what_bears_its_name_is_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rename comes after the flush: a power cut in between leaves the old file, not an empty one."""
    steps: list[str] = []
    flush, rename = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda number: (steps.append(f"flush {os.fstat(number).st_size}"), flush(number)))
    monkeypatch.setattr(Path, "replace", lambda path, to: (steps.append("rename"), rename(path, to))[1])
    files.write(tmp_path / "x", b"12345")
    assert steps == ["flush 5", "rename"]


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "2024-09-09"
    files.write_folder(folder, {"a": b"1", "b": b"2"})
    files.write_folder(folder, {"b": b"3"})
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == {"b": b"3"}
    assert [p.name for p in folder.parent.iterdir()] == ["2024-09-09"]


def test_a_folder_that_cannot_be_written_stays_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "2024-09-09"
    files.write_folder(folder, {"a": b"1"})
    with pytest.raises(StagingError):
        files.write_folder(folder, {"a": b"2", "no/such/folder": b""})
    assert (folder / "a").read_bytes() == b"1"
    assert [p.name for p in tmp_path.iterdir()] == ["2024-09-09"]


def test_a_file_system_without_a_size_is_told() -> None:
    with pytest.raises(OSError, match="its file system has no size"):
        files.free_room(Path("/proc"))


def test_the_room_is_what_df_says(tmp_path: Path) -> None:
    free, share = files.free_room(tmp_path)
    (use,) = subprocess.check_output(["df", "--output=pcent", tmp_path], text=True).split()[1:]
    assert share == pytest.approx(1 - int(use.rstrip("%")) / 100, abs=0.015)  # df rounds up
    (available,) = subprocess.check_output(["df", "-B1", "--output=avail", tmp_path], text=True).split()[1:]
    assert free == pytest.approx(int(available), rel=0.01)
