"""Writes the public download of another set as a fold in PanNuke's layout: what the reported runs were trained on.

The images of MoNuSeg and CoNSeP are cut into 4 x 4 tiles that overlap and leave nothing out; `positions.npy` puts them
together again. An image of NuInsSeg, halved, is one tile. Reading is `helpers.datasets.published`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from helpers.config import BACKGROUND_CHANNEL, CLASS_NAMES, TILE_SIZE
from helpers.data.fold_writer import Tile, write_fold
from helpers.datasets import published
from helpers.errors import InputError
from helpers.paths import as_path

# MoNuSeg: evenly, each tile overlaps the next by 8 pixels.
MONUSEG_POSITIONS = tuple((row, col) for row in (0, 248, 496, 744) for col in (0, 248, 496, 744))
# CoNSeP: nine tiles edge to edge, then the bottom row, the right column and the corner, shifted back into the image by
# 24 pixels. The order is that of the tiles that the reported runs were trained on: a digest depends on it.
CONSEP_POSITIONS = (
    *((row, col) for row in (0, 256, 512) for col in (0, 256, 512)),
    *((744, col) for col in (0, 256, 512)),
    *((row, 744) for row in (0, 256, 512)),
    (744, 744),
)

# What the channels mean.
UNTYPED = ("Untyped", *CLASS_NAMES[1:])  # where nothing tells kinds: all nuclei are in the first
CONSEP_KINDS = ("Untyped", "Inflammatory", "Connective", "Other", "Epithelial")  # the last malignant too


class Converter(NamedTuple):
    """How one set is read and cut."""

    find: Callable[[Path], list[published.Pair]]  # lists the images of a folder
    read: Callable[[published.Pair], published.Annotated]
    positions: tuple[tuple[int, int], ...]  # row and column of the tiles of each image
    annotated: tuple[bool, bool]  # are the kinds of nuclei known, are nuclei told apart
    kinds: tuple[str, ...]  # what the class channels mean


CONVERTERS = {
    "monuseg": Converter(published.find_monuseg, published.read_monuseg, MONUSEG_POSITIONS, (False, True), UNTYPED),
    "consep": Converter(published.find_consep, published.read_consep, CONSEP_POSITIONS, (True, True), CONSEP_KINDS),
    "nuinsseg": Converter(published.find_nuinsseg, published.read_nuinsseg, ((0, 0),), (False, True), UNTYPED),
}


def convert(source: Path, out: Path, kind: str) -> Path:
    """Write a download as a fold, as `fold_writer.write_fold` lays it out: uint8 and uint16; return `out`.

    It is written whole or not at all. Sets without classes have all their nuclei in channel 0.

    Args:
        source: folder that the download was unpacked to; `Dataset/README.md` shows which one for each set.
        out: where to; it may exist, but must not hold a fold already.
        kind: "monuseg", "consep" or "nuinsseg".

    Raises:
        InputError: `kind` is unknown; something of the download is missing, unreadable or of another size than was
            published; `out` holds Images or Masks, cannot be written to, or the disk is too small.
    """
    source, out = as_path(source), as_path(out)
    if kind not in CONVERTERS:
        raise InputError(f"{source}: found kind {kind!r}, expected one of {', '.join(CONVERTERS)}; choose one")
    converter = CONVERTERS[kind]
    pairs = converter.find(source)
    tiles = len(pairs) * len(converter.positions)
    return write_fold(out, tiles, _cut(pairs, converter), kinds=converter.kinds)


def tile_masks(instances: np.ndarray, channels: np.ndarray) -> np.ndarray:
    """Lay instance ids `(H, W)` uint16 into the channels `(H, W)` uint8, 0-4, of their classes.

    Returns:
        `(H, W, 6)` uint16; channel 5 is 1 where no nucleus is.

    >>> tile_masks(np.array([[0, 7]], np.uint16), np.array([[2, 4]], np.uint8)).tolist()
    [[[0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 7, 0]]]
    """
    masks = np.zeros((*instances.shape, len(CLASS_NAMES) + 1), np.uint16)
    np.put_along_axis(masks, channels[..., None].astype(np.intp), instances[..., None], axis=-1)
    masks[..., BACKGROUND_CHANNEL] = instances == 0
    return masks


def _cut(pairs: list[published.Pair], converter: Converter) -> Iterator[Tile]:
    for pair in pairs:
        image, instances, channels = converter.read(pair)
        for row, col in converter.positions:
            window = np.s_[row : row + TILE_SIZE, col : col + TILE_SIZE]
            masks = tile_masks(instances[window], channels[window])
            position, annotated = (row, col), converter.annotated
            yield Tile(image[window], masks, pair.tissue, pair.group, position, annotated=annotated)
