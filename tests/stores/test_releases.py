"""A served folder is always one release: before, or after; never between, and never another's files."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.inprocess import Killed, killed_after

from airqino.errors import StagingError
from airqino.stores import files, releases


def write(root: Path, number: int, names: tuple[str, ...] = ("index.html", "en/index.html", "now.json")) -> None:
    with releases.new_release(root, kept=["data"]) as release:
        for name in (*names, "data/2024.csv"):
            files.write(release / name, f"{number}".encode())
        if number == 1:
            files.write(release / "data" / "2023.csv", b"old")


def served(root: Path) -> dict[str, str]:
    """Each file under its plain name, as a web server finds it."""
    tops = [path for path in root.iterdir() if not path.name.startswith(".") and path.exists()]
    found = [path for top in tops for path in ([top] if top.is_file() else top.rglob("*")) if path.is_file()]
    return {f"{path.relative_to(root)}": path.read_text() for path in found}


def release_of(number: int) -> dict[str, str]:
    names = ("index.html", "en/index.html", "now.json", "data/2024.csv")
    return dict.fromkeys(names, f"{number}") | {"data/2023.csv": "old"}


def test_a_release_takes_the_place_of_the_one_before_and_begins_with_what_is_kept(tmp_path: Path) -> None:
    write(tmp_path, 1)
    assert served(tmp_path) == release_of(1)
    old = (tmp_path / "data/2023.csv").stat()
    with (tmp_path / "data/2024.csv").open() as reading:
        write(tmp_path, 2)
        assert served(tmp_path) == release_of(2)
        assert reading.read() == "1", "who had begun to read it reads it to its end"
    new = (tmp_path / "data/2023.csv").stat()
    assert (old.st_ino, old.st_mtime_ns) == (new.st_ino, new.st_mtime_ns), "linked, not copied"


def test_what_a_release_has_no_more_is_gone_and_of_old_ones_one_stays(tmp_path: Path) -> None:
    write(tmp_path, 1, ("index.html", "badge-7.svg"))
    (tmp_path / "robots.txt").write_text("the operator's own")
    (tmp_path / "more").symlink_to("/usr/share/doc")
    for number in range(2, 6):
        write(tmp_path, number, ("index.html",))
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"index.html", "data", "robots.txt", "more", ".live", ".releases"}
    assert len([*(tmp_path / ".releases").iterdir()]) == 2


def test_whenever_it_is_killed_one_release_is_served_whole_and_the_next_one_comes(tmp_path: Path) -> None:
    killed = set()
    for renames in range(40):
        root = tmp_path / f"{renames}"
        write(root, 1)
        with killed_after(renames):
            try:
                write(root, 2)
            except Killed:
                killed.add(renames)
        assert served(root) in (release_of(1), release_of(2))
        if renames not in killed:
            assert served(root) == release_of(2)
        write(root, 3)
        assert served(root) == release_of(3)
        assert len([*(root / ".releases").iterdir()]) == 2
    assert killed == {*range(5)}, "four files, and the link"


def test_killed_at_the_first_release_nothing_is_served_but_all_or_nothing(tmp_path: Path) -> None:
    for renames in range(12):
        root = tmp_path / f"{renames}"
        kept = {"data/2023.csv": "old"}
        try:
            with killed_after(renames):
                write(root, 1)
        except Killed:
            assert served(root) == (kept := {})
        write(root, 2, ("index.html",))
        assert served(root) == {"index.html": "2", "data/2024.csv": "2"} | kept


def test_what_fails_leaves_what_is_served_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, 1)
    with pytest.raises(ZeroDivisionError), releases.new_release(tmp_path) as release:
        files.write(release / "index.html", f"{1 // 0}".encode())
    assert served(tmp_path) == release_of(1)
    assert len([*(tmp_path / ".releases").iterdir()]) == 1


@pytest.mark.parametrize("make", [lambda path: path.write_text("mine"), lambda path: path.mkdir()])
def test_what_is_anothers_is_not_replaced(tmp_path: Path, make) -> None:
    make(tmp_path / "now.json")
    with pytest.raises(StagingError, match=r"now\.json is in the way: it is not of what is published"):
        write(tmp_path, 1)
    assert not (tmp_path / ".live").exists()
    assert (tmp_path / "now.json").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "public").write_text("a file")
    with pytest.raises(StagingError, match="public cannot be published into: Not a directory"):
        write(tmp_path / "public", 1)


def test_where_files_cannot_be_linked_they_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, 1)

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    old = (tmp_path / "data/2023.csv").stat()
    monkeypatch.setattr("os.link", refuse)
    write(tmp_path, 2)
    assert served(tmp_path) == release_of(2)
    new = (tmp_path / "data/2023.csv").stat()
    assert old.st_mtime_ns == new.st_mtime_ns
    assert old.st_ino != new.st_ino


def test_a_process_that_is_gone_leaves_the_release_before(tmp_path: Path) -> None:
    """Killed outright: nothing is cleaned up by it."""
    write(tmp_path, 1)
    for stop in ("before", "after"):
        code = (
            "import os, signal, sys; from pathlib import Path; from airqino.stores import files, releases\n"
            "def point(link, target):\n"
            "    if link.name == releases.LIVE: os.kill(os.getpid(), signal.SIGKILL)\n"
            "with releases.new_release(Path(sys.argv[1]), ['data']) as release:\n"
            "    files.write(release / 'index.html', b'2')\n"
            "    files.link = point\n"
            f"    if {stop == 'before'}: os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        done = subprocess.run([sys.executable, "-c", code, f"{tmp_path}"], check=False)
        assert done.returncode == -signal.SIGKILL
        assert served(tmp_path) == release_of(1)
    (tmp_path / "..live.0a0b.tmp").symlink_to(".releases/gone")
    write(tmp_path, 3)
    assert served(tmp_path) == release_of(3)
    assert not [*tmp_path.glob(".*.tmp")]
    assert len([*(tmp_path / ".releases").iterdir()]) == 2


def test_a_folder_that_a_copy_took_the_place_of_is_named_with_the_cure(tmp_path: Path) -> None:
    write(tmp_path / "public", 1)
    shutil.copytree(tmp_path / "public", tmp_path / "copy")  # which follows links
    (tmp_path / "copy" / ".releases" / "notes.txt").write_text("a stray file")
    with pytest.raises(StagingError, match=r"\.live is no link: a copy took its place; remove it"):
        write(tmp_path / "copy", 2)
    (tmp_path / "public" / ".releases" / "notes.txt").write_text("a stray file")
    write(tmp_path / "public", 2)
    assert served(tmp_path / "public") == release_of(2)
