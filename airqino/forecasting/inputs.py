"""What the trees are given: features on a common scale, and changes drawn together.

Trees split wherever they like, but extremely randomised ones draw their thresholds from a feature's range, and few
bins must be enough: neither shall be spent on outliers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from airqino.forecasting.arrays import Floats, Matrix

__all__ = ["Scaling"]

#: Features are squashed beyond six robust standard deviations: an outlier says "high", not how high.
_CLIP = 6.0
#: 10 % and 90 % of a normal distribution are so many standard deviations apart.
_TENTHS_APART = 2.563
#: With more stations than this the trees do not get the station: a column for each would be most of what they see.
_MOST_STATIONS = 32
#: How strongly changes are drawn together, of the mean absolute change: those of CO are mostly noise around zero.
_STEEPNESS = {"co": 1.6, "pm2_5": 0.8}
_CODED = ("station", "hour", "weekday")


@dataclass(frozen=True)
class Scaling:
    """The scale of the features and changes of one pollutant and lead.

    Attributes:
        names: the feature columns, in their order.
        n_stations: stations that are told apart; 0 where there are too many.
        centre: of each column that is a measure, the median.
        spread: of each of them, the robust standard deviation.
        steepness: changes are taken as arcsinh(steepness × change), 1 / the pollutant's unit.
    """

    names: tuple[str, ...]
    n_stations: int
    centre: tuple[float, ...]
    spread: tuple[float, ...]
    steepness: float

    @classmethod
    def of(cls, pollutant: str, names: Sequence[str], features: Matrix, changes: Floats, n_stations: int) -> Self:
        """Measure the scale.

        Args:
            pollutant: co or pm2_5.
            names: the feature columns, station, hour and weekday among them.
            features: (n, features); NaN where something was not measured.
            changes: (n,) changes to be forecast, in the pollutant's unit.
            n_stations: number of stations.
        """
        measures = features[:, [position for position, name in enumerate(names) if name not in _CODED]]
        measures = np.where(np.isnan(measures).all(axis=0), np.float32(0), measures)
        low, centre, high = np.nanquantile(measures, (0.1, 0.5, 0.9), axis=0)
        spread = np.maximum((high - low) / _TENTHS_APART, 1e-3)
        steepness = _STEEPNESS[pollutant] / max(float(np.abs(changes).mean()), 1e-6)
        told_apart = n_stations if n_stations <= _MOST_STATIONS else 0
        return cls(tuple(names), told_apart, tuple(centre.tolist()), tuple(spread.tolist()), steepness)

    @property
    def inputs(self) -> list[str]:
        """Name the columns of `apply`."""
        turns = [f"hour_{part}_{turn}" for turn in (1, 2, 3) for part in ("sin", "cos")]
        days = ["weekday", "saturday", "sunday"]
        stations = [f"station_{code}" for code in range(self.n_stations)]
        return [*(name for name in self.names if name not in _CODED), "missing", *turns, *days, *stations]

    def apply(self, features: Matrix) -> Matrix:
        """Return what the trees are given, (n, inputs).

        Measures as robust standard deviations from the median, signed log1p, 0 where missing; the share of those
        missing; the hour as sine and cosine of one, two and three turns a day; working day, Saturday or Sunday; the
        station as one column for each.
        """
        station, hour, weekday = (features[:, self.names.index(name)] for name in _CODED)
        measures = features[:, [position for position, name in enumerate(self.names) if name not in _CODED]]
        n = measures.shape[1]
        out = np.empty((len(features), len(self.inputs)), dtype=np.float32)
        scaled = out[:, :n]
        np.subtract(measures, np.array(self.centre, dtype=np.float32), out=scaled)
        scaled /= np.array(self.spread, dtype=np.float32)
        missing = np.isnan(scaled)
        scaled[missing] = 0.0
        np.clip(scaled, -_CLIP, _CLIP, out=scaled)
        scaled[:] = np.sign(scaled) * np.log1p(np.abs(scaled))
        out[:, n] = missing.mean(axis=1)
        for turn in (1, 2, 3):
            angle = 2 * np.pi * turn * hour / 24
            out[:, n + 2 * turn - 1], out[:, n + 2 * turn] = np.sin(angle), np.cos(angle)
        days = (weekday < 5, weekday == 5, weekday == 6)
        coded = [*days, *(station == code for code in range(self.n_stations))]
        for position, column in enumerate(coded, start=n + 7):
            out[:, position] = column
        return out

    def drawn(self, changes: Floats) -> Floats:
        """Return changes as they are learnt."""
        return np.arcsinh(self.steepness * changes)

    def change(self, drawn: Floats) -> Floats:
        """Return the changes, in the pollutant's unit, of what was learnt."""
        return np.sinh(drawn) / self.steepness
