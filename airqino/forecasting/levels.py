"""The level of the air quality index that an hour will most likely have."""

import math

import numpy as np
import numpy.typing as npt

from airqino.forecasting.arrays import Floats
from airqino.readings import INDEX_LEVELS, reading

__all__ = ["level"]


def level(pollutant: str, p10: Floats, p50: Floats, p90: Floats) -> tuple[npt.NDArray[np.object_], Floats]:
    """Return the most likely level of the European Air Quality Index, and its probability.

    Between and beyond the quantiles the logarithm of 1 + concentration is taken as normal on either side of the median,
    with the spread that the quantile on that side gives it (the two-piece normal distribution; Wallis, 2014,
    *Statistical Science* 29, 106–112). As the index does, concentrations are rounded to whole µg/m³.

    Args:
        pollutant: the index has none for CO.
        p10: (n,) quantiles of the forecast, in the pollutant's unit.
        p50: (n,)
        p90: (n,)

    Returns:
        (n,) the level's name, None where nothing is forecast; (n,) its probability, NaN there.
    """
    bands = reading(pollutant).index_bands
    if not bands:
        return np.full(len(p50), None, dtype=object), np.full(len(p50), np.nan)
    edges = np.log1p(np.array(bands) + 0.5)
    low, middle, high = (np.log1p(values)[:, None] for values in (p10, p50, p90))
    tenth = 1.2816  # standard deviations from the median to p90
    below, above = (np.maximum(side, 1e-6) / tenth for side in (middle - low, high - middle))
    reached = _normal(np.where(edges < middle, (edges - middle) / below, (edges - middle) / above))
    whole = np.ones((len(p50), 1))
    chance = np.diff(np.hstack([0 * whole, reached, whole]), axis=1)
    known = ~np.isnan(p50)
    best = np.where(known, np.nan_to_num(chance).argmax(axis=1), 0)
    names = np.array(INDEX_LEVELS, dtype=object)[best]
    names[~known] = None
    return names, np.where(known, chance[np.arange(len(best)), best], np.nan)


def _normal(deviations: Floats) -> Floats:
    """Return the normal distribution function."""
    return np.asarray(0.5 * np.vectorize(math.erfc, otypes=[float])(-deviations / math.sqrt(2)), dtype=float)
