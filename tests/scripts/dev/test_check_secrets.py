"""The scan for secrets in the tree, on a repository of its own."""

import secrets
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


class Tree:
    """A repository with one file, settings.py, and one credential in it that the baseline knows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = folder / "settings.py"
        self.baseline = folder / ".secrets.baseline"
        (folder / "scripts" / "dev").mkdir(parents=True)
        shutil.copy(ROOT / "scripts" / "dev" / "check-secrets", folder / "scripts" / "dev")
        (folder / ".venv").symlink_to(ROOT / ".venv")
        self.settings.write_text(assignment())
        self.run("git", "init", "--quiet")
        self.run("git", "add", "settings.py", "scripts")
        known = self.run(".venv/bin/detect-secrets", "scan", "--no-verify").stdout
        self.baseline.write_text(known)
        self.run("git", "add", ".secrets.baseline")
        assert "settings.py" in known

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=True, timeout=60)

    def scan(self) -> subprocess.CompletedProcess[str]:
        command = self.folder / "scripts" / "dev" / "check-secrets"
        return subprocess.run([command], capture_output=True, text=True, timeout=60)


def assignment() -> str:
    """A line of Python that holds a credential made up here."""
    return "pass" + f'word = "{secrets.token_hex(20)}"\n'


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_what_the_baseline_knows_passes(tree: Tree) -> None:
    done = tree.scan()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_known_credential_may_move_and_go(tree: Tree) -> None:
    before = tree.baseline.read_text()
    known = tree.settings.read_text()
    for text in ("# one line more\n" + known, "nothing = None\n"):
        tree.settings.write_text(text)
        assert tree.scan().returncode == 0
    assert tree.baseline.read_text() == before


def test_a_new_credential_is_told_with_its_file_and_not_shown(tree: Tree) -> None:
    added = assignment()
    with tree.settings.open("a") as file:
        file.write(added)
    done = tree.scan()
    assert done.returncode == 1
    assert "settings.py:2" in done.stderr
    assert added.split('"')[1] not in done.stdout + done.stderr


def test_an_unreadable_baseline_is_no_pass(tree: Tree) -> None:
    tree.baseline.write_text("{")
    assert tree.scan().returncode == 1
