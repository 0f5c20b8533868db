"""Which model is published: promotion and roll-back, how the registry follows, and what comes back from it.

A small file in the staging root, ``models/champion.json``, decides; the registry's alias follows it. Where somebody
moved the alias on the registry's side, the next training, or ``scripts/models``, follows the alias.
"""

import contextlib
import logging
from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path

from msgspec.structs import replace

from airqino.errors import ConfigError, DamagedFileError, RegistryError, StagingError
from airqino.forecasting.artifact import FORMAT
from airqino.stores import models
from airqino.stores.models import CARD, Champion, ModelCard
from airqino.stores.registry import Registry, check_file
from tasks import targets
from tasks.settings.reading import settings
from tasks.staged import set_aside

log = logging.getLogger("airqino.models")

#: Predecessors that a roll-back can go back to.
_PREDECESSORS = 50


def folder(version: str | date) -> Path:
    """Return the folder of a version."""
    return targets.paths().model(version)


def registry() -> Registry | None:
    """Return the registry of the settings: a SQLite file under the staging root where none is named.

    If that file is damaged, it is moved away, and the next training makes another.

    Returns:
        None where none is named or there, nor MLflow installed: models are kept in the staging root alone.
    """
    path = targets.paths().registry
    if not (uri := settings().forecast.tracking_uri):
        if not path.exists() and find_spec("mlflow") is None:
            return None
        try:
            check_file(path)
        except DamagedFileError as error:
            set_aside(path, error)
    return Registry(uri or f"sqlite:///{path.absolute()}")


def card(version: str | date) -> ModelCard | None:
    """Return a version's card; None where there is no such version, or a damaged one, which is then moved away."""
    try:
        return models.card(folder(version))
    except DamagedFileError as error:
        set_aside(folder(version), error)
        return None


def model_files(version: str) -> dict[str, bytes]:
    """Return a version's files; a damaged version is moved away, and comes back from the registry.

    Raises:
        PipelineError: There is no such version, or it is damaged and the registry cannot give it.
    """
    try:
        return _load(version)
    except DamagedFileError:
        _restore(version)
        return models.load(folder(version))


def _load(version: str) -> dict[str, bytes]:
    try:
        return models.load(folder(version))
    except DamagedFileError as error:
        set_aside(folder(version), error)
        raise


def champion() -> Champion | None:
    """Return the version that is published now; where it or the file that names it is lost, the newest promoted."""
    named = _named()
    return named if named and card(named.version) else _newest_promoted()


def _named() -> Champion | None:
    """Return the champion that the file names; a damaged file is moved away."""
    path = targets.paths().champion
    try:
        return models.read_champion(path)
    except DamagedFileError as error:
        set_aside(path, error)
        return None


def _newest_promoted() -> Champion | None:
    """Return the newest version that was promoted, as champion, with those before it as predecessors."""
    promoted = [v for v in models.versions(targets.paths().models) if _card(v).promoted]
    return Champion(promoted[-1], _card(promoted[-1]).promoted_at or "", tuple(promoted[:-1])) if promoted else None


def is_champion_lost() -> bool:
    """Tell whether the champion is gone, or the file that names it; a damaged one is moved away."""
    if (named := _named()) is None:
        return _newest_promoted() is not None
    with contextlib.suppress(StagingError):  # one that cannot be read now is not lost
        _load(named.version)
    return not folder(named.version).exists()


def is_named(day: date) -> bool:
    """Tell whether the champion's file names the version of a day, whether that is there or not."""
    named = _named()
    return named is not None and named.version == f"{day}"


def restore_champion(trained: date) -> None:
    """Get a lost champion from the registry; where that cannot be, the newest version that was promoted takes over.

    Args:
        trained: The day whose version is trained now, if it is not there: if that is the champion, it stays so.
    """
    named = _named()
    if named and card(named.version) is None:
        try:
            _restore(named.version)
        except RegistryError as error:
            log.warning("the champion, %s, is lost: %s", named.version, error)
        else:
            return
        if is_named(trained):
            return
    if new := _newest_promoted():
        models.write_champion(targets.paths().champion, new)
        log.warning("model %s is the champion: the newest there is that was promoted", new.version)
    elif named:
        set_aside(targets.paths().champion, DamagedFileError(f"{named.version}, which it names, is gone"))


def champion_on(day: date, live: bool) -> Champion | None:
    """Return the version whose forecasts belong to a day.

    Args:
        day: the day of the hour of issue.
        live: prefer the champion, if it knows nothing of the day; else the newest version that was
            promoted and knows nothing of the day, as for a hindcast.
    """
    now = champion() if live else None
    if now is not None and now.version <= f"{day}":
        return now
    version = promoted_before(day + timedelta(days=1))
    return Champion(version, "") if version else None


def promoted_before(day: date) -> str | None:
    """Return the newest version that was promoted and trained for an earlier day."""
    for version in reversed(models.versions(targets.paths().models)):
        if version < f"{day}" and _card(version).promoted:
            return version
    return None


def is_outdated() -> bool:
    """Tell whether the champion cannot be read, being an older version's, or lacks a horizon of the settings."""
    named = champion()
    return named is not None and not (is_readable(named.version) and knows_horizons(named.version))


