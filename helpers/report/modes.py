"""Quick or full: what the notebook runs on, decided by two environment variables."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from helpers.config import RECIPES, Recipe
from helpers.errors import InputError
from helpers.paths import as_path
from helpers.sample_tissue.sample import write_sample_fold, write_sample_picture
from helpers.training.control import control_recipe

QUICK_FOLDER = Path("build") / "quick"
FULL_RUN = Path("runs") / "report"
PICTURE = Path("build") / "picture" / "tissue.tif"
# All of its epochs: where early stopping would have ended is recorded beside.
FULL_RECIPE = replace(RECIPES["report"], stop_early=False)


@dataclass(frozen=True)
class Mode:
    """What one reading of the notebook uses.

    Attributes:
        name: "quick" or "full".
        label: what its results are to be called, so that no reader takes them for the reported ones.
        dataset: folder of the data set.
        run: folder of the training run.
        recipe: how the network is trained.
        nuclei_recipe: how the network that tells single nuclei and kinds is.
        control_recipe: how the control of its explanations is, on a few tiles with the masks of others.
        explained_tiles: on how many the faithfulness of its maps is measured.
        sanity_tiles: on how many of those the sanity checks are made.
        picture: a painted picture that stands for the reader's own.
    """

    name: str
    label: str
    dataset: Path
    run: Path
    recipe: Recipe
    nuclei_recipe: Recipe
    control_recipe: Recipe
    explained_tiles: int
    sanity_tiles: int
    picture: Path


def choose_mode(environment: Mapping[str, str] = os.environ) -> Mode:
    """Choose what the notebook runs on; write the painted picture, and in quick mode the sample tiles, afresh.

    Args:
        environment: `NUCLEI_MODE` is "quick" (default) or "full"; `NUCLEI_DATASET` is the data set of full mode
            (default `Dataset`).

    Raises:
        InputError: another mode, or a folder that cannot be written.
    """
    name = environment.get("NUCLEI_MODE", "quick")
    if name not in ("quick", "full"):
        raise InputError(f"NUCLEI_MODE: expected 'quick' or 'full', found {name!r}")
    shutil.rmtree(PICTURE.parent, ignore_errors=True)
    picture = write_sample_picture(PICTURE)
    if name == "full":
        dataset = as_path(environment.get("NUCLEI_DATASET", "Dataset"))
        label, control = f"this run, {dataset.resolve().name}", _control(FULL_RECIPE, tiles=16, epochs=60)
        nuclei = RECIPES["nuclei"]
        return Mode(name, label, dataset, FULL_RUN, FULL_RECIPE, nuclei, control, 100, 20, picture)
    shutil.rmtree(QUICK_FOLDER, ignore_errors=True)
    dataset = write_sample_fold(QUICK_FOLDER / "sample")
    recipe, run = RECIPES["quick"], QUICK_FOLDER / "run"
    control = _control(recipe, tiles=2, epochs=10)
    nuclei = RECIPES["quick-nuclei"]
    return Mode(name, "this run, sample tiles", dataset, run, recipe, nuclei, control, 6, 2, picture)


def _control(recipe: Recipe, tiles: int, epochs: int) -> Recipe:
    """Change a recipe to that of a control that learns so many tiles for so many epochs."""
    return replace(control_recipe(recipe, tiles), epochs=epochs)
