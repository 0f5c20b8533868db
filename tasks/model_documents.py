"""The documents of the ``models`` collection: one for each trained version."""

from datetime import datetime
from typing import Any

from airqino.stores import models, writes
from airqino.stores.models import ModelCard
from tasks import promotion, targets

__all__ = ["is_loaded", "load_documents"]


def load_documents() -> None:
    """Bring the ``models`` collection up to date: a document for each trained version."""
    documents = _documents()
    writes.replace(targets.database(), "models", documents)
    content = {"kind": "models", "documents": len(documents)}
    targets.LoadTarget("models").write(targets.fingerprint(documents), content)


def is_loaded() -> bool:
    """Say whether the ``models`` collection is as the staging root says."""
    record = targets.LoadTarget("models").record()
    return record is not None and record["inputs"] == targets.fingerprint(_documents())


def _documents() -> list[dict[str, Any]]:
    now = promotion.champion()
    cards = {version: promotion.card(version) for version in models.versions(targets.paths().models)}
    return [
        _document(v, card, now is not None and now.version == v) for v, card in cards.items() if card and card.trained
    ]


def _document(version: str, card: ModelCard, is_champion: bool) -> dict[str, Any]:
    names = ("rows", "skill", "skill_champion", "confidence", "against", "reason", "trained_from", "trained_until")
    return {
        "_id": version,
        "trained_for": version,
        "trained_at": _moment(card.trained_at),
        "promoted": card.promoted,
        "promoted_at": _moment(card.promoted_at),
        "champion": is_champion,
        **{name: getattr(card, name) for name in names},
    }


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
