"""TrainModel: from hourly tables to a forecast model, and to the decision whether it is published."""

import json
import logging
from dataclasses import replace
from datetime import date, timedelta
from importlib.util import find_spec
from typing import Any

import luigi
import pandas as pd

from airqino.errors import ConfigError, InsufficientHistoryError, PipelineError, RegistryError
from airqino.forecasting import plots
from airqino.forecasting.artifact import FORMAT
from airqino.forecasting.boosting import importance
from airqino.forecasting.contest import Opponent, Outcome, Policy, hold_contest
from airqino.forecasting.model import ForecastModel, Recipe, train
from airqino.forecasting.scoring import DriftLimits, null_if_undefined
from airqino.forecasting.training import drawn_stations
from airqino.stores import models
from airqino.stores.models import ModelCard
from airqino.stores.registry import Record, Registry
from airqino.times import day_range, day_start
from tasks import model_documents, promotion, targets
from tasks.asked import asked_once
from tasks.clean import thresholds
from tasks.parameters import DayParameter
from tasks.settings.reading import settings
from tasks.stage import Stage, exclusive
from tasks.staged import frame_of, stations_of

log = logging.getLogger("airqino.train")

#: Lines that can still be told apart in a picture.
_MOST_SERIES = 10


class TrainModel(Stage):
    """A challenger trained on what is staged before a day, and published if it is better than the champion.

    Unit: a day: each Monday, and the day that a drift begins. Complete: the model is there, or there was too little
    history and no day was staged since; and the ``models`` collection says so. A model is a snapshot: a late reading
    does not train it again, the next Monday does. `forecasting.contest` tells how the two are compared.
    """

    day = DayParameter(description="train on what was measured before this day, such as 2024-09-09")
    priority = 10  # before the forecast of the same run, which does not wait for it

    def output(self) -> luigi.LocalTarget:
        """Return the version's folder."""
        return luigi.LocalTarget(str(promotion.folder(self.day)))

    def force(self) -> None:
        """Have it trained again, unless it has made forecasts: then it stays the model that made them."""
        card = promotion.card(self.day)
        if card is not None and card.promoted_at:
            cure = "TrainModel for a later day trains another, `scripts/models rollback` goes back to the one before"
            raise ConfigError(f"model {self.day} was published and stays as it is: {cure}")
        super().force()

    @asked_once
    def complete(self) -> bool:
        """Say whether there is nothing (more) to train or to restore, and MongoDB knows."""
        return (
            not self.is_forced
            and self._is_trained()
            and not promotion.is_champion_lost()
            and model_documents.is_loaded()
        )

    @exclusive
    def run(self) -> None:
        """Train a challenger and compare it, or say on its card why there is none."""
        if promotion.is_champion_lost():
            promotion.restore_champion(self.day)
        if self.is_forced or not self._is_trained():
            try:
                _challenge(self.day, self._history())
            except InsufficientHistoryError as error:
                log.info("no model for %s: %s", self.day, error)
                untrained = ModelCard(trained_for=f"{self.day}", reason=f"{error}", days=len(self._history()))
                models.save(promotion.folder(self.day), {}, untrained)
        model_documents.load_documents()

    def _is_trained(self) -> bool:
        card = promotion.card(self.day)
        if card is None or not card.trained:
            return card is not None and card.days == len(self._history())
        # where what is published is outdated, another model of that kind is of no use
        return promotion.is_readable(f"{self.day}") or not promotion.is_outdated()

    def _history(self) -> list[targets.ParquetTarget]:
        first = self.day - timedelta(days=settings().forecast.train_days)
        tables = [targets.hourly(day) for day in day_range(first, self.day - timedelta(days=1))]
        return [table for table in tables if table.exists()]


def monday(day: date) -> date:
    """Return the Monday of the week that a day lies in."""
    return day - timedelta(days=day.weekday())


def drift_limits() -> DriftLimits:
    """Return the limits beyond which a model has drifted, from the settings."""
    config = settings().forecast
    return DriftLimits(config.drift_skill, config.drift_coverage_low, config.drift_coverage_high, config.drift_hours)


def _policy() -> Policy:
    config = settings().forecast
    confidence, limits = config.promote_confidence, drift_limits()
    recipe = Recipe.of_rounds(config.rounds)
    return Policy(config.compare_days, confidence, limits, thresholds(), config.horizons, recipe, config.seed)


def _challenge(day: date, history: list[targets.ParquetTarget]) -> None:
    """Train, compare, save, promote, and keep a record in the registry, which may be away."""
    config, store = settings().forecast, promotion.registry()
    if len(history) < config.min_train_days:
        raise InsufficientHistoryError(f"{len(history)} days staged, {config.min_train_days} needed")
    try:
        promotion.follow_alias(store)
    except RegistryError as error:
        store = None
        log.warning("%s; version %s is not recorded there, the champion stays as it is cached", error, day)
    stations = stations_of(history)
    drawn = drawn_stations(stations, 24 * len(history), config.seed)
    if len(drawn) < len(stations):
        log.info("model %s: trained on %d of %d stations, drawn by chance", day, len(drawn), len(stations))
    readings = frame_of(history, drawn)
    until = pd.Timestamp(day_start(day))
    options: dict[str, Any] = {"horizons": config.horizons, "seed": config.seed}
    options["recipe"] = Recipe.of_rounds(config.rounds)
    with settings().pool() as pool:
        model = train(readings, until, **options, pool=pool, zones=settings().zones)
        model = replace(model, fingerprint=targets.fingerprint(*(t.fingerprint for t in history)))
        outcome = hold_contest(day, readings, len(history), _opponent(day), _policy(), pool)
    files, card = model.to_files(), _card(day, model, outcome, len(history))
    live = promotion.champion()
    models.save(promotion.folder(day), files, card)
    if (outcome.promoted or promotion.is_named(day)) and (live is None or live.version <= f"{day}"):
        promotion.promote(f"{day}", outcome.fallback)
    elif live is not None and live.version == outcome.against:
        promotion.set_fallback(outcome.fallback)
    log.info("model %s: %s", day, outcome.reason)
    if store is not None:
        _record(store, day, model, files, card)


