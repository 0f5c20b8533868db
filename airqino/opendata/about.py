"""What the operator says of the data that are published: whose they are, under which licence, of which stations."""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["LICENCES", "About", "Licence", "Location"]


@dataclass(frozen=True)
class Licence:
    """A licence, as Data Packages name one.

    Attributes:
        name: Its id, of the Open Definition or SPDX.
        title: What people call it.
        path: Where its text is.
    """

    name: str
    title: str
    path: str


#: Licences for data that are often chosen, by their id.
LICENCES: Mapping[str, Licence] = {
    of.name: of
    for of in (
        Licence(
            "CC-BY-4.0",
            "Creative Commons Attribution 4.0 International",
            "https://creativecommons.org/licenses/by/4.0/",
        ),
        Licence(
            "CC-BY-SA-4.0",
            "Creative Commons Attribution-ShareAlike 4.0 International",
            "https://creativecommons.org/licenses/by-sa/4.0/",
        ),
        Licence("CC0-1.0", "Creative Commons Zero 1.0", "https://creativecommons.org/publicdomain/zero/1.0/"),
        Licence("ODbL-1.0", "Open Database License 1.0", "https://opendatacommons.org/licenses/odbl/1-0/"),
        Licence("etalab-2.0", "Licence Ouverte / Open Licence 2.0", "https://www.etalab.gouv.fr/licence-ouverte-open-licence/"),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Location:
    """A station as the public knows it.

    Attributes:
        name: What it is called now.
        latitude: In degrees; None where it is not known.
        longitude: In degrees; None where it is not known.
        time_zone: The zone in which its day begins at midnight.
        correction: How the operator has PM2.5 corrected for humid air: ``none`` or ``kappa``.
    """

    name: str
    latitude: float | None = None
    longitude: float | None = None
    time_zone: str = "UTC"
    correction: str = "none"


@dataclass(frozen=True)
class About:
    """What is said of the data as a whole.

    Attributes:
        locations: The stations that are published, by id; others are left out.
        place: The city or region, such as Abidjan; "" where it is not said.
        publisher: Who publishes the data; "" where it is not said.
        homepage: Where the public page is; "" where it is not said.
        contact: An e-mail address for questions; "" where it is not said.
        licence: Under which licence; None where the operator has not chosen one.
    """

    locations: Mapping[str, Location] = field(default_factory=dict)
    place: str = ""
    publisher: str = ""
    homepage: str = ""
    contact: str = ""
    licence: Licence | None = None