def knows_horizons(version: str) -> bool:
    """Tell whether a model forecasts all horizons of the settings."""
    return {*settings().forecast.horizons} <= {*_card(version).horizons}


def is_readable(version: str) -> bool:
    """Tell whether this version of the pipeline can read a model: one of an older version has other files."""
    return _card(version).format == FORMAT


def trained_since(start: date, until: date) -> bool:
    """Say whether a version was trained for a day from `start` to `until`."""
    versions = [version for version in models.versions(targets.paths().models) if f"{start}" <= version <= f"{until}"]
    return any(_card(version).trained for version in versions)


def no_model_reason(day: date) -> str:
    """Say why no model is published on a day."""
    for version in reversed(models.versions(targets.paths().models)):
        if version <= f"{day}" and (about := card(version)):
            return f"no model yet: {about.reason or 'none was promoted'}"
    return "no model yet"


def promote(version: str, fallback: frozenset[tuple[str, str]] = frozenset()) -> None:
    """Publish a version from now on.

    Args:
        version: its name.
        fallback: (station, pollutant) pairs for which persistence is published all the same.

    Raises:
        ConfigError: There is no such version, or nothing was trained for it.
    """
    old = champion()
    if not _card(version).trained:
        raise ConfigError(f"there is no trained version {version}; scripts/models list shows those there are")
    if not is_readable(version):
        raise ConfigError(f"{version} was trained by an older version of the pipeline: this one cannot read it")
    predecessors = old.predecessors if old else ()
    if old and old.version != version:
        predecessors = (*predecessors, old.version)[-_PREDECESSORS:]
    now = settings().now.isoformat()
    models.annotate(folder(version), promoted=True, promoted_at=now)
    new = Champion(version, now, predecessors, tuple(sorted(fallback)), old.alias_version if old else "")
    models.write_champion(targets.paths().champion, new)


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
    earlier = [v for v in old.predecessors if v != old.version and _card(v).trained]
    usable = [v for v in earlier if is_readable(v)]
    if earlier and not usable:
        raise ConfigError(f"{earlier[-1]} was trained by an older version of the pipeline: this one cannot read it")
    if not usable:
        raise ConfigError(f"no model was published before {old.version}: there is nothing to go back to")
    now, previous = settings().now.isoformat(), usable[-1]
    models.annotate(folder(previous), promoted=True)
    models.write_champion(targets.paths().champion, Champion(previous, now, tuple(usable[:-1]), (), old.alias_version))
    if card(old.version):
        models.annotate(folder(old.version), promoted=False, rolled_back_at=now)
    return old.version, previous


def set_fallback(pairs: frozenset[tuple[str, str]]) -> None:
    """Publish persistence for these (station, pollutant) pairs, and for no others, in the champion's place."""
    if (now := champion()) and set(now.fallback) != pairs:
        models.write_champion(targets.paths().champion, replace(now, fallback=tuple(sorted(pairs))))


def follow_alias(store: Registry | None) -> None:
    """Promote the version that the registry's alias is at, where somebody moved it; fetch it if need be.

    Raises:
        RegistryError: The registry cannot be asked.
    """
    if store is None:
        return
    named, ours = store.alias_version(), champion()
    if not named or (ours and named in (ours.version, ours.alias_version)):
        return
    if card(named) is None:
        fetch(store, named)
    if not is_readable(named):
        log.warning("the registry's alias is at version %s, which an older version of the pipeline trained", named)
        return
    log.info("the registry's alias is at version %s: it is published from now on", named)
    promote(named)


def fetch(store: Registry | None, version: str) -> None:
    """Get a version that is not in the staging root from the registry.

    Raises:
        RegistryError: There is none, it cannot be asked, does not know the version, or holds something else.
    """
    if store is None:
        raise RegistryError("there is no model registry (scripts/install registry adds MLflow)")
    files = store.files(version)
    try:
        about = models.decode_card(files.pop(CARD))
    except (KeyError, ValueError) as error:
        raise RegistryError(f"version {version} has no readable {CARD} in the model registry") from error
    try:
        models.check_fetched(version, about, files)
    except ValueError as error:
        raise RegistryError(f"version {version} in the model registry is not used: {error}") from None
    models.save(folder(version), files, about)


def _restore(version: str) -> None:
    """Get a lost version from the registry, whose card does not know of a later promotion."""
    fetch(registry(), version)
    if (named := _named()) and named.version == version:
        models.annotate(folder(version), promoted=True, promoted_at=named.promoted_at)
    log.warning("model %s: restored from the registry", version)


def sync_alias(store: Registry | None) -> None:
    """Move the registry's alias to the champion.

    Raises:
        RegistryError: The registry cannot be asked, or does not know the version.
    """
    if store is None or (ours := champion()) is None:
        return
    if store.alias_version() != ours.version:
        store.move_alias(ours.version)
    if ours.alias_version != ours.version:
        models.write_champion(targets.paths().champion, replace(ours, alias_version=ours.version))


def recorded_files(version: str, files: dict[str, bytes]) -> dict[str, bytes]:
    """Return a version's files and its card: what the registry keeps, enough to publish it on another machine."""
    return files | {CARD: (folder(version) / CARD).read_bytes()}


def _card(version: str) -> ModelCard:
    """Return a version's card; an empty one, as if untrained, where there is none that can be read."""
    return card(version) or ModelCard()
