"""The text that lies beside the open data, French and English: what the numbers are, and how to cite them."""

from importlib.resources import files

from airqino.opendata.about import About
from airqino.opendata.fields import TABLES

__all__ = ["DESCRIPTION", "text", "title"]

DESCRIPTION = (
    "Mesures indicatives de capteurs à bas coût, non réglementaires. / Indicative readings of low-cost sensors, not "
    "regulatory. Each CSV file but stations.csv has a twin with the same rows in Parquet. README.md says what the "
    "numbers are and how to cite them."
)

#: The text, with places to fill.
_TEXT = files("airqino.opendata").joinpath("guide.md")

_COLUMNS = "\n## {name}\n\n{about}\n\n| column | meaning |\n|---|---|\n{rows}\n"


def title(about: About) -> str:
    """Return what the data are called, in both languages."""
    return f"{_french_title(about)} / {_english_title(about)}"


def _french_title(about: About) -> str:
    return "Qualité de l’air" + (f" à {about.place}" if about.place else "")


def _english_title(about: About) -> str:
    return "Air quality" + (f" in {about.place}" if about.place else "")


def text(about: About) -> str:
    """Return the text, Markdown: French, English, and what each column means.

    Args:
        about: What is said of the data.
    """
    licence, english = about.licence, _english_title(about)
    named = f"[{licence.title}]({licence.path})" if licence else ""
    filled = {
        "title": _french_title(about),
        "title_en": english,
        "anchor": english.lower().replace(" ", "-"),
        "publisher": about.publisher or "AirQino",
        "homepage_fr": f", {about.homepage}" if about.homepage else "",
        "homepage_en": f", {about.homepage}" if about.homepage else "",
        "licence_fr": f"Licence : {named}."
        if licence
        else "Aucune licence n’est encore choisie : demandez avant de réutiliser.",
        "licence_en": f"Licence: {named}."
        if licence
        else "No licence has been chosen yet: ask before you reuse the data.",
        "contact_fr": f" Questions : {about.contact}." if about.contact else "",
        "contact_en": f" Questions: {about.contact}." if about.contact else "",
    }
    return _TEXT.read_text("utf-8").format(**filled) + "".join(
        _COLUMNS.format(
            name=f"`{table.name}`",
            about=table.about,
            rows="\n".join(f"| `{field.name}` | {field.about} |" for field in table.fields),
        )
        for table in TABLES.values()
    )
