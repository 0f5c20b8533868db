"""TrainModel: from hourly tables to a forecast model, and to the decision whether it is published."""

import json
import logging
import math
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import luigi
import pandas as pd

from airqino.errors import InsufficientHistoryError
from airqino.forecasting.contest import Verdict, judge
from airqino.forecasting.scores import EPISODE_DAYS, Limits, match, strays
from airqino.quality.flags import flag_history
from airqino.stores import models
from airqino.stores.models import Champion
from airqino.stores.registry import Record, RegistryError
from airqino.times import HOUR, day_range, day_start
from tasks import promotion, targets
from tasks.clean import thresholds
from tasks.parameters import DayParameter
from tasks.settings.reading import settings
from tasks.stage import Stage

log = logging.getLogger("airqino.train")

#: Days that a champion must be older than the challenger to be compared with it: each weekday once.
_FEWEST_DAYS = 7


class TrainModel(Stage):
    """A challenger trained on what is staged before a day, and published if it is better than the champion.

    Unit: a day: each Monday, and the day that a drift begins. Complete: the model is there, or there was too little
    history and no day was staged since; and the ``models`` collection says so. A model is a snapshot: a late reading
    does not train it again, the next Monday does.

    How it is judged. The champion has seen everything before its own day, the challenger everything before today, so
    on no measured hour are both unseen. The comparison is therefore made with a stand-in: the same training, stopped at
    `compare_days` (14) before the day, or at the champion's own day if that is later. From there on neither the
    stand-in nor the champion has seen anything, and both forecast the same hours. Two weeks: more days would make the
    test surer, but the stand-in staler than what would really be published. A stand-in that knows no more than the
    champion and is made in the same way ties with it; the champion then stays, as it does where it is younger than a
    week. The stand-in is the older of the two that it stands for, which is a bias against promotion, never for it. The
    challenger wins when its error is the smaller one with 90 % confidence (`forecasting.contest`). Where there is no
    champion, "no change" is what has to be beaten in the same way.
    """

    day = DayParameter(description="train on what was measured before this day, such as 2024-09-09")
    priority = 10  # before the forecast of the same run, which does not wait for it

    def output(self) -> luigi.LocalTarget:
        """The version's folder."""
        return luigi.LocalTarget(str(promotion.folder(self.day)))

    def complete(self) -> bool:
        """Whether there is nothing (more) to train, and MongoDB knows."""
        return self._is_trained() and promotion.is_published()

    def run(self) -> None:
        """Train and judge a challenger, or say on its card why not."""
        if not self._is_trained():
            try:
                _challenge(self.day, self._history())
            except InsufficientHistoryError as error:
                log.info("no model for %s: %s", self.day, error)
                untrained = {"trained": False, "reason": str(error), "trained_for": f"{self.day}"}
                models.save(promotion.folder(self.day), {}, untrained | {"days": len(self._history())})
        promotion.publish()

    def _is_trained(self) -> bool:
        card = models.card(promotion.folder(self.day))
        return card is not None and (card["trained"] or card["days"] == len(self._history()))

    def _history(self) -> list[targets.ParquetTarget]:
        first = self.day - timedelta(days=settings().forecast.train_days)
        tables = [targets.hourly(day) for day in day_range(first, self.day - timedelta(days=1))]
        return [table for table in tables if table.exists()]


def monday(day: date) -> date:
    """The Monday of the week that a day lies in."""
    return day - timedelta(days=day.weekday())


def limits() -> Limits:
    """When a model has drifted, from the settings."""
    config = settings().forecast
    return Limits(config.drift_skill, config.drift_coverage_low, config.drift_coverage_high, config.drift_hours)


@dataclass(frozen=True)
class _Contest:
    """What came of the comparison with the champion.

    Attributes:
        against: the champion's version, or persistence.
        verdict: None where there was nothing to compare on.
        reason: in words.
        promoted: whether the challenger won.
        aside: (station, pollutant) pairs for which persistence is published in the winner's place.
    """

    against: str
    verdict: Verdict | None
    reason: str
    promoted: bool
    aside: frozenset[tuple[str, str]]


