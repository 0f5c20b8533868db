"""A small neural network beside the boosters: all leads and quantiles of one pollutant at once, in plain NumPy.

Two hidden layers of rectified units on the boosters' features, fitted to the pinball loss (Koenker & Bassett, 1978,
*Econometrica* 46, 33–50) with Adam (Kingma & Ba, 2015, ICLR), a cosine-shaped learning rate and dropout. Its errors are
other ones than those of the trees, so that the mean of both is better than either (docs/forecast.md has the numbers).
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self

import numpy as np
import numpy.typing as npt

from airqino.forecasting.arrays import Floats, Matrix

__all__ = ["QUANTILES", "Network", "fit", "predict"]

QUANTILES = (0.1, 0.5, 0.9)
#: How much each quantile's loss counts: the median is what is scored, the band is corrected afterwards anyway.
_COUNTS = (1.0, 3.0, 1.0)

_HIDDEN = (64, 32)
_BATCH = 256
_RATE = 2e-3
_DECAY = 1e-3
#: Dropout: so many of 256 units are left out of each step.
_DROPPED = 26
#: Errors below this share of the mean absolute change count as quadratic, or the loss would have no slope to settle on.
_SOFT = 0.05
#: Inputs are squashed beyond six robust standard deviations: an outlier says "high", not how high.
_CLIP = 6.0
#: Rows seen in all: 25 times each for two stations and two years, fewer times for a larger network of stations.
_SEEN = 1_000_000
_EPOCHS = 25
#: With more stations than this the network does not get the station; the boosters still do.
_MOST_STATIONS = 32


@dataclass(frozen=True)
class Network:
    """A fitted network.

    Attributes:
        n_stations: stations it tells apart; codes beyond are unknown ones.
        cyclic: positions of the feature columns station, hour and weekday.
        centre: (columns,) median of each other feature.
        scale: (columns,) robust standard deviation.
        unit: mean absolute change, by which targets are divided.
        layers: weights and biases, in turn.
        n_leads: leads it gives.
    """

    n_stations: int
    cyclic: tuple[int, int, int]
    centre: Floats
    scale: Floats
    unit: float
    layers: tuple[Matrix, ...]
    n_leads: int

    def to_bytes(self) -> bytes:
        """Return the network as consecutive NumPy arrays."""
        file = io.BytesIO()
        head = np.array([self.n_stations, *self.cyclic, self.unit, self.n_leads, len(self.layers)], dtype=np.float64)
        arrays: list[npt.NDArray[np.floating]] = [head, self.centre, self.scale, *self.layers]
        for array in arrays:
            np.save(file, array, allow_pickle=False)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read `to_bytes` back.

        Raises:
            ValueError: the content is damaged.
        """
        file = io.BytesIO(content)
        try:
            head = np.load(file, allow_pickle=False)
            centre, scale, *layers = (np.load(file, allow_pickle=False) for _ in range(2 + int(head[6])))
        except (EOFError, IndexError, OSError, ValueError) as error:
            raise ValueError(f"not a readable network: {error}") from error
        cyclic = (int(head[1]), int(head[2]), int(head[3]))
        return cls(int(head[0]), cyclic, centre, scale, float(head[4]), tuple(layers), int(head[5]))


def fit(features: Matrix, names: Sequence[str], targets: Floats, weight: Floats, n_stations: int, seed: int) -> Network:
    """Fit a network.

    Args:
        features: (n, features); NaN where something was not measured.
        names: their names; ``station``, ``hour`` and ``weekday`` are treated as categories.
        targets: (n, leads) changes from the last reading; NaN where unknown.
        weight: (n,) how much each row counts.
        n_stations: number of station codes.
        seed: random seed.

    Returns:
        The network.
    """
    cyclic = (names.index("station"), names.index("hour"), names.index("weekday"))
    rest = np.delete(features.astype(np.float64), cyclic, axis=1)
    rest = np.where(np.isnan(rest).all(axis=0), 0.0, rest)
    low, centre, high = np.nanquantile(rest, (0.1, 0.5, 0.9), axis=0)
    scale = np.maximum((high - low) / 2.563, 1e-3)  # 10 % and 90 % of a normal distribution are 2.563 σ apart
    unit = max(float(np.nanmean(np.abs(targets))), 1e-6)
    told_apart = n_stations if n_stations <= _MOST_STATIONS else 0
    start = Network(told_apart, cyclic, centre, scale, unit, (), targets.shape[1])
    return _descend(start, _inputs(start, features), targets / unit, weight, np.random.default_rng(seed))


def predict(networks: Sequence[Network], features: Matrix) -> Floats:
    """Return the mean of several networks' quantiles.

    Args:
        networks: fitted alike, with different seeds.
        features: (n, features) as in `fit`.

    Returns:
        (n, leads, 3): the 0.1, 0.5 and 0.9 quantiles of the change; they may cross.
    """
    total = np.zeros((len(features), networks[0].n_leads, len(QUANTILES)))
    for network in networks:
        layer = _inputs(network, features)
        *hidden, weights, bias = network.layers
        for position in range(0, len(hidden), 2):
            layer = np.maximum(layer @ hidden[position] + hidden[position + 1], 0)
        total += (layer @ weights + bias).reshape(total.shape) * network.unit
    return total / len(networks)


