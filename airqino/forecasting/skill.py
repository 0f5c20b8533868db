"""How good a forecast is: errors, coverage, skill against persistence, and how sure a difference is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["bias", "coverage", "improvement_confidence", "mae", "rmse", "seasonal24_mae", "skill"]

Floats = npt.NDArray[np.float64]


def mae(target: npt.ArrayLike, forecast: npt.ArrayLike) -> float:
    """Mean absolute error: mean |forecast − target|.

    Source: Willmott & Matsuura (2005), *Climate Research* 30, 79–82.

    Args:
        target: (n,) what was measured, in the pollutant's unit.
        forecast: (n,) what was forecast.

    Returns:
        The mean over the pairs without NaN, in the pollutant's unit; NaN if there are none.
    """
    return _mean(np.abs(_errors(target, forecast)))


def rmse(target: npt.ArrayLike, forecast: npt.ArrayLike) -> float:
    """Root mean square error: √ mean (forecast − target)².

    Source: Hyndman & Koehler (2006), *International Journal of Forecasting* 22, 679–688.

    Args:
        target: (n,) what was measured, in the pollutant's unit.
        forecast: (n,) what was forecast.

    Returns:
        The root over the pairs without NaN, in the pollutant's unit; NaN if there are none.
    """
    return float(np.sqrt(_mean(_errors(target, forecast) ** 2)))


def bias(target: npt.ArrayLike, forecast: npt.ArrayLike) -> float:
    """Mean error: mean (forecast − target); above zero where the forecast is too high.

    Source: Wilks (2019), *Statistical Methods in the Atmospheric Sciences*, 4th ed., ch. 9.

    Args:
        target: (n,) what was measured, in the pollutant's unit.
        forecast: (n,) what was forecast.

    Returns:
        The mean over the pairs without NaN, in the pollutant's unit; NaN if there are none.
    """
    return _mean(_errors(target, forecast))


def coverage(target: npt.ArrayLike, low: npt.ArrayLike, high: npt.ArrayLike) -> float:
    """Share of targets inside their band: mean [low ≤ target ≤ high].

    Source: Gneiting, Balabdaoui & Raftery (2007), *Journal of the Royal Statistical Society B* 69, 243–268.

    Args:
        target: (n,) what was measured.
        low: (n,) lower ends.
        high: (n,) upper ends.

    Returns:
        The share, 0 to 1, of the rows without NaN; NaN if there are none.
    """
    measured, below, above = (np.asarray(array, dtype=float) for array in (target, low, high))
    known = ~np.isnan(measured + below + above)
    return _mean(((below <= measured) & (measured <= above))[known].astype(float))


def skill(error: float, reference_error: float) -> float:
    """Skill score: 1 − MAE / MAE of the reference, here persistence; 0 is no better than "no change", 1 is perfect.

    Source: Murphy (1988), *Monthly Weather Review* 116, 2417–2424.

    Args:
        error: MAE of the forecast.
        reference_error: MAE of the reference on the same rows.

    Returns:
        The score. Where the reference is perfect: 0 if the forecast is too, else minus infinity; NaN if one is NaN.
    """
    if np.isnan(error) or np.isnan(reference_error):
        return float("nan")
    if reference_error == 0:
        return 0.0 if error == 0 else float("-inf")
    return 1.0 - error / reference_error


def seasonal24_mae(target: npt.ArrayLike, day_before: npt.ArrayLike) -> float:
    """MAE of the seasonal-naive forecast with a period of a day: mean |value 24 h before the target − target|.

    Source: Hyndman & Athanasopoulos (2021), *Forecasting: Principles and Practice*, 3rd ed., section 5.2.

    Args:
        target: (n,) what was measured, in the pollutant's unit.
        day_before: (n,) what was measured 24 hours before the target; NaN where nothing was.

    Returns:
        The mean over the rows where both were measured; NaN if there are none.
    """
    return mae(target, day_before)


def improvement_confidence(
    error_a: npt.ArrayLike, error_b: npt.ArrayLike, day: npt.ArrayLike, draws: int = 2000, seed: int = 1
) -> float:
    """One-sided confidence that A's MAE is smaller than B's, by a paired block bootstrap over days.

    Whole days are drawn with replacement, for errors of one day are alike; a drawn day brings both forecasts' errors.
    The confidence is the share of draws with Σ|a| < Σ|b|, a tie counting half.
    Source: Künsch (1989), *Annals of Statistics* 17, 1217–1241; with pairs: Efron & Tibshirani (1993), *An Introduction
    to the Bootstrap*, ch. 8 and 15.

    Args:
        error_a: (n,) errors of A.
        error_b: (n,) errors of B on the same rows; rows with a NaN in either are left out.
        day: (n,) day of each row, any type that can be sorted.
        draws: number of draws.
        seed: random seed.

    Returns:
        The confidence, 0 to 1; 0.5 without rows.
    """
    gain = np.abs(np.asarray(error_b, dtype=float)) - np.abs(np.asarray(error_a, dtype=float))
    known = ~np.isnan(gain)
    if not known.any():
        return 0.5
    _, code = np.unique(np.asarray(day)[known], return_inverse=True)
    per_day = np.bincount(code.ravel(), weights=gain[known])
    n = len(per_day)
    times = np.random.default_rng(seed).multinomial(n, np.full(n, 1.0 / n), size=draws)
    total = times @ per_day
    return float((total > 0).mean() + 0.5 * (total == 0).mean())


def _errors(target: npt.ArrayLike, forecast: npt.ArrayLike) -> Floats:
    errors = np.asarray(forecast, dtype=float) - np.asarray(target, dtype=float)
    return np.asarray(errors[~np.isnan(errors)], dtype=float)


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")