def _challenge(day: date, history: list[targets.ParquetTarget]) -> None:
    """Train, judge, save, promote, and keep a record in the registry, which may be away."""
    from airqino.forecasting import model  # LightGBM takes long to import

    config, store, registered = settings().forecast, promotion.registry(), True
    if len(history) < config.min_train_days:
        raise InsufficientHistoryError(f"{len(history)} days staged, {config.min_train_days} needed")
    try:
        promotion.follow(store)
    except RegistryError as error:
        registered = False
        log.warning("%s; version %s is not recorded there, the champion stays as it is cached", error, day)
    readings = targets.frame(history)
    trained = model.train(readings, pd.Timestamp(day_start(day)), seed=config.seed, num_threads=config.threads)
    trained = replace(trained, fingerprint=targets.fingerprint(*(t.fingerprint for t in history)))
    contest = _contest(day, readings, len(history))
    files, card = trained.to_files(), _card(day, trained, contest, len(history))
    live = promotion.champion()
    models.save(promotion.folder(day), files, card)
    if contest.promoted and (live is None or live.version <= f"{day}"):
        promotion.promote(f"{day}", contest.aside)
    elif live is not None and live.version == contest.against:
        promotion.set_aside(contest.aside)
    log.info("model %s: %s", day, contest.reason)
    if registered:
        _record(day, trained, contest, files, card)


