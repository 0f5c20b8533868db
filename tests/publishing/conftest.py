"""Snapshots of the sandbox's stations, made once."""

import pandas as pd
import pytest
from support.public import HOUR, MAPPED, STATIONS, tables_of

from airqino.publishing import publish, snapshot
from airqino.publishing.facts import Snapshot
from airqino.publishing.tables import Tables


@pytest.fixture(scope="session")
def made() -> tuple[Tables, pd.DataFrame]:
    """The tables of the sandbox's two stations, and its answers."""
    return tables_of()


@pytest.fixture(scope="session")
def shown(made: tuple[Tables, pd.DataFrame]) -> Snapshot:
    return snapshot.take(made[0], STATIONS, HOUR)


@pytest.fixture(scope="session")
def files(shown: Snapshot) -> dict[str, str]:
    return dict(publish.public_files(shown, MAPPED))
