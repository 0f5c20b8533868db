"""Luigi's configuration files: found out whether they can be read before anything imports Luigi.

Luigi reads them while it is imported, and raises there: a person would see a traceback for a typing error. Here the
error becomes one line, which `tasks.settings.reading.settings` raises, and Luigi is imported without any file.
`tasks/__init__.py` imports this module first. Where the folder has no luigi.cfg, the package's own takes its place.
"""

import configparser
import os
import warnings
from pathlib import Path

__all__ = ["BROKEN", "READ", "mistake"]

#: Where Luigi looks, in its order.
_PATHS = ("/etc/luigi/client.cfg", "/etc/luigi/luigi.cfg", "client.cfg", "luigi.cfg")
#: The settings that the package brings, and how it logs.
_DEFAULTS = Path(__file__).with_name("luigi.cfg")
_LOGGING = Path(__file__).parent.with_name("logging.cfg")


def mistake(paths: list[str]) -> str:
    """Say what is wrong with the files, without the line itself, which may hold a secret; empty where nothing is."""
    parser = configparser.ConfigParser(interpolation=None)
    for path in paths:
        try:
            if Path(path).exists():
                parser.read_string(Path(path).read_text(encoding="utf-8"), path)
        except OSError as error:  # Luigi would pass over it in silence
            return f"{path} cannot be read ({error.strerror}): let this user read it"
        except (configparser.Error, UnicodeDecodeError) as error:
            line = getattr(error, "lineno", None) or next((n for n, _ in getattr(error, "errors", [])), None)
            return f"{path}{f' line {line}' if line else ''}: {_explain(error)}; correct it"
    try:
        parser.getboolean("core", "autoload_range", fallback=False)  # Luigi reads it while it is imported, too
    except ValueError as error:
        return f"luigi.cfg [core] autoload_range: {error}; correct it"
    return ""


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


def _import_luigi() -> tuple[str, bool]:
    """Import Luigi with the files, or without any where one is broken."""
    named = os.environ.get("LUIGI_CONFIG_PATH")
    error = mistake([*_PATHS, *([named] if named else [])])
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
    if not Path("luigi.cfg").exists():
        paths = LuigiConfigParser._config_paths
        paths[:] = [f"{_DEFAULTS}" if path == "luigi.cfg" else path for path in paths]
        LuigiConfigParser.reload()
        get_config().set("core", "logging_conf_file", f"{_LOGGING}")
    if named and not Path(named).is_file():
        return f"LUIGI_CONFIG_PATH = {named}: there is no such file; correct the variable, or unset it", True
    return "", True


#: What is wrong with the files, or nothing; and whether Luigi holds what they say.
BROKEN, READ = _import_luigi()
