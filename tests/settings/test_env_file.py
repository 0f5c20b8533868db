"""airqino.env: what it sets, what it leaves alone, and what is told of a mistake: place, never value."""

import os
import subprocess
from pathlib import Path

import pytest
from support.deployment import ROOT

from airqino.errors import ConfigError
from tasks.settings import env_file

LINES = {
    "PLAIN='value'": "value",
    "PLAIN='mongodb://h:1/?a=b%40&c=d#e;f'": "mongodb://h:1/?a=b%40&c=d#e;f",
    "PLAIN='$HOME `id` \\ \\\\ \"'": '$HOME `id` \\ \\\\ "',
    "export PLAIN='value'": "value",
    'PLAIN="a value"': "a value",
    "PLAIN=value": "value",
    "PLAIN=''": "",
    "PLAIN=": "",
    "PLAIN='a # b'  # a comment": "a # b",
}


def written(folder: Path, text: str) -> Path:
    path = folder / "airqino.env"
    path.write_text(text)
    return path


@pytest.mark.parametrize(("line", "value"), LINES.items())
def test_a_line_means_what_it_means_to_a_shell(tmp_path: Path, line: str, value: str) -> None:
    path = written(tmp_path, f"# a comment\n\n{line}\nOTHER='x'\n")
    assert env_file.values(path) == {"PLAIN": value, "OTHER": "x"}
    shell = subprocess.run(["sh", "-c", f'. {path}; printf %s "$PLAIN"'], capture_output=True, text=True, timeout=20)
    assert shell.stdout == value


def test_the_example_is_read_as_it_is() -> None:
    path = ROOT / "deploy" / "airqino.env.example"
    told = subprocess.run(["sh", "-c", f"set -a; . {path}; env -0"], capture_output=True, text=True, timeout=20, env={})
    shell = dict(line.split("=", 1) for line in told.stdout.split("\0") if line)
    assert env_file.values(path) == {name: value for name, value in shell.items() if name not in ("PWD", "_", "SHLVL")}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("A='1'\n\nS3cret-without-name\n", " line 3: not NAME='value'; correct it"),
        ("A='1'\nB='S3cret\nC='2'\n", " line 2: not NAME='value'; correct it"),
        ("A='S3cret\nB'\n", " line 1: not NAME='value' on one line; correct it"),
        ("if S3cret; then\n", " line 1: not NAME='value'; correct it"),
        ("A-B='S3cret'\n", " line 1: not NAME='value' on one line; correct it"),
        ('#\nA="S3cret$HOME"\n', " line 2: write the value of A in single quotes"),
        ("A=S3cret`id`\n", " line 1: write the value of A in single quotes"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_without_the_value(tmp_path: Path, text: str, told: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        env_file.values(path)
    assert f"{caught.value}" == f"{path}{told}"


def test_what_cannot_be_read(tmp_path: Path) -> None:
    assert env_file.values(tmp_path / "airqino.env") == {}
    assert env_file.values(tmp_path / "no" / "airqino.env") == {}
    (tmp_path / "airqino.env").mkdir()
    with pytest.raises(ConfigError, match=r"airqino.env cannot be read \(Is a directory\): run as the user airqino"):
        env_file.values(tmp_path / "airqino.env")
    (tmp_path / "latin").write_bytes(b"A='\xe9'\n")
    with pytest.raises(ConfigError, match="latin: the file is not UTF-8 text"):
        env_file.values(tmp_path / "latin")


def test_a_variable_of_the_process_wins_and_an_empty_one_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, "AIRQINO_A='file'\nAIRQINO_B='file'\nAIRQINO_C=\"$(id)\"\nAIRQINO_D='file'\n")
    for name, value in (("A", "process"), ("B", ""), ("C", "sourced"), ("D", "")):
        monkeypatch.setenv(f"AIRQINO_{name}", value)
    assert env_file.load(path) == {"AIRQINO_B", "AIRQINO_D"}
    assert [os.environ[f"AIRQINO_{name}"] for name in "ABCD"] == ["process", "file", "sourced", "file"]
