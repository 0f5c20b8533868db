"""A station is added to luigi.cfg, and nothing else in it changes."""

from configparser import ConfigParser
from pathlib import Path

import pytest
from support.deployment import ROOT

from airqino.errors import ConfigError, StagingError
from tasks.settings.editing import differences, operators_file, save, with_station
from tasks.settings.luigi_cfg import SHIPPED


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
    monkeypatch.setenv("AIRQINO_CONFIG_DIR", "/no")
    save(operators_file(), "[mongo]\n")
    assert link.is_symlink()
    assert path.read_text() == "[mongo]\n"
    assert path.stat().st_mode & 0o777 == 0o640
    assert {file.name for file in tmp_path.iterdir()} == {"link.cfg", "real.cfg"}


def test_which_file_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, named = tmp_path / "etc", tmp_path / "named.cfg"
    monkeypatch.setenv("AIRQINO_CONFIG_DIR", f"{folder}")
    monkeypatch.setenv("LUIGI_CONFIG_PATH", f"{named}")
    with pytest.raises(ConfigError, match=f"there is no folder {folder} for airqino.cfg: make it"):
        operators_file()
    named.write_text("[mongo]\n")
    assert operators_file() == named  # as before there was such a folder
    folder.mkdir()
    assert operators_file() == folder / "airqino.cfg"
    named.write_text("[airqino]\nstations = 1\n")  # it wins over airqino.cfg
    assert operators_file() == named
    monkeypatch.delenv("LUIGI_CONFIG_PATH")
    assert operators_file() == folder / "airqino.cfg"


def test_a_new_file_is_for_the_folders_group_alone(tmp_path: Path) -> None:
    save(tmp_path / "airqino.cfg", "[mongo]\n")
    status, folder = (tmp_path / "airqino.cfg").stat(), tmp_path.stat()
    assert (status.st_mode & 0o777, status.st_uid, status.st_gid) == (0o640, folder.st_uid, folder.st_gid)


def test_what_an_edited_file_says_otherwise(tmp_path: Path) -> None:
    edited, text = tmp_path / "luigi.cfg", (ROOT / "luigi.cfg").read_text()
    edited.write_text(text)
    assert differences(edited, SHIPPED) == {}
    text = text.replace("stations = 283181971,283164601", "stations = 7").replace("retries = 3\n", "")
    edited.write_text(text + "\n[stations.7]\nname = Port\n[email]\nreceiver = a@example.org\n")
    found = {"airqino": {"stations": "7"}, "stations.7": {"name": "Port"}, "email": {"receiver": "a@example.org"}}
    assert differences(edited, SHIPPED) == found


def test_a_folder_that_cannot_be_written() -> None:
    with pytest.raises(StagingError, match=r"/proc/version cannot be written: .*; nothing was changed: run it as root"):
        save(Path("/proc/version"), "")
