"""Which model is published: promotion, roll-back, and what MongoDB and the registry are told of it.

A small file in the staging root, ``models/champion.json``, decides; the registry's alias follows it. Where somebody
moved the alias on the registry's side, the next training, or ``scripts/models``, follows the alias.
"""

import json
import logging
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from airqino.errors import ConfigError
from airqino.stores import models, mongo
from airqino.stores.models import Champion
from airqino.stores.registry import Registry
from tasks import targets
from tasks.settings.reading import settings

log = logging.getLogger("airqino.models")

_REMEMBERED = 50
_CARD = "card.json"


def root() -> Path:
    """Where the versions lie."""
    return targets.root() / "models"


def folder(version: str | date) -> Path:
    """Where a version lies."""
    return root() / f"{version}"


def registry() -> Registry:
    """The registry of the settings: a SQLite file under the staging root where none is named."""
    path = (targets.root() / "mlflow" / "mlflow.db").absolute()
    return Registry(settings().forecast.tracking_uri or f"sqlite:///{path}")


def champion() -> Champion | None:
    """The version that is published now; where the file that names it is lost, the newest that was promoted."""
    try:
        named = models.champion(root())
    except ValueError as error:
        log.warning("%s: going on with the newest model that was promoted", error)
        named = None
    if named is None and (newest := promoted_before(date.max)):
        card = models.card(folder(newest)) or {}
        named = Champion(newest, str(card.get("promoted_at") or ""))
    return named


def champion_on(day: date, live: bool) -> Champion | None:
    """The version whose forecasts belong to a day.

    Args:
        day: the day of the hour of issue.
        live: for the forecast that is published now, the champion; else, for a hindcast, the newest version that was
            promoted and knows nothing of the day.
    """
    now = champion() if live else None
    if now is not None and now.version <= f"{day}":
        return now
    version = promoted_before(day + timedelta(days=1))
    return Champion(version, "") if version else None


def incumbent(day: date) -> Champion | None:
    """The champion that a model trained for a day has to beat: today's, or for a past day that day's."""
    now = champion()
    if now is not None and now.version < f"{day}":
        return now
    version = promoted_before(day)
    return Champion(version, "") if version else None


def promoted_before(day: date) -> str | None:
    """The newest version that was promoted and trained for an earlier day."""
    for version in reversed(models.versions(root())):
        if version < f"{day}" and (models.card(folder(version)) or {}).get("promoted"):
            return version
    return None


def trained_since(start: date, until: date) -> bool:
    """Whether a version was trained for a day from `start` to `until`."""
    versions = [version for version in models.versions(root()) if f"{start}" <= version <= f"{until}"]
    return any((models.card(folder(version)) or {}).get("trained") for version in versions)


def why_none(day: date) -> str:
    """Why no model is published on a day."""
    for version in reversed(models.versions(root())):
        if version <= f"{day}" and (card := models.card(folder(version))):
            return f"no model yet: {card.get('reason', 'none was promoted')}"
    return "no model yet"


def promote(version: str, aside: frozenset[tuple[str, str]] = frozenset()) -> None:
    """Publish a version from now on.

    Args:
        version: its name.
        aside: (station, pollutant) pairs for which persistence is published all the same.

    Raises:
        ConfigError: There is no such version, or nothing was trained for it.
    """
    card, old = models.card(folder(version)), champion()
    if not (card and card.get("trained")):
        raise ConfigError(f"there is no trained version {version}; scripts/models list shows those there are")
    before = old.before if old else ()
    if old and old.version != version:
        before = (*before, old.version)[-_REMEMBERED:]
    now = settings().now.isoformat()
    models.annotate(folder(version), promoted=True, promoted_at=now)
    alias = old.alias if old else ""
    models.set_champion(root(), Champion(version, now, before, tuple(sorted(aside)), alias))


def roll_back() -> tuple[str, str]:
    """Publish the champion before this one again; this one no longer counts as promoted.

    Returns:
        The version that was published, and the one that is now.

    Raises:
        ConfigError: There was none before.
    """
    old = champion()
    if old is None:
        raise ConfigError("no model is published: there is nothing to roll back")
    usable = [v for v in old.before if v != old.version and (models.card(folder(v)) or {}).get("trained")]
    if not usable:
        raise ConfigError(f"no model was published before {old.version}: there is nothing to go back to")
    now, previous = settings().now.isoformat(), usable[-1]
    models.annotate(folder(previous), promoted=True)
    models.set_champion(root(), Champion(previous, now, tuple(usable[:-1]), (), old.alias))
    if models.card(folder(old.version)):
        models.annotate(folder(old.version), promoted=False, rolled_back_at=now)
    return old.version, previous


def set_aside(pairs: frozenset[tuple[str, str]]) -> None:
    """Publish persistence for these (station, pollutant) pairs, and for no others, in the champion's place."""
    if (now := champion()) and set(now.aside) != pairs:
        models.set_champion(root(), replace(now, aside=tuple(sorted(pairs))))


def follow(store: Registry) -> None:
    """Where somebody moved the registry's alias, promote the version it is at, fetched from there if need be.

    Raises:
        RegistryError: The registry cannot be asked.
    """
    named, ours = store.champion(), champion()
    if not named or (ours and named in (ours.version, ours.alias)):
        return
    if models.card(folder(named)) is None:
        fetch(store, named)
    log.info("the registry's alias is at version %s: it is published from now on", named)
    promote(named)


def fetch(store: Registry, version: str) -> None:
    """Get a version that is not in the staging root from the registry.

    Raises:
        RegistryError: The registry cannot be asked, or does not know the version.
    """
    files = store.files(version)
    about = json.loads(files.pop(_CARD))
    models.save(folder(version), files, about)


def tell(store: Registry) -> None:
    """Move the registry's alias to the champion.

    Raises:
        RegistryError: The registry cannot be asked, or does not know the version.
    """
    ours = champion()
    if ours is None:
        return
    if store.champion() != ours.version:
        store.promote(ours.version)
    if ours.alias != ours.version:
        models.set_champion(root(), replace(ours, alias=ours.version))


def recorded_files(version: str, files: dict[str, bytes]) -> dict[str, bytes]:
    """A version's files and its card: what the registry keeps, enough to publish it on another machine."""
    return files | {_CARD: (folder(version) / _CARD).read_bytes()}


def publish() -> None:
    """Bring the ``models`` collection up to date: a document for each trained version."""
    found = _documents()
    mongo.replace(targets.database(), "models", found)
    _load().write(targets.fingerprint(found), {"kind": "models", "documents": len(found)})


def is_published() -> bool:
    """Whether the ``models`` collection is as the staging root says."""
    record = _load().record()
    return record is not None and record["inputs"] == targets.fingerprint(_documents())


def _load() -> targets.LoadTarget:
    return targets.LoadTarget("models")


def _documents() -> list[dict[str, Any]]:
    now = champion()
    cards = {version: models.card(folder(version)) or {} for version in models.versions(root())}
    return [
        _document(v, card, now is not None and now.version == v) for v, card in cards.items() if card.get("trained")
    ]


def _document(version: str, card: dict[str, Any], is_champion: bool) -> dict[str, Any]:
    told = ("rows", "skill", "skill_champion", "confidence", "against", "reason", "trained_from", "trained_until")
    return {
        "_id": version,
        "trained_for": version,
        "trained_at": _moment(card.get("trained_at")),
        "promoted": bool(card.get("promoted")),
        "promoted_at": _moment(card.get("promoted_at")),
        "champion": is_champion,
        **{name: card.get(name) for name in told},
    }


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