def _inputs(network: Network, features: Matrix) -> Matrix:
    station, hour, weekday = (features[:, position].astype(np.float64) for position in network.cyclic)
    rest = (np.delete(features.astype(np.float64), network.cyclic, axis=1) - network.centre) / network.scale
    missing = np.isnan(rest).mean(axis=1)
    rest = np.clip(np.where(np.isnan(rest), 0.0, rest), -_CLIP, _CLIP)
    columns = [np.sign(rest) * np.log1p(np.abs(rest)), missing]
    for turns in (1, 2, 3):
        angle = 2 * np.pi * turns * hour / 24
        columns += [np.sin(angle), np.cos(angle)]
    columns += [weekday < 5, weekday == 5, weekday == 6]
    columns += [station == code for code in range(network.n_stations)]
    return np.column_stack(columns).astype(np.float32)


def _descend(start: Network, inputs: Matrix, targets: Floats, weight: Floats, random: np.random.Generator) -> Network:
    n, outputs = len(inputs), start.n_leads * len(QUANTILES)
    level = np.tile(np.array(QUANTILES, dtype=np.float32), start.n_leads)
    weights = np.tile(np.array(_COUNTS) * 1.0, start.n_leads) * weight[:, None]
    counts = (np.repeat(~np.isnan(targets), len(QUANTILES), axis=1) * weights).astype(np.float32)
    target = np.repeat(np.nan_to_num(targets), len(QUANTILES), axis=1).astype(np.float32)
    parameters, layers, decay = _initial((inputs.shape[1], *_HIDDEN, outputs), random)
    mean, square = np.zeros_like(parameters), np.zeros_like(parameters)
    batch = min(_BATCH, n)
    epochs = int(np.clip(_SEEN // n, 3, _EPOCHS))
    steps, step = epochs * (n // batch), 0
    for _ in range(epochs):
        order = random.permutation(n)
        for first in range(0, n - batch + 1, batch):
            rows = order[first : first + batch]
            step += 1
            rate = _RATE * 0.5 * (1 + math.cos(math.pi * step / steps))
            slope = _gradient(layers, inputs[rows], target[rows], counts[rows], level, random)
            mean *= 0.9
            mean += 0.1 * slope
            np.multiply(slope, slope, out=slope)
            square *= 0.999
            square += 0.001 * slope
            np.sqrt(square, out=slope)
            slope += 1e-8
            np.divide(mean, slope, out=slope)
            slope *= rate * math.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            parameters -= slope
            parameters *= 1 - rate * decay
    return replace(start, layers=tuple(layer.copy() for layer in layers))


def _initial(sizes: tuple[int, ...], random: np.random.Generator) -> tuple[Matrix, list[Matrix], Matrix]:
    """Draw the first parameters as He et al. (2015); the last layer starts small, at "no change".

    Returns:
        All parameters in one array; weights and biases in turn, as views of it; by how much each parameter decays.
    """
    shapes = [shape for before, after in pairwise(sizes) for shape in ((before, after), (after,))]
    ends = np.cumsum([0, *(math.prod(shape) for shape in shapes)])
    parameters, decay = np.zeros(ends[-1], dtype=np.float32), np.zeros(ends[-1], dtype=np.float32)
    layers = []
    for position, shape in enumerate(shapes):
        part = slice(ends[position], ends[position + 1])
        layers.append(parameters[part].reshape(shape))
        if len(shape) == 2:
            spread = math.sqrt(2 / shape[0]) * (0.1 if position == len(shapes) - 2 else 1.0)
            layers[-1][:] = random.normal(0, spread, shape)
            decay[part] = _DECAY
    return parameters, layers, decay


def _gradient(
    layers: list[Matrix], inputs: Matrix, target: Matrix, counts: Matrix, level: Matrix, random: np.random.Generator
) -> Matrix:
    """Compute the gradient of the softened pinball loss by all parameters, with a fresh dropout."""
    outputs, masks = [inputs], [np.ones(0, dtype=np.float32)]
    for position in range(0, len(layers) - 2, 2):
        out = _product(outputs[-1], layers[position])
        out += layers[position + 1]
        np.maximum(out, 0, out=out)
        drawn = np.frombuffer(random.bytes(out.size), dtype=np.uint8).reshape(out.shape)
        keep = (drawn >= _DROPPED) * np.float32(256 / (256 - _DROPPED))
        out *= keep
        outputs.append(out)
        masks.append(keep)
    error = _product(outputs[-1], layers[-2]) + layers[-1] - target
    slope = (np.tanh(error / _SOFT) * 0.5 + 0.5 - level) * counts * (2 / len(inputs))
    gradient: list[Matrix] = []
    for position in range(len(layers) - 2, -1, -2):
        into = outputs[position // 2]
        gradient[:0] = [_outer(into, slope).ravel(), slope.sum(axis=0)]
        if position:
            slope = _product(slope, np.ascontiguousarray(layers[position].T))
            slope *= into > 0
            slope *= masks[position // 2]
    return np.concatenate(gradient)


def _product(left: Matrix, right: Matrix) -> Matrix:
    """Compute ``left @ right`` in slices of 32 rows.

    OpenBLAS starts threads above 64³ multiplications; on so small matrices they cost more than they bring, much more
    so on a busy machine. Slices stay below, and the result does not depend on the number of threads.
    """
    if len(left) % 32:
        return left @ right
    return (left.reshape(-1, 32, left.shape[1]) @ right).reshape(len(left), -1)


def _outer(left: Matrix, right: Matrix) -> Matrix:
    """Compute ``left.T @ right`` in slices of 32 rows, for the same reason."""
    if len(left) % 32:
        return left.T @ right
    slices = left.reshape(-1, 32, left.shape[1]).transpose(0, 2, 1) @ right.reshape(-1, 32, right.shape[1])
    return np.asarray(slices.sum(axis=0), dtype=np.float32)
