import numpy as np
import pandas as pd
import pytest

from airqino.forecasting import training
from airqino.forecasting.grid import COVARIATES, WEATHER, to_grid

LEADS = (1, 2, 3, 13)

START = pd.Timestamp("2024-01-01", tz="UTC")
HOURS = 40 * 24


@pytest.fixture(scope="module")
def rows():
    random = np.random.default_rng(0)
    parts = []
    for station in ("a", "b"):
        table = pd.DataFrame({"station": station, "observed_at": pd.date_range(START, periods=HOURS, freq="h")})
        for name in COVARIATES + WEATHER:
            table[name] = random.gamma(2, 5, HOURS)
        parts.append(table[random.random(HOURS) > 0.1])
    return training._rows(to_grid(pd.concat(parts, ignore_index=True)), "pm2_5", LEADS, 300_000, seed=1)


@pytest.mark.parametrize(("days", "hours"), [(5, 5 * 24), (42, HOURS // 4)])  # at most a quarter of the history
def test_no_target_of_the_fit_lies_in_the_validation_block(rows, days, hours):
    fitting, block = training._split(rows, LEADS, days)
    first = HOURS - hours
    assert abs(int(block.row.min()) - first) <= 3  # an hour or two may be missing there
    assert len(fitting.row) + len(block.row) == len(rows.row)
    for position, lead in enumerate(LEADS):
        known = ~np.isnan(fitting.targets[:, position])
        assert (fitting.row[known] + lead).max() < block.row.min()
        before = rows.row + lead < block.row.min()
        np.testing.assert_array_equal(fitting.targets[known, position], _known(rows.targets[before, position]))


def test_the_split_leaves_the_rows_as_they_are(rows):
    before = rows.targets.copy()
    training._split(rows, LEADS, 5)
    np.testing.assert_array_equal(rows.targets, before)


def _known(values):
    return values[~np.isnan(values)]


@pytest.mark.parametrize(
    ("counts", "most", "kept"),
    [
        ((100, 100), 300, (100, 100)),
        ((100, 100), 120, (60, 60)),
        ((20, 500, 500), 320, (20, 150, 150)),
        ((3, 3, 1000), 10, (3, 3, 4)),
    ],
)
def test_rows_are_thinned_evenly_and_a_new_station_keeps_all(counts, most, kept):
    column = np.concatenate([np.full(count, station) for station, count in enumerate(counts)])
    order = np.random.default_rng(0).permutation(len(column))
    found = training._thinned(np.arange(len(column)), column[order], most, seed=1)
    assert tuple(np.bincount(column[order][found], minlength=len(counts))) == kept
    assert (np.diff(found) > 0).all()
    for station, count in enumerate(counts):  # evenly: one from each of as many equal parts as are kept
        places = np.searchsorted(np.flatnonzero(column[order] == station), found[column[order][found] == station])
        parts = [place * kept[station] // count for place in places]
        assert all(abs(part - number) <= 1 for number, part in enumerate(parts))


@pytest.mark.parametrize(("stations", "days"), [(200, 400), (150, 400), (164, 365)])
def test_what_is_thinned_is_of_all_hours_of_the_day(stations, days):
    """An even stride has a divisor in common with 24 in each of these."""
    column = np.tile(np.arange(stations), days * 24)
    found = training._thinned(np.arange(len(column)), column, 60_000, seed=1)
    of_day = np.bincount(found // stations % 24, minlength=24)
    assert of_day.min() > 0.8 * of_day.mean()


@pytest.mark.parametrize(
    ("stations", "days", "number"),
    [(2, 400, 2), (200, 30, 200), (91, 400, 91), (10_000, 30, 200), (10_000, 400, 91), (500, 20_000, 1)],
)
def test_a_large_network_is_trained_on_some_of_its_stations(stations, days, number):
    names = [f"{n:05}" for n in range(stations)]
    drawn = training.drawn_stations(names, 24 * days, seed=1)
    assert len(drawn) == number
    assert drawn == sorted({*drawn} & {*names})
    assert drawn == training.drawn_stations(names, 24 * days, seed=1)
    if number < stations:
        assert drawn != names[:number]
        assert drawn != training.drawn_stations(names, 24 * days, seed=2)
