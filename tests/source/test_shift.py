"""How hours are named is found from raw rows, and not claimed where they do not tell."""

import random
from datetime import UTC, datetime, timedelta
from statistics import fmean

import pytest

from airqino.source.shift import shift_of
from airqino.times import DAY, HOUR

START = datetime(2024, 9, 9, tzinfo=UTC)
Rows = dict[datetime, dict[str, float]]


def sent(seed: int = 1, *, noise: float = 1.0) -> Rows:
    """Raw rows of four days, every ten minutes."""
    draw, level, rows = random.Random(seed), 20.0, {}
    for n in range(4 * 24 * 6):
        level = max(1.0, level + draw.gauss(0, noise))
        rows[START + n * timedelta(minutes=10)] = {"pm2_5": level, "co": 0.0}
    return rows


def hourly(raw: Rows, shift: timedelta) -> Rows:
    """Their means, named `shift` after the beginning of the hour."""
    hours = [START + n * HOUR for n in range(4 * 24)]
    return {
        hour + shift: {"pm2_5": fmean(raw[hour + n * timedelta(minutes=10)]["pm2_5"] for n in range(6))}
        for hour in hours
    }


def day(raw: Rows) -> Rows:
    return {at: row for at, row in raw.items() if START + 2 * DAY <= at < START + 3 * DAY}


@pytest.mark.parametrize("hours", [0, 1, 2, -4, 5.5, 14, -12])
def test_a_shift_is_found(hours: float) -> None:
    raw, shift = sent(), timedelta(hours=hours)
    assert shift_of(hourly(raw, shift), day(raw)) == shift


def test_a_correction_at_the_source_does_not_hide_it() -> None:
    raw = sent()
    rows = {at: {"pm2_5": 1.4 * row["pm2_5"] + 3} for at, row in hourly(raw, HOUR).items()}
    assert shift_of(rows, day(raw)) == HOUR


@pytest.mark.parametrize(
    ("rows", "raw"),
    [
        ({}, day(sent())),
        (hourly(sent(), HOUR), {}),
        (hourly(sent(), HOUR), day(sent(seed=2))),  # another station's
        (hourly(sent(noise=0), HOUR), day(sent(noise=0))),  # a sensor that stands still
        (hourly(sent(), HOUR), dict(list(day(sent()).items())[:36])),  # six hours
    ],
)
def test_what_does_not_tell(rows: Rows, raw: Rows) -> None:
    assert shift_of(rows, raw) is None
