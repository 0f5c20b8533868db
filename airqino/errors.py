"""Every error a user of the pipeline can meet.

The tree::

    PipelineError                 one clear line on the terminal, the traceback only in the log file
    ├── ConfigError               a setting, parameter or argument is wrong: nothing was started
    ├── StagingError              a staged file cannot be written or read
    │   ├── DamagedFileError      a file is not what was written
    │   ├── BucketError           a bucket cannot be reached, or refused
    │   └── ConflictError         somebody else wrote an object at the same moment
    ├── MongoError                MongoDB cannot be reached, or refused
    ├── RegistryError             the model registry is not there, cannot be read, or refused
    ├── ComputeError              the Dask cluster cannot be reached, has no workers, or gave up
    ├── ClockError                this machine's clock is ahead of the API's
    ├── AllStationsFailedError    no station answered: the hour is not written
    ├── InsufficientHistoryError  too few usable hours to train on
    ├── TookTooLongError          a task was broken off
    └── SourceError               one station's request failed
        ├── CredentialsError      401 or 403: none given, or refused
        ├── UnknownStationError   404: the API does not know the station
        ├── RateLimitedError      429 after all retries
        ├── RequestRefusedError   another 4xx: the API does not like what was asked
        ├── ServerError           5xx after all retries
        ├── SourceTimeoutError    no answer in time
        │   └── NotAskedError     the time for asking was over before its turn
        ├── UnreachableError      no connection, or it broke off
        ├── NotOverError          the answer was made before the hour was over: a cache's, or a slow clock's
        ├── WrongStationError     the answer is another station's
        ├── ReportedError         200, but the answer is an error message
        ├── AnswerTooLargeError   more bytes or rows than an answer can have
        ├── NotJSONError          the answer is not JSON
        └── UnexpectedShapeError  the answer is JSON of another shape
"""

import errno
from pathlib import Path


class PipelineError(Exception):
    """Base of all errors whose message alone tells a user what is wrong, where, and what to do."""


class ConfigError(PipelineError):
    """A setting, task parameter or command-line argument is wrong."""


class StagingError(PipelineError):
    """A file under the staging root cannot be read or written."""


class DamagedFileError(StagingError):
    """A file is not what was written: empty, cut, changed, or another one under this name.

    Attributes:
        path: The file, where whoever catches it may have to put it away.
    """

    path: Path | None = None


class BucketError(StagingError, OSError):
    """A bucket cannot be reached, or refused."""

    def __init__(self, reason: str) -> None:
        """Take the reason; as an `OSError` it has it, too."""
        super().__init__(errno.EIO, reason)

    def __str__(self) -> str:
        """Return the reason alone."""
        return self.strerror or ""


class ConflictError(StagingError):
    """Another object is there than the one that was to be replaced: somebody else was faster."""


class MongoError(PipelineError):
    """MongoDB cannot be reached or refused the operation."""


class RegistryError(PipelineError):
    """The model registry is not there, cannot be read, or refused."""


class ComputeError(PipelineError):
    """The Dask cluster cannot be reached, has no workers, was lost, or has given up a part of the work."""


class ClockError(PipelineError):
    """By the API's clock an hour is not over yet, by this machine's it is."""


class AllStationsFailedError(PipelineError):
    """Every station that was asked failed, so there is nothing to write."""


class InsufficientHistoryError(PipelineError):
    """Too few usable hours to train a model on."""


class TookTooLongError(PipelineError):
    """A task took longer than a run can wait for it, and was broken off."""


class SourceError(PipelineError):
    """A request to the AirQino API failed."""


class CredentialsError(SourceError):
    """The API answered 401 or 403, or the token endpoint refused the credentials."""


class UnknownStationError(SourceError):
    """The API answered 404 for a station."""


class RateLimitedError(SourceError):
    """The API still answered 429 after all retries, or asked for a pause longer than allowed."""


class RequestRefusedError(SourceError):
    """The API answered another 4xx."""


class ServerError(SourceError):
    """The API still answered 5xx after all retries."""


class SourceTimeoutError(SourceError):
    """The API did not answer in time."""


class NotAskedError(SourceTimeoutError):
    """A station had no turn before the time for asking was over: nothing is known of it, and nothing has failed."""


class UnreachableError(SourceError):
    """No connection to the API could be made, or it broke off."""


class NotOverError(SourceError):
    """The answer was made, by the API's clock, before the hour was over."""


class WrongStationError(SourceError):
    """The answer bears another station's name, coordinates or readings."""


class ReportedError(SourceError):
    """The API answered 200, but with an error message in place of data."""


class AnswerTooLargeError(SourceError):
    """The API's answer has more bytes, rows or values than an answer can have; reading was broken off."""


class NotJSONError(SourceError):
    """The API's answer is not JSON."""


class UnexpectedShapeError(SourceError):
    """The API's answer is JSON but not of the documented shape."""
