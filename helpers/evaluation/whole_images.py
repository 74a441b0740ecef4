"""Whole images of a data set at full size: read tile by tile and put together, with their truth."""

import dataclasses

import numpy as np

from helpers.config import THRESHOLD
from helpers.data.fold import Fold, Tiles
from helpers.data.stitching import stitch
from helpers.preprocessing import enlarge_probabilities, shrink_class_maps


def through_network_size(tiles: Tiles, positions: np.ndarray, image_size: int, labels: str) -> np.ndarray:
    """Shrink the true labels to the network's size and enlarge them again: what repeating them exactly scores.

    Args:
        tiles: of one image, at full size.
        positions: `(n, 2)`, their places in it.
        image_size: the network's, in pixels.
        labels: how they are shrunk, "nearest" or "majority".

    Returns:
        `(H, W)` bool, the stitched image's foreground.
    """
    small = shrink_class_maps(tiles.class_maps, image_size, labels) > 0
    enlarged = enlarge_probabilities(small.astype(np.float32), tiles.class_maps.shape[1])
    return stitch(enlarged, positions) >= THRESHOLD


def stitch_tiles(tiles: Tiles, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Put the tiles of one image together: image `(H, W, 3)` uint8, and `(H, W)` bool where its nuclei are."""
    image = np.rint(stitch(tiles.images, positions)).astype(np.uint8)
    return image, stitch(tiles.class_maps > 0, positions) >= THRESHOLD


def read_tiles(folds: list[Fold], indices: np.ndarray) -> Tiles:
    """Read tiles at full size by their numbers in the data set, all folds counted through."""
    starts = np.cumsum([0, *map(len, folds)])
    parts = []
    for index in indices.tolist():
        number = int(np.searchsorted(starts, index, side="right")) - 1
        parts.append(folds[number].read(index - starts[number], index - starts[number] + 1))
    return Tiles(
        *(np.concatenate([getattr(part, field.name) for part in parts]) for field in dataclasses.fields(Tiles))
    )
