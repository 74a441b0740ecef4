"""What every test file shares."""

import os
from pathlib import Path

import matplotlib
import pytest

matplotlib.use("Agg")


@pytest.fixture(scope="session")
def real_dataset() -> Path:
    """The folder of real tissue that NUCLEI_DATASET names."""
    given = os.environ.get("NUCLEI_DATASET", "Dataset")
    if given == "Dataset":
        pytest.skip("NUCLEI_DATASET names no folder of real tissue")
    if not Path(given).is_dir():
        pytest.fail(f"NUCLEI_DATASET is {given}: there is no such folder")
    return Path(given)
