"""Check whether anything starts scripts/hourly: cron or systemd on this machine."""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tasks.doctor.checks import Result, ok, warning
from tasks.settings import luigi_cfg
from tasks.settings.sections import ENVIRONMENT

__all__ = ["crontab_line", "trigger"]

#: Where the installation guide lets cron write.
_LOGS = Path("/var/log/airqino")
_COMMAND = "scripts/hourly"
#: Debian's cron silently ignores files in /etc/cron.d whose names hold anything else (man cron).
_CRON_NAME = re.compile(r"[A-Za-z0-9_-]+")


def trigger(repository: Path, system: Path, root: Path) -> Iterator[Result]:
    """Look for a line of cron or a timer that starts the hourly run.

    Args:
        repository: For the line that is proposed.
        system: The root of the file system.
        root: The staging root, for the line's log.
    """
    name = "trigger"
    started_by, doubts = _cron(system / "etc")
    if doubts:
        cure = "rename the file so that cron accepts its name, or end its last line with a line break"
        yield warning(name, "; ".join(doubts), cure)
    elif started_by and not _cron_runs(system / "proc"):
        cure = "service cron start, or systemctl enable --now cron"
        yield warning(name, f"{started_by}, but cron is not running", cure)
    elif started_by or (started_by := _timer()):
        yield ok(name, started_by)
    else:
        cure = (
            f"{_lacking()}crontab -e, and this line. If Kubernetes, Airflow, a container or another machine starts it, "
            f"you do not have to do anything\n{crontab_line(repository, root)}"
        )
        yield warning(name, "neither cron nor a systemd timer of this machine starts scripts/hourly", cure)


def crontab_line(repository: Path, root: Path) -> str:
    """Return the line for this user's crontab: no variable of this shell is needed, and what it prints is kept.

    Args:
        repository: The checkout.
        root: What takes the log where no better folder is this user's.
    """
    logs = (_LOGS / "hourly.log", Path.home() / "airqino-hourly.log", root.absolute() / "cron.log")
    log = next((path for path in logs if os.access(path.parent, os.W_OK)), logs[-1])
    folder = luigi_cfg.directory()
    before = f"AIRQINO_CONFIG_DIR={shlex.quote(f'{folder}')} " if os.environ.get("AIRQINO_CONFIG_DIR") else ""
    words = f"{before}{shlex.quote(f'{repository / _COMMAND}')} >>{shlex.quote(f'{log}')} 2>&1"
    return f"5 * * * * {words}".replace("%", r"\%")  # cron takes a % for the end of the line


def _lacking() -> str:
    """Return what is to be done first where settings are in this shell alone: cron does not know them."""
    names = [name for name in ENVIRONMENT if os.environ.get(name, "").strip() and name not in luigi_cfg.FROM_FILE]
    if not names:
        return ""
    return f"first put {', '.join(names)} into {luigi_cfg.directory() / 'airqino.env'}, for cron lacks them; then "


def _cron(etc: Path) -> tuple[str, list[str]]:
    """Return where a line starts it, and what is wrong with the file that holds the line."""
    if _starts(_output("crontab", "-l")):
        return "crontab of this user", []
    paths = [etc / "crontab", *sorted((etc / "cron.d").glob("*")), *sorted((etc / "cron.hourly").glob("*"))]
    for path in paths:
        try:
            text = path.read_text(errors="replace")
        except OSError:
            continue
        if _starts(text):
            doubts = []
            if path.parent != etc and not _CRON_NAME.fullmatch(path.name):
                doubts.append(f"cron ignores {path}: its name may hold letters, digits, - and _ only")
            if not text.endswith("\n"):
                doubts.append(f"cron ignores the last line of {path}: it does not end in a line break")
            return str(path), doubts
    return "", []


def _starts(text: str) -> bool:
    return any(_COMMAND in line and not line.lstrip().startswith("#") for line in text.splitlines())


def _cron_runs(proc: Path) -> bool:
    """Return whether a cron daemon runs on this machine or in this container."""
    for path in proc.glob("[0-9]*/comm"):
        try:
            if path.read_text().strip() in ("cron", "crond"):
                return True
        except OSError:
            continue  # it ended meanwhile
    return False


def _timer() -> str:
    """Return the timer whose service starts it."""
    try:
        timers = json.loads(_output("systemctl", "list-timers", "--all", "--no-pager", "--output=json") or "[]")
        units = {f"{timer['activates']}": f"{timer['unit']}" for timer in timers}
    except (ValueError, KeyError, TypeError):
        return ""
    for service, unit in units.items():
        if _COMMAND in _output("systemctl", "show", "--property=ExecStart", service):
            return f"systemd timer {unit}"
    return ""


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=3, errors="replace").stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
