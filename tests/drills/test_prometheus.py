"""The pipeline fails, recovers, stops and starts again, watched by real servers with the files of deploy/prometheus.

Changed in the copies: addresses, intervals, and in the rules one number: the dead man's three hours are 15 seconds.
"""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from support.dashboard import queries
from support.deployment import ROOT, Pipeline
from support.mongodb_exporter import Exporter
from support.receivers import Post, Web
from support.servers import running, until

from airqino.sandbox.mongod import Mongod, free_port
from airqino.sandbox.server import Sandbox

pytestmark = pytest.mark.drill

DEPLOY = ROOT / "deploy" / "prometheus"
NOBODY = "http://127.0.0.1:9"
SHORT = {"AirqinoNoSuccess": ("> 3 * 3600", "> 15")}


@dataclass
class Watch:
    """The servers that look after a deployment, and the two that messages end at."""

    pipeline: Pipeline
    api: Sandbox
    pager: Web
    chat: Web
    mails: Post
    folder: Path
    began: float = field(default_factory=time.time)
    ports: dict[str, int] = field(default_factory=dict)

    def url(self, server: str) -> str:
        return f"http://127.0.0.1:{self.ports[server]}"

    def query(self, expression: str) -> list[dict[str, Any]]:
        return self._ask("query", query=expression)

    def history(self, expression: str) -> list[dict[str, Any]]:
        """Everything that there was of it since the drill began."""
        return self._ask("query_range", query=expression, start=self.began, end=time.time(), step=1)

    def _ask(self, what: str, **parameters: Any) -> list[dict[str, Any]]:
        answer = requests.get(f"{self.url('prometheus')}/api/v1/{what}", params=parameters, timeout=10).json()
        assert answer["status"] == "success", (parameters, answer)
        return answer["data"]["result"]

    def paged(self) -> list[tuple[str, str]]:
        """What the pager got: trigger or resolve, and which alert."""
        events = [json.loads(body) for _, _, _, body in self.pager.requests]
        return [(event["event_action"], event["payload"]["summary"]) for event in events]

    def chatted(self) -> list[str]:
        return [attachment["title"] for alert in self.chat.alerts for attachment in alert["attachments"]]


def replaced(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text


def shortened(rules: str) -> str:
    """The shipped rules, each of SHORT with another number, in its expression and nowhere else."""
    for alert, (old, new) in SHORT.items():
        at = rules.index(f"- alert: {alert}\n")
        line = rules[at:].splitlines()[1]
        assert line.endswith(old)
        rules = rules[:at] + rules[at:].replace(line, line.replace(old, new), 1)
    return rules


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory, mongod: Mongod) -> Iterator[Watch]:
    """Four days of history, forecasts included, and all servers up."""
    folder = tmp_path_factory.mktemp("watch")
    with ExitStack() as stack:
        api, pager, chat = (stack.enter_context(part) for part in (Sandbox(), Web(202), Web()))
        mails = stack.enter_context(Post())
        pipeline = Pipeline(folder / "staging", mongod, api.url)
        stack.callback(pipeline.close)
        made = Watch(pipeline, api, pager, chat, mails, folder)
        made.ports = {name: free_port() for name in ("prometheus", "alertmanager", "pushgateway", "luigid", "node")}
        made.ports["mongodb-exporter"] = stack.enter_context(Exporter(mongod.uri)).port
        configured(made)
        for name, command in servers(made).items():
            log = folder / f"{name}.log"
            stack.enter_context(running(*command, log=log, port=made.ports[name], cwd=folder, env=pipeline.env))
        pipeline.env |= {"LUIGID_URL": made.url("luigid"), "PUSHGATEWAY_URL": made.url("pushgateway")}
        last = (datetime.now(UTC) - timedelta(hours=1, minutes=2)).date()  # whose hours are left to the hourly run
        past = f"{last - timedelta(days=4):%Y-%m-%dT00}", f"{last - timedelta(days=1):%Y-%m-%dT23}"
        filled = pipeline.backfill(*past, "--hindcast")
        assert filled.returncode == 0, filled.stderr
        yield made


def configured(watch: Watch) -> None:
    """Copy what is shipped, with this drill's addresses and intervals."""
    addresses = {
        f"{name}:{port}": f"127.0.0.1:{watch.ports[name]}"
        for name, port in (("alertmanager", 9093), ("pushgateway", 9091), ("luigid", 8082), ("mongodb-exporter", 9216))
    }
    fast = {"scrape_interval: 1m": "scrape_interval: 1s", "evaluation_interval: 1m": "evaluation_interval: 1s"}
    prometheus = (DEPLOY / "prometheus.yml").read_text()
    (watch.folder / "prometheus.yml").write_text(replaced(prometheus, addresses | fast))
    shutil.copytree(DEPLOY / "node", watch.folder / "node")
    (watch.folder / "rules").mkdir()
    for path in (DEPLOY / "rules").glob("*.yml"):
        text = path.read_text()
        (watch.folder / "rules" / path.name).write_text(shortened(text) if "alerts" in path.name else text)
    receivers = {
        "global:\n": f"global:\n  smtp_require_tls: false\n  pagerduty_url: http://127.0.0.1:{watch.pager.port}/\n",
        "mail.example.org:587": f"127.0.0.1:{watch.mails.port}",
        "group_wait: 30s": "group_wait: 0s",
        "group_interval: 5m": "group_interval: 1s",
    }
    (watch.folder / "alertmanager.yml").write_text(replaced((DEPLOY / "alertmanager.yml").read_text(), receivers))
    secrets = {"pagerduty_key": "a" * 32, "slack_url": f"http://127.0.0.1:{watch.chat.port}/", "smtp_password": "b"}
    (watch.folder / "secrets").mkdir()
    for name, text in secrets.items():
        (watch.folder / "secrets" / name).write_text(text)


