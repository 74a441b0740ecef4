"""Writes a fold in the report's layout, tile by tile, whole or not at all: sample tiles and downloads alike."""

import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers.config import CLASS_NAMES, TILE_SIZE
from helpers.errors import InputError
from helpers.files import check_free_disk
from helpers.paths import as_path

CHANNELS = len(CLASS_NAMES) + 1
PARTS = ("Masks", "Images")  # a fold is known by its images: they come last
# File of what describes the tiles one by one to field of `Tile`.
BESIDE = {
    "types": "tissue",
    "groups": "group",
    "positions": "position",
    "pictures": "picture",
    "extents": "extent",
    "annotated": "annotated",
}


@dataclass(frozen=True)
class Tile:
    """One tile of a fold."""

    image: np.ndarray  # (256, 256, 3) uint8, RGB
    masks: np.ndarray  # (256, 256, 6) uint16, instance ids by class, then the background (1 where no nucleus is)
    tissue: str  # named as PanNuke does
    group: str  # its source: tiles of one group never belong on both sides of a split
    position: tuple[int, int]  # its row and column in its source image, pixels
    picture: str | None = None  # the name of its source image, where a group holds several
    extent: tuple[int, int] | None = None  # how many of its rows and columns are no padding; None for all
    annotated: tuple[bool, bool] | None = None  # are its nuclei's kinds known, are they told apart; None for both


def write_fold(
    folder: Path,
    num_tiles: int,
    tiles: Iterable[Tile],
    dtype: str = "uint8",
    mask_dtype: str = "uint16",
    kinds: Sequence[str] | None = None,
) -> Path:
    """Write a fold in the report's layout, whole or not at all, and return `folder`; it never lies in memory whole.

        folder/Images/images.npy     (N, 256, 256, 3)  RGB, 0-255
        folder/Images/types.npy      (N,)              tissue of each tile
        folder/Images/groups.npy     (N,)              its source
        folder/Images/positions.npy  (N, 2)            its row and column in its source image, pixels
        folder/Images/pictures.npy   (N,)              its source image, if tiles name one apart from the group
        folder/Images/extents.npy    (N, 2)            how many of its rows and columns are no padding, if tiles say so
        folder/Images/annotated.npy  (N, 2)            are its kinds known, its nuclei told apart, if tiles say so
        folder/Images/kinds.npy      (5,)              what the class channels mean, if given
        folder/Masks/masks.npy       (N, 256, 256, 6)  instance ids by class; channel 5 is the background

    Args:
        folder: where to; it may exist, but must not hold a fold already.
        num_tiles: N, 1 or more.
        tiles: as many.
        dtype: of the images.
        mask_dtype: of the masks.
        kinds: names of the five class channels, where they are not PanNuke's.

    Raises:
        InputError: the folder holds Images or Masks, cannot be written to, or the disk is too small.
    """
    folder = as_path(folder)
    for name in PARTS:
        if (folder / name).exists():
            raise InputError(f"{folder / name}: found a fold there, expected none; delete it or choose another folder")
    # Beside a new folder, but inside one that exists: it may be a mounted disk, and nothing is renamed across disks.
    temporary = (folder if folder.is_dir() else folder.parent) / f".fold.{os.getpid()}"
    try:
        temporary.mkdir(parents=True)
        pixel = 3 * np.dtype(dtype).itemsize + CHANNELS * np.dtype(mask_dtype).itemsize
        check_free_disk(folder, num_tiles * TILE_SIZE**2 * pixel)  # a memory map on a full disk kills the process
        _write_arrays(temporary, num_tiles, tiles, dtype, mask_dtype)
        if kinds is not None:
            np.save(temporary / "Images/kinds.npy", np.array(kinds))
        if folder.is_dir():
            for name in PARTS:
                os.rename(temporary / name, folder / name)
        else:
            os.rename(temporary, folder)
    except OSError as error:
        raise InputError(
            f"{folder}: found no way to write there ({error.strerror or error}); choose a writable folder or a new one"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _write_arrays(folder: Path, num_tiles: int, tiles: Iterable[Tile], dtype: str, mask_dtype: str) -> None:
    shape = (num_tiles, TILE_SIZE, TILE_SIZE)
    for name in PARTS:
        (folder / name).mkdir()
    images = np.lib.format.open_memmap(folder / "Images/images.npy", mode="w+", dtype=dtype, shape=(*shape, 3))
    masks = np.lib.format.open_memmap(folder / "Masks/masks.npy", mode="w+", dtype=mask_dtype, shape=(*shape, CHANNELS))
    facts = []
    for index, tile in zip(range(num_tiles), tiles, strict=True):
        images[index], masks[index] = tile.image, tile.masks
        facts.append([getattr(tile, field) for field in BESIDE.values()])
    images.flush()
    masks.flush()
    for name, values in zip(BESIDE, zip(*facts, strict=True), strict=True):
        if values[0] is not None:
            np.save(folder / "Images" / f"{name}.npy", np.array(values))
