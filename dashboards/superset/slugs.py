"""The dashboards' addresses and languages."""

from texts import LANGUAGES, read_source

__all__ = ["DASHBOARDS", "OPENING", "PUBLIC", "in_language"]

_SLUGS = [dashboard["slug"] for dashboard in read_source()["dashboards"]["dashboards"].values()]
#: Slug → language. The dashboards of a language stand in the same order as those of the other.
DASHBOARDS = {of[language]: language for language in LANGUAGES for of in _SLUGS}
#: Language → the dashboard to land on.
OPENING = _SLUGS[0]
#: What everybody reads without logging in where SUPERSET_ANONYMOUS is 1.
PUBLIC = frozenset(OPENING.values())


def in_language(slug: str | None, language: str) -> str:
    """Return the slug of the same dashboard in a language; of none, that of the one to land on."""
    if slug not in DASHBOARDS:
        return OPENING[language]
    of = {each: [s for s, its in DASHBOARDS.items() if its == each] for each in OPENING}
    return of[language][of[DASHBOARDS[slug]].index(slug)]