def servers(watch: Watch) -> dict[str, list[str]]:
    at = {name: f"127.0.0.1:{port}" for name, port in watch.ports.items()}
    (watch.folder / "textfiles").mkdir()
    listen = "--web.listen-address"
    luigid, state = str(Path(sys.executable).with_name("luigid")), str(watch.folder / "luigid.state")
    port = f"--port={watch.ports['luigid']}"
    return {
        "pushgateway": ["prometheus-pushgateway", "--persistence.file=pushed", f"{listen}={at['pushgateway']}"],
        "alertmanager": [
            *("prometheus-alertmanager", "--config.file=alertmanager.yml", "--storage.path=alertmanager"),
            *(f"{listen}={at['alertmanager']}", "--cluster.listen-address="),
        ],
        "prometheus": [
            *("prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb"),
            f"{listen}={at['prometheus']}",
        ],
        "node": [
            *("prometheus-node-exporter", "--collector.disable-defaults", "--collector.textfile"),
            *("--collector.textfile.directory=textfiles", f"{listen}={at['node']}"),
        ],
        # in the repository, for its luigi.cfg
        "luigid": ["env", f"--chdir={ROOT}", luigid, "--address=127.0.0.1", port, "--state-path", state],
    }


def test_a_failed_run_and_a_dead_pipeline_are_told_and_so_is_their_end_and_the_dashboard_shows_them(
    watch: Watch,
) -> None:
    watch.api.add_fault("server_error")
    assert watch.pipeline.hourly().returncode == 30
    until(lambda: "The last hourly run failed" in watch.chatted(), 10, "the failed run in the chat")
    assert [row["metric"]["status"] for row in watch.query('airqino_requests{status!="200"}')] == ["503"]

    watch.api.clear_faults()
    # luigid keeps a failed task from other runs for about ten minutes, until it has forgotten it
    done = watch.pipeline.hourly(LUIGID_URL=NOBODY)
    assert done.returncode == 0, done.stderr
    until(lambda: "resolved: The last hourly run failed" in watch.chatted(), 10, "its end in the chat")
    assert watch.paged() == []

    # nobody starts it any more
    until(lambda: watch.paged(), 30, "the dead man's switch at the pager")
    assert watch.paged()[0][0] == "trigger"
    assert watch.paged()[0][1].startswith("No hourly run has succeeded for 1")
    until(lambda: any("No hourly run has succeeded" in text for text in watch.mails.texts()), 10, "the mail")
    told = next(text for text in watch.mails.texts() if "No hourly run has succeeded" in text)
    assert re.search(r"scripts/backfill \d{4}-\d\d-\d\dT\d\d \d{4}-\d\d-\d\dT\d\d", told)

    assert watch.pipeline.hourly(LUIGID_URL=NOBODY).returncode == 0
    until(lambda: watch.paged()[-1][0] == "resolve", 15, "the end at the pager")
    assert {action for action, _ in watch.paged()} == {"trigger", "resolve"}

    # by now everything has happened that the dashboard shows
    assert {row["metric"]["job"]: row["value"][1] for row in watch.query("up")} == {
        "pushgateway": "1", "luigid": "1", "mongodb": "1"
    }  # fmt: skip
    assert [title for title, query in queries() if not watch.history(query)] == []


def test_node_exporter_brings_the_same_metrics(watch: Watch) -> None:
    done = watch.pipeline.hourly(METRICS_TEXTFILE=str(watch.folder / "textfiles" / "airqino.prom"), LUIGID_URL=NOBODY)
    assert done.returncode == 0, done.stderr
    assert "airqino_run_success" in names(watch.url("node"))
    assert names(watch.url("node")) == names(watch.url("pushgateway"))
    (watch.folder / "node" / "machines.yml").write_text(f'- targets: ["127.0.0.1:{watch.ports["node"]}"]\n')
    until(lambda: watch.query('airqino_run_success{job="node"} == 1'), 15, "Prometheus sees the new target")


def names(url: str) -> set[str]:
    """The pipeline's metrics in an exposition, those that have a sample."""
    return set(re.findall(r"^airqino_\w+", requests.get(f"{url}/metrics", timeout=5).text, re.MULTILINE))


def test_the_shipped_files_pass_their_own_checks() -> None:
    done = subprocess.run([DEPLOY / "check"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_guide_installs_what_passes(tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "monitoring.md").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", guide, re.DOTALL)
    commands = replaced("set -e\n" + "".join(blocks), {"/etc/prometheus": str(tmp_path)})
    done = subprocess.run(["bash", "-c", commands], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("SUCCESS") == 5  # two files of rules found and read, Prometheus', Alertmanager's
    assert "localhost:9093" in (tmp_path / "prometheus.yml").read_text()
