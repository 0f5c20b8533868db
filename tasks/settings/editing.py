"""Write the operator's airqino.cfg: add a station and leave everything else as it stands, or begin one."""

import configparser
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from airqino.errors import ConfigError, StagingError
from airqino.stores import files
from tasks.settings import luigi_cfg

__all__ = ["differences", "operators_file", "parsed", "save", "with_station"]

_HEADER = re.compile(r"\[[^\]]+\]")
_STATIONS = re.compile(r"stations\s*[=:]", re.IGNORECASE)


def operators_file() -> Path:
    """Return the file that an operator's settings go into, which may not be there yet.

    It is airqino.cfg in the folder of settings. Where there is no such folder, or where the file that LUIGI_CONFIG_PATH
    names lists the stations and so hides the list in airqino.cfg, it is that file.

    Raises:
        ConfigError: There is none.
    """
    folder, named = luigi_cfg.directory(), os.environ.get("LUIGI_CONFIG_PATH")
    other = Path(named).resolve() if named and Path(named).is_file() else None
    if other and (not folder.is_dir() or "stations" in parsed(other).get("airqino", {})):
        return other
    if folder.is_dir():
        return (folder / "airqino.cfg").resolve()
    cure = f"make it (as root: install -d -g airqino -m 0750 {folder}), or let AIRQINO_CONFIG_DIR name another"
    raise ConfigError(f"there is no folder {folder} for airqino.cfg: {cure}")


def parsed(path: Path) -> dict[str, dict[str, str]]:
    """Return what a settings file says: section → option → text, without comments.

    Raises:
        ConfigError: It cannot be read.
    """
    if error := luigi_cfg.mistake([f"{path}"]):
        raise ConfigError(error)
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(path, encoding="utf-8")
    return {section: dict(parser[section]) for section in parser.sections()}


def differences(edited: Path, shipped: Path) -> dict[str, dict[str, str]]:
    """Return what an edited luigi.cfg says otherwise than the one that the package brings: section → option → text.

    What was taken out of it is not told: the package's value holds for it, as before.

    Raises:
        ConfigError: One cannot be read.
    """
    plain = parsed(shipped)
    found = {
        section: {option: text for option, text in options.items() if plain.get(section, {}).get(option) != text}
        for section, options in parsed(edited).items()
    }
    return {section: options for section, options in found.items() if options or section not in plain}


def with_station(
    text: str, station: str, options: Mapping[str, str], notes: Sequence[str] = (), stations: Sequence[str] = ()
) -> str:
    """Return the text of a settings file with a station added to it.

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
    """Write a settings file, with the owner and mode of the one there is: it may hold secrets.

    A new one belongs to its folder's owner and group, who can read it; others cannot.

    Raises:
        StagingError: It cannot be written; what was there before still is.
    """
    there = path.exists()
    status = path.stat() if there else path.parent.stat()

    def content(file: IO[bytes]) -> None:
        os.fchown(file.fileno(), status.st_uid, status.st_gid)
        os.fchmod(file.fileno(), status.st_mode & 0o777 if there else 0o640)
        file.write(text.encode())

    try:
        files.write(path, content)
    except StagingError as error:
        raise StagingError(f"{error}; nothing was changed: run it as root, to whom the folder belongs") from error
