"""The trained forecast as plain data, and its files.

The bytes depend on the data, the recipe and the seed alone, not on the time of training or the number of threads, so
that the same training twice gives the same fingerprint.
"""

import gzip
import json
import math
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import msgspec

from airqino.forecasting.boosting import LeadModel
from airqino.forecasting.exceedance import DayModel
from airqino.forecasting.scoring import null_if_undefined

__all__ = ["FORMAT", "Band", "ForecastModel", "Score"]

#: 1: boosters and small neural networks; what they were made by is gone.
FORMAT = 2
_ANY = "*"
#: A model is not judged at a station on less than two days of validation.
_FEWEST_VALIDATED = 48
#: A station is new until it was validated on more than a week: eight days of hours.
_NEW_UNTIL = 8 * 24


@dataclass(frozen=True)
class Band:
    """Conformal correction of an 80 % band of one station, pollutant and lead.

    Attributes:
        station: station id, or ``"*"`` for all stations together (new stations, or too few hours to calibrate on).
        pollutant: co or pm2_5.
        lead: hours from the last reading to the target.
        n: hours it was measured on.
        below: by how much p10 moves away from p50 (negative: towards it), as a share of the raw half width.
        above: the same of p90.
    """

    station: str
    pollutant: str
    lead: int
    n: int
    below: float
    above: float


@dataclass(frozen=True)
class Score:
    """How the model did in the validation block, which it was not fitted on.

    Attributes:
        station: station id, or ``"*"`` for all stations together.
        pollutant: co or pm2_5.
        horizon_h: lead in hours; with a fresh reading, the horizon.
        n: scored hours.
        mae: mean absolute error, in the pollutant's unit.
        mae_persistence: mean absolute error of "no change" on the same hours.
        mae_yesterday: mean absolute error of the reading 24 h before the target, where there is one; NaN without any.
        skill: 1 − mae / mae_persistence; NaN where persistence makes no error.
        coverage80: share of targets inside the calibrated band, each half of the block being scored with the other
            half's calibration.
        beats: whether the model is to be used here: it is better than both.
    """

    station: str
    pollutant: str
    horizon_h: int
    n: int
    mae: float
    mae_persistence: float
    mae_yesterday: float
    skill: float
    coverage80: float
    beats: bool


@dataclass(frozen=True)
class ForecastModel:
    """Everything needed to forecast.

    Attributes:
        pollutants: what it forecasts.
        horizons: how far, in hours after the hour of issue.
        stations: ids whose position is the code the boosters know them by.
        models: by ``"<pollutant>/<lead>"``; none where no station is forecast at that lead.
        bands: calibration tables.
        scores: validation scores.
        days: by name, what forecasts the mean of a day; empty where PM2.5 is not forecast.
        trained_from: first hour used (ISO 8601, UTC).
        trained_until: the first hour that was *not* used.
        n_rows: training rows over all pollutants and leads.
        seed: random seed.
        recipe: settings of the training.
        fingerprint: of the training data; given by the caller, who knows the files.
    """

    pollutants: tuple[str, ...]
    horizons: tuple[int, ...]
    stations: tuple[str, ...]
    models: dict[str, LeadModel]
    bands: tuple[Band, ...]
    scores: tuple[Score, ...]
    days: dict[str, DayModel]
    trained_from: str
    trained_until: str
    n_rows: int
    seed: int
    recipe: dict[str, Any] = field(default_factory=dict)
    fingerprint: str = ""

    def band(self, station: str, pollutant: str, lead: int) -> Band | None:
        """Return the calibration of a station, or of all stations where it has none of its own."""
        return self._band_of.get((station, pollutant, lead)) or self._band_of.get((_ANY, pollutant, lead))

    def score(self, station: str, pollutant: str, lead: int) -> Score | None:
        """Return the validation score of a station, or of all where it has too few hours; None where they have, too."""
        own = self._score_of.get((station, pollutant, lead))
        score = own if own and own.n >= _FEWEST_VALIDATED else self._score_of.get((_ANY, pollutant, lead))
        return score if score and score.n >= _FEWEST_VALIDATED else None

    def knows(self, station: str, pollutant: str, lead: int) -> bool:
        """Tell whether a station was validated on more than a week, so that its band rests on itself."""
        own = self._score_of.get((station, pollutant, lead))
        return own is not None and own.n > _NEW_UNTIL

    @cached_property
    def _band_of(self) -> dict[tuple[str, str, int], Band]:
        return {(b.station, b.pollutant, b.lead): b for b in self.bands}

    @cached_property
    def _score_of(self) -> dict[tuple[str, str, int], Score]:
        return {(s.station, s.pollutant, s.horizon_h): s for s in self.scores}

    def to_files(self) -> dict[str, bytes]:
        """Return the model as files: ``model.json``, and one for each booster (LightGBM text, packed)."""
        about = asdict(replace(self, models={}, days={}))
        about["format"] = FORMAT
        about["scores"] = [_nullable(score) for score in about["scores"]]
        about["models"] = {key: _without_boosters(key, model) for key, model in self.models.items()}
        about["days"] = {
            name: vars(day) | {"rest": _without_boosters(f"day/{name}", day.rest)} for name, day in self.days.items()
        }
        # packed, for text of trees is long; without the time, for equal models shall be equal files
        files = {_file_name(key, name): gzip.compress(text.encode(), mtime=0) for key, name, text in self._boosters()}
        files["model.json"] = json.dumps(about, indent=1, sort_keys=True).encode() + b"\n"
        return files

    def _boosters(self) -> Iterator[tuple[str, str, str]]:
        days = {f"day/{name}": day.rest for name, day in self.days.items()}
        for key, model in sorted((self.models | days).items()):
            yield from ((key, name, text) for name, text in sorted(model.boosters.items()))

    @classmethod
    def from_files(cls, files: dict[str, bytes]) -> Self:
        """Read a model back.

        Args:
            files: content by file name, as `to_files` made it.

        Raises:
            ValueError: a file is missing, damaged or of another format.
        """
        try:
            about = json.loads(files["model.json"])
            if (found := about.pop("format")) != FORMAT:
                raise ValueError(f"its format is {found}, not {FORMAT}: another version of the pipeline trained it")
            for model in (*about["models"].values(), *(day["rest"] for day in about["days"].values())):
                model["boosters"] = {
                    name: gzip.decompress(files[file]).decode() for name, file in model["boosters"].items()
                }
            for score in about["scores"]:
                for name in _UNDEFINED:
                    score[name] = math.nan if score[name] is None else score[name]
            return msgspec.convert(about, cls)
        except (KeyError, TypeError, AttributeError, ValueError, EOFError, OSError, zlib.error) as error:
            raise ValueError(f"not a readable forecast model: {error!r}") from error


#: Numbers of a score that may be undefined.
_UNDEFINED = ("skill", "mae_yesterday")


def _nullable(score: dict[str, Any]) -> dict[str, Any]:
    return score | {name: null_if_undefined(score[name]) for name in _UNDEFINED}


def _without_boosters(key: str, model: LeadModel) -> dict[str, Any]:
    return {"scaling": asdict(model.scaling), "boosters": {name: _file_name(key, name) for name in model.boosters}}


def _file_name(key: str, name: str) -> str:
    return f"{key.replace('/', '-')}-{name}.txt.gz"
