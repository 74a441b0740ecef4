"""The control of an explanation: a network that knows a few tiles by heart, each with the mask of another.

What it learnt is real and has nothing to do with nuclei, so a map that tells what was learnt differs from its own.

Reference:
    Adebayo et al. 2018, Sanity checks for saliency maps, section 4 (data randomisation), arXiv:1810.03292.
"""

from dataclasses import replace

import numpy as np
from torch import nn

from helpers.config import Recipe
from helpers.data.cache import Cache
from helpers.errors import InputError
from helpers.model import RANDOM_START_MOMENTUM, set_batch_norm_momentum

BATCH = 4  # tiles at a time
NOTE = "A control: it learns the middle of so many training tiles and is judged on the same."
LAPS = 5  # times that an epoch goes over the tiles, so that judging and saving take less of the time


def control_recipe(recipe: Recipe, tiles: int) -> Recipe:
    """Change a recipe into that of its control: the same network and labels, and nothing that keeps it from fitting.

    Args:
        recipe: of the network that is to be explained.
        tiles: how many the control learns, 2 or more.

    Raises:
        InputError: fewer.
    """
    if tiles < 2:
        raise InputError(f"shuffled masks: expected 2 tiles or more that exchange their masks, found {tiles}")
    return replace(
        recipe,
        shuffled_masks=tiles,
        batch_size=min(BATCH, tiles),
        accumulation_steps=1,
        augmentation=(),
        random_crops=False,
        class_weights="equal",
        boundary_weight=0.0,
        kinds_weight=0.0,  # maps ask for nuclei alone
        interior_weight=0.0,
        learning_rate=2e-3,
        weight_decay=0.0,
        dropout=0.0,
        schedule="cosine",
        averaging_decay=0.0,
        stop_early=False,
    )


def control_window(image_size: int) -> tuple[slice, slice]:
    """Give the rows and columns that a control learns of each tile: its middle, half as high and wide."""
    return (np.s_[image_size // 4 : image_size // 4 + image_size // 2],) * 2


def choose_learnt(cache: Cache, train: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Draw from the training tiles `(n,)` those that a control learns `(m,)`, all with nuclei in their window.

    Raises:
        InputError: the training part has fewer of them.
    """
    window, learnt = control_window(cache.image_size), []
    for tile in np.random.default_rng(recipe.seed).permutation(train).tolist():
        if len(learnt) < recipe.shuffled_masks and cache.class_maps[tile][window].any():
            learnt.append(tile)
    if len(learnt) < recipe.shuffled_masks:
        raise InputError(
            f"{cache.name}: expected {recipe.shuffled_masks} training tiles with nuclei in the middle, found "
            f"{len(learnt)}; give fewer"
        )
    return np.sort(learnt)


def exchange_masks(tiles: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Give to each of some tiles, drawn by lot, the mask of another of them.

    Args:
        tiles: `(n,)` tile numbers.
        count: tiles in the data set.
        seed: of the lot.

    Returns:
        `(count,)` int64, for every tile the one whose mask it gets; its own where it is not among `tiles`.
    """
    masks_of, order = np.arange(count), np.random.default_rng(seed).permutation(tiles)
    masks_of[order] = np.roll(order, 1)  # in one round, so none keeps its own
    return masks_of


def let_fit(model: nn.Module) -> None:
    """Let a network fit what it is shown: skip no block by lot, and let batch norm's statistics follow the weights."""
    set_batch_norm_momentum(model, RANDOM_START_MOMENTUM)
    if (encoder := getattr(model, "encoder", None)) is not None:
        encoder._global_params = encoder._global_params._replace(drop_connect_rate=0.0)
