import math

import numpy as np
import pytest

from airqino.forecasting import calibration


def test_calibration_against_a_naive_count():
    random = np.random.default_rng(1)
    target = random.normal(10, 4, 999)
    centre = np.full(999, 10.0)
    bands = calibration.calibrate("pm2_5", 1, np.full(999, "a"), (centre - 1, centre, centre + 1), target)
    assert [band.station for band in bands] == ["*", "a"]
    low, _, high = calibration.apply_band(
        "pm2_5",
        (centre - 1, centre, centre + 1),
        *np.full((2, 999), [[bands[1].below], [bands[1].above]]),
        np.zeros(999),
    )
    assert (target < low).sum() == 99  # 999 - ceil(1000 * 0.9): one in ten leaves on each side
    assert (target > high).sum() == 99


def test_recent_misses_outweigh_the_training_once_there_are_a_hundred():
    window = np.full((3, 336), np.nan)
    window[1, :50] = 0.5
    window[2, :] = np.linspace(0, 1, 336)
    found = calibration.recent(window, np.array([0.1, 0.1, 0.1]))
    np.testing.assert_allclose(found, [0.1, 0.3, np.linspace(0, 1, 336)[int(np.ceil(337 * 0.9)) - 1]])


def quantile_of(misses):
    """The miss that one target in ten is beyond, as split conformal prediction counts it."""
    return sorted(misses)[math.ceil((len(misses) + 1) * 0.9) - 1]


def test_a_band_is_never_scored_on_the_weeks_that_it_was_calibrated_on():
    """Odd weeks are calm: their band covers few targets of even weeks, and the wide band of these all of theirs."""
    random = np.random.default_rng(4)
    hour = np.arange(8 * 168)
    odd = hour // 168 % 2 == 1
    target = np.where(odd, random.normal(50, 1, len(hour)), random.normal(50, 4, len(hour)))
    centre = np.full(len(hour), 50.0)
    raw = (centre - 1, centre, centre + 1)
    inside = calibration.covered("pm2_5", 1, np.full(len(hour), "a"), hour, raw, target)
    for scored in (odd, ~odd):
        low = 50 - quantile_of(50 - target[~scored])
        high = 50 + quantile_of(target[~scored] - 50)
        np.testing.assert_array_equal(inside[scored], [low <= value <= high for value in target[scored]])
    assert inside[odd].mean() > 0.99
    assert inside[~odd].mean() < 0.4


def test_validation_scores_against_naive_sums():
    random = np.random.default_rng(2)
    n = 600
    station = np.where(np.arange(n) % 3 == 0, "b", "a")
    last, change, yesterday = random.gamma(3, 4, n), random.normal(0, 3, n), random.normal(0, 3, n)
    yesterday[::7] = np.nan
    change[::50] = np.nan
    p50 = last + 0.5 * np.nan_to_num(change) - 8  # now and then below zero, where it counts as zero
    bands, scores = calibration.calibrate_and_score(
        "pm2_5", 2, station, np.arange(n), last, change, yesterday, (p50 - 2, p50, p50 + 2)
    )
    assert [score.station for score in scores] == ["*", "a", "b"]
    assert [band.n for band in bands] == [score.n for score in scores]
    for score in scores:
        own = [i for i in range(n) if not math.isnan(change[i]) and score.station in ("*", station[i])]
        mae = sum(abs(max(p50[i], 0) - last[i] - change[i]) for i in own) / len(own)
        naive = sum(abs(change[i]) for i in own) / len(own)
        assert (score.pollutant, score.horizon_h, score.n) == ("pm2_5", 2, len(own))
        assert (score.mae, score.mae_persistence) == (pytest.approx(mae), pytest.approx(naive))
        assert score.skill == pytest.approx(1 - mae / naive)
        seasonal = np.mean([abs(yesterday[i] - change[i]) for i in own if not math.isnan(yesterday[i])])
        assert score.mae_yesterday == pytest.approx(seasonal)
        assert score.beats is bool(mae < min(naive, seasonal))


def test_nothing_to_calibrate_on():
    nothing = np.full(3, np.nan)
    raw = (np.zeros(3), np.ones(3), np.ones(3))
    station, hour = np.full(3, "a"), np.arange(3)
    assert calibration.calibrate_and_score("co", 1, station, hour, np.ones(3), nothing, nothing, raw) == ([], [])
