"""The operator's airqino.env: variables for the process, read without a shell.

Each line is ``NAME='value'``, as a shell and systemd read it too. A variable that the process has already wins.
"""

import io
import os
import re
from pathlib import Path

from airqino.errors import ConfigError

__all__ = ["load", "values"]

_NAME = re.compile(r"[A-Za-z_]\w*")
_SINGLE_QUOTED = re.compile(r"\s*(?:export\s+)?\w+\s*=\s*'([^']*)'")
#: What a shell takes for something else outside of single quotes.
_SHELL = re.compile(r"[$`\\]")


def load(path: Path) -> frozenset[str]:
    """Set the variables of a file that the process does not have, or has empty.

    Returns:
        Their names; none where there is no file.

    Raises:
        ConfigError: The file cannot be read, or a line has a mistake.
    """
    wanted = {name: value for name, value in values(path).items() if not os.environ.get(name)}
    os.environ.update(wanted)
    return frozenset(wanted)


def values(path: Path) -> dict[str, str]:
    """Return the variables of a file; nothing where there is none.

    Raises:
        ConfigError: The file cannot be read, or a line has a mistake. The value, which may be a secret, is not told.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        cure = "run as the user airqino (the file: owned by root, group airqino, mode 0640)"
        raise ConfigError(f"{path} cannot be read ({error.strerror}): {cure}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: the file is not UTF-8 text; correct it") from None
    from dotenv.parser import parse_stream  # only where there is a file

    found = {}
    for binding in parse_stream(io.StringIO(text)):
        before = re.match(r"\s*", binding.original.string)
        line = binding.original.line + (before[0].count("\n") if before else 0)
        if binding.error or (binding.key is not None and binding.value is None):
            raise ConfigError(f"{path} line {line}: not NAME='value'; correct it")
        if binding.key is None or binding.value is None:  # a comment
            continue
        quoted = _SINGLE_QUOTED.match(binding.original.string)
        # between single quotes everything is as it stands, also a backslash
        value = quoted[1] if quoted else binding.value
        if not _NAME.fullmatch(binding.key) or "\n" in value:
            raise ConfigError(f"{path} line {line}: not NAME='value' on one line; correct it")
        if not quoted and _SHELL.search(value) and not os.environ.get(binding.key):  # else it is not used
            raise ConfigError(f"{path} line {line}: write the value of {binding.key} in single quotes")
        found[binding.key] = value
    return found
