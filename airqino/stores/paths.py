"""Every path under a staging root. Nothing else builds one."""

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from airqino.names import station_id, version_name

__all__ = ["Paths"]


@dataclass(frozen=True)
class Paths:
    """The layout of a staging root.

    A partition is a folder for each day, named ``2024-09-09`` (UTC).

    Attributes:
        root: The staging root.
    """

    root: Path

    def partition(self, day: date) -> Path:
        """Return the folder of a day."""
        return self.root / f"{day:%Y-%m-%d}"

    def days(self) -> list[date]:
        """Return the days that have a partition, oldest first."""
        names = [path.name for path in self.root.glob("[0-9]*-[0-9]*-[0-9]*") if path.is_dir()]
        return sorted(day for name in names if (day := _day(name)))

    def raw_hours(self, day: date) -> Path:
        """Return the folder of a day's raw hours."""
        return self.partition(day) / "raw"

    def raw(self, hour: datetime) -> Path:
        """Return the raw hour: one row for each station, its readings or why there are none."""
        return self.raw_hours(hour) / f"{hour:%H}.parquet"

    def revisions(self, day: date) -> Path:
        """Return the ledger of a day's readings that the source changed later."""
        return self.partition(day) / "revisions.parquet"

    def hourly(self, day: date) -> Path:
        """Return the typed and flagged hours of a day."""
        return self.partition(day) / "hourly.parquet"

    def daily(self, day: date) -> Path:
        """Return each station's daily means."""
        return self.partition(day) / "daily.parquet"

    def forecasts(self, day: date) -> Path:
        """Return the folder of a day's forecasts."""
        return self.partition(day) / "forecast"

    def forecast(self, hour: datetime) -> Path:
        """Return what was forecast when an hour was over."""
        return self.forecasts(hour) / f"{hour:%H}.parquet"

    def scores(self, day: date) -> Path:
        """Return the scores of the forecasts for a day."""
        return self.partition(day) / "scores.parquet"

    def score_sums(self, day: date) -> Path:
        """Return what the forecasts for a day add up to."""
        return self.partition(day) / "score_sums.parquet"

    @property
    def stations(self) -> Path:
        """Return the folder of what the API says of stations."""
        return self.root / "stations"

    def station(self, station: str) -> Path:
        """Return what the API says of a station: name and coordinates.

        Raises:
            ValueError: It is no station's id.
        """
        return self.stations / f"{station_id(station)}.parquet"

    @property
    def environment(self) -> Path:
        """Return the file that names the environment to which the root belongs."""
        return self.root / "environment"

    @property
    def notes(self) -> Path:
        """Return the file of the operator's notes."""
        return self.root / "operator" / "notes.jsonl"

    @property
    def quarantine(self) -> Path:
        """The folder of damaged files, each under its own path and the moment when it was found."""
        return self.root / "quarantine"

    @property
    def models(self) -> Path:
        """Return the folder of the forecast models."""
        return self.root / "models"

    def model(self, version: str | date) -> Path:
        """Return the folder of a model version.

        Raises:
            ValueError: It is none's name.
        """
        return self.models / version_name(f"{version}")

    @property
    def champion(self) -> Path:
        """Return the file that names the model version whose forecasts are published."""
        return self.models / "champion.json"

    @property
    def registry(self) -> Path:
        """Return the SQLite file of the model registry where no other is configured."""
        return self.root / "mlflow" / "mlflow.db"

    @property
    def logs(self) -> Path:
        """Return the folder of the log files."""
        return self.root / "logs"

    def log(self, moment: datetime) -> Path:
        """Return the log file of a month."""
        return self.logs / f"pipeline-{moment:%Y-%m}.jsonl"

    @property
    def alerts(self) -> Path:
        """Return the file of the incidents."""
        return self.root / "alerts.json"

    @property
    def last_success(self) -> Path:
        """Return the file that names the last hourly run that succeeded."""
        return self.root / "last_success.json"

    @property
    def runs(self) -> Path:
        """Return the file of the commands that ran."""
        return self.root / "runs.parquet"

    @property
    def probe(self) -> Path:
        """Return the file of the last report on the API's habits."""
        return self.root / "probe.json"

    @property
    def rotation(self) -> Path:
        """Return the file that says which old months were read again, and when."""
        return self.root / "rotation.json"

    @property
    def demo(self) -> Path:
        """Return the staging root of the demo, which holds its servers' data too."""
        return self.root / "demo"

    def lock(self, name: str) -> Path:
        """Return a lock file: that of ``hourly``, ``run``, ``alerts``, ``runs``, ``stage.<task>`` and the like."""
        return self.root / f".{name}.lock"


def _day(name: str) -> date | None:
    try:
        return date.fromisoformat(name)
    except ValueError:
        return None
