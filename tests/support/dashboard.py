"""The Grafana dashboard, as the tests read it."""

import json
import re
from typing import Any

from support.deployment import ROOT

__all__ = ["identifiers", "panels", "queries"]


def panels() -> list[dict[str, Any]]:
    return json.loads((ROOT / "deploy" / "grafana" / "airqino.json").read_text())["panels"]


def queries() -> list[tuple[str, str]]:
    """Title and PromQL of each query, its variables filled in as Grafana does for all stations."""
    return [
        (panel["title"], target["expr"].replace("$station", ".*"))
        for panel in panels()
        for target in panel.get("targets", ())
    ]


def identifiers(expression: str) -> set[str]:
    """The metrics that a PromQL expression names: what is no label, function, keyword, string or number."""
    bare = re.sub(r'"[^"]*"', "", expression)
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]", "", bare)
    bare = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", "", bare)
    words = re.findall(r"[a-zA-Z_:][\w:]*(?!\w)(?!\s*\()", bare)
    return {word for word in words if word not in ("and", "or", "unless", "bool", "offset")}
