"""Where settings are read from: found, checked and loaded before anything imports Luigi.

Luigi reads its files while it is imported, and raises there: a person would see a traceback for a typing error. Here
the error becomes one line, which `tasks.settings.reading.settings` raises, and Luigi is imported without any file.
`tasks/__init__.py` imports this module first. Under plain ``luigi --module tasks`` Luigi is there already: it reads its
files again, with ours among them. The head of luigi.cfg lists the files in their order.
"""

import configparser
import contextlib
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

from airqino.errors import ConfigError
from tasks.settings import env_file

__all__ = [
    "BROKEN",
    "DIRECTORY",
    "ENV_FILE",
    "FROM_FILE",
    "READ",
    "SHIPPED",
    "Source",
    "directory",
    "mistake",
    "sources",
    "where",
]

#: Where Luigi itself looks, in its order.
_PATHS = ("/etc/luigi/client.cfg", "/etc/luigi/luigi.cfg", "client.cfg", "luigi.cfg")
#: The settings that the package brings, and how it logs.
SHIPPED = Path(__file__).with_name("luigi.cfg")
_LOGGING = Path(__file__).parent.with_name("logging.cfg")
#: The folder of airqino.cfg and airqino.env, and the variable that names another one.
_DIRECTORY, _VARIABLE = "/etc/airqino", "AIRQINO_CONFIG_DIR"


@dataclass(frozen=True)
class Source:
    """A file of settings, and whether it was read: a folder's own may be absent."""

    path: Path
    there: bool


def directory() -> Path:
    """Return the folder of the operator's settings; a relative one is that of whoever called the script."""
    named = os.environ.get(_VARIABLE) or _DIRECTORY
    return Path(os.environ.get("AIRQINO_CALLER_DIR") or ".", named).absolute()


def sources(paths: list[str]) -> list[Source]:
    """Return the files that settings may come from, each overriding those before; Luigi's own only if they are there.

    Args:
        paths: Those that Luigi reads, in its order.
    """
    found = [Source(path, path.is_file()) for path in map(Path, paths)]
    ours = [source for source in found if source.there or source.path.parent == DIRECTORY]
    return [*ours, Source(ENV_FILE, ENV_FILE.is_file())]


def mistake(paths: list[str]) -> str:
    """Say what is wrong with the files, without the line itself, which may hold a secret; empty where nothing is."""
    parser = configparser.ConfigParser(interpolation=None)
    for path in paths:
        try:
            if Path(path).exists():
                parser.read_string(Path(path).read_text(encoding="utf-8"), path)
        except OSError as error:  # Luigi would pass over it in silence
            cure = "run as the user airqino" if Path(path).parent == DIRECTORY else "let this user read it"
            return f"{path} cannot be read ({error.strerror}): {cure}"
        except (configparser.Error, UnicodeDecodeError) as error:
            line = getattr(error, "lineno", None) or next((n for n, _ in getattr(error, "errors", [])), None)
            return f"{path}{f' line {line}' if line else ''}: {_explain(error)}; correct it"
    try:
        parser.getboolean("core", "autoload_range", fallback=False)  # Luigi reads it while it is imported, too
    except ValueError as error:
        return f"{where(paths, 'core', 'autoload_range')} [core] autoload_range: {error}; correct it"
    return ""


def where(paths: list[str], section: str, option: str) -> str:
    """Return the file that says an option last, as errors name it; luigi.cfg where none does."""
    for path in map(Path, reversed(paths)):
        parser = configparser.RawConfigParser(strict=False)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        with contextlib.suppress(OSError, UnicodeDecodeError, configparser.Error):
            parser.read_string(path.read_text(encoding="utf-8"))
            if parser.has_section(section) and option in parser[section]:
                return path.name if path.name == "luigi.cfg" else f"{path}"
    return "luigi.cfg"


def _explain(error: configparser.Error | UnicodeDecodeError) -> str:
    match error:
        case configparser.MissingSectionHeaderError():
            return "it stands before the first [section]"
        case configparser.DuplicateSectionError():
            return f"section [{error.section}] is there twice"
        case configparser.DuplicateOptionError():
            return f"[{error.section}] {error.option} is there twice"
        case UnicodeDecodeError():
            return "the file is not UTF-8 text"
    return "neither [section] nor option = value"


def _load_variables() -> tuple[frozenset[str], str]:
    """Set the variables of airqino.env.

    Returns:
        Their names, and what is wrong with the file or its folder.
    """
    if os.environ.get(_VARIABLE) and not DIRECTORY.is_dir():  # not to fall back to another environment's settings
        return frozenset(), f"{_VARIABLE} = {DIRECTORY}: there is no such folder; correct the variable, or unset it"
    try:
        return env_file.load(ENV_FILE), ""
    except ConfigError as error:
        return frozenset(), f"{error}"


def _import_luigi(error: str) -> tuple[str, bool]:
    """Import Luigi with the files, or without any where one is broken."""
    named, own = os.environ.get("LUIGI_CONFIG_PATH"), f"{DIRECTORY / 'airqino.cfg'}"
    paths = [f"{SHIPPED}" if path == "luigi.cfg" and not Path(path).exists() else path for path in _PATHS]
    paths += [own, *([named] if named else [])]
    error = error or mistake(paths)
    read = configparser.RawConfigParser.read
    if error:
        configparser.RawConfigParser.read = lambda *_, **__: []  # type: ignore[method-assign]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Config file does not exist")  # said below, as an error
            from luigi.configuration import LuigiConfigParser, get_config
    finally:
        configparser.RawConfigParser.read = read  # type: ignore[method-assign]
    if error:
        return error, False
    LuigiConfigParser._config_paths[:] = paths
    LuigiConfigParser.reload()
    if f"{SHIPPED}" in paths:
        get_config().set("core", "logging_conf_file", f"{_LOGGING}")
    if named and not Path(named).is_file():
        return f"LUIGI_CONFIG_PATH = {named}: there is no such file; correct the variable, or unset it", True
    return "", True


#: The folder of the operator's settings.
DIRECTORY = directory()
#: The file of variables in it.
ENV_FILE = DIRECTORY / "airqino.env"
#: The variables that were taken from it; the process's own are not among them.
FROM_FILE, _wrong = _load_variables()
#: What is wrong with the files, or nothing; and whether Luigi holds what they say.
BROKEN, READ = _import_luigi(_wrong)
