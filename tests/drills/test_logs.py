"""The log of real runs through deploy/logs/rsyslog.conf to a second rsyslogd: every line whole, once, in order.

Changed in the copy: the folder, the receiver's address, and how soon the sender tries again.
"""

import json
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from subprocess import Popen

import pytest
import yaml
from support.deployment import ROOT, Pipeline
from support.servers import running, until

from airqino.sandbox.mongod import free_port

pytestmark = pytest.mark.drill

DEPLOY = ROOT / "deploy" / "logs"
NEXT_MONTH = "pipeline-2099-01.jsonl"


class Shipping:
    """A sender with the shipped configuration, and a receiver that writes what comes to a file."""

    def __init__(self, folder: Path, logs: Path) -> None:
        self._folder, self.logs, self.port = folder, logs, free_port()
        for name in ("sender", "receiver"):
            (folder / name).mkdir()
        text = (DEPLOY / "rsyslog.conf").read_text()
        for old, new in (
            ("/var/lib/airqino/staging/logs", str(logs)),
            ("graylog.example.org", "127.0.0.1"),
            ('port="1514"', f'port="{self.port}"'),
            ('resumeinterval="5"', 'resumeinterval="1"'),
        ):
            assert text.count(old) == 1
            text = text.replace(old, new)
        (folder / "airqino.conf").write_text(text)
        # as in Debian's /etc/rsyslog.conf, the local sockets come before rsyslog.d
        (folder / "sender.conf").write_text(
            f'module(load="imuxsock" sysSock.use="off")\nglobal(workDirectory="{folder}/sender")\n'
            f'include(file="{folder}/airqino.conf")\n'
        )
        (folder / "receiver.conf").write_text(
            f'global(workDirectory="{folder}/receiver" maxMessageSize="256k")\nmodule(load="imptcp")\n'
            f'template(name="line" type="string" string="%app-name% %pri-text% %msg%\\n")\n'
            f'input(type="imptcp" address="127.0.0.1" port="{self.port}" ruleset="keep")\n'
            f'ruleset(name="keep") {{ action(type="omfile" file="{folder}/received" template="line") }}\n'
        )

    def sender(self) -> AbstractContextManager[Popen[bytes]]:
        return self._daemon("sender", None)

    def receiver(self) -> AbstractContextManager[Popen[bytes]]:
        return self._daemon("receiver", self.port)

    def _daemon(self, name: str, port: int | None) -> AbstractContextManager[Popen[bytes]]:
        files = ("-f", str(self._folder / f"{name}.conf"), "-i", str(self._folder / name / "pid"))
        return running("rsyslogd", "-n", *files, log=self._folder / f"{name}.log", port=port)

    def written(self) -> list[str]:
        return [line for path in sorted(self.logs.glob("*.jsonl")) for line in path.read_text().splitlines()]

    def received(self) -> list[str]:
        path = self._folder / "received"
        head = "airqino local0.notice "
        lines = path.read_text().splitlines() if path.exists() else []
        assert all(line.startswith(head) for line in lines)
        return [line.removeprefix(head) for line in lines]

    def waiting(self) -> list[Path]:
        """The queue on disk."""
        return list((self._folder / "sender").glob("airqino.0*"))

    def all_arrive(self) -> None:
        until(lambda: len(self.received()) >= len(self.written()), 20, "all lines")
        assert self.received() == self.written()


@pytest.fixture
def shipping(tmp_path: Path, pipeline: Pipeline) -> Shipping:
    return Shipping(tmp_path, pipeline.root / "logs")


def test_lines_of_runs_arrive_whole_once_and_in_order(pipeline: Pipeline, shipping: Shipping) -> None:
    assert pipeline.hourly().returncode == 0
    with shipping.receiver(), shipping.sender():
        shipping.all_arrive()
    for line in shipping.received():
        assert {"@timestamp", "log.level", "message", "trace"} <= json.loads(line).keys()

    # a run while both are away; the sender goes on with the line that it had come to
    assert pipeline.hourly(MONGODB_URI="mongodb://127.0.0.1:9").returncode == 2
    with ExitStack() as receiver:
        receiver.enter_context(shipping.receiver())
        with shipping.sender():
            shipping.all_arrive()
            before = len(shipping.received())

            # a run while the receiver is away
            receiver.close()
            assert pipeline.hourly().returncode == 0
            until(shipping.waiting, 10, "lines on disk")
            assert len(shipping.received()) == before < len(shipping.written())
            with shipping.receiver():
                shipping.all_arrive()

                # a month begins, with a line longer than 8 KiB and letters beyond ASCII
                long = json.dumps({"message": "20 µg/m³\n" * 10_000, "log.level": "error"}, ensure_ascii=False)
                lines = (*shipping.written()[-3:], long)
                (shipping.logs / NEXT_MONTH).write_text("".join(f"{line}\n" for line in lines))
                shipping.all_arrive()


def test_filebeat_reads_the_same_files() -> None:
    """Checked as YAML: Filebeat is not in Debian."""
    config = yaml.safe_load((DEPLOY / "filebeat.yml").read_text())
    (source,) = config["filebeat.inputs"]
    assert source["type"] == "filestream"
    assert source["paths"][0] in (DEPLOY / "rsyslog.conf").read_text()
    assert source["parsers"] == [
        {"ndjson": {"target": "", "overwrite_keys": True, "expand_keys": True, "add_error_key": True}}
    ]
    assert "output.elasticsearch" in config
