"""The model registry: MLflow, which keeps a record of every training and the alias that names the champion.

Only trainings and ``scripts/models`` come here: MLflow takes 4 s to import. What is published is decided by the file
that `airqino.stores.models` keeps, so that a registry that is away never stops anything.
"""

import contextlib
import logging
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from airqino.errors import DamagedFileError, RegistryError
from airqino.names import file_name, version_name

__all__ = ["ALIAS", "EXPERIMENT", "MODEL", "Record", "Registry", "check_file"]

#: Names in MLflow: of the experiment, of the registered model, and of the alias.
EXPERIMENT = MODEL = "airqino-forecast"
ALIAS = "champion"

_TIMEOUT = 5.0
#: MLflow reports its use and retries for minutes unless told otherwise, looks for git, and takes over the logging.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_CONFIGURE_LOGGING": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "GIT_PYTHON_REFRESH": "quiet",
}


@dataclass(frozen=True)
class Record:
    """What is kept of one training.

    Attributes:
        version: the version's name, such as 2024-09-09.
        params: settings of the training, data period and fingerprint.
        metrics: numbers by name; a ``/`` groups them on MLflow's page.
        files: the model's files by name.
        texts: further text files by name, such as the list of features.
        figures: pictures (matplotlib) by file name.
    """

    version: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    files: Mapping[str, bytes]
    texts: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)


def check_file(path: Path) -> None:
    """Check a SQLite file, if it is there.

    Raises:
        DamagedFileError: It is no database, or not whole.
    """
    if not path.is_file():
        return
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError:  # it is in use, or cannot be opened: whoever needs it tells that
        return
    except sqlite3.DatabaseError as error:
        found = f"{error}"
    if found != "ok":
        raise DamagedFileError(f"the file of the model registry, {path}, is damaged: {' '.join(found.split())[:200]}")


