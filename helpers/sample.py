"""Writes a small fold of generated H&E tiles in exactly PanNuke's layout: what the quick run and the tests read.

Slides are painted one by one (`helpers.field`), 512 x 512 pixels each, and cut into 2 x 2 tiles; nuclei run on across
the cuts and keep their id. The fold has PanNuke's traps on purpose, always in the same places:

- slides 2, 9, 16, ...: the last tile is empty (fat, glass or collagen; background all 1);
- slides 3, 14, 25, ...: the last tile is void (tissue in the image, all six mask channels 0);
- slides 0, 4, 8, ...: a few pixels under two touching nuclei carry both classes, where such a pair is found.

So any fold of 16 tiles or more holds an empty tile and a void one.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers.config import BACKGROUND_CHANNEL, CLASS_NAMES, TILE_SIZE
from helpers.errors import InputError
from helpers.field import BARE_KINDS, paint_field
from helpers.tissue import FIELD_SIZE, TISSUES

CORNERS = tuple((row, col) for row in range(0, FIELD_SIZE, TILE_SIZE) for col in range(0, FIELD_SIZE, TILE_SIZE))
MASK_DTYPES = {"float64": "float64", "uint8": "uint16"}  # by the images' dtype: uint8 cannot hold ids above 255


@dataclass(frozen=True)
class Tile:
    """One tile of the sample.

    Attributes:
        image: uint8 RGB (256, 256, 3).
        masks: uint16 (256, 256, 6): instance ids by class, then the background (1 = no nucleus).
        tissue: its tissue, named as PanNuke does.
        group: its slide; tiles of one group never belong on both sides of a split.
        position: its row and column in the slide's field, pixels.
    """

    image: np.ndarray
    masks: np.ndarray
    tissue: str
    group: str
    position: tuple[int, int]


def sample_field(slide: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, str]:
    """Paint the field of one slide. It depends on the two numbers alone, not on how many slides there are.

    Args:
        slide: number of the slide, from 0.
        seed: number of the sample, 0 to 2**32 - 1.

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

    Args:
        num_tiles: how many; if it is no multiple of four, the last slide is not used up.
        seed: number of the sample, 0 to 2**32 - 1.

    Yields:
        the tiles; those of a shorter sample with the same seed are the first of a longer one.
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


def write_tiles(folder: Path, num_tiles: int, seed: int, dtype: str) -> None:
    """Write the arrays of a sample into an empty folder, tile by tile: the whole never lies in memory."""
    shape = (num_tiles, TILE_SIZE, TILE_SIZE)
    for name in ("Images", "Masks"):
        (folder / name).mkdir(parents=True)
    images = np.lib.format.open_memmap(folder / "Images/images.npy", mode="w+", dtype=dtype, shape=(*shape, 3))
    masks = np.lib.format.open_memmap(
        folder / "Masks/masks.npy", mode="w+", dtype=MASK_DTYPES[dtype], shape=(*shape, len(CLASS_NAMES) + 1)
    )
    facts = []
    for index, tile in enumerate(sample_tiles(num_tiles, seed)):
        images[index], masks[index] = tile.image, tile.masks
        facts.append((tile.tissue, tile.group, tile.position))
    images.flush()
    masks.flush()
    for name, values in zip(("types", "groups", "positions"), zip(*facts, strict=True), strict=True):
        np.save(folder / "Images" / f"{name}.npy", np.array(values))


def write_sample_fold(folder: Path, num_tiles: int = 120, seed: int = 0, dtype: str = "float64") -> Path:
    """Write a fold of generated H&E tiles in PanNuke's layout, whole or not at all.

        folder/Images/images.npy     (N, 256, 256, 3)  RGB, 0-255
        folder/Images/types.npy      (N,)              tissue names
        folder/Images/groups.npy     (N,)              slide of each tile
        folder/Images/positions.npy  (N, 2)            row and column of each tile in its slide's field
        folder/Masks/masks.npy       (N, 256, 256, 6)  instance ids by class; channel 5 is the background

    Args:
        folder: where to; it may exist, but must not hold a fold already.
        num_tiles: N, 1 or more; about 25 ms and 4.7 MB each as float64, 1 MB as uint8.
        seed: number of the sample, 0 to 2**32 - 1. The same seed gives the same labels on every machine, and images
            that differ by one grey level at most.
        dtype: "float64" as PanNuke ships it, or "uint8" (then the masks are uint16).

    Returns:
        `folder`.

    Raises:
        InputError: `num_tiles`, `seed` or `dtype` is out of range; the folder holds Images or Masks, cannot be written
            to, or the disk is too small.
    """
    folder = Path(folder)
    if num_tiles < 1:
        raise InputError(f"{folder}: found num_tiles {num_tiles}, expected 1 or more; ask for at least one tile")
    if not 0 <= seed < 2**32:
        raise InputError(f"{folder}: found seed {seed}, expected 0 to {2**32 - 1}; choose another seed")
    if dtype not in MASK_DTYPES:
        raise InputError(f"{folder}: found dtype {dtype!r}, expected one of {', '.join(MASK_DTYPES)}; choose one")
    for name in ("Images", "Masks"):
        if (folder / name).exists():
            raise InputError(f"{folder / name}: found a fold there, expected none; delete it or choose another folder")
    # Beside a new folder, but inside one that exists: it may be a mounted disk, and nothing is renamed across disks.
    temporary = (folder if folder.is_dir() else folder.parent) / f".sample.{os.getpid()}"
    try:
        temporary.mkdir(parents=True)
        needed = num_tiles * TILE_SIZE**2 * (3 * np.dtype(dtype).itemsize + 6 * np.dtype(MASK_DTYPES[dtype]).itemsize)
        free = shutil.disk_usage(temporary).free
        if needed > free:  # a memory map on a full disk does not raise, it kills the process
            raise InputError(
                f"{folder}: found {free / 1e6:.0f} MB of free disk, expected {needed / 1e6:.0f} MB; "
                "free some, or ask for fewer tiles or for uint8"
            )
        write_tiles(temporary, num_tiles, seed, dtype)
        if folder.is_dir():
            for name in ("Masks", "Images"):
                os.rename(temporary / name, folder / name)
        else:
            os.rename(temporary, folder)
    except OSError as error:
        raise InputError(
            f"{folder}: found no way to write there ({error.strerror or error}), expected a writable folder or a place "
            "for a new one; choose another"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder
