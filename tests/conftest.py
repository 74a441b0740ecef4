"""What every test file shares."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import pytest
import torch
from hypothesis import settings
from nightly import NIGHTLY
from tiny_run import FinishedRun, change_results, make_finished_run

from helpers.explanation.explanation import explain_run
from helpers.paths import as_path
from helpers.sample_tissue import sample
from helpers.sample_tissue.field import paint_field
from helpers.training.results import BEST

matplotlib.use("Agg")
# The same examples in every run of `make test`; new ones every night.
settings.register_profile("ours", derandomize=not NIGHTLY)
settings.load_profile("ours")
torch.set_num_threads(1)  # the networks of the tests are too small to be worth dividing


@pytest.fixture(scope="session", autouse=True)
def _painted_once() -> Iterator[None]:
    """Paint every field of the sample once: it takes half a second, and many tests ask for the same ones."""
    painted = {}

    def paint(random, *told, **more):
        key = (random.get_state()[1].tobytes(), told, tuple(more.items()))
        if key not in painted:
            painted[key] = paint_field(random, *told, **more)
        return tuple(array.copy() for array in painted[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "paint_field", paint)
        yield


@pytest.fixture(scope="session")
def real_dataset() -> Path:
    """The folder of real tissue that NUCLEI_DATASET names."""
    given = os.environ.get("NUCLEI_DATASET", "Dataset")
    if given == "Dataset":
        pytest.skip("NUCLEI_DATASET names no folder of real tissue")
    if not as_path(given).is_dir():
        pytest.fail(f"NUCLEI_DATASET is {given}: there is no such folder")
    return as_path(given)


@pytest.fixture(scope="session")
def external_sets() -> Path:
    """The folder of external sets that NUCLEI_EXTERNAL names, else the one beside the checkout."""
    folder = Path(os.environ.get("NUCLEI_EXTERNAL", Path(__file__).resolve().parents[2] / "shared/nuclei"))
    if not (folder / "pannuke").is_dir():
        pytest.skip(f"no external sets: {folder} holds no pannuke, and NUCLEI_EXTERNAL names no other folder")
    return folder


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory) -> Iterator[FinishedRun]:
    """A run of two epochs on 24 sample tiles, for all tests: write to a copy of it, as `copy` makes."""
    folder = tmp_path_factory.mktemp("finished")
    yield make_finished_run(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def explained_run(tmp_path_factory) -> Iterator[Path]:
    """The folder of a run of which two slides validate, with its explanation; the control is the network itself."""
    folder = tmp_path_factory.mktemp("explained")
    run = make_finished_run(folder, num_tiles=48, epochs=8)
    control = run.copy(folder / "control")
    change_results(control, recipe={"shuffled_masks": 2})
    explain_run(run.folder, run.dataset, control / BEST, tiles=3, sane=1, log=lambda line: None)
    yield run.folder
    shutil.rmtree(folder)