class Registry:
    """The registry at a tracking URI."""

    def __init__(self, uri: str) -> None:
        """Name the registry; nothing is asked yet.

        Args:
            uri: MLflow tracking URI: http(s), or a database URL such as ``sqlite:////srv/mlflow/mlflow.db``. Beside a
                SQLite file lie the artifacts.
        """
        self.uri = uri
        self._client: Any = None

    def record(self, record: Record) -> None:
        """Keep a training as a run, and register it as a version of the model.

        Raises:
            RegistryError: It cannot be kept.
        """
        with self._connected() as client:
            run = client.create_run(self._experiment(client), run_name=record.version).info.run_id
            try:
                self._fill(client, run, record)
                client.set_terminated(run)
            except BaseException:
                client.set_terminated(run, "FAILED")
                raise
            if not client.search_registered_models(f"name = '{MODEL}'"):
                client.create_registered_model(MODEL, description="Forecast of CO and PM2.5 for the next hours")
            description = f"{record.version}: trained on what was measured before that day"
            tags = {"version": record.version}
            client.create_model_version(MODEL, f"runs:/{run}/model", run, tags=tags, description=description)

    def alias_version(self) -> str | None:
        """Return the version that has the alias, or None.

        Raises:
            RegistryError: It cannot be asked, or what bears the alias is no version of ours.
        """
        with self._connected() as client:
            for model in client.search_registered_models(f"name = '{MODEL}'"):
                if number := model.aliases.get(ALIAS):
                    return self._named(client.get_model_version(MODEL, number))
            return None

    def _named(self, registered: Any) -> str:
        """Return the name of a registered version, which whoever may write to the registry has chosen."""
        try:
            return version_name(registered.tags.get("version"))
        except ValueError as error:
            raise RegistryError(
                f"the model registry at {self._where()}: version {registered.version} of {MODEL}, which has the alias "
                f"{ALIAS}, has a tag version that names none: {error}; correct the tag, or move the alias"
            ) from None

    def move_alias(self, version: str) -> None:
        """Move the alias to a version.

        Raises:
            RegistryError: It does not know the version, or cannot be asked.
        """
        with self._connected() as client:
            client.set_registered_model_alias(MODEL, ALIAS, self._find(client, version).version)

    def files(self, version: str) -> dict[str, bytes]:
        """Return the files of a version, as they were recorded.

        Raises:
            RegistryError: It does not know the version, or cannot be asked.
        """
        with self._connected() as client, tempfile.TemporaryDirectory() as folder:
            run = self._find(client, version).run_id
            path = Path(client.download_artifacts(run, "model", folder))
            return {file_name(file.name): file.read_bytes() for file in sorted(path.iterdir())}

    def _find(self, client: Any, version: str) -> Any:
        """Return the registered version of that name; the newest, should it have been trained twice."""
        trainings = [v for v in self._registered(client) if v.tags.get("version") == version]
        if not trainings:
            raise RegistryError(f"the model registry at {self._where()} does not know version {version}")
        return max(trainings, key=lambda v: int(v.version))

    @staticmethod
    def _registered(client: Any) -> list[Any]:
        registered: list[Any] = []
        token = None
        while True:
            page = client.search_model_versions(f"name = '{MODEL}'", max_results=200, page_token=token)
            registered += page
            token = page.token
            if not token:
                return registered

    def _experiment(self, client: Any) -> str:
        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is not None:
            return str(experiment.experiment_id)
        location = (self._sqlite().parent / "artifacts").as_uri() if self.uri.startswith("sqlite") else None
        kind = {"mlflow.experimentKind": "custom_model_development"}  # else its page shows it as one on language models
        return str(client.create_experiment(EXPERIMENT, artifact_location=location, tags=kind))

    @staticmethod
    def _fill(client: Any, run: str, record: Record) -> None:
        from mlflow.entities import Metric, Param

        now = int(time.time() * 1000)
        metrics = [Metric(name, number, now, 0) for name, number in record.metrics.items()]
        params = [Param(name, text[:6000]) for name, text in record.params.items()]
        client.log_batch(run, metrics=metrics, params=params)
        for name, text in record.texts.items():
            client.log_text(run, text, name)
        with tempfile.TemporaryDirectory() as folder:
            for name, content in record.files.items():
                (Path(folder) / name).write_bytes(content)
            client.log_artifacts(run, folder, "model")
        for name, figure in record.figures.items():
            client.log_figure(run, figure, name)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Any]:
        """Yield MLflow's client; whatever goes wrong in it becomes one line."""
        try:
            if self._client is None:
                self._check()
                for name, value in _ENVIRONMENT.items():
                    os.environ.setdefault(name, value)
                logging.getLogger("alembic").setLevel(logging.WARNING)
                from mlflow.tracking import MlflowClient

                self._client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
            yield self._client
        except RegistryError:
            raise
        except ImportError as error:
            raise RegistryError(f"the model registry needs MLflow: run scripts/install registry ({error})") from error
        except Exception as error:  # MLflow, SQLAlchemy, alembic, requests and the file system each have their own
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
            raise RegistryError(f"the model registry at {self._where()} cannot be used: {reason}") from error

    def _check(self) -> None:
        """Ask the store ourselves first: MLflow tries a broken one for minutes."""
        if self.uri.startswith("sqlite"):
            path = self._sqlite()
            path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(path, timeout=_TIMEOUT)) as database:
                database.execute("BEGIN IMMEDIATE")
                database.execute("SELECT count(*) FROM sqlite_master")
                database.rollback()
        elif self.uri.startswith("http"):
            requests.get(f"{self.uri.rstrip('/')}/health", timeout=_TIMEOUT).raise_for_status()

    def _sqlite(self) -> Path:
        return Path(self.uri.partition(":///")[2]).absolute()

    def _where(self) -> str:
        """Return the URI without user and password."""
        parts = urlsplit(self.uri)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
