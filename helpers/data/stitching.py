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
    size: tuple[int, int]  # its height and width in pixels; what its tiles hold beyond is padding

    def crop(self, stitched: np.ndarray) -> np.ndarray:
        """Cut the padding off an array that was stitched of its tiles."""
        return stitched[: self.size[0], : self.size[1]]


def source_images(
    indices: np.ndarray,
    tissues: np.ndarray,
    pictures: np.ndarray | None,
    positions: np.ndarray | None,
    extents: np.ndarray | None = None,
) -> list[SourceImage]:
    """Gather tiles into the images they were cut from.

    Tiles of one picture are one image where their positions are known, tell them apart and leave no hole. Tiles without
    pictures or positions, of a picture whose tiles share a position (neighbours of unknown place), or of one that does
    not fill a rectangle, are each an image of their own: a hole would count as background, and the darkest of all.

    Args:
        indices: `(n,)` tile numbers to gather.
        tissues: `(N,)` str, of all tiles of the data set.
        pictures: `(N,)` str, or None.
        positions: `(N, 2)` int, -1 where it is not known, or None.
        extents: `(N, 2)` int, how many rows and columns of each tile are its picture's, and no padding; None for all.

    Returns:
        the images, in order of their first tile.
    """
    extents = np.full((len(tissues), 2), TILE_SIZE) if extents is None else extents
    if pictures is None or positions is None:
        return [_single(index, tissues, extents) for index in indices]
    images = []
    for name in dict.fromkeys(pictures[indices].tolist()):
        members = indices[pictures[indices] == name]
        places = positions[members] - positions[members].min(0)
        told = positions[members].min() >= 0 and len(np.unique(places, axis=0)) == len(members)
        if told and _fill_rectangle(places, extents[members]):
            size = (places + extents[members]).max(0)
            images.append(SourceImage(name, str(tissues[members[0]]), members, places, tuple(size.tolist())))
        else:
            images += [_single(index, tissues, extents) for index in members]
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


def stitch_labels(tiles: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Put label maps back in their places: tiles of one picture give a nucleus the same number, so nothing is averaged.

    Tiles `(n, h, w)` of whole numbers, whose top left pixels lie at `positions` `(n, 2)` from 0, become `(H, W)` of
    their dtype; 0 where no tile lies. Where tiles overlap, the first that shows a nucleus counts.

    >>> stitch_labels(np.array([[[5, 7]], [[7, 7]]]), np.array([[0, 0], [0, 1]])).tolist()
    [[5, 7, 7]]
    """
    whole = np.zeros(positions.max(0) + tiles.shape[1:], tiles.dtype)
    for tile, (row, column) in zip(tiles, positions, strict=True):
        there = whole[row : row + tile.shape[0], column : column + tile.shape[1]]
        np.copyto(there, tile, where=there == 0)
    return whole


def _fill_rectangle(places: np.ndarray, extents: np.ndarray) -> bool:
    height, width = (places + extents).max(0)
    if height * width > len(places) * TILE_SIZE**2:  # far apart on a slide: the rectangle may not even fit in memory
        return False
    covered = np.zeros((height, width), bool)
    for (row, column), (rows, columns) in zip(places, extents, strict=True):
        covered[row : row + rows, column : column + columns] = True
    return bool(covered.all())


def _single(index: int, tissues: np.ndarray, extents: np.ndarray) -> SourceImage:
    place, size = np.zeros((1, 2), np.int64), tuple(extents[index].tolist())
    return SourceImage(f"tile {index}", str(tissues[index]), np.array([index]), place, size)
