"""Quality flags: whether an hourly value can be trusted, and if not, why.

Each value keeps the outcome of every test as one digit, in the codes and the order of U.S. IOOS, *Manual for Real-Time
Quality Control* (QARTOD): 1 pass, 2 not evaluated, 3 suspect, 4 fail, 9 missing value. A value that failed a test (4)
does not count; one that is suspect (3) counts and is told. Beside the codes stands one word, the flag, for the worst of
them. The thresholds are in luigi.cfg ``[quality]``.

A flag depends on the day's own readings and on what a `Context` holds of the days around it.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from airqino.quality import notes, outcomes
from airqino.quality.contexts import Context, Thresholds, contexts
from airqino.quality.outcomes import FAIL, MISSING, NOT_EVALUATED, SUSPECT, Codes, Known
from airqino.readings import NAMES

__all__ = [
    "BOUNDS", "COUNTED", "FAULTS", "FLAGS", "TESTS", "UNCHECKED", "fault", "flag_days", "flag_history", "unflagged",
]  # fmt: skip

#: Flags of values that count but only bound what was measured.
BOUNDS = ("floor", "at_floor")
#: Flags of a sensor that says nothing of the air: verdicts on its days, and what its last value may be.
_VERDICTS, _LAST = ("offset", "dead", "at_floor"), ("stuck", "unit")
FAULTS = (*_VERDICTS, *_LAST)

#: Every test, in the order of its digit in ``<reading>_tests``; the operator's is the last.
TESTS = ("range", "stuck", "dead", "spike", "floor", "humid", "order", "level", "operator")

#: Flag → the test and the code that give it, from best to worst; where several fit, the worst is given.
_CAUSES = {
    "humid": ("humid", SUSPECT),
    "floor": ("floor", SUSPECT),
    "at_floor": ("dead", SUSPECT),
    "level": ("level", SUSPECT),
    "order": ("order", FAIL),
    "spike": ("spike", FAIL),
    "stuck": ("stuck", FAIL),
    "dead": ("dead", FAIL),
    "unit": ("level", FAIL),
    "out_of_range": ("range", FAIL),
    "offset": ("floor", FAIL),
    "invalidated": ("operator", FAIL),
}
#: Every flag, from best to worst. ``restored``: a test failed, and an operator says that the value counts.
FLAGS = ("ok", "restored", *_CAUSES, "absent")
#: Flags of values that count: no test failed, or an operator's word stands over it.
COUNTED = ("ok", "restored", *(flag for flag, (_, code) in _CAUSES.items() if code == SUSPECT))
#: The codes of a value that no test has seen.
UNCHECKED = f"{NOT_EVALUATED}" * len(TESTS)

#: Days that a history is flagged in at a time: 200 stations then take 20 MB.
_CHUNK = 31


def flag_days(
    days: pd.DataFrame,
    around: Mapping[pd.Timestamp, Context],
    thresholds: Thresholds = Thresholds(),
    causal: bool = False,
) -> pd.DataFrame:
    """Flag each value of some days, each day by itself.

    The tests (4 fails, 3 is suspect):

    - ``range``: 4 outside the reading's plausible range, or at the end of the sensor's scale (QARTOD gross-range test).
    - ``stuck``: 4 in a run of at least `stuck_hours` readings with the same value, hours without a reading (up to
      `stuck_hours` on end) left out, which may have begun before the day, with two readings of it at least (QARTOD
      flat-line test). The floor of a reading that has one is no sign of it and is not evaluated.
    - ``dead``: 4 where the sensor is dead for days, 3 where it stands at its floor for days (`contexts`).
    - ``spike``: 4 further than `spike_deviations` robust standard deviations above or below **both** neighbouring hours
      (QARTOD spike test, by the smaller of the differences). One deviation is 1.4826 × the median absolute hourly
      change of the day (Rousseeuw & Croux, JASA 88, 1993), of at least 8 changes, or the reading's noise if that is
      more. A value that fails `range` is no neighbour: beside one the test is not evaluated.
    - ``floor``: 3 at the value that the source writes for whatever lies below, 4 where unclipped values show for days
      that the sensor's zero is off (`contexts`).
    - ``humid``: 3 of a sensor that reads high in humid air, at a relative humidity of `humid_above` % or more, also
      where the humidity stands still for hours or a little above 100 %, as in fog; not evaluated where it is missing,
      or lower and fails a test, or its sensor is dead.
    - ``order``: 4 where PM2.5, which is a part of PM10, lies above it: of both;
      not evaluated where one of them fails another test.
    - ``level``: against the level of the last days, 4 at 100 times as much, with the readings beside it that are 20
      times as much, and in a row of 3 readings at a hundredth or less: another unit; 3 at 20 times as much. Zero is no
      fall, and no reading with a floor has one. 4 as well where the level itself is none that there is outdoors
      (`weeks` in `airqino.readings`).
    - ``operator``: 4 where an operator invalidated the value, which is then as if it were not there for every test;
      1 where one restored it: it counts, whatever the tests say.

    Tests look at calibrated values, but for what is said of the sensor: whether it is at its floor, at zero or at the
    end of its scale.

    Args:
        days: Hourly readings of these days, columns station, observed_at and `NAMES`, at most one row per station and
            hour; and what `notes.apply` adds, or an earlier flagging, of which only the operator's word is taken.
        around: Beginning (UTC) of each day that has rows, and what the days around it say of it; in time order.
        thresholds: The rules' numbers.
        causal: Flag an hour only by what was known when it ended: a run is flagged from its last reading needed on
            instead of as a whole, and no spikes are looked for.

    Returns:
        For each reading ``<reading>_flag``, one of `FLAGS`, and ``<reading>_tests``, one digit for each of `TESTS`; on
        the index of `days`.
    """
    stations, starts = sorted(days["station"].unique()), pd.DatetimeIndex(list(around))
    at = pd.DatetimeIndex(days["observed_at"])
    day = starts.searchsorted(at, side="right") - 1
    hour = np.asarray((at - starts[day]) // pd.Timedelta(hours=1), dtype=np.intp)
    code = np.asarray(pd.Categorical(days["station"], categories=stations).codes, dtype=np.intp)
    cube = np.full((24, len(starts), len(stations), len(NAMES)), np.nan)
    reported, considered = cube.copy(), notes.values(days)
    cube[hour, day, code], reported[hour, day, code] = considered, notes.values(days, reported=True)
    known = Known(list(around.values()), stations)
    codes = np.full((len(TESTS), *cube.shape), NOT_EVALUATED, dtype=np.int8)
    ranged = outcomes.of_range(cube, reported)
    found = {
        "range": ranged,
        "stuck": outcomes.of_stuck(cube, reported, known, thresholds, causal),
        "dead": known.dead(cube.shape),
        "floor": outcomes.of_floor(reported, known),
        "level": outcomes.of_level(cube, reported, known, causal),
    } | ({} if causal else {"spike": outcomes.of_spike(np.where(ranged == FAIL, np.nan, cube), known, thresholds)})
    for test, outcome in found.items():
        codes[TESTS.index(test)] = outcome
    # two tests look at another reading, which must be sound itself
    sound = np.where((codes == FAIL).any(axis=0), np.nan, cube)
    codes[TESTS.index("humid")] = outcomes.of_humid(cube, sound, found["dead"], thresholds)
    codes[TESTS.index("order")] = outcomes.of_order(cube, sound)
    told = codes[:, hour, day, code]
    told[:, np.isnan(considered)] = NOT_EVALUATED
    told[TESTS.index("operator")] = notes.words(days)
    told[:, days[list(NAMES)].isna().to_numpy()] = MISSING
    return _columns(told, days.index)


def flag_history(hourly: pd.DataFrame, thresholds: Thresholds = Thresholds(), causal: bool = False) -> pd.DataFrame:
    """Flag each value of many days, day by day as the pipeline does.

    Args:
        hourly: Hourly readings as for `flag_days`.
        thresholds: The rules' numbers.
        causal: See `flag_days`.

    Returns:
        A copy of `hourly`, sorted by hour and station, with the columns of `flag_days` in place of earlier ones.
    """
    hourly = hourly.sort_values(["observed_at", "station"], ignore_index=True)
    at = hourly["observed_at"]
    days = list(at.dt.floor("D").unique())
    parts = []
    for chunk in (days[i : i + _CHUNK] for i in range(0, len(days), _CHUNK)):
        earliest, after = chunk[0] - timedelta(days=thresholds.dead_days), chunk[-1] + timedelta(days=1, hours=1)
        first, begin, end, last = at.searchsorted([earliest, chunk[0], chunk[-1] + timedelta(days=1), after])
        known = contexts(hourly.iloc[first:last], chunk, thresholds)
        parts.append(flag_days(hourly.iloc[begin:end], dict(zip(chunk, known, strict=True)), thresholds, causal))
    return pd.concat([unflagged(hourly), pd.concat(parts)], axis=1) if parts else hourly


def unflagged(hourly: pd.DataFrame) -> pd.DataFrame:
    """Return hourly readings without the columns of `flag_days`."""
    parts = {f"{name}_{part}" for name in NAMES for part in ("flag", "tests")}
    return hourly.drop(columns=[name for name in hourly.columns if name in parts])


def summarise(codes: Codes) -> npt.NDArray[np.str_]:
    """Return the flag of each value.

    Args:
        codes: (tests, ...) outcomes, in the order of `TESTS`.
    """
    flags = np.full(codes.shape[1:], FLAGS.index("ok"), dtype=np.int8)
    for flag, (test, code) in _CAUSES.items():
        flags[codes[TESTS.index(test)] == code] = FLAGS.index(flag)
    fails = ~np.isin(flags, [FLAGS.index(flag) for flag in COUNTED])
    flags[fails & (codes[TESTS.index("operator")] == notes.RESTORED)] = FLAGS.index("restored")
    flags[codes[0] == MISSING] = FLAGS.index("absent")
    return np.array(FLAGS)[flags]


def fault(flags: Sequence[str]) -> str | None:
    """Return why a sensor cannot be used, by the flags of its last day: of its verdict, or of the last value it gave.

    Args:
        flags: Its flags, oldest first.

    Returns:
        ``offset``, ``dead`` or ``at_floor``; ``stuck`` or ``unit`` where its last value is; None of a sensor that can.
    """
    given = [flag for flag in flags if flag != "absent"]
    verdict = next((flag for flag in _VERDICTS if flag in given), None)
    return verdict or (given[-1] if given and given[-1] in _LAST else None)


def _columns(codes: Codes, index: pd.Index) -> pd.DataFrame:
    """Return the columns of flags and codes of (tests, rows, readings) outcomes."""
    flags = summarise(codes)
    numbers = np.zeros(codes.shape[1:], dtype=np.int64)
    for outcome in codes:
        numbers = numbers * 10 + outcome
    different, place = np.unique(numbers, return_inverse=True)
    digits = np.array([f"{number}" for number in different], dtype=object)[place.reshape(numbers.shape)]
    columns: dict[str, Any] = {f"{name}_flag": flags[:, i] for i, name in enumerate(NAMES)}
    columns |= {f"{name}_tests": digits[:, i] for i, name in enumerate(NAMES)}
    return pd.DataFrame(columns, index=index, dtype="str")
