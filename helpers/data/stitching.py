"""From tiles back to the images they were cut from."""

from dataclasses import dataclass

import numpy as np

from helpers.config import TILE_SIZE


@dataclass(frozen=True)
class SourceImage:
    """An image and its tiles."""

    name: str  # the source image's, or that of its only tile
    tissue: str
    indices: np.ndarray  # (n,) int64, the tiles' numbers in the data set
    positions: np.ndarray  # (n, 2) int64, their rows and columns in the image


def source_images(
    indices: np.ndarray, tissues: np.ndarray, groups: np.ndarray | None, positions: np.ndarray | None
) -> list[SourceImage]:
    """Gather tiles into the images they were cut from.

    Tiles of one group are one image where their positions are known, tell them apart and leave no hole. Tiles without
    groups or positions, of a group whose tiles share a position (neighbours of unknown place), or of one that does not
    fill a rectangle, are each an image of their own: a hole would count as background, and the darkest of all.

    Args:
        indices: `(n,)` tile numbers to gather.
        tissues: `(N,)` str, of all tiles of the data set.
        groups: `(N,)` str, or None.
        positions: `(N, 2)` int, -1 where it is not known, or None.

    Returns:
        the images, in order of their first tile.
    """
    if groups is None or positions is None:
        return [_single(index, tissues) for index in indices]
    images = []
    for name in dict.fromkeys(groups[indices].tolist()):
        members = indices[groups[indices] == name]
        places = positions[members] - positions[members].min(0)
        known = positions[members].min() >= 0
        if known and len(np.unique(places, axis=0)) == len(members) and _fill_rectangle(places):
            images.append(SourceImage(name, str(tissues[members[0]]), members, places))
        else:
            images += [_single(index, tissues) for index in members]
    return images


def stitch(tiles: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Put tiles back in their places; where they overlap, their mean counts.

    Tiles `(n, h, w)` or `(n, h, w, 3)` of any numbers, whose top left pixels lie at `positions` `(n, 2)` from 0, become
    `(H, W)` or `(H, W, 3)` float32; 0 where no tile lies.

    >>> stitch(np.array([[[1.0, 1.0]], [[3.0, 3.0]]]), np.array([[0, 0], [0, 1]])).tolist()
    [[1.0, 2.0, 3.0]]
    """
    height, width = positions.max(0) + tiles.shape[1:3]
    total = np.zeros((height, width, *tiles.shape[3:]), np.float32)
    cover = np.zeros((height, width), np.float32)
    for tile, (row, column) in zip(tiles, positions, strict=True):
        window = np.s_[row : row + tile.shape[0], column : column + tile.shape[1]]
        total[window] += tile
        cover[window] += 1
    return total / np.maximum(cover, 1).reshape(cover.shape + (1,) * (total.ndim - 2))


def _fill_rectangle(places: np.ndarray) -> bool:
    height, width = places.max(0) + TILE_SIZE
    if height * width > len(places) * TILE_SIZE**2:  # far apart on a slide: the rectangle may not even fit in memory
        return False
    covered = np.zeros((height, width), bool)
    for row, column in places:
        covered[row : row + TILE_SIZE, column : column + TILE_SIZE] = True
    return bool(covered.all())


def _single(index: int, tissues: np.ndarray) -> SourceImage:
    return SourceImage(f"tile {index}", str(tissues[index]), np.array([index]), np.zeros((1, 2), np.int64))
