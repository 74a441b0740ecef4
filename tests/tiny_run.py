"""A finished run that takes seconds, and data sets that take no file at all."""

import copy
import json
import shutil
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch

from helpers.config import CLASS_NAMES, Recipe
from helpers.data.cache import Cache
from helpers.model import EfficientNetSegmentation, set_batch_norm_momentum
from helpers.sample_tissue.sample import write_sample_fold
from helpers.training.results import BEST, HISTORY, RESULTS
from helpers.training.run import train_run

RECIPE = Recipe(
    "tiny", image_size=64, epochs=2, batch_size=8, accumulation_steps=1, learning_rate=2e-3, pretrained=False
)


@dataclass(frozen=True)
class FinishedRun:
    """A run and the sample tiles it was trained on. Tests share it: what writes to it works on a copy."""

    dataset: Path
    folder: Path

    def copy(self, folder: Path) -> Path:
        """Copy what scoring and publishing need; the data set stays where it is."""
        folder.mkdir(parents=True)
        for name in (BEST, HISTORY, RESULTS):
            shutil.copyfile(self.folder / name, folder / name)
        return folder


def make_finished_run(folder: Path, num_tiles: int = 24, epochs: int = RECIPE.epochs) -> FinishedRun:
    """Train on sample tiles, four a slide: of the six slides of 24 tiles one validates."""
    dataset = write_sample_fold(folder / "slides", num_tiles=num_tiles, dtype="uint8")
    recipe = replace(RECIPE, epochs=epochs)
    train_run(dataset, folder / "run", recipe, device=torch.device("cpu"), log=lambda line: None)
    return FinishedRun(dataset, folder / "run")


def read_results(run: Path) -> dict:
    """Read the results as the file holds them."""
    return json.loads((run / RESULTS).read_text(encoding="utf-8"))


def change_results(run: Path, **parts: dict) -> None:
    """Change some values in parts of a run's results."""
    results = read_results(run)
    for part, values in parts.items():
        results[part] |= values
    (run / RESULTS).write_text(json.dumps(results), encoding="utf-8")


def make_network(img_size: int = 64) -> EfficientNetSegmentation:
    """Give a network whose outputs differ from pixel to pixel: its batch norms have seen one batch of noise."""
    return copy.deepcopy(_made_network(img_size))


@cache
@torch.inference_mode(False)  # whoever asks first
def _made_network(img_size: int) -> EfficientNetSegmentation:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = EfficientNetSegmentation(img_size)
        momenta = {layer: layer.momentum for layer in model.modules() if isinstance(layer, torch.nn.BatchNorm2d)}
        set_batch_norm_momentum(model, 1.0)
        with torch.no_grad():
            model.train()(torch.randn(8, 3, img_size, img_size))
        for layer, momentum in momenta.items():
            layer.momentum = momentum
    return model.eval()


def make_cache(
    nuclei: list[list[int]], tissues: list[str], void: list[bool] | None = None, groups: list[str] | None = None
) -> Cache:
    """Describe a data set of as many tiles as `nuclei` has rows; its tiles are one pixel, dark and bright in turn."""
    count = len(nuclei)
    return Cache(
        name="made", digest="0" * 64, image_size=1, labels="nearest",
        images=np.tile(np.arange(count, dtype=np.uint8)[:, None, None, None], (1, 1, 1, 3)),
        class_maps=np.zeros((count, 1, 1), np.uint8),
        instances=np.zeros((count, 1, 1), np.uint16),
        kinds=CLASS_NAMES,
        annotated=np.ones((count, 2), bool),
        tissues=np.array(tissues),
        groups=None if groups is None else np.array(groups),
        grouped=np.full(count, groups is not None),
        positions=None,
        nuclei=np.array(nuclei),
        nuclei_shares=np.zeros(count),
        void=np.array(void or [False] * count),
        fold_numbers=np.zeros(count, np.int64),
        fold_files=["Images/images.npy"],
        official=None,
        tile_digests=np.array([f"{number:016x}" for number in range(count)]),
    )  # fmt: skip
