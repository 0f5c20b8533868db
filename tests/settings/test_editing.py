"""A station is added to luigi.cfg, and nothing else in it changes."""

from configparser import ConfigParser
from pathlib import Path

import pytest
from support.deployment import ROOT

from airqino.errors import ConfigError, StagingError
from tasks.settings.editing import operators_file, save, with_station


def parsed(text: str) -> dict[str, dict[str, str]]:
    parser = ConfigParser(interpolation=None)
    parser.read_string(text)
    return {section: dict(parser[section]) for section in parser.sections()}


def test_the_file_that_is_shipped_keeps_every_line_but_the_list() -> None:
    before = (ROOT / "luigi.cfg").read_text()
    after = with_station(before, "42", {"name": "Port"}, ["latitude = 5"], ["283181971", "283164601", "42"])
    changed = [line for line in before.splitlines() if line not in after.splitlines()]
    assert changed == ["stations = 283181971,283164601"]
    expected = parsed(before) | {"stations.42": {"name": "Port"}}
    expected["airqino"]["stations"] = "283181971,283164601,42"
    assert parsed(after) == expected
    assert after.endswith("\n\n[stations.42]\nname = Port\n# latitude = 5\n")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[staging]\nroot = x\n",
        "[airqino]\nretries = 3\n",
        "[airqino]\nstations = 1,\n  2\nretries = 3\n[mongo]\n",
        "[airqino]\nretries=3\nStations:1\n\n# about mongo\n[mongo]\nuri = mongodb://h/%a\n",
        "[airqino]\n[mongo]\n# stations = 7\n",
    ],
)
def test_lists_in_other_forms(text: str) -> None:
    after = with_station(text, "42", {"name": "Port"}, (), ["1", "42"])
    expected = parsed(text)
    expected["airqino"] = expected.get("airqino", {}) | {"stations": "1,42"}
    assert parsed(after) == expected | {"stations.42": {"name": "Port"}}
    assert {line for line in text.splitlines() if line.startswith("#")} <= {*after.splitlines()}
    assert with_station(after, "42", {"name": "Other"}, (), ["1", "42"]) == after  # once more changes nothing


def test_without_a_list_only_the_section_is_added() -> None:
    assert with_station("[airqino]\nstations = 1\n", "2", {}) == "[airqino]\nstations = 1\n\n[stations.2]\n"


def test_a_file_that_cannot_be_added_to() -> None:
    with pytest.raises(ConfigError, match=r"\[stations.2\] cannot be added to this file: add it by hand"):
        with_station("[airqino]\nstations = 1\n[airqino]\n", "2", {}, (), ["1", "2"])


def test_it_keeps_its_mode_and_a_link_stays_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, link = tmp_path / "real.cfg", tmp_path / "link.cfg"
    path.write_text("[airqino]\n")
    path.chmod(0o640)
    link.symlink_to(path)
    monkeypatch.setenv("LUIGI_CONFIG_PATH", f"{link}")
    save(operators_file(), "[mongo]\n")
    assert link.is_symlink()
    assert path.read_text() == "[mongo]\n"
    assert path.stat().st_mode & 0o777 == 0o640
    assert {file.name for file in tmp_path.iterdir()} == {"link.cfg", "real.cfg"}


def test_no_file_to_write_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LUIGI_CONFIG_PATH", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="LUIGI_CONFIG_PATH"):
        operators_file()
    (tmp_path / "luigi.cfg").write_text("")
    assert operators_file() == tmp_path / "luigi.cfg"


def test_a_folder_that_cannot_be_written() -> None:
    with pytest.raises(StagingError, match="/proc/version cannot be written"):
        save(Path("/proc/version"), "")
