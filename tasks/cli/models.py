"""airqino models: the forecast models, which one is published, and how to change that."""

import json
import sys
from collections.abc import Mapping, Sequence

import msgspec
from rich.console import Console
from rich.table import Table

from airqino.errors import ConfigError, RegistryError
from airqino.stores import models
from airqino.times import parse_day
from tasks import model_documents, promotion, targets
from tasks.cli.main import Parser
from tasks.cli.running import lock, preflight

_EPILOG = """A version is named by the day that it was trained for: 2024-09-09 knows nothing of that day or later. What
is published changes with the next hourly run. exit codes: 0 done; 2 no such version, nothing to go back to, or a
setting, the staging root or MongoDB cannot be used; 10 a run is under way"""


def main(argv: Sequence[str]) -> int:
    """List the models, promote one, or roll back to the one before."""
    parser = Parser(
        "airqino models",
        description="The forecast models, which one is published, and how to change that.",
        epilog=_EPILOG,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="versions with their scores on recent hours, newest first")
    listing.add_argument("--json", action="store_true", help="as JSON, with the scores of each station")
    promote = actions.add_parser("promote", help="publish a version's forecasts from now on")
    promote.add_argument("version", metavar="VERSION", help="such as 2024-09-09")
    actions.add_parser("rollback", help="publish the version before the one published now again")
    arguments = parser.parse_args(argv)
    if arguments.action == "list":
        return _list(arguments.json)
    preflight()
    with lock("run") as alone:  # the hourly run and a backfill hold it, and may promote themselves
        if not alone:
            print("an hourly run or a backfill is under way: nothing done, try again after it", file=sys.stderr)
            return 10
        return _promote(arguments.version) if arguments.action == "promote" else _roll_back()


def _promote(version: str) -> int:
    try:
        version = f"{parse_day(version)}"
    except ConfigError:
        raise ConfigError(f"{version!r} is not a version: they are named by days, such as 2024-09-09") from None
    if promotion.card(version) is None:
        _fetch(version)
    before = promotion.champion()
    if before and before.version == version:
        print(f"{version} is published already")
    else:
        promotion.promote(version)
        print(f"{version} is published from the next hourly run on, in place of {before.version if before else 'none'}")
    _sync()
    return 0


def _roll_back() -> int:
    old, new = promotion.roll_back()
    print(f"{new} is published again from the next hourly run on, in place of {old}")
    _sync()
    return 0


def _fetch(version: str) -> None:
    """Get a version that is not in the staging root from the registry."""
    try:
        promotion.fetch(promotion.registry(), version)
    except RegistryError as error:
        raise ConfigError(f"there is no version {version} in {targets.paths().models}, and {error}") from None


def _sync() -> None:
    """Bring the registry's alias and MongoDB up to date; the registry may be away."""
    try:
        promotion.sync_alias(promotion.registry())
    except RegistryError as error:
        print(f"warning: {error}; its alias is not moved", file=sys.stderr)
    model_documents.load_documents()


def _list(as_json: bool) -> int:
    champion = promotion.champion()
    versions = reversed(models.versions(targets.paths().models))
    cards = {version: card for version in versions if (card := promotion.card(version))}
    if as_json:
        live = champion.version if champion else None
        rows = [{"version": v, **msgspec.to_builtins(card), "champion": v == live} for v, card in cards.items()]
        print(json.dumps(rows, indent=1))
        return 0
    if not cards:
        print(f"no models in {targets.paths().models} yet: the hourly run trains one when 14 days are staged")
        return 0
    _show(cards, champion)
    return 0


def _show(cards: Mapping[str, models.ModelCard], champion: models.Champion | None) -> None:
    console = Console(width=None if Console().is_terminal else 140)
    view = Table(title=f"Forecast models in {targets.paths().models}")
    for name in ("version", "alias", "trained rows", "skill", "champion's", "confidence", "worst", "best"):
        view.add_column(name, justify="left" if name in ("version", "alias") else "right", no_wrap=True)
    view.add_column("what came of it")
    for version, card in cards.items():
        skills = [score["skill"] for score in card.scores if score["skill"] is not None]
        numbers = (card.skill, card.skill_champion, card.confidence, *_ends(skills))
        alias = "champion" if champion and champion.version == version else ""
        trained_rows = "" if card.rows is None else f"{card.rows}"
        view.add_row(version, alias, trained_rows, *map(_shown, numbers), card.reason or "")
    console.print(view)
    console.print(
        "skill: 1 − error / error of persistence on recent hours that the model had not seen, over all stations, "
        "pollutants and horizons; worst and best of them; confidence: that it is better than the champion of its time"
    )
    if unreadable := [version for version in cards if cards[version].trained and not promotion.is_readable(version)]:
        console.print(f"trained by an older version of the pipeline, cannot be published: {', '.join(unreadable)}")
    if champion and champion.fallback:
        pairs = ", ".join(f"{station} {pollutant}" for station, pollutant in champion.fallback)
        console.print(f"persistence is published in the champion's place, for it has drifted there: {pairs}")
    if champion is None:
        console.print("none of them is published: forecasts are persistence")


def _ends(skills: list[float]) -> tuple[float | None, float | None]:
    return (min(skills), max(skills)) if skills else (None, None)


def _shown(number: float | None) -> str:
    return "" if number is None else f"{number:.3f}"
