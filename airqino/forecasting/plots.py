"""Pictures of a forecast's quality, for the registry's page and the documentation. They need matplotlib."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["importance", "reliability", "skill_by_horizon"]


def importance(title: str, gains: Mapping[str, float]) -> Any:
    """Draw bars of the thirty features that gave most.

    Args:
        title: of the picture.
        gains: share (0 to 1) by feature, from `boosting.importance`.
    """
    most = sorted(gains.items(), key=lambda item: item[1])[-30:]
    figure, axes = _figure(title, height=0.25 * len(most) + 1.2)
    axes.barh([name for name, _ in most], [100 * share for _, share in most], color="#1f77b4")
    axes.set_xlabel("share of the boosters' gain (%)")
    axes.tick_params(axis="y", labelsize=8)
    axes.margins(y=0.01)
    return figure


def skill_by_horizon(title: str, series: Mapping[str, Sequence[tuple[int, float]]]) -> Any:
    """Draw the skill against persistence over the horizon.

    Args:
        title: of the picture.
        series: by name, such as that of a station and pollutant, pairs of hours ahead and skill.
    """
    figure, axes = _figure(title)
    for name, points in series.items():
        axes.plot([hours for hours, _ in points], [skill for _, skill in points], marker="o", label=name)
    axes.axhline(0, color="0.6", linewidth=1)
    axes.set_xlabel("hours ahead")
    axes.set_ylabel("skill against persistence")
    axes.legend(fontsize=8)
    return figure


def reliability(title: str, series: Mapping[str, Iterable[tuple[float, float, int]]]) -> Any:
    """Draw how often what was forecast came (Wilks, 2019, *Statistical Methods in the Atmospheric Sciences*, ch. 9).

    Args:
        title: of the picture.
        series: by name, for each bin of the probability its mean, the observed frequency, and the number of forecasts.
    """
    figure, axes = _figure(title, height=5.0)
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    for name, bins in series.items():
        points = [(chance, came) for chance, came, _ in bins]
        axes.plot([chance for chance, _ in points], [came for _, came in points], marker="o", label=name)
    axes.set_xlabel("probability that was forecast")
    axes.set_ylabel("how often it came")
    axes.legend(fontsize=8)
    return figure


def _figure(title: str, height: float = 4.0) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, height), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    return figure, axes
