"""Importing a part of the library loads only what that part uses."""

import subprocess
import sys

import pytest

HEAVY = {"distributed", "luigi", "lightgbm", "mlflow", "pymongo", "requests", "tornado"}
#: What is imported → the heavy packages that it is made of.
PARTS = {
    "airqino, airqino.errors, airqino.times, airqino.readings": set(),
    "airqino.compute, airqino.quality.flags, airqino.quality.means": set(),
    "airqino.forecasting.features, airqino.forecasting.scoring, airqino.forecasting.calibration": set(),
    "airqino.forecasting.grid, airqino.forecasting.spans, airqino.forecasting.levels": set(),
    "airqino.forecasting.training, airqino.forecasting.model, airqino.forecasting.contest": set(),
    "airqino.forecasting.backtest": set(),
    "airqino.stores.paths, airqino.stores.files, airqino.stores.parquet, airqino.stores.models": set(),
    "airqino.source.raw, airqino.source.client, airqino.source.auth, airqino.source.response": {"requests"},
    "airqino.source.probe, airqino.source.listing, airqino.source.shift": set(),
    "airqino.stores.mongo, airqino.stores.archive, airqino.views": {"pymongo"},
    "airqino.sandbox.series, airqino.sandbox.faults": set(),
    "airqino.opendata.writing, airqino.opendata.frames": set(),
}


@pytest.mark.parametrize("modules", PARTS)
def test_a_part_loads_only_what_it_uses(modules: str) -> None:
    code = f"import {modules}, sys; print(*sys.modules)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {name for name in HEAVY if name in printed} == PARTS[modules]


def test_lightgbm_comes_without_scikit_learn_which_can_still_be_imported() -> None:
    code = (
        "import numpy as np, sys; from airqino.forecasting import boosting;"
        "one, names = np.ones(9), ('last', 'station', 'hour', 'weekday');"
        "features = np.ones((9, 4), dtype=np.float32);"
        "boosting.fit('pm2_5', names, 2, features, one, one, one, boosting.Recipe(), 1, 1);"
        "print('lightgbm' in sys.modules, 'sklearn' in sys.modules); import sklearn; print(sklearn.__name__)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["True", "False", "sklearn"]
