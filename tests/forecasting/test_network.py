import numpy as np
import pytest

from airqino.forecasting import network


def test_a_damaged_network_is_refused():
    random = np.random.default_rng(0)
    features = random.normal(size=(300, 4)).astype(np.float32)
    fitted = network.fit(
        features, ["station", "hour", "weekday", "last"], random.normal(size=(300, 3)), np.ones(300), 1, 1
    )
    content = fitted.to_bytes()
    expected = network.predict([fitted], features)
    np.testing.assert_array_equal(network.predict([network.Network.from_bytes(content)], features), expected)
    with pytest.raises(ValueError, match="not a readable network"):
        network.Network.from_bytes(content[: len(content) // 2])


def test_network_gradient_against_differences():
    """The slope that training follows is that of the softened pinball loss."""
    random = np.random.default_rng(0)
    layers = [random.normal(0, 0.5, shape).astype(np.float32) for shape in ((6, 5), (5,), (5, 4), (4,), (4, 6), (6,))]
    inputs, target = random.normal(size=(32, 6)).astype(np.float32), random.normal(size=(32, 6)).astype(np.float32)
    counts, level = (random.random((32, 6)) > 0.2).astype(np.float32), np.tile([0.1, 0.5, 0.9], 2).astype(np.float32)

    def loss(parts):
        out = inputs.astype(float)
        for position in (0, 2, 4):
            out = out @ parts[position].astype(float) + parts[position + 1]
            out = np.maximum(out, 0) if position < 4 else out
        error = (out - target) / 0.05
        soft = 0.05 * (np.logaddexp(error, -error)) * 0.5 + (0.5 - level) * (out - target)
        return (soft * counts).sum() * 2 / 32

    dropped, network._DROPPED = network._DROPPED, 0
    try:
        gradient = network._gradient(layers, inputs, target, counts, level, np.random.default_rng(1))
    finally:
        network._DROPPED = dropped
    ends = np.cumsum([0, *(layer.size for layer in layers)])
    for position, layer in enumerate(layers):
        for place in (0, layer.size - 1):
            moved = [part.astype(float).copy() for part in layers]
            moved[position].flat[place] += 1e-5
            numeric = (loss(moved) - loss(layers)) / 1e-5
            assert gradient[ends[position] + place] == pytest.approx(numeric, rel=0.02, abs=1e-3)
