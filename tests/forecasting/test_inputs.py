import numpy as np
import pytest

from airqino.forecasting.inputs import Scaling

NAMES = ["station", "hour", "weekday", "last", "others"]


def features(n=1000, seed=0):
    """Station, hour, weekday, a normal measure (mean 10, deviation 2) and one that nobody measured."""
    random = np.random.default_rng(seed)
    coded = random.integers(0, 2, n), np.arange(n) % 24, np.arange(n) // 24 % 7
    return np.column_stack([*coded, random.normal(10, 2, n), np.full(n, np.nan)]).astype(np.float32)


def scaling(n_stations=2, pollutant="pm2_5"):
    return Scaling.of(pollutant, NAMES, features(), np.array([-2.0, 2.0]), n_stations)


def told(scale, **values):
    """The inputs of one row, by name."""
    row = {"station": 0.0, "hour": 0.0, "weekday": 0.0, "last": 10.0, "others": 1.0} | values
    matrix = np.array([[row[name] for name in NAMES]], dtype=np.float32)
    return dict(zip(scale.inputs, scale.apply(matrix)[0].tolist(), strict=True))


@pytest.mark.parametrize(
    ("last", "expected"),
    [(10, 0.0), (12, np.log1p(1)), (8, -np.log1p(1)), (1e6, np.log1p(6)), (-1e6, -np.log1p(6)), (np.nan, 0.0)],
)
def test_a_measure_is_told_in_robust_deviations_and_an_outlier_as_high(last, expected):
    assert told(scaling(), last=last)["last"] == pytest.approx(expected, abs=0.06)


def test_what_is_missing_is_told():
    assert [told(scaling(), **{"last": last, "others": np.nan})["missing"] for last in (10, np.nan)] == [0.5, 1.0]


def test_hour_and_weekday():
    row = told(scaling(), hour=6, weekday=5)
    assert (row["hour_sin_1"], row["hour_cos_2"], row["hour_sin_3"]) == pytest.approx((1, -1, -1), abs=1e-6)
    assert (row["weekday"], row["saturday"], row["sunday"]) == (0, 1, 0)
    assert [told(scaling(), weekday=day)["weekday"] for day in range(7)] == [1, 1, 1, 1, 1, 0, 0]


@pytest.mark.parametrize(("n_stations", "columns"), [(1, 1), (32, 32), (33, 0)])
def test_stations_are_told_apart_where_they_are_few(n_stations, columns):
    names = [name for name in scaling(n_stations).inputs if name.startswith("station_")]
    assert len(names) == columns


def test_a_station_that_the_model_does_not_know_is_none_of_them():
    assert [told(scaling(), station=code)["station_1"] for code in (0, 1, np.nan)] == [0, 1, 0]
    assert told(scaling(), station=np.nan)["station_0"] == 0


@pytest.mark.parametrize(("pollutant", "steepness"), [("pm2_5", 0.8), ("co", 1.6)])
def test_changes_come_back_as_they_were(pollutant, steepness):
    changes = np.array([-50.0, -0.1, 0.0, 3.0, 1000.0])
    scale = scaling(pollutant=pollutant)
    assert scale.drawn(changes) == pytest.approx(np.arcsinh(steepness * changes / 2))  # of the mean size
    assert scale.change(scale.drawn(changes)) == pytest.approx(changes)
