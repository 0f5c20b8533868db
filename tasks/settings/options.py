"""What the sections' fields say of an option beside its type: its environment variable, and whether it is secret."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import get_type_hints

from msgspec import Struct

__all__ = ["Option", "Secret", "Variable", "options"]


@dataclass(frozen=True)
class Variable:
    """The environment variable that overrides an option."""

    name: str


class Secret(Enum):
    """What of an option's value nobody may see.

    Members:
        WHOLE: All of it.
        URL: A URL that is itself a secret, for its path is a token.
        LOGIN: Of a URL the user and password; without them it is no secret.
    """

    WHOLE = "whole"
    URL = "URL"
    LOGIN = "login"


@dataclass(frozen=True)
class Option:
    """One option of luigi.cfg.

    Attributes:
        section: Its section.
        name: Its name.
        variable: The environment variable that overrides it; empty where none does.
        secret: What of its value nobody may see; None where it is no secret.
    """

    section: str
    name: str
    variable: str
    secret: Secret | None


def options(sections: Mapping[str, type[Struct]]) -> tuple[Option, ...]:
    """Return the options of some sections, from the marks of their fields.

    Args:
        sections: Name of each section → its struct.
    """
    found = []
    for section, struct in sections.items():
        for name, hint in get_type_hints(struct, include_extras=True).items():
            marks = getattr(hint, "__metadata__", ())
            variable = next((mark.name for mark in marks if isinstance(mark, Variable)), "")
            secret = next((mark for mark in marks if isinstance(mark, Secret)), None)
            found.append(Option(section, name, variable, secret))
    return tuple(found)