def _contest(day: date, readings: pd.DataFrame, days: int) -> _Contest:
    """Compare a stand-in of the challenger with the champion, or with persistence where there is none."""
    from airqino.forecasting import model

    config = settings().forecast
    champion = promotion.incumbent(day)
    known = _model_of(champion)
    champion = champion if known else None
    against, aside = (champion.version, champion.aside) if champion else ("persistence", ())
    start = day - timedelta(days=min(config.compare_days, max(days // 4, 1)))
    start = max(start, date.fromisoformat(champion.version)) if champion else start
    old = _forecast(known, readings, start, day) if known else None
    stand_in, why_none = None, f"champion {against} is younger than {_FEWEST_DAYS} days: it stays"
    if champion is None or (day - start).days >= _FEWEST_DAYS:
        try:
            until = pd.Timestamp(day_start(start))
            stand_in = model.train(readings, until, seed=config.seed, num_threads=config.threads)
        except InsufficientHistoryError:
            why_none = "history too short to judge it"
    if stand_in is None:
        return _Contest(against, None, why_none, False, _aside(old, day, aside))
    new = _forecast(stand_in, readings, start, day)
    verdict = judge(new, old, aside)
    promoted = verdict.rows > 0 and verdict.confidence >= config.promote_confidence
    told = f"{'better' if promoted else 'not better'} than {against} (confidence {verdict.confidence:.2f}"
    told += f" over {verdict.days} days, skill {verdict.skill:.3f}" + (
        f" against {verdict.skill_champion:.3f})" if champion else ")"
    )
    return _Contest(against, verdict, told, promoted, _worse(new, day) if promoted else _aside(old, day, aside))


def _model_of(champion: Champion | None) -> Any:
    """The champion's model; None where there is none or it cannot be read, which then is no champion."""
    from airqino.forecasting.model import ForecastModel

    if champion is None:
        return None
    try:
        return ForecastModel.from_files(models.load(promotion.folder(champion.version)))
    except (OSError, ValueError) as error:
        log.warning(
            "champion %s cannot be read (%s): the new model is compared with persistence", champion.version, error
        )
        return None


def _forecast(known: Any, readings: pd.DataFrame, start: date, day: date) -> pd.DataFrame:
    """What a model would have published in the days compared, beside what came."""
    from airqino.forecasting.model import HISTORY_HOURS, predict

    first, last = day_start(start) - HOUR, day_start(day) - 2 * HOUR
    needed = HISTORY_HOURS * HOUR + timedelta(days=thresholds().dead_days)
    recent = readings[readings["observed_at"] >= pd.Timestamp(first - needed)]
    values = recent.drop(columns=[name for name in recent.columns if name.endswith("_flag")])
    causal = flag_history(values.reset_index(drop=True), thresholds(), causal=True)  # as known when each hour ended
    hours = list(pd.date_range(first, last, freq="h"))
    return match(predict(known, causal, hours, settings().forecast.threads), readings)


def _aside(
    forecasts: pd.DataFrame | None, day: date, before: tuple[tuple[str, str], ...] | tuple[()]
) -> frozenset[tuple[str, str]]:
    """Where the winner's last week was beyond the limits; pairs with too few hours to say stay as they were."""
    if forecasts is None:
        return frozenset(before)
    week = forecasts[forecasts["target_at"] >= pd.Timestamp(day_start(day)) - pd.Timedelta(days=EPISODE_DAYS)]
    beyond, judged = strays(week, limits())
    return frozenset(beyond | (set(before) - judged))


def _worse(forecasts: pd.DataFrame, day: date) -> frozenset[tuple[str, str]]:
    """Where a new champion was worse than persistence in the last week; its band is calibrated anew."""
    week = forecasts[forecasts["target_at"] >= pd.Timestamp(day_start(day)) - pd.Timedelta(days=EPISODE_DAYS)]
    return frozenset(strays(week, replace(limits(), coverage_low=0.0, coverage_high=1.0))[0])


def _card(day: date, trained: Any, contest: _Contest, days: int) -> dict[str, Any]:
    verdict = contest.verdict
    compared = {} if verdict is None else {"compared_rows": verdict.rows, "compared_days": verdict.days}
    return compared | {
        "trained": True,
        "trained_for": f"{day}",
        "trained_at": settings().now.isoformat(),
        "trained_from": trained.trained_from,
        "trained_until": trained.trained_until,
        "days": days,
        "rows": trained.n_rows,
        "fingerprint": trained.fingerprint,
        "against": contest.against,
        "reason": contest.reason,
        "skill": _number(verdict.skill if verdict else None),
        "skill_champion": _number(verdict.skill_champion if verdict else None),
        "confidence": _number(verdict.confidence if verdict else None),
        "scores": [] if verdict is None else json.loads(verdict.scores.to_json(orient="records")),
        "promoted": contest.promoted,
        "promoted_at": settings().now.isoformat() if contest.promoted else None,
    }


def _number(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None


def _record(day: date, trained: Any, contest: _Contest, files: dict[str, bytes], card: dict[str, Any]) -> None:
    """Keep the training in the registry, and move its alias to the champion."""
    from airqino.forecasting.importance import importance

    told = ("trained_from", "trained_until", "days", "rows", "fingerprint", "against", "reason")
    params = {name: str(card[name]) for name in told} | {k: str(v) for k, v in trained.recipe.items()}
    record = Record(
        version=f"{day}",
        params=params | {"seed": str(trained.seed), "stations": ",".join(trained.stations)},
        metrics=_metrics(trained, card),
        files=promotion.recorded_files(f"{day}", files),
        texts={"features.json": json.dumps(trained.features, indent=1)},
        importance=importance(trained),
    )
    store = promotion.registry()
    try:
        store.record(record)
        promotion.tell(store)
    except RegistryError as error:
        log.warning("%s; version %s is not recorded there, the champion is the one cached", error, day)


def _metrics(trained: Any, card: dict[str, Any]) -> dict[str, float]:
    """Numbers for the registry: grouped by what they are, one for each station, pollutant and horizon."""
    metrics = {name: card[name] for name in ("skill", "skill_champion", "confidence")}
    for score in card["scores"]:
        place = f"{score['station']}.{score['pollutant']}.{score['horizon_h']}h"
        names = ("n", "mae", "mae_persistence", "mae_champion", "skill", "skill_champion", "coverage80")
        metrics |= {f"recent_{name}/{place}": score[name] for name in names}
    for score in trained.scores:
        place = f"{'all' if score.station == '*' else score.station}.{score.pollutant}.{score.horizon_h}h"
        metrics |= {f"validation_skill/{place}": score.skill, f"validation_coverage80/{place}": score.coverage80}
    return {name: float(number) for name, number in metrics.items() if number is not None and math.isfinite(number)}
