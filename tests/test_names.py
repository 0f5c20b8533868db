"""What a name from outside may be."""

import re

import pytest

from airqino import names
from airqino.stores.paths import Paths

#: What nobody may get beyond a folder with, whatever the name is of.
HOSTILE = [
    *("", ".", "..", "../x", "../../victim", "/etc/passwd", "a/b", "a\\b", "2024-09-09/../..", "2024-09-09\n", "\0"),
    *("283181971\n", " 283181971", "２８３", "~", "-rf", ".hidden", "x" * 300, "$(id)", "a;b", "a b", None, 7),
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("read", [names.station_id, names.version_name, names.file_name])
def test_nothing_that_leads_out_of_a_folder_is_a_name(read, text) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="is no "):
        read(text)


def test_names_are_taken_as_they_are() -> None:
    assert names.station_id("283181971") == "283181971"
    assert names.version_name("2024-09-09") == "2024-09-09"
    assert names.file_name("co-1-p10.txt.gz") == "co-1-p10.txt.gz"


@pytest.mark.parametrize("text", ["20240909", "2024-W37-1", "2024-9-9", "2024-02-30", "2024-09-09T00"])
def test_a_version_is_written_in_one_way(text: str) -> None:
    with pytest.raises(ValueError, match="a day such as 2024-09-09"):
        names.version_name(text)


@pytest.mark.parametrize("text", ["admin", "Local", "config", "a.b", "a/b", "", "$x", "x" * 64, "air\n"])
def test_the_servers_own_databases_are_not_ours(text: str) -> None:
    assert not re.search(names.DATABASE, text)


def test_a_database_has_a_plain_name() -> None:
    assert re.search(names.DATABASE, "air_quality-2")
    assert re.search(names.DATABASE, "admin2")


@pytest.mark.parametrize("text", ["../../victim", "/victim"])
def test_a_path_is_built_of_such_names_alone(tmp_path, text: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="is no "):
        Paths(tmp_path).model(text)
    with pytest.raises(ValueError, match="is no "):
        Paths(tmp_path).station(text)
