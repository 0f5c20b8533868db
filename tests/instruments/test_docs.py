"""docs/alerts.md says what is so."""

import re
from datetime import UTC, datetime

from apprise import Apprise
from support.deployment import ROOT

from tasks.instruments import metrics
from tasks.instruments.incidents import KINDS, Book
from tasks.instruments.observed import PipelineState, Success
from tasks.instruments.tally import Tally

TEXT = (ROOT / "docs" / "alerts.md").read_text()


def test_every_metric_is_explained_with_its_labels() -> None:
    now = datetime(2024, 9, 9, 11, 5, tzinfo=UTC)
    state = PipelineState(now, now, [], [], [], 0.5, None)
    registry = metrics.gauges(state, Tally(), Book(), Success("2024-09-09T10", now), 0, 0.0, 0.0)
    labels_of = {metric._name: metric._labelnames for metric in registry._collector_to_names}
    rows = re.findall(r"^\| `(airqino_\w+)` \| (.*?) \|", TEXT, re.MULTILINE)
    assert {name: tuple(re.findall(r"`(\w+)`", labels)) for name, labels in rows} == labels_of


def test_every_kind_has_its_section() -> None:
    assert tuple(re.findall(r"^### (\w+)$", TEXT, re.MULTILINE)) == KINDS


def test_the_examples_of_channels_are_ones() -> None:
    (block,) = re.findall(r"```text\n(mailtos.*?)```", TEXT, re.DOTALL)
    urls = block.split()
    assert len(urls) == 6
    for url in urls:
        assert Apprise.instantiate(url) is not None, url


def test_the_line_of_the_dead_mans_switch_is_the_one_that_is_shipped() -> None:
    shipped = (ROOT / "deploy" / "cron" / "airqino.cron").read_text().splitlines()
    (line,) = [line.strip() for line in TEXT.splitlines() if "airqino-alerts.lock" in line]
    assert line in shipped
