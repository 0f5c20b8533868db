"""What is published of a module's own staging root, `root`."""

from pathlib import Path

import pytest
from support.published import ABOUT

from airqino.opendata.writing import write


@pytest.fixture(scope="module")
def published(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    write(folder, root, ABOUT)
    return folder