def _opponent(day: date) -> Opponent | None:
    """Return the champion that the day's model has to beat: today's, or for a past day that day's; or None."""
    if (champion := promotion.champion_on(day - timedelta(days=1), live=True)) is None:
        return None
    try:
        model = ForecastModel.from_files(promotion.model_files(champion.version))
    except (PipelineError, ValueError) as error:
        text = "champion %s cannot be read (%s): the new model is compared with persistence"
        log.warning(text, champion.version, error)
        return None
    if not promotion.knows_horizons(champion.version):
        log.info("champion %s knows not all horizons: the new model is compared with persistence", champion.version)
        return None
    return Opponent(champion.version, model, frozenset(champion.fallback))


def _card(day: date, model: ForecastModel, outcome: Outcome, days: int) -> ModelCard:
    now, result = settings().now.isoformat(), outcome.comparison
    compared: dict[str, Any] = {}
    if result is not None:
        names = ("skill", "skill_champion", "confidence")
        compared = {name: null_if_undefined(getattr(result, name)) for name in names}
        scores = json.loads(result.scores.to_json(orient="records"))
        compared |= {"compared_rows": result.rows, "compared_days": result.days, "scores": scores}
    return ModelCard(
        format=FORMAT,
        trained=True,
        trained_for=f"{day}",
        horizons=model.horizons,
        trained_at=now,
        trained_from=model.trained_from,
        trained_until=model.trained_until,
        days=days,
        rows=model.n_rows,
        fingerprint=model.fingerprint,
        against=outcome.against,
        reason=outcome.reason,
        promoted=outcome.promoted,
        promoted_at=now if outcome.promoted else None,
        **compared,
    )


def _record(store: Registry, day: date, model: ForecastModel, files: dict[str, bytes], card: ModelCard) -> None:
    """Keep the training in the registry, and move its alias to the champion."""
    names = ("trained_from", "trained_until", "days", "rows", "fingerprint", "against", "reason")
    params = {name: str(getattr(card, name)) for name in names} | {k: str(v) for k, v in model.recipe.items()}
    record = Record(
        version=f"{day}",
        params=params | {"seed": str(model.seed), "stations": ",".join(model.stations)},
        metrics=_metrics(model, card),
        files=promotion.recorded_files(f"{day}", files),
        texts={"inputs.json": json.dumps({key: of.scaling.inputs for key, of in model.models.items()}, indent=1)},
        figures=_figures(model),
    )
    try:
        store.record(record)
        promotion.sync_alias(store)
    except RegistryError as error:
        log.warning("%s; version %s is not recorded there, the champion is the one cached", error, day)


def _figures(model: ForecastModel) -> dict[str, Any]:
    """Draw what the boosters look at, the skill over the horizon, and how reliable the chances of a bad day are."""
    if find_spec("matplotlib") is None:  # it comes with MLflow, not with mlflow-skinny
        return {}
    try:
        return _drawn(model)
    except Exception as error:  # no model goes unrecorded for a picture
        log.warning("the pictures of the model could not be drawn: %s", error)
        return {}


def _drawn(model: ForecastModel) -> dict[str, Any]:
    drawn = {
        f"feature_importance_{pollutant}.png": plots.importance(f"{pollutant}: what the boosters look at", gains)
        for pollutant, gains in importance(model.models).items()
    }
    of_series: dict[str, list[tuple[int, float]]] = {}
    for score in model.scores:
        if score.station != "*" and score.horizon_h in model.horizons and null_if_undefined(score.skill) is not None:
            of_series.setdefault(f"{score.station} {score.pollutant}", []).append((score.horizon_h, score.skill))
    few = dict(list(of_series.items())[:_MOST_SERIES])
    drawn["skill_by_horizon.png"] = plots.skill_by_horizon("skill in the validation block", few)
    days = {name: day.reliability for name, day in model.days.items() if day.reliability}
    if days:
        drawn["reliability.png"] = plots.reliability("chance that the day's mean PM2.5 exceeds the guideline", days)
    return drawn


def _metrics(model: ForecastModel, card: ModelCard) -> dict[str, float]:
    """Return numbers for the registry: grouped by what they are, one for each station, pollutant and horizon."""
    metrics: dict[str, float | None] = {name: getattr(card, name) for name in ("skill", "skill_champion", "confidence")}
    for score in card.scores:
        place = f"{score['station']}.{score['pollutant']}.{score['horizon_h']}h"
        names = ("n", "mae", "mae_persistence", "mae_champion", "skill", "skill_champion", "coverage80")
        metrics |= {f"recent_{name}/{place}": score[name] for name in names}
    for validated in model.scores:
        station = "all" if validated.station == "*" else validated.station
        place = f"{station}.{validated.pollutant}.{validated.horizon_h}h"
        metrics[f"validation_skill/{place}"] = validated.skill
        metrics[f"validation_coverage80/{place}"] = validated.coverage80
    finite = {name: null_if_undefined(value) for name, value in metrics.items()}
    return {name: float(value) for name, value in finite.items() if value is not None}
