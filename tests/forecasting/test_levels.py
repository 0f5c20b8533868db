import itertools
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airqino.forecasting.levels import level
from airqino.readings import INDEX_LEVELS


@given(st.floats(0, 300), st.floats(0, 1), st.floats(0, 200))
def test_the_level_is_the_likeliest_and_its_chance_that_of_a_two_piece_normal(p50, share, more):
    p10, p90 = p50 * share, p50 + more
    (name,), (chance,) = level("pm2_5", *(np.array([value]) for value in (p10, p50, p90)))
    edges = [0.0, 5.5, 15.5, 50.5, 90.5, 140.5, 1e9]
    deviation = NormalDist().inv_cdf(0.9)

    def below(value):
        side = (np.log1p(p50) - np.log1p(p10)) if value < p50 else (np.log1p(p90) - np.log1p(p50))
        return NormalDist(np.log1p(p50), max(side, 1e-6) / deviation).cdf(np.log1p(value))

    chances = [below(high) - (below(low) if low else 0.0) for low, high in itertools.pairwise(edges)]
    assert chances[INDEX_LEVELS.index(name)] == pytest.approx(max(chances), abs=1e-4)
    assert chance == pytest.approx(max(chances), abs=1e-4)


def test_there_is_no_level_of_nothing_and_none_of_co():
    nothing = np.array([np.nan])
    assert level("pm2_5", nothing, nothing, nothing)[0][0] is None
    ten = np.array([10.0])
    names, chances = level("co", ten, ten, ten)
    assert names[0] is None
    assert np.isnan(chances[0])
