"""Whether Luigi can read its configuration files at all; asked before anything else imports Luigi.

Luigi reads them while it is imported, and raises there: a person would see a traceback for a typing error. Here the
error becomes one line, which `tasks.config.settings` raises, and Luigi goes on without any file. `tasks/__init__.py`
imports this module first.
"""

import configparser
import os
import warnings
from pathlib import Path

__all__ = ["BROKEN", "READ"]


def _told(error: configparser.Error | ValueError) -> str:
    """What is wrong and where, without the line itself: it may hold a secret."""
    where = getattr(error, "source", None) or "luigi.cfg"
    line = getattr(error, "lineno", None) or next((line for line, _ in getattr(error, "errors", [])), None)
    match error:
        case configparser.MissingSectionHeaderError():
            what = "a line before the first [section]"
        case configparser.DuplicateSectionError():
            what = f"section [{error.section}] is there twice"
        case configparser.DuplicateOptionError():
            what = f"[{error.section}] {error.option} is there twice"
        case configparser.ParsingError():
            what = "neither [section] nor option = value"
        case UnicodeDecodeError():
            what = "the file is not UTF-8 text"
        case _:  # Luigi's own options
            what = str(error)
    return f"{where}{f' line {line}' if line else ''}: {what}; correct it"


def _load() -> tuple[str, bool]:
    named = os.environ.get("LUIGI_CONFIG_PATH")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Config file does not exist")  # said below, as an error
            import luigi  # noqa: F401
    except (configparser.Error, ValueError) as error:
        from luigi.configuration import LuigiConfigParser

        setattr(LuigiConfigParser, "_instance", LuigiConfigParser())  # noqa: B010 - half read, it would fail again
        return _told(error), False
    if named and not Path(named).is_file():
        return f"LUIGI_CONFIG_PATH = {named}: there is no such file; correct the variable, or unset it", True
    return "", True


#: What is wrong with the files, or nothing; and whether Luigi holds what they say.
BROKEN, READ = _load()
