"""Configuration files that cannot be parsed: told in one line that names the place and not what stands there."""

from pathlib import Path

import pytest

from tasks.settings import luigi_cfg


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"password S3cret\n", " line 1: it stands before the first [section]"),
        (b"[airqino]\npassword S3cret\n", " line 2: neither [section] nor option = value"),
        (b"[airqino]\npassword = S3cret\npassword = S3cret\n", " line 3: [airqino] password is there twice"),
        (b"[airqino]\n[mongo]\n[airqino]\n", " line 3: section [airqino] is there twice"),
        (b"[airqino]\npassword = S3cret\xff\n", ": the file is not UTF-8 text"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "luigi.cfg"
    path.write_bytes(content)
    assert luigi_cfg.mistake([f"{tmp_path / 'absent.cfg'}", f"{path}"]) == f"{path}{told}; correct it"


def test_a_file_that_is_there_and_cannot_be_read(tmp_path: Path) -> None:
    """Luigi would pass over it: a test deployment would then write where production does."""
    told = luigi_cfg.mistake([f"{tmp_path}"])
    assert told == f"{tmp_path} cannot be read (Is a directory): let this user read it"


def test_an_option_that_luigi_reads_at_once(tmp_path: Path) -> None:
    path = tmp_path / "luigi.cfg"
    path.write_text("[core]\nautoload_range = perhaps\n")
    assert luigi_cfg.mistake([f"{path}"]) == "luigi.cfg [core] autoload_range: Not a boolean: perhaps; correct it"


def test_files_without_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "luigi.cfg"
    path.write_text("[mongo]\nuri = mongodb://u:100%@h/${NAME}\n")  # what stands there is not this module's
    assert luigi_cfg.mistake([f"{path}"]) == ""
