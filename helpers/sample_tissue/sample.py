"""Writes a small fold of generated H&E tiles in exactly PanNuke's layout: what the quick run and the tests read.

Slides are painted one by one (`field`), 512 x 512 pixels each, and cut into 2 x 2 tiles; nuclei run on across
the cuts and keep their id. The fold has PanNuke's traps on purpose, always in the same places:

- slides 2, 9, 16, ...: the last tile is empty (fat, glass or collagen; background all 1);
- slides 3, 14, 25, ...: the last tile is void (tissue in the image, all six mask channels 0);
- slides 0, 4, 8, ...: a few pixels under two touching nuclei carry both classes, where such a pair is found.

So any fold of 16 tiles or more holds an empty tile and a void one.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile

from helpers.config import BACKGROUND_CHANNEL, CLASS_NAMES, TILE_SIZE, TILE_UM_PER_PX
from helpers.data.fold_writer import Tile, write_fold
from helpers.errors import InputError
from helpers.files import written_whole
from helpers.paths import as_path
from helpers.sample_tissue.field import BARE_KINDS, paint_field
from helpers.sample_tissue.tissue import FIELD_SIZE, TISSUES

CORNERS = tuple((row, col) for row in range(0, FIELD_SIZE, TILE_SIZE) for col in range(0, FIELD_SIZE, TILE_SIZE))
MASK_DTYPES = {"float64": "float64", "uint8": "uint16"}  # by the images' dtype: uint8 cannot hold ids above 255


def sample_field(slide: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, str]:
    """Paint the field of slide 0, 1, ... of a sample, whose number is 0 to 2**32 - 1; nothing else decides it.

    Returns:
        image: uint8 RGB (512, 512, 3).
        instances: uint16 (512, 512, 5), ids of the nuclei by class, unique in the field but not consecutive.
        tissue: name of the tissue.
    """
    # RandomState, not default_rng: NEP 19 freezes its stream for good, so that any numpy paints the same sample.
    random = np.random.RandomState([seed, slide])
    tissue = tuple(TISSUES)[slide % len(TISSUES)]
    # Steps of 7 and 11 beside the 5 tissues: no tissue has all the empty or all the void tiles.
    bare = BARE_KINDS[slide // 7 % len(BARE_KINDS)] if slide % 7 == 2 else ""
    image, instances = paint_field(random, tissue, bare, share_pixels=slide % 4 == 0)
    return image, instances, tissue


def sample_tiles(num_tiles: int, seed: int = 0) -> Iterator[Tile]:
    """Generate the first `num_tiles` tiles of a sample, slide by slide, row by row.

    Those of a shorter sample are the first of a longer one with the same seed; four make a slide.
    """
    for index in range(num_tiles):
        slide, corner = divmod(index, len(CORNERS))
        if corner == 0:
            image, instances, tissue = sample_field(slide, seed)
        row, col = CORNERS[corner]
        window = np.s_[row : row + TILE_SIZE, col : col + TILE_SIZE]
        masks = np.zeros((TILE_SIZE, TILE_SIZE, len(CLASS_NAMES) + 1), np.uint16)
        void = slide % 11 == 3 and corner == len(CORNERS) - 1
        if not void:
            masks[..., : len(CLASS_NAMES)] = instances[window]
            masks[..., BACKGROUND_CHANNEL] = instances[window].max(axis=-1) == 0
        yield Tile(image[window], masks, tissue, f"sample-{seed}-{slide:03d}", (row, col))


def write_sample_fold(folder: Path, num_tiles: int = 120, seed: int = 0, dtype: str = "float64") -> Path:
    """Write a fold of generated H&E tiles, as `fold_writer.write_fold` lays it out, and return `folder`.

    Args:
        folder: where to; it may exist, but must not hold a fold already.
        num_tiles: N, 1 or more; about 25 ms and 4.7 MB each as float64, 1 MB as uint8.
        seed: number of the sample, 0 to 2**32 - 1. The same seed gives the same labels on every machine, and images
            that differ by one grey level at most.
        dtype: "float64" as PanNuke ships it, or "uint8" (then the masks are uint16).

    Raises:
        InputError: `num_tiles`, `seed` or `dtype` is out of range; the folder holds Images or Masks, cannot be written
            to, or the disk is too small.
    """
    folder = as_path(folder)
    if num_tiles < 1:
        raise InputError(f"{folder}: found num_tiles {num_tiles}, expected 1 or more; ask for at least one tile")
    if not 0 <= seed < 2**32:
        raise InputError(f"{folder}: found seed {seed}, expected 0 to {2**32 - 1}; choose another seed")
    if dtype not in MASK_DTYPES:
        raise InputError(f"{folder}: found dtype {dtype!r}, expected one of {', '.join(MASK_DTYPES)}; choose one")
    return write_fold(folder, num_tiles, sample_tiles(num_tiles, seed), dtype, MASK_DTYPES[dtype])


def write_sample_picture(path: Path, seed: int = 0) -> Path:
    """Write the field of slide 0 as a tiled TIFF of 512 x 512 pixels that tells its scale, and return `path`.

    Args:
        path: where to, whole or not at all; its name ends in `.tif`.
        seed: number of the sample, as of `write_sample_fold`.
    """
    per_cm = 1e4 / TILE_UM_PER_PX
    with written_whole(as_path(path)) as temporary:
        tifffile.imwrite(
            temporary, sample_field(0, seed)[0], photometric="rgb", tile=(TILE_SIZE, TILE_SIZE), compression="zlib",
            resolution=(per_cm, per_cm), resolutionunit="CENTIMETER", metadata=None, software=False,
        )  # fmt: skip
    return path
