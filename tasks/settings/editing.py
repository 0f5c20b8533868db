"""Add a station to the operator's luigi.cfg, and leave everything else in it as it stands."""

import configparser
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from airqino.errors import ConfigError
from airqino.stores import files

__all__ = ["operators_file", "save", "with_station"]

_HEADER = re.compile(r"\[[^\]]+\]")
_STATIONS = re.compile(r"stations\s*[=:]", re.IGNORECASE)


def operators_file() -> Path:
    """Return the file that an operator's settings go into: the one that LUIGI_CONFIG_PATH names, else luigi.cfg here.

    Raises:
        ConfigError: There is none. One that is made here would hide the settings that the package brings.
    """
    path = Path(os.environ.get("LUIGI_CONFIG_PATH") or "luigi.cfg")
    if not path.is_file():
        raise ConfigError(f"there is no file {path} to write to: let LUIGI_CONFIG_PATH name one, which may be empty")
    return path.resolve()


def with_station(
    text: str, station: str, options: Mapping[str, str], notes: Sequence[str] = (), stations: Sequence[str] = ()
) -> str:
    """Return the text of a luigi.cfg with a station added to it.

    Args:
        text: The file.
        station: The station's id.
        options: Of its section; where the file has the section, it stays as it is.
        notes: Comment lines below the options.
        stations: All ids for ``[airqino] stations``; none leaves that option alone.

    Raises:
        ConfigError: The file is written in a way that this cannot add to.
    """
    lines = text.splitlines()
    if stations:
        _list(lines, ",".join(stations))
    header = f"[stations.{station}]"
    if header not in (line.strip() for line in lines):
        lines += ["", header, *(f"{name} = {value}" for name, value in options.items()), *(f"# {n}" for n in notes)]
    result = "\n".join(lines).lstrip("\n") + "\n"
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(result)
        right = not stations or parser["airqino"]["stations"] == ",".join(stations)
    except (configparser.Error, KeyError):
        right = False
    if not right:
        raise ConfigError(f"{header} cannot be added to this file: add it by hand, and {station} to [airqino] stations")
    return result


def _list(lines: list[str], ids: str) -> None:
    """Set ``[airqino] stations``, over however many lines it reaches."""
    headers = [n for n, line in enumerate(lines) if _HEADER.match(line)]
    start = next((n for n in headers if lines[n].startswith("[airqino]")), None)
    if start is None:
        lines += ["", "[airqino]", f"stations = {ids}"]
        return
    stop = next((n for n in headers if n > start), len(lines))
    option = next((n for n in range(start, stop) if _STATIONS.match(lines[n])), None)
    if option is None:
        lines.insert(start + 1, f"stations = {ids}")
        return
    after = next((n for n in range(option + 1, stop) if not re.match(r"\s+\S", lines[n])), stop)
    lines[option:after] = [f"stations = {ids}"]


def save(path: Path, text: str) -> None:
    """Write a settings file in place of the one there is, with its owner and mode: it may hold secrets.

    Raises:
        StagingError: It cannot be written; what was there before still is.
    """
    status = path.stat()

    def content(file: IO[bytes]) -> None:
        os.fchown(file.fileno(), status.st_uid, status.st_gid)
        os.fchmod(file.fileno(), status.st_mode & 0o777)
        file.write(text.encode())

    files.write(path, content)
