"""Alert rules and dashboard: what they name exists, and their limits are the settings'."""

import re
import time
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from luigi.contrib.prometheus_metric import PrometheusMetricsCollector
from pymongo import MongoClient
from support.dashboard import identifiers, panels, queries
from support.deployment import ROOT
from support.mongodb_exporter import samples
from support.servers import until

from airqino.sandbox.mongod import Mongod
from tasks.instruments.incidents import KINDS, Book
from tasks.instruments.metrics import gauges
from tasks.instruments.observed import PipelineState, Success
from tasks.instruments.tally import Tally
from tasks.settings.reading import settings

#: Those of mongodb_exporter that we use.
MONGODB = {
    "mongodb_dbstats_fsTotalSize", "mongodb_dbstats_fsUsedSize", "mongodb_rs_members_health",
    "mongodb_rs_members_optimeDate", "mongodb_rs_members_state", "mongodb_ss_connections", "mongodb_ss_opcounters",
}  # fmt: skip
RULES = ROOT / "deploy" / "prometheus" / "rules"


def rules(name: str) -> list[dict[str, Any]]:
    groups = yaml.safe_load((RULES / f"airqino.{name}.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def exposed() -> set[str]:
    """Every metric there can be: the pipeline's, luigid's, those of the servers, and the recording rules'."""
    now = datetime.now(UTC)
    state = PipelineState(now, now, [], [], [], 0.5, None)
    ours = gauges(state, Tally(), Book(), Success("2024-09-09T10", now), 0, 0.0, 0.0)
    luigid = PrometheusMetricsCollector().registry
    names = {
        sample for of in (ours, luigid) for family in of.collect() for sample in (family.name, f"{family.name}_total")
    }
    return names | {rule["record"] for rule in rules("recording")} | {"up", "ALERTS", "push_time_seconds"} | MONGODB


@pytest.mark.parametrize(("title", "query"), queries())
def test_the_dashboard_names_metrics_that_exist(title: str, query: str) -> None:
    named = identifiers(query)
    assert named
    assert named <= exposed(), title


def test_what_is_asked_of_mongodb_is_in_its_answers(mongod: Mongod) -> None:
    with MongoClient(mongod.uri) as client:
        # the server notes down its own state once a second
        until(lambda: {name for name, _, _ in samples(client)} >= MONGODB, 10, "all that the rules ask for")
        found = samples(client)
    kinds = {labels["legacy_op_type"] for name, labels, _ in found if name == "mongodb_ss_opcounters"}
    assert kinds >= {"insert", "query", "update", "delete", "getmore", "command"}
    connections = {labels["conn_type"]: value for name, labels, value in found if name == "mongodb_ss_connections"}
    assert connections["current"] > 0 < connections["available"]
    (state,) = (value for name, _, value in found if name == "mongodb_rs_members_state")
    assert state == 1  # primary
    (moment,) = (value for name, _, value in found if name == "mongodb_rs_members_optimeDate")
    assert abs(moment / 1000 - time.time()) < 86_400
    used, total = (
        {value for name, _, value in found if name == f"mongodb_dbstats_fs{of}Size"} for of in ("Used", "Total")
    )
    assert 0 < max(used) < max(total)
    named = {name for rule in rules("recording") + rules("alerts") for name in identifiers(rule["expr"])}
    assert {name for name in named if name.startswith("mongodb_")} == MONGODB


def test_the_rules_name_metrics_that_exist() -> None:
    for rule in rules("recording") + rules("alerts"):
        assert identifiers(rule["expr"]) <= exposed(), rule


def test_every_metric_of_the_pipeline_is_on_the_dashboard_or_in_a_rule() -> None:
    used = {name for _, query in queries() for name in identifiers(query)}
    used |= {name for rule in rules("recording") + rules("alerts") for name in identifiers(rule["expr"])}
    ours = {name for name in exposed() if name.startswith("airqino") and not name.endswith("_total")}
    assert ours <= used


def test_panels_lie_side_by_side() -> None:
    taken = [
        (x, y)
        for at in (panel["gridPos"] for panel in panels())
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) == 23
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_every_alert_says_how_bad_what_to_do_and_where_to_read_on() -> None:
    for rule in rules("alerts"):
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert rule["annotations"]["summary"]
        page, _, section = rule["annotations"]["runbook"].partition("#")
        assert section == rule["labels"]["kind"]
        assert re.search(f"^#+ {section}$", (ROOT / page).read_text(), re.MULTILINE), rule["alert"]
        commands = re.findall(r"`([^`]+)`", rule["annotations"]["description"])
        assert commands, rule["alert"]
        for script in (command.split()[0] for command in commands if command.startswith("scripts/")):
            assert (ROOT / script).exists(), script


def test_every_kind_of_incident_is_an_alert() -> None:
    assert set(KINDS) <= {rule["labels"]["kind"] for rule in rules("alerts")}


def test_the_limits_are_those_of_the_settings() -> None:
    limits, drift = settings().alerts, settings().forecast
    limit = {rule["alert"]: rule["expr"] for rule in rules("alerts")}
    for alert, text in (
        ("AirqinoNoSuccess", f"> {limits.no_success_hours} * 3600"),
        ("AirqinoStationSilent", f"> {limits.silent_hours} * 3600"),
        ("AirqinoMassRevision", f">= {limits.revised_readings}"),
        ("AirqinoDiskLow", f"< {limits.disk_free_share:.2f}"),
        ("AirqinoForecastSkill", f"< {drift.drift_skill:g}"),
        ("AirqinoForecastCoverage", f"< {drift.drift_coverage_low:.2f} or"),
        ("AirqinoForecastCoverage", f"> {drift.drift_coverage_high:.2f})"),
    ):
        assert text in limit[alert]
